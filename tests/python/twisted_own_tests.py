# SPDX-License-Identifier: Apache-2.0
"""Twisted's own tests of TLS (in Debian's python3-twisted), with Milgi's protocol and factory in the place of TLSMemoryBIOProtocol
and TLSMemoryBIOFactory, on both sides.

What the tests make are options for pyOpenSSL: of each is made a milgi.Context of the same settings. Most of the tests look at
once for what was asked for: they have a loop whose turn comes before the call returns. The others have reactors. Each test that
does not fit stands below, with why.

    twisted_own_tests.py [WORD...]     those whose names have one of the words, those that do not fit, too
"""

import collections
import contextlib
import functools
import glob
import importlib
import os
import sys
import types
import unittest

import rig
from OpenSSL import SSL, crypto
from twisted.internet import endpoints, protocol, task
from twisted.python.failure import Failure

import milgi
import milgi.tx as tx
from milgi.loop import Engine, Host
from own import Proxy, judge, only

OPENSSL = "is about pyOpenSSL's objects"
INSIDE = "is about insides of twisted.protocols.tls"
PRODUCER = "wants a producer to be paused by the first byte that waits, not by 256 KiB"
BELOW = "the transport below has Milgi's producer all the time"
LOG = "wants Twisted's words in the log"
NAMELESS = "a client that verifies is to connect without a name: Milgi's says which name it wants, or that it takes anybody"
CANNOT = {
    # twisted.internet.test.test_endpoints
    "ServerStringTests": OPENSSL,
    "SSL4EndpointsTests.test_endpointConnectSuccess": "gives the endpoint a protocol that is not its factory's",
    "SSLClientStringTests.test_ssl": OPENSSL,
    "SSLClientStringTests.test_sslSimple": OPENSSL,
    "SSLClientStringTests.test_sslWithDefaults": OPENSSL,
    "SSLClientStringTests.test_unreadableCertificate": "is about a parser's insides: milgi: takes a file",
    "WrapClientTLSParserTests.test_hostnameEndpointConstruction":
        "wants an address alone to be bound to, with which Twisted 22.4 cannot connect; with Milgi's it is a pair, as ssl: has it",
    "WrapClientTLSParserTests.test_tls": "its certificate has its name in the subject alone, at which Milgi does not look",
    "WrapClientTLSTests.test_noOpenSSL": OPENSSL,
    # twisted.protocols.test.test_tls
    "TLSMemoryBIOTests.test_connectionLostOnlyAfterUnderlyingCloses": INSIDE,
    "TLSMemoryBIOTests.test_errorWriting": OPENSSL,
    "TLSMemoryBIOTests.test_getHandle": OPENSSL,
    "TLSMemoryBIOTests.test_interfaces": OPENSSL,
    "TLSMemoryBIOTests.test_loseConnectionAfterConnectionLost": INSIDE,
    "TLSMemoryBIOTests.test_loseConnectionAfterHandshake":
        "wants what comes after loseConnection(); with Milgi's it is not wanted any more: loseWriteConnection() ends one direction",
    "TLSMemoryBIOTests.test_loseConnectionTwice": INSIDE,
    "TLSProducerTests.test_interface": INSIDE,
    "TLSProducerTests.test_nonStreamingProducer": INSIDE,
    "TLSProducerTests.test_producerDuringRenegotiation": "renegotiates, which Milgi does not",
    "TLSProducerTests.test_streamingProducerBothTransportsDecideToPause": OPENSSL,
    "TLSProducerTests.test_streamingProducerPausedInNormalMode": PRODUCER,
    "TLSProducerTests.test_streamingProducerPausedInWriteBlockedOnReadMode": PRODUCER,
    "TLSProducerTests.test_streamingProducerResumedInNormalMode": PRODUCER,
    "TLSProducerTests.test_streamingProducerResumedInWriteBlockedOnReadMode": INSIDE,
    "TLSProducerTests.test_streamingProducerUnregister": BELOW,
    "TLSProducerTests.test_streamingProducerUnregisterTwice": BELOW,
    "NonStreamingProducerTests.test_pause": INSIDE,
    "NonStreamingProducerTests.test_resumeProducingRaises": LOG,
    "NonStreamingProducerTests.test_resumeProducingRaiseAndUnregisterProducerRaises": LOG,
    # twisted.test.test_sslverify
    "ServiceIdentityTests.test_hostnameEncoding": OPENSSL,
    "ServiceIdentityTests.test_hostnameIsIndicated": OPENSSL,
    "ServiceIdentityTests.test_invalidHostname": "wants a server that is not told why its client has gone: Milgi's sends the alert",
    "ServiceIdentityTests.test_surpriseFromInfoCallback": OPENSSL,
    "ServiceIdentityTests.test_fallback": OPENSSL,
    "OpenSSLOptionsTests.test_successfulCertificateVerification": NAMELESS,
    "OpenSSLOptionsTests.test_successfulSymmetricSelfSignedCertificateVerification": NAMELESS,
    "OpenSSLOptionsTests.test_verification": NAMELESS,
    # twisted.test.test_ssl
    "StolenTCPTests": OPENSSL,
    "ConnectionLostTests.testFailedVerify": OPENSSL,
    "DefaultOpenSSLContextFactoryTests": OPENSSL,
    "ClientContextFactoryTests": OPENSSL,
    # twisted.internet.test.test_tls
    "test_badContext": OPENSSL,
    "test_closePeerOnEMFILE": "leaves no descriptor for an engine, which is made for a reactor's first connection",
}
# Of test_sslverify what makes connections; the rest is about options for pyOpenSSL.
SOME = {"twisted.internet.test.test_endpoints": ("SSL4EndpointsTests", "SSLClientStringTests", "WrapperClientEndpointTests",
                                                 "WrapClientTLS", "ServerStringTests.test_ssl"),
        "twisted.test.test_sslverify": ("ServiceIdentityTests", "OpenSSLOptionsTests.test_allowedA", "OpenSSLOptionsTests.test_refusedA",
                                        "OpenSSLOptionsTests.test_failedC", "OpenSSLOptionsTests.test_success",
                                        "OpenSSLOptionsTests.test_verification")}
