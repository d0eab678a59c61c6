# SPDX-License-Identifier: Apache-2.0
"""What is shown of nginx's modules: each function is a case, its name what it shows."""

import contextlib
import hashlib
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import threading

import rig as kit
from rig import Backend, Nginx, check, context, connect, curl, equal, get, read_all, response, run, tls, wait_for, wrap

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SHOW = """return 200 "$scheme|$https|$http2|$milgi_protocol|$milgi_cipher|$milgi_curve|$milgi_server_name|""" \
    """$milgi_alpn_protocol|$milgi_session_reused|$milgi_client_verify|$milgi_client_s_dn|$milgi_client_i_dn";"""


def shown(body):
    names = "scheme https http2 protocol cipher curve server_name alpn reused verify s_dn i_dn".split()
    return dict(zip(names, body.decode().split("|")))


def pages(more=""):
    return "server { listen 127.0.0.1:%%(a)d http2; server_name one.test; %s %s }" % (tls("one.test"), more)


# --- http ----------------------------------------------------------------------------------------------------------------

def pages_in_each_version_and_protocol(rig):
    with Nginx(rig, pages("location / { %s }" % SHOW)) as n:
        for version, args in (("TLSv1.3", ("--tlsv1.3",)), ("TLSv1.2", ("--tls-max", "1.2"))):
            for protocol, way in (("http/1.1", "--http1.1"), ("h2", "--http2")):
                says = shown(curl(rig, n.port("a"), "/", way, *args))
                equal(says["protocol"], version, "$milgi_protocol")
                equal(says["alpn"], protocol, "$milgi_alpn_protocol")
                equal((says["scheme"], says["https"]), ("https", "on"), "$scheme, $https")
                equal(says["http2"], "h2" if protocol == "h2" else "", "$http2")
                equal(says["server_name"], "one.test", "$milgi_server_name")
                equal(says["verify"], "NONE", "$milgi_client_verify")
                check(says["cipher"].startswith("TLS_") and says["curve"], "$milgi_cipher, $milgi_curve: %s" % says)
        n.all_closed()


def in_plain_http_nothing_is_said(rig):
    server = "server { listen 127.0.0.1:%%(p)d; location / { %s } }" % SHOW
    with Nginx(rig, pages("location / { %s }" % SHOW) + server) as n:
        with connect(n.port("p")) as sock:
            _, body = get(sock)
        equal(body, b"http" + b"|" * 11, "variables")


def redirects_of_its_own_are_to_https(rig):
    with Nginx(rig, pages("root .; location = /a { return 301 /b; } location = /elsewhere { return 301 http://x/y; }")) as n:
        os.mkdir(os.path.join(n.work, "dir"))
        for way in ("--http1.1", "--http2"):
            for path, to in (("/a", "https://one.test:%d/b" % n.port("a")), ("/dir", "https://one.test:%d/dir/" % n.port("a")),
                             ("/elsewhere", "http://x/y")):
                head = curl(rig, n.port("a"), path, way, "-I").decode().lower()
                equal(re.search(r"location: (\S+)", head)[1], to, "Location of " + path)


def servers_are_found_by_the_name_the_client_wants(rig):
    server = "server { listen 127.0.0.1:%%(a)d; server_name %s; %s location / { return 200 %s; } }"
    http = server % ("one.test", tls("one.test"), "one") + server % ("two.test *.two.test", tls("two.test"), "two")
    http += server % (r"~^re\d\.closed\.test$", tls("closed.test"), "closed")
    with Nginx(rig, http) as n:
        for name, subject, page in (("one.test", "one.test", b"one"), ("two.test", "two.test", b"two"),
                                    ("TWO.test", "two.test", b"two"), ("x.two.test", "two.test", b"two"), ("other.one.test", "one.test", b"one")):
            for version in (V12, V13):
                with wrap(context(rig, version), n.port("a"), name) as sock:
                    equal(dict(pair[0] for pair in sock.getpeercert()["subject"])["commonName"], subject, "certificate for " + name)
                    equal(get(sock, host=name)[1], page, "page of " + name)
        c = context(rig)
        c.check_hostname = False
        with c.wrap_socket(connect(n.port("a")), server_hostname="re7.closed.test") as sock:
            equal(get(sock, host="re7.closed.test")[1], b"closed", "page of a name that a regular expression fits")
        with c.wrap_socket(connect(n.port("a"))) as sock:
            equal(get(sock, host="two.test")[1], b"two", "page without a name in the handshake")
        n.all_closed()


