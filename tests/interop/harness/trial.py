# SPDX-License-Identifier: Apache-2.0
"""One case while it runs: its directory, its deadline, its children, and what peers are asked to do."""

import dataclasses
import hashlib
import os
import random
import re
import signal
import subprocess
import threading
import time

from .clients import HOST
from .pki import LEAVES, P12_PASSWORD
from ports import free_port

from .proc import Child, Deadline, Failure, wait_listening

PEERS = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "peers"))


@dataclasses.dataclass
class Call:
    """What a peer is asked to do, and what milgi and the peer must then agree on."""
    directory: str
    name: str = HOST
    port: int = 0
    ca: str = ""
    cert: str = ""
    key: str = ""
    store: str = ""
    cert_name: str = ""
    nss_db: str = ""
    home: str = ""
    suite: str = ""
    groups: list = None
    alpn: list = None
    upload: str = ""
    keyupdate: bool = False      # it renews keys by itself, or takes commands to do so
    messages: str = ""           # where it writes the messages it sees
    client_auth: str = ""
    part: str = "echo"
    blocks: int = 0
    tls12: bool = False
    staple: str = ""             # a client asks for an OCSP response, a server has this one
    again: bool = False          # a client connects twice, and resumes; a server seals tickets
    session: str = ""            # the same of one that keeps its session in this file
    backend_port: int = 0
    responder_port: int = 0      # where a server gets its OCSP response from
    issuer: str = ""             # whose key NSS's server signs one with
    expect_suite: str = ""
    expect_group: str = ""
    wire_group: str = ""         # the same of all connections together
    expect_alpn: str = None
    expect_client: str = ""
    expect_retry: bool = None

    @property
    def screenshot(self):
        return os.path.join(self.directory, "screenshot.png")

    @staticmethod
    def peers(path):
        return os.path.join(PEERS, path)

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as out:
            out.write(text)
        return path


class Shared:
    """What all cases of a run use: the command under test, the certificates, the payloads, NSS's databases."""

    def __init__(self, milgi, work, pki, bulk, slow_bulk, patience, device=None):
        self.milgi = milgi              # the words of the command under test
        self.work = work
        self.pki = pki
        self.bulk = bulk
        self.slow_bulk = slow_bulk
        self.patience = patience
        self.device = device            # of every case; None: the one in its name
        self.proxy_options = []         # of every proxy
        self.keyservers = None          # which have the keys, if that is "keyless"
        self._lock = threading.Lock()
        self._payloads = {}

    def payload(self, size):
        """A file of |size| bytes of text, since gnutls-cli reads lines and sends each by itself, and its SHA-256."""
        with self._lock:
            if size not in self._payloads:
                path = os.path.join(self.work, f"payload-{size}")
                data = bytearray(random.Random(size).randbytes(size).translate(PRINTABLE))
                data[LINE - 1::LINE] = b"\n" * (size // LINE)
                data[-1:] = b"\n"
                with open(path, "wb") as out:
                    out.write(data)
                self._payloads[size] = (path, hashlib.sha256(data).hexdigest())
            return self._payloads[size]

    def nss_db(self, trust, identity, flags, directory=None, issuer=None):
        """A directory with an NSS database that trusts |trust| and holds |identity|'s key, and |issuer|'s."""
        with self._lock:
            path = directory or os.path.join(self.pki.directory, f"nss-{trust}-{identity}-{flags[0]}{issuer or ''}")
            if os.path.isdir(path):
                return path
            os.makedirs(path)
            commands = [["certutil", "-N", "-d", "sql:" + path, "--empty-password"],
                        ["certutil", "-A", "-d", "sql:" + path, "-n", trust, "-t", flags, "-i", self.pki.path(trust)]]
            for name in filter(None, (issuer, identity)):
                commands.append(["pk12util", "-d", "sql:" + path, "-i", self.pki.path(name, "p12"),
                                 "-W", P12_PASSWORD, "-K", ""])
            for command in commands:
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
                if done.returncode != 0:
                    raise Failure(f"{command[0]}: {(done.stderr + done.stdout).strip()[-200:]}")
            return path


HANDSHAKE_S = 30  # milgi's limit
LINE = 4000
PRINTABLE = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/" * 4

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer|LeakSanitizer|Assertion .* failed"
                       r"|ERROR SUMMARY: [1-9]|==\d+== (Invalid|Conditional jump|Use of)"
                       r"|==\d+== .*(definitely|indirectly) lost")

# the last two take records of every size, where milgi would else do the small ones inline
DEVICES = {
    "cpu": ["--device", "cpu"],
    "pool2": ["--device", "pool:2", "--records", "device"],
    "chaos": ["--device", "chaos:seed={seed}", "--records", "device"],
}


