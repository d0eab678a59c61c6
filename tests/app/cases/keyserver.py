# SPDX-License-Identifier: Apache-2.0
"""Keys on other machines: `milgi keyserver`, and `milgi proxy` that asks it."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import kit
from kit import Command, Token, check, limit, until

from cases.tokens import KEYS, Keyed, Server

OPCODE, PAYLOAD, SKI = 0x11, 0x12, 0x04
PING, PONG, RESPONSE, ERROR = 0xf1, 0xf2, 0xf0, 0xff
ECDSA_SHA256, RSA_SHA256, PSS_SHA256 = 0x15, 0x05, 0x35


def made(world, kind, name=None):
    """A certificate of the case's CA for this machine, and its key."""
    name = f"{name or 'signs-' + kind}-{id(world):x}"  # cases share a directory
    pki = world.pki
    if not os.path.exists(pki.path(name)):
        pki.openssl("req", "-newkey", *KEYS[kind], "-nodes", "-keyout", pki.path(name, "key"), "-out", pki.path(name, "csr"),
                    "-subj", "/CN=localhost")
        with open(pki.path(name, "ext"), "w") as out:
            out.write("keyUsage=critical,digitalSignature\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
        pki.openssl("x509", "-req", "-in", pki.path(name, "csr"), "-CA", pki.path("ca"), "-CAkey", pki.path("ca", "key"),
                    "-set_serial", str(int.from_bytes(os.urandom(8), "big") >> 1), "-days", "9", "-extfile", pki.path(name, "ext"),
                    "-out", pki.path(name))
    return name


class KeyServer(Command):
    def __init__(self, world, *keys, port=0, arguments=(), **how):
        pki = world.pki
        signs = [word for key in keys for word in ("--sign-cert", pki.path(key), "--sign-key", pki.path(key, "key"))]
        super().__init__(world, "keyserver", "--listen", f"127.0.0.1:{port}", "--cert", pki.path("server"), "--key",
                         pki.path("server", "key"), "--client-ca", pki.path("ca"), *signs, *arguments, **how)
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"listening on 127.0.0.1:(\d+)\n", line)
        check(found, f"the first line is {line!r}; {self.err()}")
        self.port = int(found.group(1))
        world.keep(self)

    def send(self, number):
        self.process.send_signal(number)


def asking(world, *servers):
    """The options of who asks these."""
    pki = world.pki
    return ["--device", "keyless:" + ",".join(f"127.0.0.1:{server.port}" for server in servers), "--keyless-ca", pki.path("ca"),
            "--keyless-cert", pki.path("alice"), "--keyless-key", pki.path("alice", "key")]


def served(world, proxy, *arguments):
    """The signature scheme of a handshake."""
    _, out, err = world.run("connect", f"127.0.0.1:{proxy.port}", "--ca", world.pki.path("ca"), "--json", *arguments)
    lines = (err + out.decode()).splitlines()
    scheme = [json.loads(line).get("signature_scheme") for line in lines if line.startswith("{")]
    check(scheme, f"{lines} {proxy.err()}")
    return scheme[0]


class Asker:
    """Speaks the protocol."""

    def __init__(self, world, server, cert="alice"):
        context = ssl.create_default_context(cafile=world.pki.path("ca"))
        if cert:
            context.load_cert_chain(world.pki.path(cert), world.pki.path(cert, "key"))
        sock = world.keep(socket.create_connection(("127.0.0.1", server.port), limit()))
        self.tls = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        self.rest = b""

    def send(self, number, *items, version=1):
        body = b"".join(struct.pack(">BH", tag, len(data)) + data for tag, data in items)
        self.tls.sendall(struct.pack(">BBHI", version, 0, len(body), number) + body)

    def answer(self):
        """(ID, opcode, payload)"""
        while len(self.rest) < 8 or len(self.rest) < 8 + struct.unpack_from(">H", self.rest, 2)[0]:
            data = self.tls.recv(65536)
            check(data, "it ended")
            self.rest += data
        size, number = struct.unpack_from(">HI", self.rest, 2)
        body, self.rest = self.rest[8:8 + size], self.rest[8 + size:]
        items = {}
        while body:
            tag, size = struct.unpack_from(">BH", body)
            items[tag] = body[3:3 + size]
            body = body[3 + size:]
        return number, items[OPCODE][0], items.get(PAYLOAD, b"")

    def ask(self, *items):
        self.send(7, *items)
        number, opcode, payload = self.answer()
        check(number == 7, number)
        return opcode, payload

    def ended(self):
        return self.tls.recv(1) == b""


