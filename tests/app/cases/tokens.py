# SPDX-License-Identifier: Apache-2.0
"""Private keys in tokens: which keys, with which peers; what is said when they cannot be had; tokens that go away."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time

import kit
from kit import Token, check, limit, until

from cases.relay import echo

KEYS = {"p256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        "rsa": ["rsa:2048"], "ed25519": ["ed25519"]}
SCHEMES = {"p256": "ecdsa_secp256r1_sha256", "p384": "ecdsa_secp384r1_sha384", "rsa": "rsa_pss_rsae_sha256",
           "ed25519": "ed25519"}


def test_a_module_that_does_not_load_is_an_error_of_the_device(world):
    for module in ("/nonexistent", "/etc/passwd"):
        status, out, err = world.run("devices", f"pkcs11:module={module}")
        check(status == 1 and b"SIGN" in out, f"{status} {out}")
        check(err == f"milgi devices: pkcs11:module={module}: the PKCS#11 module cannot be loaded or does not start\n", err)
    for spec in ("pkcs11", f"pkcs11:module={Token.module()}"):
        status, _, err = world.run("devices", spec)
        check(status == 0 and not err, f"{spec}: {status} {err}")


def test_what_is_wrong_with_the_uri_of_a_key_is_told_without_its_pin(world):
    words = {"pkcs11:": "names no key", "PKCS11:": "names no key", "pkcs11:token=a b": "no URI has",
             "pkcs11:?pin-value=4711\t": "no URI has", "pkcs11:token=" + 9000 * "x": "too long"}
    for uri, word in words.items():
        for command in (["proxy", "--listen", "127.0.0.1:0"], ["connect", "127.0.0.1:1"]):
            status, out, err = world.run(*command, "--cert", world.pki.path("server"), "--key", uri)
            check(status == 1 and not out and len(err.splitlines()) == 1, f"{status} {out} {err}")
            check(word in err and "4711" not in err and "invalid argument" not in err, err)


class Keyed:
    """A certificate of the case's own CA with its key in a token. The file with the key goes."""

    def __init__(self, world, kind="p256", name=None):
        pki, name = world.pki, name or f"in-token-{kind}-{time.monotonic_ns()}"
        self.cert = name
        pki.openssl("req", "-newkey", *KEYS[kind], "-nodes", "-keyout", pki.path(name, "key"), "-out", pki.path(name, "csr"),
                    "-subj", "/CN=localhost")
        with open(pki.path(name, "ext"), "w") as out:
            out.write("keyUsage=critical,digitalSignature\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
        pki.openssl("x509", "-req", "-in", pki.path(name, "csr"), "-CA", pki.path("ca"), "-CAkey", pki.path("ca", "key"),
                    "-set_serial", str(time.monotonic_ns()), "-days", "9", "-extfile", pki.path(name, "ext"), "-out",
                    pki.path(name))
        self.token = Token(os.path.join(world.work, f"{name}-token"), pki.path(name, "key"))
        os.unlink(pki.path(name, "key"))

    def uri(self, path="token=milgi;object=server", query=None):
        return f"pkcs11:{path}?module-path={Token.module()}&{query or 'pin-source=' + self.token.pin_file}"

    def proxy(self, world, *arguments, key=None):
        return world.proxy(*arguments, cert=self.cert, key=key or self.token.uri, environment=self.token.environment)

    def refused(self, world, key):
        """What is said by a proxy that does not start."""
        status, out, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path(self.cert), "--key", key,
                                     environment=self.token.environment)
        check(status == 1 and not out and len(err.splitlines()) == 1, f"{status} {out!r} {err!r}")
        return err


