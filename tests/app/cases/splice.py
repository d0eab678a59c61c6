# SPDX-License-Identifier: Apache-2.0
"""Bytes past the process (--ktls --splice), where there is TLS in the kernel; where there is not, that nothing is lost without.
tests/vm/inside/ktls runs this in a kernel that has it."""

import hashlib
import json
import os
import signal
import socket
import ssl
import threading
import time

from cases import ends, relay
from cases.ktls import counts, kernel_changes_keys, kernel_has_tls, spliced
from cases.relay import echo, payload, start
from kit import check, descriptors_of, limit, read_all, until

OPTIONS = ("--ktls", "--splice", "--stats-interval", "0.1")


def until_spliced(proxy, connections):
    """Both directions of so many are the kernel's."""
    until(lambda: spliced(proxy) == (connections, connections), f"{connections} to be spliced, not {spliced(proxy)}")


def test_bytes_go_past_the_process(world):
    log = os.path.join(world.work, f"splice-{os.getpid()}-{id(world)}.log")
    proxy, _ = start(world, echo, *OPTIONS, "--access-log", log)
    before, data = len(descriptors_of(proxy)), payload(1 << 20)
    for version in "1.3", "1.2":
        status, out = world.connect(proxy.port, "--tls-max", version).finish(data)
        check(status == 0 and out == data, f"{version}: status {status}, {len(out)} bytes came back")
    until(lambda: counts(proxy)[0] == 2, "statistics")
    check(spliced(proxy) == ((2, 2) if kernel_has_tls() else (0, 0)), f"{spliced(proxy)}")
    until(lambda: os.path.exists(log) and open(log).read().count("\n") == 2, "the access log")
    for line in open(log):
        entry = json.loads(line)
        check(entry["bytes_in"] == entry["bytes_out"] == len(data) and entry["in_order"], line)
    until(lambda: len(descriptors_of(proxy)) <= before + 1, f"descriptors to be closed: {descriptors_of(proxy)}")


def test_the_options_that_it_needs_are_asked_for(world):
    for options in ("--ktls",), ("--backend", "127.0.0.1:1"):
        status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path("server"), "--key",
                                   world.pki.path("server", "key"), "--splice", *options)
        check(status != 0 and "--splice needs --ktls and --backend" in err, err)


def only_with_tls(case):
    def test(world):
        if kernel_has_tls():
            case(world)
    return test


@only_with_tls
def test_a_slow_backend_gets_all_and_the_end(world):
    """With what is in the pipe when the client has ended and gone."""
    go = threading.Event()

    def serve(sock):
        sock.recv(1)
        go.wait(limit())
        return read_all(sock)
    proxy, backend = start(world, serve, *OPTIONS)
    command = world.connect(proxy.port)
    data = payload(3 << 20)
    command.process.stdin.write(b"x")
    command.process.stdin.flush()
    until_spliced(proxy, 1)
    writer = threading.Thread(target=command.finish, args=(data,))
    writer.start()
    time.sleep(0.5)  # so that every buffer is full
    go.set()
    got = backend.result()
    check(got == data, f"{len(got) if isinstance(got, bytes) else got} of {len(data)} bytes")
    writer.join(limit())


@only_with_tls
def test_a_slow_reader_gets_the_tail(world):
    data = payload(2 << 20)

    def serve(sock):
        sock.recv(1)
        sock.sendall(data)
    proxy, _ = start(world, serve, *OPTIONS)
    client = world.client(proxy, receive_buffer=4096)
    until_spliced(proxy, 1)
    client.send(b"?")
    time.sleep(0.3)
    got = client.read_end()
    check(got == data, f"{len(got)} bytes came")


@only_with_tls
def test_keys_change_in_mid_transfer_or_it_ends_with_an_alert(world):
    proxy, _ = start(world, echo, *OPTIONS)
    data = payload(1 << 20)
    command = world.connect(proxy.port, "--update-keys", "8")
    status, out = command.finish(data)
    if kernel_changes_keys():
        check(status == 0 and out == data, f"status {status}, {len(out)} bytes: {command.err()}")
    else:
        check(status != 0 and "internal_error" in command.err(), f"status {status}: {command.err()}")
        check(data.startswith(out), "other bytes")


