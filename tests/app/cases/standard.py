# SPDX-License-Identifier: Apache-2.0
"""Standard descriptors: closed, full, read by nobody; what may be shown on them; the first milliseconds."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import tempfile
import termios
import time

from kit import check, free_port, limit, of_process, read_all, until

GET = "GET / HTTP/1.1\nHost: localhost\n\n"


class Channel:
    """Something for standard error, with a reader that does not read until it is told to."""

    KINDS = ("pipe", "fifo", "terminal", "socket")

    def __init__(self, world, kind):
        self.kind = kind
        if kind == "pipe":
            self.reader, self.writer = os.pipe()
        elif kind == "fifo":
            path = os.path.join(world.work, f"fifo-{time.monotonic_ns()}")
            os.mkfifo(path)
            self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self.writer = os.open(path, os.O_WRONLY)
        elif kind == "terminal":
            self.reader, self.writer = pty.openpty()
            attributes = termios.tcgetattr(self.writer)
            attributes[1] &= ~termios.OPOST
            termios.tcsetattr(self.writer, termios.TCSANOW, attributes)
        else:
            self.ends = socket.socketpair()
            self.reader, self.writer = (os.dup(end.fileno()) for end in self.ends)
            for end in self.ends:
                end.close()
        os.set_blocking(self.reader, False)
        world.keep(self)

    def fill(self):
        """Until it takes no more. The open file description stays a blocking one for everybody else."""
        if self.kind == "terminal":
            termios.tcflow(self.writer, termios.TCOOFF)
            return
        mine = self.writer
        os.set_blocking(mine, False)
        try:
            while True:
                os.write(mine, b"#" * 4096)
        except BlockingIOError:
            pass
        try:
            while True:
                os.write(mine, b"#")
        except BlockingIOError:
            pass
        os.set_blocking(mine, True)

    def read(self):
        """What has come by now."""
        if self.kind == "terminal":
            termios.tcflow(self.writer, termios.TCOON)
        parts = []
        try:
            while True:
                parts.append(os.read(self.reader, 65536))
                if not parts[-1]:
                    break
        except (BlockingIOError, OSError):
            pass
        return b"".join(parts).decode("utf-8", "replace")

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


def nobody_reads(world, kind, *arguments):
    """A proxy with something to say all the time, and nobody who reads it."""
    channel = Channel(world, kind)
    channel.fill()
    proxy = world.proxy("--stats-interval", "0.001", *arguments, stderr=channel.writer)
    return channel, proxy


def test_a_standard_error_that_nobody_reads_does_not_stop_the_proxy(world):
    for kind in Channel.KINDS:
        channel, proxy = nobody_reads(world, kind)
        client = world.client(proxy)
        for _ in range(10):
            check(client.ask(GET)[0] == 200, f"{kind}: no answer")
            time.sleep(0.05)
        client.close()
        check(fcntl.fcntl(channel.writer, fcntl.F_GETFL) & os.O_NONBLOCK == 0, f"{kind}: others find it non-blocking")
        proxy.process.send_signal(signal.SIGTERM)
        check(proxy.wait() == 0, f"{kind}: it did not end in order: {proxy.err()}")


def test_what_nobody_read_is_counted_and_told_when_somebody_reads_again(world):
    for kind in Channel.KINDS:
        channel, proxy = nobody_reads(world, kind)
        said = []

        def told(seconds):
            """Whether it is, after so much time in which nobody reads: it depends on the machine how much is said in it."""
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                proxy.process.send_signal(signal.SIGUSR1)  # pages of it
                time.sleep(0.01)
            end = time.monotonic() + 2
            while time.monotonic() < end and "messages were dropped: nobody was reading standard error" not in "".join(said):
                said.append(channel.read())
                time.sleep(0.02)
            return "messages were dropped" in "".join(said)
        check(any(told(seconds) for seconds in (2, 4, 8, 16)), f"{kind}: it is not told: {''.join(said)[-300:]}")
        lines = "".join(said).lstrip("#").split("\n")[:-1]
        ours = [line for line in lines if " accepted " in line or " dropped" in line]
        check(ours and all(line.startswith("milgi proxy: ") for line in ours), f"{kind}: half a sentence: {ours[:3]}")
        check(proxy.stop() == 0, f"{kind}: the exit status")


def test_workers_and_their_master_go_on_when_nobody_reads_what_they_say(world):
    for kind in ("pipe", "socket"):
        _, proxy = nobody_reads(world, kind, "--workers", "2")
        for _ in range(5):
            client = world.client(proxy)
            check(client.ask(GET)[0] == 200, f"{kind}: no answer")
            client.close()
            proxy.process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
        check(proxy.stop() == 0, f"{kind}: the exit status")


def test_a_standard_error_that_is_closed_at_the_other_end_does_no_harm(world):
    for kind in ("pipe", "socket"):
        channel = Channel(world, kind)
        proxy = world.proxy("--stats-interval", "0.01", stderr=channel.writer)
        os.close(channel.reader)
        channel.reader = os.open("/dev/null", os.O_RDONLY)
        os.close(channel.writer)
        channel.writer = os.open("/dev/null", os.O_RDONLY)
        time.sleep(0.3)
        check(world.client(proxy).ask(GET)[0] == 200, f"{kind}: no answer")
        check(proxy.stop() == 0, f"{kind}: the exit status")


def test_connect_goes_on_when_nobody_reads_what_it_says(world):
    proxy = world.proxy()
    for kind in Channel.KINDS:
        channel = Channel(world, kind)
        channel.fill()
        command = world.connect(proxy.port, "--json", stderr=channel.writer)
        status, out = command.finish(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        check(status == 0 and out.startswith(b"HTTP/1.1 200"), f"{kind}: {status} {out[:50]!r}")


# --- standard output --------------------------------------------------------------------------------------------------

def shell(world, line, **how):
    """A command line of the shell, in which $milgi is the command: (status, standard error)."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=limit(), stdin=subprocess.DEVNULL,
                          env=dict(os.environ, milgi=" ".join([*world.under, world.milgi]), ca=world.pki.path("ca")), **how)
    return done.returncode, done.stderr.decode()


