# SPDX-License-Identifier: Apache-2.0
"""Twisted: what TLSMemoryBIOFactory and TLSMemoryBIOProtocol are, with a milgi.Context; and endpoints.

    listener = milgi.tx.wrap_server(context, TCP4ServerEndpoint(reactor, 8443)).listen(factory)
    connecting = milgi.tx.wrap_client(context, HostnameEndpoint(reactor, "example.org", 443)).connect(factory)
    serverFromString(reactor, "milgi:8443:certificate=chain.pem:privateKey=key.pem")
    clientFromString(reactor, "milgi:example.org:443")

TLS that begins in the middle of a connection (STARTTLS): the endpoints below take a factory of protocols that call
self.transport.startTLS(context), as those of twisted.mail do.

    milgi.tx.start_tls_server(TCP4ServerEndpoint(reactor, 2525)).listen(factory)
    milgi.tx.start_tls_client(HostnameEndpoint(reactor, "example.org", 2525)).connect(factory)

Over any transport. Answers to what a context asks may be Deferreds or coroutines. A protocol that provides
IHandshakeListener is told when the handshake is complete, and one that provides IHalfCloseableProtocol has half-closes,
both of its own (loseWriteConnection()) and of the peer.
"""

import weakref

from twisted.internet import defer, error as errors, interfaces
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.protocols.basic import IntNStringReceiver, LineOnlyReceiver
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.python.log import callWithContext
from zope.interface import directlyProvides, implementer, providedBy

from .asked import Info
from .context import Context, Credential
from .errors import Error, TransportError, TruncatedError, UsageError
from .loop import HANDSHAKE_S, Engine, Host, Stream

__all__ = ["TLSFactory", "TLSProtocol", "StartTLSFactory", "StartTLSProtocol", "ConnectionCut", "engine", "wrap_client",
           "wrap_server", "start_tls_client", "start_tls_server"]

log = Logger("milgi")


class ConnectionCut(TruncatedError, errors.ConnectionLost):
    """The transport has ended without the peer's close_notify."""


@implementer(interfaces.IReadDescriptor)
class _Descriptor:
    def __init__(self, fd, function):
        self.fd, self.doRead = fd, function

    def fileno(self):
        return self.fd

    def connectionLost(self, reason):
        pass

    def logPrefix(self):
        return "milgi"


class _Host(Host):
    def __init__(self, reactor):
        self.reactor = reactor
        self.descriptors = {}

    def soon(self, function):
        self.reactor.callLater(0, function)

    def later(self, seconds, function):
        return _Timer(self.reactor.callLater(seconds, function))

    def watch(self, fd, function):
        self.descriptors[fd] = _Descriptor(fd, function)
        self.reactor.addReader(self.descriptors[fd])

    def unwatch(self, fd):
        self.reactor.removeReader(self.descriptors.pop(fd))

    def spawn(self, awaitable, done):
        d = awaitable if isinstance(awaitable, defer.Deferred) else defer.ensureDeferred(awaitable)
        d.addCallbacks(lambda result: done(result, None), lambda failure: done(None, failure.value))
        return d

    def complain(self, message, error, stream=None):
        log.failure(message, failure=Failure(error))


class _Timer:
    def __init__(self, call):
        self.call = call

    def cancel(self):
        if self.call.active():
            self.call.cancel()


_engines = weakref.WeakKeyDictionary()


def engine(reactor=None, **options):
    """The engine of a reactor, which is made, with |options| of milgi.loop.Engine, when it is first asked for, and ends
    with the reactor."""
    if reactor is None:
        from twisted.internet import reactor
    found = _engines.get(reactor)
    if found is not None and not found.closed:
        if options:
            raise UsageError("the reactor has its engine already")
        return found
    made = _engines[reactor] = Engine(_Host(reactor), **options)
    reactor.addSystemEventTrigger("after", "shutdown", made.close)
    return made


