# SPDX-License-Identifier: Apache-2.0
"""asyncio: what is cancelled, interrupted, collected, or raises where nobody expects it; buffers of all shapes."""

import array
import asyncio
import copy
import gc
import pickle
import subprocess
import sys
import unittest
import warnings
from unittest import mock

import milgi
import milgi.aio as aio
import milgi.context
import milgi.loop
import rig
from rig import client_context, credential, echo, path, server_context


async def turns(n):
    for _ in range(n):
        await asyncio.sleep(0)


async def until_it_breaks(reader, writer):
    try:
        await echo(reader, writer)
    except OSError:
        pass


class Cancelled(rig.Case):
    async def test_a_connection_at_every_step(self):
        port = await self.serve(until_it_breaks)
        for steps in range(40):
            task = asyncio.ensure_future(self.connect(port, client_context(sessions=0)))
            await turns(steps)
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(result, tuple):
                await self.finish(result[1])
            del task, result
        await self.streams_gone()
        gc.collect()
        await turns(2)
        self.assertEqual(self.complaints, [])

    async def test_a_connection_that_is_lost_after_its_task_was_cancelled(self):
        """As it is when both come in one round: there is a waiter, but nobody who waits."""
        loop = asyncio.get_running_loop()
        for when in ("before", "after"):
            made, connected, port = [], [], await self.serve(until_it_breaks)

            async def connecting(factory, *args):
                made.append(factory())
                sock = await asyncio.open_connection("127.0.0.1", port)
                connected.append(sock[1].transport)
                connected[0].set_protocol(made[0])
                if when == "after":
                    made[0].connection_made(connected[0])
                await loop.create_future()
            with mock.patch.object(aio, "_own", lambda loop, name: connecting):
                task = asyncio.ensure_future(aio.create_connection(asyncio.Protocol, "127.0.0.1", port, ssl=client_context()))
                while not connected:
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            if when == "before":
                made[0].connection_made(connected[0])
                self.assertTrue(connected[0].is_closing())
            await self.streams_gone()
        del task, made, connected
        gc.collect()
        await turns(2)
        self.assertEqual(self.complaints, [])

    async def test_start_tls_at_every_step(self):
        async def handler(reader, writer):
            try:
                await aio.start_tls(writer.transport, writer.transport.get_protocol(), server_context(), server_side=True)
            except OSError:
                pass
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        self.servers.append(server)
        for steps in range(25):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
            task = asyncio.ensure_future(aio.start_tls(writer.transport, writer.transport.get_protocol(), client_context(),
                                                       server_hostname="localhost"))
            await turns(steps)
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(result, asyncio.Transport):
                result.abort()
            writer.close()
            try:
                await asyncio.wait_for(writer.wait_closed(), 20)
            except OSError:
                pass
            del task, result
        await self.streams_gone()
        gc.collect()
        await turns(2)
        self.assertEqual(self.complaints, [])

    async def test_waiting_for_room(self):
        async def handler(reader, writer):
            await stop.wait()
            await reader.readexactly(8 << 20)
            writer.write(b"all")
        stop = asyncio.Event()
        port = await self.serve(handler)
        reader, writer = await self.connect(port)
        writer.write(bytes(8 << 20))
        for _ in range(3):
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.01)
        stop.set()
        await writer.drain()
        self.assertEqual(await reader.readexactly(3), b"all")
        await self.finish(writer)

    async def test_an_answer_that_is_cancelled_refuses(self):
        async def cancelled(*args):
            raise asyncio.CancelledError

        async def of_another(*args):
            task = asyncio.ensure_future(asyncio.sleep(1000))
            asyncio.get_running_loop().call_soon(task.cancel)
            await task
        for answer in (cancelled, of_another):
            for server in (server_context(choose_certificate=answer), server_context(choose_alpn=answer),
                           milgi.Context.server(milgi.Credential(path("localhost.pem"), sign=answer))):
                port = await self.serve(echo, server)
                with self.assertRaises(milgi.AlertError):
                    await asyncio.wait_for(self.connect(port, client_context(alpn=["a"])), 20)
                self.assertIsInstance(self.complaints[0]["exception"], asyncio.CancelledError)
                self.complaints.clear()