def test_output_that_does_not_arrive_is_an_error(world):
    proxy = world.proxy()
    ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | $milgi connect 127.0.0.1:{proxy.port} --ca $ca"
    for command in ("$milgi --help", "$milgi --version", "$milgi connect --help", "$milgi devices cpu", ask):
        for where in (">/dev/full", ">&-"):
            status, err = shell(world, f"{command} {where}")
            check(status == 1 and "standard output: " + ("no space" if "full" in where else "bad file") in err.lower(),
                  f"{command} {where}: {status} {err}")


def test_a_proxy_without_a_standard_output_serves_and_says_so(world):
    for where in (">&-", ">/dev/full"):
        port = free_port()
        pki = world.pki
        err = tempfile.TemporaryFile(dir=world.work)
        process = subprocess.Popen(["bash", "-c", f"exec {' '.join([*world.under, world.milgi])} proxy --listen 127.0.0.1:{port} "
                                    f"--cert {pki.path('server')} --key {pki.path('server', 'key')} {where}"], stderr=err)
        try:
            until(lambda: b"cannot write to standard output" in os.pread(err.fileno(), 10000, 0), f"{where}: a word about it")
            socket.create_connection(("127.0.0.1", port), limit()).close()
        finally:
            process.send_signal(signal.SIGTERM)
            check(process.wait(limit()) == 0, f"{where}: {process.returncode}")
            err.close()


