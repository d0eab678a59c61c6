# SPDX-License-Identifier: Apache-2.0
"""Keys that are encrypted: --key-passphrase-file."""

import os
import signal

from cases.files import GET, Files
from cases.keyserver import KeyServer, asking, made
from kit import check, until


def sealed(world, name, word, traditional=False):
    """The key of that certificate, encrypted."""
    files = Files(world)
    return files.openssl(f"{name}-{word}-{int(traditional)}.key", "pkey", "-in", world.pki.path(name, "key"), "-aes256", "-passout",
                         f"pass:{word}", *(["-traditional"] if traditional else []))


def test_keys_in_both_forms_are_opened_by_the_first_line(world):
    files = Files(world)
    for traditional in (False, True):
        for end in ("", "\n", "\r\n", "\nsecond line\n"):
            word = files.write("word", "open sesame" + end)
            proxy = world.proxy("--key-passphrase-file", word, key=sealed(world, "server", "open sesame", traditional))
            check(world.client(proxy).ask(GET)[0] == 200, "no answer")


def test_a_key_that_is_not_encrypted_needs_no_passphrase_and_minds_none(world):
    proxy = world.proxy("--key-passphrase-file", Files(world).write("unused", "sesame\n"))
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")


def test_what_is_wrong_is_said_without_the_passphrase(world):
    files = Files(world)
    key, cert = sealed(world, "server", "sesame"), world.pki.path("server")
    for text, what, words in ((None, key, "--key-passphrase-file"), ("wheat\n", key, "not with this passphrase"),
                              ("", "wrong", "empty"), ("\nsesame\n", "wrong", "empty"), ("sesame" * 200, "wrong", "too long")):
        option = [] if text is None else ["--key-passphrase-file", files.write("wrong", text)]
        for command in (["proxy", "--listen", "127.0.0.1:0"], ["connect", "127.0.0.1:1"]):
            status, _, err = world.run(*command, "--cert", cert, "--key", key, *option)
            check(status == 1 and what in err and words in err and "wheat" not in err, f"{words}: {status} {err}")
    status, _, err = world.run("connect", "127.0.0.1:1", "--cert", cert, "--key", key, "--key-passphrase-file", "/nonexistent")
    check(status == 1 and "/nonexistent" in err, err)


def test_a_reload_takes_a_new_passphrase_and_keeps_the_old_key_if_that_is_wrong(world):
    files = Files(world)
    key = sealed(world, "server", "first")
    word = files.write("changing", "first\n")
    proxy = world.proxy("--key-passphrase-file", word, key=key)
    files.write("changing", "second\n")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: "not reloaded" in proxy.err(), proxy.err())
    check("not with this passphrase" in proxy.err(), proxy.err())
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
    os.rename(sealed(world, "server", "second"), key)
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: ": reloaded" in proxy.err(), proxy.err())
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")


def test_a_client_shows_a_certificate_whose_key_is_encrypted(world):
    proxy = world.proxy("--client-ca", world.pki.path("ca"))
    word = Files(world).write("client-word", "sesame\n")
    status, _ = world.connect(proxy.port, "--cert", world.pki.path("alice"), "--key", sealed(world, "alice", "sesame"),
                              "--key-passphrase-file", word).finish(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(status == 0, f"{status}")


def test_a_key_server_signs_with_keys_that_are_encrypted(world):
    name = made(world, "p256", f"sealed-{id(world):x}")
    pki = world.pki
    plain = pki.path(name, "key")
    key = sealed(world, name, "sesame")
    word = Files(world).write("server-word", "sesame\n")
    os.replace(key, plain)
    server = KeyServer(world, name, arguments=("--key-passphrase-file", word))
    proxy = world.proxy(*asking(world, server), cert=name, key="keyless:")
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
