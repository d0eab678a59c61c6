# SPDX-License-Identifier: Apache-2.0
"""Twisted: TLS that begins in the middle of a connection, by transport.startTLS(), with Twisted's own as the other side."""

import io
import os
import socket

import rig
import twisted_test as base
from rig import client_context, path, server_context
from twisted.internet import defer, endpoints, error, interfaces, protocol, reactor, task
from twisted.mail import smtp
from twisted.protocols.basic import Int16StringReceiver, LineOnlyReceiver, LineReceiver
from twisted.trial import unittest
from zope.interface import implementer

import milgi
import milgi.tx as tx

CLEAR, SECRET = (3 << 20, 3 << 20) if not rig.FULL else (30 << 20, 50 << 20)


class Talks:
    """Lines in the clear; after STARTTLS what comes is echoed by a server, and kept by a client."""

    context = None

    def __init__(self):
        self.lines, self.got = [], b""
        self.open, self.lost, self.heard = defer.Deferred(), defer.Deferred(), defer.Deferred()

    def lineReceived(self, line):
        self.lines.append(line)
        if line in (b"STARTTLS", b"go"):
            if line == b"STARTTLS" and self.answers:
                self.sendLine(b"go")
            self.transport.startTLS(self.context)
        elif not self.context.server_side:
            self.heard.callback(line)
        else:
            self.sendLine(b"heard " + line)

    answers = False

    def handshakeCompleted(self):
        self.open.callback(self)

    def connectionLost(self, reason):
        self.lost.callback(reason.value)


@implementer(interfaces.IHandshakeListener)
class Buffered(Talks, LineReceiver):
    pass


@implementer(interfaces.IHandshakeListener)
class Unbuffered(Talks, LineOnlyReceiver):
    pass


@implementer(interfaces.IHandshakeListener)
class Own(Talks, protocol.Protocol):
    """Which has lines of its own, and says itself what came behind the switch."""

    rest = b""

    def sendLine(self, line):
        self.transport.write(line + b"\r\n")

    def dataReceived(self, data):
        self.rest += data
        while b"\r\n" in self.rest:
            line, self.rest = self.rest.split(b"\r\n", 1)
            if line in (b"STARTTLS", b"go"):
                self.lines.append(line)
                if line == b"STARTTLS" and self.answers:
                    self.sendLine(b"go")
                behind, self.rest = self.rest, b""
                self.transport.startTLS(self.context, data=behind)
                return
            self.lineReceived(line)


class Wire:
    """A transport that hands on what was written when it is told to, in pieces as it is told."""

    disconnecting = False

    def __init__(self, name):
        self.name, self.out, self.closed = name, b"", False

    def write(self, data):
        assert not self.closed
        self.out += data

    def writeSequence(self, data):
        self.write(b"".join(data))

    def loseConnection(self):
        self.closed = True

    abortConnection = loseConnection

    def getPeer(self):
        return self.name

    getHost = getPeer


def turn():
    return task.deferLater(reactor, 0, lambda: None)


class Base(base.Base):
    def ends(self, context, kind, name=None):
        """The protocol, its wrapper, its transport, which is a Wire."""
        factory = protocol.Factory.forProtocol(kind)
        wrapper = tx.StartTLSFactory(factory, name).buildProtocol(None)
        wrapper.wrappedProtocol.context = context
        wire = Wire("wire")
        mine = wrapper.wrappedProtocol
        wrapper.makeConnection(wire)
        return mine, wrapper, wire

    @defer.inlineCallbacks
    def pump(self, one, other, until):
        """Each is (wrapper, wire)."""
        while not until():
            for (_, wire), (wrapper, _) in ((one, other), (other, one)):
                data, wire.out = wire.out, b""
                if data:
                    wrapper.dataReceived(data)
            yield turn()

    @defer.inlineCallbacks
    def finish(self, *ends):
        for mine, wrapper, wire in ends:
            wrapper.abortConnection()
        for mine, wrapper, wire in ends:
            while not wire.closed:
                yield turn()
            wrapper.connectionLost(tx.Failure(error.ConnectionDone()))
            yield mine.lost
        yield self.calm()

    @defer.inlineCallbacks
    def first_flight(self, wire, line):
        """What it has written when the ClientHello is behind the line."""
        while len(wire.out) < len(line) + 100:
            yield turn()
        self.assertEqual(wire.out[:len(line) + 1], line + b"\x16")
        data, wire.out = wire.out, b""
        return data


