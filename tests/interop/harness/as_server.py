# SPDX-License-Identifier: Apache-2.0
"""What is tried with milgi as the server: `milgi proxy` and a peer as its client. One function per kind of case."""

import os
import re

from .backends import Collect, Echo, Greet, HttpEcho, Pictures
from .clients import CLIENTS, HOST
from .names import ALERTS, GROUPS, SUITES, page_text, page_value, plain, same_group, suite_12
from .png import check_not_blank
from .proc import Failure
from .tap import Tap

REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
SMALL = 1 << 20
SCHEMES = {"p256": "ecdsasecp256r1sha256", "p384": "ecdsasecp384r1sha384", "p521": "ecdsasecp521r1sha512",
           "rsa2048": "rsapssrsae", "rsa3072": "rsapssrsae", "rsapss": "rsapsspss", "ed25519": "ed25519"}


def offers(trial, peer, call):
    """Tells the peer what to offer where it can be told, and milgi otherwise; returns milgi's options."""
    case, options = trial.case, []
    call.expect_suite = SUITES[case.suite]
    if call.tls12:
        call.expect_suite = suite_12(case.suite, case.cert)
        options += ["--suites", f"{SUITES[case.suite]},{call.expect_suite}"]
    elif "suite" in peer.can and not (call.again and peer.prints_both):
        call.suite = case.suite
    else:
        options += ["--suites", SUITES[case.suite]]
    # in TLS 1.2 the peer's groups are those of certificates, too: it keeps its own
    told = "group" in peer.can and case.group in peer.groups_told and not call.tls12
    if case.group == "hrr":
        options += ["--groups", GROUPS["p384"]]
        call.groups = peer.hrr_groups if told else None
    elif told:
        call.groups = [case.group]
    else:
        options += ["--groups", GROUPS[case.group]]
    call.expect_retry = case.group == "hrr" if told else None
    call.expect_group = "p384" if case.group == "hrr" else case.group
    return options


def begin(trial, certs, *options, backend=None, **settings):
    """The proxy and what the peer is to be asked; in cases that are judged by what is on the wire a tap sits between."""
    peer = CLIENTS[trial.case.peer]
    call = trial.call(**settings)
    options = [*offers(trial, peer, call), *options]
    call.port = trial.proxy(certs, *options, backend=backend)
    tap = None
    if trial.case.tapped:
        tap = trial.backend(Tap(call.port))
        call.port = tap.port
    return peer, call, tap


def check_wire(tap, call):
    """The group that was agreed on, and HelloRetryRequest, as they are on the wire."""
    if tap:
        tap.check_group(call.expect_group)
        if call.expect_retry:
            tap.check_retry()


def check_resumed(trial, tap, call, identity=None):
    """The second flights have no Certificate, of the server nor of the client."""
    tap.check_group(call.expect_group)
    length = trial.pki.leaf_length
    tap.check_resumed(not call.tls12, length(trial.case.cert), length(identity) if identity else None)


def succeed(child, trial):
    status = child.wait(trial.deadline)
    if status != 0:
        raise Failure(f"{child.name} ended with {status}: {last_words(child)}")


def last_words(child):
    lines = [line.strip() for line in child.err.text().splitlines() if line.strip() and "dbus" not in line]
    return " | ".join(lines)[-400:] or "(it said nothing)"


def load_page(trial, peer, call):
    """The peer asks for the built-in page; returns its text."""
    child = trial.start_client(peer, call)
    both = call.again and peer.prints_both
    if not peer.http:
        if not both:
            child.send(REQUEST)
        child.out.wait(lambda out: out.head.lower().count(b"</html>") > both, trial.deadline, "the page")
        child.end_input()
    succeed(child, trial)
    text = child.out.text()
    if both:
        text = text[text.lower().find("</html>") + 1:]
    if not peer.http and "200 OK" not in text or "</html>" not in text.lower():
        raise Failure(f"{child.name} got no page: {text[:200]!r} {last_words(child)}")
    peer.check_report(child, call)
    if peer.name == "chromium":
        check_not_blank(call.screenshot)
    return page_text(text)


