# SPDX-License-Identifier: Apache-2.0
"""Clients' sockets in a ring of io_uring (--loop uring), and in libuv's loop where that is refused."""

import os
import signal

from kit import check, until
from cases import relay
from cases.arguments import refuses

SAID = "--loop uring: "


class Ringed:
    """A world whose proxies all have the ring."""

    def __init__(self, world):
        self.world = world

    def __getattr__(self, name):
        return getattr(self.world, name)

    def proxy(self, *arguments, **how):
        return self.world.proxy(*arguments, "--loop", "uring", **how)


def test_a_ring_relays_as_libuv_does(world):
    ringed = Ringed(world)
    relay.test_bytes_come_back_unchanged(ringed)
    relay.test_the_answer_comes_after_the_clients_end(ringed)
    relay.test_bytes_arrive_after_the_backends_end(ringed)
    relay.test_a_cut_client_is_not_an_end_for_the_backend(ringed)
    relay.test_a_cut_backend_is_not_an_end_for_the_client(ringed)


def test_a_ring_serves_a_crowd_and_ends_with_it(world):
    relay.test_many_connections_at_once(Ringed(world))


def test_a_ring_ends_when_it_is_told_to(world):
    proxy, _ = relay.start(world, relay.echo, "--loop", "uring", "--drain", "0.2")
    client = world.connect(proxy.port)
    until(lambda: os.path.exists(f"/proc/{proxy.process.pid}"), "the proxy")
    client.process.stdin.write(b"x")
    client.process.stdin.flush()
    check(client.process.stdout.read(1) == b"x", "the byte did not come back")
    proxy.process.send_signal(signal.SIGTERM)
    status = proxy.wait()
    check(status == 0, f"exit status {status}: {proxy.err()}")
    client.finish()


def test_where_the_kernel_refuses_the_loop_is_libuvs(world):
    for error in "EPERM", "ENOSYS", "ENOMEM":
        backend = world.backend(relay.echo)
        proxy = world.proxy("--backend", backend.address, "--loop", "uring", denied=("io_uring_setup", error))
        data = relay.payload(100000)
        status, out = world.connect(proxy.port).finish(data)
        check(status == 0 and out == data, f"{error}: status {status}, {len(out)} bytes came back")
        said = [line for line in proxy.err().splitlines() if SAID in line]
        check(len(said) == 1 and "libuv" in said[0], f"{error}: {proxy.err()!r}")


def test_what_cannot_be_is_refused(world):
    files = "--listen", "127.0.0.1:0", "--cert", world.pki.path("server"), "--key", world.pki.path("server", "key")
    refuses(world, ("proxy", *files, "--loop", "epoll"), 2, "--loop epoll: must be uv or uring")
    refuses(world, ("proxy", *files, "--loop", "uring", "--ktls"), 2, "--ktls wants --loop uv")
