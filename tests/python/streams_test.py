# SPDX-License-Identifier: Apache-2.0
"""asyncio: streams and transports of both stacks, what is asked, what goes wrong."""

import asyncio
import errno
import gc
import hashlib
import os
import socket
import ssl
import struct
import time
import unittest
import weakref
from unittest import mock

import milgi
import milgi.aio as aio
import milgi.loop
import rig
from milgi._native import lib
from rig import client_context, credential, echo, host_client, host_server, path, server_context

SIZE = (100 << 20) if rig.FULL else (4 << 20)
CROWD = 1000 if rig.FULL else 60
SMALL = 384 << 10


class Talk(rig.Case):
    async def both_ways(self, server, client, size):
        """Each side sends |size| bytes, a pattern of its own, and the other's digest is right."""
        piece = os.urandom(65536)

        def sent(salt):
            h = hashlib.sha256()
            for i in range(size // len(piece)):
                h.update(salt + piece[1:])
            return h.digest()

        async def send(writer, salt):
            for i in range(size // len(piece)):
                writer.write(salt + piece[1:])
                await writer.drain()

        async def receive(reader):
            h, got = hashlib.sha256(), 0
            while got < size:
                data = await reader.read(1 << 18)
                self.assertTrue(data)
                got += len(data)
                h.update(data)
            return h.digest()

        async def handler(reader, writer):
            _, digest = await asyncio.gather(send(writer, b"s"), receive(reader))
            done.set_result(digest)
            await reader.read()
        done = asyncio.get_running_loop().create_future()
        port = await self.serve(handler, server)
        reader, writer = await self.connect(port, client)
        _, digest = await asyncio.gather(send(writer, b"c"), receive(reader))
        self.assertEqual(digest, sent(b"s"))
        self.assertEqual(await done, sent(b"c"))
        await self.finish(writer)

    async def test_bulk_both_ways(self):
        await self.both_ways(server_context(), client_context(), SIZE)

    async def test_bulk_with_the_hosts_client(self):
        await self.both_ways(server_context(), host_client(), SIZE // 4)

    async def test_bulk_with_the_hosts_server(self):
        await self.both_ways(host_server(), client_context(), SIZE // 4)

    async def test_versions_with_the_host_in_both_roles(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            for server, client in ((server_context(alpn=["b", "a"]), host_client(version=version, alpn=["a", "b"])),
                                   (host_server(version=version, alpn=["b"]), client_context(alpn=["a", "b"]))):
                port = await self.serve(echo, server)
                reader, writer = await self.connect(port, client)
                writer.write(b"hello")
                self.assertEqual(await reader.readexactly(5), b"hello")
                about = writer.get_extra_info("ssl_object")
                self.assertEqual((about.version(), about.selected_alpn_protocol()), (name, "b"))
                self.assertEqual(writer.get_extra_info("cipher")[1], name)
                await self.finish(writer)

    async def test_the_peers_certificate_is_told_as_ssl_tells_it(self):
        port = await self.serve(echo, host_server())
        reader, writer = await self.connect(port)
        ours = writer.get_extra_info("peercert")
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        await self.finish(writer)
        reader, writer = await self.connect(port, host_client())
        theirs = writer.get_extra_info("peercert")
        self.assertEqual(der, writer.get_extra_info("ssl_object").getpeercert(True))
        await self.finish(writer)
        self.assertEqual(ours, {key: theirs[key] for key in ours})

    async def test_client_certificates(self):
        async def handler(reader, writer):
            chain = writer.get_extra_info("ssl_object").peer_chain
            writer.write(repr(chain[0].names if chain else None).encode())
            await writer.drain()
            await reader.read()
        required = server_context(client_ca=path("ca.pem"))
        optional = server_context(client_ca=path("ca.pem"), client_auth="optional")
        for server, client, expected in (
                (required, client_context(credentials=credential("client")),
                 "[('dns', 'client.test'), ('email', 'client@client.test')]"),
                (optional, client_context(credentials=credential("client")),
                 "[('dns', 'client.test'), ('email', 'client@client.test')]"),
                (optional, client_context(), "None")):
            port = await self.serve(handler, server)
            reader, writer = await self.connect(port, client)
            self.assertEqual((await reader.readexactly(len(expected))).decode(), expected)
            await self.finish(writer)
        port = await self.serve(handler, required)
        for client in (client_context(policy="modern"), host_client()):
            reader, writer = await self.connect(port, client)
            with self.assertRaises(OSError) as raised:
                await reader.readexactly(1)
            if isinstance(client, milgi.Context):
                self.assertIsInstance(raised.exception, milgi.AlertError)
                self.assertEqual(raised.exception.alert, "certificate_required")
                self.assertTrue(raised.exception.alert_from_peer)
            await self.finish(writer)

    async def test_sessions_are_resumed(self):
        for server, client in ((server_context(), client_context()), (host_server(), client_context()),
                               (server_context(policy="versions=1.2"), client_context())):
            port = await self.serve(echo, server)
            reused = []
            for _ in range(2):
                reader, writer = await self.connect(port, client)
                writer.write(b"x")
                await reader.readexactly(1)
                reused.append(writer.get_extra_info("ssl_object").session_reused)
                await self.finish(writer)
            self.assertEqual(reused, [False, True])

    async def test_a_session_may_be_kept_elsewhere(self):
        came = asyncio.Queue()
        client = client_context(sessions=0, on_session=lambda session, transport: came.put_nowait(bytes(session)))
        port = await self.serve(echo)
        reader, writer = await self.connect(port, client)
        session = await came.get()
        await self.finish(writer)
        reader, writer = await self.connect(port, client, session=session)
        self.assertTrue(writer.get_extra_info("ssl_object").session_reused)
        await self.finish(writer)
        with self.assertRaises(milgi.UsageError):
            await self.connect(port, client, session=b"no session")

    async def test_a_crowd(self):
        port = await self.serve(echo, backlog=1024)
        client = client_context(sessions=0)

        async def one(i):
            reader, writer = await self.connect(port, client)
            data = b"%d" % i * 100
            writer.write(data)
            self.assertEqual(await reader.readexactly(len(data)), data)
            await everybody.wait()
            await self.finish(writer)
        everybody = asyncio.Event()
        tasks = [asyncio.ensure_future(one(i)) for i in range(CROWD)]
        while len(aio.engine().streams) < 2 * CROWD:
            await asyncio.sleep(0.01)
        everybody.set()
        await asyncio.gather(*tasks)

    async def test_the_key_log_says_whose_line_it_is(self):
        lines = {True: [], False: []}

        def keep(line, transport):
            lines[transport.get_extra_info("sslcontext").server_side].append((line, transport.get_extra_info("sockname")))
        port = await self.serve(echo, server_context(keylog=keep))
        reader, writer = await self.connect(port, client_context(keylog=keep))
        writer.write(b"x")
        await reader.readexactly(1)
        mine = writer.get_extra_info("sockname")
        await self.finish(writer)
        self.assertEqual(sorted(line for line, _ in lines[True]), sorted(line for line, _ in lines[False]))
        self.assertEqual(len({line.split()[1] for line, _ in lines[True]}), 1)
        self.assertEqual({name for _, name in lines[False]}, {mine})
        self.assertEqual({name[1] for _, name in lines[True]}, {port})

    async def test_the_exporter_is_the_same_on_both_sides(self):
        async def handler(reader, writer):
            about = writer.get_extra_info("ssl_object")
            writer.write(about.export_keying_material("EXPORTER-test", 32) + about.get_channel_binding())
            await reader.read()
        port = await self.serve(handler)
        reader, writer = await self.connect(port)
        about = writer.get_extra_info("ssl_object")
        about.update_keys(True)
        self.assertEqual(await reader.readexactly(64),
                         about.export_keying_material("EXPORTER-test", 32) + about.get_channel_binding())
        await self.finish(writer)
        with self.assertRaises(milgi.TransportError):
            while True:
                about.update_keys()
                await asyncio.sleep(0.01)


class Ends(rig.Case):
    async def test_each_direction_ends_by_itself(self):
        async def handler(reader, writer):
            heard = await reader.read()
            writer.write(b"all of " + heard)
            writer.write_eof()
            await asyncio.sleep(0)
            await gone.wait()
        gone = asyncio.Event()
        port = await self.serve(handler)
        reader, writer = await self.connect(port)
        writer.write(b"it")
        writer.write_eof()
        self.assertEqual(await reader.read(), b"all of it")
        gone.set()
        await self.finish(writer)

    async def test_the_servers_direction_ends_first(self):
        async def handler(reader, writer):
            writer.write(b"my last word")
            writer.write_eof()
            heard.set_result(await reader.read())
        heard = asyncio.get_running_loop().create_future()
        port = await self.serve(handler)
        reader, writer = await self.connect(port)
        self.assertEqual(await reader.read(), b"my last word")
        writer.write(b"still here")
        writer.write_eof()
        self.assertEqual(await heard, b"still here")
        await self.finish(writer)

    async def test_a_cut_is_no_end(self):
        async def handler(reader, writer):
            writer.write(b"half of")
            await writer.drain()
            await reader.readexactly(1)
            writer.transport.abort()
        port = await self.serve(handler)
        reader, writer = await self.connect(port)
        self.assertEqual(await reader.readexactly(7), b"half of")
        writer.write(b"x")
        with self.assertRaises((milgi.TruncatedError, milgi.TransportError)) as raised:
            await reader.read()
        self.assertIsInstance(raised.exception, ConnectionError)
        await self.finish(writer)

    async def test_what_was_read_is_delivered_before_the_end_is_told(self):
        async def handler(reader, writer):
            writer.write(b"y" * 200000)
        port = await self.serve(handler)
        reader, writer = await self.connect(port, limit=1000)
        await asyncio.sleep(0.05)
        self.assertEqual(len(await reader.read()), 200000)
        await self.finish(writer)

    async def test_what_was_written_is_sent_before_a_close(self):
        async def handler(reader, writer):
            heard.set_result(len(await reader.read()))
        heard = asyncio.get_running_loop().create_future()
        port = await self.serve(handler, limit=1000)
        reader, writer = await self.connect(port)
        writer.write(bytearray(3 << 20))
        self.assertGreater(writer.transport.get_write_buffer_size(), 1 << 20)
        writer.close()
        await writer.wait_closed()
        self.assertEqual(await heard, 3 << 20)

    async def test_abrupt_ends_with_ops_in_flight(self):
        port = await self.serve(echo, server_context("rsa"))
        client = client_context(sessions=0)
        for step in range(12):
            socks = []
            for _ in range(4):
                s = socket.create_connection(("127.0.0.1", port))
                s.setblocking(False)
                socks.append(s)
            tasks = [asyncio.ensure_future(aio.open_connection(sock=s, ssl=client, server_hostname="localhost"))
                     for s in socks]
            for _ in range(step):
                await asyncio.sleep(0.001)
            for task in tasks:
                task.cancel()
            for s, result in zip(socks, await asyncio.gather(*tasks, return_exceptions=True)):
                if isinstance(result, tuple):
                    result[1].transport.abort()
                elif not step:  # nobody has it yet
                    s.close()

    async def test_a_peer_that_takes_nothing_is_not_waited_for_for_ever(self):
        taken = []

        async def handler(reader, writer):
            taken.append(writer)
            writer.transport.pause_reading()
            await gone
        gone = asyncio.get_running_loop().create_future()
        aio.engine().close()
        aio.engine(flush=0.2, flush_total=0.2, **rig.engine_options())
        port = await self.serve(handler)
        reader, writer = await self.connect(port)
        while writer.transport.get_write_buffer_size() < 8 << 20:
            writer.write(bytes(1 << 20))
        writer.close()
        writer.transport.close()  # again
        await writer.wait_closed()
        await self.streams_gone(1)
        gone.set_result(None)
        taken[0].transport.abort()

    async def slow(self, size, held=4096):
        """A server that has written that (and closes if it is SMALL), whose kernel holds so much of it, and a peer of the
        other stack that holds little."""
        async def handler(reader, writer):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, held)
            written.append(writer)
            await reader.readexactly(1)
            writer.write(bytes(size))
            if size == SMALL:
                return
            try:
                await reader.read()
            except milgi.TransportError:
                pass

        def connect():
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            peer = host_client().wrap_socket(sock, server_hostname="localhost")
            peer.send(b"x")
            return peer

        async def take(n):
            while n:
                data = await loop.run_in_executor(None, peer.recv, n)
                self.assertTrue(data)
                n -= len(data)
        written, loop = [], asyncio.get_running_loop()
        port = await self.serve(handler)
        peer = await loop.run_in_executor(None, connect)
        return written, peer, take

    async def test_progress_is_what_the_peer_has_taken(self):
        """Not what the transport below is rid of, which is told when all of it is."""
        for held in 4096, 192 << 10:  # the transport below is rid of it bit by bit, or at once
            written, peer, take = await self.slow(192 << 10, held)
            await take(1)
            info = written[0].get_extra_info("ssl_object")
            while info.idle() < 0.05:
                await asyncio.sleep(0.01)
            for _ in range(4):
                before = time.monotonic()
                await take(32 << 10)  # a window's worth, and more
                while info.idle() > time.monotonic() - before:
                    self.assertLess(time.monotonic() - before, 60)
                    await asyncio.sleep(0.01)
            peer.close()
            written[0].transport.abort()
            with self.assertRaises(milgi.TransportError):
                await asyncio.sleep(0)
                info.idle()

    @unittest.skipUnless(rig.FULL, "takes half a minute")
    async def test_a_slow_peer_has_all_of_it(self):
        """At a rate at which what the transport below holds takes longer than a peer may take nothing."""
        aio.engine().close()
        aio.engine(flush=3, linger=1, **rig.engine_options())
        written, peer, take = await self.slow(SMALL)
        self.addCleanup(peer.close)
        for _ in range(SMALL >> 14):
            began = time.monotonic()
            try:
                await take(1 << 14)
                await asyncio.sleep(1)
            except AssertionError:
                if time.monotonic() - began < 2:
                    raise
            if time.monotonic() - began > 2:
                self.skipTest("somebody else had this machine: the peer has been slower than it was to be")
        self.assertEqual(await asyncio.get_running_loop().run_in_executor(None, peer.recv, 1), b"")

    async def test_what_has_ended_does_not_wait_for_the_collector(self):
        port = await self.serve(echo)
        reader, writer = await self.connect(port)
        writer.write(b"x")
        await reader.readexactly(1)
        gc.collect()
        gc.disable()
        try:
            streams = [weakref.ref(stream) for stream in aio.engine().streams]
            self.assertEqual(len(streams), 2)
            await self.finish(writer)
            await self.streams_gone()
            del reader, writer
            for _ in range(100):
                await asyncio.sleep(0)
            self.assertEqual([stream() for stream in streams], [None] * 2)
        finally:
            gc.enable()

    async def test_an_engine_may_be_ended_by_what_it_calls(self):
        class Protocol(asyncio.Protocol):
            lost = None

            def connection_made(self, transport):
                transport.write(b"x")

            def data_received(self, data):
                engine.close()

            def connection_lost(self, error):
                self.lost = error
        engine = aio.engine()
        port = await self.serve(echo)
        protocol = Protocol()
        with mock.patch.object(milgi.loop, "ROUND_S", 60):  # that what else there is to tell would be told in the same round
            await aio.create_connection(lambda: protocol, "127.0.0.1", port, ssl=client_context(),
                                        server_hostname="localhost")
            while not engine.closed:
                await asyncio.sleep(0.001)
        self.assertIsInstance(protocol.lost, milgi.TransportError)

    async def test_an_engine_that_ends_tells_everybody(self):
        port = await self.serve(echo)
        reader, writer = await self.connect(port)
        aio.engine().close()
        with self.assertRaises(milgi.TransportError):
            await reader.read()
        writer.close()


class Pressure(rig.Case):
    async def test_a_slow_reader_holds_the_writer(self):
        async def handler(reader, writer):
            try:
                while True:
                    writer.write(bytes(65536))
                    await asyncio.wait_for(writer.drain(), 0.3)
                    sent[0] += 65536
            except asyncio.TimeoutError:
                stuck.set_result(sent[0])
            while not stop.is_set():
                await writer.drain()
                if not stop.is_set():
                    writer.write(bytes(65536))
                    sent[0] += 65536
        sent, stop = [0], asyncio.Event()
        stuck = asyncio.get_running_loop().create_future()
        port = await self.serve(handler)
        reader, writer = await self.connect(port, limit=65536)
        self.assertTrue(await reader.read(1))
        at = await stuck
        self.assertLess(at, 16 << 20)
        await asyncio.sleep(0.05)
        self.assertLess(sent[0], 16 << 20)
        got = 0
        while got < at + (1 << 20):
            got += len(await reader.read(1 << 18))
        stop.set()
        writer.transport.abort()

    async def test_limits_of_the_write_buffer(self):
        events = []

        class Protocol(asyncio.Protocol):
            def pause_writing(self):
                events.append("pause")

            def resume_writing(self):
                events.append("resume")
                done.set_result(None)
        done = asyncio.get_running_loop().create_future()
        port = await self.serve(echo)
        transport, _ = await aio.create_connection(Protocol, "127.0.0.1", port, ssl=client_context(),
                                                   server_hostname="localhost")
        transport.set_write_buffer_limits(high=1000, low=10)
        self.assertEqual(transport.get_write_buffer_limits(), (10, 1000))
        transport.write(bytes(900))
        self.assertEqual(events, [])
        transport.write(bytes(900))
        self.assertEqual(events, ["pause"])
        await done
        self.assertEqual(events, ["pause", "resume"])
        with self.assertRaises(ValueError):
            transport.set_write_buffer_limits(high=1, low=2)
        transport.close()

    async def test_a_slow_writer(self):
        port = await self.serve(echo)
        reader, writer = await self.connect(port)
        for i in range(20):
            writer.write(b"%c" % (65 + i))
            self.assertEqual(await reader.readexactly(1), b"%c" % (65 + i))
        await self.finish(writer)

    async def test_a_buffered_protocol(self):
        class Protocol(asyncio.BufferedProtocol):
            def connection_made(self, transport):
                self.got, self.buffer = b"", bytearray(700)
                transport.write(bytes(range(256)) * 500)
                transport.write_eof()

            def get_buffer(self, hint):
                return memoryview(self.buffer)

            def buffer_updated(self, n):
                self.got += self.buffer[:n]

            def eof_received(self):
                return False

            def connection_lost(self, error):
                done.set_result((self.got, error))
        done = asyncio.get_running_loop().create_future()
        port = await self.serve(echo)
        await aio.create_connection(Protocol, "127.0.0.1", port, ssl=client_context(), server_hostname="localhost")
        self.assertEqual(await done, (bytes(range(256)) * 500, None))


class Asked(rig.Case):
    """Each question, answered at once and late."""

    async def talk(self, server, client=None, name="localhost"):
        port = await self.serve(echo, server)
        reader, writer = await self.connect(port, client, server_hostname=name)
        writer.write(b"x")
        self.assertEqual(await reader.readexactly(1), b"x")
        about = writer.get_extra_info("ssl_object")
        await self.finish(writer)
        return about

    @staticmethod
    def late(function):
        async def answer(*args):
            await asyncio.sleep(0.01)
            return function(*args)
        return answer

    async def test_which_certificate_by_name(self):
        known = {"localhost": credential(), "rsa.test": credential("rsa"), "other.test": credential("other")}

        def choose(hello):
            self.assertIn("ecdsa_secp256r1_sha256", hello.schemes)
            return known.get(hello.server_name, False)
        for answer in (choose, self.late(choose)):
            server = milgi.Context.server(choose_certificate=answer)
            for name in known:
                about = await self.talk(server, name=name)
                self.assertIn(("dns", name), about.peer_chain[0].names)
            with self.assertRaises(milgi.AlertError) as raised:
                await self.talk(server, name="unknown.test")
            self.assertEqual(raised.exception.alert, "handshake_failure")

    async def test_which_context_by_name(self):
        other = server_context("other", alpn=["of-other"])
        for answer in (lambda hello: other if hello.server_name == "other.test" else None,):
            for choose in (answer, self.late(answer)):
                server = server_context(choose_context=choose, alpn=["of-first"])
                about = await self.talk(server, client_context(alpn=["of-other", "of-first"]), "other.test")
                self.assertEqual(about.alpn, "of-other")
                about = await self.talk(server, client_context(alpn=["of-other", "of-first"]))
                self.assertEqual(about.alpn, "of-first")

    async def test_which_protocol(self):
        for choose in (lambda hello: hello.alpn[1], self.late(lambda hello: hello.alpn[1])):
            about = await self.talk(server_context(choose_alpn=choose), client_context(alpn=["a", "b"]))
            self.assertEqual(about.alpn, "b")

    async def test_whether_the_peer_is_accepted(self):
        for verdict in (True, False):
            for check in (lambda hello: verdict, self.late(lambda hello: verdict)):
                seen = []
                client = client_context(check_peer=lambda hello: seen.append(hello.chain[0].names) or check(hello))
                if verdict:
                    await self.talk(server_context(), client)
                else:
                    with self.assertRaises(milgi.Error) as raised:
                        await self.talk(server_context(), client)
                    self.assertEqual(raised.exception.alert, "access_denied")
                self.assertIn(("dns", "localhost"), seen[0])
        for verdict in (None, 0, "", [], "yes"):
            with self.assertRaises(milgi.Error) as raised:
                await self.talk(server_context(), client_context(check_peer=lambda hello: verdict))
            self.assertEqual(raised.exception.alert, "access_denied")

    async def test_the_context_that_was_chosen_is_asked_about_the_peer(self):
        asked = []

        def server(name, verdict, **options):
            return server_context(client_ca=path("ca.pem"), check_peer=lambda hello: asked.append(name) or verdict, **options)
        for first in (server("first", True, choose_context=lambda hello: chosen),
                      server_context(choose_context=lambda hello: chosen)):
            for verdict in (True, False):
                chosen = server("chosen", verdict)
                client = client_context(credentials=credential("client"))
                if verdict:
                    await self.talk(first, client)
                else:
                    with self.assertRaises(milgi.Error) as raised:
                        await self.talk(first, client)
                    self.assertEqual(raised.exception.alert, "access_denied")
        self.assertEqual(asked, ["chosen"] * 4)

    async def test_keys_that_are_functions(self):
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        with open(path("localhost.key"), "rb") as f:
            ecdsa = serialization.load_pem_private_key(f.read(), None)
        with open(path("rsa.key"), "rb") as f:
            rsa = serialization.load_pem_private_key(f.read(), None)
        asked = []

        def by_ecdsa(scheme, message):
            asked.append(scheme)
            self.assertEqual(scheme, "ecdsa_secp256r1_sha256")
            return ecdsa.sign(message, ec.ECDSA(hashes.SHA256()))

        def by_rsa(scheme, message):
            asked.append(scheme)
            hash_ = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[scheme[-3:]]()
            return rsa.sign(message, padding.PSS(padding.MGF1(hash_), hash_.digest_size), hash_)
        for name, function in (("localhost", by_ecdsa), ("rsa", by_rsa)):
            for sign in (function, self.late(function)):
                for policy in ("versions=1.3", "versions=1.2"):
                    server = milgi.Context.server(milgi.Credential(path(name + ".pem"), sign=sign), policy=policy)
                    await self.talk(server, client_context(sessions=0))
        self.assertEqual(len(asked), 8)

    async def test_keys_whose_function_fails(self):
        async def raises(scheme, message):
            raise RuntimeError("the token is out")

        async def lies(scheme, message):
            return b"no signature"
        for sign in (raises, lies, lambda scheme, message: None, lambda scheme, message: "text"):
            failures = []
            server = milgi.Context.server(milgi.Credential(path("localhost.pem"), sign=sign),
                                          on_failure=lambda error, transport: failures.append(error))
            with self.assertRaises(milgi.AlertError) as raised:
                await self.talk(server)
            self.assertEqual(raised.exception.alert, "internal_error")
            self.assertIsInstance(failures[0], milgi.DeviceError)

    async def test_connections_that_go_while_their_key_works(self):
        waits = []

        async def sign(scheme, message):
            waits.append(asyncio.get_running_loop().create_future())
            return await waits[-1]
        port = await self.serve(echo, milgi.Context.server(milgi.Credential(path("localhost.pem"), sign=sign)))
        task = asyncio.ensure_future(self.connect(port))
        while not waits:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        waits[0].set_result(b"too late")
        await self.streams_gone()
        self.assertEqual(self.complaints, [])

    async def test_sessions_elsewhere(self):
        kept = {}

        def seal(sessions):
            names = [os.urandom(16) for _ in sessions]
            kept.update(zip(names, sessions))
            return names

        def open_(tickets):
            for i, ticket in enumerate(tickets):
                if ticket in kept:
                    return i, kept[ticket]
        for wrap in (lambda f: f, self.late):
            for policy in ("versions=1.3", "versions=1.2"):
                server = server_context(policy=policy, seal_tickets=wrap(seal), open_ticket=wrap(open_))
                client = client_context()
                self.assertFalse((await self.talk(server, client)).session_reused)
                self.assertTrue((await self.talk(server, client)).session_reused)

    async def test_sessions_by_their_id(self):
        kept = {}

        def store(ident, session):
            kept[ident] = session
            return True
        for wrap in (lambda f: f, self.late):
            server = server_context(policy="versions=1.2", tickets=False, store_session=wrap(store),
                                    find_session=wrap(kept.get))
            client = client_context()
            self.assertFalse((await self.talk(server, client)).session_reused)
            self.assertTrue((await self.talk(server, client)).session_reused)

    async def test_answers_that_make_no_sense(self):
        for question in ("choose_certificate", "choose_alpn", "choose_context"):
            def answer(hello):
                return 7 if question == "choose_certificate" else 1 / 0
            server = server_context(**{question: answer, "alpn": ["a"]})
            with self.assertRaises(milgi.AlertError):
                await self.talk(server, client_context(alpn=["a"]))
            self.assertEqual([type(c["exception"]) for c in self.complaints],
                             [TypeError if question == "choose_certificate" else ZeroDivisionError])
            self.complaints.clear()
        with self.assertRaises(TypeError):
            server_context(choose_nothing=answer)


class Wrong(rig.Case):
    async def fails(self, server, client=None, **kwargs):
        failures = []
        if isinstance(server, milgi.Context):
            server.on_failure = lambda error, transport: failures.append(error)
        port = await self.serve(echo, server)
        with self.assertRaises(OSError) as raised:
            reader, writer = await self.connect(port, client, **kwargs)
            try:
                await reader.readexactly(1)
            finally:
                await self.finish(writer)
        await self.streams_gone()
        return raised.exception, failures[0] if failures else None

    async def test_untrusted(self):
        error, failure = await self.fails(server_context("stranger"))
        self.assertIsInstance(error, milgi.CertificateError)
        self.assertEqual((error.alert, error.alert_from_peer), ("unknown_ca", False))
        self.assertEqual((failure.alert, failure.alert_from_peer), ("unknown_ca", True))
        error, failure = await self.fails(host_server("stranger"))
        self.assertIsInstance(error, milgi.CertificateError)
        error, failure = await self.fails(server_context("stranger"), host_client())
        self.assertIsInstance(error, ssl.SSLCertVerificationError)
        self.assertIsInstance(failure, milgi.TransportError)  # asyncio's ssl closes without its alert

    async def test_revoked(self):
        for check in ("leaf", "all"):
            client = client_context(ca=milgi.Trust(path("ca.pem"), crls=path("revoked.crl"), crl_check=check))
            error, failure = await self.fails(server_context(), client)
            self.assertIsInstance(error, milgi.CertificateError)
            self.assertEqual((error.alert, failure.alert), ("certificate_revoked", "certificate_revoked"))
        port = await self.serve(echo, server_context())
        _, writer = await self.connect(port, client_context(ca=milgi.Trust(path("ca.pem"), crls=path("good.crl"))))
        await self.finish(writer)

    async def test_wrong_name(self):
        error, failure = await self.fails(server_context("other"))
        self.assertIsInstance(error, milgi.CertificateError)
        self.assertIn("hostname mismatch", str(error))

    async def test_a_certificate_that_is_only_reported(self):
        asked = []
        for name, words in (("stranger", "issuer"), ("other", "hostname"), ("localhost", None)):
            for accept in (True, False):
                client = client_context(dangerously_only_report_peer=True, check_peer=lambda hello: asked.append(
                    hello.verdict) or accept)
                port = await self.serve(echo, server_context(name))
                if not accept:
                    with self.assertRaises(milgi.Error) as raised:
                        await self.connect(port, client)
                    self.assertEqual(raised.exception.alert, "access_denied")
                    continue
                reader, writer = await self.connect(port, client)
                info = writer.get_extra_info("ssl_object")
                self.assertEqual(info.peer_authenticated, words is None)
                self.assertEqual(asked[-1], info.peer_verdict)
                self.assertIn(words or "None", str(info.peer_verdict))
                self.assertEqual(bool(info.getpeercert()), words is None)
                await self.finish(writer)
        self.assertEqual(len(asked), 6)

    async def test_no_name_to_check(self):
        with self.assertRaises(ValueError), socket.socket() as s:
            await aio.create_connection(asyncio.Protocol, sock=s, ssl=client_context())
        port = await self.serve(echo)
        with self.assertRaises(milgi.UsageError):
            await self.connect(port, server_hostname="")

    async def test_no_protocol_in_common(self):
        error, failure = await self.fails(server_context(alpn=["a"]), client_context(alpn=["b"]))
        self.assertEqual((error.alert, failure.alert), ("no_application_protocol",) * 2)
        self.assertEqual((error.alert_from_peer, failure.alert_from_peer), (True, False))

    async def test_no_version_in_common(self):
        error, failure = await self.fails(server_context(policy="modern"),
                                          host_client(version=ssl.TLSVersion.TLSv1_2))
        self.assertEqual(failure.alert, "protocol_version")

    async def test_client_without_certificate_in_tls_12(self):
        error, failure = await self.fails(server_context(client_ca=path("ca.pem"), policy="versions=1.2"))
        self.assertIsInstance(error, milgi.AlertError)
        self.assertEqual(failure.alert, "handshake_failure")

    async def garbage(self, data, **options):
        failed = asyncio.get_running_loop().create_future()
        port = await self.serve(echo, server_context(
            on_failure=lambda error, transport: failed.set_result((error, transport.get_extra_info("peername"))), **options))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        error, peer = await failed
        self.assertEqual(peer[0], "127.0.0.1")
        return answer, error

    async def test_garbage_instead_of_a_hello(self):
        answer, error = await self.garbage(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(answer[:1], b"\x15")
        self.assertIsInstance(error, milgi.Error)
        self.assertEqual((error.alert, error.alert_from_peer), ("unexpected_message", False))

    async def test_a_hello_that_is_cut(self):
        answer, error = await self.garbage(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        self.assertIsInstance(error, milgi.TruncatedError)

    async def test_nothing_at_all(self):
        answer, error = await self.garbage(b"")
        self.assertIsInstance(error, milgi.TruncatedError)

    async def test_a_client_that_says_nothing(self):
        failed = asyncio.get_running_loop().create_future()
        port = await self.serve(echo, server_context(on_failure=lambda e, t: failed.set_result(e)),
                                ssl_handshake_timeout=0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.assertIsInstance(await failed, ConnectionAbortedError)
        await reader.read()
        writer.close()
        with self.assertRaises(ValueError):
            await self.connect(port, ssl_handshake_timeout=0)

    async def test_a_client_that_says_nothing_is_not_waited_for_for_ever(self):
        failed = asyncio.get_running_loop().create_future()
        with mock.patch("milgi.aio.HANDSHAKE_S", 0.05):
            port = await self.serve(echo, server_context(on_failure=lambda e, t: failed.set_result(e)))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            self.assertIsInstance(await failed, ConnectionAbortedError)
        writer.close()

    async def test_a_server_that_is_none(self):
        async def handler(reader, writer):
            await reader.readexactly(1)
            writer.write(b"220 ready\r\n")
            await writer.drain()
            writer.close()
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        self.servers.append(server)
        with self.assertRaises(milgi.Error):
            await self.connect(server.sockets[0].getsockname()[1])
        server.close()

    async def test_the_transport_ends_without_the_peers_word(self):
        """By the host's client, which sends no close_notify when its socket is closed."""
        async def handler(reader, writer):
            writer.write(b"x")
            try:
                await reader.read()
            except OSError as e:
                told.set_result(e)
        told = asyncio.get_running_loop().create_future()
        port = await self.serve(handler)

        def client():
            with socket.create_connection(("127.0.0.1", port)) as sock:
                with host_client().wrap_socket(sock, server_hostname="localhost") as peer:
                    peer.send(b"some of it")
                    peer.recv(1)  # and what came before it: unread it would make a reset of the end
        await asyncio.get_running_loop().run_in_executor(None, client)
        self.assertIsInstance(await told, milgi.TruncatedError)

    async def test_it_is_lost_before_anybody_has_heard_that_it_is_open(self):
        """As it is when events wait for the loop's next round, and the transport's end comes first."""
        handle, lost, failed = aio._Stream.handle, [], asyncio.get_running_loop().create_future()

        def lost_first(stream):
            if stream._c.todo & lib.MILGI_PY_OPEN and stream.context.server_side and not lost:
                lost.append(stream)
                stream.lost(ConnectionResetError(errno.ECONNRESET, "reset"))
            else:
                handle(stream)
        port = await self.serve(echo, server_context(on_failure=lambda error, transport: failed.set_result(error)))
        aio._Stream.handle = lost_first
        try:
            with self.assertRaises(milgi.TransportError):
                reader, writer = await self.connect(port)
                await reader.read()
        finally:
            del aio._Stream.handle
        self.assertIsInstance(await failed, milgi.ResetError)
        self.assertFalse(lost[0].established)

    def test_resets_leave_no_memory_behind(self):
        """Each breaks a read that has its chunk already; there are more than the engine has chunks."""
        async def body():
            aio.engine(memory_limit=256 << 10, **rig.engine_options())
            told = asyncio.Queue()
            server = await aio.start_server(echo, "127.0.0.1", 0, ssl=server_context(
                on_failure=lambda error, transport: told.put_nowait(error)))
            port = server.sockets[0].getsockname()[1]
            for _ in range(2):
                for _ in range(40):
                    with socket.create_connection(("127.0.0.1", port)) as s:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                for _ in range(40):
                    self.assertIsInstance(await told.get(), milgi.ResetError)
            reader, writer = await self.connect(port)
            writer.write(b"still there")
            self.assertEqual(await reader.readexactly(11), b"still there")
            writer.transport.abort()
            server.close()
        asyncio.run(body())

    async def test_an_application_that_raises(self):
        class Protocol(asyncio.Protocol):
            def data_received(self, data):
                raise RuntimeError("cannot read this")

            def connection_lost(self, error):
                lost.set_result(error)
        lost = asyncio.get_running_loop().create_future()
        server = await aio.create_server(Protocol, "127.0.0.1", 0, ssl=server_context())
        self.servers.append(server)
        reader, writer = await self.connect(server.sockets[0].getsockname()[1])
        writer.write(b"x")
        self.assertIsInstance(await lost, RuntimeError)
        with self.assertRaises(milgi.AlertError) as raised:
            await reader.read()
        self.assertEqual(raised.exception.alert, "internal_error")
        self.assertEqual(len(self.complaints), 1)
        await self.finish(writer)

    def test_passwords(self):
        for password in ("sesame", b"sesame"):
            one = milgi.Credential(path("localhost.pem"), path("locked.key"), password=password)
            self.assertEqual(one.subject, credential().subject)
        milgi.Credential(path("localhost.pem"), path("localhost.key"), password="unused")

    def test_files_and_settings(self):
        for make, words in (
                (lambda: milgi.Credential(path("none.pem"), path("localhost.key")), "No such file"),
                (lambda: milgi.Credential(path("localhost.pem"), path("rsa.key")), "key"),
                (lambda: milgi.Credential(path("localhost.key"), path("localhost.key")), "localhost.key"),
                (lambda: milgi.Credential(path("localhost.pem")), "a function that signs"),
                (lambda: milgi.Credential(path("localhost.pem"), path("locked.key")), "is encrypted"),
                (lambda: milgi.Credential(path("localhost.pem"), path("locked.key"), password="wheat"), "not with this passphrase"),
                (lambda: milgi.Trust(path("ca.pem"), crls=path("ca.pem")), "CERTIFICATE"),
                (lambda: milgi.Context.server(), "credential"),
                (lambda: server_context(policy="suites=RC4"), "RC4"),
                (lambda: server_context(client_auth="required"), "trust"),
                (lambda: server_context(tickets=b"short"), "32 bytes"),
                (lambda: milgi.Context.client(b"no PEM"), "trust")):
            with self.assertRaises(milgi.UsageError) as raised:
                make()
            self.assertIn(words, str(raised.exception))


class Later(rig.Case):
    """start_tls, TLS in TLS, and loops that take a milgi.Context."""

    async def upgrade(self, server_tls, client_tls, data):
        async def handler(reader, writer):
            self.assertEqual(await reader.readline(), b"STARTTLS\n")
            writer.write(b"go\n")
            await writer.drain()
            await server_tls(writer)
            reader._transport.pause_reading()  # what comes meanwhile has to wait, on whatever level
            await asyncio.sleep(0.05)
            reader._transport.resume_reading()
            await echo(reader, writer)
            writer.close()
        loop = asyncio.get_running_loop()

        def factory():
            reader = asyncio.StreamReader(loop=loop)
            return Protocol(reader, handled)

        async def handled(reader, writer):
            mine = aio.StreamWriter(writer.transport, writer._protocol, reader, loop)
            await handler(reader, mine)

        class Protocol(asyncio.StreamReaderProtocol):
            pass
        server = await loop.create_server(factory, "127.0.0.1", 0)
        self.servers.append(server)
        reader = asyncio.StreamReader(loop=loop)
        protocol = Protocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, "127.0.0.1", server.sockets[0].getsockname()[1])
        writer = aio.StreamWriter(transport, protocol, reader, loop)
        writer.write(b"STARTTLS\n")
        self.assertEqual(await reader.readline(), b"go\n")
        try:
            await client_tls(writer)
        except BaseException:
            writer.close()
            raise
        writer.write(data)
        self.assertEqual(await reader.readexactly(len(data)), data)
        self.assertEqual(writer.get_extra_info("ssl_object").version(), "TLSv1.3")
        await self.finish(writer)
        server.close()

    async def test_start_tls(self):
        await self.upgrade(lambda w: w.start_tls(server_context()),
                           lambda w: w.start_tls(client_context(), server_hostname="localhost"), bytes(300000))

    async def test_tls_in_tls(self):
        async def server(writer):
            await writer.start_tls(server_context())
            writer.write(b"again\n")
            await writer.drain()
            await writer.start_tls(server_context("rsa"))

        async def client(writer):
            await writer.start_tls(client_context(), server_hostname="localhost")
            self.assertEqual(await writer._protocol._stream_reader.readline(), b"again\n")
            await writer.start_tls(client_context(), server_hostname="rsa.test")
        await self.upgrade(server, client, bytes(3 << 20))

    async def test_what_came_in_the_clear_is_not_taken_for_tls(self):
        async def handled(reader, writer):
            mine = aio.StreamWriter(writer.transport, writer._protocol, reader, loop)
            await reader.readline()
            try:
                await mine.start_tls(server_context())
            except milgi.UsageError as e:
                refused.set_result(str(e))
        loop = asyncio.get_running_loop()
        refused = loop.create_future()
        server = await asyncio.start_server(handled, "127.0.0.1", 0)
        self.servers.append(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"STARTTLS\nRSET\n")
        self.assertIn("5 bytes", await refused)
        writer.close()

    async def test_start_tls_in_the_wrong_role(self):
        with self.assertRaises(milgi.UsageError):
            await self.upgrade(lambda w: w.start_tls(server_context()),
                               lambda w: w.start_tls(server_context(), server_hostname="localhost"), b"")

    def test_a_loop_that_takes_our_contexts(self):
        async def main():
            server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=server_context())
            port = server.sockets[0].getsockname()[1]
            for context in (client_context(), aio.facade(client_context()), host_client()):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
                writer.write(b"hello")
                self.assertEqual(await reader.readexactly(5), b"hello")
                writer.close()
                await writer.wait_closed()
            server.close()
            await server.wait_closed()

        async def handler(reader, writer):
            await echo(reader, writer)
            writer.close()
        rig.run(main())
        with self.assertRaises(milgi.UsageError):
            aio.facade(client_context()).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
        with self.assertRaises(TypeError):
            asyncio.run(aio.open_connection("127.0.0.1", 1, ssl=host_client()))

    async def test_unix_sockets(self):
        where = path("socket")

        class Echo(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport

            def data_received(self, data):
                self.transport.write(data)
        server = await aio.create_unix_server(Echo, where, ssl=server_context())
        reader = asyncio.StreamReader()
        transport, protocol = await aio.create_unix_connection(
            lambda: asyncio.StreamReaderProtocol(reader), where, ssl=client_context(), server_hostname="localhost")
        transport.write(b"hello")
        self.assertEqual(await reader.readexactly(5), b"hello")
        transport.close()
        server.close()
        if os.path.exists(where):
            os.unlink(where)


class Descriptors(unittest.TestCase):
    def test_none_is_lost(self):
        def one():
            case = Talk("test_a_crowd")
            case.run_async(case.test_a_crowd())
        global CROWD
        before, CROWD = CROWD, 5
        one()
        first = sorted(os.listdir("/proc/self/fd"))
        threads = os.listdir("/proc/self/task")
        one()
        self.assertEqual(sorted(os.listdir("/proc/self/fd")), first)
        self.assertEqual(len(os.listdir("/proc/self/task")), len(threads))
        CROWD = before


if __name__ == "__main__":
    rig.main()
