# SPDX-License-Identifier: Apache-2.0
"""What is shown of nginx's modules at the edges of nginx's own: room, hurry, bodies that nobody wants, other modules, the log."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import ssl
import threading

import rig as kit
from cases import V12, V13, client_hello, pages, streams
from pressure import UP, narrow, upgrade, upgraded
from rig import Backend, Nginx, check, connect, context, curl, equal, get, read_all, response, tls, wait_for, wrap

CLOSE = b"GET %s HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n"


def who_says_nothing_makes_room_for_who_does(rig):
    """Connections that nobody has said anything on, nor asked anything any more, are the first that nginx closes for want of others."""
    with Nginx(rig, pages("location / { return 200 x; }"), connections=40) as n:
        for silent in (True, False):
            held = []
            for _ in range(40):
                with contextlib.suppress(OSError):  # for a moment there may be none
                    sock = connect(n.port("a")) if silent else wrap(context(rig), n.port("a"))
                    if not silent:
                        get(sock)
                    held.append(sock)
            for _ in range(10):
                with wrap(context(rig), n.port("a")) as sock:
                    equal(get(sock, more="Connection: close\r\n")[1], b"x", "behind those who %s" % ("say nothing" if silent else "are idle"))
                    equal(read_all(sock), b"", "its end")
            for sock in held:
                sock.close()
            n.all_closed()
        n.allowed = ("worker_connections are not enough",)


def a_half_begun_handshake_makes_no_room(rig):
    """Who has begun to say something is not closed for others."""
    hello = client_hello(rig)
    with Nginx(rig, pages("location / { return 200 x; }"), connections=40) as n:
        begun = connect(n.port("a"))
        begun.sendall(hello[:20])
        wait_for(lambda: n.count() > n.descriptors, "it is there")
        silent = [connect(n.port("a")) for _ in range(40)]
        with wrap(context(rig), n.port("a")) as sock:
            equal(get(sock)[1], b"x", "behind them")
        begun.sendall(hello[20:])
        equal(begun.recv(1), b"\x16", "the answer to who has begun before them")
        for sock in (begun, *silent):
            sock.close()
        n.all_closed()
        n.allowed = ("worker_connections are not enough",)


def what_is_asked_at_once_ends_in_order_when_the_worker_does(rig):
    """The answer under way is the last, and there is close_notify behind it, though more was asked."""
    size = 16 << 20
    with Nginx(rig, pages("root .;")) as n:
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(bytes(size))
        for version in (V12, V13):
            with narrow(rig, n.port("a"), version) as sock:
                sock.sendall(b"GET /file HTTP/1.1\r\nHost: one.test\r\n\r\n" * 3)
                got = sock.recv(1000)
                n.reload()
                got += read_all(sock)
                equal(len(got.split(b"\r\n\r\n", 1)[1]), size, "bytes of the answer, and nothing behind it")
            wait_for(lambda: len(n.workers()) == 1, "the worker before is gone")


def the_socket_is_shut_down_behind_the_last_byte(rig):
    """nginx does that by itself when a client has said more than is answered; here the kernel never has more than a little."""
    server = "server { listen 127.0.0.1:%%(a)d sndbuf=4k; server_name one.test; %s root .; }" % tls("one.test")
    with Nginx(rig, server) as n:
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(bytes(1 << 20))
        for version in (V12, V13):
            with narrow(rig, n.port("a"), version) as sock:
                sock.sendall(CLOSE % b"/file" + CLOSE % b"/more")
                equal(len(read_all(sock).split(b"\r\n\r\n", 1)[1]), 1 << 20, "bytes, and an end in order")
        n.all_closed()


def a_worker_that_hurries_says_that_it_is_not_all(rig):
    """At worker_shutdown_timeout what is under way ends with an alert."""
    def serve(sock):
        sock.recv(65536)
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\npart")
        over.wait(kit.PATIENCE)

    over = threading.Event()
    main = "milgi_device %s; %s worker_shutdown_timeout 1s;" % (rig.device, rig.records)
    with Backend(serve) as backend, Nginx(rig, pages("location / { proxy_buffering off; proxy_pass http://127.0.0.1:%(back)d; }"),
                                          streams(), main=main, back=backend.port) as n:
        socks = []
        for version in (V12, V13):
            for port in ("a", "s"):
                sock = wrap(context(rig, version), n.port(port))
                sock.sendall(CLOSE % b"/")
                got = b""
                while b"part" not in got:
                    got += sock.recv(65536)
                socks.append(sock)
        n.signal(signal.SIGQUIT)
        for sock in socks:
            try:
                read_all(sock)
                raise kit.Failed("what was cut off ended with close_notify")
            except ssl.SSLError as error:
                check("ALERT" in str(error), "no alert: %s" % error)
            sock.close()
        over.set()
        n.process.wait(kit.PATIENCE)
        n.allowed = ("open socket",)


def our_own_faults_are_errors_of_the_log(rig):
    """A key that cannot be used is for who looks after the server; what clients do wrong is not. It says who and why."""
    server = "server { listen 127.0.0.1:%%(%s)d; milgi on; milgi_certificate one.test.pem; milgi_certificate_key %s; location / { return 200 x; } }"
    http = server % ("a", '"pkcs11:token=none;object=none"') + server % ("b", "one.test.key")
    with Nginx(rig, http) as n:
        for version in (V12, V13):
            for port, name in (("a", "one.test"), ("b", "wrong.test")):
                with contextlib.suppress(OSError), wrap(context(rig, version), n.port(port), name):
                    raise kit.Failed("this is served")
        wait_for(lambda: n.errors().count("milgi: handshake failed") == 4, "all of it is in the log")
        for line in n.errors().splitlines():
            if "milgi: handshake failed" in line:
                check("client: 127.0.0.1, server: 127.0.0.1:" in line, "not whose it was: " + line)
                ours = line.endswith(":%d" % n.port("a"))
                check("[%s]" % ("error" if ours else "info") in line, "another level: " + line)
                check(re.search("a crypto device failed, (?!our alert)", line) if ours else "its alert: " in line, "no reason: " + line)
        n.all_closed()


def an_upstream_of_streams_that_is_reset_has_no_end(rig):
    def serve(sock):
        sock.recv(65536)
        sock.sendall(b"part")
        ask.wait(kit.PATIENCE)
        kit.reset(sock)

    with Backend(serve) as backend, Nginx(rig, stream=streams(), back=backend.port) as n:
        for version in (V12, V13):
            ask = threading.Event()
            with wrap(context(rig, version), n.port("s")) as sock:
                sock.sendall(b"x")
                equal(sock.recv(100), b"part", "what came before")
                ask.set()
                try:
                    read_all(sock)
                    raise kit.Failed("what was cut off ended with close_notify")
                except ssl.SSLError as error:
                    check("ALERT" in str(error), "no alert: %s" % error)
        n.all_closed()


def bodies_that_are_passed_on_as_they_come(rig):
    """Without buffering, to a backend that reads slowly; with and without a length; and those that nobody wants."""
    size = 3 << 20
    data = os.urandom(size)

    def serve(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        got = b""
        while b"\r\n\r\n" not in got:
            got += sock.recv(65536)
        head, body = got.split(b"\r\n\r\n", 1)
        check(b"\r\ncontent-length: %d" % size in head.lower() or b"chunked" in head.lower(), "what the backend is told: %r" % head)
        pieces, left = [body], size - len(body)
        if b"chunked" in head.lower():
            with sock.makefile("rb") as file:
                file = Joined(body, file)
                pieces = []
                while step := int(file.line(), 16):
                    pieces.append(file.read(step))
                    file.line()
        else:
            while left:
                pieces.append(sock.recv(65536))
                check(pieces[-1], "the body ends early")
                left -= len(pieces[-1])
        sums.append(hashlib.sha256(b"".join(pieces)).digest())
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    more = """location / { proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:%(back)d; client_max_body_size 0; }
              location /small { client_max_body_size 1k; return 200 x; } location /none { root .; client_max_body_size 0; }"""
    sums = []
    with Backend(serve) as backend, Nginx(rig, pages(more), back=backend.port) as n:
        with open(os.path.join(n.work, "up"), "wb") as file:
            file.write(data)
        for way in ("--http1.1", "--http2"):
            for args in ((), ("-H", "Transfer-Encoding: chunked")):
                equal(curl(rig, n.port("a"), "/", way, "-T", n.work + "/up", "-H", "Expect:", *args), b"ok", "the answer, %s" % (way,))
                check(sums and sums.pop() == hashlib.sha256(data).digest(), "what the backend has got, %s %s: %s" % (way, args, backend.errors))
        for version in (V12, V13):
            for path, status in (("/small", " 413 "), ("/none", " 404 ")):
                with wrap(context(rig, version), n.port("a")) as sock:
                    sock.sendall(("POST %s HTTP/1.1\r\nHost: one.test\r\nContent-Length: %d\r\n\r\n" % (path, size)).encode() + data[:100000])
                    head, _ = response(sock)
                    check(status in head, "%s: %s" % (path, head))
                    sock.sendall(data[100000:])  # is read and thrown away, or this would be told
                    if path == "/small":
                        equal(read_all(sock), b"", "and its end")
                    else:
                        equal(get(sock, "/small")[1], b"x", "what is asked behind it")
        n.all_closed()


class Joined:
    """What was read already, and the rest."""

    def __init__(self, data, file):
        self.data, self.file = data, file

    def line(self):
        if b"\n" in self.data:
            line, _, self.data = self.data.partition(b"\n")
        else:
            line, self.data = self.data + self.file.readline(), b""
        return line.strip() or b"0"

    def read(self, size):
        got, self.data = self.data[:size], self.data[size:]
        return got + self.file.read(size - len(got))


def names_are_read_ahead_of_and_inside_of_tls(rig):
    """nginx's ssl_preread: in front of servers of both kinds, it finds one by its name; behind a handshake, TLS inside of TLS."""
    http = pages("location / { return 200 page; }")
    front = """map $ssl_preread_server_name $where { one.test 127.0.0.1:%(a)d; two.test 127.0.0.1:%(s)d; default 127.0.0.1:%(i)d; }
               server { listen 127.0.0.1:%(x)d; ssl_preread on; proxy_pass $where; }"""
    stream = front + "server { listen 127.0.0.1:%%(s)d; %s return two; }" % tls("two.test")
    stream += 'server { listen 127.0.0.1:%%(i)d; %s ssl_preread on; preread_timeout 60s; proxy_pass 127.0.0.1:%%(s)d; }' % tls("closed.test")
    stream += 'server { listen 127.0.0.1:%%(j)d; %s ssl_preread on; return "[$ssl_preread_server_name]"; }' % tls("closed.test")
    with Nginx(rig, http, stream) as n:
        for version in (V12, V13):
            c = context(rig, version)
            with wrap(c, n.port("x")) as sock:
                equal(get(sock)[1], b"page", "by its name, http")
            with wrap(c, n.port("x"), "two.test") as sock:
                equal(read_all(sock), b"two", "by its name, stream")
            with wrap(c, n.port("x"), "closed.test") as outer:
                come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
                inner, got = c.wrap_bio(come, go, server_hostname="two.test"), b""
                while True:
                    try:
                        got += inner.read(100) if inner.version() and inner.cipher() else inner.do_handshake() or b""
                        if got == b"two":
                            break
                    except ssl.SSLWantReadError:
                        if out := go.read():
                            outer.sendall(out)
                        come.write(outer.recv(65536))
            with wrap(c, n.port("j"), "closed.test") as sock:
                hello = client_hello(rig)
                for i in range(0, len(hello), 50):
                    sock.sendall(hello[i:i + 50])
                equal(read_all(sock), b"[one.test]", "a name inside of TLS, which comes in pieces")
            with wrap(c, n.port("j"), "closed.test") as sock:
                sock.sendall(b"no TLS at all")
                equal(read_all(sock), b"[]", "no TLS inside of TLS")
        n.all_closed()


