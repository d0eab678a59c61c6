# SPDX-License-Identifier: Apache-2.0
"""Files with certificates and keys: what may be one, and what is said when it is none."""

import os
import signal
import threading
import time

from kit import check, limit, until

GET = "GET / HTTP/1.1\nHost: localhost\n\n"


def pipe_of(world, source, name):
    """A FIFO into which somebody writes the file |source|, once."""
    path = os.path.join(world.work, f"{name}-{time.monotonic_ns()}")
    os.mkfifo(path)

    def write():
        with open(source, "rb") as data, open(path, "wb") as out:
            for byte in data.read():
                out.write(bytes([byte]))
    threading.Thread(target=write, daemon=True).start()
    return path


def test_files_may_be_pipes(world):
    pki = world.pki
    proxy = world.proxy(key=pipe_of(world, pki.path("server", "key"), "key"))
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
    proxy.process.send_signal(signal.SIGHUP)  # nobody writes any more
    until(lambda: "not reloaded" in proxy.err(), f"{proxy.err()}")
    check("nobody writes to this pipe" in proxy.err(), proxy.err())
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
    status, out, err = world.run("connect", f"127.0.0.1:{proxy.port}", "--ca", pipe_of(world, pki.path("ca"), "ca"),
                                 data=b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(status == 0 and b"200 OK" in out, f"{status} {err}")


def test_a_pipe_of_a_shell_is_read_once(world):
    pki = world.pki
    read, write = os.pipe()
    with open(pki.path("server", "key"), "rb") as key:
        os.write(write, key.read())
    os.close(write)
    proxy = world.proxy(key=f"/dev/fd/{read}", pass_fds=[read])
    os.close(read)
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")


def test_a_master_is_not_held_up_by_a_pipe_that_nobody_writes_to(world):
    proxy = world.proxy("--workers", "2", key=pipe_of(world, world.pki.path("server", "key"), "key"))
    begin = time.monotonic()
    proxy.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    check(proxy.stop() == 0 and time.monotonic() - begin < limit() / 2, proxy.err())
