# SPDX-License-Identifier: Apache-2.0
"""What is told of connections: a line for each that has ended, and for each handshake that failed."""

import json
import os
import re
import resource
import signal
import socket
import ssl
import time

from kit import check, free_port, until


def greet(sock):
    sock.recv(5)
    sock.sendall(b"greetings\n")
    sock.recv(1)


def lines_of(path):
    return open(path, encoding="utf-8").read().splitlines() if os.path.exists(path) else []


def log_of(world):
    return os.path.join(world.work, f"access-{time.monotonic_ns()}.log")


def test_a_connection_is_a_line_of_json(world):
    log = log_of(world)
    backend = world.backend(greet)
    proxy = world.proxy("--backend", backend.address, "--access-log", log, "--alpn", "x", "--client-ca",
                        world.pki.path("ca"))
    client = world.client(proxy, cert="alice", alpn=["x"])
    port = client.tls.getsockname()[1]
    client.send(b"hello")
    check(client.read() == b"greetings\n", "another answer")
    client.tls.unwrap().close()
    line = json.loads(until(lambda: lines_of(log), "no line in the log")[0])
    wanted = {"client": f"127.0.0.1:{port}", "server_name": "localhost", "protocol": "TLSv1.3", "alpn": "x",
              "peer_subject": "CN=alice", "bytes_in": 5, "bytes_out": 10, "established": True, "in_order": True,
              "end": "in order", "alert": None, "fault": "nobody's"}
    check({k: line[k] for k in wanted} == wanted, line)
    check(line["suite"].startswith("TLS_") and line["group"] and line["duration_ms"] >= 0, line)
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line["time"])


def test_a_connection_is_a_line_of_text(world):
    log = log_of(world)
    proxy = world.proxy("--access-log", log, "--access-log-format", "text")
    client = world.client(proxy)
    client.ask("GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    client.tls.unwrap().close()
    line = until(lambda: lines_of(log), "no line in the log")[0]
    check(re.search(r' 127\.0\.0\.1:\d+ sni="localhost" version=TLSv1\.3 suite=TLS_\S+ group=\S+ alpn=- subject=- in=\d+ '
                    r'out=\d+ ms=\d+ established end="in order" alert=-$', line), line)


def test_the_log_may_be_standard_output(world):
    proxy = world.proxy("--access-log", "-")
    client = world.client(proxy)
    client.tls.unwrap().close()
    line = json.loads(proxy.process.stdout.readline())
    check(line["established"], line)


def test_a_log_that_cannot_be_opened_is_told(world):
    proxy = world.proxy("--access-log", os.path.join(world.work, "nowhere", "log"))
    until(lambda: "--access-log" in proxy.err() and "No such file" in proxy.err(), proxy.err())


def test_a_handshake_that_fails_is_told(world):
    log = log_of(world)
    proxy = world.proxy("--access-log", log)
    context = ssl.create_default_context(cafile=world.pki.path("other-ca"))
    sock = world.raw(proxy)
    port = sock.getsockname()[1]
    try:
        context.wrap_socket(sock, server_hostname="localhost")
        check(False, "a certificate of another authority was believed")
    except ssl.SSLError:
        pass
    line = until(lambda: re.search(r".*the handshake failed.*", proxy.err()), "nothing is told").group(0)
    check(f"127.0.0.1:{port}" in line and 'name "localhost"' in line and "unknown_ca" in line and
          "from the client" in line, line)
    entry = json.loads(until(lambda: lines_of(log), "no line in the log")[0])
    check(entry["established"] is False and entry["alert"] == "unknown_ca" and entry["fault"], entry)


def test_whose_certificate_was_refused_is_told(world):
    pki, log = world.pki, log_of(world)
    pki.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                pki.path("rude", "key"), "-out", pki.path("rude", "csr"), "-utf8", "-subj", '/CN=x, alert none\u202e"\x1b[31m\n')
    pki.openssl("x509", "-req", "-in", pki.path("rude", "csr"), "-CA", pki.path("other-ca"), "-CAkey",
                pki.path("other-ca", "key"), "-set_serial", "7", "-days", "9", "-out", pki.path("rude"))
    proxy = world.proxy("--client-ca", pki.path("ca"), "--access-log", log)
    for name in ("mallory", "rude"): # clients that show it to whoever asks
        try:
            world.client(proxy, cert=name).ask("GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n")
            check(False, "a certificate of another authority was believed")
        except OSError:
            pass
    lines = until(lambda: re.findall(r".*the handshake failed.*", proxy.err())[:2][1:] and proxy.err().splitlines()[-2:], "")
    check(', certificate "CN=mallory", alert unknown_ca, fault ' in lines[0], lines)
    check("\x1b" not in lines[1] and "\u202e" not in lines[1] and lines[1].count('"') - lines[1].count('\\"') == 4, lines)
    entries = [json.loads(line) for line in until(lambda: lines_of(log)[1:] and lines_of(log), "two lines in the log")]
    check(entries[0]["peer_subject"] == "CN=mallory" and not entries[0]["established"], entries)


