# SPDX-License-Identifier: Apache-2.0
"""Peers as servers for `milgi connect`.

can:   bulk          sends a payload back
       half-client   reads to milgi's close_notify and answers after it
       half-server   sends close_notify first and goes on reading
       alpn, client-cert, keyupdate, tls12
       staple        sends an OCSP response
       resume        takes a second connection, which resumes the first
       auth-alert    refuses a client's certificate with an alert
       truncate      ends, when killed, without close_notify
       suite, group  can be told what to take (otherwise milgi is told)
talk:  echo          what milgi sends comes back (with pump by the harness, between the peer's stdout and stdin)
       get           an HTTP request is answered
"""

import os

from . import clients, libssl, rustls
from .clients import ALL_CERTS, OPENSSL_GROUPS, GnutlsCli, Go, Java, Tstclnt, java_command
from .names import SUITES, same_group, same_suite
from .proc import Failure

STDIO = {"bulk", "alpn", "client-cert", "auth-alert", "truncate", "suite", "group", "tls12"}


class Server:
    name = ""
    program = ""
    certs = ALL_CERTS
    client_certs = ("p256", "rsa2048", "ed25519")
    can = STDIO
    talk = "echo"
    pump = False
    picks_port = False    # prints "listening on A:P" by itself
    quiet = True          # its output is not needed
    needs_backend = False
    ends_first = b""      # what it prints when it has ended, if milgi's close_notify must not come before
    says = {}             # kinds in which it sends another alert than the RFC's: what milgi's message speaks of then
    cannot = ()           # kinds that it cannot play, though it can do what they need
    certs_12 = ()         # as a client's
    staple_certs = ()
    tickets_first = False     # its first flight has tickets with the client's certificate: its length tells nothing
    told_12 = True            # it can be told to speak TLS 1.2 alone; else milgi is
    staple_by_http = False     # it asks a responder for the OCSP response, at call.responder_port

    longer = False        # as a client's

    available = clients.Client.available
    has_hybrid = clients.Client.has_hybrid
    can_hybrid = clients.Client.can_hybrid
    has_ems = clients.Client.has_ems
    hybrid_since = ems_since = None

    def prepare(self, cache):
        """Builds what the peer needs, once for all cases."""

    def argv(self, call):
        raise NotImplementedError

    def check_report(self, child, call):
        """Compares what the peer says of the connection; called after milgi has ended."""


class SServer(Server):
    name = "s_server"
    program = "openssl"
    hybrid_since = clients.OPENSSL_HYBRID
    can = STDIO | {"keyupdate", "resume", "staple"}
    pump = True
    keyupdate_commands = (b"k\n", b"K\n")
    keyupdate_sign = b"SSL_do_handshake -> 1"

    def argv(self, call):
        argv = ["openssl", "s_server", "-accept", f"127.0.0.1:{call.port}", "-cert", call.cert, "-key", call.key,
                "-cert_chain", call.cert, "-tls1_2" if call.tls12 else "-tls1_3", "-cipher", "DEFAULT@SECLEVEL=0"]
        if not call.keyupdate:
            argv += ["-quiet"]
        if call.staple:
            argv += ["-status_file", call.staple]
        if call.messages:
            argv += ["-msg", "-msgfile", call.messages]
        if call.suite:
            argv += ["-ciphersuites", SUITES[call.suite]]
        if call.groups:
            argv += ["-groups", ":".join(OPENSSL_GROUPS[g] for g in call.groups)]
        if call.alpn:
            argv += ["-alpn", ",".join(call.alpn)]
        if call.client_auth:
            argv += ["-CAfile", call.ca, "-verify_return_error",
                     "-Verify" if call.client_auth == "required" else "-verify", "4"]
        return argv


