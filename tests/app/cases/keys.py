# SPDX-License-Identifier: Apache-2.0
"""Keys of RSA-PSS, whose parameters may allow for one hash only: whatever TLS 1.3 can use works, the rest is named."""

import os
import shutil
import signal
import subprocess
import time

from kit import check, until

ORDERS = ([], ["-sigalgs", "rsa_pss_pss_sha512:rsa_pss_pss_sha384:rsa_pss_pss_sha256"])


def openssl(world, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=world.work, capture_output=True, timeout=60)
    check(done.returncode == 0, done.stderr[-500:])


def restricted(world, name, *parameters, sign=()):
    """A key and a certificate by itself, signed as its parameters demand."""
    openssl(world, "genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048",
            *[word for p in parameters for word in ("-pkeyopt", p)], "-out", f"{name}.key")
    openssl(world, "req", "-x509", "-new", "-key", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj",
            "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", *sign)
    return os.path.join(world.work, name)


def signed_with(world, proxy, name, order):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-CAfile", f"{name}.pem",
                           "-verify_return_error", *order], input=b"", capture_output=True, timeout=60)
    text = done.stdout.decode("utf-8", "replace")
    check(done.returncode == 0 and "Verify return code: 0 (ok)" in text, text[-500:])
    return next(line.split()[-1] for line in text.splitlines() if line.startswith("Peer signing digest"))


def proxy_of(world, name):
    """A proxy with this certificate only."""
    class Files:
        path = staticmethod(lambda _, end="pem": f"{name}.{end}")
    pki, world.pki = world.pki, Files
    try:
        return world.proxy()
    finally:
        world.pki = pki


def test_a_key_for_one_hash_serves_clients_that_prefer_another(world):
    for md in ("sha256", "sha384", "sha512"):
        name = restricted(world, f"pss-{md}", f"rsa_pss_keygen_md:{md}", f"rsa_pss_keygen_mgf1_md:{md}",
                          "rsa_pss_keygen_saltlen:32")
        proxy = proxy_of(world, name)
        for order in ORDERS:
            digest = signed_with(world, proxy, name, order)
            check(digest == md.upper(), (md, order, digest))


def test_a_key_without_parameters_does_what_the_client_likes(world):
    name = restricted(world, "pss-any")
    proxy = proxy_of(world, name)
    check(signed_with(world, proxy, name, ORDERS[0]) == "SHA256", "another hash")
    check(signed_with(world, proxy, name, ORDERS[1]) == "SHA512", "another hash")


def test_what_tls_cannot_do_is_named(world):
    for name, parameters, sign in (
            ("pss-salt", ("rsa_pss_keygen_md:sha256", "rsa_pss_keygen_mgf1_md:sha256", "rsa_pss_keygen_saltlen:64"),
             ("-sigopt", "rsa_pss_saltlen:64")),
            ("pss-mgf", ("rsa_pss_keygen_md:sha256", "rsa_pss_keygen_mgf1_md:sha1", "rsa_pss_keygen_saltlen:32"), ()),
            ("pss-sha1", ("rsa_pss_keygen_md:sha1", "rsa_pss_keygen_mgf1_md:sha1"), ("-sha1",))):
        path = restricted(world, name, *parameters, sign=sign)
        status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", path + ".pem", "--key", path + ".key")
        check(status == 1 and "cannot be used (RSA-PSS" in err and "hash or salt" in err, (name, status, err))


def scalar_of(path):
    """The private number of an EC key as libcrypto computes with it. (What its decoders leave behind is not ours.)"""
    done = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"], capture_output=True, check=True, timeout=60)
    text = done.stdout.decode().split("priv:")[1].split("pub:")[0]
    return bytes.fromhex("".join(text.split()).replace(":", ""))[-32:][::-1]


def times_in_memory(process, needle):
    found = 0
    with open(f"/proc/{process.pid}/maps", encoding="ascii") as maps, open(f"/proc/{process.pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            begin, end = (int(x, 16) for x in span.split("-"))
            if not access.startswith("rw") or end - begin > 1 << 28:
                continue
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except OSError:
                continue
            found += data.count(needle)
    return found


def test_a_key_that_was_replaced_is_gone_from_an_idle_process(world):
    path = os.path.join(world.work, f"replaced-{os.getpid()}-{id(world)}")
    for end in ("pem", "key"):
        shutil.copy(world.pki.path("server", end), f"{path}.{end}")
    proxy = proxy_of(world, path)
    scalar = scalar_of(f"{path}.key")
    client = world.client(proxy)
    client.ask("GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    client.close()
    check(times_in_memory(proxy.process, scalar) > 0, "the key cannot be found even while it is in use")
    time.sleep(4)  # until the engine has put everything in order, and sleeps for good
    for end in ("pem", "key"):
        shutil.copy(world.pki.path("second", end), f"{path}.{end}")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in proxy.err(), proxy.err())
    until(lambda: times_in_memory(proxy.process, scalar) == 0, "the key that was replaced is still there")