def check_page(text, call, cert=None):
    if ("1.2" if call.tls12 else "1.3") not in page_value(text, "protocol"):
        raise Failure(f"the page's protocol is {page_value(text, 'protocol')}")
    suite = page_value(text, "(cipher[ _-]?)?suite|cipher")
    if suite != call.expect_suite:
        raise Failure(f"the page's suite is {suite}, not {call.expect_suite}")
    group = page_value(text, "group")
    if not same_group(call.expect_group, group):
        raise Failure(f"the page's group is {group}, not {call.expect_group}")
    scheme = plain(page_value(text, "signature([ _-]?scheme)?"))
    pkcs1 = call.tls12 and cert in ("rsa2048", "rsa3072") and "rsapkcs1" in scheme
    if cert and SCHEMES[cert] not in scheme and not pkcs1:
        raise Failure(f"the page's signature scheme is {scheme}, with a certificate {cert}")
    if "hello retry" in text.lower() and call.expect_retry is not None \
            and (page_value(text, "hello retry") != "no") != call.expect_retry:
        raise Failure(f"the page's hello retry is {page_value(text, 'hello retry')}")


def page(trial):
    peer, call, tap = begin(trial, [trial.case.cert])
    check_page(load_page(trial, peer, call), call, trial.case.cert)
    check_wire(tap, call)


def page_12(trial):
    """Both versions are to be had; the peer speaks TLS 1.2 alone."""
    peer, call, tap = begin(trial, [trial.case.cert], tls12=True)
    check_page(load_page(trial, peer, call), call, trial.case.cert)
    check_wire(tap, call)


def two_certs(trial):
    """Two credentials for one name: each peer is served one whose signatures it takes."""
    peer, call, _ = begin(trial, ["ed25519", "rsa2048"])
    text = load_page(trial, peer, call)
    check_page(text, call, None if "ed25519" in peer.certs else "rsa2048")


def sni(trial):
    peer, call, _ = begin(trial, ["p256", "a-test", "b-test"])
    for name, cert in (("b.test", "rsa2048"), ("a.test", "p256"), (HOST, "p256")):
        call.name = name
        call.ca = ""
        check_page(load_page(trial, peer, call), call, cert)


def bulk(trial):
    peer = CLIENTS[trial.case.peer]
    size = trial.shared.slow_bulk if peer.slow else trial.shared.bulk
    path, digest = trial.payload(size)
    kind = HttpEcho() if peer.http else Echo(size if peer.ends == "server" else None)
    backend = trial.backend(kind)
    peer, call, _ = begin(trial, [trial.case.cert], backend=backend)
    if peer.http:
        call.upload = path
    child = trial.start_client(peer, call)
    if not peer.http:
        child.send_file(path, peer.window, child.end_input if peer.ends == "half" else None)
        child.out.wait(lambda out: out.count >= size, trial.deadline, f"{size} bytes back ({child.out.count} came)")
        child.end_input()
    succeed(child, trial)
    if child.out.count != size or child.out.digest() != digest:
        raise Failure(f"{child.out.count} of {size} bytes came back, SHA-256 "
                      + ("equal" if child.out.digest() == digest else "different"))
    backend.wait_result(trial.deadline)


def half_client(trial):
    """The peer ends its direction; the answer that was begun only then must still reach it."""
    path, digest = trial.payload(SMALL)
    peer, call, _ = begin(trial, [trial.case.cert], backend=trial.backend(Collect()))
    child = trial.start_client(peer, call)
    child.send_file(path, None, child.end_input)
    succeed(child, trial)
    wanted = f"collected {SMALL} {digest}\n"
    if child.out.text() != wanted:
        raise Failure(f"after its close_notify {child.name} got {child.out.text()[:120]!r}, not {wanted!r}")


def half_server(trial):
    """milgi ends its direction at once; what the peer sends afterwards must still reach the backend."""
    path, digest = trial.payload(SMALL)
    backend = trial.backend(Greet())
    peer, call, _ = begin(trial, [trial.case.cert], backend=backend)
    child = trial.start_client(peer, call)
    child.out.wait(lambda out: b"greetings\n" in out.head, trial.deadline, "the backend's greeting")
    child.send_file(path, None, child.end_input)
    succeed(child, trial)
    if child.out.text() != "greetings\n":
        raise Failure(f"{child.name} got {child.out.text()[:120]!r}")
    if backend.wait_result(trial.deadline) != (SMALL, digest):
        raise Failure("the backend did not get what was sent after milgi's close_notify")