class GnutlsServ(Server):
    name = program = "gnutls-serv"
    says = {"auth-wrong-ca": r"access.?denied", "tls12": r"handshake.?failure"}
    can = STDIO | {"keyupdate", "resume", "staple"}

    def argv(self, call):
        priority = GnutlsCli.priority(call.suite, call.groups, call.tls12)
        argv = ["gnutls-serv", "-p", str(call.port), "--quiet", "--echo", "--crlf", "--priority", priority,
                f"--x509certfile={call.cert}", f"--x509keyfile={call.key}"]
        if call.staple:
            argv += [f"--ocsp-response={call.staple}"]
        if call.alpn:
            argv += [f"--alpn={p}" for p in call.alpn] + ["--alpn-fatal"]
        if call.client_auth:
            argv += [f"--x509cafile={call.ca}", "--verify-client-cert"]
            argv += ["--require-client-cert"] if call.client_auth == "required" else []
        else:
            argv += ["--disable-client-cert"]
        return argv

    # a line from the client that makes the server send KeyUpdate and ask for one, and what it answers
    keyupdate_line = b"**REHANDSHAKE**\n"
    keyupdate_sign = b"Successfully executed command"


class Selfserv(Server):
    name = program = "selfserv"
    certs = ("p256", "p384", "p521", "rsa2048", "rsa3072")
    client_certs = ("p256", "rsa2048")
    can = {"bulk", "client-cert", "auth-alert", "suite", "group", "tls12", "resume", "staple"}
    talk = "get"

    cannot = ("keyupdate-by-milgi",)     # takes no large request
    staple_certs = ("rsa2048", "rsa3072")     # it signs OCSP responses by itself, with RSA only

    def argv(self, call):
        argv = ["selfserv", "-d", "sql:" + call.nss_db, "-n", call.cert_name, "-p", str(call.port),
                "-V", "tls1.2:tls1.2" if call.tls12 else "tls1.3:tls1.3"]
        argv += ["-u"] if call.again else []
        argv += ["-T", "good", "-A", call.issuer] if call.staple else []        # it makes one by itself
        if call.suite:
            argv += ["-c", Tstclnt.suites[call.suite]]
        if call.groups:
            argv += ["-I", ",".join(Tstclnt.groups[g] for g in call.groups)]
        if call.client_auth:
            argv += ["-r"] if call.client_auth == "optional" else ["-r", "-r"]
        if call.blocks:
            argv += ["-g", str(call.blocks - 1)]      # it sends one more
        return argv


# Go and Java used to answer a missing client certificate with bad_certificate, and do no longer.
EITHER = {"auth-missing": r"bad.?certificate|certificate.?required"}


class GoServer(Server):
    name = program = "go"
    hybrid_since = clients.GO_HYBRID
    tickets_first = True
    ems_since = clients.GO_EMS
    says = EITHER
    certs = Go.certs
    can = STDIO - {"suite"} | {"half-client", "half-server", "staple", "resume"}
    picks_port = True

    def prepare(self, cache):
        Go.binary = clients.build_go(cache)

    def argv(self, call):
        argv = [Go.binary, "-listen", "127.0.0.1:0", "-cert", call.cert, "-key", call.key, "-part", call.part]
        if call.groups:
            argv += ["-groups", ",".join(call.groups)]
        if call.alpn:
            argv += ["-alpn", ",".join(call.alpn)]
        if call.client_auth:
            argv += ["-ca", call.ca, "-client-auth", call.client_auth]
        if call.tls12:
            argv += ["-max-version", "1.2"]
        if call.staple:
            argv += ["-staple", call.staple]
        argv += ["-connections", "2"] if call.again else []
        return argv

    def check_report(self, child, call):
        own_report(child, call)


def own_report(child, call):
    """The report of a server written for these tests: milgi ended in order, and with what was asked for."""
    report = child.report()
    if report.get("error") or "protocol" not in report:
        raise Failure(f"{child.name} says: {report.get('error', 'nothing')}")
    if call.expect_suite and not same_suite(call.expect_suite, report["suite"]):
        raise Failure(f"{child.name} says suite {report['suite']}, not {call.expect_suite}")
    if call.expect_group and report.get("group") and not same_group(call.expect_group, report["group"]):
        raise Failure(f"{child.name} says group {report['group']}, not {call.expect_group}")
    if call.expect_client and call.expect_client not in report.get("client", ""):
        raise Failure(f"{child.name} says the client is {report.get('client')!r}, not {call.expect_client}")


