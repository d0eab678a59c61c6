# SPDX-License-Identifier: Apache-2.0
"""Limits, timeouts, alerts on broken connections, and the end of the proxy."""

import os
import re
import resource
import signal
import socket
import ssl
import struct
import threading
import time

from kit import Client, Failure, check, cpu_of, descriptors_of, is_at_rest, limit, read_all, until

from cases.relay import echo

GET = "GET / HTTP/1.1\nHost: localhost\n\n"


def test_connections_beyond_the_limit_wait(world):
    proxy = world.proxy("--max-conns", "2")
    first, second = world.client(proxy), world.client(proxy)
    third = world.raw(proxy)
    third.settimeout(0.7)
    context = ssl.create_default_context(cafile=world.pki.path("ca"))
    try:
        context.wrap_socket(third, server_hostname="localhost", do_handshake_on_connect=True)
    except TimeoutError:
        pass
    else:
        raise Failure("a third connection was served")
    for client in (first, second):
        check(client.ask(GET)[0] == 200, "the others were not served")
    first.close()
    second.close()
    check(world.client(proxy).ask(GET)[0] == 200, "there is room again, but nobody was let in")


def test_descriptors_that_run_out_are_waited_for(world):
    proxy = world.proxy("--max-conns", "1000", files=90)
    check("descriptors" in proxy.err(), "the limit is not told")
    clients = []
    for _ in range(20):
        clients.append(world.client(proxy))
    waiting = [world.raw(proxy) for _ in range(60)]
    check(clients[0].ask(GET)[0] == 200, "the proxy stopped serving")
    for sock in waiting:
        sock.close()
    for client in clients:
        client.close()
    check(world.client(proxy).ask(GET)[0] == 200, "nobody is let in any more")


def test_nobody_is_cut_when_descriptors_are_few(world):
    backend = world.backend(echo)
    for arguments in (["--max-conns", "100"], [], ["--workers", "2"]):
        proxy = world.proxy("--backend", backend.address, *arguments, files=40)
        check("allows for" in proxy.err() and "ulimit -n" in proxy.err(), f"the limit is not told: {proxy.err()}")
        results = []

        def one():
            try:
                client = Client(proxy.port, world.pki)
                client.send(b"there and back")
                time.sleep(0.2)
                results.append(client.read())
                client.close()
            except (OSError, Failure) as error:
                results.append(error)
        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(results == [b"there and back"] * 20, f"{arguments}: {[r for r in results if r != b'there and back']} {proxy.err()}")
        check(proxy.stop() == 0, proxy.err())


def test_who_comes_when_descriptors_have_run_out_waits(world):
    backend = world.backend(echo)
    for arguments in ([], ["--accept-proxy"], ["--listen", "unix:" + os.path.join(world.work, "full.socket")]):
        proxy = world.proxy("--backend", backend.address, *arguments)
        before = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (len(descriptors_of(proxy)) + 2, before[1]))
        results, threads = [], []

        def one():
            try:
                sock = socket.create_connection(("127.0.0.1", proxy.port), limit())
                sock.sendall(b"PROXY UNKNOWN\r\n" if "--accept-proxy" in arguments else b"")
                context = ssl.create_default_context(cafile=world.pki.path("ca"))
                tls = context.wrap_socket(sock, server_hostname="localhost")
                tls.sendall(b"there and back")
                results.append(tls.recv(100))
                time.sleep(0.3)
                tls.close()
            except OSError as error:
                results.append(error)
        for _ in range(12):
            threads.append(threading.Thread(target=one))
            threads[-1].start()
        until(lambda: "connections have to wait" in proxy.err(), "that there is no descriptor is not told")
        time.sleep(0.5)
        spent = cpu_of(proxy)
        time.sleep(0.5)
        check(cpu_of(proxy) - spent < 0.1, "it waits busily")
        check(not [r for r in results if r != b"there and back"], f"{arguments}: {results}")
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, before)
        for thread in threads:
            thread.join()
        check(results == [b"there and back"] * 12, f"{arguments}: {results} {proxy.err()}")
        check(len(re.findall("have to wait", proxy.err())) == 1, proxy.err())
        check(proxy.stop() == 0, proxy.err())


