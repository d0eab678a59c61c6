# SPDX-License-Identifier: Apache-2.0
"""External PSKs of the command: with itself, with OpenSSL and GnuTLS, both roles, and what --psk-file may hold."""

import json
import os
import subprocess
import tempfile

from kit import check, limit, serving

from cases.arguments import refuses
from cases.relay import echo
from cases.workers import reload

SECRET = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"
OTHER = "ff" * 32
GET = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def psk_file(world, *lines):
    path = os.path.join(tempfile.mkdtemp(dir=world.work), "psk")
    with open(path, "w") as out:
        out.write("".join(line + "\n" for line in lines))
    return path


def proxy_of(world, lines, *arguments, **how):
    return world.proxy("--psk-file", psk_file(world, *lines), *arguments, **how)


def bare_proxy(world, lines, *arguments):
    """A proxy without a certificate."""
    return proxy_of(world, lines, *arguments, cert=None)


def connect(world, port, lines, *arguments, status=0, ca="ca"):
    command = world.connect(port, "--json", "--psk-file", psk_file(world, *lines), *arguments, ca=ca)
    got, _ = command.finish(b"x")
    check(got == status, f"{got}: {command.err()}")
    return json.loads([line for line in command.err().splitlines() if line.startswith("{")][0])


# --- both ours --------------------------------------------------------------------------------------------------------

def test_a_shared_secret_is_enough(world):
    proxy = bare_proxy(world, [f"other:{OTHER}", "", "# of alice", f"alice:{SECRET}"], "--backend", world.backend(echo).address)
    told = connect(world, proxy.port, [f"alice:{SECRET}"], "--psk-only", ca=None)
    check(told["psk_identity"] == "alice" and told["signature_scheme"] is None and told["peer_subject"] is None, told)
    check(not told["peer_authenticated"] and not told["resumed"] and told["group"], told)
    told = connect(world, proxy.port, [f"alice:{OTHER}"], "--psk-only", ca=None, status=1)
    check(told["alert"] == "decrypt_error" and told["alert_from_peer"], told)
    told = connect(world, proxy.port, [f"bob:{SECRET}"], "--psk-only", ca=None, status=1)
    check(told["alert"] == "decrypt_error", told)
    told = connect(world, proxy.port, [f"alice:{SECRET}"], "--psk-only", "--groups", "x25519,secp256r1", ca=None)
    check(told["psk_identity"] == "alice" and told["group"] == "x25519", told)


def test_certificates_are_beside_it(world):
    proxy = proxy_of(world, [f"alice:{SECRET}:sha384"], "--backend", world.backend(echo).address)
    told = connect(world, proxy.port, [f"alice:{SECRET}:sha384"])
    check(told["psk_identity"] == "alice" and told["suite"] == "TLS_AES_256_GCM_SHA384", told)
    told = connect(world, proxy.port, [f"bob:{SECRET}"])
    check(told["psk_identity"] is None and told["peer_authenticated"], told)
    told = connect(world, proxy.port, [f"bob:{SECRET}"], "--psk-only", ca=None, status=1)
    check(told["alert"] == "handshake_failure" and not told["alert_from_peer"], told)


def test_without_a_key_exchange_only_if_told(world):
    lines = [f"alice:{SECRET}"]
    for words, told_of in ((("too", "only"), True), (("only", "too"), True), ((None, "only"), False)):
        options = ["--psk-ke", words[0]] if words[0] else []
        proxy = proxy_of(world, lines, *options, "--backend", world.backend(echo).address)
        told = connect(world, proxy.port, lines, "--psk-ke", words[1])
        check((told["psk_identity"] == "alice") == told_of and (told["group"] is None) == told_of, told)


def test_a_reload_reads_the_file_anew(world):
    file = psk_file(world, f"alice:{SECRET}")
    proxy = world.proxy("--psk-file", file, "--backend", world.backend(echo).address)
    check(connect(world, proxy.port, [f"alice:{SECRET}"])["psk_identity"] == "alice", "before")
    with open(file, "w") as out:
        out.write(f"bob:{SECRET}\n")
    reload(proxy)
    check(connect(world, proxy.port, [f"alice:{SECRET}"])["psk_identity"] is None, "after")
    check(connect(world, proxy.port, [f"bob:{SECRET}"])["psk_identity"] == "bob", "after")


def test_a_session_on_a_secret_is_resumed_as_long_as_both_have_it(world):
    file = psk_file(world, f"alice:{SECRET}")
    proxy = world.proxy("--psk-file", file, "--backend", world.backend(echo).address)
    session = ["--session", os.path.join(tempfile.mkdtemp(dir=world.work), "session")]
    for again in range(3):
        told = connect(world, proxy.port, [f"alice:{SECRET}"], "--psk-only", *session, ca=None)
        check(told["resumed"] == (again > 0) and told["psk_identity"] == "alice", told)
    with open(file, "w") as out:
        out.write(f"alice:{OTHER}\n")
    reload(proxy)
    told = connect(world, proxy.port, [f"alice:{OTHER}"], "--psk-only", *session, ca=None)
    check(not told["resumed"] and told["psk_identity"] == "alice", told)