def test_closed_standard_descriptors_do_not_become_sockets(world):
    pki = world.pki
    for closed in ("<&-", "<&- >&-", "<&- >&- 2>&-", "2>&-", ">&- 2>&-"):
        port = free_port()
        process = subprocess.Popen(["bash", "-c", f"exec {' '.join([*world.under, world.milgi])} proxy --listen 127.0.0.1:{port} "
                                    f"--cert {pki.path('server')} --key {pki.path('server', 'key')} --stats-interval 0.01 {closed}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def serves():
                with socket.socket() as sock:
                    return sock.connect_ex(("127.0.0.1", port)) == 0
            until(serves, f"{closed}: it to listen")
            for number in (0, 1, 2):
                what = os.readlink(f"/proc/{process.pid}/fd/{number}")
                check("socket" not in what and "anon_inode" not in what, f"{closed}: {number} is {what}")
            sock = socket.create_connection(("127.0.0.1", port))
            time.sleep(0.1)
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            check(read_all(sock)[:1] in (b"", b"\x15"), f"{closed}: a client gets messages")
            sock.close()
        finally:
            process.send_signal(signal.SIGTERM)
            check(process.wait(limit()) == 0, f"{closed}: the exit status")


# --- what may be shown ------------------------------------------------------------------------------------------------

def test_no_pin_is_shown_wherever_it_stands(world):
    pin = "73-91"
    keys = [f"pkcs11:token=none;pin-value={pin};object=x", f"pkcs11:token=none;object=x;pin-value={pin}",
            f"pkcs11:token=none?pin-value={pin}", f"PKCS11:token=none;pin-value={pin}", f" pkcs11:token=none;pin-value={pin}",
            f"PkCs11:token=none?x=y&PIN-Value={pin}", f"pkcs11:token=none;pin%2dvalue={pin}", f"token=none;pin-value={pin}",
            f"pkcs11:token=none;pin-value=1: {pin}", f"pkcs11:token=none;pin-value=1 {pin}", f"./pkcs11:pin-value={pin}",
            f"pkcs11:token=none;pin-value={pin};module-path=/none.so", f"pkcs11:pin-value = {pin}"]
    base = ["proxy", "--listen", "127.0.0.1:0", "--cert", world.pki.path("server"), "--key"]
    for key in keys:
        for arguments in ([*base, key], [*base[:-1], f"--key={key}"], [*base[:-1], f"--kye={key}"], ["proxy", key],
                          [*base, world.pki.path("server", "key"), "--device", key],
                          [*base, world.pki.path("server", "key"), "--max-conns", key],
                          ["connect", key], ["devices", key], [key], [*base[:3], "--cert", key, "--key", "x"]):
            status, out, err = world.run(*arguments)
            check(status in (1, 2), f"{arguments}: {status} {err}")
            check("-91" not in err and "-91" not in out.decode(), f"{arguments}: {err}")


def test_what_a_peer_or_an_argument_says_gives_no_orders_to_a_terminal(world):
    for evil in ("\x1b[2J", "\x9b2J".encode("latin-1").decode("latin-1"), "\u202egnp", "\u2066x", "a\rb", "a\nb", "\u200b",
                 "\ufeff", "\x7f", "\udcff"):
        status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", f"no{evil}file", "--key", "x")
        check(status == 1 and "\\x" in err, f"{evil!r}: {status} {err!r}")
        check(len(err.splitlines()) == 1 and all(c == "\n" or c.isprintable() for c in err), f"{evil!r}: {err!r}")
        check("no" in err and "file" in err, f"{evil!r}: {err!r}")
    status, _, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", "n\u00f6\u65e5\u672c\U0001f600", "--key", "x")
    check("n\u00f6\u65e5\u672c\U0001f600: " in err, f"harmless letters were changed: {err!r}")


def test_a_subject_with_control_characters_is_shown_without_and_is_json_still(world):
    pki = world.pki
    for evil in ("x\x1b[31m", "x\u202ey", "x\x7fy"):
        name = f"evil-{time.monotonic_ns()}"
        pki.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-keyout",
                    pki.path(name, "key"), "-out", pki.path(name, "csr"), "-subj", f"/CN={evil}")
        with open(pki.path(name, "ext"), "w") as out:
            out.write("keyUsage=critical,digitalSignature\nsubjectAltName=IP:127.0.0.1\n")
        pki.openssl("x509", "-req", "-in", pki.path(name, "csr"), "-CA", pki.path("ca"), "-CAkey", pki.path("ca", "key"),
                    "-set_serial", str(time.monotonic_ns()), "-days", "9", "-extfile", pki.path(name, "ext"), "-out", pki.path(name))
        proxy = world.proxy(cert=name)
        for arguments in ([], ["--json"]):
            command = world.connect(proxy.port, *arguments)
            command.finish(b"GET / HTTP/1.0\r\n\r\n")
            err = command.err()
            check(all(c == "\n" or c.isprintable() for c in err), f"{evil!r}: {err!r}")
            if arguments:
                check("CN=" in json.loads(err.splitlines()[0])["peer_subject"], err)


# --- the first milliseconds -------------------------------------------------------------------------------------------

def begun(pid):
    """Whether the process has come to main(): then it ignores SIGPIPE."""
    ignored = re.search(r"^SigIgn:\s*(\S+)", of_process(pid, "status"), re.M)
    return ignored and int(ignored[1], 16) & 1 << (signal.SIGPIPE - 1)


def test_signals_of_the_first_milliseconds_are_heard_later(world):
    for which in (signal.SIGHUP, signal.SIGUSR1):
        for delay in (0, 0.001, 0.003, 0.01):
            for workers in ("1", "2"):
                pki = world.pki
                process = subprocess.Popen([*world.under, world.milgi, "proxy", "--listen", "127.0.0.1:0", "--cert", pki.path("server"),
                                            "--key", pki.path("server", "key"), "--workers", workers],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                try:
                    until(lambda: begun(process.pid) or process.poll() is not None, "main()")
                    time.sleep(delay)
                    process.send_signal(which)
                    line = process.stdout.readline()
                    check(line.startswith(b"listening on"), f"{which} after {delay}: {process.poll()}")
                    if which == signal.SIGHUP and workers == "1":
                        check(b"reloaded" in process.stderr.readline(), "it was forgotten")
                    process.send_signal(signal.SIGTERM)
                    check(process.wait(limit()) == 0, f"{which} after {delay}: {process.returncode}")
                finally:
                    process.kill()
                    process.wait()
                    process.stdout.close()
                    process.stderr.close()
