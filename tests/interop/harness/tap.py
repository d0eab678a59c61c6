# SPDX-License-Identifier: Apache-2.0
"""A TCP relay that looks for HelloRetryRequest in what the server sends first."""

import hashlib
import socket
import threading

from .backends import BLOCK, Backend
from .proc import Failure

# RFC 8446 4.1.3: the ServerHello.random that makes it a HelloRetryRequest
RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()


class Tap(Backend):
    def __init__(self, port):
        self.target = port
        self.first = []
        super().__init__()

    def serve(self, connection):
        with socket.create_connection(("127.0.0.1", self.target)) as onward:
            head = bytearray()
            self.first.append(head)
            up = threading.Thread(target=self.copy, args=(connection, onward, None), daemon=True)
            up.start()
            self.copy(onward, connection, head)
            up.join()
        return (len(head), None)

    @staticmethod
    def copy(source, target, head):
        try:
            while data := source.recv(BLOCK):
                if head is not None and len(head) < 64:
                    head += data[:64]
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def check_retry(self):
        """In the first record: type, version, length; handshake type, length; version; random."""
        if not self.first or bytes(self.first[0][11:43]) != RETRY_RANDOM:
            raise Failure("the server sent no HelloRetryRequest")
