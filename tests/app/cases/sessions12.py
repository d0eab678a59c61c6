# SPDX-License-Identifier: Apache-2.0
"""Sessions of TLS 1.2, by ticket and by ID: `milgi proxy` and `milgi connect` with each other and with other
implementations, both roles. Those that tell what they see say that the server sent no Certificate."""

import socket
import ssl
import subprocess

from kit import check, limit, serving

from cases.relay import echo
from cases.sessions import (GET, check_gnutls_resumes, check_python_is_resumed, check_resumed, connect_with,
                            openssl_server, session_file)
from cases.workers import reload


def connect12(world, port, file, *arguments):
    told = connect_with(world, port, file, "--tls-max", "1.2", *arguments)
    check(told["protocol"] == "TLSv1.2", told)
    return told


# --- both ours --------------------------------------------------------------------------------------------------------

def test_a_session_is_kept_in_a_file_and_resumed(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    file = session_file(world)
    told = connect12(world, proxy.port, file)
    check(not told["resumed"] and told["peer_authenticated"], told)
    for _ in range(3):
        told = connect12(world, proxy.port, file)
        check(told["resumed"] and told["peer_authenticated"] and told["signature_scheme"] is None, told)
        check(told["peer_subject"] == "CN=localhost", told)


def test_without_tickets_there_is_nothing_to_resume(world):
    proxy = world.proxy("--backend", world.backend(echo).address, "--tickets", "0")
    file = session_file(world)
    for _ in range(2):
        check(not connect12(world, proxy.port, file)["resumed"], "resumed")


def test_no_version_resumes_what_the_other_has_left(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    file = session_file(world)
    connect12(world, proxy.port, file)
    check(not connect_with(world, proxy.port, file)["resumed"], "1.3 on a session of 1.2")
    check(not connect12(world, proxy.port, file)["resumed"], "1.2 on a session of 1.3")


def test_a_clients_certificate_is_remembered_and_a_reload_keeps_tickets(world):
    proxy = world.proxy("--backend", world.backend(echo).address, "--client-ca", world.pki.path("ca"))
    file = session_file(world)
    own = ["--cert", world.pki.path("alice"), "--key", world.pki.path("alice", "key")]
    connect12(world, proxy.port, file, *own)
    reload(proxy)
    told = connect12(world, proxy.port, file, *own)
    check(told["resumed"], told)


# --- others as clients ------------------------------------------------------------------------------------------------

def test_python_resumes_under_the_same_name_alone(world):
    proxy = world.proxy()
    context = ssl.create_default_context(cafile=world.pki.path("ca"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    session = None
    for again, name in enumerate(["localhost", "localhost", "localhost", "other.test"]):
        with socket.create_connection(("127.0.0.1", proxy.port)) as tcp:
            with context.wrap_socket(tcp, server_hostname=name, session=session) as tls:
                check(tls.session_reused == (again in (1, 2)), f"{again}: {tls.session_reused}")
                tls.sendall(GET.encode())
                while tls.recv(65536):
                    pass
                session = tls.session


def openssl_client(world, port, *arguments):
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile",
                           world.pki.path("ca"), "-verify_return_error", "-ign_eof", "-tls1_2", "-msg", *arguments],
                          input=GET.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit()).stdout


def test_openssl_resumes(world):
    proxy = world.proxy()
    file = session_file(world)
    text = openssl_client(world, proxy.port, "-sess_out", file)
    check(b"New, TLSv1.2" in text and b"], Certificate" in text and b"NewSessionTicket" in text, text)
    for _ in range(2):
        text = openssl_client(world, proxy.port, "-sess_in", file)
        check(b"Reused, TLSv1.2" in text and b"], Certificate" not in text, text)
    text = openssl_client(world, proxy.port, "-sess_in", file, "-servername", "other.test")
    check(b"New, TLSv1.2" in text and b"], Certificate" in text, text)


class Client:
    """Python's, with what it has of its last connection."""

    def __init__(self, world, proxy, tickets=False):
        self.port, self.session = proxy.port, None
        self.context = ssl.create_default_context(cafile=world.pki.path("ca"))
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        if not tickets:
            self.context.options |= ssl.OP_NO_TICKET

    def is_resumed(self):
        with socket.create_connection(("127.0.0.1", self.port)) as tcp:
            with self.context.wrap_socket(tcp, server_hostname="localhost", session=self.session) as tls:
                tls.sendall(GET.encode())
                while tls.recv(65536):
                    pass
                self.session = tls.session
                return tls.session_reused


def test_a_client_without_tickets_is_resumed_by_its_sessions_id(world):
    proxy = world.proxy()
    client = Client(world, proxy)
    check(not client.is_resumed() and client.session.id and not client.session.has_ticket, "the first")
    check(client.is_resumed() and client.is_resumed(), "not resumed")
    reload(proxy)
    check(client.is_resumed(), "not after a reload")


def test_openssl_without_tickets_reconnects_on_its_session(world):
    text = openssl_client(world, world.proxy().port, "-no_ticket", "-reconnect")
    check(text.count(b"New, TLSv1.2") == 1 and text.count(b"Reused, TLSv1.2") == 5 and b"NewSessionTicket" not in text, text)


def test_as_many_sessions_are_kept_as_there_is_room_for(world):
    proxy = world.proxy("--sessions", "2")
    clients = [Client(world, proxy) for _ in range(3)]
    check(not any(client.is_resumed() for client in clients), "the first time")
    check([client.is_resumed() for client in reversed(clients)] == [True, True, False], "which are there")


def test_no_session_is_kept_when_none_is_wanted(world):
    for arguments in (["--sessions", "0"], ["--tickets", "0"]):
        client = Client(world, world.proxy(*arguments))
        check(not client.is_resumed() and not client.session.id, arguments)


def test_sessions_are_kept_without_tickets_where_that_is_wanted(world):
    client = Client(world, world.proxy("--tickets", "0", "--sessions", "8"), tickets=True)
    check(not client.is_resumed() and not client.session.has_ticket and client.is_resumed(), "not resumed")


def test_gnutls_resumes(world):
    check_gnutls_resumes(world, "TLS1.2")


# --- others as servers ------------------------------------------------------------------------------------------------

def test_pythons_server_is_resumed(world):
    check_python_is_resumed(world, connect12)


def test_openssls_server_is_resumed_by_ticket_and_by_id(world):
    for extra in ([], ["-no_ticket"], ["-cipher", "ECDHE+CHACHA20"], ["-no_ticket", "-cipher", "ECDHE+AES256"]):
        with openssl_server(world, "-tls1_2", *extra) as port:
            check_resumed(world, port, connect12, extra)


def test_gnutlss_server_is_resumed(world):
    for extra in ([], ["--noticket"]):
        with serving(b"listening", "gnutls-serv", "--port", "PORT", "--x509certfile", world.pki.path("server"), "--x509keyfile",
                     world.pki.path("server", "key"), "--echo", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2", *extra) as port:
            check_resumed(world, port, connect12, extra)
