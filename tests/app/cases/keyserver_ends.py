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

import kit
from kit import check, limit

ECDSA_SHA256, PING, PONG, RESPONSE = 0x15, 0xf1, 0xf2, 0xf0
BUSY = ["--device", "pool:1,depth=1"]


class KeyServer(kit.Proxy):
    def __init__(self, world, *arguments):
        pki = world.pki
        kit.Command.__init__(
            self, world, "keyserver", "--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key", pki.path("server", "key"),
            "--client-ca", pki.path("ca"), "--sign-cert", pki.path("second"), "--sign-key", pki.path("second", "key"), *arguments)
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"listening on (.*):(\d+)\n", line)
        check(found, f"the first line is {line!r}; {self.err()}")
        self.port = int(found.group(2))


def key_id(world):
    """SHA-1 of the public key's bits: of a point on P-256 the last 65 bytes of all."""
    key = subprocess.run(["openssl", "pkey", "-in", world.pki.path("second", "key"), "-pubout", "-outform", "DER"],
                         capture_output=True, check=True, timeout=60).stdout
    return hashlib.sha1(key[-65:]).digest()


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