def identifier(world, name):
    done = subprocess.run(["openssl", "x509", "-in", world.pki.path(name), "-noout", "-pubkey"], capture_output=True, check=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=done.stdout, capture_output=True, check=True).stdout
    bits = subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=der, capture_output=True, check=True).stdout.decode()
    line = next(line for line in bits.splitlines() if "BIT STRING" in line)
    size = int(re.search(r" l= *(\d+)", line).group(1))
    return hashlib.sha1(der[-size + 1:]).digest()


def test_every_kind_of_key_signs_in_both_versions(world):
    names = [made(world, kind) for kind in ("p256", "rsa", "ed25519")]
    server = KeyServer(world, *names)
    for name, schemes in zip(names, (("ecdsa_secp256r1_sha256",) * 2, ("rsa_pss_rsae_sha256",) * 2, ("ed25519",) * 2)):
        proxy = world.proxy(*asking(world, server), cert=name, key="keyless:")
        for version, scheme in zip(("1.2", "1.3"), schemes):
            told = served(world, proxy, "--tls-min", version, "--tls-max", version)
            check(told == scheme, f"{name} {version}: {told}")


def test_who_is_not_vouched_for_gets_nothing(world):
    server = KeyServer(world, made(world, "p256"))
    for cert in (None, "mallory"):
        try:
            asker = Asker(world, server, cert)
            asker.send(1, (OPCODE, bytes([PING])))
            check(False, f"{cert}: {asker.answer()}")
        except (ssl.SSLError, ConnectionError):
            pass
    until(lambda: "a client was refused" in server.err(), "told of")
    check(Asker(world, server).ask((OPCODE, bytes([PING])))[0] == PONG, "the right one")


def test_what_is_asked_wrongly_is_answered_with_its_error(world):
    name = made(world, "p256")
    server = KeyServer(world, name, made(world, "rsa"))
    asker, ski, rsa = Asker(world, server), identifier(world, name), identifier(world, made(world, "rsa"))
    good = (OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, ski)
    check(asker.ask(*good)[0] == RESPONSE, "a good one")
    check(asker.ask((OPCODE, bytes([PING])), (PAYLOAD, b"echo")) == (PONG, b"echo"), "a ping")
    check(asker.ask((OPCODE, bytes([PING])), (PAYLOAD, b"e" * 60000)) == (PONG, b"e" * 60000), "a long ping")
    for items, error in (
            (((OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 31), (SKI, ski)), 1),   # no hash of that length
            (((OPCODE, bytes([PSS_SHA256])), (PAYLOAD, b"h" * 32), (SKI, ski)), 1),     # not this key's
            (((OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, rsa)), 1),
            (((OPCODE, bytes([ECDSA_SHA256])), (SKI, ski)), 1),
            (((OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 600), (SKI, ski)), 1),
            (((OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, b"?" * 20)), 2),
            (((OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32)), 2),
            (((OPCODE, b"\x01"), (PAYLOAD, b"h" * 256), (SKI, rsa)), 5),                # decryption
            (((OPCODE, b"\x13"), (PAYLOAD, b"h" * 20), (SKI, ski)), 5),                 # SHA-1
            (((OPCODE, bytes([RESPONSE])), (PAYLOAD, b"h" * 32), (SKI, ski)), 6),
            (((OPCODE, bytes([ERROR])), (PAYLOAD, b"\x01")), 6),
            (((OPCODE, bytes([ECDSA_SHA256])), (SKI, b"short")), 7),
            (((PAYLOAD, b"h" * 32), (SKI, ski)), 7),
            ((good[0], good[0], good[1]), 7),
            ((), 7)):
        told = asker.ask(*items)
        check(told == (ERROR, bytes([error])), f"{items}: {told}, not {error}")
    check(asker.ask(*good)[0] == RESPONSE, "it goes on")
    check(not server.err(), f"nobody who minds the keys need know of it: {server.err()}")
    asker.send(9, (OPCODE, bytes([PING])), version=2)
    check(asker.answer()[1:] == (ERROR, b"\x04") and asker.ended(), "another version")


def test_a_message_may_come_in_pieces_and_many_at_once(world):
    name = made(world, "p256")
    asker, ski = Asker(world, KeyServer(world, name)), identifier(world, name)
    items = (OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, ski)
    whole = b"".join(struct.pack(">BH", tag, len(data)) + data for tag, data in items)
    whole = struct.pack(">BBHI", 1, 0, len(whole), 1) + whole
    for at in range(len(whole)):
        asker.tls.sendall(whole[at:at + 1])
    check(asker.answer()[:2] == (1, RESPONSE), "byte by byte")
    asker.tls.sendall(b"".join(whole[:4] + struct.pack(">I", i) + whole[8:] for i in range(1500)))  # more than are under way
    check({asker.answer()[0] for _ in range(1500)} == set(range(1500)), "each once")


