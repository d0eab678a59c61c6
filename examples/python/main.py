#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An echo server on asyncio.

    main.py CHAIN.pem KEY.pem [PORT]

Prints the port that it listens on. What a client sends comes back, no faster than it is read; each direction ends by
itself. SIGTERM ends it, or the end of its standard input.

    main.py --try

Makes nothing but a connection to itself: a server and a client, over the certificate that `openssl` makes.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile

import milgi
import milgi.aio


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()  # as fast as the client reads
        writer.close()
    except OSError as error:  # milgi.Error among them
        print("a connection has ended: %s" % error, file=sys.stderr)
        writer.transport.abort()
    except asyncio.CancelledError:  # the program ends: the peer is not to take that for an end of what we said
        writer.transport.abort()


async def serve(chain, key, port):
    context = milgi.Context.server(
        milgi.Credential(chain, key),
        on_failure=lambda error, transport: print("no connection: %s" % error, file=sys.stderr))
    server = await milgi.aio.start_server(echo, "127.0.0.1", port, ssl=context)
    print("port %d" % server.sockets[0].getsockname()[1], flush=True)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    if not sys.stdin.isatty():
        loop.add_reader(sys.stdin, lambda: os.read(0, 4096) or over.set())
    await over.wait()
    server.close()


async def talk(chain, key):
    server = await milgi.aio.start_server(echo, "127.0.0.1", 0, ssl=milgi.Context.server(milgi.Credential(chain, key)))
    port = server.sockets[0].getsockname()[1]
    reader, writer = await milgi.aio.open_connection(
        "127.0.0.1", port, ssl=milgi.Context.client(chain), server_hostname="localhost")
    writer.write(b"anybody there?")
    writer.write_eof()
    tls = writer.get_extra_info("ssl_object")
    print("%s, %s, %s: %s" % (tls.version(), tls.cipher()[0], tls.group, (await reader.read()).decode()))
    writer.close()
    await writer.wait_closed()
    server.close()


def main():
    if sys.argv[1:] == ["--try"]:
        with tempfile.TemporaryDirectory() as work:
            chain, key = os.path.join(work, "chain.pem"), os.path.join(work, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                            "-keyout", key, "-out", chain], check=True, stderr=subprocess.DEVNULL)
            asyncio.run(talk(chain, key))
    else:
        chain, key, *port = sys.argv[1:]
        asyncio.run(serve(chain, key, int(port[0]) if port else 0))


if __name__ == "__main__":
    main()
