# SPDX-License-Identifier: Apache-2.0
"""What is shown of nginx's modules where somebody is slow, memory is short, or a worker ends in the middle."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import rig as kit
from cases import V12, V13, Memory, client_hello, exchange, pages, sizes, streams
from rig import Backend, Nginx, check, connect, context, curl, equal, get, read_all, response, tls, wait_for, wrap


def digest(data):
    return hashlib.sha256(data).digest()


def narrow(rig, port, version=None):
    """A connection whose reader's kernel holds little."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", port))
    raw.settimeout(kit.PATIENCE)
    return context(rig, version).wrap_socket(raw, server_hostname="one.test", suppress_ragged_eofs=False)


def in_threads(count, call):
    """call(0) ... at the same time; whatever fails, fails here."""
    failures = []

    def one(i):
        try:
            call(i)
        except Exception as error:
            failures.append((i, error))

    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(kit.PATIENCE)
        check(not thread.is_alive(), "somebody waits in vain")
    check(not failures, "%d of %d failed: %r" % (len(failures), count, failures[:3]))


def exactly(sock, size):
    got = []
    while size:
        got.append(sock.recv(min(size, 65536)))
        check(got[-1], "it ends early")
        size -= len(got[-1])
    return b"".join(got)


def upgraded(sock):
    """From here on |sock| is no HTTP any more."""
    sock.sendall(b"GET /up HTTP/1.1\r\nHost: one.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(1)
    check(b" 101 " in got, "upgraded: %r" % got)


def upgrade(sock):
    """A backend's end of that."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(65536)
    sock.sendall(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")


UP = """location /up { proxy_pass http://127.0.0.1:%(up)d; proxy_http_version 1.1; proxy_buffer_size 4m; proxy_buffers 8 4m;
        proxy_busy_buffers_size 8m; proxy_set_header Connection upgrade; proxy_set_header Upgrade x; } """


def who_finds_no_room_is_woken(rig):
    """More in one call than may be on its way: what nginx sends outside of chains, where it asks c->write before."""
    data = os.urandom(sizes(rig)[0] // 2)

    def serve(sock):
        upgrade(sock)
        sock.sendall(data)
        sock.recv(1)

    with Backend(serve) as backend, Nginx(rig, pages(UP), up=backend.port) as n:
        for version in (V12, V13):
            with narrow(rig, n.port("a"), version) as sock:
                upgraded(sock)
                equal(digest(exactly(sock, len(data))), digest(data), "what the backend has sent")
                sock.sendall(b"x")
        n.all_closed()


def with_little_memory_all_arrives(rig):
    """A worker's engine has a megabyte for many connections whose peers read slowly, write slowly, and all at once."""
    size = sizes(rig)[0] // 50
    data = os.urandom(size)
    more = UP + "root .; client_max_body_size 0; output_buffers 2 512k; location /put/ { dav_methods PUT; create_full_put_path on; }"
    main = "milgi_device %s; %s milgi_memory 1m;" % (rig.device, rig.records)
    with Backend(kit.echo) as backend, Backend(lambda sock: (upgrade(sock), kit.echo(sock))) as up, \
            Nginx(rig, pages(more), streams(), main=main, back=backend.port, up=up.port) as n:
        with open(os.path.join(n.work, "file"), "wb") as file:
            file.write(data)

        def one(i):
            how, version = i % 5, V12 if i // 5 % 2 else V13
            if how == 0:
                with narrow(rig, n.port("a"), version) as sock:
                    sock.sendall(b"GET /file HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
                    equal(digest(read_all(sock).split(b"\r\n\r\n", 1)[1]), digest(data), "a page")
            elif how == 1:
                with wrap(context(rig, version), n.port("s")) as sock:
                    equal(digest(exchange(sock, data)), digest(data), "an echo")
            elif how == 2:
                with wrap(context(rig, version), n.port("a")) as sock:
                    sock.sendall(b"PUT /put/%d HTTP/1.1\r\nHost: one.test\r\nContent-Length: %d\r\n\r\n" % (i, size))
                    sock.sendall(data)
                    check(" 201 " in response(sock)[0], "what was put")
                with open(os.path.join(n.work, "put/%d" % i), "rb") as file:
                    equal(digest(file.read()), digest(data), "what was put")
            elif how == 3:
                with wrap(context(rig, version), n.port("a")) as sock:
                    upgraded(sock)
                    equal(digest(exchange(sock, data)), digest(data), "an upgraded echo")
            else:
                equal(digest(curl(rig, n.port("a"), "/file", "--http2")), digest(data), "a page by HTTP/2")

        try:
            in_threads(200 if rig.full else 100, one)
        except kit.Failed as failed:
            raise kit.Failed("%s; in the log: %s" % (failed, [line for line in n.errors().splitlines() if "failed" in line and "without close_notify" not in line][-3:])) from None
        n.all_closed()


def slow_writers_are_waited_for(rig):
    """Handshake and request a few bytes at a time, and a body in small records; others are served meanwhile."""
    body = os.urandom(40000)
    more = "root .; location /put/ { dav_methods PUT; create_full_put_path on; } location = /x { return 200 x; }"
    with Backend(kit.echo) as backend, Nginx(rig, pages(more), streams(), back=backend.port) as n:
        for version in (V12, V13):
            come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
            t, sock = context(rig, version).wrap_bio(come, go, server_hostname="one.test"), connect(n.port("a"))

            def trickle(step):
                out = go.read()
                for i in range(0, len(out), step):
                    sock.sendall(out[i:i + step])

            while True:
                try:
                    t.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    trickle(7)
                    come.write(sock.recv(65536))
            t.write(b"PUT /put/slow HTTP/1.1\r\nHost: one.test\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
            trickle(3)
            for i in range(0, len(body), 1000):
                t.write(body[i:i + 1000])
                trickle(600)
            with wrap(context(rig), n.port("a")) as other:
                equal(get(other, "/x")[1], b"x", "another's")
            got = b""
            while True:
                try:
                    piece = t.read(65536)
                    if not piece:
                        break
                    got += piece
                except ssl.SSLWantReadError:
                    data = sock.recv(65536)
                    check(data, "no end in order")
                    come.write(data)
                except ssl.SSLZeroReturnError:
                    break
            check(b" 201 " in got or b" 204 " in got, "the answer: %r" % got)
            with open(os.path.join(n.work, "put/slow"), "rb") as file:
                equal(digest(file.read()), digest(body), "what was put")
            sock.close()
        n.all_closed()


def slow_readers_of_streams_get_all_of_it(rig):
    data = os.urandom(sizes(rig)[0] // 4)

    def serve(sock):
        sock.sendall(data)

    with Backend(serve) as backend, Nginx(rig, stream=streams(), back=backend.port) as n:
        for version in (V12, V13):
            with narrow(rig, n.port("s"), version) as sock:
                equal(digest(read_all(sock)), digest(data), "all, and its end in order")
        n.all_closed()


def an_answer_of_streams_is_given_once(rig):
    """What "return" has for a client that does not read yet is not begun again by what the client says."""
    text = "".join("%07d\n" % i for i in range(500))
    http = 'map $remote_addr $a { default "%s"; }' % text
    server = http + 'server { listen 127.0.0.1:%%(s)d; %s return "%s"; }' % (tls("one.test"), "$a" * 1500)
    with Nginx(rig, stream=server) as n:
        for version in (V12, V13):
            with narrow(rig, n.port("s"), version) as sock:
                got = sock.recv(1)
                for _ in range(5):
                    sock.sendall(b"and?")
                    got += sock.recv(1)
                equal(digest(got + read_all(sock)), digest(text.encode() * 1500), "the answer")
        n.all_closed()


# --- a worker's life -----------------------------------------------------------------------------------------------------

def ends_of_workers_with_ops_in_flight(rig):
    """Handshakes are on their way, and records: who is told to end in time serves them; who is told to end at once, ends."""
    size = 8 << 20
    hello = client_hello(rig)
    for way in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        with Nginx(rig, pages("root .;"), main="milgi_device %s; %s worker_shutdown_timeout 20s;" % (rig.device, rig.records)) as n:
            with open(os.path.join(n.work, "file"), "wb") as file:
                file.write(bytes(size))
            reading = []
            for version in (V12, V13):
                sock = wrap(context(rig, version), n.port("a"))
                sock.sendall(b"GET /file HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
                sock.recv(1)
                reading.append(sock)
            begun = [connect(n.port("a")) for _ in range(100)]
            for sock in begun:
                sock.sendall(hello)
            wait_for(lambda: n.count() >= n.descriptors + 102, "they are accepted")
            if way == signal.SIGHUP:
                n.reload()
            else:
                n.signal(way)
            for sock in reading:
                if way == signal.SIGTERM:
                    with contextlib.suppress(OSError):
                        read_all(sock)
                else:
                    check(len(read_all(sock)) > size, "what was asked for before")
                sock.close()
            for i, sock in enumerate(begun):
                if way == signal.SIGTERM:
                    with contextlib.suppress(OSError):
                        read_all(sock)
                elif i % 2:
                    check(sock.recv(1) == b"\x16", "an answer to a ClientHello that was there before")
                sock.close()
            if way == signal.SIGHUP:
                wait_for(lambda: len(n.workers()) == 1, "the worker before is gone")
            n.process.wait(kit.PATIENCE) if way == signal.SIGTERM else None


def what_cannot_be_is_found_before_workers_go(rig):
    """Settings with which no worker could live are refused, and who serves goes on."""
    with Nginx(rig, pages("location / { return 200 x; }")) as n:
        for main, why in (("milgi_device nonsense;", "nonsense"), ("milgi_device pool:0;", "pool:0"), ("milgi_memory 10k;", "milgi_memory"),
                          ("milgi_device cpu; milgi_device chaos:x=1;", "chaos:x=1"), ("milgi_device pool:1;" * 20, "milgi_device pool:1")):
            n.main = main
            n.write()
            done = subprocess.run([rig.nginx, "-p", n.work, "-c", "nginx.conf", "-t"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  check=False, cwd=n.work, env=rig.environment)
            check(done.returncode and why in done.stdout.decode(), "nginx -t with %s: %s" % (main, done.stdout.decode()))
            before = n.worker()
            n.signal(signal.SIGHUP)
            wait_for(lambda: n.errors().count("[emerg]") and why in n.errors(), "it is refused")
            with wrap(context(rig), n.port("a")) as sock:
                equal(get(sock)[1], b"x", "the page, still")
            equal(n.worker(), before, "the worker")
        n.allowed = ("milgi_device", "milgi_memory")
        n.main = ""
        n.write()
        n.reload()
        with wrap(context(rig), n.port("a")) as sock:
            equal(get(sock)[1], b"x", "the page")


def the_example_runs(rig):
    """A page, who is a member and who is not, a slow reader, and an echo to who has ended already."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            ports.append(sock.getsockname()[1])
    run = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "examples/nginx/run")
    example = subprocess.Popen([run, rig.modules, *map(str, ports)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=rig.environment)
    try:
        work = example.stdout.readline().strip()
        ready = 0
        for line in example.stderr:
            ready += "is ready" in line
            if ready == 2:
                break
        threading.Thread(target=example.stderr.read, daemon=True).start()
        wait_for(lambda: os.path.exists(os.path.join(work, "echo")), "the backend listens")
        ours = ssl.create_default_context(cafile=os.path.join(work, "localhost.pem"))
        with ours.wrap_socket(connect(ports[0]), server_hostname="localhost") as sock:
            check(get(sock, host="localhost")[1].startswith(b"TLSv1.3, "), "the page")
            check(" 421 " in get(sock, host="members.localhost")[0], "a member, who is none")
        data = os.urandom(3 << 20)
        with open(os.path.join(work, "file"), "wb") as file:
            file.write(data)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", ports[0]))
        with ours.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as sock:
            sock.sendall(b"GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            equal(digest(read_all(sock).split(b"\r\n\r\n", 1)[1]), digest(data), "what a slow reader gets")
        ours.load_cert_chain(os.path.join(work, "localhost.pem"), os.path.join(work, "localhost.key"))
        with ours.wrap_socket(connect(ports[0]), server_hostname="members.localhost") as sock:
            equal(get(sock, host="members.localhost")[1], b"Hello, CN=localhost\n", "a member's page")
        ended = Memory(rig, ports[1], V13, ours, "localhost")
        ended.do(ended.tls.write, data[:50000])
        ended.end()
        equal(digest(ended.rest()), digest(data[:50000]), "the echo to who has ended")
        ended.sock.close()
    finally:
        example.terminate()
        example.wait(kit.PATIENCE)
