# SPDX-License-Identifier: Apache-2.0
"""What the command says to arguments, right and wrong: one clear line, and the exit status tells."""

import errno
import os
import socket

from kit import check


def refuses(world, arguments, status, word):
    got, out, err = world.run(*arguments)
    check(got == status, f"{arguments}: exit status {got}, not {status}: {err}")
    check(err.count("\n") == 1 and err.endswith("\n"), f"{arguments}: not one line: {err!r}")
    check(word in err, f"{arguments}: the message does not say {word!r}: {err!r}")
    check(not out, f"{arguments}: wrote to standard output: {out!r}")


def proxy(world, *more):
    pki = world.pki
    return ["proxy", "--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key", pki.path("server", "key"), *more]


def test_help_and_version_are_answers(world):
    for word in (["--help"], ["proxy", "--help"], ["--version"]):
        status, out, err = world.run(*word)
        check(status == 0 and out.startswith(b"milgi") and not err, f"{word}: {status} {out!r} {err!r}")
    check(b"--max-conns" in world.run("--help")[1], "the help does not name the options")


def test_wrong_words_are_status_2(world):
    refuses(world, [], 2, "proxy, connect, keyserver, devices")
    refuses(world, ["prxy"], 2, "'prxy'")
    refuses(world, ["proxy"], 2, "--listen")
    refuses(world, ["proxy", "--listen", "127.0.0.1:0"], 2, "--cert")
    refuses(world, proxy(world, "--colour", "red"), 2, "--colour")
    refuses(world, proxy(world, "--backend"), 2, "--backend")
    refuses(world, proxy(world, "extra"), 2, "options only")
    refuses(world, ["connect"], 2, "HOST:PORT")
    refuses(world, ["connect", "--json=yes", "localhost:1"], 2, "--json")


def test_wrong_values_are_status_2(world):
    refuses(world, proxy(world, "--listen", "127.0.0.1"), 2, "--listen")
    refuses(world, proxy(world, "--listen", "::1:443"), 2, "--listen")
    refuses(world, proxy(world, "--backend", "localhost:99999"), 2, "--backend")
    refuses(world, proxy(world, "--max-conns", "many"), 2, "--max-conns")
    refuses(world, proxy(world, "--max-conns", "0"), 2, "--max-conns")
    refuses(world, proxy(world, "--idle-timeout", "-1"), 2, "--idle-timeout")
    refuses(world, proxy(world, "--sessions", "10000001"), 2, "--sessions 10000001: must be a number from 0 to 10000000")
    refuses(world, proxy(world, "--sessions", "10000000", "--max-conns", "0"), 2, "--max-conns must be")
    refuses(world, proxy(world, "--groups", "x25519,p999"), 2, "p999")
    refuses(world, proxy(world, "--suites", "RC4"), 2, "RC4")
    refuses(world, proxy(world, "--policy", "old"), 2, '--policy: "old"')
    refuses(world, proxy(world, "--first-records", "63"), 2, "--first-records")
    refuses(world, proxy(world, "--first-records", "16385"), 2, "--first-records")
    refuses(world, proxy(world, "--policy", "compatible; rsa=1024"), 2, "not safe")
    refuses(world, proxy(world, "--alpn", "h2,,http/1.1"), 2, "--alpn")
    refuses(world, proxy(world, "--records", "gpu"), 2, "--records")
    refuses(world, proxy(world, "--device", "abacus"), 2, "abacus")
    refuses(world, proxy(world, "--device", "pool:none"), 2, "pool:none")
    refuses(world, proxy(world, "--client-auth", "required"), 2, "--client-ca")
    refuses(world, proxy(world, "--client-ca", world.pki.path("ca"), "--client-auth", "maybe"), 2, "maybe")
    refuses(world, proxy(world, "--cert", world.pki.path("second")), 2, "--key")
    refuses(world, ["devices", "abacus"], 2, "abacus")


def test_numbers_are_decimal(world):
    for value in ("0x10", " 1", "+1", "1e1", "inf", "nan", "1,5", "1.5.", "1_0", "\u0661"):
        refuses(world, proxy(world, "--drain", value), 2, "--drain")
        refuses(world, proxy(world, "--max-conns", value), 2, "--max-conns")
        refuses(world, proxy(world, "--memory", value + "G"), 2, "--memory")
    refuses(world, proxy(world, "--handshake-timeout", "0"), 2, "--handshake-timeout")
    refuses(world, proxy(world, "--backend", "127.0.0.1:0"), 2, "port 0")
    refuses(world, ["connect", "localhost:0"], 2, "port 0")


def test_an_option_without_a_value_is_not_taken_for_one(world):
    for option in ("listen", "backend", "client-ca", "device", "keylog", "trace", "access-log", "alpn", "groups", "drain",
                   "memory"):
        refuses(world, proxy(world, f"--{option}="), 2, f"--{option}: the value is empty")
    for option in ("ca", "name", "keylog"):
        refuses(world, ["connect", "localhost:1", f"--{option}", ""], 2, f"--{option}: the value is empty")


