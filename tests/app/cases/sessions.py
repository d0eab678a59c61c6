# SPDX-License-Identifier: Apache-2.0
"""Tickets of `milgi proxy`, sessions of `milgi connect`: with each other and with other implementations, both roles."""

import json
import os
import socket
import ssl
import subprocess
import tempfile

from kit import check, limit, serving

from cases.connect import Server
from cases.relay import echo
from cases.workers import children, reload

GET = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def session_file(world):
    directory = tempfile.mkdtemp(dir=world.work)
    return os.path.join(directory, "session")


def connect_with(world, port, file, *arguments, **how):
    command = world.connect(port, "--json", "--session", file, *arguments, **how)
    status, _ = command.finish(b"x")
    check(status == 0, f"{status}: {command.err()}")
    return json.loads(command.err().splitlines()[0])


# --- both ours --------------------------------------------------------------------------------------------------------

def test_a_session_is_kept_in_a_file_and_resumed(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    file = session_file(world)
    first = connect_with(world, proxy.port, file)
    check(not first["resumed"] and first["peer_authenticated"], first)
    check(os.stat(file).st_mode & 0o777 == 0o600 and os.path.getsize(file) > 0, "the file")
    for _ in range(3):
        told = connect_with(world, proxy.port, file)
        check(told["resumed"] and told["peer_authenticated"] and told["signature_scheme"] is None, told)
        check(told["peer_subject"] == "CN=localhost", told)


def test_a_file_that_holds_no_session_costs_nothing(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    file = session_file(world)
    with open(file, "wb") as out:
        out.write(b"\x01nothing of the kind")
    check(not connect_with(world, proxy.port, file)["resumed"], "resumed")
    check(connect_with(world, proxy.port, file)["resumed"], "not resumed")


def test_without_tickets_there_is_nothing_to_resume(world):
    proxy = world.proxy("--backend", world.backend(echo).address, "--tickets", "0")
    file = session_file(world)
    for _ in range(2):
        check(not connect_with(world, proxy.port, file)["resumed"], "resumed")


def test_a_session_of_one_server_is_no_good_at_another(world):
    file = session_file(world)
    one = world.proxy("--backend", world.backend(echo).address)
    other = world.proxy("--backend", world.backend(echo).address)
    connect_with(world, one.port, file)
    check(not connect_with(world, other.port, file)["resumed"], "resumed")


def test_a_session_is_not_offered_when_others_are_trusted(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    file = session_file(world)
    told = connect_with(world, proxy.port, file, "--insecure", ca=None)
    check(not told["peer_authenticated"], told)
    told = connect_with(world, proxy.port, file)
    check(not told["resumed"] and told["peer_authenticated"], told)


def test_a_clients_certificate_is_remembered(world):
    proxy = world.proxy("--client-ca", world.pki.path("ca"), "--backend", world.backend(echo).address)
    file = session_file(world)
    mine = ["--cert", world.pki.path("alice"), "--key", world.pki.path("alice", "key")]
    check(not connect_with(world, proxy.port, file, *mine)["resumed"], "resumed")
    check(connect_with(world, proxy.port, file, *mine)["resumed"], "not resumed")


def test_workers_open_each_others_tickets_and_a_reload_keeps_them(world):
    proxy = world.proxy("--workers", "3", "--backend", world.backend(echo).address)
    file = session_file(world)
    connect_with(world, proxy.port, file)
    for _ in range(8):
        check(connect_with(world, proxy.port, file)["resumed"], "not resumed")
    before = children(proxy)
    reload(proxy)
    check(connect_with(world, proxy.port, file)["resumed"], "not resumed after the reload")
    check(before != children(proxy), "the workers are the same")


def test_a_reload_of_one_process_keeps_tickets(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    file = session_file(world)
    connect_with(world, proxy.port, file)
    reload(proxy)
    check(connect_with(world, proxy.port, file)["resumed"], "not resumed")


# --- others as clients ------------------------------------------------------------------------------------------------

def test_python_resumes(world):
    proxy = world.proxy()
    context = ssl.create_default_context(cafile=world.pki.path("ca"))
    session = None
    for again in range(4):
        with socket.create_connection(("127.0.0.1", proxy.port)) as tcp:
            with context.wrap_socket(tcp, server_hostname="localhost", session=session) as tls:
                check(tls.session_reused == (again > 0), f"{again}: {tls.session_reused}")
                tls.sendall(GET.encode())
                text = b""
                while True:
                    more = tls.recv(65536)
                    if not more:
                        break
                    text += more
                check((b">Resumed</th> <td>yes" in text) == (again > 0), text)
                session = tls.session


def test_python_with_another_name_does_not(world):
    proxy = world.proxy()
    context = ssl.create_default_context(cafile=world.pki.path("ca"))
    context.check_hostname = False
    session = None
    for name in ("localhost", "other.test"):
        with socket.create_connection(("127.0.0.1", proxy.port)) as tcp:
            with context.wrap_socket(tcp, server_hostname=name, session=session) as tls:
                check(not tls.session_reused, f"{name}: resumed")
                tls.sendall(GET.encode())
                while tls.recv(65536):
                    pass
                session = tls.session


def openssl_client(world, port, *arguments):
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile",
                           world.pki.path("ca"), "-verify_return_error", "-ign_eof", "-tls1_3", *arguments],
                          input=GET.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit()).stdout


def test_openssl_resumes(world):
    proxy = world.proxy()
    file = session_file(world)
    text = openssl_client(world, proxy.port, "-sess_out", file)
    check(b"New, TLSv1.3" in text, text)
    for options in ([], ["-groups", "P-384:X25519"]):
        text = openssl_client(world, proxy.port, "-sess_in", file, *options)
        check(b"Reused, TLSv1.3" in text and b"Verify return code: 0 (ok)" in text, text)
    proxy = world.proxy("--groups", "secp384r1")  # a HelloRetryRequest
    openssl_client(world, proxy.port, "-sess_out", file, "-groups", "X25519:P-384")
    text = openssl_client(world, proxy.port, "-sess_in", file, "-groups", "X25519:P-384")
    check(b"Reused, TLSv1.3" in text, text)


def check_gnutls_resumes(world, version, *arguments):
    proxy = world.proxy("--backend", world.backend(echo).address)
    text = subprocess.run(["gnutls-cli", "--resume", "--port", str(proxy.port), "--x509cafile", world.pki.path("ca"),
                           "--priority", f"NORMAL:-VERS-ALL:+VERS-{version}", *arguments, "localhost"],
                          input=b"line\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit()).stdout
    check(b"*** This is a resumed session" in text, text)


def test_gnutls_resumes(world):
    check_gnutls_resumes(world, "TLS1.3", "--waitresumption")


# --- others as servers ------------------------------------------------------------------------------------------------

def check_resumed(world, port, connect, note=""):
    file = session_file(world)
    for again in range(3):
        told = connect(world, port, file)
        check(told["resumed"] == (again > 0), f"{note} {again}: {told}")


def check_python_is_resumed(world, connect):
    reused = []

    def talk(tls):
        reused.append(tls.session_reused)
        tls.sendall(b"hello\n")
        tls.recv(16)
        tls.unwrap().close()

    check_resumed(world, Server(world, talk).port, connect)
    check(reused == [False, True, True], reused)


def test_pythons_server_is_resumed(world):
    check_python_is_resumed(world, connect_with)


def openssl_server(world, *arguments):
    return serving(b"ACCEPT", "openssl", "s_server", "-accept", "127.0.0.1:PORT", "-cert", world.pki.path("server"), "-key",
                   world.pki.path("server", "key"), "-rev", *arguments)


def test_openssls_server_is_resumed(world):
    for extra in ([], ["-groups", "P-384"], ["-num_tickets", "1", "-ciphersuites", "TLS_AES_256_GCM_SHA384"]):
        with openssl_server(world, "-tls1_3", *extra) as port:
            check_resumed(world, port, connect_with, extra)
