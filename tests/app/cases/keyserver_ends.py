# SPDX-License-Identifier: Apache-2.0
"""A key server and its clients: who may have signatures, when they are sent away, what becomes of them at its end."""

import hashlib
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading

import kit
from kit import check, limit, until

from cases.keyserver import identifier, made

ECDSA_SHA256, ED25519, PING, PONG, RESPONSE = 0x15, 0x18, 0xf1, 0xf2, 0xf0
BUSY = ["--device", "pool:1,depth=1"]


class KeyServer(kit.Proxy):
    def __init__(self, world, *arguments, signs="second"):
        pki = world.pki
        kit.Command.__init__(
            self, world, "keyserver", "--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key", pki.path("server", "key"),
            "--client-ca", pki.path("ca"), "--sign-cert", pki.path(signs), "--sign-key", pki.path(signs, "key"), *arguments)
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"listening on (.*):(\d+)\n", line)
        check(found, f"the first line is {line!r}; {self.err()}")
        self.port = int(found.group(2))


def key_id(world):
    """SHA-1 of the public key's bits: of a point on P-256 the last 65 bytes of all."""
    key = subprocess.run(["openssl", "pkey", "-in", world.pki.path("second", "key"), "-pubout", "-outform", "DER"],
                         capture_output=True, check=True, timeout=60).stdout
    return hashlib.sha1(key[-65:]).digest()


def count(server, word):
    """As it tells it on SIGUSR1."""
    before = server.err().count("under way")
    server.process.send_signal(signal.SIGUSR1)
    until(lambda: server.err().count("under way") > before and server.err().endswith("\n"), "the counts")
    return int(re.findall(rf" {word} (\d+)", server.err())[-1])


def keep_saying(client, data):
    """In a thread, until it is sent away."""
    def say():
        try:
            client.sendall(data)
        except OSError:
            pass
    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    return thread


def item(tag, data):
    return struct.pack(">BH", tag, len(data)) + data


def message(number, opcode, payload=b"", ski=None):
    body = item(0x11, bytes([opcode])) + item(0x12, payload) + (item(0x04, ski) if ski else b"")
    return struct.pack(">BBHI", 1, 0, len(body), number) + body


def connect(world, server, cert="alice", version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(world.pki.path("ca"))
    if version:
        context.maximum_version = version
    if cert:
        context.load_cert_chain(world.pki.path(cert), world.pki.path(cert, "key"))
    sock = socket.create_connection(("127.0.0.1", server.port), limit())
    return world.keep(context.wrap_socket(sock, server_hostname="localhost"))


def opcode_of(client):
    """Of the next answer."""
    data = b""
    while len(data) < 8 or len(data) < 8 + struct.unpack(">H", data[2:4])[0]:
        more = client.recv(8 if not data else 8 + struct.unpack(">H", data[2:4])[0] - len(data))
        check(more, "the key server has hung up")
        data += more
    return data[11]


def test_only_clients_of_the_authority_have_signatures(world):
    server, ski = world.keep(KeyServer(world)), key_id(world)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for cert in (None, "mallory", "second"):
            try:
                client = connect(world, server, cert, version)
                client.sendall(message(1, ECDSA_SHA256, 32 * b"x", ski))
                answer = client.recv(1)
            except (ssl.SSLError, ConnectionError):
                answer = b""
            check(not answer, f"{cert} was given a signature")
        client = connect(world, server, "alice", version)
        client.sendall(message(1, ECDSA_SHA256, 32 * b"x", ski))
        check(opcode_of(client) == RESPONSE, "no signature")
    check(server.stop() == 0, server.err())


def test_without_an_idle_timeout_clients_may_be_silent(world):
    server = world.keep(KeyServer(world, "--idle-timeout", "0"))
    client = connect(world, server)
    client.sendall(message(1, PING))
    check(opcode_of(client) == PONG, "no pong")
    check(not select.select([client], [], [], 1.2)[0], "sent away")  # it looks once a second
    check(server.stop() == 0, server.err())


def test_it_ends_with_requests_that_wait_for_its_device(world):
    server, ski = world.keep(KeyServer(world, *BUSY)), key_id(world)
    client = connect(world, server)
    client.sendall(b"".join(message(i, ECDSA_SHA256, 32 * b"x", ski) for i in range(1000)))
    check(opcode_of(client) == RESPONSE, "no signature")
    server.process.send_signal(signal.SIGINT)
    check(server.wait() == 0, server.err())


def test_what_clients_have_under_way_is_bounded_for_all_of_them(world):
    name = made(world, "ed25519")
    ski, most = identifier(world, name), 64 << 20 >> 4
    server = world.keep(KeyServer(world, "--memory", "64M", "--device", "sim:latency.sign=600s,depth=65536", signs=name))
    asked = b"".join(message(i, ED25519, 16000 * b"x", ski) for i in range(400))  # 6.4 MB
    threads = [keep_saying(connect(world, server), asked) for _ in range(24)]
    until(lambda: count(server, "held") > most - (1 << 20), "as much under way as may be")
    other, patient = connect(world, server), connect(world, server)
    threads.append(keep_saying(patient, asked[:1 << 20]))  # one of these is taken; what is behind it waits
    for i in range(200):
        other.sendall(message(i, PING))
        check(opcode_of(other) == PONG, "another one is served")
    held = count(server, "held")
    check(held < most + (1 << 20), f"{held} of {most}")
    check("sent away" not in server.err(), "who has more to ask has to wait: nobody is sent away for it")
    server.process.send_signal(signal.SIGINT)
    check(server.wait() == 0, server.err())
    for thread in threads:
        thread.join(limit())


def test_who_does_not_take_his_answers_is_sent_away(world):
    server, ski = world.keep(KeyServer(world, "--idle-timeout", "0.2", "--device", "sim:latency.sign=300ms,units=1024,depth=1024")), key_id(world)
    client = connect(world, server)
    asked = b"".join(message(i, ECDSA_SHA256, 32 * b"x", ski) for i in range(900))
    thread = keep_saying(client, asked + 200 * message(1, PING, 60000 * b"x"))
    thread.join(limit())
    check(not thread.is_alive(), "it is there still")
    until(lambda: count(server, "clients") == 0, "its end")
    check(count(server, "held") == 0, "what it had asked for is gone")
    check(server.stop() == 0, server.err())
