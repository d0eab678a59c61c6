# SPDX-License-Identifier: Apache-2.0
"""Records in the kernel (--ktls), where there is TLS in it; where there is not, the same without. tests/vm/inside/ktls
runs this in a kernel that has it."""

import json
import os
import platform
import re
import socket
import time

from kit import check, until
from cases.relay import echo, payload, start

ULP = 31  # TCP_ULP


def kernel_has_tls():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, ULP, b"tls")
        except OSError:
            return False
        return True


def kernel_changes_keys():
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", platform.release()).groups())) >= (6, 14)


def counts(proxy):
    """What statistics have said last: how many send and receive by the kernel, of how many."""
    lines = re.findall(r"established (\d+) .*kernel_sends (\d+) kernel_receives (\d+)", proxy.err())
    return tuple(map(int, lines[-1])) if lines else (0, 0, 0)


def spliced(proxy):
    """The same of splice(): sending, receiving."""
    lines = re.findall(r"splice_sends (\d+) splice_receives (\d+)", proxy.err())
    return tuple(map(int, lines[-1])) if lines else (0, 0)


def test_the_kernel_has_what_it_can_have(world):
    log = os.path.join(world.work, f"ktls-{os.getpid()}-{id(world)}.log")
    has = kernel_has_tls()
    proxy, _ = start(world, echo, "--ktls", "--stats-interval", "0.1", "--access-log", log)
    data = payload(300000)
    for version in "1.3", "1.2":
        status, out = world.connect(proxy.port, "--tls-max", version).finish(data)
        check(status == 0 and out == data, f"{version}: status {status}, {len(out)} bytes came back")
    until(lambda: counts(proxy)[0] == 2, "statistics")
    check(counts(proxy) == ((2, 2, 2) if has else (2, 0, 0)), f"{counts(proxy)}")
    until(lambda: os.path.exists(log) and open(log).read().count("\n") == 2, "the access log")
    for line in open(log):
        entry = json.loads(line)
        check(entry["bytes_in"] == entry["bytes_out"] == len(data) and entry["in_order"], line)
        check(entry["kernel_sends"] is entry["kernel_receives"] is has, line)
    # As text; and nothing of it where nobody has asked for it.
    for options, says in (("--ktls",), " kernel=both" if has else " kernel=-"), ((), ""):
        log += "+"
        proxy, _ = start(world, echo, *options, "--access-log", log, "--access-log-format", "text")
        world.connect(proxy.port).finish(data)
        until(lambda: os.path.exists(log) and open(log).read().endswith("\n"), "the access log")
        check(open(log).read().endswith(f" alert=-{says}\n"), open(log).read())


def test_a_slow_reader_gets_the_tail(world):
    """What the kernel was given, and could not put into the socket's queue at once, comes before its end."""
    data = payload(3 << 20)

    def serve(sock):
        sock.sendall(data)
    proxy, _ = start(world, serve, "--ktls")
    clients = [world.client(proxy, receive_buffer=4096) for _ in range(3)]
    time.sleep(0.3)  # so that every buffer is full
    for client in clients:
        got = client.read_end()
        check(got == data, f"{len(got)} bytes came")


def test_keys_change_or_it_ends_with_an_alert(world):
    proxy, _ = start(world, echo, "--ktls")
    data = payload(2 << 20)
    command = world.connect(proxy.port, "--update-keys", "8")
    status, out = command.finish(data)
    if kernel_has_tls() and not kernel_changes_keys():
        check(status != 0 and "internal_error" in command.err(), f"status {status}: {command.err()}")
        check(data.startswith(out), "other bytes")
    else:
        check(status == 0 and out == data, f"status {status}, {len(out)} bytes: {command.err()}")
