# SPDX-License-Identifier: Apache-2.0
"""--trace: what happens inside, as JSON lines."""

import json
import os
import signal
import time

from kit import check, until

from cases.relay import echo

GET = "GET / HTTP/1.1\nHost: localhost\n\n"


def lines_of(path):
    with open(path, encoding="ascii") as file:
        text = file.read()
    check(text.endswith("\n"), f"the last line is not whole: {text[-100:]!r}")
    return [json.loads(line) for line in text.splitlines()]


def of(lines, name):
    return [line for line in lines if line["name"] == f"tls:{name}"]


def traced(world, *arguments, work):
    """What is told while |work| has a proxy to itself."""
    path = os.path.join(world.work, f"trace-{time.monotonic_ns()}")
    proxy = world.proxy("--trace", path, *arguments)
    work(proxy)
    proxy.stop()
    return path, lines_of(path)


def test_a_connection_is_told_from_its_beginning_to_its_end(world):
    def one(proxy):
        client = world.client(proxy)
        check(client.ask(GET)[0] == 200, "no page")
        client.close()

    _, lines = traced(world, work=one)
    check(lines[0]["name"] == "tls:begin" and lines[0]["data"]["devices"][0] == "cpu", lines[0])
    check(lines[0]["data"]["unix_time"] > 1.6e9, lines[0])
    story = [line for line in lines if line.get("conn") == of(lines, "new")[0]["conn"]]
    times = [line["time"] for line in story]
    check(times == sorted(times), "the times go backwards")
    check(story[-1]["name"] == "tls:freed", story[-1])
    steps = [line["data"]["step"] for line in of(story, "step")]
    check(steps[0] == "look_hello" and steps[-1] == "open", steps)
    check([line["data"]["epoch"] for line in of(story, "key") if line["data"]["direction"] == "read"] == [2, 3], story)
    signed = [line["data"] for line in of(story, "op_end") if line["data"]["op"] == "SIGN"]
    check(len(signed) == 1 and signed[0]["status"] == "OK" and signed[0]["took_us"] > 0, signed)
    check(signed[0]["alg"] == "ecdsa_secp256r1_sha256", signed)
    check(len(of(story, "op_start")) == len(of(story, "op_end")) > 4, "ops begin and do not end")
    check([line["data"]["error"] for line in of(story, "closed")] == ["MILGI_ETRUNCATED"], of(story, "closed"))


def test_a_failed_handshake_says_why(world):
    _, lines = traced(world, work=lambda proxy: world.connect(proxy.port, ca="other-ca").wait())
    check([line["data"]["alert"] for line in of(lines, "alert_received")] == ["unknown_ca"], of(lines, "alert_received"))
    closed = of(lines, "closed")[0]["data"]
    check(closed["error"] == "MILGI_EALERT" and closed["from_peer"] and closed["alert"] == "unknown_ca", closed)


def test_neither_secrets_nor_plaintext_are_told(world):
    keys = os.path.join(world.work, f"keys-{time.monotonic_ns()}")
    word = b"a plaintext that nobody else is to see"

    def one(proxy):
        client = world.client(proxy)
        client.send(word)
        check(client.read(len(word)) == word, "no echo")
        client.close()

    path, lines = traced(world, "--keylog", keys, "--backend", world.backend(echo).address, work=one)
    with open(path, encoding="ascii") as file:
        text = file.read()
    with open(keys, encoding="ascii") as file:
        secrets = [line.split() for line in file]
    check(len(secrets) >= 4 and of(lines, "op_end"), "nothing to look for")
    check(not any(part in text for line in secrets for part in line[1:]), "a secret is in the trace")
    check("plaintext" not in text, "plaintext is in the trace")
    check(os.stat(path).st_mode & 0o777 == 0o600, oct(os.stat(path).st_mode))


def test_workers_write_whole_lines_to_one_file(world):
    def many(proxy):
        until(lambda: proxy.port, "it listens")
        clients = [world.client(proxy) for _ in range(24)]
        for client in clients:
            check(client.ask(GET)[0] == 200, "no page")
        for client in clients:
            client.close()

    _, lines = traced(world, "--workers", "2", work=many)
    check(len({line["pid"] for line in of(lines, "begin")}) == 2, of(lines, "begin"))
    check(len(of(lines, "new")) == 24 and len(of(lines, "freed")) == 24, f"{len(of(lines, 'new'))} connections")


def test_nobody_waits_for_whoever_reads_the_trace(world):
    path = os.path.join(world.work, f"fifo-{time.monotonic_ns()}")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    proxy = world.proxy("--trace", path)
    for _ in range(60):
        client = world.client(proxy)
        check(client.ask(GET)[0] == 200, "no page")
        client.close()
    until(lambda: "events are missing" in proxy.err(), "it says that events are missing")
    check(proxy.err().count("events are missing") == 1, proxy.err())
    text = b""

    def told():
        """More comes as soon as something happens and there is room."""
        nonlocal text
        client = world.client(proxy)
        client.close()
        try:
            while True:
                piece = os.read(reader, 65536)
                if not piece:
                    break
                text += piece
        except BlockingIOError:
            pass
        return b"tls:dropped" in text

    until(told, "it counts what was dropped")
    lines = [json.loads(line) for line in text[:text.rindex(b"\n")].splitlines()]
    check(sum(line["data"]["lines"] for line in of(lines, "dropped")) > 0, of(lines, "dropped"))
    proxy.stop()
    os.close(reader)


def test_a_trace_that_cannot_be_written_is_told_at_the_start(world):
    path = os.path.join(world.work, "nowhere", "trace")
    status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path("server"), "--key",
                               world.pki.path("server", "key"), "--trace", path)
    check(status == 1 and "--trace" in err and "No such file" in err, (status, err))


def test_a_trace_that_was_moved_away_is_opened_anew(world):
    path = os.path.join(world.work, f"trace-{time.monotonic_ns()}")
    proxy = world.proxy("--trace", path)
    world.client(proxy).close()
    until(lambda: of(lines_of(path), "freed"), "the first client is not told of")
    os.rename(path, path + ".old")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in proxy.err(), proxy.err())
    world.client(proxy).close()
    until(lambda: of(lines_of(path), "freed"), "the second client is not told of")
    check(lines_of(path)[0]["name"] == "tls:begin", "a new trace does not say how to read it")
    check(len(of(lines_of(path + ".old"), "new")) == 1, "the old one goes on")
    os.rename(path, path + ".old")
    os.mkdir(path)
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: "the file that was open stays in use" in proxy.err(), proxy.err())
    world.client(proxy).close()
    until(lambda: len(of(lines_of(path + ".old"), "freed")) == 2, "the trace is lost")