@implementer(interfaces.IPushProducer)
class _Pull:
    """A producer that wants to be asked for each piece, as one that goes on by itself."""

    def __init__(self, producer, consumer, soon):
        self.producer, self.consumer, self.soon = producer, consumer, soon
        self.on = self.asks = self.stopped = False

    def resumeProducing(self):
        self.on = True
        if not self.asks and not self.stopped:
            self.asks = True
            self.soon(self._ask)

    def pauseProducing(self):
        self.on = False

    def _ask(self):
        self.asks = False
        if not self.on or self.stopped:
            return
        try:
            self.producer.resumeProducing()
        except Exception:
            log.failure("{producer} has failed: it is asked for nothing more", producer=self.producer)
            self.stop()
            self.consumer.unregisterProducer()
        if self.on:
            self.resumeProducing()

    def stop(self):
        self.stopped = True

    def stopProducing(self):
        self.stop()
        self.producer.stopProducing()


class _Stream(Stream):
    def __init__(self, protocol, *args):
        self.protocol = protocol
        self.below = protocol.transport
        self.below_full = False
        super().__init__(*args)
        self.up = protocol

    def handle(self):
        prefix = getattr(self.below, "logPrefix", self.protocol.logPrefix)
        callWithContext({"system": prefix()}, super().handle)

    def below_write(self, data):
        self.below.write(data)

    def below_size(self):
        return self._unsettled if self.below_full else 0

    def below_held(self):
        """As far as a transport shows it."""
        tls = getattr(self.below, "tls", None)
        if isinstance(tls, Stream):
            return tls.size()
        held = getattr(self.below, "dataBuffer", None)
        if held is None:
            return self.below_size()
        return len(held) - getattr(self.below, "offset", 0) + getattr(self.below, "_tempDataLen", 0)

    def below_fd(self):
        fileno = getattr(self.below, "fileno", None)
        return fileno() if fileno is not None else -1

    def below_read(self, on):
        # There are transports that cannot wait: what comes then is held.
        call = getattr(self.below, "resumeProducing" if on else "pauseProducing", None)
        if call is not None:
            call()

    def below_shut(self):
        if hasattr(self.below, "loseWriteConnection"):
            self.below.loseWriteConnection()
        else:
            self.below_close()

    def below_close(self):
        self.protocol.unregisterBelow()
        # What it has not taken within the limits it will not take.
        if (self.protocol.aborted or self._unsettled) and hasattr(self.below, "abortConnection"):
            self.below.abortConnection()
        else:
            self.below.loseConnection()

    def above_open(self):
        self.protocol.opened()

    def above_data(self, size):
        ProtocolWrapper.dataReceived(self.protocol, self.take(size))

    def above_end(self):
        self.protocol.peerEnded()

    def above_lost(self, error):
        self.protocol.lost(error)

    def let_go(self):
        super().let_go()
        self.protocol = None

    def above_pause(self):
        self.protocol.pauseAbove()

    def above_resume(self):
        self.protocol.resumeAbove()


@implementer(interfaces.ISSLTransport, interfaces.INegotiated, interfaces.IHalfCloseableProtocol,
             interfaces.IPushProducer)
