# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol: to a backend, and from what stands in front."""

import socket
import ssl
import struct
import time

from kit import check, limit, until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def first_bytes(count):
    def serve(sock):
        sock.settimeout(limit())
        data = b""
        while len(data) < count:
            more = sock.recv(4096)
            if not more:
                break
            data += more
        return data
    return serve


def tlvs(data):
    found = {}
    while data:
        kind, length = struct.unpack("!BH", data[:3])
        found[kind] = data[3:3 + length]
        data = data[3 + length:]
    return found


def parse_v2(data):
    """(source, destination, TLVs, what follows)."""
    check(data[:12] == SIGNATURE and data[12] == 0x21 and data[13] == 0x11, data[:20])
    length = struct.unpack("!H", data[14:16])[0]
    body, rest = data[16:16 + length], data[16 + length:]
    source = (socket.inet_ntoa(body[:4]), struct.unpack("!H", body[8:10])[0])
    destination = (socket.inet_ntoa(body[4:8]), struct.unpack("!H", body[10:12])[0])
    return source, destination, tlvs(body[12:]), rest


def test_families_that_do_not_exist_are_refused(world):
    proxy = world.proxy("--accept-proxy")
    addresses = bytes(12)
    for family in range(256):
        known = family >> 4 <= 3 and family & 15 <= 2
        if known and family not in (0x00, 0x12, 0x31) or not known and family & 0x12 != 0x12 and family not in (0x03, 0x13, 0x40):
            continue
        for command in (0x21, 0x20):
            sock = world.raw(proxy)
            sock.sendall(SIGNATURE + bytes([command, family]) + struct.pack("!H", 12) + addresses)
            context = ssl.create_default_context(cafile=world.pki.path("ca"))
            try:
                context.wrap_socket(sock, server_hostname="localhost").close()
                taken = True
            except OSError:
                taken = False
            check(taken == (known or command == 0x20), f"family {family:02x} of {command:02x}")


def test_version_1_names_both_ends(world):
    def serve(sock):
        return sock.makefile("rb").readline()
    backend = world.backend(serve)
    proxy = world.proxy("--backend", backend.address, "--proxy-protocol", "v1")
    client = world.client(proxy)
    port = client.tls.getsockname()[1]
    client.send(b"hello\n")
    check(backend.result() == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (port, proxy.port), "another header")


def test_version_2_tells_of_tls(world):
    backend = world.backend(first_bytes(200))
    proxy = world.proxy("--backend", backend.address, "--proxy-protocol", "v2", "--alpn", "x", "--client-ca",
                        world.pki.path("ca"))
    client = world.client(proxy, cert="alice", alpn=["x"])
    port = client.tls.getsockname()[1]
    client.send(b"m" * 200)
    source, destination, found, rest = parse_v2(backend.result())
    check(source == ("127.0.0.1", port) and destination == ("127.0.0.1", proxy.port), (source, destination))
    check(found[1] == b"x" and found[2] == b"localhost", found)
    check(found[0x20][0] == 7 and found[0x20][1:5] == bytes(4), found[0x20])
    inner = tlvs(found[0x20][5:])
    check(inner[0x21] == b"TLSv1.3" and inner[0x22] == b"alice" and inner[0x23].startswith(b"TLS_"), inner)
    check(rest.startswith(b"m"), "the header is not before everything")


def test_version_2_without_a_client_certificate(world):
    backend = world.backend(first_bytes(100))
    proxy = world.proxy("--backend", backend.address, "--proxy-protocol", "v2")
    client = world.client(proxy)
    client.send(b"m" * 100)
    _, _, found, _ = parse_v2(backend.result())
    check(found[0x20][0] == 1 and found[0x20][1:5] == b"\0\0\0\1", found[0x20])
    check(0x22 not in tlvs(found[0x20][5:]), "a name without a certificate")


