# SPDX-License-Identifier: Apache-2.0
"""What is tried with milgi as the client: `milgi connect` and a peer as its server. One function per kind of case."""

import hashlib
import os
import re

from .as_server import SMALL, client_identity, last_words, succeed
from .backends import Echo, Responder
from .clients import HOST
from .names import GROUPS, SUITES, json_line, plain, same_group, suite_12
from .proc import Failure
from .servers import SERVERS
from .tap import Tap

# what a message about each refusal must speak of
SAYS = {
    "wrong-name": r"(host)?name.*mismatch|not valid for|no.*name",
    "untrusted": r"trust|issuer|authority|\bca\b|self.?signed",
    "no-intermediate": r"trust|issuer|authority|chain",
    "expired": r"expired",
    "not-yet-valid": r"not.?yet.?valid|not.?before",
    "weak-key": r"weak|too (small|short)",
    "wrong-purpose": r"purpose|usage",
    "truncate": r"close.?notify|truncat|unexpected.*(end|eof)|without",
    "certificate-required": r"certificate.?required",
    "bad-client": r"unknown.?ca|bad.?certificate|certificate.?unknown|unsupported.?certificate|decrypt.?error",
    "alpn": r"no.?application.?protocol",
    "version": r"protocol.?version|unsupported.?(protocol|version)|TLS ?1\.2",
}


CURVES = {"p256": "secp256r1", "p384": "secp384r1", "p521": "secp521r1"}


def options_for(trial, peer, call):
    """Tells the server what to take where it can be told, and milgi otherwise; returns milgi's options."""
    case, options = trial.case, []
    call.expect_suite = SUITES[case.suite]
    if call.tls12:
        call.expect_suite = suite_12(case.suite, case.cert)
        options += ["--suites", f"{SUITES[case.suite]},{call.expect_suite}", *([] if peer.told_12 else ["--tls-max", "1.2"])]
    elif "suite" in peer.can:
        call.suite = case.suite
    else:
        options += ["--suites", SUITES[case.suite]]
    if case.group == "hrr":
        options += ["--groups", f"{GROUPS['x25519']},{GROUPS['p384']}"]
        call.groups = ["p384"]
    elif call.tls12:
        # groups are those of certificates, too, the client's among them
        curves = [CURVES[kind] for kind in (case.cert, client_identity(peer, case)[7:]) if kind in CURVES]
        options += ["--groups", ",".join(dict.fromkeys([GROUPS[case.group], *curves]))]
    else:
        options += ["--groups", GROUPS[case.group]]
    call.expect_group = "p384" if case.group == "hrr" else case.group
    if call.tls12 and peer.name == "selfserv":
        call.expect_group = None  # it takes one as strong as its key, whatever the client likes best
    call.wire_group = call.expect_group
    return options