def test_a_listener_that_fails_for_ever_is_left_alone_for_a_while(world):
    for error in ("EPERM", "EOPNOTSUPP", "ENETDOWN", "ECONNABORTED", "EINTR", "ENOMEM"):
        proxy = world.proxy(denied=("accept4", error))
        world.raw(proxy)
        until(lambda: "connections have to wait" in proxy.err(), f"{error}: that it fails is not told")
        check(is_at_rest(proxy.process.pid), f"{error}: it is asked busily")
        check(len(proxy.err().splitlines()) == 1 and "cannot accept at 127.0.0.1" in proxy.err(), proxy.err())
        check(proxy.stop() == 0, proxy.err())


def test_a_backend_that_fails_at_once_is_not_asked_busily(world):
    for error in ("EPERM", "EADDRNOTAVAIL", "EAGAIN", "EMFILE"):
        proxy = world.proxy("--backend", "localhost:1", "--connect-timeout", "2", denied=("connect", error))
        clients = [world.client(proxy) for _ in range(10)]
        check(is_at_rest(proxy.process.pid), f"{error}: it is asked busily")
        for client in clients:
            client.read_cut()
            client.close()
        check("connecting to" in proxy.err(), proxy.err())
        check(proxy.stop() == 0, proxy.err())


def test_no_connection_at_all_is_refused_at_the_start(world):
    pki = world.pki
    for workers in ("1", "2"):
        for files in (6, 12, 22):
            status, out, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key",
                                         pki.path("server", "key"), "--workers", workers, files=files)
            check(status == 1 and not out and "ulimit -n" in err, f"{status} {out} {err}")


