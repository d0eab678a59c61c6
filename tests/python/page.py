# SPDX-License-Identifier: Apache-2.0
"""A page by aiohttp over Milgi, which says how it came: page.py CHAIN.pem KEY.pem. Prints its port."""

import asyncio
import sys

import milgi
import milgi.aio
from aiohttp import web


async def page(request):
    tls = request.transport.get_extra_info("ssl_object")
    return web.Response(content_type="text/html", text="<!doctype html><title>aiohttp</title><h1>aiohttp over Milgi</h1>"
                        "<p>%s by %s, %s, %s" % (request.scheme, tls.version(), tls.cipher()[0], tls.group))


async def main():
    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=milgi.Context.server(milgi.Credential(*sys.argv[1:]),
                                                                                alpn=["http/1.1"]))
    await site.start()
    print("port %d" % site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


milgi.aio.run(main())
