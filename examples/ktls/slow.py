# SPDX-License-Identifier: Apache-2.0
"""slow.py PORT CA: a client that ends its own direction first, then reads slowly, to close_notify, and writes what it got."""

import socket
import ssl
import sys
import time

port, ca = int(sys.argv[1]), sys.argv[2]
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
sock.connect(("127.0.0.1", port))
came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = ssl.create_default_context(cafile=ca).wrap_bio(came, goes, server_hostname="localhost")


def step(call):
    """What |call| answers, or None: it wants more of the network, which has been read."""
    try:
        return call()
    except ssl.SSLWantReadError:
        return None
    finally:
        sock.sendall(goes.read())


def more():
    data = sock.recv(65536)
    came.write(data) if data else came.write_eof()


while step(lambda: tls.do_handshake() or True) is None:
    more()
step(tls.unwrap)
time.sleep(0.5)  # the server has handed out all that fits
while True:
    try:
        got = step(lambda: tls.read(65536))
    except ssl.SSLZeroReturnError:
        break
    if got is None:
        time.sleep(0.002)
        more()
    elif got:
        sys.stdout.buffer.write(got)
    else:
        break