class Told(rig.Case):
    async def test_who_has_begun_in_the_clear_hears_of_the_end(self):
        """asyncio's wait_closed() waits for nothing else."""
        async def handler(reader, writer):
            mine = aio.StreamWriter(writer.transport, writer._protocol, reader, asyncio.get_running_loop())
            try:
                await mine.start_tls(server_context("stranger"))
            except milgi.Error as e:
                heard.set_result(e)
            reader.feed_eof()
            await asyncio.wait([asyncio.ensure_future(mine.wait_closed())], timeout=20)
            gone.set_result(mine._protocol._get_close_waiter(mine).done())
        loop = asyncio.get_running_loop()
        heard, gone = loop.create_future(), loop.create_future()
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        self.servers.append(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        mine = aio.StreamWriter(writer.transport, writer._protocol, reader, loop)
        with self.assertRaises(milgi.CertificateError):
            await mine.start_tls(client_context(), server_hostname="localhost")
        with self.assertRaises(milgi.CertificateError):
            await asyncio.wait_for(reader.read(), 20)
        with self.assertRaises(milgi.CertificateError):
            await asyncio.wait_for(mine.wait_closed(), 20)
        self.assertIsInstance(await heard, milgi.AlertError)
        self.assertTrue(await gone)


class Raises(rig.Case):
    async def test_a_key_log_may_do_anything(self):
        """It is called after the turn: inside of one nothing may be done to the engine."""
        def raises(line, transport):
            lines.append(line)
            transport.abort()
            raise RuntimeError("no disk")
        lines = []
        port = await self.serve(echo)
        with self.assertRaises(OSError):
            reader, writer = await self.connect(port, client_context(keylog=raises))
            await reader.readexactly(1)
        await self.streams_gone()
        self.assertTrue(lines)
        self.assertEqual({type(c["exception"]) for c in self.complaints}, {RuntimeError})

    async def test_a_key_log_may_end_the_engine(self):
        """Which has more to tell: the rest of the handshake's lines, to begin with."""
        def ends(line, transport):
            lines.append(line)
            engine.close()
        lines, engine = [], aio.engine()
        port = await self.serve(echo)
        with self.assertRaises(milgi.TransportError):
            await self.connect(port, client_context(keylog=ends))
        self.assertTrue(lines and engine.closed)

    async def test_who_cannot_be_paused_is_not_cut(self):
        class Protocol(asyncio.Protocol):
            got, calls = 0, 0

            def pause_writing(self):
                self.calls += 1
                raise RuntimeError("cannot pause")

            def resume_writing(self):
                self.calls += 1
                raise RuntimeError("cannot resume")

            def data_received(self, data):
                self.got += len(data)
        port = await self.serve(echo)
        transport, protocol = await aio.create_connection(Protocol, "127.0.0.1", port, ssl=client_context(),
                                                          server_hostname="localhost")
        transport.write(bytes(1 << 20))
        while protocol.got < 1 << 20:
            await asyncio.sleep(0.001)
        self.assertEqual(protocol.calls, 2)
        self.assertEqual([str(c["exception"]) for c in self.complaints], ["cannot pause", "cannot resume"])
        transport.abort()

    async def test_a_buffer_that_cannot_be_written_stays_as_it_is(self):
        class Protocol(asyncio.BufferedProtocol):
            room, n = b"unchanged", 0

            def get_buffer(self, hint):
                return self.room

            def buffer_updated(self, n):
                self.n += n

            def connection_lost(self, error):
                lost.set_result(error)
        lost = asyncio.get_running_loop().create_future()
        port = await self.serve(echo)
        transport, protocol = await aio.create_connection(Protocol, "127.0.0.1", port, ssl=client_context(),
                                                          server_hostname="localhost")
        transport.write(b"something")
        self.assertIsInstance(await lost, (BufferError, TypeError))
        self.assertEqual((protocol.room, protocol.n), (b"unchanged", 0))

    def test_control_c_in_the_engines_turn(self):
        """Where it could not come up it comes up afterwards, and nobody's turn is lost."""
        soon, interrupts = milgi.loop.Engine._soon, []

        def interrupted(engine):
            if armed and not interrupts:
                interrupts.append(1)
                raise KeyboardInterrupt
            soon(engine)

        async def body():
            server = await aio.start_server(lambda r, w: asyncio.ensure_future(talk(r, w)), "127.0.0.1", 0,
                                            ssl=server_context())
            return server, await aio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1], ssl=client_context(),
                                                     server_hostname="localhost")

        async def talk(reader, writer):
            await echo(reader, writer)
            writer.close()

        async def rest():
            writer.write(b"x" * 100000)
            self.assertEqual(len(await reader.readexactly(100000)), 100000)
            writer.close()
            await writer.wait_closed()
            server.close()
        armed = False
        loop = rig.LOOP()
        asyncio.set_event_loop(loop)
        try:
            with mock.patch.object(milgi.loop.Engine, "_soon", interrupted):
                server, (reader, writer) = loop.run_until_complete(body())
                armed = True
                task = loop.create_task(rest())
                with self.assertRaises(KeyboardInterrupt):
                    loop.run_until_complete(task)
                loop.run_until_complete(asyncio.wait_for(task, 20))
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        self.assertEqual(interrupts, [1])


