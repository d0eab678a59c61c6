# SPDX-License-Identifier: Apache-2.0
"""A client and a server of HTTPS on wheels that have rustls in them, for the interoperability tests.

The client, on pyreqwest, asks for a page and prints it; the server, on granian, answers every request with a line until it
is killed. The wheels are in the folder --packages.
"""

import argparse
import asyncio
import datetime
import os
import pathlib
import sys


def parse():
    parser = argparse.ArgumentParser()
    for name in ("packages", "name", "ca", "cert", "key", "version"):
        parser.add_argument("--" + name)
    parser.add_argument("--connect", type=int, help="a port of this machine, by that name")
    parser.add_argument("--listen", type=int, help="a port of this machine")
    parser.add_argument("--client-auth", choices=("required", "optional"))
    parser.add_argument("--again", action="store_true", help="a client asks for a page first, and then resumes")
    return parser.parse_args()


args = parse()
sys.path.insert(0, args.packages)


def read(path):
    with open(path, "rb") as file:
        return file.read()


async def ask():
    from pyreqwest.client import ClientBuilder

    version = "TLSv1.2" if args.version == "1.2" else "TLSv1.3"
    builder = ClientBuilder().http1_only().no_proxy().pool_max_idle_per_host(0)
    builder = builder.min_tls_version(version).max_tls_version(version).timeout(datetime.timedelta(seconds=60))
    builder = builder.add_root_certificate_pem(read(args.ca)).resolve(args.name, "127.0.0.1", args.connect)
    if args.cert:
        builder = builder.identity_pem(read(args.cert) + read(args.key))
    async with builder.build() as client:
        for _ in range(1 + args.again):
            response = await client.get(f"https://{args.name}:{args.connect}/").header("Connection", "close").build().send()
            body = await response.text()
    print(body)


async def answer(scope, receive, send):
    del receive
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"rustls here\n"})


async def serve():
    from granian.constants import Interfaces, SSLProtocols
    from granian.server.embed import Server

    await Server(answer, port=args.listen, interface=Interfaces.ASGINL, ssl_cert=pathlib.Path(args.cert),
                 ssl_key=pathlib.Path(args.key), ssl_protocol_min=SSLProtocols("tls1.2"), log_enabled=False,
                 ssl_ca=pathlib.Path(args.ca) if args.client_auth else None,
                 ssl_client_verify=args.client_auth == "required").serve()


asyncio.run(serve() if args.listen else ask())
sys.stdout.flush()
os._exit(0)  # its threads are not ready for the interpreter to end