class JavaServer(Server):
    name = program = "java"
    says = EITHER
    can = STDIO | {"half-client", "half-server", "keyupdate", "resume", "staple"}
    picks_port = True
    staple_by_http = True

    def prepare(self, cache):
        Java.classes = clients.build_java(cache)

    def argv(self, call):
        argv = java_command(call) + ["--listen", "127.0.0.1:0", "--part", call.part, "--connections", "2" if call.again else "1"]
        return argv + (["--client-auth", call.client_auth] if call.client_auth else [])

    def check_report(self, child, call):
        own_report(child, call)


class NodeServer(Server):
    """It closes a connection with a client certificate that it does not like, without an alert."""

    name = program = "node"
    can = STDIO - {"auth-alert"} | {"half-client", "resume", "staple"}
    cannot = ("alpn-mismatch",)  # before version 20 it goes on without a protocol
    picks_port = True

    def argv(self, call):
        argv = self.command(call) + ["--listen", "yes", "--part", call.part]
        argv += ["--connections", "2"] if call.again else []
        argv += ["--staple", call.staple] if call.staple else []
        return argv + (["--client-auth", call.client_auth] if call.client_auth else [])

    def check_report(self, child, call):
        own_report(child, call)

    @staticmethod
    def command(call):
        return clients.node_command(call)


class BunServer(NodeServer):
    name = "bun"
    can = NodeServer.can - {"bulk", "half-client", "suite", "staple"}
    certs = clients.Bun.certs
    command = staticmethod(clients.bun_command)

    available = clients.Bun.available
    has_hybrid = clients.Bun.has_hybrid


class OpenSSL4Server(Server):
    name = "openssl-4"
    can = STDIO | {"half-client", "half-server", "resume", "staple"}
    picks_port = True

    available = clients.OpenSSL4.available
    has_hybrid = clients.OpenSSL4.has_hybrid

    def argv(self, call):
        argv = clients.openssl4_command(call) + ["--listen", "yes", "--part", call.part]
        argv += ["--connections", "2"] if call.again else []
        return argv + (["--client-auth", call.client_auth] if call.client_auth else [])

    def check_report(self, child, call):
        own_report(child, call)


class LibsslServer(Server):
    """The peer in C, upon the libssl that |flavour| names."""

    can = STDIO - {"suite"} | {"half-client", "half-server", "resume", "staple"}
    certs = clients.Libssl.certs
    picks_port = True

    __init__ = clients.Libssl.__init__
    available = clients.Libssl.available
    has_hybrid = clients.Libssl.has_hybrid
    prepare = clients.Libssl.prepare

    def argv(self, call):
        words = ["--listen", "127.0.0.1:0", "--part", call.part, "--connections", "2" if call.again else "1"]
        words += ["--client-auth", call.client_auth] if call.client_auth else []
        return libssl.argv(self.binary, call, *words)

    def check_report(self, child, call):
        own_report(child, call)


class RustlsServer(Server):
    """The peer in Rust, whose keys are never weak."""

    name = "rustls"
    longer = True
    can = STDIO | {"half-client", "half-server", "resume", "staple"}
    certs = clients.Rustls.certs
    cannot = ("weak-key",)
    picks_port = True

    available = clients.Rustls.available
    has_hybrid = clients.Rustls.has_hybrid
    prepare = clients.Rustls.prepare

    def argv(self, call):
        words = ["--listen", "yes", "--part", call.part, "--connections", "2" if call.again else "1"]
        words += ["--client-auth", call.client_auth] if call.client_auth else []
        return rustls.argv(self.binary, call, SUITES, *words)

    def check_report(self, child, call):
        own_report(child, call)


