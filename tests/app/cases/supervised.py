# SPDX-License-Identifier: Apache-2.0
"""The proxy as a service: what it tells its supervisor, and what stands around it in an installation."""

import os
import select
import socket
import subprocess

from kit import Client, check, limit

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def heard(world, address, *arguments):
    """What a supervisor that listens at |address| is told until the proxy has served somebody."""
    supervisor = world.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    supervisor.bind(address)
    name = "@" + address[1:] if address[0] == "\0" else address
    proxy = world.proxy(*arguments, environment={"NOTIFY_SOCKET": name})
    check(select.select([supervisor], [], [], limit())[0], "the supervisor is told that the proxy is ready")
    told = supervisor.recv(1000)
    client = Client(proxy.port, world.pki)
    check(client.ask("GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n")[0] == 200, "it serves")
    client.close()
    check(proxy.stop() == 0, "it ends as intended")
    check(not select.select([supervisor], [], [], 0)[0], "the supervisor is told so once, by one process")
    return told


def test_the_supervisor_is_told_when_it_serves(world):
    check(heard(world, os.path.join(world.work, "notify-one")) == b"READY=1", "READY=1")


def test_the_supervisor_of_workers_is_told_once(world):
    check(heard(world, os.path.join(world.work, "notify-two"), "--workers", "2") == b"READY=1", "READY=1")


def test_the_supervisors_socket_may_be_no_file(world):
    check(heard(world, f"\0milgi-test-{os.getpid()}") == b"READY=1", "READY=1")


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
