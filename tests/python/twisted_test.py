# SPDX-License-Identifier: Apache-2.0
"""Twisted: endpoints, producers both ways, half-closes, ends, with Twisted's own TLS as the other side."""

import gc
import os
import weakref

import rig
from rig import client_context, credential, path, server_context
from twisted.internet import defer, endpoints, error, interfaces, protocol, reactor, ssl, task
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial import unittest
from OpenSSL import SSL, crypto
from zope.interface import implementer

import milgi
import milgi.tx as tx

SIZE = (100 << 20) if rig.FULL else (4 << 20)
CROWD = 1000 if rig.FULL else 60
if rig.DEVICE:
    tx.engine(**rig.engine_options())


def read_certificate(name):
    with open(path(name), "rb") as f:
        return ssl.Certificate.loadPEM(f.read())


def host_server(name="localhost", version=None):
    with open(path(name + ".pem"), "rb") as c, open(path(name + ".key"), "rb") as k:
        options = ssl.CertificateOptions(
            certificate=crypto.load_certificate(crypto.FILETYPE_PEM, c.read()),
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, k.read()), acceptableProtocols=[b"b", b"a"])
    if version:
        options.getContext().set_options(version)
    return options


def host_client(version=None):
    def options(**extra):
        return ssl.optionsForClientTLS("localhost", trustRoot=read_certificate("ca.pem"), acceptableProtocols=[b"a", b"b"],
                                       extraCertificateOptions=extra)
    made = options()
    if not version:
        return made
    if not hasattr(made, "_ctx"):
        return options(lowerMaximumSecurityTo=ssl.TLSVersion.TLSv1_2)
    made._ctx.set_options(version)  # an old Twisted takes the most for one too many
    return made


class Peer(protocol.Protocol):
    """Keeps what comes; .lost fires with the reason."""

    def __init__(self):
        self.got, self.seen = b"", []
        self.lost, self.enough, self.open = defer.Deferred(), defer.Deferred(), defer.Deferred()
        self.want = None

    def handshakeCompleted(self):
        self.open.callback(self)

    def dataReceived(self, data):
        self.got += data
        if self.want is not None and len(self.got) >= self.want and not self.enough.called:
            self.enough.callback(self.got)

    def until(self, n):
        self.want = n
        self.dataReceived(b"")
        return self.enough

    def connectionLost(self, reason):
        self.lost.callback(reason.value)


implementer(interfaces.IHandshakeListener)(Peer)


class Echo(Peer):
    def dataReceived(self, data):
        self.transport.write(data)


@implementer(interfaces.IHalfCloseableProtocol)
class Half(Peer):
    def __init__(self):
        super().__init__()
        self.read_lost, self.ended = defer.Deferred(), False

    def readConnectionLost(self):
        self.read_lost.callback(self.got)

    def writeConnectionLost(self):
        pass


class Base(unittest.TestCase):
    timeout = rig.PATIENCE

    @defer.inlineCallbacks
    def pair(self, server=None, client=None, serverProtocol=Echo, clientProtocol=Peer, name="localhost"):
        """The client's protocol; the server's is self.served[-1]."""
        self.served, accepted = [], defer.Deferred()

        def make():
            p = serverProtocol()
            self.served.append(p)
            reactor.callLater(0, lambda: accepted.called or accepted.callback(None))
            return p
        factory = protocol.Factory.forProtocol(make)
        below = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        server = server_context() if server is None else server
        if isinstance(server, milgi.Context):
            port = yield tx.wrap_server(server, below).listen(factory)
        else:
            port = yield below.listen(TLSMemoryBIOFactory(server, False, factory))
        self.addCleanup(port.stopListening)
        client = client_context() if client is None else client
        below = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port, timeout=rig.PATIENCE)
        factory = protocol.Factory.forProtocol(clientProtocol)
        if isinstance(client, milgi.Context):
            p = yield tx.wrap_client(client, below, name).connect(factory)
        else:
            p = yield endpoints.wrapClientTLS(client, below).connect(factory)
        yield accepted
        return p

    @defer.inlineCallbacks
    def over(self, *peers):
        for peer in peers:
            if not peer.lost.called:
                peer.transport.loseConnection()
        for peer in peers:
            yield peer.lost
        yield self.calm()

    @defer.inlineCallbacks
    def calm(self):
        for _ in range(1000):
            if not tx.engine().streams:
                return
            yield task.deferLater(reactor, 0.01, lambda: None)
        self.fail("streams are left")