class Same(Base):
    """The switch, and what comes with it."""

    @defer.inlineCallbacks
    def switch(self, kind, cuts, reverse):
        """The ClientHello comes in one piece with the line, but for |cuts|. |reverse|: from the one that was asked."""
        client = self.ends(client_context(), kind, "localhost")
        server = self.ends(server_context(), kind)
        first, second = (server, client) if reverse else (client, server)
        line = b"go\r\n" if reverse else b"STARTTLS\r\n"
        first[0].sendLine(line[:-2])
        client[0].transport.startTLS(client_context())
        data = yield self.first_flight(client[2], b"STARTTLS\r\n" if not reverse else b"")
        if reverse:
            data = line + data
            server[2].out = b""
        begin = 0
        for cut in (*cuts, len(data)):
            server[1].dataReceived(data[begin:cut])
            begin = cut
        yield self.pump(client[1:], server[1:], lambda: client[0].open.called and server[0].open.called)
        self.assertEqual(server[0].lines, [line[:-2]])
        self.assertIs(server[0].transport, server[1])
        client[0].sendLine(b"it")
        yield self.pump(client[1:], server[1:], lambda: client[0].heard.called)
        self.assertEqual((yield client[0].heard), b"heard it")
        self.assertEqual(client[0].transport.getPeerCertificate().names[0], ("dns", "localhost"))
        self.assertTrue(interfaces.ISSLTransport.providedBy(client[0].transport))
        self.assertFalse(interfaces.ITLSTransport.providedBy(client[0].transport))
        yield self.finish(client, server)

    @defer.inlineCallbacks
    def test_the_hello_comes_with_the_line(self):
        for kind in (Buffered, Unbuffered, Own):
            for cuts in ((), (10,), (9,), (9, 10), (9, 11), (1, 40)):
                yield self.switch(kind, cuts, False)

    @defer.inlineCallbacks
    def test_the_hello_comes_with_the_answer(self):
        """Where the server of the one is the client of the other."""
        for kind in (Buffered, Unbuffered, Own):
            for cuts in ((), (3,)):
                yield self.switch(kind, cuts, True)

    @defer.inlineCallbacks
    def test_text_behind_the_switch_is_no_text(self):
        for kind in (Buffered, Unbuffered, Own):
            for pieces in ((b"STARTTLS\r\nRSET\r\n",), (b"STARTTLS\r\nRSET x",), (b"STARTTLS\r", b"\nRSET\r\n"), (b"STARTTLS\r\n", b"RSET\r\n")):
                failures = []
                server = self.ends(server_context(on_failure=lambda why, transport: failures.append(why)), kind)
                for piece in pieces:
                    server[1].dataReceived(piece)
                while not server[2].closed:
                    yield turn()
                self.assertEqual(server[0].lines, [b"STARTTLS"])
                server[1].connectionLost(tx.Failure(error.ConnectionDone()))
                self.assertEqual((yield server[0].lost).alert, "unexpected_message")
                self.assertEqual(failures[0].alert, "unexpected_message")
                self.assertEqual(server[2].out[:1], b"\x15")
        yield self.calm()

    def test_text_that_cannot_be_taken_back_ends_the_connection(self):
        class Strings(Int16StringReceiver):
            def stringReceived(self, string):
                try:
                    self.transport.startTLS(server_context())
                except milgi.UsageError as e:
                    self.said = str(e)

            def connectionLost(self, reason):
                pass
        wrapper = tx.StartTLSFactory(protocol.Factory.forProtocol(Strings)).buildProtocol(None)
        wire, mine = Wire("wire"), wrapper.wrappedProtocol
        wrapper.makeConnection(wire)
        wrapper.dataReceived(b"\0\x01x\0\x01")
        self.assertIn("2 bytes", mine.said)
        self.assertTrue(wire.closed)
        self.assertEqual(wire.out, b"")

    def test_what_cannot_be(self):
        server = self.ends(server_context(), Buffered)
        for context in (None, base.host_server()):
            self.assertRaises(TypeError, server[0].transport.startTLS, context)
        self.assertRaises(milgi.UsageError, server[0].transport.startTLS, client_context())
        self.assertTrue(interfaces.ITLSTransport.providedBy(server[0].transport))
        self.assertFalse(interfaces.ISSLTransport.providedBy(server[0].transport))
        server[0].transport.startTLS(server_context())
        self.assertRaises(milgi.UsageError, server[0].transport.startTLS, server_context())
        self.assertRaises(milgi.UsageError, server[1].tls.startTLS, server_context())
        return self.finish(server)

    @defer.inlineCallbacks
    def test_what_is_tls_from_the_beginning_offers_none(self):
        p = yield self.pair()
        self.assertTrue(interfaces.ISSLTransport.providedBy(p.transport))
        self.assertTrue(interfaces.ITCPTransport.providedBy(p.transport))
        self.assertFalse(interfaces.ITLSTransport.providedBy(p.transport))
        self.assertRaises(milgi.UsageError, p.transport.startTLS, client_context())
        yield self.over(p, *self.served)


