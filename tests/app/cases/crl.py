# SPDX-License-Identifier: Apache-2.0
"""CRLs: --crl, --crl-check. With openssl to make them, and clients and servers that are revoked."""

import os
import signal

from cases.files import GET
from cases.keyserver import KeyServer, asking, made
from kit import Failure, check, until


def crl(world, name, *revoked, issuer="ca", days="1"):
    """A CRL of that issuer, with these certificates in it."""
    pki = world.pki
    home = os.path.join(world.work, f"{name}.d")
    os.makedirs(home, exist_ok=True)
    out, conf, index = os.path.join(world.work, f"{name}.crl"), os.path.join(home, "conf"), os.path.join(home, "index.txt")
    with open(conf, "w") as file:
        file.write(f"[ca]\ndefault_ca = a\n[a]\ndatabase = {index}\ndefault_md = sha256\n")
    open(index, "w").close()
    common = ["-config", conf, "-cert", pki.path(issuer), "-keyfile", pki.path(issuer, "key")]
    for one in revoked:
        pki.openssl("ca", *common, "-revoke", pki.path(one))
    times = ["-crldays", days] if days != "past" else ["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z"]
    pki.openssl("ca", *common, "-gencrl", *times, "-out", out)
    return out


def answer(world, proxy, **how):
    """What a client gets, None: it is refused."""
    try:
        return world.client(proxy, **how).ask(GET)[0]
    except (OSError, Failure):
        return None


def test_a_client_that_is_revoked_is_refused_and_another_is_not(world):
    pki = world.pki
    pki.leaf("bob", "ca", "bob", None, "clientAuth")
    proxy = world.proxy("--client-ca", pki.path("ca"), "--crl", crl(world, "alice", "alice"))
    check(answer(world, proxy, cert="bob") == 200, proxy.err())
    check(answer(world, proxy, cert="alice") is None, "alice is revoked")
    for version in ("1.2", "1.3"):
        command = world.connect(proxy.port, "--cert", pki.path("alice"), "--key", pki.path("alice", "key"), "--tls-max", version)
        status, _ = command.finish(b"x")
        check(status != 0 and "certificate_revoked" in command.err(), command.err())


def test_a_server_that_is_revoked_is_refused(world):
    proxy = world.proxy()
    for name, revoked, words in (("none", (), None), ("it", ("server",), ("certificate_revoked", "revoked")),
                                 ("other", ("second",), None)):
        command = world.connect(proxy.port, "--crl", crl(world, name, *revoked))
        status, _ = command.finish(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        check((status == 0) == (words is None) and all(word in command.err() for word in words or ()), command.err())


def test_of_whom_no_crl_speaks_is_refused(world):
    proxy = world.proxy()
    for arguments, words in ((("--crl", crl(world, "elsewhere", issuer="other-ca")), "unable to get certificate CRL"),
                             (("--crl", crl(world, "old", days="past")), "CRL has expired"),
                             (("--crl", crl(world, "old", days="past"), "--crl-check", "leaf"), "CRL has expired")):
        command = world.connect(proxy.port, *arguments)
        status, _ = command.finish(b"")
        check(status != 0 and words in command.err() and "certificate_unknown" in command.err(), command.err())
    command = world.connect(proxy.port, "--crl", crl(world, "elsewhere", issuer="other-ca"), "--crl", crl(world, "here"),
                            "--crl-check", "leaf")
    status, _ = command.finish(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(status == 0, command.err())


def test_a_reload_takes_new_crls_and_resumes_nobody_who_is_in_them(world):
    pki = world.pki
    pki.leaf("carol", "ca", "carol", None, "clientAuth")
    proxy = world.proxy("--client-ca", pki.path("ca"), "--crl", crl(world, "changing"))
    session = os.path.join(world.work, "carol.session")

    def carol():
        command = world.connect(proxy.port, "--cert", pki.path("carol"), "--key", pki.path("carol", "key"), "--session", session)
        return command.finish(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0], command.err()

    check(carol()[0] == 0, "she is in no CRL")
    status, err = carol()
    check(status == 0 and "resumed" in err, err)
    crl(world, "changing", "carol")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: ": reloaded" in proxy.err(), proxy.err())
    status, err = carol()
    check(status != 0 and "certificate_revoked" in err, err)
    with open(os.path.join(world.work, "changing.crl"), "w") as file:
        file.write("what")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: "not reloaded" in proxy.err(), proxy.err())
    check("changing.crl: holds no CRL" in proxy.err(), proxy.err())


def test_what_is_no_crl_is_said(world):
    pki = world.pki
    for arguments, status, words in ((("--crl", pki.path("ca")), 1, "CERTIFICATE"), (("--crl", "/nonexistent"), 1, "/nonexistent"),
                                     (("--crl-check", "leaf"), 2, "--crl"), (("--crl", "x", "--crl-check", "some"), 2, "--crl-check")):
        got, _, err = world.run("connect", "127.0.0.1:1", "--ca", pki.path("ca"), *arguments)
        check(got == status and words in err, f"{arguments}: {got} {err}")
    got, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key", pki.path("server", "key"),
                            "--crl", "x")
    check(got == 2 and "--client-ca" in err, err)


def test_a_key_server_signs_for_nobody_who_is_revoked(world):
    name = made(world, "p256", f"crl-{id(world):x}")
    good, bad = (KeyServer(world, name, arguments=("--crl", crl(world, f"keys-{len(revoked)}", *revoked)))
                 for revoked in ((), ("alice",)))
    proxy = world.proxy(*asking(world, good), cert=name, key="keyless:")
    check(answer(world, proxy) == 200, proxy.err())
    status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path(name), "--key", "keyless:",
                               *asking(world, bad))
    check(status != 0, err)