def test_who_ends_in_order_has_all_answers(world):
    name = made(world, "p256")
    server, ski = KeyServer(world, name), identifier(world, name)
    items = (OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, ski)
    body = b"".join(struct.pack(">BH", tag, len(data)) + data for tag, data in items)
    asked = b"".join(struct.pack(">BBHI", 1, 0, len(body), i) + body for i in range(1500))  # more than are under way
    status, out, err = world.run("connect", f"127.0.0.1:{server.port}", "--ca", world.pki.path("ca"), "--cert",
                                 world.pki.path("alice"), "--key", world.pki.path("alice", "key"), data=asked)
    check(status == 0 and len(out) == 1500 * 1024, f"{status} {len(out)} {err}")


def test_sigterm_answers_what_is_under_way(world):
    name = made(world, "rsa")
    server, ski = KeyServer(world, name), identifier(world, name)
    asker, idle = Asker(world, server), Asker(world, server)
    check(idle.ask((OPCODE, bytes([PING])))[0] == PONG, "a ping")
    items = (OPCODE, bytes([RSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, ski)
    body = b"".join(struct.pack(">BH", tag, len(data)) + data for tag, data in items)
    asker.tls.sendall(b"".join(struct.pack(">BBHI", 1, 0, len(body), i) + body for i in range(64)))
    first = asker.answer()
    server.send(signal.SIGTERM)
    answers = [first] + [asker.answer() for _ in range(63)]
    check(all(opcode == RESPONSE for _, opcode, _ in answers), "all of them")
    check(asker.ended() and idle.ended(), "in order")
    check(server.wait() == 0, server.err())


def test_sighup_takes_other_keys(world):
    pki, name = world.pki, made(world, "p256", "signs-now")
    old = made(world, "p256")
    for end in ("pem", "key"):
        shutil.copy(pki.path(old, end), pki.path(name, end))
    server = KeyServer(world, name)
    asker, before = Asker(world, server), identifier(world, name)

    def answers(ski):
        return asker.ask((OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, ski))[0] == RESPONSE

    check(answers(before), "the first key")
    other = made(world, "p256", "signs-other")
    for end in ("pem", "key"):
        shutil.copy(pki.path(other, end), pki.path(name, end))
    after = identifier(world, name)
    server.send(signal.SIGHUP)
    until(lambda: "reloaded" in server.err(), "the reload")
    check(answers(after) and not answers(before), "the new key, not the old one")
    with open(pki.path(name, "key"), "w") as out:
        out.write("no key")
    server.send(signal.SIGHUP)
    until(lambda: "not reloaded" in server.err(), "the reload that fails")
    check(answers(after), "what was there stays")
    server.send(signal.SIGTERM)
    check(server.wait() == 0, server.err())


def test_a_proxy_whose_key_cannot_be_had_says_why(world):
    server = KeyServer(world, made(world, "p256"))
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))

    class Nobody:
        port = nobody.getsockname()[1]

    def refused(asked, *more):
        status, out, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path(made(world, "rsa")), "--key",
                                     "keyless:", *asked, *more)
        check(status == 1 and not out, f"{status} {out} {err}")
        return err

    err = refused(asking(world, server))
    check("keyless:: the key server has no such key" in err, err)
    err = refused(asking(world, server, Nobody)[:2] + ["--keyless-ca", world.pki.path("other-ca")] + asking(world, server)[4:])
    check(f"key server 127.0.0.1:{server.port}: the key server and this client do not accept each other" in err, err)
    check(f"key server 127.0.0.1:{Nobody.port}: the key server cannot be connected to" in err, err)
    err = refused([])
    check("needs --device keyless:HOST:PORT" in err, err)