def an_answer_before_the_request_is_complete_ends_in_order(rig):
    """The backend answers and reads no more; nginx does not keep such a connection."""
    def serve(sock):
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        over.wait(kit.PATIENCE)

    over = threading.Event()
    more = "location / { proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:%(back)d; }"
    with Backend(serve) as backend, Nginx(rig, pages(more), back=backend.port) as n:
        for version in (V12, V13):
            with wrap(context(rig, version), n.port("a")) as sock:
                sock.sendall(b"POST / HTTP/1.1\r\nHost: one.test\r\nContent-Length: 100000\r\n\r\n" + bytes(1000))
                equal(response(sock)[1], b"ok", "the answer")
                equal(read_all(sock), b"", "and its end")
        over.set()
        n.all_closed()


def what_is_copied_goes_where_https_says(rig):
    """WebDAV's Destination; and to a backend it goes as it came."""
    asked = []

    def serve(sock):
        asked.append(sock.recv(65536))
        sock.sendall(b"HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n")

    more = "root .; location /put/ { dav_methods PUT COPY; create_full_put_path on; } location /pass { proxy_pass http://127.0.0.1:%(back)d; }"
    with Backend(serve) as backend, Nginx(rig, pages(more), back=backend.port) as n:
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(b"content")
        curl(rig, n.port("a"), "/put/one", "-T", os.path.join(n.work, "file"))
        for way in ("--http1.1", "--http2"):
            to = "Destination: https://one.test:%d/put/two" % n.port("a")
            said = curl(rig, n.port("a"), "/put/one", way, "-i", "-X", "COPY", "-H", to)
            check(re.match(rb"HTTP/\S+ 20[14] ", said), "COPY: %r" % said)
            with open(os.path.join(n.work, "put/two"), "rb") as file:
                equal(file.read(), b"content", "what was copied")
            os.unlink(file.name)
            curl(rig, n.port("a"), "/pass", way, "-X", "COPY", "-H", to)
            check(to.lower().encode() in asked[-1].lower(), "what a backend is told: %r" % asked[-1])
        n.all_closed()