def test_the_header_comes_though_the_client_says_nothing(world):
    backend = world.backend(first_bytes(10))
    proxy = world.proxy("--backend", backend.address, "--proxy-protocol", "v1")
    world.client(proxy)
    check(backend.result().startswith(b"PROXY TCP4 "), "no header")


def handshake_behind(world, proxy, header, pieces=1):
    sock = world.raw(proxy)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(pieces):
        sock.sendall(header[len(header) * i // pieces:len(header) * (i + 1) // pieces])
        if pieces > 1:
            time.sleep(0.02)
    context = ssl.create_default_context(cafile=world.pki.path("ca"))
    return context.wrap_socket(sock, server_hostname="localhost")


def v2(source=("192.0.2.7", 4711), destination=("192.0.2.1", 443), command=1, extra=b""):
    body = socket.inet_aton(source[0]) + socket.inet_aton(destination[0]) + struct.pack("!HH", source[1], destination[1])
    return SIGNATURE + bytes([0x20 | command, 0x11]) + struct.pack("!H", len(body) + len(extra)) + body + extra


def forwarded(world, header, pieces=1):
    """What a backend is told of a client that came behind |header|."""
    def serve(sock):
        return sock.makefile("rb").readline()
    backend = world.backend(serve)
    proxy = world.proxy("--backend", backend.address, "--accept-proxy", "--proxy-protocol", "v1")
    tls = handshake_behind(world, proxy, header, pieces)
    tls.sendall(b"hello\n")
    own = tls.getsockname()[1]
    tls.close()
    return backend.result(), own


def test_both_versions_are_taken_whole_and_in_pieces(world):
    wanted = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"
    for header in (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n", v2(), v2(extra=b"\x04\0\x05hello")):
        for pieces in (1, 7):
            got, _ = forwarded(world, header, pieces)
            check(got == wanted, (header, pieces, got))


def test_ipv6_is_taken(world):
    got, _ = forwarded(world, b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n")
    check(got == b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", got)


def test_who_speaks_for_itself_is_who_the_socket_says(world):
    for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN anything at all\r\n", v2(command=0),
                   SIGNATURE + b"\x21\x00\0\0"):
        got, own = forwarded(world, header)
        check(got.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 %d " % own), (header, got))


def test_nobody_comes_without_a_header(world):
    proxy = world.proxy("--accept-proxy")
    bad = [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\n",
           b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443 9\r\n", b"PROXY TCP4 192.0.2.7 2001:db8::1 4711 443\r\n",
           b"PROXY TCP4 192.0.2.7 192.0.2.1 99999 443\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 04711 443\r\n",
           b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\n", b"PROXY TCP4 " + b"1" * 200,
           SIGNATURE + b"\x31\x11\0\x0c" + bytes(12), SIGNATURE + b"\x21\x11\0\x04" + bytes(4),
           SIGNATURE + b"\x21\x11\xff\xff"]
    for header in bad:
        sock = world.raw(proxy)
        sock.sendall(header)
        try:
            data = sock.recv(100)
        except ConnectionResetError:
            data = b""
        check(data == b"", (header, data))
    until(lambda: "no PROXY header" in proxy.err(), "nothing is told")


def test_a_header_that_does_not_come_is_not_waited_for(world):
    proxy = world.proxy("--accept-proxy", "--handshake-timeout", "0.3")
    for header in (b"", b"PROXY ", SIGNATURE):
        sock = world.raw(proxy)
        sock.sendall(header)
        begin = time.monotonic()
        check(sock.recv(100) == b"", "an answer")
        check(time.monotonic() - begin < limit() / 2, "it was waited for")


def test_the_end_does_not_wait_for_headers(world):
    proxy = world.proxy("--accept-proxy", "--drain", "0.2")
    socks = [world.raw(proxy) for _ in range(5)]
    socks[1].sendall(b"PROXY TCP4")
    time.sleep(0.2)
    check(proxy.stop() == 0, "another exit status")
