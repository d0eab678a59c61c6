# SPDX-License-Identifier: Apache-2.0
"""A TLS client or server on pyOpenSSL, whose wheels bring an OpenSSL of their own, for the interoperability tests.

Of a client stdin goes to the peer and the peer to stdout, and the end of stdin is passed on as close_notify; a server plays
one part for one connection, or two. The last line of stderr is a JSON report. The wheels are in the folder --packages.
"""

import argparse
import hashlib
import json
import os
import select
import socket
import sys

BLOCK = 1 << 16


def parse():
    parser = argparse.ArgumentParser()
    for name in ("packages", "connect", "listen", "name", "ca", "cert", "key", "alpn", "curve", "version", "suites", "staple",
                 "client-auth"):
        parser.add_argument("--" + name)
    parser.add_argument("--part", default="echo")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="a client asks for a page first, and then resumes")
    return parser.parse_args()


args = parse()
sys.path.insert(0, args.packages)
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from OpenSSL import SSL  # noqa: E402

report = {}


def choose(_, offered):
    for protocol in args.alpn.encode().split(b","):
        if protocol in offered:
            return protocol
    raise SSL.Error("no protocol of both")


def staple_came(_, response, __):
    report["staple"] = bool(response)
    return bool(response)


def make_context():
    context = SSL.Context(SSL.TLS_METHOD)
    version = SSL.TLS1_2_VERSION if args.version == "1.2" else SSL.TLS1_3_VERSION
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.load_verify_locations(args.ca)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    if args.suites:
        context.set_tls13_ciphersuites(args.suites.encode())
    if args.cert:
        context.use_certificate_chain_file(args.cert)
        context.use_privatekey_file(args.key)
    if args.curve:
        context.set_tmp_ecdh({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[args.curve])
    if args.connect:
        context.set_verify(SSL.VERIFY_PEER, None)
        if args.alpn:
            context.set_alpn_protos(args.alpn.encode().split(b","))
        if args.staple:
            context.set_ocsp_client_callback(staple_came)
        return context
    context.set_session_id(b"peer")
    if args.client_auth:
        must = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if args.client_auth == "required" else 0
        context.set_verify(SSL.VERIFY_PEER | must, None)
    if args.alpn:
        context.set_alpn_select_callback(choose)
    if args.staple:
        with open(args.staple, "rb") as file:
            response = file.read()
        context.set_ocsp_server_callback(lambda *_: response)
    return context


class Pipe:
    """One connection, whose socket does not block."""

    def __init__(self, tls):
        self.tls = tls
        self.hash = hashlib.sha256()
        self.count = 0

    def until(self, call, *words):
        while True:
            try:
                return call(*words)
            except SSL.WantReadError:
                select.select([self.tls], [], [])
            except SSL.WantWriteError:
                select.select([], [self.tls], [])

    def read(self):
        """Bytes; none when the other side has ended; SSL.WantReadError when there are no more now."""
        try:
            data = self.tls.recv(BLOCK)
        except SSL.ZeroReturnError:
            return b""
        self.hash.update(data)
        self.count += len(data)
        return data

    def rest(self, then=None):
        while data := self.until(self.read):
            if then:
                then(data)

    def write(self, data):
        while data:
            data = data[self.until(self.tls.send, data):]

    def close_writing(self):
        try:
            self.until(self.tls.shutdown)
        except SSL.Error as error:
            if "application data after close notify" not in str(error):
                raise

    def handshake(self):
        self.until(self.tls.do_handshake)
        shown = self.tls.get_peer_certificate(as_cryptography=True)
        report.update(protocol=self.tls.get_protocol_version_name(), suite=self.tls.get_cipher_name(),
                      group=self.tls.get_group_name() or "", alpn=self.tls.get_alpn_proto_negotiated().decode(),
                      client=shown.subject.rfc4514_string() if isinstance(shown, x509.Certificate) else "")

    def pump(self):
        said = heard = False
        while not (said and heard):
            sources = ([] if heard else [self.tls]) + ([] if said else [0])
            ready = [self.tls] if not heard and self.tls.pending() else select.select(sources, [], [])[0]
            if self.tls in ready:
                try:
                    data = self.read()
                    heard = not data
                except SSL.WantReadError:
                    data = b""
                while data:
                    data = data[os.write(1, data):]
            if 0 in ready:
                data = os.read(0, BLOCK)
                self.write(data)
                if not data:
                    said = True
                    self.close_writing()

    def page(self):
        self.write(b"GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n")
        self.rest()
        self.close_writing()

    def echo(self):
        self.rest(self.write)
        self.close_writing()

    def collect(self):
        self.rest()
        self.write(f"collected {self.count} {self.hash.hexdigest()}\n".encode())
        self.close_writing()

    def greet(self):
        self.write(b"greetings\n")
        self.close_writing()
        self.rest()


def drain(tcp):
    """The alert must not be lost in a reset."""
    try:
        tcp.shutdown(socket.SHUT_WR)
        tcp.setblocking(True)
        while tcp.recv(BLOCK):
            pass
    except OSError:
        pass


def converse(context, tcp, part, session=None):
    tcp.setblocking(False)
    tls = SSL.Connection(context, tcp)
    if args.connect:
        tls.set_tlsext_host_name(args.name.encode())
        if args.staple:
            tls.request_ocsp()
        if session:
            tls.set_session(session)
        tls.set_connect_state()
    else:
        tls.set_accept_state()
    pipe = Pipe(tls)
    try:
        pipe.handshake()
        getattr(pipe, part)()
    except SSL.Error:
        drain(tcp)
        raise
    report.update(bytes=pipe.count, sha256=pipe.hash.hexdigest())
    session = tls.get_session()
    tcp.close()
    return session


def main():
    context = make_context()
    try:
        if args.connect:
            host, port = args.connect.rsplit(":", 1)
            address, session = (host, int(port)), None
            if args.again:
                session = converse(context, socket.create_connection(address, timeout=10), "page")
            converse(context, socket.create_connection(address, timeout=10), "pump", session)
            os.close(1)
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
                for _ in range(args.connections):
                    converse(context, listener.accept()[0], args.part)
    except (OSError, SSL.Error) as error:
        report["error"] = f"{type(error).__name__} {error}"
    print("\nPEER " + json.dumps(report), file=sys.stderr, flush=True)
    return 1 if "error" in report else 0


if __name__ == "__main__":
    sys.exit(main())