def of_several_certificates_the_one_that_fits_is_taken(rig):
    more = "milgi_certificate two.test.pem; milgi_certificate_key two.test.key; location / { return 200 x; }"
    with Nginx(rig, pages(more)) as n:
        for name in ("one.test", "two.test"):
            with wrap(context(rig), n.port("a"), name) as sock:
                equal(dict(pair[0] for pair in sock.getpeercert()["subject"])["commonName"], name, "certificate")


def alpn_goes_by_listen(rig):
    http = pages("location / { %s }" % SHOW)
    http += "server { listen 127.0.0.1:%%(b)d; %s location / { %s } }" % (tls("one.test"), SHOW)
    with Nginx(rig, http) as n:
        for port, offered, chosen in (("a", ["h2", "http/1.1"], "h2"), ("a", ["http/1.1"], "http/1.1"), ("a", ["x", "http/1.0"], "http/1.0"),
                                      ("a", None, None), ("b", ["h2", "http/1.1"], "http/1.1"), ("a", ["h2"], "h2")):
            with wrap(context(rig, alpn=offered), n.port(port)) as sock:
                equal(sock.selected_alpn_protocol(), chosen, "of %s" % offered)
                if chosen != "h2":
                    equal(shown(get(sock)[1])["alpn"], chosen or "", "$milgi_alpn_protocol")
        for port, offered in (("a", ["x"]), ("b", ["h2"])):
            with contextlib.suppress(ssl.SSLError):
                with wrap(context(rig, alpn=offered), n.port(port)):
                    raise kit.Failed("a protocol that is not spoken was taken")


def clients_are_verified(rig):
    http = ""
    for port, how in (("a", "optional"), ("b", "on")):
        http += "server { listen 127.0.0.1:%%(%s)d; server_name one.test; %s location / { %s } }" % (
            port, tls("one.test", "milgi_verify_client %s; milgi_client_certificate ca.pem;" % how), SHOW)
    with Nginx(rig, http) as n:
        for version in (V12, V13):
            for port in "ab":
                with wrap(context(rig, version, cert="client"), n.port(port)) as sock:
                    says = shown(get(sock)[1])
                    equal(says["verify"], "SUCCESS", "$milgi_client_verify")
                    check("CN=client" in says["s_dn"] and "CN=ca" in says["i_dn"], "names: %s" % says)
                for cert in ("stranger", None):
                    try:
                        with wrap(context(rig, version, cert=cert), n.port(port)) as sock:
                            says = shown(get(sock)[1])
                            equal((port, cert, says["verify"]), ("a", None, "NONE"), "who was let in")
                    except ssl.SSLError as error:
                        check((port, cert) != ("a", None), "an optional certificate was demanded")
                        check("ALERT" in str(error), "no alert: %s" % error)
        n.all_closed()


def who_is_revoked_is_refused(rig):
    http = ""
    for port, crl in (("a", "good.crl"), ("b", "revoked.crl")):
        http += "server { listen 127.0.0.1:%%(%s)d; server_name one.test; %s location / { %s } }" % (
            port, tls("one.test", "milgi_verify_client on; milgi_client_certificate ca.pem; milgi_crl %s;" % crl), SHOW)
    with Nginx(rig, http) as n:
        for version in (V12, V13):
            with wrap(context(rig, version, cert="client"), n.port("a")) as sock:
                equal(shown(get(sock)[1])["verify"], "SUCCESS", "who is in no CRL")
            try:
                with wrap(context(rig, version, cert="client"), n.port("b")) as sock:
                    get(sock)
            except ssl.SSLError as error:
                check("REVOKED" in str(error), "another alert: %s" % error)
            else:
                raise kit.Failed("who is revoked was let in")
        n.all_closed()