def who_goes_away_is_not_served_on(rig):
    """A backend that has not answered yet is told that the client has gone, in order or not."""
    def serve(sock):
        sock.recv(65536)
        asked.set()
        gone.append(sock.recv(1))

    more = "location / { proxy_pass http://127.0.0.1:%(back)d; }"
    with Backend(serve) as backend, Nginx(rig, pages(more), back=backend.port) as n:
        for version in (V12, V13):
            for how in ("end", "half", "reset"):
                asked, gone = threading.Event(), []
                sock = wrap(context(rig, version), n.port("a"))
                sock.sendall(CLOSE % b"/")
                check(asked.wait(kit.PATIENCE), "the backend is asked")
                if how == "end":
                    sock.close()
                elif how == "half":
                    raw = socket.socket(fileno=os.dup(sock.fileno()))
                    raw.shutdown(socket.SHUT_WR)
                    raw.close()
                else:
                    kit.reset(sock)
                    sock.close()
                wait_for(lambda: gone or backend.errors, "the backend is told, %s" % how)
                equal((gone, backend.errors), ([b""], []), "what it is told, %s" % how)
                sock.close()
        n.all_closed()


def an_upstream_of_streams_that_is_not_there_is_no_empty_answer(rig):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with Nginx(rig, stream=streams(), back=port) as n:
        for version in (V12, V13):
            with wrap(context(rig, version), n.port("s")) as sock:
                try:
                    read_all(sock)
                    raise kit.Failed("an upstream that is not there has ended in order")
                except ssl.SSLError as error:
                    check("ALERT" in str(error), "no alert: %s" % error)
        n.all_closed()


