# SPDX-License-Identifier: Apache-2.0
"""The built-in HTTP server."""

import json
import os
import re
import signal
import ssl
import time

from kit import Failure, check, children_of, memory_of, until

GET = "GET / HTTP/1.1\nHost: localhost\n\n"


def expect(client, request, status):
    got, head, body = client.ask(request)
    check(got == status, f"{request[:60]!r}: {got}, not {status}")
    return head, body


def ends(client):
    check(client.read_end() == b"", "something came behind the answer")


def test_the_page_tells_the_parameters(world):
    client = world.client(world.proxy("--alpn", "http/1.1"), alpn=["h2", "http/1.1"])
    head, body = expect(client, GET, 200)
    check("text/html" in head, head)
    for label, value in (("Protocol", "TLSv1.3"), ("Suite", "TLS_AES_[A-Z0-9_]+"), ("Group", "x25519"), ("ALPN", "http/1.1"),
                         ("Signature scheme", "ecdsa_secp256r1_sha256"), ("Server name \\(SNI\\)", "localhost"),
                         ("Client certificate", "none")):
        check(re.search(f'<th scope="row">{label}</th> <td>{value}</td>', body), f"no {label}: {value} in the page")
    check(re.search(r"<td[^>]*>cpu</td> <td[^>]*>in service</td>", body), "no device in the page")


def test_json_tells_the_same(world):
    client = world.client(world.proxy())
    head, body = expect(client, "GET /json?x=1 HTTP/1.1\nHost: localhost\n\n", 200)
    told = json.loads(body)
    check("application/json" in head, head)
    connection = told["connection"]
    check(connection["protocol"] == "TLSv1.3" and connection["suite"] == client.tls.cipher()[0], connection)
    check(connection["server_name"] == "localhost" and connection["alpn"] is None, connection)
    devices = [device["name"] for device in told["devices"]]
    check(devices in (["cpu", "pool"], ["cpu", "pool", "batch"]), told["devices"])  # batch: a processor with vector lanes
    check(sum(device["ops"]["SIGN"]["completed"] for device in told["devices"]) == 1, told["devices"])
    check(told["server"]["established"] == 1, told["server"])


def test_several_requests_share_a_connection(world):
    client = world.client(world.proxy())
    for _ in range(3):
        expect(client, GET, 200)
    client.send(GET.replace("\n", "\r\n").encode() * 3)
    for _ in range(3):
        check(client.answer()[0] == 200, "a pipelined request was not answered")


def test_a_request_may_come_byte_by_byte(world):
    client = world.client(world.proxy())
    for byte in GET.replace("\n", "\r\n").encode():
        client.send(bytes([byte]))
    check(client.answer()[0] == 200, "no answer")


def test_head_has_no_body(world):
    client = world.client(world.proxy())
    client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = b""
    while b"404 Not Found" not in head:
        head += client.read()
    check(b"<html" not in head, "HEAD was answered with a body")
    check(re.match(rb"HTTP/1.1 200 OK\r\n(.+\r\n)*Content-Length: [1-9]", head), head)


def test_what_it_does_not_have_is_404_and_what_it_does_not_do_405(world):
    client = world.client(world.proxy())
    expect(client, "GET /etc/passwd HTTP/1.1\nHost: localhost\n\n", 404)
    head, _ = expect(client, "POST / HTTP/1.1\nHost: localhost\nContent-Length: 3\n\nabc", 405)
    check("Allow: GET, HEAD" in head, head)
    expect(client, GET, 200)


def test_the_end_is_the_clients_choice(world):
    proxy = world.proxy()
    for request in ("GET / HTTP/1.1\nHost: x\nConnection: close\n\n", "GET / HTTP/1.0\n\n"):
        client = world.client(proxy)
        expect(client, request, 200)
        ends(client)


def test_bad_requests_are_answered_and_end(world):
    proxy = world.proxy()
    long = "x" * 3000
    for request, status in (("\x00\x01\x02\n\n", 400), ("GET /\n\n", 400), ("PRI * HTTP/2.0\n\nSM\n\n", 400),
                            (f"GET /{long} HTTP/1.1\nHost: x\n\n", 414),
                            (f"GET / HTTP/1.1\nHost: x\nX: {long * 6}\n\n", 431),
                            ("POST / HTTP/1.1\nHost: x\nContent-Length: 100000\n\n" + "y" * 100000, 413),
                            ("GET / HTTP/1.1\nHost: x\nContent-Length: 1\nContent-Length: 2\n\n", 400)):
        client = world.client(proxy)
        expect(client, request, status)
        ends(client)
    expect(world.client(proxy), "GET / HTTP/1.1\nUser: me\n\n", 400)


