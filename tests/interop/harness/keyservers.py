# SPDX-License-Identifier: Apache-2.0
"""`--device keyless`: two `milgi keyserver`s have the private keys of all cases, which ask them over mutual TLS."""

import re
import signal

from .pki import KEYS, LEAVES
from .proc import Child, Deadline, Failure

SERVERS = 2
SECONDS = 60  # to begin, and to end


class KeyServers:
    def __init__(self, milgi, pki, patience, sanitizer, log):
        self.pki, self.sanitizer, self.seconds = pki, sanitizer, SECONDS * patience
        names = [name for name, how in LEAVES.items() if how[0] in KEYS]  # Milgi has no key that is too short
        signs = [word for name in names for word in ("--sign-cert", pki.path(name), "--sign-key", pki.path(name, "key"))]
        argv = [*milgi, "keyserver", "--listen", "127.0.0.1:0", "--cert", pki.path("p256"), "--key", pki.path("p256", "key"),
                "--client-ca", pki.path("client-ca"), *signs]
        self._children = [Child(argv, log) for _ in range(SERVERS)]
        deadline = Deadline(self.seconds)
        ports = [self._port(child, deadline) for child in self._children]
        self.options = ["--device", "keyless:" + ",".join(f"127.0.0.1:{port}" for port in ports), "--keyless-ca", pki.path("ca"),
                        "--keyless-cert", pki.path("client-p256"), "--keyless-key", pki.path("client-p256", "key")]

    def _port(self, child, deadline):
        pattern = rb"listening on [^\n]*:(\d+)\n"
        if not child.out.wait(lambda out: re.match(pattern, out.head), deadline, "a key server to listen"):
            child.err.wait_end(deadline, "a key server to say why it does not listen")
            raise Failure(f"a key server did not listen: {child.err.text().strip()[-300:]}")
        return int(re.match(pattern, child.out.head).group(1))

    def end(self):
        """How many signatures they have made; a Failure when one does not end in order."""
        deadline, signed = Deadline(self.seconds), 0
        for child in self._children:
            child.signal(signal.SIGUSR1)
            pattern = r" signed (\d+) errors (\d+)"
            child.err.wait(lambda err: re.search(pattern, err.text()), deadline, "a key server to tell what it has done")
            found = re.search(pattern, child.err.text())
            if not found:
                raise Failure(f"a key server ended by itself: {child.err.text().strip()[-300:]}")
            signed += int(found.group(1))
            child.signal(signal.SIGTERM)
        if not signed:
            raise Failure("nobody has asked a key server")
        for child in self._children:
            status = child.wait(deadline, "a key server to end")
            if status or self.sanitizer.search(child.err.text()):
                raise Failure(f"a key server's exit status is {status}: {child.err.text().strip()[-300:]}")
        return signed
