# SPDX-License-Identifier: Apache-2.0
"""A TCP relay that keeps what both sides say first, and what can be read of it: hellos, and the flights behind them."""

import hashlib
import socket
import threading

from .backends import BLOCK, Backend
from .names import GROUP_NUMBERS
from .proc import Failure

# RFC 8446 4.1.3: the ServerHello.random that makes it a HelloRetryRequest
RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()
KEEP = 1 << 16                          # bytes of each direction
CHANGE_CIPHER_SPEC, HANDSHAKE, APPLICATION_DATA = 20, 22, 23
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_STATUS = 1, 2, 11, 12, 22
STATUS_REQUEST, PRE_SHARED_KEY, SUPPORTED_VERSIONS, KEY_SHARE = 5, 41, 43, 51
CLIENT, SERVER = 0, 1


class Fields:
    """Reads numbers and vectors, each with its length in front."""

    def __init__(self, data):
        self.data = data

    def take(self, n):
        if n > len(self.data):
            raise Failure("what was said on the wire is cut short")
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def vector(self, n):
        return self.take(self.number(n))

    def extensions(self):
        found, fields = {}, Fields(self.vector(2)) if self.data else Fields(b"")
        while fields.data:
            kind = fields.number(2)
            found[kind] = fields.vector(2)
        return found


class Hello:
    def __init__(self, kind, body):
        fields = Fields(body)
        fields.take(2)
        self.random = fields.take(32)
        self.session = fields.vector(1)
        if kind == CLIENT_HELLO:
            fields.vector(2)
            fields.vector(1)
        else:
            fields.take(3)
        self.extensions = fields.extensions()


class Connection:
    """The records of both sides, in the order in which the relay saw them end."""

    def __init__(self):
        self.records = []               # (side, type, body)
        self._kept = [bytearray(), bytearray()]
        self._total = [0, 0]
        self._lock = threading.Lock()

    def said(self, side, data):
        with self._lock:
            if self._total[side] > KEEP:
                return
            self._total[side] += len(data)
            kept = self._kept[side]
            kept += data
            while len(kept) >= 5 and len(kept) >= 5 + int.from_bytes(kept[3:5], "big"):
                end = 5 + int.from_bytes(kept[3:5], "big")
                self.records.append((side, kept[0], bytes(kept[5:end])))
                del kept[:end]

    def messages(self, side):
        """The handshake messages that are not encrypted: (type, body)."""
        plain = b""
        for who, kind, body in self.records:
            if who == side and kind == HANDSHAKE:
                plain += body
            elif who == side and (kind == APPLICATION_DATA or kind == CHANGE_CIPHER_SPEC and not self.tls13()):
                break
        found, fields = [], Fields(plain)
        while len(fields.data) >= 4 and len(fields.data) >= 4 + int.from_bytes(fields.data[1:4], "big"):
            kind = fields.number(1)
            found.append((kind, fields.vector(3)))
        return found

    def hellos(self, kind):
        side = CLIENT if kind == CLIENT_HELLO else SERVER
        plain = b"".join(body for who, what, body in self.records[:8] if who == side and what == HANDSHAKE)
        found, fields = [], Fields(plain)
        while len(fields.data) >= 4 and fields.data[0] == kind and \
                len(fields.data) >= 4 + int.from_bytes(fields.data[1:4], "big"):
            fields.take(1)
            found.append(Hello(kind, fields.vector(3)))
        return found

    def answer(self):
        """The ServerHello that is no HelloRetryRequest; None if there was none."""
        real = [hello for hello in self.hellos(SERVER_HELLO) if hello.random != RETRY_RANDOM]
        return real[-1] if real else None

    def tls13(self):
        return bool(self.answer()) and SUPPORTED_VERSIONS in self.answer().extensions

    def group(self):
        """The number of the group of the key exchange; None if there was none."""
        if self.tls13():
            share = self.answer().extensions.get(KEY_SHARE)
            return int.from_bytes(share[:2], "big") if share else None
        for kind, body in self.messages(SERVER):
            if kind == SERVER_KEY_EXCHANGE and body[0] == 3:
                return int.from_bytes(body[1:3], "big")
        return None

    def share_lengths(self):
        """Of the client's share of the group that was taken, and of the server's."""
        server = len(self.answer().extensions[KEY_SHARE]) - 4
        fields = Fields(Fields(self.hellos(CLIENT_HELLO)[-1].extensions[KEY_SHARE]).vector(2))
        while fields.data:
            group = fields.number(2)
            share = fields.vector(2)
            if group == self.group():
                return len(share), server
        return 0, server

    def encrypted(self, side):
        """The length of the first encrypted flight of that side: what it said before the other one's next encrypted record."""
        length = 0
        for who, kind, body in self.records:
            if kind != APPLICATION_DATA:
                continue
            if who == side:
                length += len(body)
            elif length:
                break
        return length

    def certificate_shown(self, side, shortest):
        """Whether a Certificate can have been in what that side said: in TLS 1.2 it is to be seen; in TLS 1.3 the flight must
        be long enough to hold one of |shortest| bytes."""
        if self.tls13():
            return self.encrypted(side) >= shortest
        return any(kind == CERTIFICATE for kind, _ in self.messages(side))