class Switches(base.Peer):
    """Of |clear| bytes in the clear a digest is kept; what comes behind them is TLS. Sends the same, by a producer."""

    clear = secret = 0

    def connectionMade(self):
        self.sent = self.had = 0
        self.done, self.seen = defer.Deferred(), defer.Deferred()
        self.on = self.switched = False
        self.pauses = []

    def go(self):
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def piece(self, at):
        return (b"%08d" % (at >> 3)) * 512

    def resumeProducing(self):
        self.on = True
        while self.on and self.sent < self.clear + self.secret:
            self.transport.write(self.piece(self.sent))
            self.sent += 4096
            if self.sent == self.clear:
                self.pauses.append(not self.on)
                self.transport.startTLS(self.context)
                return  # which goes on when there is room
        if self.sent == self.clear + self.secret:
            self.on = False
            self.transport.unregisterProducer()

    def pauseProducing(self):
        self.on = False

    def stopProducing(self):
        self.on = False

    def dataReceived(self, data):
        whole, at = len(data), 0
        if not self.switched and self.had + len(data) >= self.clear:
            n = self.clear - self.had
            data, behind = data[:n], data[n:]
            self.switched = True
            self.check(data)
            self.transport.pauseProducing()  # is to hold what comes by TLS, too
            self.transport.startTLS(self.context, data=behind)
            self.seen.callback(None)
        else:
            self.check(data)

    def check(self, data):
        while data:
            n = min(4096 - self.had % 4096, len(data))
            assert data[:n] == self.piece(self.had - self.had % 4096)[self.had % 4096:][:n], self.had
            self.had, data = self.had + n, data[n:]
        if self.had == self.clear + self.secret:
            self.done.callback(None)


