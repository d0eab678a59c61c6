# SPDX-License-Identifier: Apache-2.0
"""OCSP responses beside certificates, and who is refused by strict ALPN and SNI: with openssl at the other end."""

import os
import signal
import subprocess

from kit import check, until


def response(world, name, status="V"):
    """By the authority itself, of the server's certificate."""
    pki = world.pki
    done = subprocess.run(["openssl", "x509", "-in", pki.path("server"), "-noout", "-serial"], capture_output=True, text=True,
                          timeout=60)
    serial = done.stdout.strip().split("=")[1]
    index, out = os.path.join(world.work, "index"), os.path.join(world.work, name)
    revoked = "250101000000Z" if status == "R" else ""
    with open(index, "w") as file:
        file.write(f"{status}\t401231235959Z\t{revoked}\t{serial}\tunknown\t/CN=localhost\n")
    pki.openssl("ocsp", "-index", index, "-rsigner", pki.path("ca"), "-rkey", pki.path("ca", "key"), "-CA", pki.path("ca"),
                "-issuer", pki.path("ca"), "-cert", pki.path("server"), "-respout", out, "-ndays", "1")
    return out


def asked(world, proxy):
    """What openssl is told of the status."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-CAfile", world.pki.path("ca"),
                           "-status", "-servername", "localhost"], input=b"", capture_output=True, timeout=60)
    return done.stdout.decode("utf-8", "replace")


def test_a_proxy_staples_what_it_is_given(world):
    proxy = world.proxy("--ocsp", response(world, "good"))
    text = asked(world, proxy)
    check("OCSP Response Status: successful" in text and "Cert Status: good" in text, text[-800:])
    for how in ("ask", "require"):
        status, _ = world.connect(proxy.port, "--staple", how).finish(b"")
        check(status == 0, how)
    response(world, "good", "R")
    os.kill(proxy.process.pid, signal.SIGHUP)
    until(lambda: "Cert Status: revoked" in asked(world, proxy), "a reload reads it anew")
    command = world.connect(proxy.port, "--staple", "ask")
    status, _ = command.finish(b"")
    check(status != 0 and "certificate_revoked" in command.err(), command.err())


def test_without_a_staple_only_who_requires_one_complains(world):
    proxy = world.proxy()
    check("OCSP response: no response sent" in asked(world, proxy), "none is sent")
    status, _ = world.connect(proxy.port, "--staple", "ask").finish(b"")
    check(status == 0, "it goes on")
    command = world.connect(proxy.port, "--staple", "require")
    status, _ = command.finish(b"")
    check(status != 0 and "bad_certificate_status_response" in command.err(), command.err())


def test_a_staple_that_is_none_is_no_staple(world):
    with open(os.path.join(world.work, "what"), "w") as file:
        file.write("what")
    status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path("server"), "--key",
                               world.pki.path("server", "key"), "--ocsp", os.path.join(world.work, "what"))
    check(status != 0 and "OCSP" in err, err)
    status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--ocsp", "a", "--ocsp", "b", "--cert",
                               world.pki.path("server"), "--key", world.pki.path("server", "key"))
    check(status == 2 and "--ocsp" in err, err)


def test_strict_ones_are_told_what_is_missing(world):
    proxy = world.proxy("--alpn", "http/1.1", "--strict-alpn", "--strict-sni")
    status, _ = world.connect(proxy.port, "--name", "localhost", "--alpn", "http/1.1", "--strict-alpn").finish(b"")
    check(status == 0, "what it wants")
    for arguments, alert in ((("--name", "localhost"), "no_application_protocol"),
                             (("--alpn", "http/1.1"), "missing_extension"),
                             (("--alpn", "http/1.1", "--name", "other.test"), "unrecognized_name")):
        command = world.connect(proxy.port, *arguments)
        status, _ = command.finish(b"")
        check(status != 0 and alert in command.err(), command.err())