class Server:
    """`p11-kit server`: the token in another process."""

    def __init__(self, world, keyed):
        self.path = os.path.join(keyed.token.directory, "socket")
        self.environment = {"P11_KIT_SERVER_ADDRESS": f"unix:path={self.path}"}
        self.command = ["p11-kit", "server", "-f", "-n", self.path, "--provider", Token.module(), "pkcs11:token=milgi"]
        self.all = dict(os.environ, **keyed.token.environment)
        self.process = None
        world.keep(self)

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, env=self.all, start_new_session=True)
        until(self.answers, "the server")

    def answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.path)
            except OSError:
                return False
        return True

    def close(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            os.unlink(self.path)
        self.process = None


def hello():
    """A ClientHello of OpenSSL's, as bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


HELLO = hello()


def works(world, proxy):
    """Whether a handshake does, by OpenSSL's client."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-CAfile", world.pki.path("ca"),
                           "-verify_return_error", "-verify_hostname", "localhost", "-tls1_3"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=limit())
    return done.returncode == 0 and b"Verify return code: 0 (ok)" in done.stdout


def test_every_kind_of_key_makes_handshakes_with_openssl(world):
    if not Token.module():
        return
    for kind in KEYS:
        keyed = Keyed(world, kind)
        proxy = keyed.proxy(world, "--backend", world.backend(echo).address)
        check(works(world, proxy), f"{kind}: {proxy.err()}")
        command = world.connect(proxy.port, "--json")
        status, out = command.finish(b"there and back")
        told = json.loads(command.err().splitlines()[0])
        check(status == 0 and out == b"there and back" and told["signature_scheme"] == SCHEMES[kind], told)


def test_a_client_has_its_key_in_a_token_too(world):
    if not Token.module():
        return
    keyed = Keyed(world)
    proxy = world.proxy("--client-ca", world.pki.path("ca"), "--backend", world.backend(echo).address)
    command = world.connect(proxy.port, "--cert", world.pki.path(keyed.cert), "--key", keyed.token.uri,
                            environment=keyed.token.environment)
    status, out = command.finish(b"me")
    check(status == 0 and out == b"me", f"{status} {command.err()}")


def test_keys_in_tokens_and_in_files_serve_side_by_side(world):
    if not Token.module():
        return
    keyed = Keyed(world)
    proxy = keyed.proxy(world, "--cert", world.pki.path("second"), "--key", world.pki.path("second", "key"), "--device", "pool:1")
    for name, cert in (("localhost", keyed.cert), ("second.test", "second")):
        client = world.client(proxy, name=name)
        with open(world.pki.path(cert)) as file:
            check(ssl.DER_cert_to_PEM_cert(client.tls.getpeercert(True)) == file.read(), f"{name} got another certificate")


def test_what_is_wrong_with_a_key_is_said_before_there_are_clients_and_without_its_pin(world):
    if not Token.module():
        return
    keyed, other = Keyed(world), Keyed(world)
    cases = {
        keyed.uri("token=milgi;object=nothing"): "no such private key",
        keyed.uri("token=elsewhere;object=server"): "the token is not there",
        keyed.uri(query="pin-value=9999"): "the PIN is wrong; this one is not tried again",
        keyed.uri(query="pin-source=/nowhere"): "the PIN cannot be read",
        keyed.uri("token=milgi;object=server", "x=y"): "asks for a PIN",
        keyed.uri("token=milgi;type=cert"): "URI is malformed, or names something else",
        "pkcs11:token=milgi?pin-value=9999&module-path=/nowhere.so": "module cannot be loaded",
    }
    for key, said in cases.items():
        err = keyed.refused(world, key)
        check(said in err and "9999" not in err, f"{key}: {err}")
    keyed.cert = other.cert
    check("does not belong to the certificate" in keyed.refused(world, keyed.token.uri), "another key than the certificate's")


def behind_server(world):
    """A token that a server of p11-kit has, and the key in it."""
    keyed = Keyed(world)
    server = Server(world, keyed)
    server.start()
    keyed.token.environment.update(server.environment)
    key = f"pkcs11:token=milgi;object=server?pin-source={keyed.token.pin_file}&module-path=p11-kit-client.so"
    return keyed, server, key


