# SPDX-License-Identifier: Apache-2.0
"""Where it listens and where it connects: both families, every address of a name, sockets in the file system, time limits."""

import os
import re
import signal
import socket
import subprocess
import time

from kit import Backend, Command, check, free_port, limit, reset, until

from cases.relay import echo

GET = "GET / HTTP/1.1\nHost: localhost\n\n"
UNIX = "unix:"


def arguments(world, *listen):
    pki = world.pki
    return ["proxy", *[word for where in listen for word in ("--listen", where)], "--cert", pki.path("server"), "--key",
            pki.path("server", "key")]


def listens(world, n, *words, **how):
    """A proxy of its own words, and what its first |n| lines of output say after "listening on"."""
    command = world.keep(Command(world, *words, **how))
    lines = [command.process.stdout.readline().decode() for _ in range(n)]
    found = [re.fullmatch(r"listening on (.*)\n", line) for line in lines]
    check(all(found), f"{words}: {lines} {command.err()}")
    return command, [match.group(1) for match in found]


def answers(world, host, port):
    """Whether somebody does TLS there."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", world.pki.path("ca"), "-tls1_3"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=limit())
    return b"Verify return code: 0 (ok)" in done.stdout


def has_v6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def end(command):
    command.process.send_signal(signal.SIGTERM)
    check(command.wait() == 0, command.err())


def test_no_host_means_every_address_of_both_families(world):
    for workers in ("1", "2"):
        command, said = listens(world, 1, *arguments(world, ":0"), "--workers", workers)
        port = said[0].rsplit(":", 1)[1]
        check(answers(world, "127.0.0.1", port), f"IPv4: {said}")
        check(not has_v6() or answers(world, "[::1]", port), f"IPv6: {said}")
        end(command)


def test_every_address_of_a_name_is_listened_on(world):
    found = {entry[4][0] for entry in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    command, said = listens(world, len(found), *arguments(world, "localhost:0"))
    for address in said:
        host, port = address.rsplit(":", 1)
        check(answers(world, host, port), f"{address} of {said}")
    check(len({address.rsplit(":", 1)[1] for address in said}) == 1, f"several ports: {said}")
    end(command)


def test_listen_may_be_given_several_times(world):
    path = os.path.join(world.work, "listen.sock")
    for workers in ("1", "2"):
        command, said = listens(world, 3, *arguments(world, "127.0.0.1:0", "127.0.0.1:0", UNIX + path), "--workers", workers,
                                "--max-conns", "4")
        check(said[2] == UNIX + path, f"{said}")
        for address in said[:2]:
            check(answers(world, *address.rsplit(":", 1)), address)
        check(speaks(world, path), "the socket in the file system")
        end(command)
        check(not os.path.exists(path), "the socket is left in the file system")


def test_both_families_may_be_listened_on_apart(world):
    if not has_v6():
        return
    port = free_port()
    v4, v6 = [f"0.0.0.0:{port}", f"127.0.0.1:{port}"], [f"[::]:{port}", f"[::1]:{port}"]
    for one, other in ((v4[0], v6[0]), (v6[0], v4[0]), (v6[0], v4[1]), (v4[1], v6[0]), (v6[1], v4[0]), (v4[1], v6[1])):
        command, said = listens(world, 2, *arguments(world, one, other))
        check(said == [one, other], said)
        check(answers(world, "127.0.0.1", port) and answers(world, "[::1]", port), f"{one} {other} {command.err()}")
        end(command)


def test_an_address_that_is_given_twice_is_told(world):
    port = free_port()
    path = UNIX + os.path.join(world.work, "twice.sock")
    for one, other in ((f":{port}", f":{port}"), (f"127.0.0.1:{port}", f"127.0.0.1:{port}"), (f":{port}", f"127.0.0.1:{port}"),
                       (f"127.0.0.1:{port}", f":{port}"), (f"0.0.0.0:{port}", f"127.0.0.1:{port}"), (path, path),
                       (f"localhost:{port}", f"127.0.0.1:{port}")):
        status, out, err = world.run(*arguments(world, one, "127.0.0.1:0", other))
        check(status == 1 and not out and f"--listen {other} is given twice: --listen {one} takes" in err, f"{status} {err}")
    with socket.create_server(("127.0.0.2", port)):
        status, out, err = world.run(*arguments(world, f"127.0.0.1:{port}", f"127.0.0.2:{port}"))
        check(status == 1 and "cannot listen on 127.0.0.2" in err and "in use" in err, err)


# --- sockets in the file system ---------------------------------------------------------------------------------------

def speaks(world, path):
    command = world.keep(Command(world, "connect", UNIX + path, "--name", "localhost", "--ca", world.pki.path("ca"),
                                 stdin=subprocess.PIPE))
    status, out = command.finish(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return status == 0 and b"200 OK" in out


def test_a_socket_that_was_left_is_taken_over_and_one_in_use_is_not(world):
    path = os.path.join(world.work, "stale.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.listen()
    command, _ = listens(world, 1, *arguments(world, UNIX + path))
    check(speaks(world, path), command.err())
    status, _, err = world.run(*arguments(world, UNIX + path))
    check(status == 1 and "in use" in err and speaks(world, path), f"{status} {err}")
    command.process.send_signal(signal.SIGKILL)
    command.wait()
    command, _ = listens(world, 1, *arguments(world, UNIX + path))
    check(speaks(world, path), "after one that was killed")
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        end(command)
        check(os.path.exists(path), "another's socket was taken away")
    os.unlink(path)


def test_a_file_that_is_no_socket_is_left_alone(world):
    path = os.path.join(world.work, "a-file.sock")
    with open(path, "w") as out:
        out.write("mine")
    status, _, err = world.run(*arguments(world, UNIX + path))
    check(status == 1 and "is no socket" in err and open(path).read() == "mine", f"{status} {err}")


class UnixBackend(Backend):
    """A backend on a socket in the file system."""

    def __init__(self, serve, path):
        self.path = path
        super().__init__(serve)
        self.listener.close()

    @property
    def address(self):
        return UNIX + self.path

    def accept(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen(64)
            self.ready = listener
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                self.sockets.append(sock)
                self.one(sock)

    def close(self):
        self.ready.shutdown(socket.SHUT_RDWR)
        super().close()


def test_the_backend_may_be_a_socket_in_the_file_system(world):
    path = os.path.join(world.work, "backend.sock")
    backend = world.keep(UnixBackend(echo, path))
    until(lambda: os.path.exists(path), "the backend")
    proxy = world.proxy("--backend", backend.address)
    client = world.client(proxy)
    data = os.urandom(300000)
    client.tls.settimeout(limit())
    for at in range(0, len(data), 30000):
        client.send(data[at:at + 30000])
        got = b""
        while len(got) < 30000:
            got += client.read()
        check(got == data[at:at + 30000], "not what was sent")
    check(proxy.stop() == 0, proxy.err())


# --- connecting -------------------------------------------------------------------------------------------------------

def test_the_next_address_of_a_name_is_tried_when_one_fails(world):
    """localhost has both families here, or one: the backend is on one of them only."""
    families = {entry[0] for entry in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if family not in families:
            continue
        with socket.socket(family) as listener:
            listener.bind((host, 0))
            listener.listen()
            listener.settimeout(limit())
            proxy = world.proxy("--backend", f"localhost:{listener.getsockname()[1]}")
            client = world.client(proxy)
            sock, _ = listener.accept()
            sock.sendall(b"here")
            check(client.read() == b"here", f"{host}: nothing came")
            sock.close()
            check(proxy.stop() == 0, proxy.err())


def full(family=socket.AF_INET, host="127.0.0.1"):
    """A listener whose queue is full: who connects waits for ever. And those who fill it."""
    listener = socket.socket(family)
    listener.bind((host, 0))
    listener.listen(0)
    fillers = []
    for _ in range(8):
        sock = socket.socket(family)
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        fillers.append(sock)
    time.sleep(0.1)
    return listener, fillers


def test_a_backend_that_does_not_answer_is_given_up_in_time(world):
    listener, fillers = full()
    proxy = world.proxy("--backend", f"127.0.0.1:{listener.getsockname()[1]}", "--connect-timeout", "0.5")
    client = world.client(proxy)
    client.send(b"early data of the client")
    begin = time.monotonic()
    try:
        client.read()
        check(False, "an end in order")
    except OSError as error:
        check("internal error" in str(error).lower(), f"{error}")
    check(0.3 < time.monotonic() - begin < limit() / 2, "not in time")
    until(lambda: "timed out" in proxy.err(), f"the reason: {proxy.err()}")
    check(proxy.stop() == 0, proxy.err())
    for sock in (listener, *fillers):
        sock.close()


def test_connect_gives_up_in_time(world):
    listener, fillers = full()
    begin = time.monotonic()
    status, _, err = world.run("connect", f"127.0.0.1:{listener.getsockname()[1]}", "--connect-timeout", "0.5")
    check(status == 1 and "timed out" in err, f"{status} {err}")
    check(0.3 < time.monotonic() - begin < limit() / 2, "not in time")
    for sock in (listener, *fillers):
        sock.close()


def test_what_a_client_sends_while_the_backend_is_connected_arrives(world):
    listener, fillers = full()
    listener.settimeout(limit())
    proxy = world.proxy("--backend", f"127.0.0.1:{listener.getsockname()[1]}", "--connect-timeout", "20")
    client = world.client(proxy)
    data = os.urandom(100000)
    client.send(data)
    time.sleep(0.3)
    for sock in fillers:
        reset(sock)
    got = b""
    while not got:
        sock, _ = listener.accept()
        sock.settimeout(limit())
        try:
            while len(got) < len(data):
                part = sock.recv(65536)
                if not part:
                    break
                got += part
        except OSError:
            pass
    check(got == data, f"{len(got)} bytes")
    sock.close()
    listener.close()
    check(proxy.stop() == 0, proxy.err())


# --- arguments --------------------------------------------------------------------------------------------------------

def test_what_is_given_twice_is_refused(world):
    base = arguments(world, "127.0.0.1:0")
    for option, value in (("--backend", "127.0.0.1:1"), ("--max-conns", "5"), ("--idle-timeout", "5"), ("--device", "cpu"),
                          ("--client-ca", world.pki.path("ca")), ("--alpn", "h2"), ("--workers", "1"), ("--keylog", "/dev/null")):
        status, _, err = world.run(*base, option, value, option, value)
        check(status == 2 and f"{option} is given twice" in err, f"{option}: {status} {err}")
    status, _, err = world.run("connect", "--json", "--json", "localhost:1")
    check(status == 2 and "--json is given twice" in err, f"{status} {err}")


def test_addresses_that_are_none_are_refused_with_a_reason(world):
    for words, why in ((["connect", ":443"], "host is missing"), (["connect", "b\u00fccher.example:443"], "not ASCII"),
                       (["connect", "unix:relative", "--insecure"], "absolute path"), (["connect", "unix:/x"], "--name"),
                       (["connect", "unix:/" + "x" * 200, "--insecure"], "too long"), (["connect", "a b:443"], "HOST:PORT"),
                       ([*arguments(world, "127.0.0.1:0"), "--backend", ":80"], "host is missing"),
                       ([*arguments(world, "b\u00fccher.example:443")], "not ASCII")):
        status, _, err = world.run(*words)
        check(status == 2 and why in err and len(err.splitlines()) == 1, f"{words}: {status} {err}")


def test_names_of_groups_and_suites_are_taken_in_any_usual_spelling(world):
    proxy = world.proxy("--groups", "X25519,P-256,SECP384R1", "--suites", "tls_aes_128_gcm_sha256,CHACHA20-POLY1305-SHA256")
    for group, name in (("prime256v1", "secp256r1"), ("p-256", "secp256r1"), ("P256", "secp256r1"), ("P-384", "secp384r1"),
                        ("x25519", "x25519"), ("X25519", "x25519"), ("SecP256r1", "secp256r1")):
        command = world.connect(proxy.port, "--groups", group, "--suites", "TLS-CHACHA20-POLY1305-SHA256")
        status, _ = command.finish(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        check(status == 0 and f", {name}, " in command.err() and "TLS_CHACHA20_POLY1305_SHA256" in command.err(),
              f"{group}: {command.err()}")
    status, _, err = world.run("connect", "x:1", "--groups", "p999")
    check(status == 2 and "'p999' is not known" in err and "x25519" in err, err)


def test_sizes_are_sizes(world):
    for value in ("1K", "65G", "x", "64MB", "-64M"):
        status, _, err = world.run(*arguments(world, "127.0.0.1:0"), "--memory", value)
        check(status == 2 and "--memory" in err and "64M" in err, f"{value}: {status} {err}")
    proxy = world.proxy("--memory", "64M", "--max-message", "256k")
    check(world.client(proxy).ask(GET)[0] == 200, proxy.err())