class Tap(Backend):
    def __init__(self, port):
        self.target = port
        self.connections = []
        super().__init__()

    def serve(self, connection):
        seen = Connection()
        with socket.create_connection(("127.0.0.1", self.target)) as onward:
            self.connections.append(seen)
            up = threading.Thread(target=self.copy, args=(connection, onward, seen, CLIENT), daemon=True)
            up.start()
            self.copy(onward, connection, seen, SERVER)
            up.join()
        return (0, None)

    @staticmethod
    def copy(source, target, seen, side):
        """To the end, also when the target takes no more: a socket that is closed with something unread is reset, and what
        its other end has not read yet is lost with it."""
        takes = True
        try:
            while data := source.recv(BLOCK):
                seen.said(side, data)
                try:
                    if takes:
                        target.sendall(data)
                except OSError:
                    takes = False
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def answered(self):
        found = [connection for connection in self.connections if connection.answer()]
        if not found:
            raise Failure("no ServerHello on the wire")
        return found

    def check_group(self, wanted):
        """What was taken is told by the server's share, in each connection that has a key exchange."""
        for connection in self.answered():
            group = connection.group()
            if group is not None and group != GROUP_NUMBERS[wanted]:
                raise Failure(f"the group on the wire is {group:#06x}, not {wanted}")
            # FIPS 203: 1184 bytes of encapsulation key, 1088 of ciphertext; 32 of X25519 with each
            if wanted == "hybrid" and group is not None and connection.share_lengths() != (1184 + 32, 1088 + 32):
                raise Failure(f"the shares on the wire have {connection.share_lengths()} bytes")
        if all(connection.group() is None for connection in self.answered()):
            raise Failure("no key exchange on the wire")

    def check_retry(self):
        if not any(hello.random == RETRY_RANDOM for hello in self.connections[0].hellos(SERVER_HELLO)):
            raise Failure("the server sent no HelloRetryRequest")

    def check_resumed(self, tls13, server_leaf, client_leaf=None):
        """The first connection shows certificates, the last none. The leaves' lengths tell what a flight with one has; of a side
        without one nothing is judged."""
        first, last = self.answered()[0], self.answered()[-1]
        if first is last:
            raise Failure("there was but one connection")
        for side, shortest, who in ((SERVER, server_leaf, "server"), (CLIENT, client_leaf, "client")):
            if shortest and not first.certificate_shown(side, shortest):
                raise Failure(f"the first connection's {who} showed no Certificate")
            if shortest and last.certificate_shown(side, shortest):
                raise Failure(f"the resumed connection's {who} showed a Certificate")
        if last.tls13() != tls13:
            raise Failure("the resumed connection is of another version")
        if tls13 and PRE_SHARED_KEY not in last.answer().extensions:
            raise Failure("the server did not take a pre-shared key")
        if not tls13 and last.answer().session != last.hellos(CLIENT_HELLO)[-1].session:
            raise Failure("the server did not take the session")

    def check_staple(self, tls13, shortest):
        """The client asked for an OCSP response, and got one."""
        connection = self.answered()[-1]
        if STATUS_REQUEST not in connection.hellos(CLIENT_HELLO)[-1].extensions:
            raise Failure("the client asked for no OCSP response")
        if tls13 and connection.encrypted(SERVER) < shortest:
            raise Failure("the server's flight is too short for a certificate and an OCSP response")
        if not tls13 and not any(kind == CERTIFICATE_STATUS for kind, _ in connection.messages(SERVER)):
            raise Failure("the server sent no CertificateStatus")
