# SPDX-License-Identifier: Apache-2.0
"""A TLS 1.3 client on Python's ssl for the interoperability tests: stdin goes to the peer, the peer to stdout.

ssl.SSLObject over memory buffers is used since an SSLSocket cannot send close_notify and go on reading. The last line
of stderr is a JSON report.
"""

import argparse
import json
import os
import select
import socket
import ssl
import sys

BLOCK = 1 << 16


def parse():
    parser = argparse.ArgumentParser()
    for name in ("connect", "name", "ca", "cert", "key", "alpn", "group", "version"):
        parser.add_argument("--" + name)
    parser.add_argument("--again", action="store_true", help="asks for a page first, and then resumes")
    return parser.parse_args()


def make_context(args):
    context = ssl.create_default_context(cafile=args.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if args.version == "1.2":
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    if args.cert:
        context.load_cert_chain(args.cert, args.key)
    if args.alpn:
        context.set_alpn_protocols(args.alpn.split(","))
    if args.group:
        context.set_ecdh_curve(args.group)
    return context


class Pipe:
    """One connection: tcp <-> memory buffers <-> TLS object <-> stdin and stdout."""

    def __init__(self, tcp, context, name, session=None):
        self.tcp = tcp
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)
        self.said_close = self.heard_close = False

    def flush(self):
        if self.outgoing.pending:
            self.tcp.sendall(self.outgoing.read())

    def fill(self):
        data = self.tcp.recv(BLOCK)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                return self.flush()
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()
            except ssl.SSLError:
                self.flush()
                raise

    def read_all(self):
        while not self.heard_close:
            try:
                data = self.tls.read(BLOCK)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.heard_close = True
            while data:
                data = data[os.write(1, data):]

    def close_writing(self):
        self.said_close = True
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            if "APPLICATION_DATA_AFTER_CLOSE_NOTIFY" not in str(error):
                raise

    def run(self):
        """Reads whenever bytes are there, and sends only what the peer takes, so that neither can block the other."""
        self.tcp.setblocking(False)
        backlog = b""
        while not (self.said_close and self.heard_close and not backlog and not self.outgoing.pending):
            backlog += self.outgoing.read()
            sources = [] if self.heard_close else [self.tcp]
            if not self.said_close and not backlog:
                sources.append(0)
            readable, writable, _ = select.select(sources, [self.tcp] if backlog else [], [])
            if writable:
                backlog = backlog[self.tcp.send(backlog):]
            if self.tcp in readable:
                self.fill()
                self.read_all()
            if 0 in readable:
                data = os.read(0, BLOCK)
                if data:
                    self.tls.write(data)
                else:
                    self.close_writing()


def begin(args, context, address):
    """A session, from a connection that asks for a page."""
    with context.wrap_socket(socket.create_connection(address, timeout=10), server_hostname=args.name) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n")
        while tls.recv(BLOCK):
            pass
        return tls.session


def main():
    args = parse()
    report = {}
    try:
        host, port = args.connect.rsplit(":", 1)
        context = make_context(args)
        session = begin(args, context, (host, int(port))) if args.again else None
        tcp = socket.create_connection((host, int(port)), timeout=10)
        tcp.settimeout(None)
        pipe = Pipe(tcp, context, args.name, session)
        pipe.handshake()
        report = {"protocol": pipe.tls.version(), "suite": pipe.tls.cipher()[0],
                  "alpn": pipe.tls.selected_alpn_protocol() or ""}
        pipe.run()
        os.close(1)
    except (OSError, ssl.SSLError) as error:
        report["error"] = f"{type(error).__name__} {error}"
    print("\nPEER " + json.dumps(report), file=sys.stderr, flush=True)
    return 1 if "error" in report else 0


if __name__ == "__main__":
    sys.exit(main())