def test_nonsense_is_the_clients_fault(world):
    proxy = world.proxy()
    sock = world.raw(proxy)
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    line = until(lambda: re.search(r".*the handshake failed.*", proxy.err()), "nothing is told").group(0)
    check("fault the client's" in line, line)


def test_health_checks_have_not_failed(world):
    proxy = world.proxy("--stats-interval", "0.2")
    for _ in range(5):
        world.raw(proxy).close()
    counts = until(lambda: re.findall(r"accepted (\d+) .* failed (\d+) probes (\d+)", proxy.err())
                   if "probes 5" in proxy.err() else None, "five probes are not counted")[-1]
    check(counts[1] == "0", counts)
    check("the handshake failed" not in proxy.err(), proxy.err())


def test_many_failures_are_counted_not_told(world):
    proxy = world.proxy()
    for _ in range(60):
        sock = world.raw(proxy)
        sock.sendall(b"nonsense, nonsense")
        sock.close()
    until(lambda: re.search(r"(\d+) more handshakes have failed", proxy.err()), "no count of what was held back")
    until(lambda: len(re.findall("the handshake failed", proxy.err())) +
          sum(int(n) for n in re.findall(r"(\d+) more handshakes have failed", proxy.err())) == 60,
          "not all are told or counted")
    check(len(re.findall("the handshake failed", proxy.err())) <= 40, "too many lines")


def test_what_a_client_says_breaks_no_line(world):
    log = log_of(world)
    proxy = world.proxy("--access-log", log, "--access-log-format", "text")
    world.connect(proxy.port, "--name", 'x"y', ca=None).finish()
    for line in lines_of(log):
        check(re.search(r' sni=(-|"[^"\\]*(\\.[^"\\]*)*") ', line), line)


def test_the_reason_of_a_cut_is_in_the_log(world):
    log = log_of(world)
    proxy = world.proxy("--access-log", log, "--backend", world.backend(greet).address, "--idle-timeout", "0.5")
    client = world.client(proxy)
    entry = json.loads(until(lambda: lines_of(log), "no line in the log")[0])
    check(entry["end"] == "idle timeout" and entry["in_order"] is False and entry["fault"] == "ours", entry)
    client.close()


def test_a_log_that_was_moved_away_is_opened_anew(world):
    log = log_of(world)
    proxy = world.proxy("--access-log", log)
    world.client(proxy).tls.unwrap().close()
    until(lambda: lines_of(log), "no line in the log")
    os.rename(log, log + ".old")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in proxy.err(), proxy.err())
    world.client(proxy).tls.unwrap().close()
    until(lambda: lines_of(log), "no line in the new log")
    check(len(lines_of(log + ".old")) == 1 and len(lines_of(log)) == 1, "lines in the wrong file")