def test_wrong_words_are_status_2(world):
    pki = world.pki
    identity = ["--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key", pki.path("server", "key")]
    signs = ["--sign-cert", pki.path("server"), "--sign-key", pki.path("server", "key")]
    for arguments, words in (
            ([], "needs --listen"), (identity, "needs --client-ca"), ([*identity, "--client-ca", pki.path("ca")], "needs --sign-cert"),
            ([*identity, "--client-ca", pki.path("ca"), *signs[:2]], "every --sign-cert needs its --sign-key"),
            ([*identity, "--client-ca", pki.path("ca"), *signs, "--backend", "127.0.0.1:1"], "there is no option --backend"),
            ([*identity[:4], "--key", "pkcs11:object=x", "--client-ca", pki.path("ca"), *signs], "--key must be a file"),
            ([*identity[:4], "--key", "keyless:", "--client-ca", pki.path("ca"), *signs], "--key must be a file"),
            (["--listen", "unix:/x", *identity[2:], "--client-ca", pki.path("ca"), *signs], "TCP only")):
        status, out, err = world.run("keyserver", *arguments)
        check(status == 2 and not out and words in err, f"{arguments}: {status} {err}")
    for arguments, words in ((["--device", "keyless:a:1"], "needs --keyless-ca"), (["--keyless-ca", "x"], "needs --device keyless"),):
        status, _, err = world.run("proxy", *identity, *arguments)
        check(status == 2 and words in err, f"{arguments}: {status} {err}")
    status, _, err = world.run("proxy", *identity, "--device", "keyless:nothing", "--keyless-ca", pki.path("ca"), "--keyless-cert",
                               pki.path("alice"), "--keyless-key", pki.path("alice", "key"))
    check(status != 0 and "host:port" in err, err)


def token_server(world, keyed, *more, cert=None):
    return KeyServer(world, arguments=["--sign-cert", world.pki.path(cert or keyed.cert), "--sign-key", keyed.token.uri, *more],
                     environment=keyed.token.environment)


def test_a_token_may_be_behind_it(world):
    if not Token.module():
        return
    for kind, schemes, more in (("p256", ("ecdsa_secp256r1_sha256",) * 2, ["--device", f"pkcs11:2,module={Token.module()}"]),
                                ("rsa", ("rsa_pss_rsae_sha256",) * 2, [])):
        keyed = Keyed(world, kind)
        server = token_server(world, keyed, *more)
        proxy = world.proxy(*asking(world, server), cert=keyed.cert, key="keyless:")
        for version, scheme in zip(("1.2", "1.3"), schemes):
            told = served(world, proxy, "--tls-min", version, "--tls-max", version)
            check(told == scheme, f"{kind} {version}: {told} {server.err()}")
        asker, ski = Asker(world, server), identifier(world, keyed.cert)
        opcode = ECDSA_SHA256 if kind == "p256" else PSS_SHA256
        items = (OPCODE, bytes([opcode])), (PAYLOAD, b"h" * 32), (SKI, ski)
        for i in range(50):  # side by side
            asker.send(i, *items)
        check({asker.answer()[:2] for _ in range(50)} == {(i, RESPONSE) for i in range(50)}, "each once")
        asker.tls.close()
        check(proxy.stop() == 0, proxy.err())
        server.send(signal.SIGTERM)
        check(server.wait() == 0, server.err())


def test_a_key_in_a_token_is_tried_before_there_are_clients(world):
    if not Token.module():
        return
    keyed, other, pki = Keyed(world), Keyed(world), world.pki
    for cert, uri, words in ((other.cert, keyed.token.uri, "does not belong to the certificate"),
                             (keyed.cert, keyed.uri(query="pin-value=9999"), "the PIN is wrong"),
                             (keyed.cert, keyed.uri("token=milgi;object=nothing"), "no such private key")):
        status, out, err = world.run(
            "keyserver", "--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key", pki.path("server", "key"), "--client-ca",
            pki.path("ca"), "--sign-cert", pki.path(cert), "--sign-key", uri, environment=keyed.token.environment)
        check(status == 1 and not out and words in err and "9999" not in err, f"{status} {out} {err}")
    now = made(world, "p256", "signs-in-token")
    shutil.copy(pki.path(keyed.cert), pki.path(now))
    server = token_server(world, keyed, cert=now)
    shutil.copy(pki.path(other.cert), pki.path(now))
    server.send(signal.SIGHUP)
    until(lambda: "not reloaded" in server.err(), "the reload that fails")
    check("does not belong to the certificate" in server.err(), server.err())
    items = (OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, identifier(world, keyed.cert))
    told = Asker(world, server).ask(*items)
    check(told[0] == RESPONSE, f"what was there stays: {told} {server.err()}")