def a_log_of_everything_hurts_nobody(rig):
    """At level debug nginx tells of each event and timer whose it is, of the modules' own, too."""
    with Nginx(rig, pages("location / { return 200 x; }"), "server { listen 127.0.0.1:%%(s)d; %s return two; }" % tls("two.test"),
               main="error_log debug.log debug;") as n:
        before = n.worker()
        for version in (V12, V13):
            with wrap(context(rig, version), n.port("a")) as sock:
                equal(get(sock)[1], b"x", "the page")
            with wrap(context(rig, version), n.port("s"), "two.test") as sock:
                equal(read_all(sock), b"two", "the text")
        equal(n.worker(), before, "the worker")
        n.all_closed()
        with open(os.path.join(n.work, "debug.log"), encoding="utf-8", errors="replace") as file:
            check("event timer add: -1:" in file.read(), "a timer of the engine's in the log")


def what_is_upgraded_ends_in_order(rig):
    def serve(sock):
        upgrade(sock)
        sock.sendall(b"bye")

    with Backend(serve) as backend, Nginx(rig, pages(UP), up=backend.port) as n:
        for version in (V12, V13):
            with wrap(context(rig, version), n.port("a")) as sock:
                upgraded(sock)
                equal(read_all(sock), b"bye", "what came, and its end")
        n.all_closed()


def a_worker_waits_for_what_lingers(rig):
    """nginx has nothing left to wait for, but the last record is still being made."""
    with Nginx(rig, pages("location / { return 200 x; }")) as n:
        for _ in range(5):
            for version in (V12, V13):
                with wrap(context(rig, version), n.port("a")) as sock:
                    get(sock)
                    n.reload()
                    equal(read_all(sock), b"", "the end, in order")
                wait_for(lambda: len(n.workers()) == 1, "the worker before is gone")


def addresses_of_one_port_are_told_apart(rig):
    """All behind one socket, since one of them is a wildcard: each has its own certificate and pages."""
    server = "server { listen %s; %s location / { return 200 %s; } }"
    http = "".join(server % (listen, tls(name), name) for listen, name in (
        ("127.0.0.2:%%(a)d", "two.test"), ("%%(a)d http2", "one.test"), ("127.0.0.3:%%(a)d", "closed.test")))
    http += "".join(server % (listen, tls(name), name) for listen, name in (("[::1]:%%(b)d", "two.test"), ("[::]:%%(b)d ipv6only=on", "one.test")))
    with Nginx(rig, http.replace("%%", "%")) as n:
        c = context(rig)
        c.check_hostname = False
        for address, port, name in (("127.0.0.2", "a", "two.test"), ("127.0.0.1", "a", "one.test"), ("127.0.0.3", "a", "closed.test"), ("::1", "b", "two.test")):
            raw = socket.create_connection((address, n.port(port)), kit.PATIENCE)
            with c.wrap_socket(raw, server_hostname="any.test", suppress_ragged_eofs=False) as sock:
                equal(dict(pair[0] for pair in sock.getpeercert()["subject"])["commonName"], name, "certificate of " + address)
                equal(get(sock, host="any.test")[1], name.encode(), "page of " + address)
        n.all_closed()