def begin_auth(trial, mode, **settings):
    return begin(trial, [trial.case.cert], "--client-ca", trial.pki.path("client-ca"), "--client-auth", mode, **settings)


def client_identity(peer, case):
    """A client key that goes with the case's server key, if the peer can sign with it."""
    kind = "rsa2048" if case.cert.startswith("rsa") else case.cert
    return "client-" + (kind if kind in peer.client_certs and kind != "p384" else "p256")


def auth(mode, **settings):
    def run(trial):
        peer, call, tap = begin_auth(trial, mode, **settings)
        trial.identify(call, client_identity(peer, trial.case))
        text = load_page(trial, peer, call)
        check_page(text, call, trial.case.cert)
        check_wire(tap, call)
        if "alice" not in page_value(text, "client([ _-]?certificate)?.*?"):
            raise Failure("the page does not name the client's certificate")
    return run


def resumed_by_browser(trial, **settings):
    """A page's pictures come on connections that resume the page's."""
    peer, call, tap = begin(trial, [trial.case.cert], backend=trial.backend(Pictures()), **settings)
    child = trial.start_client(peer, call)
    succeed(child, trial)
    if "pictures" not in child.out.text():
        raise Failure(f"{child.name} got no page: {child.out.text()[:200]!r}")
    check_resumed(trial, tap, call)


def resumed(auth=False, **settings):
    """The peer's second connection has no certificate and no signature; the client's of the first is remembered."""
    def run(trial):
        if trial.case.peer == "chromium":
            return resumed_by_browser(trial, **settings)
        once = trial.case.peer == "s_client"        # it keeps its session in a file
        how = {**settings, "again": not once}
        peer, call, tap = begin_auth(trial, "required", **how) if auth else begin(trial, [trial.case.cert], **how)
        identity = client_identity(peer, trial.case) if auth else None
        if auth:
            trial.identify(call, identity)
        if once:
            call.session = os.path.join(trial.directory, "session")
            check_page(load_page(trial, peer, call), call, trial.case.cert)
            call.ca = ""
        text = load_page(trial, peer, call)
        if page_value(text, "resumed") != "yes" or ("1.2" in page_value(text, "protocol")) != call.tls12:
            raise Failure(f"the page says resumed {page_value(text, 'resumed')}, protocol {page_value(text, 'protocol')}")
        if page_value(text, "(cipher[ _-]?)?suite|cipher") != call.expect_suite:
            raise Failure(f"the page's suite is not {call.expect_suite}")
        if auth and "alice" not in page_value(text, "client([ _-]?certificate)?.*?"):
            raise Failure("the page does not name the client's certificate")
        check_resumed(trial, tap, call, identity)
        return None
    return run


def staple(**settings):
    def run(trial):
        response = trial.pki.staple(trial.case.cert)
        peer, call, tap = begin(trial, [trial.case.cert], "--ocsp", response, staple=response, **settings)
        check_page(load_page(trial, peer, call), call, trial.case.cert)
        check_wire(tap, call)
        tap.check_staple(not call.tls12, trial.pki.leaf_length(trial.case.cert) + os.path.getsize(response))
    return run


def auth_optional_none(trial):
    peer, call, _ = begin_auth(trial, "optional")
    text = load_page(trial, peer, call)
    check_page(text, call, trial.case.cert)
    if re.search(r"alice|mallory", text):
        raise Failure("the page names a client certificate that nobody sent")


def refused(trial, peer, call, alert):
    """The peer must get no page, and where it speaks of alerts, the right one."""
    child = trial.start_client(peer, call)
    if not peer.http:
        child.send(REQUEST)
        child.out.wait(lambda out: b"</html>" in out.head, trial.deadline, "the connection to end")
        child.end_input()
    child.wait(trial.deadline)
    if "</html>" in child.out.text().lower() and "milgi" in child.out.text().lower():
        raise Failure(f"{child.name} was served although it had to be refused")
    if alert and not re.search(ALERTS[alert], child.err.text() + child.out.text(), re.I):
        raise Failure(f"{child.name} tells of no alert {alert}: {last_words(child)}")