class Memory:
    """A TLS client whose records the test has in its hands."""

    def __init__(self, world, port):
        context = ssl.create_default_context(cafile=world.pki.path("ca"))
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_hostname="localhost")
        self.sock = world.keep(socket.create_connection(("127.0.0.1", port), limit()))
        self.call(self.tls.do_handshake)

    def call(self, what, *arguments):
        while True:
            try:
                done = what(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                self.came.write(data) if data else self.came.write_eof()
                continue
            self.flush()
            return done

    def flush(self):
        self.sock.sendall(self.goes.read())


@only_with_tls
def test_an_alert_or_a_record_that_is_wrong_in_mid_transfer_is_no_end(world):
    proxy, backend = start(world, read_all, *OPTIONS)
    data = payload(100000)
    for i, garbage in enumerate((None, bytes([23, 3, 3, 0, 32]) + bytes(32), b"no record at all")):
        client = Memory(world, proxy.port)
        until_spliced(proxy, i + 1)
        client.call(client.tls.write, data)
        if garbage is None:
            try:  # OpenSSL says so to its peer
                client.came.write(bytes([23, 3, 3, 0, 32]) + bytes(32))
                client.tls.read()
            except ssl.SSLError:
                pass
            client.flush()
        else:
            client.sock.sendall(garbage)
        until(lambda wanted=i + 1: len(backend.results) == wanted, "the backend's end")
        check(isinstance(backend.results[-1], ConnectionResetError), f"a cut was taken for the whole: {backend.results[-1]!r}"[:200])
        if garbage is not None:
            try:
                client.call(client.tls.read)
            except ssl.SSLError as error:
                text = str(error).lower()
                check(any(alert in text for alert in ("bad record mac", "unexpected message", "record overflow")), error)
            else:
                check(False, "no alert came")


@only_with_tls
def test_a_backend_that_takes_nothing_any_more_is_still_heard(world):
    def serve(sock):
        sock.recv(1)
        sock.sendall(b"enough")
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1000)
        time.sleep(0.3)
    proxy, _ = start(world, serve, *OPTIONS)
    client = world.client(proxy)
    until_spliced(proxy, 1)
    client.send(b"?")
    check(client.read(6) == b"enough", "another answer")
    end = time.monotonic() + limit()
    try:
        while time.monotonic() < end:
            client.send(bytes(65536))
    except OSError:
        return
    check(False, "what nobody takes was taken without end")


@only_with_tls
def test_an_end_at_sigterm_is_told(world):
    proxy, _ = start(world, ends.endless, *OPTIONS, "--drain", "0.5")
    client = world.client(proxy)
    check(client.read(), "nothing came")
    until_spliced(proxy, 1)
    proxy.process.send_signal(signal.SIGTERM)
    client.read_cut()
    client.close()
    check(proxy.wait() == 0, proxy.err())


@only_with_tls
def test_many_at_once_and_no_descriptor_is_lost(world):
    def serve(sock):
        sock.sendall(hashlib.sha256(read_all(sock)).hexdigest().encode())
    proxy, _ = start(world, serve, *OPTIONS)
    before, parts = len(descriptors_of(proxy)), [payload(20000 + i) for i in range(12)]
    commands = [world.connect(proxy.port) for _ in parts]
    threads = [threading.Thread(target=lambda c=c, p=p: setattr(c, "got", c.finish(p))) for c, p in zip(commands, parts)]
    for thread in threads:
        thread.start()
    for thread, command, part in zip(threads, commands, parts):
        thread.join(limit())
        check(command.got == (0, hashlib.sha256(part).hexdigest().encode()), command.got)
    until(lambda: len(descriptors_of(proxy)) <= before + 1, f"descriptors to be closed: {descriptors_of(proxy)}")


@only_with_tls
def test_where_a_pipe_would_be_too_small_the_process_reads(world):
    """A user who has as many pages in pipes as may be gets small ones, in which a record has no room."""
    soft = "/proc/sys/fs/pipe-user-pages-soft"
    with open(soft, encoding="ascii") as file:
        before = file.read()
    with open(soft, "w", encoding="ascii") as file:
        file.write("1")
    try:
        proxy, _ = start(world, echo, *OPTIONS, lacks=("sys_resource", "sys_admin"))
        data = payload(300000)
        status, out = world.connect(proxy.port).finish(data)
        check(status == 0 and out == data, f"status {status}, {len(out)} bytes came back: {proxy.err()}")
        until(lambda: counts(proxy)[0] == 1, "statistics")
        check(sorted(spliced(proxy)) == [0, 1], f"{spliced(proxy)}")
    finally:
        with open(soft, "w", encoding="ascii") as file:
            file.write(before)


def past(case):
    def test(world):
        world.proxies = [*world.proxies, *OPTIONS]
        case(world)
    return only_with_tls(test)


for _case in (relay.test_a_cut_client_is_not_an_end_for_the_backend, relay.test_a_cut_backend_is_not_an_end_for_the_client,
              relay.test_the_answer_comes_after_the_clients_end, relay.test_bytes_arrive_after_the_backends_end):
    globals()[f"{_case.__name__}_past"] = past(_case)
