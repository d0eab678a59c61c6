# SPDX-License-Identifier: Apache-2.0
"""Ends: what was cut never looks like what ended in order, and an error in one direction leaves the other alone."""

import os
import signal
import socket
import threading
import time

from kit import check, limit, reset, until

from cases.relay import echo

GET = "GET / HTTP/1.1\nHost: localhost\n\n"


def endless(sock):
    while True:
        sock.sendall(b"x" * 1000)
        time.sleep(0.05)


def test_an_idle_relay_is_cut(world):
    proxy = world.proxy("--backend", world.backend(echo).address, "--idle-timeout", "0.5")
    client = world.client(proxy)
    client.send(b"x")
    check(client.read(1) == b"x", "no echo")
    check(client.read_cut() == b"", "something came")


def test_a_drain_that_takes_too_long_cuts(world):
    for workers in ("1", "2"):
        proxy = world.proxy("--backend", world.backend(endless).address, "--drain", "0.5", "--workers", workers)
        client = world.client(proxy)
        check(client.read(), "nothing came")
        proxy.process.send_signal(signal.SIGTERM)
        client.read_cut()
        client.close()
        check(proxy.wait() == 0, proxy.err())


def test_a_silent_relay_is_cut_at_sigterm(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    client = world.client(proxy)
    client.send(b"x")
    check(client.read(1) == b"x", "no echo")
    time.sleep(1.2)
    proxy.process.send_signal(signal.SIGTERM)
    check(client.read_cut() == b"", "something came")
    client.close()
    check(proxy.wait() == 0, proxy.err())


def test_a_second_signal_cuts_and_says_so(world):
    for workers in ("1", "2"):
        for signals in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT,), (signal.SIGTERM, signal.SIGINT)):
            proxy = world.proxy("--backend", world.backend(endless).address, "--workers", workers, "--drain", "1000")
            client = world.client(proxy)
            check(client.read(), "nothing came")
            begin = time.monotonic()
            for one in signals:
                proxy.process.send_signal(one)
                time.sleep(0.2)
            client.read_cut()
            client.close()
            check(proxy.wait() == 0 and time.monotonic() - begin < limit() / 2, f"{workers} {signals}: {proxy.err()}")


def test_an_answer_of_the_page_in_the_middle_of_a_second_signal_is_cut(world):
    proxy = world.proxy()
    client = world.client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: local")
    time.sleep(0.3)
    proxy.process.send_signal(signal.SIGINT)
    check(client.read_cut() == b"", "something came")
    client.close()


def test_a_reset_behind_much_that_is_unread_is_no_end(world):
    """What the proxy has not read yet when the reset comes: libuv reads it, and calls the rest an end."""
    def sends(size, unread):
        def serve(sock):
            sock.recv(1 if unread else 1000)
            sock.sendall(b"d" * size)
            if unread:
                sock.close()
            else:
                reset(sock)
        return serve
    for size in (1, 20000, 500000, 2000000):
        for unread in (False, True):
            proxy = world.proxy("--backend", world.backend(sends(size, unread)).address)
            for _ in range(3):
                client = world.client(proxy)
                client.send(b"x" * 100)
                client.read_cut()
                client.close()
            check("reset" in proxy.err(), proxy.err())


def test_a_backend_that_fails_in_mid_answer_cuts(world):
    def fails(sock):
        sock.recv(10)
        sock.sendall(b"half of it")
        time.sleep(0.2)
        reset(sock)
    proxy = world.proxy("--backend", world.backend(fails).address)
    client = world.client(proxy)
    client.send(b"?")
    check(client.read_cut() == b"half of it", "not what the backend had said")


def test_a_download_that_moves_is_not_idle(world):
    total = 8_000_000
    proxy = world.proxy("--backend", world.backend(lambda sock: sock.sendall(bytes(total))).address, "--idle-timeout", "2")
    client = world.client(proxy, receive_buffer=65536)
    got = 0
    while got < total:
        data = client.read(16384)
        check(data, f"it ended after {got} bytes")
        got += len(data)
        time.sleep(0.015)
    check(client.read_end() == b"", "more than there was")


