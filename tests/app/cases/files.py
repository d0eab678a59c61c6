# SPDX-License-Identifier: Apache-2.0
"""Files with certificates and keys: what may be one, and what is said when it is none."""

import os
import signal
import threading
import time

from kit import check, limit, until

GET = "GET / HTTP/1.1\nHost: localhost\n\n"


def pipe_of(world, source, name):
    """A FIFO into which somebody writes the file |source|, once."""
    path = os.path.join(world.work, f"{name}-{time.monotonic_ns()}")
    os.mkfifo(path)

    def write():
        with open(source, "rb") as data, open(path, "wb") as out:
            for byte in data.read():
                out.write(bytes([byte]))
    threading.Thread(target=write, daemon=True).start()
    return path


def test_files_may_be_pipes(world):
    pki = world.pki
    proxy = world.proxy(key=pipe_of(world, pki.path("server", "key"), "key"))
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
    proxy.process.send_signal(signal.SIGHUP)  # nobody writes any more
    until(lambda: "not reloaded" in proxy.err(), f"{proxy.err()}")
    check("nobody writes to this pipe" in proxy.err(), proxy.err())
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
    status, out, err = world.run("connect", f"127.0.0.1:{proxy.port}", "--ca", pipe_of(world, pki.path("ca"), "ca"),
                                 data=b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(status == 0 and b"200 OK" in out, f"{status} {err}")


def test_a_pipe_of_a_shell_is_read_once(world):
    pki = world.pki
    read, write = os.pipe()
    with open(pki.path("server", "key"), "rb") as key:
        os.write(write, key.read())
    os.close(write)
    proxy = world.proxy(key=f"/dev/fd/{read}", pass_fds=[read])
    os.close(read)
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")


def test_a_master_is_not_held_up_by_a_pipe_that_nobody_writes_to(world):
    proxy = world.proxy("--workers", "2", key=pipe_of(world, world.pki.path("server", "key"), "key"))
    begin = time.monotonic()
    proxy.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    check(proxy.stop() == 0 and time.monotonic() - begin < limit() / 2, proxy.err())


# --- what is said -----------------------------------------------------------------------------------------------------

class Files:
    """Certificate and key files with all that people make of them."""

    def __init__(self, world):
        self.world, self.pki = world, world.pki

    def write(self, name, data):
        path = os.path.join(self.world.work, name)
        with open(path, "wb") as out:
            out.write(data if isinstance(data, bytes) else data.encode())
        return path

    def text(self, name, end="pem"):
        with open(self.pki.path(name, end)) as file:
            return file.read()

    def openssl(self, name, *arguments):
        path = os.path.join(self.world.work, name)
        self.pki.openssl(*arguments, "-out", path)
        return path

    def signed_by(self, name, *key):
        """A certificate with a key of some kind: (cert, key)."""
        cert, secret = (os.path.join(self.world.work, f"{name}.{end}") for end in ("pem", "key"))
        self.pki.openssl("req", "-x509", "-newkey", *key, "-nodes", "-days", "9", "-keyout", secret, "-out", cert, "-subj",
                         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        return cert, secret

    def said(self, cert, key):
        return self.world.run("proxy", "--listen", "127.0.0.1:0", "--cert", cert, "--key", key)

    def refused(self, cert, key, guilty, *words):
        status, out, err = self.said(cert, key)
        innocent = key if guilty == cert else cert
        check(status == 1 and not out and len(err.splitlines()) == 1, f"{guilty}: {status} {err}")
        check(err.startswith(f"milgi proxy: {guilty}: ") and innocent not in err, f"{guilty}: {err}")
        check(any(word in err for word in words), f"{guilty}: none of {words}: {err}")


def test_what_is_wrong_with_a_file_is_said_of_that_file(world):
    files = Files(world)
    cert, key = world.pki.path("server"), world.pki.path("server", "key")
    pem, secret = files.text("server"), files.text("server", "key")
    lines = pem.splitlines(keepends=True)
    for path, words in ((files.openssl("encrypted.key", "pkey", "-in", key, "-aes256", "-passout", "pass:x"), ("encrypted",)),
                        (files.openssl("public.key", "pkey", "-in", key, "-pubout"), ("public key",)),
                        (files.openssl("key.der", "pkey", "-in", key, "-outform", "DER"), ("DER",)),
                        (files.write("empty.key", ""), ("empty",)), (files.write("blank.key", "\n \n"), ("empty",)),
                        (files.write("utf16.key", secret.encode("utf-16")), ("UTF-16",)),
                        (files.write("cert-as.key", pem), ("no private key",)),
                        (files.write("words.key", "this is my key\n"), ("no PEM", "no private key")),
                        (files.write("cut.key", secret[:100]), ("line",)),
                        (world.work, ("directory",)), (world.pki.path("second", "key"), ("not the private key",))):
        files.refused(cert, path, path, *words)
    for path, words in ((files.openssl("cert.der", "x509", "-in", cert, "-outform", "DER"), ("DER",)),
                        (files.write("empty.pem", ""), ("empty",)), (files.write("utf16.pem", pem.encode("utf-16-be")), ("UTF-16",)),
                        (files.write("words.pem", "a certificate\n"), ("no PEM", "no certificate")),
                        (files.write("glued.pem", pem.rstrip("\n") + pem), ("line",)),
                        (files.write("cut.pem", pem[:200]), ("line",)),
                        (files.write("second-block.pem", pem + "-----BEGIN NONSENSE-----\nAAAA\n-----END NONSENSE-----\n"), ("line", "NONSENSE")),
                        (files.write("broken-second.pem", pem + lines[0] + "AAAA\n" + lines[-1]), ("line",)),
                        (files.write("order.pem", files.text("ca") + pem), ("first",))):
        files.refused(path, key, path, *words)


def test_kinds_of_keys_that_cannot_be_used_are_named(world):
    files = Files(world)
    for name, key, words in (("ed448", ["ed448"], ("Ed448", "ED448")),
                             ("brainpool", ["ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"], ("brainpool",)),
                             ("weak", ["rsa:1024"], ("1024", "2048"))):
        cert, secret = files.signed_by(name, *key)
        status, _, err = files.said(cert, secret)
        check(status == 1 and any(word in err for word in words) and len(err.splitlines()) == 1, f"{name}: {status} {err}")


def test_files_with_anchors_are_judged_alike(world):
    files = Files(world)
    pem = files.text("ca")
    cert, key = world.pki.path("server"), world.pki.path("server", "key")
    for path, words in ((files.write("empty-ca.pem", ""), ("empty",)), (files.write("utf16-ca.pem", pem.encode("utf-16")), ("UTF-16",)),
                        (files.write("glued-ca.pem", pem.rstrip("\n") + pem), ("line",)), (key, ("no certificate",))):
        for arguments in (["proxy", "--listen", "127.0.0.1:0", "--cert", cert, "--key", key, "--client-ca", path],
                          ["connect", "127.0.0.1:1", "--ca", path]):
            status, _, err = world.run(*arguments)
            check(status == 1 and f": {path}: " in err and any(word in err for word in words), f"{path}: {status} {err}")


def test_certificates_out_of_their_time_are_a_warning_at_the_start_and_at_a_reload(world):
    pki = world.pki
    for name, dates, word in (("expired", ["20200101000000Z", "20200201000000Z"], "expired"),
                              ("future", ["20400101000000Z", "20410201000000Z"], "not valid")):
        cert = os.path.join(world.work, f"{name}.pem")
        ca = os.path.join(world.work, f"{name}.ca")
        os.makedirs(ca)
        with open(os.path.join(ca, "index.txt"), "w"), open(os.path.join(ca, "conf"), "w") as conf:
            conf.write(f"[ca]\ndefault_ca = a\n[a]\ndatabase = {ca}/index.txt\nnew_certs_dir = {ca}\nrand_serial = yes\n"
                       "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n")
        pki.openssl("ca", "-batch", "-config", os.path.join(ca, "conf"), "-cert", pki.path("ca"), "-keyfile", pki.path("ca", "key"),
                    "-in", pki.path("server", "csr"), "-out", cert, "-startdate", dates[0], "-enddate", dates[1], "-notext")
        proxy = world.proxy("--cert", cert, "--key", pki.path("server", "key"))
        check(f"warning: {cert}: " in proxy.err() and word in proxy.err(), f"{name}: {proxy.err()}")
        check("warning: " + pki.path("server") not in proxy.err(), proxy.err())
        proxy.process.send_signal(signal.SIGHUP)
        until(lambda: "reloaded" in proxy.err(), proxy.err())
        check(proxy.err().count("warning: ") == 2, f"{name}: {proxy.err()}")
        check(proxy.stop() == 0, proxy.err())