class Session:
    """A server peer, `milgi connect` to it, and what both must say of the connection. |limit|: after so many bytes the
    echo behind a peer that has one ends the connection."""

    LINE = b"0 a line there and back\n"

    def __init__(self, trial, cert=None, limit=len(LINE), options=(), name=HOST, ca=None, **settings):
        self.trial = trial
        self.peer = SERVERS[trial.case.peer]
        self.call = trial.call(**settings)
        trial.identify(self.call, cert or trial.case.cert)
        self.mine = options_for(trial, self.peer, self.call)
        if self.peer.needs_backend:
            self.call.backend_port = trial.backend(Echo(limit)).port
        if self.call.staple and self.peer.staple_by_http:
            self.call.responder_port = trial.backend(Responder(self.call.staple)).port
        self.server = trial.start_server(self.peer, self.call)
        port = self.call.port
        self.tap = trial.backend(Tap(port)) if trial.case.tapped else None
        self.port = self.tap.port if self.tap else port
        self.milgi = trial.connect(self.port, name, *self.mine, *options, ca=ca)

    def talk(self, line=LINE):
        """A line there and back, or a request and its answer."""
        if self.peer.talk == "get":
            self.milgi.send(b"GET / HTTP/1.0\r\n\r\n")
            wanted = b"200 OK"
        else:
            self.milgi.send(line)
            wanted = line
        if not self.milgi.out.wait(lambda out: wanted in out.head, self.trial.deadline, f"{wanted!r} from the server"):
            raise Failure(f"milgi connect ended without the server's answer: {last_words(self.milgi)}")

    def end(self, input_ends_itself=False, more=False):
        """milgi ends the session in order; its report and the server's are compared with the case. |more|: another
        connection follows, after which the server is asked."""
        if self.peer.ends_first:
            self.server.err.wait(lambda out: self.peer.ends_first in out.head, self.trial.deadline, "the server's end")
        if not input_ends_itself:
            self.milgi.end_input()
        succeed(self.milgi, self.trial)
        self.check_json()
        if more:
            return
        if self.peer.picks_port:
            self.server.wait(self.trial.deadline)
        self.peer.check_report(self.server, self.call)
        if self.tap and self.call.wire_group:
            self.tap.check_group(self.call.wire_group)
        if self.trial.case.group == "hrr":
            self.tap.check_retry()

    def check_json(self):
        told, call = json_line(self.milgi.err.text()), self.call
        if ("1.2" if call.tls12 else "1.3") not in str(told.get("protocol")):
            raise Failure(f"milgi says protocol {told.get('protocol')}")
        if told.get("suite") != call.expect_suite:
            raise Failure(f"milgi says suite {told.get('suite')}, not {call.expect_suite}")
        if call.expect_group and not same_group(call.expect_group, str(told.get("group"))):
            raise Failure(f"milgi says group {told.get('group')}, not {call.expect_group}")
        if not plain(str(told.get("signature_scheme"))):
            raise Failure("milgi says no signature scheme")
        if call.expect_alpn is not None and told.get("alpn") != call.expect_alpn:
            raise Failure(f"milgi says ALPN {told.get('alpn')!r}, not {call.expect_alpn!r}")
        if "hello_retry" in told and bool(told["hello_retry"]) != (self.trial.case.group == "hrr"):
            raise Failure(f"milgi says hello_retry {told['hello_retry']}")

    def fail(self, says, delivered=False):
        """milgi ends with an error status and a message that names the reason."""
        status = self.milgi.wait(self.trial.deadline)
        text = "\n".join(line for line in self.milgi.err.text().splitlines() if not line.startswith("{"))
        if status == 0:
            raise Failure("milgi connect ended with 0 although it had to refuse")
        if status < 0 or status > 127:
            raise Failure(f"milgi connect died by signal: {status}")
        why = self.peer.says.get(self.trial.case.kind, SAYS[says])
        if not re.search(why, text, re.I):
            raise Failure(f"milgi's message does not say why ({why}): {last_words(self.milgi)}")
        if not delivered and self.milgi.out.count:
            raise Failure(f"milgi delivered {self.milgi.out.count} bytes of a session it refused")


def talk(trial):
    session = Session(trial)
    session.talk()
    session.end()


def talk_12(trial):
    """Both versions are offered; the server speaks TLS 1.2 alone."""
    session = Session(trial, tls12=True)
    session.talk()
    session.end()


def bulk(trial):
    size, (path, digest) = trial.shared.bulk, trial.payload(trial.shared.bulk)
    if SERVERS[trial.case.peer].talk == "get":
        return download(trial)
    session = Session(trial, limit=size)
    milgi = session.milgi
    half = "half-client" in session.peer.can
    milgi.send_file(path, 1 << 18, milgi.end_input if half else None)
    milgi.out.wait(lambda out: out.count >= size, trial.deadline, f"{size} bytes back ({milgi.out.count} came)")
    session.end(half)
    if milgi.out.count != size or milgi.out.digest() != digest:
        raise Failure(f"{milgi.out.count} of {size} bytes came back, SHA-256 "
                      + ("equal" if milgi.out.digest() == digest else "different"))


def download(trial):
    """selfserv takes no large request, but sends any number of blocks of all 256 bytes behind the request's echo."""
    request, blocks = b"GET / HTTP/1.0\r\n\r\n", trial.shared.bulk >> 14
    body = request + bytes(range(256)) * 64 * blocks
    if trial.sabotage:
        body = body[:-1] + b"?"
    session = Session(trial, blocks=blocks)
    milgi = session.milgi
    milgi.out.skip_head()
    milgi.send(request)
    milgi.out.wait(lambda out: out.count >= len(body), trial.deadline, f"{len(body)} bytes ({milgi.out.count} came)")
    session.end()
    if milgi.out.count != len(body) or milgi.out.digest() != hashlib.sha256(body).hexdigest():
        raise Failure(f"{milgi.out.count} of {len(body)} bytes came, or others")