def slow_reader(total, results, taken=None):
    def serve(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        time.sleep(0.5)
        got = 0
        while True:
            data = sock.recv(65536)
            if not data:
                break
            got += len(data)
            if taken:
                taken[0] = got
            try:
                sock.sendall(b"ok\n")
            except OSError as error:
                results.append(error)
            time.sleep(0.05)
        results.append(got)
    return serve


def test_an_upload_is_delivered_when_nobody_is_there_for_the_answer(world):
    total, results = 600_000, []
    proxy = world.proxy("--backend", world.backend(slow_reader(total, results)).address)
    client = world.client(proxy)
    client.send(bytes(total))
    client.tls.settimeout(0.2)
    try:
        client.tls.unwrap()  # sends close_notify; the answer is not waited for
    except OSError:
        pass
    client.close()
    until(lambda: results, "the end of the upload")
    check(results == [total], f"{results}")
    check(proxy.stop() == 0, proxy.err())


def queued(address):
    """Bytes that the kernel holds of connections to a backend, on their way and unread."""
    port, held = f":{int(address.rsplit(':', 1)[1]):04X}", 0
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[3] != "0A" and (fields[1].endswith(port) or fields[2].endswith(port)):  # 0A: it listens
                held += sum(int(number, 16) for number in fields[4].split(":"))
    return held


def test_an_upload_that_the_kernel_has_survives_the_end_of_the_proxy(world):
    total, results, taken = 400_000, [], [0]
    backend = world.backend(slow_reader(total, results, taken))
    proxy = world.proxy("--backend", backend.address)
    client = world.client(proxy)
    client.send(bytes(total))
    client.tls.settimeout(0.2)
    try:
        client.tls.unwrap()
    except OSError:
        pass
    client.close()
    until(lambda: taken[0] + queued(backend.address) >= total, "all of it with the kernel")
    time.sleep(0.1)  # what is not acknowledged yet counts twice
    until(lambda: taken[0] + queued(backend.address) >= total, "all of it with the kernel")
    proxy.process.send_signal(signal.SIGINT)
    check(proxy.wait() == 0, proxy.err())
    until(lambda: any(isinstance(result, int) for result in results), "the end of the upload")
    check(total in results, f"{results}")


def test_an_upload_to_a_slow_backend_is_not_idle(world):
    """All of it is in the kernel's buffers soon; the backend's host takes it little by little."""
    total = 3_000_000

    def serve(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        got = 0
        while got < total:
            got += len(sock.recv(65536))
            time.sleep(0.12)
        sock.sendall(b"all of it")
    proxy = world.proxy("--backend", world.backend(serve).address, "--idle-timeout", "2")
    client = world.client(proxy)
    client.send(bytes(total))
    check(client.read() == b"all of it", "another answer")


def test_an_answer_that_comes_before_the_upload_is_whole_is_passed_on(world):
    answer = b"too large" * 1000

    def early(sock):
        sock.recv(10)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.5)  # and closes with unread input: a reset
    proxy = world.proxy("--backend", world.backend(early).address)
    client = world.client(proxy)
    client.send(os.urandom(150_000))
    check(client.read_end() == answer, "not the answer")


def test_a_reset_that_a_write_has_met_is_no_end(world):
    """After it a read says "end": that must not become close_notify."""
    def fails(sock):
        sock.recv(10)
        sock.sendall(b"half of it")
        time.sleep(0.3)
        reset(sock)
    proxy = world.proxy("--backend", world.backend(fails).address)
    client = world.client(proxy)
    end = time.monotonic() + limit()

    def send():
        try:
            while time.monotonic() < end:
                client.send(b"more")
                time.sleep(0.001)
        except OSError:
            pass
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    check(client.read_cut() in (b"half of it", b""), "not what the backend had said")
    end = 0
    thread.join()


def test_connect_that_gives_up_does_not_end_in_order(world):
    """The proxy makes a reset of what was cut, and an end of what ended."""
    def serve(sock):
        try:
            while True:
                if not sock.recv(100):
                    return "end"
        except ConnectionResetError:
            return "reset"
    for arguments, wanted in ((["--timeout", "0.7"], "reset"), ([], "end")):
        backend = world.backend(serve)
        proxy = world.proxy("--backend", backend.address)
        command = world.connect(proxy.port, *arguments)
        command.process.stdin.write(b"a beginning")
        command.process.stdin.flush()
        if not arguments:
            command.process.stdin.close()
        check(backend.result() == wanted, f"{arguments}: {backend.results}")
        if arguments:
            check(command.wait() == 1 and "nothing moves" in command.err(), command.err())
