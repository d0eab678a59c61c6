# SPDX-License-Identifier: Apache-2.0
"""Forwarding to a backend: bytes, both ends, and what happens when one side is slow or lost."""

import hashlib
import os
import random
import socket
import ssl
import threading
import time

from kit import Failure, check, memory_of, read_all, reset, until

SIZE = 8 << 20
SLACK = 12 << 20  # socket buffers of both connections, and what the proxy may hold


def echo(sock):
    total = 0
    while True:
        data = sock.recv(65536)
        if not data:
            return total
        total += len(data)
        sock.sendall(data)


def collect(sock):
    data = read_all(sock)
    sock.sendall(b"collected %d %s\n" % (len(data), hashlib.sha256(data).hexdigest().encode()))
    return len(data)


def start(world, serve, *options, **how):
    backend = world.backend(serve)
    return world.proxy("--backend", backend.address, *options, **how), backend


def payload(size=SIZE):
    return random.Random(size).randbytes(size)


def test_bytes_come_back_unchanged(world):
    proxy, backend = start(world, echo)
    data = payload()
    status, out = world.connect(proxy.port).finish(data)
    check(status == 0 and out == data, f"status {status}, {len(out)} bytes came back")
    check(backend.result() == len(data), "the backend did not see the end")


def test_the_answer_comes_after_the_clients_end(world):
    proxy, _ = start(world, collect)
    data = payload(1 << 20)
    status, out = world.connect(proxy.port).finish(data)
    check(status == 0 and out == b"collected %d %s\n" % (len(data), hashlib.sha256(data).hexdigest().encode()), out[:100])


def test_bytes_arrive_after_the_backends_end(world):
    def greet(sock):
        sock.sendall(b"greetings\n")
        sock.shutdown(socket.SHUT_WR)
        return read_all(sock)
    proxy, backend = start(world, greet)
    command = world.connect(proxy.port)
    check(command.process.stdout.readline() == b"greetings\n", "no greeting")
    time.sleep(0.2)
    data = payload(1 << 20)
    status, out = command.finish(data)
    check(status == 0 and not out, f"status {status}: {command.err()}")
    check(backend.result() == data, "the backend did not get what was sent after its end")


def test_many_connections_at_once(world):
    proxy, backend = start(world, echo)
    clients = [world.client(proxy) for _ in range(60)]
    for i, client in enumerate(clients):
        client.send(b"%d " % i * 1000)
    for i, client in enumerate(clients):
        got, wanted = b"", b"%d " % i * 1000
        while len(got) < len(wanted):
            got += client.read()
        check(got == wanted, "somebody else's bytes")
    for client in clients:
        client.close()
    until(lambda: len(backend.results) == 60, "all backend connections to end")


def test_a_cut_client_is_not_an_end_for_the_backend(world):
    proxy, backend = start(world, read_all)
    client = world.client(proxy)
    client.send(b"half of something")
    time.sleep(0.2)
    client.tls.shutdown(socket.SHUT_RDWR)  # no close_notify
    result = backend.result()
    check(isinstance(result, ConnectionResetError), f"the backend took it for the whole: {result!r}")


def test_a_cut_backend_is_not_an_end_for_the_client(world):
    def cut(sock):
        sock.recv(1)
        sock.sendall(b"half of something")
        time.sleep(0.2)
        reset(sock)
    proxy, _ = start(world, cut)
    client = world.client(proxy)
    client.send(b"?")
    try:
        got = client.read_end()
    except ssl.SSLError as error:
        check("INTERNAL_ERROR" in str(error).upper(), error)
    else:
        raise Failure(f"the client took it for the whole: {got!r}")


def test_a_missing_backend_is_an_alert_and_a_message(world):
    backend = world.backend(echo)
    address = backend.address
    backend.close()
    proxy = world.proxy("--backend", address)
    client = world.client(proxy)
    try:
        client.read_end()
    except ssl.SSLError as error:
        check("INTERNAL_ERROR" in str(error).upper(), error)
    else:
        raise Failure("an orderly end")
    check(address in proxy.err() and "refused" in proxy.err(), proxy.err())


def test_a_client_that_does_not_read_stops_the_backend(world):
    sent = [0]

    def flood(sock):
        block = bytes(65536)
        sock.settimeout(3)
        try:
            while sent[0] < 100 << 20:
                sent[0] += sock.send(block)
        except TimeoutError:
            pass
        sock.settimeout(None)
        sock.sendall(b"the end")
    proxy, backend = start(world, flood)
    before = memory_of(proxy)
    client = world.client(proxy, receive_buffer=65536)
    until(lambda: sent[0] > 0, "the backend to begin")
    time.sleep(2)
    check(sent[0] < SLACK, f"the backend could send {sent[0]} bytes")
    check(memory_of(proxy) - before < 12 << 20, "the proxy's memory has grown")
    text = client.read_end()
    check(text.endswith(b"the end") and len(text) == sent[0] + 7, f"{len(text)} of {sent[0] + 7} bytes came")
    backend.result()


def test_a_backend_that_does_not_read_stops_the_client(world):
    go = threading.Event()

    def wait(sock):
        go.wait(30)
        return read_all(sock)
    proxy, backend = start(world, wait)
    before = memory_of(proxy)
    client = world.client(proxy)
    client.tls.settimeout(2)
    sent, block = 0, os.urandom(65536)
    try:
        while sent < 100 << 20:
            client.tls.send(block)
            sent += len(block)
    except TimeoutError:
        pass
    check(sent < SLACK, f"the client could send {sent} bytes")
    check(memory_of(proxy) - before < 12 << 20, "the proxy's memory has grown")
    go.set()
    client.close()
    result = backend.result()
    got = len(result) if isinstance(result, bytes) else result
    check(isinstance(result, ConnectionResetError), f"a cut was taken for the whole: {got}")


def test_records_and_handshakes_survive_a_slow_device(world):
    backend = world.backend(echo)
    proxy = world.proxy("--backend", backend.address, "--device", "sim:latency=5ms,units=8,order=out", "--records", "device")
    data = payload(1 << 20)
    status, out = world.connect(proxy.port).finish(data)
    check(status == 0 and out == data, f"status {status}, {len(out)} bytes came back")


def test_key_updates_in_the_stream(world):
    proxy, _ = start(world, echo)
    data = payload(2 << 20)
    status, out = world.connect(proxy.port, "--update-keys", "3").finish(data)
    check(status == 0 and out == data, f"status {status}, {len(out)} bytes came back")


for _case in (test_bytes_come_back_unchanged, test_the_answer_comes_after_the_clients_end,
              test_bytes_arrive_after_the_backends_end, test_many_connections_at_once, test_key_updates_in_the_stream,
              test_a_client_that_does_not_read_stops_the_backend):
    _case.devices = True