def spare_the_kernel(sock):
    """Hundreds of full buffers of the usual size would put the kernel's TCP under pressure, and all others with it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)


def test_clients_that_do_not_read_leave_memory_for_those_that_do(world):
    def flood(sock):
        spare_the_kernel(sock)
        while True:
            sock.sendall(bytes(65536))
    proxy = world.proxy("--backend", world.backend(flood).address, "--memory", "64M")
    silent = [world.client(proxy, receive_buffer=4096) for _ in range(300)]
    time.sleep(2)
    client = world.client(proxy)
    begin, got = time.monotonic(), 0
    while got < 5_000_000:
        got += len(client.read())
    check(time.monotonic() - begin < limit() / 3, f"it took {time.monotonic() - begin} s")
    for one in (client, *silent):
        one.close()
    check(proxy.stop() == 0, proxy.err())


def unsent(**of):
    """Bytes that the kernel holds for the peer of each TCP connection of this machine with the port |here| or |there|."""
    found = []
    with open("/proc/net/tcp") as lines:
        for line in list(lines)[1:]:
            words = line.split()
            ports = {"here": words[1], "there": words[2]}
            if words[3] == "01" and all(int(ports[end].split(":")[1], 16) == port for end, port in of.items()):
                found.append(int(words[4].split(":")[0], 16))
    return found


def is_stuck_with_little(**of):
    before = None
    while before != unsent(**of) or not any(before):
        before = unsent(**of)
        time.sleep(0.3)
    check(max(before) <= 300_000, f"the kernel holds {before}")


def test_the_kernel_holds_little_for_whoever_does_not_read(world):
    def serve(sock):
        if sock.recv(1) == b"g":
            sock.sendall(bytes(32 << 20))
        time.sleep(limit())
    backend = world.backend(serve)
    proxy = world.proxy("--backend", backend.address, "--drain", "1")
    clients = [world.client(proxy, receive_buffer=4096) for _ in range(3)]
    for client in clients:
        client.send(b"g")
    is_stuck_with_little(here=proxy.port)
    clients.append(world.client(proxy))
    clients[-1].tls.settimeout(0)
    try:
        for _ in range(2048):
            clients[-1].tls.send(bytes(16384))
            time.sleep(0.001)
    except (BlockingIOError, ssl.SSLWantWriteError):
        pass
    is_stuck_with_little(there=backend.port)
    for client in clients:
        client.close()
    check(proxy.stop() == 0, proxy.err())


def test_as_many_as_the_memory_allows_may_be_stuck(world):
    def serve(sock):
        spare_the_kernel(sock)
        sock.sendall(bytes(4 << 20))
    proxy = world.proxy("--backend", world.backend(serve).address, "--memory", "64M", "--drain", "1")
    allowed = int(re.search(r"--memory 64M allows for (\d+) at once", proxy.err()).group(1))
    silent = [world.client(proxy, receive_buffer=4096) for _ in range(allowed - 32)]
    client = world.client(proxy)
    check(len(client.read_end()) == 4 << 20, "not all of it came")
    for one in (client, *silent):
        one.close()
    check(proxy.stop() == 0, proxy.err())


def test_uploads_that_a_backend_does_not_take_leave_memory_for_others(world):
    release = threading.Event()

    def serve(sock):
        if sock.recv(1) == b"E":
            echo(sock)
        else:
            release.wait(limit() * 4)
    proxy = world.proxy("--backend", world.backend(serve).address, "--memory", "64M", "--drain", "1")
    stuck = []
    for _ in range(250):
        client = world.client(proxy)
        spare_the_kernel(client.tls)
        client.tls.settimeout(0)
        try:
            for _ in range(256):
                client.tls.send(bytes(16384))
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        stuck.append(client)
    client = world.client(proxy)
    client.send(b"E" + bytes(50_000))
    got = 0
    while got < 50_000:
        got += len(client.read())
    release.set()
    for one in (client, *stuck):
        one.close()
    check(proxy.stop() == 0, proxy.err())


def test_descriptors_return(world):
    backend = world.backend(echo)
    proxy = world.proxy("--backend", backend.address)
    first = world.client(proxy)
    first.send(b"x")
    first.read()
    before = len(descriptors_of(proxy))  # what libuv opens with its first stream among them
    first.close()
    until(lambda: len(descriptors_of(proxy)) == before - 2, "the first client's descriptors return")
    before -= 2
    for i in range(40):
        if i % 3 == 0:
            world.raw(proxy).close()
            continue
        client = world.client(proxy)
        client.send(b"x")
        client.read()
        client.close()
    until(lambda: len(descriptors_of(proxy)) == before, "descriptors return")


def test_a_client_that_says_nothing_is_closed(world):
    proxy = world.proxy("--handshake-timeout", "0.5")
    sock = world.raw(proxy)
    begin = time.monotonic()
    read_all(sock)
    check(time.monotonic() - begin < limit() / 2, "it took too long")


def test_a_handshake_that_stalls_is_closed(world):
    proxy = world.proxy("--handshake-timeout", "0.5")
    sock = world.raw(proxy)
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    begin = time.monotonic()
    read_all(sock)
    check(time.monotonic() - begin < limit() / 2, "it took too long")


def test_an_idle_connection_is_ended_in_order(world):
    proxy = world.proxy("--idle-timeout", "0.5")
    client = world.client(proxy)
    check(client.ask(GET)[0] == 200, "no answer")
    begin = time.monotonic()
    check(client.read_end() == b"", "no close_notify")
    check(0.3 < time.monotonic() - begin < limit() / 2, "not after the time limit")


def test_a_busy_connection_is_not_idle(world):
    proxy = world.proxy("--idle-timeout", "0.6")
    client = world.client(proxy)
    for _ in range(5):
        time.sleep(0.3)
        check(client.ask(GET)[0] == 200, "it was closed")


def test_a_fatal_alert_reaches_a_client_that_goes_on_sending(world):
    proxy = world.proxy()
    for _ in range(5):
        sock = world.raw(proxy)
        sock.sendall(b"\x16\x03\x01\x00\x04\xff\x00\x00\x00" + bytes(30000))
        time.sleep(0.1)
        sock.sendall(bytes(20000))
        got = read_all(sock)  # a reset would raise
        check(len(got) == 7 and got[0] == 21 and got[5] == 2, f"no fatal alert: {got!r}")


def test_garbage_does_no_harm(world):
    proxy = world.proxy()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 70000, b"\x16\x03\x01\xff\xff"):
        sock = world.raw(proxy)
        try:
            sock.sendall(garbage)
            read_all(sock)
        except ConnectionError:
            pass
    sock = world.raw(proxy)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.sendall(b"\x16\x03\x01")
    sock.close()
    check(world.client(proxy).ask(GET)[0] == 200, "the proxy does not serve any more")


def test_sigterm_ends_idle_connections_in_order(world):
    proxy = world.proxy("--drain", "1000")
    client = world.client(proxy)
    check(client.ask(GET)[0] == 200, "no answer")
    begin = time.monotonic()
    proxy.process.send_signal(signal.SIGTERM)
    check(client.read_end() == b"", "no close_notify")
    client.close()
    check(proxy.wait() == 0, "the exit status is not 0")
    check(time.monotonic() - begin < limit() / 2, "it took too long for nothing")


def test_sigterm_waits_for_the_busy(world):
    def slow(sock):
        sock.recv(1)
        for _ in range(15):
            sock.sendall(b"x" * 1000)
            time.sleep(0.2)
    backend = world.backend(slow)
    proxy = world.proxy("--backend", backend.address)
    client = world.client(proxy)
    client.send(b"?")
    check(client.read(), "nothing came")
    proxy.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    try:
        world.raw(proxy)
    except ConnectionError:
        pass
    else:
        raise Failure("a new connection was accepted")
    got = len(client.read_end())
    check(got >= 13000, f"the answer was cut at {got} bytes")
    client.close()
    check(proxy.wait() == 0, "the exit status is not 0")


def test_sigterm_does_not_wait_for_ever(world):
    def endless(sock):
        while True:
            sock.sendall(b"x")
            time.sleep(0.1)
    backend = world.backend(endless)
    proxy = world.proxy("--backend", backend.address)
    client = world.client(proxy)
    check(client.read(), "nothing came")
    begin = time.monotonic()
    check(proxy.stop() == 0, "the exit status is not 0")
    check(8 < time.monotonic() - begin < limit(), f"it took {time.monotonic() - begin} s")


def test_a_second_signal_ends_at_once(world):
    def endless(sock):
        while True:
            sock.sendall(b"x")
            time.sleep(0.1)
    backend = world.backend(endless)
    proxy = world.proxy("--backend", backend.address, "--drain", "1000")
    client = world.client(proxy)
    check(client.read(), "nothing came")
    begin = time.monotonic()
    proxy.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    proxy.process.send_signal(signal.SIGINT)
    check(proxy.wait() == 0 and time.monotonic() - begin < limit() / 2, "it went on")


def test_statistics_are_written_when_asked_for(world):
    proxy = world.proxy("--stats-interval", "0.2")
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
    until(lambda: "established 1" in proxy.err(), "the line of statistics")


def trickle(client, text, seconds=None):
    """A byte now and then, until the end of |text|, of the connection, or (then False) of patience."""
    end = time.monotonic() + (seconds or limit())
    for byte in text:
        if client.readable(0.05) or time.monotonic() > end:
            return client.readable(0)
        try:
            client.send(bytes([byte]))
        except OSError:
            return True
    return True


def endless(text=b"x"):
    while True:
        yield from text


def test_a_request_that_comes_byte_by_byte_is_given_up(world):
    proxy = world.proxy("--request-timeout", "0.7", "--idle-timeout", "1000")
    beginnings = (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"GET /", b"\r\n\r\n",
                  b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n")
    for beginning in beginnings:
        client = world.client(proxy)
        client.send(beginning)
        check(trickle(client, endless(b"\r\n" if beginning == b"\r\n\r\n" else b"x")), "it is still being listened to")
        check(client.answer()[0] == 408, "the answer is not 408")
        check(client.read_end() == b"", "the end is not in order")
        client.close()


def test_a_request_after_others_has_its_own_time(world):
    proxy = world.proxy("--request-timeout", "1", "--idle-timeout", "1000")
    client = world.client(proxy)
    begin = time.monotonic()
    while time.monotonic() - begin < 2:
        check(client.ask(GET)[0] == 200, "a quick request was not answered")
        time.sleep(0.1)
    time.sleep(1.2)  # between requests nobody is in a hurry
    check(client.ask(GET)[0] == 200, "it was closed between requests")
    client.send(GET.replace("\n", "\r\n").encode() * 3 + b"GET ")
    for _ in range(3):
        check(client.answer()[0] == 200, "one of several was not answered")
    check(client.answer()[0] == 408, "the rest was waited for")


def test_whoever_goes_on_behind_the_last_answer_is_closed(world):
    proxy = world.proxy("--request-timeout", "0.7", "--idle-timeout", "1000")
    for request in (GET.replace("\n\n", "\nConnection: close\n\n"), "nonsense\n\n"):
        client = world.client(proxy)
        client.ask(request)
        check(client.read_end() == b"", "no close_notify")
        try:
            for _ in range(3000):  # a third of that is as long as it is listened to, whatever else the machine does
                client.send(b"x")
                time.sleep(0.02)
        except OSError:
            continue
        raise Failure("it is still being listened to")
