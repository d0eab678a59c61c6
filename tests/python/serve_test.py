# SPDX-License-Identifier: Apache-2.0
"""aiohttp and uvicorn serve over Milgi, and aiohttp's client and curl ask."""

import asyncio
import os
import subprocess
import threading
import unittest

import rig
from rig import client_context, host_client, path, server_context

import milgi.aio as aio

try:
    import aiohttp
    from aiohttp import web
except ImportError:
    aiohttp = None
try:
    import uvicorn
except ImportError:
    uvicorn = None


def curl(port, *args):
    done = subprocess.run(["curl", "-sS", "--cacert", path("ca.pem"), *args, "https://localhost:%d/" % port],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return done.stdout.decode() or done.stderr.decode()


@unittest.skipUnless(aiohttp, "no aiohttp here")
class Aiohttp(unittest.TestCase):
    def test_it_serves_and_asks(self):
        rig.run(self.both())

    async def both(self):
        async def page(request):
            if request.method == "POST":
                return web.Response(body=await request.read())
            tls = request.transport.get_extra_info("ssl_object")
            return web.Response(text="%s %s %s" % (request.scheme, tls.version(), request.transport.get_extra_info(
                "ssl_object").selected_alpn_protocol()))
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/", page)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(alpn=["http/1.1"]))
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        for args, version in (((), "TLSv1.3"), (("--tls-max", "1.2"), "TLSv1.2")):
            self.assertEqual(await loop.run_in_executor(None, lambda: curl(port, "--http1.1", *args)),
                             "https %s http/1.1" % version)
        data = os.urandom(3 << 20)
        for context in (host_client(), aio.facade(client_context())):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
                for _ in range(3):
                    async with session.post("https://localhost:%d/" % port, data=data) as response:
                        self.assertEqual(await response.read(), data)
        other = aio.facade(client_context(ca=path("stranger-ca.pem")))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=other)) as session:
            with self.assertRaises(aiohttp.ClientConnectionError) as raised:
                await session.get("https://localhost:%d/" % port)
            self.assertIn("certificate was not accepted", str(raised.exception))
        await runner.cleanup()


@unittest.skipUnless(uvicorn, "no uvicorn here")
class Uvicorn(unittest.TestCase):
    def test_it_serves(self):
        rig.run(self.serves())

    async def serves(self):
        async def app(scope, receive, send):
            if scope["type"] != "http":
                return
            body = b""
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["scheme"].encode() + b" " + body})
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        config.load()
        config.ssl = server_context(alpn=["http/1.1"])
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None
        task = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        for what in ("something", "x" * 100000):
            said = await loop.run_in_executor(None, lambda: curl(port, "-d", what))
            self.assertEqual(said, "https " + what)
        server.should_exit = True
        await task


if __name__ == "__main__":
    rig.main()