class Pressure(Base):
    @defer.inlineCallbacks
    def both(self, sends, gets):
        """Over sockets that hold little."""
        served = []
        factory = protocol.Factory.forProtocol(gets)
        factory.buildProtocol = lambda address: served.append(gets()) or served[-1]
        port = yield tx.start_tls_server(endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")).listen(factory)
        self.addCleanup(port.stopListening)
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        p = yield tx.start_tls_client(endpoints.TCP4ClientEndpoint(
            reactor, "127.0.0.1", port.getHost().port, timeout=rig.PATIENCE), "localhost").connect(
            protocol.Factory.forProtocol(sends))
        p.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        p.go()
        while not served:
            yield turn()
        return p, served[0]

    @defer.inlineCallbacks
    def test_a_producer_goes_on_over_the_switch(self):
        """What is read is held back before the switch, and what comes by TLS behind it; the producer waits for both."""
        class Sends(Switches):
            clear, secret, context = CLEAR, SECRET, client_context()

        class Gets(Sends):
            context = server_context()

            def connectionMade(self):
                super().connectionMade()
                self.transport.pauseProducing()
        p, server = yield self.both(Sends, Gets)
        while p.on:
            yield turn()
        self.assertLess(p.sent, CLEAR)
        server.transport.resumeProducing()
        yield server.seen
        yield p.open
        while p.on or not server.transport.tls.tls._unread() and server.had == CLEAR:
            yield turn()
        self.assertEqual(server.had, CLEAR)
        self.assertLess(p.sent, CLEAR + SECRET)
        server.transport.resumeProducing()
        yield server.done
        yield self.over(p, server)

    @defer.inlineCallbacks
    def test_a_producer_that_waits_at_the_switch_is_woken(self):
        """The transport that told it to wait is not its any more."""
        class Sends(Switches):
            clear, secret, context = 1 << 60, SECRET, client_context()

        class Gets(Switches):
            clear, secret, context = 1 << 60, SECRET, server_context()

            def connectionMade(self):
                super().connectionMade()
                self.transport.pauseProducing()
        p, server = yield self.both(Sends, Gets)
        while p.on:
            yield turn()
        p.clear = server.clear = p.sent
        p.transport.startTLS(p.context)
        self.assertGreater(p.sent, p.clear)
        server.transport.resumeProducing()
        yield server.seen
        server.transport.resumeProducing()
        yield server.done
        yield self.over(p, server)


@implementer(smtp.IMessageDelivery)
class Delivery:
    def __init__(self, mails):
        self.mails = mails

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: here"

    def validateFrom(self, helo, origin):
        return origin

    def validateTo(self, user):
        return lambda: Mail(self.mails)


@implementer(smtp.IMessage)
class Mail:
    def __init__(self, mails):
        self.mails, self.lines = mails, []

    def lineReceived(self, line):
        self.lines.append(line)

    def eomReceived(self):
        self.mails.append(self.lines)
        return defer.succeed(None)

    def connectionLost(self):
        pass


class Mails(Base):
    """twisted.mail as it is."""

    @defer.inlineCallbacks
    def send(self, server, client):
        mails, secure = [], []

        class ESMTP(smtp.ESMTP):
            noisy = False

            def do_MAIL(self, rest):
                secure.append(interfaces.ISSLTransport.providedBy(self.transport))
                return super().do_MAIL(rest)

        def make():
            p = ESMTP(contextFactory=server)
            p.host, p.delivery = b"localhost", Delivery(mails)
            return p
        factory = protocol.Factory.forProtocol(make)
        below = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        ours = isinstance(server, milgi.Context)
        port = yield (tx.start_tls_server(below) if ours else below).listen(factory)
        sent = defer.Deferred()
        sender = smtp.ESMTPSenderFactory(
            "user", b"secret", b"a@localhost", b"b@localhost", io.BytesIO(b"Subject: x\r\n\r\n" + b"line\r\n" * 20000), sent,
            retries=0, contextFactory=client, requireAuthentication=False)
        sender.noisy = False
        if isinstance(client, milgi.Context):
            reactor.connectTCP("127.0.0.1", port.getHost().port, tx.StartTLSFactory(sender, "localhost"))
        else:
            reactor.connectTCP("127.0.0.1", port.getHost().port, sender)
        try:
            yield sent
        finally:
            yield port.stopListening()
            yield self.calm()
        self.assertEqual((len(mails), secure), (1, [True]))
        self.assertEqual(len(mails[0]), 20003)

    @defer.inlineCallbacks
    def test_both_stacks_in_both_roles(self):
        for server, client in ((server_context(), client_context()), (server_context(), base.host_client()),
                               (base.host_server(), client_context())):
            yield self.send(server, client)

    @defer.inlineCallbacks
    def test_who_is_not_trusted_gets_no_mail(self):
        for server, client in ((server_context("stranger"), client_context()), (server_context("other"), client_context()),
                               (base.host_server("stranger"), client_context())):
            with self.assertRaises(Exception):
                yield self.send(server, client)
            self.flushLoggedErrors()


class Ends(Base):
    @defer.inlineCallbacks
    def pair_(self, server=Buffered, client=Buffered):
        served = []

        class Server(server):
            context, answers = server_context(), True
        factory = protocol.Factory.forProtocol(Server)
        factory.buildProtocol = lambda address: served.append(Server()) or served[-1]
        port = yield tx.start_tls_server(endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")).listen(factory)
        self.addCleanup(port.stopListening)

        class Client(client):
            context = client_context()
        p = yield tx.start_tls_client(endpoints.TCP4ClientEndpoint(
            reactor, "127.0.0.1", port.getHost().port, timeout=rig.PATIENCE), "localhost").connect(
            protocol.Factory.forProtocol(Client))
        p.sendLine(b"STARTTLS")
        while not served:
            yield turn()
        return p, served[0]

    @defer.inlineCallbacks
    def test_in_order_and_cut(self):
        for cut in (False, True):
            p, server = yield self.pair_()
            yield p.open
            yield server.open
            if cut:
                p.transport.tls.transport.loseConnection()  # below TLS
            else:
                p.transport.loseConnection()
            self.assertIsInstance((yield server.lost), error.ConnectionLost if cut else error.ConnectionDone)
            yield p.lost
            yield self.calm()

    @defer.inlineCallbacks
    def test_each_direction_ends_by_itself(self):
        @implementer(interfaces.IHalfCloseableProtocol)
        class Half(Buffered):
            ended = None

            def connectionMade(self):
                self.ended = defer.Deferred()

            def readConnectionLost(self):
                self.ended.callback(None)

            def writeConnectionLost(self):
                pass
        p, server = yield self.pair_(Half, Half)
        yield p.open
        p.sendLine(b"it")
        p.transport.loseWriteConnection()
        yield server.ended
        self.assertEqual((yield p.heard), b"heard it")
        server.transport.loseWriteConnection()
        yield p.ended
        for peer in (p, server):
            self.assertIsInstance((yield peer.lost), error.ConnectionDone)
        yield self.calm()

    @defer.inlineCallbacks
    def test_the_connection_goes_while_hands_are_shaken(self):
        for steps in range(8):
            p, server = yield self.pair_()
            while p.transport.tls is None:
                yield turn()
            for _ in range(steps):
                yield turn()
            p.transport.abortConnection()
            yield p.lost
            yield server.lost
            yield self.calm()

    @defer.inlineCallbacks
    def test_no_descriptor_is_lost(self):
        seen = []
        for _ in range(2):
            p, server = yield self.pair_()
            yield p.open
            yield server.open
            p.transport.loseConnection()
            yield p.lost
            yield server.lost
            yield self.calm()
            seen.append(len(os.listdir("/proc/self/fd")))
        self.assertLessEqual(seen[1], seen[0] + 1)  # the second's listener

    @defer.inlineCallbacks
    def test_in_the_clear_it_is_as_without(self):
        """Half-closes, lines, the end."""
        p, server = yield self.pair_(Unbuffered, Unbuffered)
        yield p.open
        yield p.transport.loseConnection()
        yield p.lost
        wire = Wire("wire")
        wrapper = tx.StartTLSFactory(protocol.Factory.forProtocol(Unbuffered)).buildProtocol(None)
        mine = wrapper.wrappedProtocol
        mine.context = server_context()
        wrapper.makeConnection(wire)
        wrapper.dataReceived(b"one\r\ntwo\r\nthr")
        wrapper.dataReceived(b"ee\r\n")
        self.assertEqual(wire.out, b"heard one\r\nheard two\r\nheard three\r\n")
        mine.lineReceived = lambda line: mine.lines.append(line) or mine.transport.loseConnection()
        wrapper.dataReceived(b"one\r\ntwo\r\n")
        self.assertTrue(wire.closed)
        self.assertEqual(mine.lines[-1], b"one")
        wrapper.connectionLost(tx.Failure(error.ConnectionDone()))
        self.assertIsInstance((yield mine.lost), error.ConnectionDone)
        yield server.lost
        yield self.calm()

    def test_who_knows_no_half_closes_is_closed_by_the_peers_end(self):
        ended = []

        @implementer(interfaces.IHalfCloseableProtocol)
        class Half(Buffered):
            def readConnectionLost(self):
                ended.append("read")

            def writeConnectionLost(self):
                ended.append("write")
        for kind in (Buffered, Half):
            mine, wrapper, wire = self.ends(server_context(), kind)
            wrapper.writeConnectionLost()
            wrapper.readConnectionLost()
            self.assertEqual(wire.closed, kind is Buffered)
            wrapper.connectionLost(tx.Failure(error.ConnectionDone()))
            self.assertTrue(mine.lost.called)
        self.assertEqual(ended, ["write", "read"])


if __name__ == "__main__":
    rig.main()