REACTORS = ("EPollReactor", "AsyncioSelectorReactor")


class Now(Host):
    """A loop whose turn comes before those that want one have returned. Its time stands still."""

    def __init__(self):
        self.calls, self.busy, self.clock = collections.deque(), False, task.Clock()
        self.failures = []

    def soon(self, function):
        self.calls.append(function)

    def later(self, seconds, function):
        return tx._Timer(self.clock.callLater(seconds, function))

    def watch(self, fd, function):
        pass

    def unwatch(self, fd):
        pass

    def complain(self, message, error, stream=None):
        if not now.closed:
            tx.log.failure(message, failure=Failure(error))

    @contextlib.contextmanager
    def turn(self):
        mine, self.busy = not self.busy, True
        try:
            yield
            while mine and self.calls:
                self.calls.popleft()()
        finally:
            self.busy = self.busy and not mine


now = None  # the engine of the loop that has its turn now; None: reactors'


def at_once(name):
    method = getattr(tx.TLSProtocol, name)

    def call(self, *args):
        if now is None:
            return method(self, *args)
        with now.host.turn():
            return method(self, *args)
    return call


class Protocol(tx.TLSProtocol):
    """As the tests know it."""

    def opened(self):
        finished = getattr(self.factory.creator, "_finished", None)
        super().opened()
        if finished is not None and not finished.called:
            finished.callback(None)

    def getHandle(self):
        below = getattr(self.transport, "getHandle", None)
        return below() if below else types.SimpleNamespace(get_peer_certificate=self.getPeerCertificate)

    def getPeerCertificate(self):
        certificate = super().getPeerCertificate()
        return certificate and crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)


for _name in ("makeConnection", "dataReceived", "readConnectionLost", "connectionLost", "write", "loseConnection", "abortConnection",
              "loseWriteConnection", "registerProducer", "unregisterProducer", "pauseProducing", "resumeProducing"):
    setattr(Protocol, _name, at_once(_name))


class Factory(tx.TLSFactory):
    protocol = Protocol

    def __init__(self, creator, isClient, wrappedFactory):
        if hasattr(creator, "getContext"):
            creator.getContext()  # which may raise
        self.creator = creator
        context, name = client(creator) if isClient else (server(creator), None)
        super().__init__(context, wrappedFactory, name)

    def engine(self, transport):
        return now or super().engine(transport)