class Buffers(rig.Case):
    async def test_all_shapes(self):
        port = await self.serve(echo)
        reader, writer = await self.connect(port)
        transport = writer.transport
        whole = bytes(range(256)) * 4096  # more than is taken at once
        for shape in (memoryview(whole).cast("I"), memoryview(whole)[::2], memoryview(whole)[::-1], array.array("Q", whole),
                      bytearray(whole), memoryview(whole).cast("B", [4096, 256])):
            expected = bytes(shape)
            if isinstance(shape, array.array):
                shape = memoryview(shape)
            transport.write(shape)
            self.assertGreaterEqual(transport.get_write_buffer_size(), 0)
            self.assertEqual(await reader.readexactly(len(expected)), expected)
            while transport.get_write_buffer_size():
                await asyncio.sleep(0.001)
            self.assertEqual(transport._stream._backlog_len, 0)
        changed = bytearray(1 << 20)
        transport.write(changed)
        changed[:] = b"\1" * len(changed)
        self.assertEqual(await reader.readexactly(1 << 20), bytes(1 << 20))
        for wrong in ("text", 7, None, [1]):
            with self.assertRaises(TypeError):
                transport.write(wrong)
        transport.write_eof()
        with self.assertRaises(RuntimeError):
            transport.write(b"too late")
        await self.finish(writer)

    @unittest.skipUnless(rig.FULL, "takes some seconds, and 2 GiB")
    async def test_more_than_2_gib_at_once(self):
        async def handler(reader, writer):
            n = 0
            while True:
                data = await reader.read(1 << 20)
                if not data:
                    break
                n += len(data)
            writer.write(b"%d" % n)
        port = await self.serve(handler)
        reader, writer = await self.connect(port)
        size = (1 << 31) + 12345
        writer.write(bytes(size))
        self.assertGreater(writer.transport.get_write_buffer_size(), 1 << 31)
        writer.write_eof()
        self.assertEqual(await reader.read(), b"%d" % size)
        await self.finish(writer)

    async def test_names_that_end_before_their_end(self):
        """C would see only what is before a NUL."""
        port = await self.serve(echo)
        for make in (lambda: client_context(policy="modern\0"), lambda: client_context(alpn=["a\0b"]),
                     lambda: milgi.Credential(path("localhost.pem"), "pkcs11:token=a\0b"),
                     lambda: aio.engine().add_device("cpu\0x")):
            with self.assertRaisesRegex(milgi.UsageError, "NUL"):
                make()
        with self.assertRaisesRegex(milgi.UsageError, "NUL"):
            await self.connect(port, server_hostname="localhost\0.example")
        reader, writer = await self.connect(port)
        with self.assertRaisesRegex(milgi.UsageError, "NUL"):
            writer.get_extra_info("ssl_object").export_keying_material("EXPORTER\0", 16)
        await self.finish(writer)

    async def test_pickles(self):
        port = await self.serve(echo, server_context("stranger"))
        with self.assertRaises(milgi.CertificateError) as raised:
            await self.connect(port)
        error = pickle.loads(pickle.dumps(raised.exception))
        self.assertEqual((type(error), str(error), error.alert, error.code),
                         (milgi.CertificateError, str(raised.exception), "unknown_ca", raised.exception.code))
        for secret in (server_context(), credential(), milgi.Trust(path("ca.pem"))):
            with self.assertRaises(TypeError):
                pickle.dumps(secret)
        with open(path("localhost.pem"), "rb") as f:
            import ssl
            certificate = milgi.Certificate(ssl.PEM_cert_to_DER_cert(f.read().decode()))
        self.assertEqual(pickle.loads(pickle.dumps(certificate)).names, certificate.names)
        self.assertEqual(copy.copy(error).code, error.code)