class TLSProtocol(ProtocolWrapper):
    """The transport of the wrapped protocol, and the protocol of the transport below."""

    tls = None  # the stream
    info = None  # what was negotiated: milgi.asked.Info
    aborted = False
    _producer = None
    _closes = False  # loseConnection() waits for the producer or the handshake
    _written = False
    _registered = False
    _reason = None
    _patience = None  # with the handshake

    def __init__(self, factory, wrappedProtocol, _connectWrapped=True):
        super().__init__(factory, wrappedProtocol)
        self._connects = _connectWrapped

    def makeConnection(self, transport):
        for interface in providedBy(transport):
            if interface is not interfaces.ITLSTransport:  # it is TLS already
                directlyProvides(self, providedBy(self), interface)
        Protocol.makeConnection(self, transport)
        try:
            self.tls = _Stream(self, self.factory.engine(transport), self.factory.context, self.factory.server_hostname,
                               self.factory.session)
        except Exception:
            transport.loseConnection()
            raise
        self.factory.registerProtocol(self)
        if hasattr(transport, "registerProducer"):
            transport.registerProducer(_Below(self), True)
            self._registered = True
        self._patience = self.tls.engine.host.later(HANDSHAKE_S, self._late)
        if self._connects:
            self.wrappedProtocol.makeConnection(self)

    # --- the transport below ---

    def dataReceived(self, data):
        self.tls.feed(data)

    def readConnectionLost(self):
        self.tls.eof()

    def writeConnectionLost(self):
        pass

    def connectionLost(self, reason):
        if self.tls is None:
            return
        self._reason = self._reason or reason
        self.unregisterBelow()
        self.tls.lost(None if reason.check(errors.ConnectionDone) else reason.value)

    def unregisterBelow(self):
        if self._registered:
            self._registered = False
            self.transport.unregisterProducer()

    # --- what the stream tells ---

    def _late(self):
        if not self.tls.established and not self.tls.over:
            self.tls.error = self.tls.error or errors.TimeoutError("the TLS handshake takes too long")
            self.tls.cut()

    def opened(self):
        self._patience.cancel()
        self.info = Info(self.tls)
        if interfaces.IHandshakeListener.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.handshakeCompleted()
        self._close_if_due()

    def peerEnded(self):
        if interfaces.IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.readConnectionLost()
        else:
            self.tls.close()

    def lost(self, error):
        reason = self._reason
        if isinstance(error, TransportError):
            if reason is None or reason.check(errors.ConnectionDone):
                reason = Failure(ConnectionCut(str(error), code=error.code, reason=error.reason))
        elif error is not None and not (self.aborted and isinstance(error, Error)):
            reason = Failure(error)
        self.connected = False
        self._patience.cancel()
        self.stopAbove()
        if not self.tls.established and self.factory.context.on_failure and error is not None:
            self.factory.context.on_failure(error, self)
        ProtocolWrapper.connectionLost(self, reason or Failure(errors.ConnectionDone()))

    def pauseAbove(self):
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeAbove(self):
        if self._producer is not None:
            self._producer.resumeProducing()

    def stopAbove(self):
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.stopProducing()

    # --- what the wrapped protocol asks of its transport ---

    def write(self, data):
        if isinstance(data, str):
            raise TypeError("Must write bytes to a TLS transport, not str.")
        if data and not (self.disconnecting and self._producer is None):
            self._written = True
            self.tls.write(data)

    def writeSequence(self, data):
        self.write(b"".join(data))

    def loseConnection(self):
        if self.disconnecting or not self.connected:
            return
        self.disconnecting = True
        self._close_if_due()

    def _close_if_due(self):
        if self.disconnecting and self._producer is None and (self.tls.established or not self._written):
            self.tls.close()

    def abortConnection(self):
        self.aborted = self.disconnecting = True
        self.tls.abort()

    def loseWriteConnection(self):
        self.tls.write_eof()

    def startTLS(self, *args, **kwargs):
        raise UsageError("it is TLS already")

    def failVerification(self, reason):
        self._reason = reason
        self.abortConnection()

    def registerProducer(self, producer, streaming):
        if self.tls.over or not self.connected:
            producer.stopProducing()
            return
        if self._producer is not None:
            raise RuntimeError("Cannot register producer %s, because producer %s was never unregistered."
                               % (producer, self._producer))
        self._producer = producer if streaming else _Pull(producer, self, self.tls.engine.host.soon)
        if self.tls._above_full:
            self._producer.pauseProducing()
        elif not streaming:
            self._producer.resumeProducing()

    def unregisterProducer(self):
        producer, self._producer = self._producer, None
        if isinstance(producer, _Pull):
            producer.stop()
        self._close_if_due()

    def pauseProducing(self):
        self.tls.pause()

    def resumeProducing(self):
        self.tls.resume()

    def stopProducing(self):
        self.loseConnection()

    def getPeerCertificate(self):
        """A milgi.Certificate, or None."""
        chain = self.info.peer_chain if self.info else ()
        return chain[0] if chain else None

    @property
    def negotiatedProtocol(self):
        return self.info.alpn.encode() if self.info and self.info.alpn else None


@implementer(interfaces.IPushProducer)
class _Below:
    """What the transport tells of its buffer: it is full; it is empty again; it takes nothing any more."""

    def __init__(self, protocol):
        self.protocol = protocol

    def pauseProducing(self):
        self.protocol.tls.below_full = True

    def resumeProducing(self):
        self.protocol.tls.below_full = False
        self.protocol.tls.settle()

    def stopProducing(self):
        self.protocol.stopAbove()