def test_a_certificate_that_is_demanded_is_asked_for_all_the_same(world):
    proxy = proxy_of(world, [f"alice:{SECRET}"], "--client-ca", world.pki.path("ca"), "--backend", world.backend(echo).address)
    mine = ["--cert", world.pki.path("alice"), "--key", world.pki.path("alice", "key")]
    check(connect(world, proxy.port, [f"alice:{SECRET}"], *mine)["psk_identity"] is None, "a PSK")


def test_what_a_file_holds_is_checked(world):
    server = ["--cert", world.pki.path("server"), "--key", world.pki.path("server", "key"), "--listen", "127.0.0.1:0"]
    for line, words in (("alice", "IDENTITY:SECRET"), (f":{SECRET}", "IDENTITY:SECRET"), ("alice:xyz", "hexadecimal"),
                        ("alice:abc", "hexadecimal"), ("alice:0011", "too short"), (f"alice:{SECRET}:md5", "sha384"),
                        ("# nothing", "no PSK"), (f"alice:{SECRET}\nalice:{OTHER}", "two PSKs have one identity"),
                        (f"alice:{SECRET}\0", "no text")):
        file = psk_file(world, line)
        refuses(world, ["proxy", *server, "--psk-file", file], 1, words)
    refuses(world, ["proxy", *server, "--psk-file", "/nowhere"], 1, "/nowhere")
    refuses(world, ["proxy", *server, "--psk-ke", "no"], 2, "too or only")
    refuses(world, ["connect", "localhost:1", "--psk-only"], 2, "--psk-file")
    five = psk_file(world, *(f"{i}:{SECRET}" for i in range(5)))
    refuses(world, ["connect", "localhost:1", "--psk-file", five], 1, "line 5")


# --- others as clients ------------------------------------------------------------------------------------------------

def openssl_client(port, *arguments):
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", "-tls1_3", "-psk_identity",
                           "alice", "-psk", SECRET, "-msg", *arguments], input=GET.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=limit()).stdout


def test_openssl_is_a_client(world):
    for groups, retry in (("X25519:P-384", False), ("P-384:X25519", True)):
        proxy = bare_proxy(world, [f"alice:{SECRET}"], "--groups", "x25519,secp384r1")
        if retry:
            proxy = bare_proxy(world, [f"alice:{SECRET}"], "--groups", "x25519")
        text = openssl_client(proxy.port, "-groups", groups)
        check(b"Reused, TLSv1.3" in text and b"External PSK</th> <td>alice" in text, text)
        check(b"], Certificate" not in text and text.count(b"], ClientHello") == 1 + retry, text)
    proxy = bare_proxy(world, [f"alice:{SECRET}"], "--psk-ke", "only")
    text = openssl_client(proxy.port, "-allow_no_dhe_kex")
    check(b"External PSK</th> <td>alice" in text and b">Group</th> <td>none" in text, text)
    proxy = bare_proxy(world, [f"alice:{OTHER}"])
    check(b"decrypt error" in openssl_client(proxy.port), "another secret")


def test_gnutls_is_a_client(world):
    for groups in ("+GROUP-X25519", "+GROUP-SECP384R1:+GROUP-X25519"):
        proxy = bare_proxy(world, [f"alice:{SECRET}"], "--groups", "x25519")
        text = subprocess.run(["gnutls-cli", "--port", str(proxy.port), "--pskusername", "alice", "--pskkey", SECRET,
                               "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+DHE-PSK:+PSK:+ECDHE-PSK:-GROUP-ALL:{groups}",
                               "localhost"], input=GET.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=limit()).stdout
        check(b"External PSK</th> <td>alice" in text, text)


# --- others as servers ------------------------------------------------------------------------------------------------

def test_openssl_is_a_server(world):
    for extra, ours, retry in (([], [], False), (["-groups", "P-384"], ["--groups", "x25519,secp384r1"], True),
                               (["-allow_no_dhe_kex"], ["--psk-ke", "only"], False)):
        with serving(b"ACCEPT", "openssl", "s_server", "-accept", "127.0.0.1:PORT", "-nocert", "-psk_identity", "alice", "-psk",
                     SECRET, "-rev", "-tls1_3", *extra) as port:
            told = connect(world, port, [f"alice:{SECRET}"], "--psk-only", *ours, ca=None)
            check(told["psk_identity"] == "alice" and told["hello_retry"] == retry, told)
            check((told["group"] is None) == ("only" in ours), told)


def test_gnutls_is_a_server(world):
    for group, retry in (("+GROUP-X25519", False), ("+GROUP-SECP384R1", True)):
        with serving(b"listening", "gnutls-serv", "--port", "PORT", "--pskpasswd", psk_file(world, f"alice:{SECRET}"), "--echo",
                     "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+DHE-PSK:+PSK:+ECDHE-PSK:-GROUP-ALL:{group}") as port:
            told = connect(world, port, [f"alice:{SECRET}"], "--psk-only", "--groups", "x25519,secp384r1", ca=None)
            check(told["psk_identity"] == "alice" and told["hello_retry"] == retry, told)