class Collected(rig.Case):
    def test_a_credential_while_another_is_asked(self):
        """The collector may run whenever it likes, in the middle of that, too."""
        class Collects(dict):
            def get(self, number):
                gc.collect()
                return super().get(number)
        with mock.patch.object(milgi.context, "_signers", Collects(milgi.context._signers)):
            kept = milgi.Credential(path("localhost.pem"), sign=len)
            knot = [milgi.Credential(path("localhost.pem"), sign=max)]
            knot.append(knot)
            del knot
            self.assertEqual(len(milgi.context._signers), 2)
            self.assertIs(milgi.context.signer(kept._number), len)
            self.assertEqual(len(milgi.context._signers), 1)

    def test_what_was_never_made(self):
        said = []
        with mock.patch.object(sys, "unraisablehook", said.append):
            for make in (milgi.Credential, lambda: milgi.Credential(path("localhost.pem")), lambda: milgi.Credential(b"x", b"y"),
                         lambda: milgi.Session(b"none"), milgi.Context):
                with self.assertRaises((TypeError, milgi.UsageError)):
                    make()
            gc.collect()
        self.assertEqual(said, [])

    def test_a_loop_that_is_closed_with_connections(self):
        """Without a word to the engine: nothing more comes of it, and nothing breaks."""
        async def body():
            server = await aio.start_server(echo, "127.0.0.1", 0, ssl=server_context("rsa"))
            port = server.sockets[0].getsockname()[1]
            tasks = [asyncio.ensure_future(aio.open_connection("127.0.0.1", port, ssl=client_context(sessions=0),
                                                               server_hostname="localhost")) for _ in range(4)]
            reader, writer = await tasks[0]
            writer.write(bytes(1 << 20))
            return server, tasks, aio.engine()
        caught = warnings.catch_warnings()
        caught.__enter__()
        self.addCleanup(caught.__exit__, None, None, None)
        warnings.simplefilter("ignore")
        for closes in (False, True):
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(lambda loop, context: None)
            server, tasks, engine = loop.run_until_complete(body())
            if closes:
                engine.close()
            loop.close()
            if not closes:
                engine.close()
            del server, tasks, engine, loop
            gc.collect()

    async def test_what_is_unread_is_there_when_the_engine_is_not(self):
        class Protocol(asyncio.Protocol):
            got, lost = b"", None

            def connection_made(self, transport):
                self.transport = transport
                transport.pause_reading()

            def data_received(self, data):
                self.got += data

            def connection_lost(self, error):
                self.lost = error
        port = await self.serve(echo)
        transport, protocol = await aio.create_connection(Protocol, "127.0.0.1", port, ssl=client_context(),
                                                          server_hostname="localhost")
        transport.write(b"all of it")
        while transport._stream._unread() < 9:
            await asyncio.sleep(0.001)
        aio.engine().close()
        self.assertIsNone(protocol.lost)
        transport.resume_reading()
        await turns(3)
        self.assertEqual(protocol.got, b"all of it")
        self.assertIsInstance(protocol.lost, milgi.TransportError)

    def test_another_interpreter_says_that_it_cannot(self):
        for module, make, run in (("_interpreters", "create()", "exec"), ("_xxsubinterpreters", "create()", "run_string")):
            code = ("try:\n import %s as i\nexcept ImportError: raise SystemExit(77)\n"
                    "try:\n e = i.%s(i.%s, 'import milgi, milgi.aio')\nexcept Exception as error: e = error\n"
                    "print('said', e)\n" % (module, run, make))
            done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if done.returncode != 77:
                self.assertEqual((done.returncode, b"said" in done.stdout), (0, True), done)
                return
        self.skipTest("no interpreters beside the main one here")


if __name__ == "__main__":
    rig.main()