def auth_missing(trial):
    can = "client-cert" in CLIENTS[trial.case.peer].can
    mode = "optional" if trial.sabotage and not can else "required"
    peer, call, _ = begin_auth(trial, mode)
    if trial.sabotage and can:
        trial.identify(call, client_identity(peer, trial.case))
    refused(trial, peer, call, peer.tells("certificate_required"))


def auth_wrong_ca(mode):
    def run(trial):
        peer, call, _ = begin_auth(trial, mode)
        trial.identify(call, client_identity(peer, trial.case) if trial.sabotage else "client-rogue")
        refused(trial, peer, call, peer.tells("bad_client_certificate"))
    return run


def alpn(trial):
    peer, call, _ = begin(trial, [trial.case.cert], "--alpn", "milgi-test/2,http/1.1", alpn=["nobody/9", "http/1.1"],
                          expect_alpn="http/1.1")
    text = load_page(trial, peer, call)
    check_page(text, call, trial.case.cert)
    if page_value(text, "alpn.*?") != "http/1.1":
        raise Failure(f"the page's ALPN is {page_value(text, 'alpn.*?')!r}")


def alpn_mismatch(trial):
    offered = ["http/1.1"] if trial.sabotage else ["nobody/9"]
    peer, call, _ = begin(trial, [trial.case.cert], "--alpn", "milgi-test/2,http/1.1", alpn=offered)
    refused(trial, peer, call, peer.tells("no_application_protocol"))


def untrusted(trial):
    """The peer refuses the certificate; the proxy lives on and serves one that trusts it."""
    peer, call, tap = begin(trial, ["p256" if trial.sabotage else "untrusted"])
    refused(trial, peer, call, None)
    if not trial.sabotage:
        call.ca = "rogue-ca"
        check_page(load_page(trial, peer, call), call)


def keyupdate(trial):
    if trial.case.peer == "java":
        return keyupdate_by_volume(trial)
    peer, call, _ = begin(trial, [trial.case.cert], backend=trial.backend(Echo()), keyupdate=True)
    child = trial.start_client(peer, call)

    def talk(line):
        child.send(line)
        if not child.out.wait(lambda out: line in out.head, trial.deadline, f"the echo of {line!r}"):
            raise Failure(f"{child.name} ended in the middle: {last_words(child)}")
    sign = peer.keyupdate_sign.encode()
    talk(b"0 before\n")
    for round_number in range(1, 9):
        command = peer.keyupdate_commands[round_number % 2]
        if not trial.sabotage:
            child.send(command)
        seen = peer.keyupdate_sign_at_end or child.err.wait(
            lambda out, n=round_number: out.head.count(sign) >= n, trial.deadline, f"{child.name} to do {command!r}")
        if not seen:
            raise Failure(f"{child.name} did not do {command!r}: {last_words(child)}")
        talk(b"%d after a KeyUpdate\n" % round_number)
    child.end_input()
    succeed(child, trial)
    if child.err.head.count(sign) < 8:
        raise Failure(f"{child.name} tells of {child.err.head.count(sign)} KeyUpdates, not of 8")


def keyupdate_by_volume(trial):
    """JSSE renews its keys, and asks for new ones, every MiB in either direction."""
    size = 8 << 20
    path, digest = trial.payload(size)
    peer, call, _ = begin(trial, [trial.case.cert], backend=trial.backend(Echo()), keyupdate=True)
    child = trial.start_client(peer, call)
    child.send_file(path, 1 << 18)
    child.out.wait(lambda out: out.count >= size, trial.deadline, f"{size} bytes back ({child.out.count} came)")
    child.end_input()
    succeed(child, trial)
    if child.out.count != size or child.out.digest() != digest:
        raise Failure(f"{child.out.count} of {size} bytes came back, or others")
    peer.check_report(child, call)


def keeps_artefact(trial, artefacts):
    """Moves a screenshot to where it outlives the case."""
    source = os.path.join(trial.directory, "screenshot.png")
    if os.path.exists(source):
        os.replace(source, os.path.join(artefacts, trial.case.name.replace("/", "_") + ".png"))