class Pull(tx._Pull):
    """In the place of _PullToPush."""

    def __init__(self, producer, consumer):
        from twisted.internet import reactor
        super().__init__(producer, consumer, lambda function: reactor.callLater(0, function))
        self.startStreaming, self.stopStreaming = self.resumeProducing, self.stop

    @property
    def _finished(self):
        return self.stopped


# --- contexts -------------------------------------------------------------------------------------------------------------

def pem(dump, what):
    return dump(crypto.FILETYPE_PEM, what)


def credential(options):
    if options.certificate is None:
        return ()
    return milgi.Credential(b"".join(pem(crypto.dump_certificate, c) for c in (options.certificate, *options.extraCertChain)),
                            pem(crypto.dump_privatekey, options.privateKey))


def trusted(options):
    """None: the system's."""
    certificates = getattr(options.trustRoot, "_caCerts", None)
    return certificates and b"".join(pem(crypto.dump_certificate, c) for c in certificates)


def policy(method):
    return "versions=1.2" if method == SSL.TLSv1_2_METHOD else "compatible"


def server(creator):
    from twisted.internet.ssl import CertificateOptions
    common = {"policy": policy(getattr(creator, "_method", None)), "tickets": False}
    if isinstance(creator, CertificateOptions):
        if creator.verify:
            common.update(client_ca=trusted(creator), client_auth="required" if creator.requireCertificate else "optional")
        return milgi.Context.server(credential(creator), alpn=creator._acceptableProtocols or (), **common)
    for chain, key in (("filename", "filename"), ("certificateFileName", "privateKeyFileName")):
        if hasattr(creator, chain):
            return milgi.Context.server(milgi.Credential(only(getattr(creator, chain), "CERTIFICATE"),
                                                         only(getattr(creator, key), "PRIVATE KEY")), **common)
    raise unittest.SkipTest("a server without a certificate")


def client(creator):
    """A context, and the name that it wants."""
    from twisted.internet._sslverify import ClientTLSOptions
    from twisted.internet.ssl import CertificateOptions
    options = creator._ctx.made_of if isinstance(creator, ClientTLSOptions) else creator
    common = {"policy": policy(getattr(creator, "_method", None)), "sessions": 0}
    if isinstance(options, CertificateOptions) and options.verify:
        return (milgi.Context.client(trusted(options), credentials=credential(options), alpn=options._acceptableProtocols or (),
                                     **common), getattr(creator, "_hostnameASCII", "example.com"))
    if isinstance(options, CertificateOptions):
        common.update(credentials=credential(options), alpn=options._acceptableProtocols or ())
    return milgi.Context.client(dangerously_accept_any_server=True, **common), None


# --- in their places --------------------------------------------------------------------------------------------------------

def replace(module):
    for name, ours in (("TLSMemoryBIOFactory", Factory), ("TLSMemoryBIOProtocol", Protocol), ("_PullToPush", Pull),
                       ("Error", milgi.Error), ("SSL", Proxy(SSL, Error=milgi.Error)), ("VerificationError", milgi.CertificateError)):
        if hasattr(module, name) and not (name == "Error" and module.__name__ != "twisted.protocols.test.test_tls"):
            setattr(module, name, ours)


class ServerEndpoint(tx._ServerEndpoint):
    def __init__(self, reactor, port, options, backlog=50, interface=""):
        super().__init__(endpoints.TCP4ServerEndpoint(reactor, port, backlog, interface),
                         lambda factory: Factory(options, False, factory))


class ClientEndpoint(tx._ClientEndpoint):
    def __init__(self, reactor, host, port, options, timeout=30, bindAddress=None):
        super().__init__(endpoints.TCP4ClientEndpoint(reactor, host, port, timeout, bindAddress),
                         lambda factory: Factory(options, True, factory))

    def __getattr__(self, name):
        return getattr(self.endpoint, {"_host": "_hostStr"}.get(name, name))


