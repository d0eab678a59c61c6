# SPDX-License-Identifier: Apache-2.0
"""A page over Milgi, which says how it came: page.py aiohttp|uvicorn CHAIN.pem KEY.pem. Prints its port."""

import asyncio
import importlib
import sys

import milgi
import milgi.aio

PAGE = "<!doctype html><title>%s</title><h1>%s over Milgi</h1><p>%s"


async def by_aiohttp(context):
    web = importlib.import_module("aiohttp.web")

    async def page(request):
        tls = request.transport.get_extra_info("ssl_object")
        how = "%s by %s, %s, %s" % (request.scheme, tls.version(), tls.cipher()[0], tls.group)
        return web.Response(content_type="text/html", text=PAGE % ("aiohttp", "aiohttp", how))

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print("port %d" % site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def by_uvicorn(context):
    uvicorn = importlib.import_module("uvicorn")

    async def app(scope, receive, send):
        await receive()
        tls = spoken[tuple(scope["client"])]
        how = "HTTP/%s by %s, %s, %s, %s" % (
            scope["http_version"], scope["scheme"], tls.version(), tls.cipher()[0], tls.group)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": (PAGE % ("uvicorn", "uvicorn", how)).encode()})

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    config.load()
    config.ssl = context
    spoken = {} # by the client's address

    class Noted(config.http_protocol_class):
        def connection_made(self, transport):
            super().connection_made(transport)
            spoken[tuple(self.client)] = transport.get_extra_info("ssl_object")

    config.http_protocol_class = Noted
    server = uvicorn.Server(config)
    served = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print("port %d" % server.servers[0].sockets[0].getsockname()[1], flush=True)
    await served


milgi.aio.run({"aiohttp": by_aiohttp, "uvicorn": by_uvicorn}[sys.argv[1]](
    milgi.Context.server(milgi.Credential(*sys.argv[2:]), alpn=["http/1.1"])))