def half_client(trial):
    """milgi ends its direction; the answer that the server begins only then must reach stdout."""
    path, digest = trial.payload(SMALL)
    session = Session(trial, part="collect")
    session.milgi.send_file(path, None, session.milgi.end_input)
    session.end(True)
    wanted = f"collected {SMALL} {digest}\n"
    if session.milgi.out.text() != wanted:
        raise Failure(f"after its close_notify milgi got {session.milgi.out.text()[:120]!r}, not {wanted!r}")


def half_server(trial):
    """The server ends its direction at once; what milgi sends afterwards must still reach it."""
    path, digest = trial.payload(SMALL)
    session = Session(trial, part="greet")
    milgi = session.milgi
    milgi.out.wait(lambda out: b"greetings\n" in out.head, trial.deadline, "the server's greeting")
    milgi.send_file(path, None, milgi.end_input)
    session.end(True)
    report = session.server.report()
    if (int(report.get("bytes", 0)), report.get("sha256")) != (SMALL, digest):
        raise Failure("the server did not get what milgi sent after the server's close_notify")


def truncate(trial):
    """TCP ends in order but without close_notify: the Go peer does it by itself, the others are killed."""
    if trial.case.peer == "go":
        session = Session(trial, part="greet" if trial.sabotage else "truncate")
        session.milgi.out.wait(lambda out: b"greetings\n" in out.head, trial.deadline, "the server's greeting")
        session.milgi.end_input()
    else:
        session = Session(trial, limit=len(Session.LINE) if trial.sabotage else None)
        session.talk()
        if trial.sabotage:
            session.milgi.end_input()
        else:
            session.server.kill()
            session.milgi.out.wait(lambda out: out.ended, trial.deadline, "milgi to notice the end")
            session.milgi.end_input()
    session.fail("truncate", delivered=True)


def auth(trial):
    identity = client_identity(SERVERS[trial.case.peer], trial.case)
    session = Session(trial, client_auth="required", options=client_options(trial, identity), expect_client="alice")
    session.talk()
    session.end()


def auth_12(trial):
    identity = client_identity(SERVERS[trial.case.peer], trial.case)
    session = Session(trial, client_auth="required", options=client_options(trial, identity), tls12=True, expect_client="alice")
    session.talk()
    session.end()


def resumed(auth=False, **settings):
    """The second connection has no certificate and no signature."""
    def run(trial):
        options, identity = ["--session", os.path.join(trial.directory, "session")], None
        if auth:
            identity = client_identity(SERVERS[trial.case.peer], trial.case)
            options += client_options(trial, identity)
            settings.update(client_auth="required", expect_client="alice")
        session = Session(trial, options=options, again=True, **settings)
        session.talk()
        session.end(more=True)
        if session.call.tls12:
            session.call.expect_group = None  # there is no key exchange
        session.milgi = trial.connect(session.port, HOST, *session.mine, *options)
        session.talk()
        session.end()
        told = json_line(session.milgi.err.text())
        if not told.get("resumed") or told.get("signature_scheme"):
            raise Failure(f"milgi says resumed {told.get('resumed')}, signature scheme {told.get('signature_scheme')}")
        length = trial.pki.leaf_length
        leaf = length(trial.case.cert)
        session.tap.check_resumed(not session.call.tls12, None if identity and session.peer.tickets_first else leaf,
                                  length(identity) if identity else None)
    return run


def staple(**settings):
    def run(trial):
        response = trial.pki.staple(trial.case.cert)
        session = Session(trial, options=["--staple", "require"], staple=response, **settings)
        session.talk()
        session.end()
        session.tap.check_staple(not session.call.tls12, trial.pki.leaf_length(trial.case.cert) + os.path.getsize(response))
    return run


def client_options(trial, identity):
    return trial.identity(identity)


def auth_optional_none(trial):
    session = Session(trial, client_auth="optional")
    session.talk()
    session.end()


def auth_missing(trial):
    options = client_options(trial, "client-p256") if trial.sabotage else []
    refused_by_server(Session(trial, client_auth="required", options=options), "certificate-required")


def auth_wrong_ca(trial):
    options = client_options(trial, "client-p256" if trial.sabotage else "client-rogue")
    refused_by_server(Session(trial, client_auth="required", options=options), "bad-client")


def refused_by_server(session, says):
    """The server's alert comes after milgi's handshake is done; nothing must be taken for a good session."""
    if session.trial.sabotage:
        session.talk()
    else:
        session.milgi.out.wait(lambda out: out.ended, session.trial.deadline, "the server's alert to end the session")
    session.milgi.end_input()
    session.fail(says)


