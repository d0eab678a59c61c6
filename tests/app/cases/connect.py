# SPDX-License-Identifier: Apache-2.0
"""`milgi connect`: who is believed, what is told, and what the exit status means."""

import json
import os
import socket
import ssl
import time

from kit import Command, check, cpu_of, limit

from cases.relay import echo

NO_EXTENDED_MASTER_SECRET = 1  # of OpenSSL; the module ssl has no name for it


class Server:
    """Python's TLS server for one connection; serve(tls) decides what it does."""

    def __init__(self, world, serve, **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.pki.path("server"), world.pki.path("server", "key"))
        if options.get("maximum"):
            context.maximum_version = options["maximum"]
        if options.get("without_ems"):
            context.options |= NO_EXTENDED_MASTER_SECRET
        if options.get("client_ca"):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(world.pki.path(options["client_ca"]))
        if options.get("alpn"):
            context.set_alpn_protocols(options["alpn"])

        def one(sock):
            try:
                tls = context.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, OSError) as error:
                return error
            return serve(tls)
        self.backend = world.backend(one)
        self.port = self.backend.port


def hello(tls):
    tls.sendall(b"hello\n")
    tls.unwrap().close()


def test_what_was_negotiated_is_told_as_json(world):
    proxy = world.proxy("--backend", world.backend(echo).address, "--alpn", "echo/1")
    command = world.connect(proxy.port, "--json", "--alpn", "none/1,echo/1")
    status, out = command.finish(b"there and back\n")
    check(status == 0 and out == b"there and back\n", f"{status} {out!r} {command.err()}")
    lines = command.err().splitlines()
    told = json.loads(lines[0])
    check(len(lines) == 1 and told["protocol"] == "TLSv1.3" and told["alpn"] == "echo/1", told)
    check(told["peer_subject"] == "CN=localhost" and told["group"] in ("X25519MLKEM768", "x25519") and told["peer_authenticated"], told)
    check(told["signature_scheme"] == "ecdsa_secp256r1_sha256" and not told["hello_retry"], told)


def test_suites_and_groups_are_chosen(world):
    backend = world.backend(echo)
    for suite in ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        for group in ("secp256r1", "secp384r1", "secp521r1"):
            proxy = world.proxy("--backend", backend.address, "--groups", group)
            command = world.connect(proxy.port, "--json", "--suites", suite, "--groups", f"x25519,{group}")
            status, _ = command.finish(b"x")
            told = json.loads(command.err())
            check(status == 0 and told["suite"] == suite and told["group"] == group and told["hello_retry"], told)