def keys_are_opened_by_a_file_of_passphrases(rig):
    with open(os.path.join(rig.work, "the.words"), "w", encoding="ascii") as file:
        file.write("wheat\n\nsesame\r\nbarley")
    certificate = "milgi on; milgi_certificate one.test.pem; milgi_certificate_key locked.key; milgi_password_file the.words;"
    with Nginx(rig, "server { listen 127.0.0.1:%%(a)d; server_name one.test; %s location / { %s } }" % (certificate, SHOW)) as n:
        with wrap(context(rig), n.port("a")) as sock:
            check(shown(get(sock)[1]), "no answer")


def who_was_let_in_by_one_server_is_not_by_another(rig):
    server = "server { listen 127.0.0.1:%%(a)d http2; server_name %s; %s location / { return 200 %s; } }"
    http = server % ("one.test", tls("one.test"), "one")
    http += server % ("closed.test", tls("closed.test", "milgi_verify_client on; milgi_client_certificate ca.pem;"), "secret")
    with Nginx(rig, http) as n:
        for name in ("one.test", None):
            c = context(rig)
            c.check_hostname = False
            with c.wrap_socket(connect(n.port("a")), server_hostname=name) as sock:
                head, body = get(sock, host="closed.test")
                check(" 421 " in head and b"secret" not in body, "a server for verified clients: " + head)
        head = curl(rig, n.port("a"), "/", "--http2", "-i", "-H", "Host: closed.test")
        check(b" 421 " in head and b"secret" not in head, "with HTTP/2: %r" % head)
        with wrap(context(rig, cert="client"), n.port("a"), "closed.test") as sock:
            equal(get(sock, host="closed.test")[1], b"secret", "for who is one")
            equal(get(sock, host="one.test")[1], b"one", "who is known may go where nobody has to be")


def sessions_are_resumed_by_tickets(rig):
    http = pages("location / { %s }" % SHOW)
    http += "server { listen 127.0.0.1:%%(b)d; %s milgi_tickets off; location / { %s } }" % (tls("one.test"), SHOW)
    with Nginx(rig, http) as n:
        for version in (V12, V13):
            c = context(rig, version)
            for port in "ab":
                session = None
                for again in range(3):
                    with wrap(c, n.port(port), session=session) as sock:
                        says = shown(get(sock)[1])
                        equal(says["reused"], "r" if again and port == "a" else ".", "$milgi_session_reused")
                        equal(sock.session_reused, bool(again and port == "a"), "resumed")
                        session = sock.session if sock.session and sock.session.has_ticket else None
                    if again == 1 and port == "a":
                        n.reload()
        n.all_closed()


def keepalive_and_pipelining(rig):
    with Nginx(rig, pages("keepalive_requests 100000; location / { return 200 $uri; } location = /pass { proxy_pass http://127.0.0.1:%(a2)d/; }"
                          ) + "server { listen 127.0.0.1:%(a2)d; location / { return 200 passed; } }") as n:
        with wrap(context(rig), n.port("a")) as sock:
            for i in range(50):
                equal(get(sock, "/%d" % i)[1], b"/%d" % i, "request %d" % i)
            equal(get(sock, "/pass")[1], b"passed", "a request that is passed on")
            many = "".join("GET /%d HTTP/1.1\r\nHost: one.test\r\n%s\r\n" % (i, "Connection: close\r\n" if i == 199 else "") for i in range(200))
            sock.sendall(many.encode())
            bodies = re.findall(rb"\r\n\r\n(/\d+)", read_all(sock))
            equal(bodies, [b"/%d" % i for i in range(200)], "200 requests in one go, and an end in order")
        n.all_closed()


def sizes(rig):
    return (100 << 20,) if rig.full else (2 << 20,) if rig.slow else (10 << 20,)


