# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python adapter share: certificates, contexts of both stacks, sizes, devices."""

import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import milgi
import milgi.aio as aio

FULL = os.environ.get("MILGI_FULL") == "1"
MADE = None if os.environ.get("MILGI_WORK") else tempfile.TemporaryDirectory(prefix="milgi-python-")  # goes with us
WORK = MADE.name if MADE else os.environ["MILGI_WORK"]
# None: as by default. "chaos:seed=7": all ops go there.
DEVICE = os.environ.get("MILGI_DEVICE") or None
PATIENCE = 900  # somebody may stop us for a while
# "uvloop": in its loop instead of asyncio's.
LOOP = aio.EventLoop
if os.environ.get("MILGI_LOOP") == "uvloop":
    import uvloop

    class LOOP(aio.Loop, uvloop.Loop):
        pass
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def path(name):
    return os.path.join(WORK, name)


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(name, names, key=("ec", "ec_paramgen_curve:P-256"), ca="ca"):
    if os.path.exists(path(name + ".pem")):
        return
    openssl("req", "-newkey", key[0], *(("-pkeyopt", key[1]) if len(key) > 1 else ()), "-nodes", "-subj", "/CN=" + name,
            "-keyout", path(name + ".key"), "-out", path(name + ".csr"))
    with open(path(name + ".ext"), "w") as f:
        f.write("subjectAltName=" + names + "\n")
    openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path(ca + ".pem"), "-CAkey", path(ca + ".key"),
            "-days", "30", "-extfile", path(name + ".ext"), "-out", path(name + ".pem"))


def setup():
    if not os.path.exists(path("ca.pem")):
        for ca in ("ca", "stranger-ca"):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-subj", "/CN=" + ca, "-keyout", path(ca + ".key"), "-out", path(ca + ".pem"))
    certificate("localhost", "DNS:localhost,IP:127.0.0.1")
    certificate("rsa", "DNS:localhost,DNS:rsa.test", ("rsa:2048",))
    certificate("other", "DNS:other.test")
    certificate("client", "DNS:client.test,email:client@client.test")
    certificate("stranger", "DNS:localhost", ca="stranger-ca")
    openssl("pkey", "-in", path("localhost.key"), "-aes256", "-passout", "pass:sesame", "-out", path("locked.key"))
    with open(path("ca.conf"), "w") as file:
        file.write("[ca]\ndefault_ca = a\n[a]\ndatabase = %s\ndefault_md = sha256\n" % path("index.txt"))
    open(path("index.txt"), "w").close()
    of = ("ca", "-config", path("ca.conf"), "-cert", path("ca.pem"), "-keyfile", path("ca.key"))
    openssl(*of, "-gencrl", "-crldays", "2", "-out", path("good.crl"))
    for name in ("localhost", "client"):
        openssl(*of, "-revoke", path(name + ".pem"))
    openssl(*of, "-gencrl", "-crldays", "2", "-out", path("revoked.crl"))


setup()


def credential(name="localhost"):
    return milgi.Credential(path(name + ".pem"), path(name + ".key"))


def server_context(name="localhost", **options):
    return milgi.Context.server(credential(name), policy=options.pop("policy", "compatible"), **options)


def client_context(**options):
    return milgi.Context.client(options.pop("ca", path("ca.pem")), policy=options.pop("policy", "compatible"), **options)


def host_server(name="localhost", **options):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path(name + ".pem"), path(name + ".key"))
    return host(context, **options)


def host_client(ca="ca.pem", **options):
    return host(ssl.create_default_context(cafile=path(ca)), **options)


def host(context, version=None, alpn=None):
    if version:
        context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def engine_options():
    return {"devices": [(DEVICE, "all")]} if DEVICE else {}


class Case(unittest.TestCase):
    """A test method may be a coroutine: it has a loop, whose engine has the device that is asked for."""

    def _callTestMethod(self, method):
        began = time.monotonic()
        result = method()
        if asyncio.iscoroutine(result):
            self.run_async(result)
        if "MILGI_TIMES" in os.environ:
            print("%.2f s %s" % (time.monotonic() - began, self.id()), file=sys.stderr)

    def run_async(self, coroutine):
        self.complaints = []

        async def body():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: self.complaints.append(context))
            aio.engine(**engine_options())
            self.servers = []
            try:
                await asyncio.wait_for(coroutine, PATIENCE)
            finally:
                for server in self.servers:
                    server.close()
            await self.streams_gone()
        asyncio.run(body())

    async def streams_gone(self, most=0):
        """All that was opened is closed, within what lingering takes."""
        for _ in range(1000):
            if len(aio.engine().streams) <= most:
                return
            await asyncio.sleep(0.01)
        self.fail("%d streams are left" % len(aio.engine().streams))

    async def serve(self, handler, context=None, **kwargs):
        """The port of a server of streams, by either stack."""
        tasks = self.tasks = set()

        async def handle(reader, writer):
            tasks.add(asyncio.current_task())
            try:
                await handler(reader, writer)
            finally:
                writer.close()
                tasks.discard(asyncio.current_task())
        context = context or server_context()
        start = asyncio.start_server if isinstance(context, ssl.SSLContext) else aio.start_server
        server = await start(handle, "127.0.0.1", 0, ssl=context, **kwargs)
        self.servers.append(server)
        return server.sockets[0].getsockname()[1]

    async def connect(self, port, context=None, **kwargs):
        context = context or client_context()
        kwargs.setdefault("server_hostname", "localhost")
        connect = asyncio.open_connection if isinstance(context, ssl.SSLContext) else aio.open_connection
        return await connect("127.0.0.1", port, ssl=context, **kwargs)

    async def finish(self, writer):
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass


def run(main):
    """In a loop whose own methods take a milgi.Context."""
    return aio.run(main, loop_factory=LOOP)


async def echo(reader, writer):
    while True:
        data = await reader.read(65536)
        if not data:
            return
        writer.write(data)
        await writer.drain()


def main():
    verbose = "-v" in sys.argv
    if verbose:
        sys.argv.remove("-v")
    program = unittest.main(module="__main__", exit=False, verbosity=2 if verbose else 1)
    result = program.result
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    sys.stderr.flush()
    print("%d passed, %d failed" % (result.testsRun - failed - len(result.skipped), failed), flush=True)
    sys.exit(failed != 0)