def from_string(made, old):
    """clientFromString() that takes "ssl:" and "tls:" for "milgi:"."""
    def make(reactor, description):
        text = description.decode() if isinstance(description, bytes) else description
        kind, _, rest = text.partition(":")
        if kind not in ("ssl", "tls"):
            return old(reactor, description)
        words = rest.replace("certKey=", "certificate=").replace("caCertsDir=", "ca=").replace("trustRoots=", "ca=").split(":")
        for i, word in enumerate(words):
            name, _, file = word.partition("=")
            if name in ("certificate", "privateKey", "ca"):
                files = sorted(glob.glob(file + "/*.pem")) if os.path.isdir(file) else [file]
                words[i] = "%s=%s" % (name, os.path.abspath("%s.pem" % name))
                with open(name + ".pem", "wb") as f:
                    f.write(b"".join(only(file, "KEY" if name == "privateKey" else "CERTIFICATE") for file in files))
        found = old(reactor, "milgi:" + ":".join(words))
        found.__class__ = made
        return found
    return make


def replace_endpoints():
    from twisted.internet.test import test_endpoints
    endpoints.SSL4ServerEndpoint, endpoints.SSL4ClientEndpoint = ServerEndpoint, ClientEndpoint
    endpoints._WrapperEndpoint = tx._ClientEndpoint
    endpoints.clientFromString = from_string(ClientEndpoint, endpoints.clientFromString)
    ClientEndpoint._wrappedEndpoint = property(lambda self: self.endpoint)
    test_endpoints.connectionCreatorFromEndpoint = lambda reactor, endpoint: types.SimpleNamespace(
        _hostname=endpoint.wrap(protocol.Factory()).server_hostname)
    cases = test_endpoints.SSL4EndpointsTests
    cases.expectedServers = lambda self, reactor: [(port, factory.wrappedFactory, factory.creator, *rest)
                                                   for port, factory, *rest in reactor.tcpServers]
    cases.expectedClients = lambda self, reactor: [(host, port, factory, factory._wrappedFactory.creator, *rest)
                                                   for host, port, factory, *rest in reactor.tcpClients]


def load():
    """The modules with tests, and whether they have reactors."""
    from twisted.internet import _newtls, _sslverify
    from twisted.protocols import tls
    from twisted.test import iosim, test_sslverify
    for module in (_newtls, tls):
        replace(module)
    made = _sslverify.OpenSSLCertificateOptions._makeContext

    def make(options):
        context = made(options)
        context.made_of = options
        return context
    _sslverify.OpenSSLCertificateOptions._makeContext = make
    del iosim.FakeTransport.loseWriteConnection  # which does nothing, and so says that it can what it cannot
    # Keys of 4096 bits are none the better for these tests.
    generate = test_sslverify.rsa.generate_private_key
    test_sslverify.rsa = type("rsa", (), {"generate_private_key": staticmethod(
        lambda public_exponent, key_size, backend: generate(public_exponent, 2048, backend))})
    replace_endpoints()
    names = (("twisted.internet.test.test_endpoints", False), ("twisted.protocols.test.test_tls", False), ("twisted.test.test_sslverify", False), ("twisted.test.test_ssl", True),
             ("twisted.internet.test.test_tls", True))
    for name, reactors in names:
        module = importlib.import_module(name)
        replace(module)
        yield module, reactors


def tests_of(module):
    loader = unittest.TestLoader()
    for suite in loader.loadTestsFromModule(module):
        for test in suite:
            if type(test).__module__.startswith("twisted.") and not test.id().endswith(".runTest"):
                yield ".".join(test.id().split(".")[-2:]), test


def run(test, result, reactors):
    global now
    if not reactors:
        now = Engine(Now(), devices=())
    try:
        test.run(result)
    finally:
        if now is not None:
            now.close()
            now = None


def chosen():
    for module, reactors in load():
        for name, test in tests_of(module):
            some, kind = SOME.get(module.__name__, ("",)), name.split(".")[0]
            if sys.argv[1:] and not any(word in name for word in sys.argv[1:]) or not name.startswith(some):
                continue
            if "_" in kind and not any(reactor in kind for reactor in REACTORS):
                continue
            yield name, test, functools.partial(run, reactors=reactors)


def main():
    os.chdir(rig.WORK)
    judge(chosen(), lambda name: CANNOT.get(name) or CANNOT.get(name.split(".")[0]) or CANNOT.get(name.split(".")[1]))


if __name__ == "__main__":
    main()