def test_a_token_that_hangs_holds_up_no_end(world):
    if not Token.module():
        return
    for reloads in (1, 2):
        keyed = Keyed(world)
        there = Server(world, keyed)
        there.start()
        keyed.token.environment.update(there.environment)
        uri = f"pkcs11:token=milgi;object=server?pin-source={keyed.token.pin_file}&module-path=p11-kit-client.so"
        server = KeyServer(world, arguments=["--sign-cert", world.pki.path(keyed.cert), "--sign-key", uri, "--device",
                                             "pkcs11:timeout=3600s"],
                           environment=keyed.token.environment)
        os.killpg(there.process.pid, signal.SIGSTOP)
        for _ in range(reloads):
            server.send(signal.SIGHUP)
            time.sleep(0.3)
        check("reloaded" not in server.err() and Asker(world, server).ask((OPCODE, bytes([PING])))[0] == PONG, server.err())
        if reloads == 1:  # it ends while the token is asked
            begin = time.monotonic()
            server.send(signal.SIGTERM)
            check(server.wait() == 0 and time.monotonic() - begin < 25, f"it waits for the token: {server.err()}")
        os.killpg(there.process.pid, signal.SIGCONT)
        if reloads == 2:
            until(lambda: server.err().count("reloaded") == 2, f"both reloads: {server.err()}")
        there.close()


def test_a_device_that_comes_and_goes_is_told_of_once_a_second(world):
    server = KeyServer(world, made(world, "p256"), arguments=["--device", "chaos:seed=3,fail=50%"])
    asker, begin = Asker(world, server), time.monotonic()
    items = (OPCODE, bytes([ECDSA_SHA256])), (PAYLOAD, b"h" * 32), (SKI, identifier(world, made(world, "p256")))
    told = [asker.ask(*items)[0] for _ in range(60)]
    check({RESPONSE, ERROR} == set(told), told)
    lines = server.err().count("no signature with the key")
    check(1 <= lines <= 2 + (time.monotonic() - begin), f"{lines} lines: {server.err()}")
    server.send(signal.SIGTERM)
    check(server.wait() == 0, server.err())


class Liar:
    """A key server whose answers are quick, and no signatures."""

    def __init__(self, world):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.pki.path("server"), world.pki.path("server", "key"))
        self.listener, self.lies, self.context = socket.create_server(("127.0.0.1", 0)), 0, context
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                taken = self.context.wrap_socket(self.listener.accept()[0], server_side=True)
                threading.Thread(target=self.serve, args=(taken,), daemon=True).start()
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def serve(self, tls):
        source = tls.makefile("rb")
        try:
            while head := source.read(8):
                size, number = struct.unpack(">HI", head[2:])
                asks = bytes([OPCODE, 0, 1, PING]) not in source.read(size)
                self.lies += asks
                body = struct.pack(">BHBBH70s", OPCODE, 1, RESPONSE, PAYLOAD, 70, b"0") if asks else bytes([OPCODE, 0, 1, PONG])
                tls.sendall(struct.pack(">BBHI", 1, 0, len(body), number) + body)
        except (OSError, ValueError, struct.error):
            pass


def test_no_handshake_fails_because_one_key_server_lies(world):
    name = made(world, "p256")
    liar, honest = Liar(world), KeyServer(world, name, arguments=["--device", "sim:latency=100ms"])
    proxy = world.proxy(*asking(world, liar, honest), cert=name, key="keyless:")

    line = f"key server 127.0.0.1:{liar.port}: the key server's signatures are wrong"

    def works():
        check(served(world, proxy) == "ecdsa_secp256r1_sha256", proxy.err())
        return line in proxy.err()

    until(works, "that it is found out and told")  # as soon as its answer is the first of two
    check(liar.lies, "nobody has asked it")
    for _ in range(5):
        works()
    check(f"127.0.0.1:{honest.port}: the key server's signatures" not in proxy.err(), proxy.err())  # slow it may have been
    check(proxy.stop() == 0, proxy.err())
    liar.listener.close()


def test_workers_go_on_while_key_servers_are_paused_and_killed(world):
    name = made(world, "p256")
    servers = [KeyServer(world, name) for _ in range(2)]
    proxy = world.proxy(*asking(world, *servers), "--workers", "2", cert=name, key="keyless:")
    servers[0].send(signal.SIGSTOP)
    for _ in range(6):
        check(served(world, proxy) == "ecdsa_secp256r1_sha256", "while one is paused")
    servers[0].send(signal.SIGCONT)
    servers[1].send(signal.SIGKILL)
    servers[1].wait()
    for _ in range(3):
        check(served(world, proxy) == "ecdsa_secp256r1_sha256", "while one is gone")
    until(lambda: f"key server 127.0.0.1:{servers[1].port}: the key server cannot be connected to" in proxy.err(), "told of")
    servers[0].send(signal.SIGKILL)
    servers[0].wait()
    again = KeyServer(world, name, port=servers[1].port)
    until(lambda: proxy.err().count(f"key server 127.0.0.1:{again.port}: in use again") >= 2, "it is back, for both workers")
    check(served(world, proxy) == "ecdsa_secp256r1_sha256", "when one is back")
    check(proxy.stop() == 0, proxy.err())