def test_pipelined_requests_do_not_pile_up_answers(world):
    proxy = world.proxy()
    client = world.client(proxy, receive_buffer=4096)
    before, wanted = memory_of(proxy), 3000
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * wanted)
    client.send(b"GET /nothing HTTP/1.0\r\n\r\n")
    time.sleep(0.5)
    until(lambda: memory_of(proxy) - before < 6 << 20, "the proxy's memory stays bounded", 1)
    text = client.read_end()
    check(text.count(b"200 OK\r\n") == wanted and b"404 Not Found" in text, f"{text.count(b'200 OK')} answers")
    check(memory_of(proxy) - before < 6 << 20, "the proxy's memory has grown")


def test_a_client_certificate_is_shown(world):
    proxy = world.proxy("--client-ca", world.pki.path("ca"))
    _, body = expect(world.client(proxy, cert="alice"), GET, 200)
    check("<td>CN=alice</td>" in body, "the page does not name the client")
    _, body = expect(world.client(proxy, cert="alice"), "GET /json HTTP/1.1\nHost: x\n\n", 200)
    check(json.loads(body)["connection"]["peer_subject"] == "CN=alice", body)
    for cert in (None, "mallory"):
        try:
            world.client(proxy, cert=cert).ask(GET)
        except ssl.SSLError as error:
            check("alert" in str(error), error)
        else:
            raise Failure(f"a client with the certificate {cert} was served")


def test_a_client_certificate_may_be_optional(world):
    proxy = world.proxy("--client-ca", world.pki.path("ca"), "--client-auth", "optional")
    _, body = expect(world.client(proxy), GET, 200)
    check("alice" not in body, "a name from nowhere")
    _, body = expect(world.client(proxy, cert="alice"), GET, 200)
    check("CN=alice" in body, "the page does not name the client")


def test_the_certificate_follows_the_name(world):
    pki = world.pki
    proxy = world.proxy("--cert", pki.path("second"), "--key", pki.path("second", "key"))
    for name in ("second.test", "localhost", "milgi.test"):
        expect(world.client(proxy, name=name), GET, 200)


def test_the_keylog_is_for_its_owner(world):
    path = os.path.join(world.work, "keylog")
    client = world.client(world.proxy("--keylog", path))
    expect(client, GET, 200)
    with open(path) as log:
        labels = {line.split()[0] for line in log}
    check("SERVER_TRAFFIC_SECRET_0" in labels and "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in labels, labels)
    check(os.stat(path).st_mode & 0o777 == 0o600, "others may read it")


def test_sigusr1_writes_the_statistics(world):
    proxy = world.proxy("--device", "pool:2", "--records", "device")
    expect(world.client(proxy), GET, 200)
    proxy.process.send_signal(signal.SIGUSR1)
    until(lambda: re.search("^  most in flight +[0-9]+ +[0-9]+$", proxy.err(), re.M), "no statistics")
    err = proxy.err()
    for line in ("^milgi proxy.*: statistics$", "^engine: [0-9]+ turns, ", "^device 0: cpu, in service", "^device 1: pool:2, in service",
                 "^  SIGN +1 submitted +1 completed$"):
        check(re.search(line, err, re.M), f"no {line!r} in {err}")
    expect(world.client(proxy), GET, 200)


def test_vector_lanes_serve_a_crowd(world):
    serving = world.proxy("--device", "batch:lanes=libcrypto")
    clients = [world.client(serving) for _ in range(24)]
    for client in clients:
        expect(client, GET, 200)
    serving.process.send_signal(signal.SIGUSR1)
    until(lambda: re.search("^device 1: batch:lanes=libcrypto, in service", serving.err(), re.M), "no statistics")
    check(re.search("^  SIGN +24 submitted +24 completed$", serving.err(), re.M), serving.err())


def test_sigusr1_has_one_answer_of_all_workers(world):
    proxy = world.proxy("--workers", "2")
    for _ in range(6):
        expect(world.client(proxy), GET, 200)
    proxy.process.send_signal(signal.SIGUSR1)
    until(lambda: len(re.findall("^engine: ", proxy.err(), re.M)) == 2, "not two engines")
    err = proxy.err()
    check(len(re.findall("^milgi proxy: statistics$", err, re.M)) == 1, err)
    check(re.search("^all workers: connections [0-6] accepted 6 established 6 failed 0 ", err, re.M), err)
    each = re.findall("^worker [0-9]+: .* accepted ([0-9]+) ", err, re.M)
    check(len(each) == 2 and sum(map(int, each)) == 6, err)
    check(proxy.stop() == 0, proxy.err())


def test_a_worker_that_does_not_answer_is_not_waited_for(world):
    proxy = world.proxy("--workers", "2")
    children = children_of(proxy.process.pid)
    os.kill(children[0], signal.SIGSTOP)
    proxy.process.send_signal(signal.SIGUSR1)
    until(lambda: f"worker {children[0]}: no answer" in proxy.err(), "no answer of the others")
    check(len(re.findall("^engine: ", proxy.err(), re.M)) == 1, proxy.err())
    os.kill(children[0], signal.SIGCONT)
    check(proxy.stop() == 0, proxy.err())


test_several_requests_share_a_connection.devices = True
