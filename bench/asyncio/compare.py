#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How late an event loop is under a storm of handshakes with RSA-4096: asyncio with its own ssl, and with Milgi.

    scripts/bench asyncio [--clients N] [--seconds S] [--rounds N] [--device SPEC]... [--json FILE]

Each server is a process of its own, which accepts connections and notes how late a timer of 1 ms is called; clients in
another process, the same for both, make full handshakes one after the other, N at a time, and close. The two servers
take turns. Prints for each round, and the ratio of the medians of the rounds' 99th percentiles.
"""

import argparse
import asyncio
import datetime
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time


async def serve(stack, chain, key, devices):
    async def handler(reader, writer):
        try:
            while data := await reader.read(1000):
                writer.write(data)
        except OSError:
            pass
        writer.close()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    if stack == "milgi":
        import milgi
        import milgi.aio
        milgi.aio.engine(**({"devices": devices} if devices else {}))
        context = milgi.Context.server(milgi.Credential(chain, key), tickets=False)
        server = await milgi.aio.start_server(handler, "127.0.0.1", 0, ssl=context, backlog=1024)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    late, over, counting = [], asyncio.Event(), False
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)

    def tick(due):
        now = loop.time()
        if counting:
            late.append(now - due)
        if not over.is_set():
            loop.call_at(now + 0.001, tick, now + 0.001)
    tick(loop.time())
    await commands.readline()
    counting, began, cpu = True, time.monotonic(), time.process_time()
    await commands.readline()
    counting = False
    over.set()
    late.sort()
    print(json.dumps({"p50_ms": late[len(late) // 2] * 1e3, "p90_ms": late[len(late) * 90 // 100] * 1e3,
                      "p99_ms": late[len(late) * 99 // 100] * 1e3, "max_ms": late[-1] * 1e3, "n": len(late),
                      "slow": sum(1 for x in late if x > 0.1), "seconds": time.monotonic() - began,
                      "cpu_s": time.process_time() - cpu}), flush=True)
    await commands.read()  # until all is over
    server.close()


async def storm(port, ca, clients, seconds):
    context = ssl.create_default_context(cafile=ca)
    done, ends = 0, time.monotonic() + seconds

    async def one():
        nonlocal done
        while time.monotonic() < ends:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
                writer.write(b"x")
                await reader.readexactly(1)
                done += 1
                writer.transport.abort()
            except (OSError, EOFError):
                pass
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    await asyncio.gather(*(one() for _ in range(clients)))
    print(done, flush=True)


def measure(args, stack, chain, key):
    here = os.path.abspath(__file__)
    server = subprocess.Popen([sys.executable, here, "--serve", stack, chain, key, *("--device=" + d for d in args.device)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().strip()
    load = subprocess.Popen([sys.executable, here, "--storm", port, chain, "--clients", str(args.clients), "--seconds",
                             str(args.seconds + 1)], stdout=subprocess.PIPE, text=True)
    time.sleep(0.7)
    server.stdin.write("\n")
    server.stdin.flush()
    time.sleep(args.seconds)
    server.stdin.write("\n")
    server.stdin.flush()
    result = json.loads(server.stdout.readline())
    result["handshakes_per_s"] = int(load.communicate()[0]) / (args.seconds + 1)
    server.stdin.close()
    server.wait()
    print("%-6s  late by p50 %7.2f ms  p90 %7.2f ms  p99 %7.2f ms  most %7.2f ms; above 100 ms: %d; %4.0f handshakes/s; "
          "loop called %d times" % (stack, result["p50_ms"], result["p90_ms"], result["p99_ms"], result["max_ms"],
                                    result["slow"], result["handshakes_per_s"], result["n"]), flush=True)
    return result


def processor():
    with open("/proc/cpuinfo") as f:
        names = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    return "%s, %d CPUs" % (names[0] if names else "?", len(names))


def versions():
    import milgi
    return "Python %s, %s; milgi %s" % (sys.version.split()[0], ssl.OPENSSL_VERSION, milgi.__version__)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", action="append", default=[])
    parser.add_argument("--json", metavar="FILE", help="keep the rounds, for bench/delay/page")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--storm", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(*args.serve, args.device))
        return
    if args.storm:
        asyncio.run(storm(int(args.storm[0]), args.storm[1], args.clients, args.seconds))
        return
    about = {"host": "asyncio", "what": "delay of the event loop", "machine": processor(), "load": os.getloadavg()[0],
             "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "versions": versions(),
             "clients": args.clients, "seconds": args.seconds}
    print("%(machine)s, load %(load).1f; %(versions)s; %(clients)d clients" % about)
    rounds = []
    with tempfile.TemporaryDirectory() as work:
        chain, key = os.path.join(work, "chain.pem"), os.path.join(work, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain], check=True,
                       stderr=subprocess.DEVNULL)
        for _ in range(args.rounds):
            rounds.append({name: measure(args, stack, chain, key) for name, stack in (("host", "ssl"), ("ours", "milgi"))})
    if args.json:
        with open(args.json, "w", encoding="ascii") as f:
            json.dump({**about, "rounds": rounds}, f, indent=1)
    ours, theirs = (statistics.median(r[name]["p99_ms"] for r in rounds) for name in ("ours", "host"))
    print("p99: %.2f ms to %.2f ms, %.3f of it" % (ours, theirs, ours / theirs))


if __name__ == "__main__":
    main()