def alpn(trial):
    session = Session(trial, alpn=["milgi-test/2", "http/1.1"], options=["--alpn", "nobody/9,http/1.1"],
                      expect_alpn="http/1.1")
    session.talk()
    session.end()


def alpn_mismatch(trial):
    offered = "http/1.1" if trial.sabotage else "nobody/9"
    session = Session(trial, alpn=["milgi-test/2", "http/1.1"], options=["--alpn", offered])
    session.milgi.end_input()
    session.fail("alpn")


def refusal(cert):
    """A server certificate that must not be accepted."""
    def run(trial):
        session = Session(trial, cert="p256" if trial.sabotage else cert)
        session.milgi.end_input()
        session.fail(cert)
    return run


def name_override(trial):
    """Without --name the address is what is verified: the certificates carry it too."""
    session = Session(trial, name=None)
    session.talk()
    session.end()


def insecure(trial):
    """--insecure takes what would be refused, by one loudly named option."""
    session = Session(trial, cert="untrusted", options=[] if trial.sabotage else ["--insecure"], ca="ca")
    session.talk()
    session.end()


def tls12(trial):
    session = Session(trial, tls12=not trial.sabotage, options=["--tls-min", "1.3"])
    session.milgi.end_input()
    session.fail("version")


def keyupdate(trial):
    if trial.case.peer == "java":
        return keyupdate_by_volume(trial)
    if trial.case.peer == "gnutls-serv":
        return keyupdate_on_request(trial)
    session = Session(trial, keyupdate=True)
    milgi, server = session.milgi, session.server

    def cross(sender, receiver, line):
        sender.send(line)
        if not receiver.out.wait(lambda out: line in out.head, trial.deadline, f"{line!r} to cross"):
            raise Failure(f"the session ended: {last_words(milgi)}")
    cross(milgi, server, b"0 from milgi\n")    # s_server must not find input before its handshake is done
    for number in range(1, 9):
        cross(server, milgi, b"%d from the server\n" % number)
        server.send(session.peer.keyupdate_commands[number % 2])
        cross(milgi, server, b"%d from milgi\n" % number)   # by then s_server has done its command
    cross(server, milgi, b"9 from the server\n")
    cross(milgi, server, b"9 from milgi\n")
    session.end()
    done = server.out.head.count(session.peer.keyupdate_sign)
    if done != 8:
        raise Failure(f"s_server tells of {done} KeyUpdates, not of 8")


def keyupdate_by_milgi(trial):
    """milgi renews its keys and asks for new ones at times; s_server's trace tells that they came. Not often: GnuTLS
    ends a connection that has more than eight in a second."""
    size = 4 << 20
    path, digest = trial.payload(size)
    messages = os.path.join(trial.directory, "messages") if trial.case.peer == "s_server" else ""
    session = Session(trial, limit=size, options=["--update-keys", "100"], messages=messages)
    milgi = session.milgi
    half = "half-client" in session.peer.can
    milgi.send_file(path, 1 << 18, milgi.end_input if half else None)
    milgi.out.wait(lambda out: out.count >= size, trial.deadline, f"{size} bytes back ({milgi.out.count} came)")
    session.end(half)
    if milgi.out.digest() != digest:
        raise Failure(f"{milgi.out.count} of {size} bytes came back, or others")
    if messages:
        with open(messages) as trace:
            seen = sum("KeyUpdate" in line and line.startswith("<<<") for line in trace)
        if not seen:
            raise Failure("s_server saw no KeyUpdate")


def keyupdate_by_volume(trial):
    """JSSE renews its keys, and asks for new ones, every MiB in either direction. milgi ends only when all is back:
    JSSE breaks off when it finds close_notify before the new keys that it asked for."""
    size = 8 << 20
    path, digest = trial.payload(size)
    session = Session(trial, keyupdate=True)
    session.milgi.send_file(path, 1 << 18)
    session.milgi.out.wait(lambda out: out.count >= size, trial.deadline, f"{size} bytes back")
    session.end()
    if session.milgi.out.digest() != digest:
        raise Failure(f"{session.milgi.out.count} of {size} bytes came back, or others")


def keyupdate_on_request(trial):
    session = Session(trial)
    for number in range(4):
        session.talk(b"%d before\n" % number)
        session.milgi.send(session.peer.keyupdate_line)
        session.milgi.out.wait(lambda out, n=number: out.head.count(session.peer.keyupdate_sign) > n, trial.deadline,
                               "gnutls-serv to send KeyUpdate")
        session.talk(b"%d after a KeyUpdate\n" % number)
    session.end()