def much_both_ways(rig):
    more = "root .; client_max_body_size 0; location /put/ { dav_methods PUT; create_full_put_path on; }"
    with Nginx(rig, pages(more + " location /pass/ { proxy_pass http://127.0.0.1:%(p)d/; }") +
               "server { listen 127.0.0.1:%(p)d; root .; client_max_body_size 0; location /put/ { dav_methods PUT; create_full_put_path on; } }") as n:
        for size in (0, 1, 16384, 16385, *sizes(rig)):
            data = os.urandom(size)
            with open(os.path.join(n.work, "file"), "wb") as file:
                file.write(data)
            for way in ("--http1.1", "--http2"):
                for path in ("", "/pass"):
                    got = curl(rig, n.port("a"), path + "/file", way)
                    equal(hashlib.sha256(got).digest(), hashlib.sha256(data).digest(), "%d bytes, %s%s" % (size, way, path))
                    curl(rig, n.port("a"), path + "/put/up", way, "-T", os.path.join(n.work, "file"))
                    with open(os.path.join(n.work, "put/up"), "rb") as file:
                        equal(hashlib.sha256(file.read()).digest(), hashlib.sha256(data).digest(), "%d bytes up" % size)
        n.all_closed()


def slow_readers_get_all_of_it(rig):
    size = sizes(rig)[0]
    data = os.urandom(size)
    with Nginx(rig, pages("root .;")) as n:
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(data)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", n.port("a")))
        raw.settimeout(kit.PATIENCE)
        with context(rig).wrap_socket(raw, server_hostname="one.test", suppress_ragged_eofs=False) as slow:
            slow.sendall(b"GET /file HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
            head = slow.recv(100)
            for _ in range(20):  # meanwhile others are served
                with wrap(context(rig), n.port("a")) as sock:
                    equal(get(sock, "/file", more="Range: bytes=0-9\r\n")[1], data[:10], "another's")
            equal((head + read_all(slow)).split(b"\r\n\r\n", 1)[1], data, "all, and its end in order")
        n.all_closed()


def what_has_no_end_is_not_ended_in_order(rig):
    def serve(sock):
        sock.recv(65536)
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\npart")
        ask.wait(kit.PATIENCE)
        kit.reset(sock)

    ask = threading.Event()
    with Backend(serve) as backend, Nginx(rig, pages("location / { proxy_buffering off; proxy_http_version 1.0; proxy_pass http://127.0.0.1:%(back)d; }"),
                                          back=backend.port) as n:
        ask.clear()
        with wrap(context(rig), n.port("a")) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\nHost: one.test\r\n\r\n")
            got = b""
            while b"part" not in got:
                got += sock.recv(65536)
            ask.set()
            try:
                read_all(sock)
                raise kit.Failed("a response that was cut off ended with close_notify")
            except ssl.SSLError as error:
                check("ALERT" in str(error), "no alert: %s" % error)
        n.all_closed()


# --- stream --------------------------------------------------------------------------------------------------------------

def streams(more="", proxy="proxy_half_close on;"):
    return "server { listen 127.0.0.1:%%(s)d; %s %s proxy_pass 127.0.0.1:%%(back)d; %s }" % (tls("one.test"), more, proxy)


def exchange(sock, data):
    """Sends, and reads the echo meanwhile; in one thread, since two must not use one connection of OpenSSL's."""
    rest, got, left = memoryview(data), [], len(data)
    sock.setblocking(False)
    while left:
        moved = False
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = sock.send(rest[:65536]) if rest else 0
            rest, moved = rest[sent:], sent > 0
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            piece = sock.recv(65536)
            check(piece, "the echo ends early")
            got.append(piece)
            left -= len(piece)
            moved = True
        if not moved:
            check(any(select.select([sock], [sock] if rest else [], [], kit.PATIENCE)), "nothing moves")
    sock.settimeout(kit.PATIENCE)
    return b"".join(got)


class Memory:
    """A client that does its own records, so that one direction can end before the other."""

    def __init__(self, rig, port, version, ours=None, name="one.test"):
        self.sock, self.come, self.go = connect(port), ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (ours or context(rig, version)).wrap_bio(self.come, self.go, server_hostname=name)
        self.do(self.tls.do_handshake)

    def flush(self):
        self.sock.sendall(self.go.read())

    def do(self, call, *args):
        while True:
            try:
                rv = call(*args)
                self.flush()
                return rv
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                check(data, "the connection was cut")
                self.come.write(data)

    def end(self):
        """close_notify, and what comes is still read."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def rest(self):
        got = b""
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while piece := self.do(self.tls.read, 65536):
                got += piece
        return got


def streams_both_ways(rig):
    data = os.urandom(sizes(rig)[0] if rig.full else sizes(rig)[0] // 4)
    with Backend(kit.echo) as backend, Nginx(rig, stream=streams(), back=backend.port) as n:
        for version in (V12, V13):
            with wrap(context(rig, version), n.port("s")) as sock:
                equal(hashlib.sha256(exchange(sock, data)).digest(), hashlib.sha256(data).digest(), "echo")
        n.all_closed()


def the_backend_ends_first(rig):
    def serve(sock):
        sock.sendall(b"all there is")
        sock.shutdown(socket.SHUT_WR)
        heard.append(read_all(sock))

    heard = []
    with Backend(serve) as backend, Nginx(rig, stream=streams(), back=backend.port) as n:
        for version in (V12, V13):
            with wrap(context(rig, version), n.port("s")) as sock:
                equal(read_all(sock), b"all there is", "what came, with an end in order")
                if version == V13:  # OpenSSL's TLS 1.2 answers close_notify
                    sock.sendall(b"more")
        wait_for(lambda: len(heard) == 2, "the backend has heard")
        equal(heard[1], b"more", "what the client said behind that")
        n.all_closed()


def the_client_ends_first(rig):
    def serve(sock):
        heard = read_all(sock)
        for i in range(100):
            sock.sendall(hashlib.sha256(heard + b"%d" % i).hexdigest().encode() * 100)

    with Backend(serve) as backend, Nginx(rig, stream=streams(), back=backend.port) as n:
        for version in (V12, V13):
            m = Memory(rig, n.port("s"), version)
            m.do(m.tls.write, b"asked")
            m.end()
            want = b"".join(hashlib.sha256(b"asked%d" % i).hexdigest().encode() * 100 for i in range(100))
            equal(m.rest(), want, "the answer to who has ended, %s" % version)
            m.sock.close()
        n.all_closed()


def stream_variables_alpn_and_clients(rig):
    more = "milgi_verify_client optional; milgi_client_certificate ca.pem; milgi_alpn mqtt x;"
    server = 'server { listen 127.0.0.1:%%(s)d; %s %s return "$milgi_protocol,$milgi_cipher,$milgi_server_name,$milgi_alpn_protocol,$milgi_client_verify,$milgi_client_s_dn"; }'
    with Nginx(rig, stream=server % (tls("one.test"), more)) as n:
        for version, text in ((V12, "TLSv1.2"), (V13, "TLSv1.3")):
            with wrap(context(rig, version, ["x"], "client"), n.port("s")) as sock:
                said = read_all(sock).decode()
                check(re.fullmatch(text + r",TLS_\w+,one.test,x,SUCCESS,.*CN=client.*", said), said)
            with wrap(context(rig, version), n.port("s")) as sock:
                check(re.fullmatch(text + r",TLS_\w+,one.test,,NONE,", read_all(sock).decode()), "without a certificate")
        with contextlib.suppress(ssl.SSLError):
            with wrap(context(rig, alpn=["y"]), n.port("s")):
                raise kit.Failed("a protocol that is not spoken was taken")
        n.all_closed()


# --- what goes wrong -----------------------------------------------------------------------------------------------------

def client_hello(rig):
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context(rig).wrap_bio(come, go, server_hostname="one.test").do_handshake()
    return go.read()


def bad_input_hurts_nobody(rig):
    hello = client_hello(rig)
    bad = [b"", b"\x16", b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n", bytes(200), os.urandom(5000), hello[:-1], hello[:50], hello + b"x" * 100,
           hello + hello, hello[:9] + b"\xff" + hello[10:], b"\x15\3\3\0\2\2\x28", b"\x16\3\1\xff\xff" + bytes(70000)]
    with Backend(kit.echo) as backend, Nginx(rig, pages("location / { return 200 x; }"), streams(), back=backend.port) as n:
        for port in (n.port("a"), n.port("s")):
            for data in bad:
                for how in ("end", "reset"):
                    with connect(port) as sock, contextlib.suppress(ConnectionError):
                        sock.sendall(data)
                        if how == "end":
                            sock.shutdown(socket.SHUT_WR)
                            read_all(sock)
                        else:
                            kit.reset(sock)
        with wrap(context(rig), n.port("a")) as sock:
            equal(get(sock)[1], b"x", "somebody else")
            sock.sendall(b"nonsense\r\n\r\n")
            check(b" 400 " in read_all(sock), "nonsense in TLS")
        n.all_closed()
        check("milgi: handshake failed" in n.errors(), "no reason in the log")


def who_goes_away_in_the_middle_leaves_nothing(rig):
    hello = client_hello(rig)
    count = 1000 if rig.full else 40 if rig.valgrind else 200
    with Backend(kit.echo) as backend, Nginx(rig, pages("root .;"), streams(), back=backend.port) as n:
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(bytes(4 << 20))
        for i in range(count):
            with connect(n.port("a" if i % 2 else "s")) as sock:
                sock.sendall(hello)
                if i % 3 == 0:
                    sock.recv(1)
                kit.reset(sock)
        for i in range(count // 10):
            for version in (V12, V13):
                sock = wrap(context(rig, version), n.port("a"))
                sock.sendall(b"GET /file HTTP/1.1\r\nHost: one.test\r\n\r\n" * (1 + i % 3))
                sock.recv(1 + i * 1000)
                kit.reset(sock)
                sock.close()
        n.all_closed()
        with wrap(context(rig), n.port("a")) as sock:
            equal(len(get(sock, "/file")[1]), 4 << 20, "somebody else's")


def wrong_settings_are_refused(rig):
    server = "server { listen 127.0.0.1:%%(a)d %s; %s }"
    for http, why in ((server % ("", "milgi on;"), '"milgi on" needs a "milgi_certificate"'),
                      (server % ("", "milgi on; milgi_certificate one.test.pem;"), 'needs a "milgi_certificate_key"'),
                      (server % ("", "milgi on; milgi_certificate one.test.pem; milgi_certificate_key two.test.key;"), "two.test.key"),
                      (server % ("", "milgi on; milgi_certificate none.pem; milgi_certificate_key one.test.key;"), "none.pem"),
                      (server % ("", tls("one.test", "milgi_policy nonsense;")), "nonsense"),
                      (server % ("", "milgi on; milgi_certificate one.test.pem; milgi_certificate_key locked.key;"), "is encrypted"),
                      (server % ("", "milgi on; milgi_certificate one.test.pem; milgi_certificate_key locked.key; milgi_password_file ca.pem;"),
                       "not with this passphrase"),
                      (server % ("", "milgi on; milgi_certificate one.test.pem; milgi_certificate_key locked.key; milgi_password_file none;"),
                       "milgi_password_file"),
                      (server % ("", tls("one.test", "milgi_verify_client on; milgi_client_certificate ca.pem; milgi_crl ca.pem;")), "milgi_crl"),
                      (server % ("", tls("one.test", "milgi_crl good.crl;")), 'needs "milgi_verify_client"'),
                      (server % ("", tls("one.test", "milgi_verify_client on;")), 'needs a "milgi_client_certificate"'),
                      (server % ("", tls("one.test", "milgi_verify_client maybe;")), "maybe"),
                      (server % ("ssl", tls("one.test", "ssl_certificate one.test.pem; ssl_certificate_key one.test.key;")), 'neither "ssl"'),
                      (server % ("proxy_protocol", tls("one.test")), 'nor "proxy_protocol"'),
                      (server % ("", "server_name x;") + server % ("", tls("one.test")), "on for one server")):
        try:
            Nginx(rig, http).stop()
        except kit.Failed as failed:
            check(why in str(failed), "%s: %s" % (http, failed))
        else:
            raise kit.Failed("this was taken: " + http)


# --- a worker's life -----------------------------------------------------------------------------------------------------

def reloads_lose_nobody(rig):
    """Connections one after the other, by several clients, while the configuration is read again and again."""
    over, failures, count = threading.Event(), [], [0]

    def client(port, version):
        c = context(rig, version)
        while not over.is_set():
            try:
                with wrap(c, port) as sock:
                    equal(get(sock, "/", more="Connection: close\r\n")[1], b"x" * 1000, "body")
                    equal(sock.recv(1), b"", "end")
                count[0] += 1
            except (OSError, kit.Failed) as error:
                failures.append(error)

    with Nginx(rig, pages("location / { return 200 %s; }" % ("x" * 1000))) as n:
        threads = [threading.Thread(target=client, args=(n.port("a"), v)) for v in (V12, V13, V12, V13)]
        for t in threads:
            t.start()
        try:
            for i in range(10 if rig.full else 3):
                wait_for(lambda: count[0] > 30 * (i + 1) or failures, "clients are served")
                n.reload()
        finally:
            over.set()
            for t in threads:
                t.join()
        check(not failures, "a client failed: %r" % failures[:3])
        wait_for(lambda: len(n.workers()) == 1, "the workers before are gone")


def who_is_served_is_served_to_the_end(rig):
    size = 4 << 20
    for way in (signal.SIGHUP, signal.SIGQUIT):
        with Nginx(rig, pages("root .;")) as n:
            with open(os.path.join(n.work, "file"), "wb") as file:
                file.write(bytes(size))
            with wrap(context(rig), n.port("a")) as idle, wrap(context(rig), n.port("a")) as sock:
                get(idle, "/none")
                sock.sendall(b"GET /file HTTP/1.1\r\nHost: one.test\r\n\r\n")
                got = sock.recv(1000)
                if way == signal.SIGHUP:
                    n.reload()
                else:
                    n.signal(way)
                equal(read_all(idle), b"", "who is idle is told so in order")
                got += read_all(sock)
                equal(len(got.split(b"\r\n\r\n", 1)[1]), size, "bytes")
            if way == signal.SIGHUP:
                wait_for(lambda: len(n.workers()) == 1, "the worker before is gone")


def many_at_once(rig):
    count = 1000 if rig.full else 100
    with Backend(kit.echo) as backend, Nginx(rig, pages("location / { return 200 x; }"), streams(), back=backend.port) as n:
        socks = []
        for i in range(count):
            socks.append(wrap(context(rig, V12 if i % 2 else V13), n.port("s" if i % 4 == 3 else "a")))
        for i, sock in enumerate(socks):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
        for i, sock in enumerate(socks):
            if i % 4 == 3:
                equal(sock.recv(5), b"GET /", "echo")
            else:
                equal(response(sock)[1], b"x", "body")
        for sock in socks:
            sock.close()
        n.all_closed()


def http2_frames(sock, until):
    """What comes, to the frame of type |until| or the end: types, and whether there was an end in order."""
    data, types = b"", []
    while True:
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            types.append(data[3])
            data = data[9 + int.from_bytes(data[:3], "big"):]
            if types[-1] == until:
                return types
        piece = sock.recv(65536)
        if not piece:
            return types
        data += piece


def http2_ends_in_order(rig):
    """GOAWAY, then close_notify, when a worker ends: with nothing to do, and behind the last stream."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    field = b"\x82\x87\x84\x41\x08one.test"  # GET, https, /, :authority
    request = len(field).to_bytes(3, "big") + bytes([1, 5, 0, 0, 0, 1]) + field
    with Backend(lambda sock: (sock.recv(65536), ask.wait(kit.PATIENCE), sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nx"))) as backend:
        for busy in (False, True):
            ask = threading.Event()
            with Nginx(rig, pages("location / { proxy_pass http://127.0.0.1:%(back)d; }"), back=backend.port) as n:
                with wrap(context(rig, alpn=["h2"]), n.port("a")) as sock:
                    sock.sendall(preface + (request if busy else b""))
                    http2_frames(sock, 4)
                    n.signal(signal.SIGQUIT)
                    if busy:
                        equal(http2_frames(sock, 7)[-1:], [7], "GOAWAY while a stream is served")
                        ask.set()
                    types = http2_frames(sock, None)  # fails without close_notify
                    equal(types[-1:], [0] if busy else [7], "the last frame")


def upgrades_and_continues(rig):
    def serve(sock):
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        sock.sendall(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        kit.echo(sock)

    more = """location / { proxy_pass http://127.0.0.1:%(back)d; proxy_http_version 1.1; proxy_buffer_size 256k; proxy_buffers 8 256k;
              proxy_set_header Connection upgrade; proxy_set_header Upgrade x; }
              location /put/ { root .; dav_methods PUT; create_full_put_path on; client_max_body_size 0; }"""
    data = os.urandom(3 << 20)
    with Backend(serve) as backend, Nginx(rig, pages(more), back=backend.port) as n:
        with wrap(context(rig), n.port("a")) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1)
            check(b" 101 " in head, "upgraded: %r" % head)
            equal(hashlib.sha256(exchange(sock, data)).digest(), hashlib.sha256(data).digest(), "echo")
        with wrap(context(rig), n.port("a")) as sock:
            sock.sendall(b"PUT /put/x HTTP/1.1\r\nHost: one.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            check(b" 100 " in sock.recv(100), "100 Continue")
            sock.sendall(b"hello")
            check(" 201 " in response(sock)[0], "what was put")
        n.all_closed()


def a_rate_that_is_limited_loses_nothing(rig):
    with Nginx(rig, pages("root .; limit_rate_after 300k; limit_rate 2m; sendfile on; sendfile_max_chunk 100k; output_buffers 1 7k;")) as n:
        data = os.urandom(1 << 20)
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(data)
        for way in ("--http1.1", "--http2"):
            equal(hashlib.sha256(curl(rig, n.port("a"), "/file", way)).digest(), hashlib.sha256(data).digest(), way)


def without_connections_left_some_wait_and_nobody_is_lost(rig):
    """worker_connections are two for each: who finds none is turned away, and there is room again later."""
    with Nginx(rig, pages("location / { return 200 x; }"), connections=40) as n:
        held, refused = [], 0
        for _ in range(60):
            try:
                sock = wrap(context(rig), n.port("a"))
                sock.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\nX: ")  # not idle, so that it is not closed for others
                held.append(sock)
            except OSError:
                refused += 1
        check(refused and len(held) >= 10, "%d served, %d turned away" % (len(held), refused))
        for sock in held:
            sock.close()
        n.all_closed()
        with wrap(context(rig), n.port("a")) as sock:
            equal(get(sock)[1], b"x", "there is room again")
        n.allowed = ("worker_connections are not enough",)


def http2_by_nghttp(rig):
    if subprocess.run(["which", "nghttp"], stdout=subprocess.DEVNULL, check=False).returncode:
        return
    with Nginx(rig, pages("root .;")) as n:
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(os.urandom(300000))
        uri = "https://127.0.0.1:%d/file" % n.port("a")
        said = run("nghttp", "-nsy", "-m20", uri).decode()
        equal(len(re.findall(r" 200 +29[23]K", said)), 20, "streams at once, in: " + said)
        n.all_closed()


def nothing_of_the_crypto_library_is_seen_from_outside(rig):
    for name in ("ngx_milgi_module.so", "ngx_stream_milgi_module.so"):
        path = os.path.join(rig.modules, name)
        defined = re.findall(r" [A-Z] (\S+)", run("nm", "-D", "--defined-only", path).decode())
        equal([s for s in defined if not re.fullmatch(r"ngx_\w*modules?|ngx_module_(names|order)|milgi__ngx_\w+", s)], [], name + " defines")
        wanted = re.findall(r" U (\S+)", run("nm", "-D", "--undefined-only", path).decode())
        equal([s for s in wanted if re.match(r"(SSL|EVP|BIO|RSA|EC|X509|CRYPTO|OPENSSL|RAND|AES)_", s)], [], name + " needs")
