# SPDX-License-Identifier: Apache-2.0
"""The proxy as a service: what it tells its supervisor, and what stands around it in an installation."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

from kit import Client, Proxy, check, is_readable, limit

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def next_of(supervisor):
    check(is_readable(supervisor, limit()), "the supervisor is told nothing")
    return supervisor.recv(1000)


def check_told(world, address, *arguments):
    """What a supervisor that listens at |address| is told by a proxy that serves, reloads well and badly, and ends."""
    cert, supervisor = world.pki.path(f"supervised-{time.monotonic_ns()}"), world.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    shutil.copy(world.pki.path("server"), cert)
    supervisor.bind(address)
    name = "@" + address[1:] if address[0] == "\0" else address
    proxy = world.keep(Proxy(world, *arguments, cert=os.path.basename(cert)[:-4], key=world.pki.path("server", "key"),
                             environment={"NOTIFY_SOCKET": name}))
    check(next_of(supervisor) == b"READY=1", "READY=1")
    client = Client(proxy.port, world.pki)
    check(client.ask("GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n")[0] == 200, "it serves")
    client.close()
    for good in (True, False):
        if not good:
            os.unlink(cert)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        proxy.process.send_signal(signal.SIGHUP)
        told = next_of(supervisor)
        found = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", told)
        check(found and before <= int(found.group(1)) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, told)
        check(next_of(supervisor) == b"READY=1", "READY=1 again")
        check(("not reloaded" in proxy.err()) is not good, proxy.err())
    proxy.process.send_signal(signal.SIGTERM)
    check(next_of(supervisor) == b"STOPPING=1", "STOPPING=1")
    check(proxy.wait() == 0, "it ends as intended")
    check(not is_readable(supervisor, 0), "the supervisor is told all once, by one process")


def test_the_supervisor_is_told_when_it_serves(world):
    check_told(world, os.path.join(world.work, "notify-one"))


def test_the_supervisor_of_workers_is_told_once(world):
    check_told(world, os.path.join(world.work, "notify-two"), "--workers", "2")


def test_the_supervisors_socket_may_be_no_file(world):
    check_told(world, f"\0milgi-test-{os.getpid()}")


def test_a_supervisor_that_is_gone_does_not_matter(world):
    for address in (os.path.join(world.work, "nobody"), "@milgi-nobody", "", "@", "relative", "/" + 200 * "x"):
        proxy = world.proxy(environment={"NOTIFY_SOCKET": address})
        check(proxy.stop() == 0, f"it serves and ends with NOTIFY_SOCKET={address}")


def test_completion_offers_the_commands_options(world):
    """bash is asked as readline would ask it."""
    script = f"""
        source {ROOT}/packaging/milgi.bash-completion
        complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _milgi "$1" "${{*: -1}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
            echo "${{COMPREPLY[@]}}"; }}
        complete_words '{world.milgi}' pr
        complete_words '{world.milgi}' proxy --work
        complete_words '{world.milgi}' connect --upd
        complete_words '{world.milgi}' proxy --client-auth req
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=limit())
    check(done.stdout.split() == ["proxy", "--workers", "--update-keys", "required"],
          f"completion: {done.stdout!r} {done.stderr!r}")
