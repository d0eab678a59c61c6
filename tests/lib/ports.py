# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports for programs that must be told one."""

import errno
import os
import random
import socket
import threading

LOWEST, HIGHEST = 20000, 31999  # below the range that the kernel gives to whoever connects

_lock = threading.Lock()
_given = set()
_random = random.Random(os.urandom(16))  # a test that seeds the module's own draws its ports apart from others all the same


def free_port(host="127.0.0.1"):
    """A port that nobody has now, and that was not given out by this process before. Another process may still take it
    before it is used, so whoever starts a server tries again when that ends."""
    with _lock:
        while True:
            port = _random.randint(LOWEST, HIGHEST)
            if port in _given:
                continue
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as e:
                    if e.errno != errno.EADDRINUSE:  # of a host that is not ours no port is free
                        raise
                    continue
            _given.add(port)
            if len(_given) > (HIGHEST - LOWEST) // 2:
                _given.clear()
            return port