def test_a_log_is_opened_anew_while_the_proxy_drains(world):
    log = log_of(world)
    proxy = world.proxy("--access-log", log, "--backend", world.backend(greet).address)
    client = world.client(proxy)
    client.send(b"hello")
    check(client.read() == b"greetings\n", "another answer")
    proxy.process.send_signal(signal.SIGTERM)

    def drains():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", proxy.port))
    until(drains, "it listens on")
    os.rename(log, log + ".old")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: os.path.exists(log), "it is not opened anew")
    client.close()
    check(proxy.wait() == 0, proxy.err())
    established = [[line for line in lines_of(path) if json.loads(line)["established"]] for path in (log, log + ".old")]
    check(len(established[0]) == 1 and not established[1], "the line is in the wrong file")


def test_nobody_waits_for_who_reads_the_log(world):
    log = log_of(world)
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    proxy = world.proxy("--access-log", log)
    for _ in range(400):  # more than a pipe takes
        world.client(proxy).tls.close()
    until(lambda: re.search("[0-9]+ lines were dropped", proxy.err()) or proxy.process.poll() is not None or
          len(os.read(reader, 1)) == 1, "the log is not written")
    check(proxy.stop() == 0, proxy.err())
    os.close(reader)


def test_a_log_that_is_a_pipe_without_a_reader_is_told(world):
    log = log_of(world)
    os.mkfifo(log)
    proxy = world.proxy("--access-log", log)
    until(lambda: "there is no log" in proxy.err(), proxy.err())


def test_a_log_that_takes_no_more_is_told_and_ends_nothing(world):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    for words, why in ((["--access-log", "/dev/full"], "No space left"), (["--access-log", log_of(world)], "too large"),
                       (["--trace", log_of(world)], "too large"), (["--keylog", log_of(world)], "too large")):
        for workers in ("1", "2"):
            proxy = world.proxy(*words, "--workers", workers, preexec_fn=small)
            for _ in range(40):
                world.client(proxy).tls.close()
            until(lambda: "missing: " in proxy.err() and why in proxy.err(), f"{words} {proxy.err()}")
            check(len(proxy.err()) < 1000 and proxy.stop() == 0, proxy.err())


def test_a_certificate_gives_no_orders_to_who_looks_at_the_log(world):
    pki = world.pki
    rude = "x\u009b31m\u202e\u2066\u2028\x7f\x1b]0;\"\n"
    pki.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pki.path("ruder", "key"),
                "-out", pki.path("ruder", "csr"), "-utf8", "-subj", f"/CN={rude}")
    pki.openssl("x509", "-req", "-in", pki.path("ruder", "csr"), "-CA", pki.path("ca"), "-CAkey", pki.path("ca", "key"),
                "-set_serial", "8", "-days", "9", "-out", pki.path("ruder"))
    for kind in ("json", "text"):
        log = log_of(world)
        proxy = world.proxy("--client-ca", pki.path("ca"), "--access-log", log, "--access-log-format", kind)
        client = world.client(proxy, cert="ruder")
        check(client.ask("GET /json HTTP/1.1\nHost: localhost\n\n")[0] == 200, proxy.err())
        client.close()
        line = until(lambda: lines_of(log), "no line in the log")[0]
        check(len(lines_of(log)) == 1 and all(" " <= c <= "~" for c in line), ascii(line))
        check(kind == "text" or "\u009b31m\u202e" in json.loads(line)["peer_subject"], line)


def test_a_backend_that_fails_is_in_the_log(world):
    log = log_of(world)
    port = free_port()
    proxy = world.proxy("--access-log", log, "--backend", f"127.0.0.1:{port}")
    world.client(proxy).read_cut()
    entry = json.loads(until(lambda: lines_of(log), "no line in the log")[0])
    check(entry["end"] == "the backend failed" and not entry["in_order"] and entry["fault"] == "the backend's", entry)