class RustlsWheelServer(Server):
    """granian, whose wheel has rustls in it, upon ring. It can be told neither groups nor suites, nor a highest version."""

    name = "rustls-wheel"
    can = {"client-cert", "auth-alert", "tls12", "resume"}
    certs = ("p256", "p384", "rsa2048", "rsa3072", "ed25519")
    cannot = ("tls12", "weak-key")
    talk = "get"
    told_12 = False

    def available(self):
        return os.path.isdir(os.path.join(clients.PACKAGES, "granian")) and os.access("/usr/bin/python3.11", os.X_OK)

    def argv(self, call):
        argv = clients.rustls_wheel_command(call) + ["--listen", str(call.port)]
        return argv + (["--client-auth", call.client_auth] if call.client_auth else [])


NGINX_CONF = """\
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr info;
{module}
events {{ worker_connections 64; }}
{block} {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols {protocol};
        ssl_ciphers DEFAULT@SECLEVEL=0;
        {extra}
        {serve}
    }}
}}
"""


class Nginx(Server):
    """nginx's http module: it answers requests. A missing or wrong client certificate is an HTTP error, no alert."""

    name = "nginx"
    program = "nginx"
    can = {"alpn", "client-cert", "suite", "group", "tls12", "resume", "staple"}
    talk = "get"
    block, module, serve = "http", "", 'return 200 "nginx here\\n";'

    def available(self):
        return os.access("/usr/sbin/nginx", os.X_OK)

    def argv(self, call):
        extra = self.extra(call)
        if call.suite:
            extra.append(f"ssl_conf_command Ciphersuites {SUITES[call.suite]};")
        if call.groups:
            extra.append("ssl_ecdh_curve " + ":".join(OPENSSL_GROUPS[g] for g in call.groups) + ";")
        if call.staple:
            extra += ["ssl_stapling on;", f"ssl_stapling_file {call.staple};"]
        if call.client_auth:
            extra += [f"ssl_client_certificate {call.ca};", "ssl_verify_depth 3;",
                      "ssl_verify_client " + ("on;" if call.client_auth == "required" else "optional;")]
        conf = call.write("nginx.conf", NGINX_CONF.format(
            dir=call.directory, module=self.module, block=self.block, port=call.port, cert=call.cert, key=call.key,
            serve=self.serve.format(backend=call.backend_port), extra="\n        ".join(extra),
            protocol="TLSv1.2" if call.tls12 else "TLSv1.3", temporary=self.temporary(call.directory)))
        return ["/usr/sbin/nginx", "-e", "stderr", "-p", call.directory, "-c", conf]

    @staticmethod
    def extra(call):
        return []

    @staticmethod
    def temporary(directory):
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        return " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)


class NginxStream(Nginx):
    """nginx's stream module in front of an echo, which ends first: nginx answers no close_notify with its own."""

    name = "nginx-stream"
    can = {"bulk", "alpn", "client-cert", "truncate", "suite", "group", "tls12"}
    talk = "echo"
    needs_backend = True
    ends_first = b"disconnected, bytes from/to client"
    library = "/usr/lib/nginx/modules/ngx_stream_module.so"
    block, module, serve = "stream", f"load_module {library};", "proxy_pass 127.0.0.1:{backend};"

    def available(self):
        return super().available() and os.access(self.library, os.R_OK)

    @staticmethod
    def extra(call):
        return ["ssl_alpn " + " ".join(call.alpn) + ";"] if call.alpn else []

    @staticmethod
    def temporary(directory):
        return ""


SERVERS = {peer.name: peer for peer in (SServer(), GnutlsServ(), Selfserv(), GoServer(), JavaServer(), Nginx(),
                                      NginxStream(), NodeServer(), BunServer(), OpenSSL4Server(), RustlsServer(), RustlsWheelServer(), *(LibsslServer(*how) for how in clients.LIBSSL))}