class TLSFactory(WrappingFactory):
    """Adds TLS to the connections of |wrappedFactory|. A client says whom it wants: |server_hostname|."""

    protocol = TLSProtocol
    noisy = False

    def __init__(self, context, wrappedFactory, server_hostname=None, *, session=None, reactor=None):
        super().__init__(wrappedFactory)
        if not isinstance(context, Context):
            raise TypeError("%r is no milgi.Context" % (context,))
        if not context.server_side and not server_hostname and not context.dangerous:
            raise UsageError("a client says which server it wants: server_hostname")
        self.context, self.server_hostname, self.session = context, server_hostname, session
        self.reactor = reactor

    def engine(self, transport):
        return engine(self.reactor or getattr(transport, "reactor", None))

    def logPrefix(self):
        return "%s (TLS)" % getattr(self.wrappedFactory, "logPrefix", lambda: type(self.wrappedFactory).__name__)()


# --- TLS from the middle on -------------------------------------------------------------------------------------------------

@implementer(interfaces.IHalfCloseableProtocol)
class StartTLSProtocol(ProtocolWrapper):
    """The transport of the wrapped protocol, in the clear until its startTLS() is called. It stays the same then, and is
    what TLSProtocol is: what was written before is sent in the clear, before; what comes from then on is TLS or nothing."""

    tls = None  # the TLSProtocol
    _producer = None
    _paused = False

    def makeConnection(self, transport):
        directlyProvides(self, providedBy(transport), interfaces.ITLSTransport)
        if interfaces.IHandshakeListener.providedBy(self.wrappedProtocol):
            directlyProvides(self, providedBy(self), interfaces.IHandshakeListener)
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(self)

    def startTLS(self, context, normal=True, *, server_hostname=None, session=None, data=b""):
        """In the role of |context|, whatever is |normal|. A client says whom it wants, here or to the factory. |data|: what
        the protocol has got that came behind the switch, with it: it is the handshake's, or an attacker's, and nothing
        that the protocol may look at. What LineReceiver has of that, and LineOnlyReceiver, is taken from them."""
        if self.tls is not None:
            raise UsageError("it is TLS already")
        protocol, below = self.wrappedProtocol, self.transport
        factory = TLSFactory(context, self.factory.wrappedFactory, server_hostname or self.factory.server_hostname,
                             session=session, reactor=self.factory.reactor)
        behind = bytes(data) + self._behind(protocol)
        if self._producer is not None:
            below.unregisterProducer()
        self.tls = self.transport = TLSProtocol(factory, protocol, False)
        self.tls.makeConnection(below)
        directlyProvides(self, [i for i in providedBy(self.tls) if i is not interfaces.ITLSTransport])
        if self._paused:
            self.tls.pauseProducing()
        if behind:
            self.tls.dataReceived(behind)
        if self._producer is not None:
            producer, streaming = self._producer
            self.tls.registerProducer(producer, streaming)
            if streaming and not self.tls.tls._above_full:  # it may have waited for the transport below
                producer.resumeProducing()

    def _behind(self, protocol):
        if hasattr(protocol, "clearLineBuffer"):
            return protocol.clearLineBuffer()
        if isinstance(protocol, IntNStringReceiver) and protocol.recvd:
            n = len(protocol.recvd)
            self.abortConnection()
            raise UsageError("%d bytes came before TLS did, and were not read" % n)
        return b""

    def dataReceived(self, data):
        at, protocol = 0, self.wrappedProtocol
        if self.tls is None and isinstance(protocol, LineOnlyReceiver):
            # Line by line: it does not say which of them it has had when one of them is the switch.
            last = protocol.delimiter[-1:]
            while at < len(data) and self.tls is None and not self.disconnecting:
                begin, at = at, data.find(last, at) + 1 or len(data)
                protocol.dataReceived(data[begin:at])
        if at < len(data):
            (self.tls or protocol).dataReceived(data[at:] if at else data)

    def handshakeCompleted(self):  # of TLS below
        self.wrappedProtocol.handshakeCompleted()

    def _half(self):
        """Who hears of one direction's end."""
        return self.tls or interfaces.IHalfCloseableProtocol(self.wrappedProtocol, None)

    def readConnectionLost(self):
        half = self._half()
        if half is not None:
            half.readConnectionLost()
        else:
            self.loseConnection()

    def writeConnectionLost(self):
        half = self._half()
        if half is not None:
            half.writeConnectionLost()

    def connectionLost(self, reason):
        self.factory.unregisterProtocol(self)
        protocol, self.wrappedProtocol = self.tls or self.wrappedProtocol, None
        protocol.connectionLost(reason)

    def abortConnection(self):
        self.disconnecting = True
        self.transport.abortConnection()

    def registerProducer(self, producer, streaming):
        if self.tls is None:
            self._producer = producer, streaming
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self):
        self._producer = None
        self.transport.unregisterProducer()

    def pauseProducing(self):
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self):
        self._paused = False
        self.transport.resumeProducing()