def test_options_are_not_guessed_from_their_beginning(world):
    for option in (["--max", "5"], ["--max-c", "5"], ["--accept"], ["--client=x"]):
        refuses(world, proxy(world, *option), 2, "there is no option --")
    refuses(world, ["connect", "localhost:1", "--js"], 2, "there is no option --js")
    status, _, err = world.run("connect", "--timeout=1", "127.0.0.1:1", "--insecure", "--json")
    check(status == 1 and "refused" in err, err)


def test_what_is_named_twice_is_told(world):
    refuses(world, proxy(world, "--groups", "x25519,secp256r1,X25519"), 2, "--groups: x25519 is named twice")
    refuses(world, proxy(world, "--suites", "TLS_AES_128_GCM_SHA256,aes128-gcm"), 2, "TLS_AES_128_GCM_SHA256 is named twice")
    refuses(world, proxy(world, "--alpn", "h2,http/1.1,h2"), 2, "--alpn")
    refuses(world, proxy(world, "--alpn", ",".join(f"{i:0250}" for i in range(270))), 2, "--alpn")


def test_a_path_that_is_no_socket_is_told(world):
    path = os.path.join(world.work, "no-socket")
    os.mkdir(path)
    refuses(world, proxy(world, "--listen", f"unix:{path}"), 1, "is no socket")


def test_files_that_cannot_be_used_are_status_1(world):
    pki = world.pki
    listen = ["proxy", "--listen", "127.0.0.1:0"]
    nothing = os.path.join(world.work, "no-such-file")
    refuses(world, [*listen, "--cert", nothing, "--key", pki.path("server", "key")], 1, nothing)
    refuses(world, [*listen, "--cert", pki.path("server"), "--key", nothing], 1, nothing)
    refuses(world, [*listen, "--cert", pki.path("server", "key"), "--key", pki.path("server", "key")], 1, "server.key")
    refuses(world, [*listen, "--cert", pki.path("server"), "--key", pki.path("second", "key")], 1, "is not the private key of the first certificate")
    refuses(world, proxy(world, "--client-ca", nothing), 1, nothing)
    refuses(world, proxy(world, "--client-ca", pki.path("server", "key")), 1, "server.key")
    refuses(world, proxy(world, "--keylog", "/nowhere/keys"), 1, "/nowhere/keys")
    refuses(world, ["connect", "--ca", nothing, "localhost:1"], 1, nothing)


def test_a_port_in_use_is_status_1(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refuses(world, proxy(world, "--listen", f"127.0.0.1:{port}"), 1, "in use")


def test_a_name_that_does_not_resolve_is_status_1(world):
    refuses(world, proxy(world, "--backend", "no.such.host.invalid:80"), 1, "no.such.host.invalid")
    refuses(world, ["connect", "--ca", world.pki.path("ca"), "no.such.host.invalid:443"], 1, "no.such.host.invalid")


def test_port_0_and_ipv6_are_told(world):
    proxies = [world.proxy(), world.proxy()]
    check(proxies[0].port != proxies[1].port and proxies[0].address == "127.0.0.1", "the ports are not told")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return
    check(world.proxy(listen="[::1]:0").address == "[::1]", "an IPv6 address is told wrongly")


def test_devices_are_tested_and_measured(world):
    status, out, err = world.run("devices")
    text = out.decode()
    check(status == 0 and not err, f"{status} {err!r}")
    for word in ("cpu", "pool", "batch", "sim", "chaos", "TLS_AES_128_GCM_SHA256 ok", "x25519 ok", "signatures ok", "signatures/s"):
        check(word in text, f"no {word!r} in {text}")
    check(text.count("  what for ") == len([line for line in text.splitlines() if line and line[0] != " "]), text)
    check(" 0 ECDSA" not in text and " 0 records/s" not in text, f"a rate of what was not tried: {text}")
    status, out, err = world.run("devices", "pool:1")
    check(status == 0 and out.startswith(b"pool:1\n"), f"{status} {out!r}")


def test_a_device_that_does_not_run_here_says_why(world):
    _, listed, _ = world.run("devices")
    here = "avx512ifma" in open("/proc/cpuinfo", encoding="utf-8", errors="replace").read()
    status, out, err = world.run("devices", "batch")
    if here and status == 0:
        check(b"  not here      batch: " not in listed, listed)
        return
    check(status == 2 and not out and ("AVX-512" in err or "crypto_mb" in err), f"{status} {err!r}")
    check(b"batch\n  what for" in listed and b"  not here      batch: " in listed, listed)
    refuses(world, proxy(world, "--device", "batch"), 2, "batch")


def test_the_kernels_ciphers_are_refused_where_it_has_none(world):
    _, listed, _ = world.run("devices")
    try:
        socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0).close()
    except OSError as error:
        missing = error.errno
    else:
        return  # tests/vm has both cases
    words = "no AF_ALG" if missing == errno.EAFNOSUPPORT else "may not use AF_ALG"
    check(b"afalg\n  what for" in listed and b"  not here      afalg: " in listed, listed)
    refuses(world, ["devices", "afalg"], 2, words)
    refuses(world, proxy(world, "--device", "afalg"), 2, words)
    refuses(world, proxy(world, "--device", "afalg:by=magic"), 2, "by is io_uring, aio or any")