def test_too_few_descriptors_are_told_at_the_start(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    served = 0
    for files in range(6, 24):
        begin = time.monotonic()
        command = world.connect(proxy.port, "--connect-timeout", "60", files=files)
        status, out = command.finish(b"x")
        check(time.monotonic() - begin < limit(), f"{files}: it waited")
        if status:
            check(status == 1 and not out and "ulimit -n" in command.err() and not served, f"{files}: {status} {command.err()}")
        else:
            check(out == b"x", f"{files}: {out}")
        served += not status
    check(served, "with 23 descriptors, too")


def test_a_pipe_that_somebody_makes_non_blocking_is_not_asked_busily(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    theirs, ours = os.pipe()
    command = world.keep(Command(world, "connect", f"127.0.0.1:{proxy.port}", "--ca", world.pki.path("ca"), stdin=theirs))
    os.write(ours, b"first\n")
    check(command.process.stdout.readline() == b"first\n", command.err())
    os.set_blocking(theirs, False)
    os.write(ours, b"second\n")
    check(command.process.stdout.readline() == b"second\n", command.err())
    before = cpu_of(command)  # of the thread that reads, not the loop's
    time.sleep(0.5)
    check(cpu_of(command) - before < 0.05, "it is asked busily")
    os.write(ours, b"third\n")
    os.close(ours)
    os.close(theirs)
    status, out = command.finish()
    check(status == 0 and out == b"third\n", f"{status} {out} {command.err()}")


def test_a_stranger_is_status_3(world):
    proxy = world.proxy(cert="strange")
    for options, ca in (((), "ca"), ((), None)):
        command = world.connect(proxy.port, *options, ca=ca)
        status, out = command.finish(b"secret")
        check(status == 3 and not out, f"{status} {out!r}")
        check("unknown_ca" in command.err() and "certificate" in command.err(), command.err())
    command = world.connect(proxy.port, "--json")
    status, _ = command.finish(b"")
    told = json.loads(command.err().splitlines()[-1])
    check(status == 3 and told["error"] == "MILGI_EVERIFY" and told["alert"] == "unknown_ca", told)


def test_a_wrong_name_is_status_3(world):
    proxy = world.proxy()
    command = world.connect(proxy.port, "--name", "example.org")
    status, _ = command.finish(b"secret")
    check(status == 3 and "name" in command.err().lower(), f"{status} {command.err()}")


def test_insecure_takes_anybody_and_says_so(world):
    proxy = world.proxy("--backend", world.backend(echo).address, cert="strange")
    command = world.connect(proxy.port, "--insecure", ca=None)
    status, out = command.finish(b"hello")
    check(status == 0 and out == b"hello" and "NOT VERIFIED" in command.err(), f"{status} {command.err()}")


def test_a_client_certificate_is_sent(world):
    seen = []

    def serve(tls):
        seen.append(tls.getpeercert()["subject"])
        hello(tls)
    server = Server(world, serve, client_ca="ca")
    pki = world.pki
    command = world.connect(server.port, "--cert", pki.path("alice"), "--key", pki.path("alice", "key"))
    status, out = command.finish(b"")
    check(status == 0 and out == b"hello\n", f"{status} {command.err()}")
    check("alice" in str(seen), seen)


def test_the_servers_alert_is_status_1_and_told(world):
    server = Server(world, hello, client_ca="ca")
    command = world.connect(server.port)
    status, _ = command.finish(b"")
    check(status == 1 and "certificate_required received" in command.err(), f"{status} {command.err()}")
    server = Server(world, hello, maximum=ssl.TLSVersion.TLSv1_2)
    command = world.connect(server.port, "--tls-min", "1.3")
    status, _ = command.finish(b"")
    check(status == 1 and "protocol_version" in command.err(), f"{status} {command.err()}")


def test_tls12_is_spoken_unless_that_is_refused(world):
    server = Server(world, hello, maximum=ssl.TLSVersion.TLSv1_2)
    command = world.connect(server.port)
    status, _ = command.finish(b"")
    check(status == 0 and "TLSv1.2" in command.err(), f"{status} {command.err()}")
    for minimum, maximum in (("1.2", "1.2"), ("1.3", "1.3")):
        proxy = world.proxy("--tls-min", minimum, "--tls-max", maximum)
        command = world.connect(proxy.port, "--tls-max", maximum)
        status, out = command.finish(b"GET / HTTP/1.0\r\n\r\n")
        check(status == 0 and f"TLSv{maximum}" in command.err() and b"200 OK" in out, f"{status} {command.err()}")


def test_a_policy_says_what_is_spoken_and_other_options_more(world):
    proxy = world.proxy("--policy", "compatible; suites=TLS_AES_256_GCM_SHA384,"
                        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256; groups=x25519")
    for arguments, words in (((), "TLSv1.3, TLS_AES_256_GCM_SHA384, x25519"),
                             (("--policy", "versions=1.2"), "TLSv1.2, TLS_ECDHE_ECDSA_WITH_CHACHA20"),
                             (("--policy", "modern", "--tls-min", "1.2", "--tls-max", "1.2"), "TLSv1.2"),
                             (("--policy", "modern", "--groups", "x25519"), "TLSv1.3")):
        command = world.connect(proxy.port, *arguments)
        status, out = command.finish(b"GET / HTTP/1.0\r\n\r\n")
        check(status == 0 and words in command.err() and b"200 OK" in out, f"{arguments}: {status} {command.err()}")
    server = Server(world, hello, maximum=ssl.TLSVersion.TLSv1_2)
    command = world.connect(server.port, "--policy", "modern")
    check(command.finish(b"")[0] == 1 and "protocol_version" in command.err(), command.err())


def test_who_has_no_extended_master_secret_is_taken_when_that_is_said(world):
    server = Server(world, hello, maximum=ssl.TLSVersion.TLSv1_2, without_ems=True)
    command = world.connect(server.port)
    status, _ = command.finish(b"")
    check(status == 1 and "extended master secret" in command.err(), f"{status} {command.err()}")
    server = Server(world, hello, maximum=ssl.TLSVersion.TLSv1_2, without_ems=True)
    command = world.connect(server.port, "--ems-optional")
    status, out = command.finish(b"")
    check(status == 0 and out == b"hello\n", f"{status} {command.err()}")
    context = ssl.create_default_context(cafile=world.pki.path("ca"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= NO_EXTENDED_MASTER_SECRET
    for arguments, taken in (((), False), (("--ems-optional",), True)):
        proxy = world.proxy(*arguments)
        with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
            try:
                with context.wrap_socket(sock, server_hostname="localhost") as tls:
                    version = tls.version()
            except ssl.SSLError:
                version = None
        check(version == ("TLSv1.2" if taken else None), f"{arguments}: {version}")


def test_a_cut_answer_is_status_1(world):
    def cut(tls):
        tls.sendall(b"half of something")
        tls.shutdown(socket.SHUT_RDWR)
    command = world.connect(Server(world, cut).port)
    status = command.wait()
    check(status == 1 and "close_notify" in command.err(), f"{status} {command.err()}")
    check(command.process.stdout.read() == b"half of something", "what came was not written")


def test_the_exit_status_is_0_when_the_server_ends_in_order(world):
    command = world.connect(Server(world, hello).port)
    status, out = command.finish(b"")
    check(status == 0 and out == b"hello\n", f"{status} {out!r} {command.err()}")


def test_a_refused_connection_is_status_1(world):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = world.connect(port)
    status, _ = command.finish(b"")
    check(status == 1 and "refused" in command.err(), f"{status} {command.err()}")


def test_a_silent_server_is_given_up(world):
    with socket.create_server(("127.0.0.1", 0)) as server:
        begin = time.monotonic()
        command = world.connect(server.getsockname()[1], "--timeout", "0.5")
        status, _ = command.finish(b"")
    check(status == 1 and "timed out" in command.err() and time.monotonic() - begin < limit(), f"{status} {command.err()}")


def test_a_stalled_session_is_given_up(world):
    command = world.connect(Server(world, lambda tls: time.sleep(15)).port, "--timeout", "0.5")
    check(command.wait() == 1 and "timed out" in command.err(), command.err())


def test_a_reader_that_goes_away_is_status_1(world):
    def pour(tls):
        try:
            while True:
                tls.sendall(bytes(65536))
        except OSError:
            pass
    command = world.connect(Server(world, pour).port)
    command.process.stdout.read(10)
    command.process.stdout.close()
    check(command.wait() == 1 and "standard output" in command.err(), command.err())


def test_standard_input_may_be_a_file(world):
    proxy = world.proxy("--backend", world.backend(echo).address)
    with open(world.milgi, "rb") as data:
        wanted = data.read(300000)
    path = os.path.join(world.work, "input-file")
    with open(path, "wb") as out:
        out.write(wanted)
    with open(path, "rb") as stdin:
        command = world.keep(Command(world, "connect", f"localhost:{proxy.port}", "--ca", world.pki.path("ca"), stdin=stdin))
        out = command.process.stdout.read()
    check(command.wait() == 0 and out == wanted, f"{len(out)} bytes came back; {command.err()}")


def test_the_servers_chain_is_told(world):
    pki = world.pki
    chain = pki.path("server-and-ca")
    with open(chain, "w") as out:
        for name in ("server", "ca"):
            with open(pki.path(name)) as part:
                out.write(part.read())
    proxy = world.proxy("--backend", world.backend(echo).address, cert="server-and-ca", key=pki.path("server", "key"))
    command = world.connect(proxy.port)
    command.finish(b"x")
    lines = command.err().splitlines()
    check(len(lines) == 4 and "certificate 0: CN=localhost, by CN=ca, from 20" in lines[1] and "DNS:milgi.test" in lines[1] and
          "certificate 1: CN=ca, by CN=ca" in lines[2] and lines[3].endswith("path: CN=localhost, by CN=ca"), lines)
    command = world.connect(proxy.port, "--json")
    command.finish(b"x")
    facts = json.loads(command.err())
    told = facts["peer_chain"]
    check([entry["issuer"] for entry in told] == ["CN=ca", "CN=ca"] and told[0]["not_after"].endswith("Z") and
          "DNS:localhost" in told[0]["names"] and
          [entry["subject"] for entry in facts["path"]] == ["CN=localhost", "CN=ca"], facts)


def test_a_message_beyond_the_limit_names_the_option(world):
    pki = world.pki
    chain = pki.path("long-chain")
    with open(chain, "w") as out:
        for name in ["server"] + ["ca"] * 14:
            with open(pki.path(name)) as part:
                out.write(part.read())
    proxy = world.proxy("--backend", world.backend(echo).address, cert="long-chain", key=pki.path("server", "key"))
    status, _ = (command := world.connect(proxy.port, "--max-message", "4K")).finish(b"x")
    check(status == 1 and "--max-message" in command.err(), command.err())
    status, out = (command := world.connect(proxy.port, "--max-message", "64K")).finish(b"x")
    check(status == 0 and out == b"x", command.err())


def test_the_chain_of_a_server_that_is_not_believed_is_told(world):
    pki = world.pki
    proxy = world.proxy(cert="strange")
    for arguments in ((), ("--name", "elsewhere.test", "--ca", pki.path("other-ca"))):
        command = world.connect(proxy.port, *arguments, ca=None if arguments else "ca")
        status, _ = command.finish()
        check(status == 3 and "certificate 0: CN=localhost, by CN=other-ca, from " in command.err(), command.err())
    command = world.connect(proxy.port, "--json")
    status, _ = command.finish()
    told = json.loads(command.err().splitlines()[-1])
    check(status == 3 and [one["issuer"] for one in told["peer_chain"]] == ["CN=other-ca"], told)