def test_a_token_behind_a_server_that_ends_and_comes_back(world):
    if not Token.module():
        return
    keyed, server, key = behind_server(world)
    proxy = keyed.proxy(world, "--backend", world.backend(echo).address, key=key)
    standing = world.client(proxy)
    check(works(world, proxy), proxy.err())
    server.close()
    server.start()  # nobody has seen it go
    check(works(world, proxy), proxy.err())
    server.close()
    check(not works(world, proxy), "a handshake without the token")
    until(lambda: "a crypto device failed: the token" in proxy.err(), f"the reason: {proxy.err()}")
    standing.send(b"still here")
    check(standing.read() == b"still here", "a connection of before")
    server.start()
    until(lambda: works(world, proxy), "the token that is back")
    check(proxy.stop() == 0, proxy.err())


def test_a_token_whose_files_are_moved_away_and_back(world):
    if not Token.module():
        return
    keyed = Keyed(world)
    proxy = keyed.proxy(world)
    tokens = os.path.join(keyed.token.directory, "tokens")
    check(works(world, proxy), proxy.err())
    os.rename(tokens, tokens + ".away")
    check(not works(world, proxy), "a handshake without the token")
    os.rename(tokens + ".away", tokens)
    until(lambda: works(world, proxy), "the token that is back")


# --- tokens that hang -------------------------------------------------------------------------------------------------

def hanging(world, *arguments):
    """A proxy whose token has stopped to answer."""
    keyed, server, key = behind_server(world)
    proxy = keyed.proxy(world, "--backend", world.backend(echo).address, *arguments, key=key)
    standing = world.client(proxy)
    os.killpg(server.process.pid, signal.SIGSTOP)
    return server, proxy, standing


def echoes(client):
    client.tls.settimeout(3 * kit.patience)
    client.send(b"still here")
    return client.read() == b"still here"


def test_a_reload_with_a_token_that_hangs_blocks_nobody(world):
    if not Token.module():
        return
    server, proxy, standing = hanging(world)
    proxy.process.send_signal(signal.SIGHUP)
    for _ in range(5):
        time.sleep(0.2)
        check(echoes(standing), "a connection of before")
    proxy.process.send_signal(signal.SIGHUP)
    check(echoes(standing) and "reloaded" not in proxy.err(), proxy.err())
    os.killpg(server.process.pid, signal.SIGCONT)
    until(lambda: proxy.err().count("reloaded") == 2, f"both reloads: {proxy.err()}")
    check(works(world, proxy) and echoes(standing), proxy.err())
    check(proxy.stop() == 0, proxy.err())


def test_sigterm_is_obeyed_whatever_a_token_does(world):
    if not Token.module():
        return
    term, quick = (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)
    for workers, reloads, signals in (("1", False, term), ("1", True, quick), ("2", True, term), ("2", True, quick)):
        server, proxy, standing = hanging(world, "--workers", workers, "--drain", "2")
        asking = world.raw(proxy)  # its handshake would want a signature
        asking.sendall(HELLO)
        if reloads:
            proxy.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        begin = time.monotonic()
        for one in signals:
            proxy.process.send_signal(one)
            time.sleep(0.2)
        status = proxy.wait()
        took, most = time.monotonic() - begin, 12 if signals == term else 8
        check(status == 0 and took < most * kit.patience, f"{workers} {reloads} {signals}: {status} after {took} s: {proxy.err()}")
        standing.close()
        os.killpg(server.process.pid, signal.SIGCONT)
        server.close()


def test_a_token_that_hangs_at_the_start_does_not_keep_the_proxy_from_ending(world):
    if not Token.module():
        return
    keyed, server, key = behind_server(world)
    os.killpg(server.process.pid, signal.SIGSTOP)
    for workers, wanted in (("1", -signal.SIGTERM), ("2", 0)):
        command = world.keep(kit.Command(world, "proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path(keyed.cert), "--key", key,
                                         "--workers", workers, environment=keyed.token.environment))
        time.sleep(1)
        begin = time.monotonic()
        command.process.send_signal(signal.SIGTERM)
        status = command.wait()
        check(status == wanted and time.monotonic() - begin < kit.limit(), f"{workers}: {status} {command.err()}")
        command.process.returncode = 0  # as it should be
    os.killpg(server.process.pid, signal.SIGCONT)