class Talk(Base):
    @defer.inlineCallbacks
    def test_both_stacks_in_both_roles(self):
        for server, client, name in ((None, None, "localhost"), (None, host_client(), "localhost"),
                                     (None, host_client(SSL.OP_NO_TLSv1_3), "localhost"),
                                     (host_server(), None, "localhost"),
                                     (host_server(version=SSL.OP_NO_TLSv1_3), None, "localhost")):
            p = yield self.pair(server or server_context(alpn=["b", "a"]), client or client_context(alpn=["a", "b"]))
            p.transport.write(b"hello")
            self.assertEqual((yield p.until(5)), b"hello")
            self.assertEqual(p.transport.negotiatedProtocol, b"b")
            self.assertTrue(p.open.called)
            self.assertIsNotNone(p.transport.getPeerCertificate())
            yield self.over(p, *self.served)

    @defer.inlineCallbacks
    def bulk(self, server, client, size, streaming):
        data = os.urandom(1 << 16)

        class Source:
            left = size // len(data)
            paused = 0

            def __init__(self, transport):
                self.transport = transport
                self.on = True

            def resumeProducing(self):
                self.on = True
                while self.on and self.left:
                    self.left -= 1
                    self.transport.write(data)
                    if not streaming:
                        break
                if not self.left and not self.ended:
                    self.ended = True
                    reactor.callLater(0, self.transport.unregisterProducer)
            ended = False

            def pauseProducing(self):
                self.on = False
                self.paused += 1

            def stopProducing(self):
                self.left = 0

        class Counter(Peer):
            n = 0

            def dataReceived(self, d):
                self.n += len(d)
                if self.n == size and not self.enough.called:
                    self.enough.callback(None)
        p = yield self.pair(server, client, Counter, Counter)
        sources = []
        for end in (p, self.served[0]):
            sources.append(Source(end.transport))
            end.transport.registerProducer(sources[-1], streaming)
            if streaming:
                sources[-1].resumeProducing()
        yield p.enough
        yield self.served[0].enough
        if streaming:
            self.assertTrue(any(source.paused for source in sources))
        yield self.over(p, *self.served)

    def test_bulk_by_push_producers(self):
        return self.bulk(None, None, SIZE, True)

    def test_bulk_by_pull_producers(self):
        return self.bulk(None, None, SIZE // 4, False)

    def test_bulk_with_the_hosts_client(self):
        return self.bulk(None, host_client(), SIZE // 4, True)

    def test_bulk_with_the_hosts_server(self):
        return self.bulk(host_server(), None, SIZE // 4, True)

    @defer.inlineCallbacks
    def test_a_crowd(self):
        server = yield tx.wrap_server(server_context(), endpoints.TCP4ServerEndpoint(
            reactor, 0, backlog=1024, interface="127.0.0.1")).listen(protocol.Factory.forProtocol(Echo))
        client = client_context(sessions=0)
        below = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", server.getHost().port, timeout=rig.PATIENCE)
        peers = yield defer.gatherResults([
            tx.wrap_client(client, below, "localhost").connect(protocol.Factory.forProtocol(Peer)) for _ in range(CROWD)])
        for i, peer in enumerate(peers):
            peer.transport.write(b"%06d" % i * 100)
        for i, peer in enumerate(peers):
            self.assertEqual((yield peer.until(600)), b"%06d" % i * 100)
        yield self.over(*peers)
        yield server.stopListening()

    @defer.inlineCallbacks
    def test_no_descriptor_is_lost(self):
        server = yield tx.wrap_server(server_context(), endpoints.TCP4ServerEndpoint(
            reactor, 0, interface="127.0.0.1")).listen(protocol.Factory.forProtocol(Echo))
        below = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", server.getHost().port, timeout=rig.PATIENCE)
        seen = []
        for n in (1, 5):
            peers = yield defer.gatherResults([tx.wrap_client(client_context(), below, "localhost").connect(
                protocol.Factory.forProtocol(Peer)) for _ in range(n)])
            for peer in peers:
                peer.transport.write(b"x")
                yield peer.until(1)
            yield self.over(*peers)
            seen.append(sorted(os.listdir("/proc/self/fd")))
        self.assertEqual(*seen)
        yield server.stopListening()

    @defer.inlineCallbacks
    def test_a_slow_writer(self):
        p = yield self.pair()
        for i in range(20):
            p.transport.write(b"%c" % (65 + i))
            p.enough = defer.Deferred()
            yield p.until(i + 1)
        self.assertEqual(p.got, bytes(range(65, 85)))
        yield self.over(p, *self.served)

    @defer.inlineCallbacks
    def test_endpoints_by_strings(self):
        alpn = "alpn=x,y"
        server = yield endpoints.serverFromString(reactor, "milgi:0:certificate=%s:privateKey=%s:interface=127.0.0.1:%s:clientCA=%s"
                                                  % (path("localhost.pem"), path("localhost.key"), alpn, path("ca.pem"))
                                                  ).listen(protocol.Factory.forProtocol(Echo))
        p = yield endpoints.clientFromString(
            reactor, "milgi:127.0.0.1:%d:ca=%s:hostname=localhost:alpn=y:timeout=900:certificate=%s:privateKey=%s"
            % (server.getHost().port, path("ca.pem"), path("client.pem"), path("client.key"))
        ).connect(protocol.Factory.forProtocol(Peer))
        p.transport.write(b"hello")
        self.assertEqual((yield p.until(5)), b"hello")
        self.assertEqual(p.transport.negotiatedProtocol, b"y")
        yield self.over(p)
        yield server.stopListening()

    @defer.inlineCallbacks
    def test_deferred_answers(self):
        def choose(hello):
            return task.deferLater(reactor, 0.01, lambda: credential("rsa") if hello.server_name == "rsa.test" else None)

        async def protocol_(hello):
            await task.deferLater(reactor, 0.01, lambda: None)
            return hello.alpn[-1]
        p = yield self.pair(server_context(choose_certificate=choose, choose_alpn=protocol_),
                            client_context(alpn=["a", "b"]), name="rsa.test")
        yield p.open
        self.assertIn(("dns", "rsa.test"), p.transport.getPeerCertificate().names)
        self.assertEqual(p.transport.negotiatedProtocol, b"b")
        yield self.over(p, *self.served)


class Ends(Base):
    @defer.inlineCallbacks
    def test_each_direction_ends_by_itself(self):
        p = yield self.pair(serverProtocol=Half, clientProtocol=Half)
        p.transport.write(b"the question")
        p.transport.loseWriteConnection()
        server = self.served[0]
        self.assertEqual((yield server.read_lost), b"the question")
        server.transport.write(b"the answer")
        yield task.deferLater(reactor, 0.02, lambda: None)
        self.assertFalse(p.lost.called or p.read_lost.called)
        server.transport.loseWriteConnection()
        self.assertEqual((yield p.read_lost), b"the answer")
        for peer in (p, server):
            self.assertIsInstance((yield peer.lost), error.ConnectionDone)
        yield self.calm()

    @defer.inlineCallbacks
    def test_what_was_written_before_the_handshake_is_sent_before_the_end(self):
        class Hasty(Peer):
            def connectionMade(self):
                self.transport.write(b"y" * 300000)
                self.transport.loseConnection()
        p = yield self.pair(serverProtocol=Peer, clientProtocol=Hasty)
        self.assertIsInstance((yield self.served[0].lost), error.ConnectionDone)
        self.assertEqual(len(self.served[0].got), 300000)
        self.assertIsInstance((yield p.lost), error.ConnectionDone)
        yield self.calm()

    @defer.inlineCallbacks
    def test_a_cut_is_no_end(self):
        p = yield self.pair(serverProtocol=Peer)
        yield p.open
        yield self.served[0].open
        p.transport.transport.loseConnection()  # below TLS
        reason = yield self.served[0].lost
        self.assertIsInstance(reason, error.ConnectionLost)
        self.assertIsInstance(reason, milgi.TruncatedError)
        yield self.over(p)

    @defer.inlineCallbacks
    def test_abort(self):
        p = yield self.pair(serverProtocol=Peer)
        yield p.open
        p.transport.abortConnection()
        yield p.lost
        self.assertIsInstance((yield self.served[0].lost), error.ConnectionLost)
        yield self.calm()

    @defer.inlineCallbacks
    def test_aborts_with_ops_in_flight(self):
        server = yield tx.wrap_server(server_context("rsa"), endpoints.TCP4ServerEndpoint(
            reactor, 0, interface="127.0.0.1")).listen(protocol.Factory.forProtocol(Echo))
        below = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", server.getHost().port, timeout=rig.PATIENCE)
        for i in range(20):
            p = yield tx.wrap_client(client_context(), below, "localhost").connect(protocol.Factory.forProtocol(Peer))
            yield task.deferLater(reactor, 0.0005 * i, lambda: None)
            p.transport.abortConnection()
            yield p.lost
        yield self.calm()
        yield server.stopListening()

    @defer.inlineCallbacks
    def test_a_slow_reader_holds_the_writer(self):
        class Flood(Peer):
            sent = 0

            def connectionMade(self):
                self.on = True
                self.transport.registerProducer(self, True)
                self.resumeProducing()

            def resumeProducing(self):
                self.on = True
                while self.on:
                    self.transport.write(bytes(65536))
                    self.sent += 65536

            def pauseProducing(self):
                self.on = False

            def stopProducing(self):
                self.on = False

        class Slow(Peer):
            n = 0

            def dataReceived(self, data):
                self.n += len(data)
                self.transport.pauseProducing()
        p = yield self.pair(serverProtocol=Flood, clientProtocol=Slow)
        flood, at = self.served[0], -1
        while flood.sent != at:
            at = flood.sent
            yield task.deferLater(reactor, 0.3, lambda: None)
        self.assertLess(at, 32 << 20)
        had = p.n
        p.transport.resumeProducing()
        while p.n == had:
            yield task.deferLater(reactor, 0.01, lambda: None)
        p.transport.abortConnection()
        yield flood.lost
        yield p.lost
        yield self.calm()

    @defer.inlineCallbacks
    def test_a_pull_producer_that_raises_does_not_hold_the_connection(self):
        class Raises:
            stopped = False

            def resumeProducing(self):
                raise RuntimeError("no more paper")

            def stopProducing(self):
                self.stopped = True
        p = yield self.pair()
        yield p.open
        p.transport.registerProducer(Raises(), False)
        p.transport.loseConnection()
        self.assertIsInstance((yield p.lost), error.ConnectionDone)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        yield self.calm()

    @defer.inlineCallbacks
    def test_what_has_ended_does_not_wait_for_the_collector(self):
        p = yield self.pair()
        p.transport.write(b"x")
        yield p.until(1)
        self.addCleanup(gc.enable)
        gc.collect()
        gc.disable()
        ends = [weakref.ref(end) for peer in (p, self.served[0]) for end in (peer.transport, peer.transport.tls)]
        yield self.over(p, *self.served)
        p.transport = self.served[0].transport = None
        yield task.deferLater(reactor, 0, lambda: None)  # not from inside of its last word
        self.assertEqual([end() for end in ends], [None] * 4)

    @defer.inlineCallbacks
    def test_a_producer_that_comes_too_late_is_stopped(self):
        p = yield self.pair()
        yield p.open
        yield self.over(p, *self.served)

        class Producer:
            stopped = False

            def stopProducing(self):
                self.stopped = True
        producer = Producer()
        p.transport.registerProducer(producer, True)
        self.assertTrue(producer.stopped)
        p.transport.write(b"to nobody")


class Wrong(Base):
    @defer.inlineCallbacks
    def fails(self, server, client=None, name="localhost", kind=milgi.Error, alert=None):
        p = yield self.pair(server, client, serverProtocol=Peer, name=name)
        reason = yield p.lost
        self.assertIsInstance(reason, kind)
        if alert:
            self.assertEqual(reason.alert, alert)
        told = yield self.served[0].lost
        yield self.calm()
        return told

    @defer.inlineCallbacks
    def test_certificates_and_names(self):
        told = yield self.fails(server_context("stranger"), kind=milgi.CertificateError, alert="unknown_ca")
        self.assertIsInstance(told, milgi.AlertError)
        yield self.fails(server_context("other"), kind=milgi.CertificateError, alert="bad_certificate")
        yield self.fails(host_server("stranger"), kind=milgi.CertificateError)
        told = yield self.fails(server_context("stranger"), host_client(), kind=SSL.Error)
        self.assertEqual((told.alert, told.alert_from_peer), ("unknown_ca", True))
        told = yield self.fails(server_context(alpn=["a"]), client_context(alpn=["b"]), alert="no_application_protocol")
        self.assertEqual(told.alert, "no_application_protocol")
        with self.assertRaises(milgi.UsageError):
            tx.TLSFactory(client_context(), protocol.Factory.forProtocol(Peer))

    @defer.inlineCallbacks
    def test_garbage_instead_of_a_hello(self):
        factory = protocol.Factory.forProtocol(Peer)
        served = []
        factory.buildProtocol = lambda address: served.append(Peer()) or served[-1]
        server = yield tx.wrap_server(server_context(), endpoints.TCP4ServerEndpoint(
            reactor, 0, interface="127.0.0.1")).listen(factory)
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b""):
            p = yield endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", server.getHost().port, timeout=rig.PATIENCE).connect(
                protocol.Factory.forProtocol(Peer))
            p.transport.write(garbage)
            p.transport.loseConnection()
            yield p.lost
            while not served:
                yield task.deferLater(reactor, 0.01, lambda: None)
            self.assertIsInstance((yield served.pop().lost), milgi.Error)
        yield server.stopListening()
        yield self.calm()

    @defer.inlineCallbacks
    def test_a_client_that_says_nothing_is_not_waited_for_for_ever(self):
        failed = defer.Deferred()
        self.patch(tx, "HANDSHAKE_S", 0.05)
        server = yield tx.wrap_server(server_context(on_failure=lambda why, transport: failed.callback(why)),
                                      endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")).listen(
            protocol.Factory.forProtocol(Peer))
        p = yield endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", server.getHost().port, timeout=rig.PATIENCE).connect(
            protocol.Factory.forProtocol(Peer))
        self.assertIsInstance((yield failed), error.TimeoutError)
        yield p.lost
        yield server.stopListening()
        yield self.calm()

    @defer.inlineCallbacks
    def test_an_application_that_raises(self):
        class Raises(Peer):
            def dataReceived(self, data):
                raise RuntimeError("cannot read this")
        p = yield self.pair(serverProtocol=Raises)
        p.transport.write(b"x")
        self.assertIsInstance((yield self.served[0].lost), RuntimeError)
        reason = yield p.lost
        self.assertEqual(reason.alert, "internal_error")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        yield self.calm()


if __name__ == "__main__":
    rig.main()