class Trial:
    def __init__(self, shared, case, sabotage=False):
        self.shared = shared
        self.pki = shared.pki
        self.case = case
        self.sabotage = sabotage
        self.directory = os.path.join(shared.work, "cases", case.name.replace("/", "_"))
        os.makedirs(self.directory, exist_ok=True)
        self.deadline = Deadline(case.seconds * shared.patience)
        self._log = open(os.path.join(self.directory, "log.txt"), "w")
        self._log_lock = threading.Lock()
        self._children = []
        self._backends = []
        self._milgi = []
        self._proxy = None

    def log(self, text):
        with self._log_lock:
            self._log.write(text + "\n")

    def spawn(self, argv, **how):
        child = Child(argv, self.log, **how)
        self._children.append(child)
        return child

    def backend(self, made):
        self._backends.append(made)
        return made

    # the command under test

    def device(self):
        if self.shared.keyservers:
            return self.shared.keyservers.options
        if self.shared.device:
            return ["--device", self.shared.device, "--records", "device"]
        seed = int.from_bytes(hashlib.sha256(self.case.name.encode()).digest()[:4], "big")
        return [word.format(seed=seed) for word in DEVICES[self.case.device]]

    def identity(self, name):
        return ["--cert", self.pki.path(name), "--key", "keyless:" if self.shared.keyservers else self.pki.path(name, "key")]

    def patience(self, option):
        """The 30 s that a handshake may take count for machines on which a peer's program is up in a second: where all else is waited for
        longer, so is that."""
        return [option, str(HANDSHAKE_S * self.shared.patience)] if self.shared.patience > 1 else []

    def proxy(self, certs, *options, backend=None):
        """Starts `milgi proxy` with these identities and returns its port."""
        argv = [*self.shared.milgi, "proxy", "--listen", "127.0.0.1:0", *self.device(), *self.shared.proxy_options,
                *self.patience("--handshake-timeout")]
        for name in certs:
            argv += self.identity(name)
        if backend:
            argv += ["--backend", f"127.0.0.1:{backend.port}"]
        self._proxy = self.spawn(argv + list(options))
        self._milgi.append(self._proxy)
        return self.port_told(self._proxy)

    def port_told(self, child):
        found = child.out.wait(lambda out: re.match(rb"listening on [^\n]*:(\d+)\n", out.head), self.deadline,
                               f"{child.name} to listen")
        if not found:
            raise Failure(f"{child.name} did not listen: {child.err.text().strip()[-300:]}")
        return int(found.group(1))

    def connect(self, port, name, *options, ca=None):
        """Starts `milgi connect`, by default verifying |name| below the test authority."""
        argv = [*self.shared.milgi, "connect", f"127.0.0.1:{port}", "--json", *self.device()]
        argv += ["--ca", self.pki.path(ca or self.trusted())]
        argv += ["--name", name] if name else []
        child = self.spawn(argv + self.patience("--timeout") + list(options))
        self._milgi.append(child)
        return child

    # peers

    def trusted(self):
        """The authority that a verifying side is given: another one when the case is to be seen failing."""
        return "rogue-ca" if self.sabotage and not self.case.negative and not self.case.how.data else "ca"

    def payload(self, size):
        """A file to send and its SHA-256: a wrong one when the case is to be seen failing by its data."""
        path, digest = self.shared.payload(size)
        return path, digest[::-1] if self.sabotage else digest

    def call(self, **settings):
        return Call(self.directory, **settings)

    def identify(self, call, name):
        """Gives the peer an identity of its own."""
        call.cert, call.key, call.store = (self.pki.path(name, e) for e in ("pem", "key", "p12"))
        call.cert_name = name

    def start_client(self, peer, call):
        trust = self.trusted() if not call.ca else call.ca
        call.ca = self.pki.path(trust)
        if peer.name == "tstclnt":
            call.nss_db = self.shared.nss_db(trust, call.cert_name, "C,,")
        if peer.name == "chromium":
            call.home = os.path.join(self.directory, "home-" + trust)
            self.shared.nss_db(trust, None, "C,,", os.path.join(call.home, ".pki", "nssdb"))
        return self.spawn(peer.argv(call), env=peer.environment(call))

    def start_server(self, peer, call):
        """Starts a server peer and returns it listening, with call.port set."""
        call.ca = self.pki.path(call.ca or "client-ca")
        if peer.name == "selfserv":
            call.issuer = LEAVES[call.cert_name][1] if call.staple else None
            call.nss_db = self.shared.nss_db("client-ca", call.cert_name, "T,,", issuer=call.issuer)
        if peer.picks_port:
            child = self.spawn(peer.argv(call), echo=peer.pump and not call.keyupdate, cwd=self.directory)
            call.port = self.port_told(child)
            return child
        for tries_left in (2, 1, 0):
            call.port = free_port()
            child = self.spawn(peer.argv(call), echo=peer.pump and not call.keyupdate, cwd=self.directory)
            try:
                wait_listening(child, call.port, self.deadline)
                return child
            except Failure:
                if child.running() or not tries_left:  # else somebody else may have taken the port meanwhile
                    raise

    # the end

    def check_milgi(self):
        """The proxy ends in order when told to, and nothing under test complained."""
        if self._proxy:
            if not self._proxy.running():
                raise Failure(f"the proxy ended by itself: {self._proxy.err.text().strip()[-300:]}")
            self._proxy.signal(signal.SIGTERM)
            status = self._proxy.wait(self.deadline, "the proxy to drain after SIGTERM")
            if status != 0:
                raise Failure(f"the proxy's exit status after SIGTERM is {status}: "
                              f"{self._proxy.err.text().strip()[-300:]}")
        for child in self._milgi:
            if complaint := SANITIZER.search(child.err.text()):
                raise Failure(f"milgi: {complaint.group(0)}")

    def last_words(self):
        """Gives the peers of a failed case a moment to end by themselves, since what they say then explains most."""
        end = time.monotonic() + 0.5
        while time.monotonic() < end and any(child.running() for child in self._children):
            time.sleep(0.02)

    def close(self):
        for child in self._children:
            child.kill()
        for backend in self._backends:
            backend.close()
        self._log.close()