class StartTLSFactory(WrappingFactory):
    """Connections of |wrappedFactory| begin in the clear; TLS begins with self.transport.startTLS(context)."""

    protocol = StartTLSProtocol
    noisy = False

    def __init__(self, wrappedFactory, server_hostname=None, *, reactor=None):
        super().__init__(wrappedFactory)
        self.server_hostname, self.reactor = server_hostname, reactor


# --- endpoints --------------------------------------------------------------------------------------------------------------

@implementer(interfaces.IStreamServerEndpoint)
class _ServerEndpoint:
    def __init__(self, endpoint, wrap):
        self.endpoint, self.wrap = endpoint, wrap

    def listen(self, factory):
        return self.endpoint.listen(self.wrap(factory))


@implementer(interfaces.IStreamClientEndpoint)
class _ClientEndpoint:
    def __init__(self, endpoint, wrap):
        self.endpoint, self.wrap = endpoint, wrap

    def connect(self, factory):
        return self.endpoint.connect(self.wrap(factory)).addCallback(lambda wrapper: wrapper.wrappedProtocol)


def wrap_server(context, endpoint, *, reactor=None):
    """An endpoint that listens on |endpoint|, with TLS."""
    return _ServerEndpoint(endpoint, lambda factory: TLSFactory(context, factory, reactor=reactor))


def wrap_client(context, endpoint, server_hostname=None, *, reactor=None):
    """An endpoint that connects by |endpoint|, with TLS, to |server_hostname|; None: the name of a HostnameEndpoint."""
    name = server_hostname or getattr(endpoint, "_hostText", None)
    return _ClientEndpoint(endpoint, lambda factory: TLSFactory(context, factory, name, reactor=reactor))


def start_tls_server(endpoint, *, reactor=None):
    """An endpoint that listens on |endpoint|, for protocols that call self.transport.startTLS(context)."""
    return _ServerEndpoint(endpoint, lambda factory: StartTLSFactory(factory, reactor=reactor))


def start_tls_client(endpoint, server_hostname=None, *, reactor=None):
    """The same for clients, who want |server_hostname|; None: the name of a HostnameEndpoint."""
    name = server_hostname or getattr(endpoint, "_hostText", None)
    return _ClientEndpoint(endpoint, lambda factory: StartTLSFactory(factory, name, reactor=reactor))


def _list(text):
    return [word for word in (text or "").split(",") if word]


@implementer(IPlugin, interfaces.IStreamServerEndpointStringParser)
class ServerParser:
    """milgi:PORT:certificate=FILE:privateKey=FILE[:interface=IP][:backlog=N][:clientCA=FILE][:alpn=A,B][:policy=WORDS]"""

    prefix = "milgi"

    def parseStreamServer(self, reactor, port, certificate, privateKey, interface="", backlog=50, clientCA=None,
                          alpn=None, policy=None):
        context = Context.server(Credential(certificate, privateKey), client_ca=clientCA, alpn=_list(alpn),
                                 policy=policy)
        return wrap_server(context, TCP4ServerEndpoint(reactor, int(port), int(backlog), interface), reactor=reactor)


@implementer(IPlugin, interfaces.IStreamClientEndpointStringParserWithReactor)
class ClientParser:
    """milgi:HOST:PORT[:ca=FILE][:certificate=FILE:privateKey=FILE][:hostname=NAME][:alpn=A,B][:policy=WORDS][:timeout=S]"""

    prefix = "milgi"

    def parseStreamClient(self, reactor, host, port, ca=None, certificate=None, privateKey=None, hostname=None,
                          alpn=None, policy=None, timeout=30, bindAddress=None):
        credentials = (Credential(certificate, privateKey or certificate),) if certificate else ()
        context = Context.client(ca, credentials=credentials, alpn=_list(alpn), policy=policy)
        bind = (bindAddress, 0) if bindAddress else None
        endpoint = HostnameEndpoint(reactor, host, int(port), timeout=float(timeout), bindAddress=bind)
        return wrap_client(context, endpoint, hostname or host, reactor=reactor)
