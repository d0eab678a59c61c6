# SPDX-License-Identifier: Apache-2.0
"""Processes with a deadline: every child is in a group of its own and is killed when its case ends."""

import atexit
import errno
import hashlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time

KEEP = 1 << 17  # bytes of a child's output kept as text; the rest is only counted and hashed
BLOCK = 1 << 17


class Failure(Exception):
    """A case went wrong; the text is the reason that is printed."""


class Deadline:
    """The one time limit of a case; everything that waits asks it how long it may."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self, what):
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise Failure(f"timed out: {what}")
        return seconds


class Output:
    """What a child wrote to one of its pipes, read by a thread of its own."""

    def __init__(self, fd, forward=None):
        self.fd = fd
        self.count = 0
        self.head = b""
        self.ended = False
        self._in_head = False
        self._before = b""
        self._hash = hashlib.sha256()
        self._forward = forward
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                data = os.read(self.fd, BLOCK)
            except OSError:
                data = b""
            if self._forward:
                self._forward(data)
            with self._changed:
                counted = self._body(data) if self._in_head else data
                self.count += len(counted)
                self._hash.update(counted)
                if len(self.head) < KEEP:
                    self.head += data[:KEEP - len(self.head)]
                self.ended = not data
                self._changed.notify_all()
            if not data:
                os.close(self.fd)
                return

    def skip_head(self):
        """Leaves an HTTP answer's head out of the count and the hash; to be called before anything is asked for."""
        self._in_head = True

    def _body(self, data):
        self._before += data
        _, end, body = self._before.partition(b"\r\n\r\n")
        if end:
            self._in_head = False
        return body

    def text(self):
        return self.head.decode("utf-8", "replace")

    def digest(self):
        with self._changed:
            return self._hash.hexdigest()

    def wait(self, condition, deadline, what):
        """Waits until condition(self) or the end of the output; says whether the condition holds."""
        with self._changed:
            while not condition(self) and not self.ended:
                self._changed.wait(deadline.left(what))
            return condition(self)

    def wait_count(self, count):
        """Waits until that many bytes came; False if the output ended before."""
        with self._changed:
            self._changed.wait_for(lambda: self.count >= count or self.ended)
            return self.count >= count

    def wait_end(self, deadline, what):
        self.wait(lambda out: out.ended, deadline, what)


class Child:
    """A running program. Its stdin is a socket pair's end, since tstclnt never sees the end of a pipe."""

    _living = set()
    _lock = threading.Lock()

    def __init__(self, argv, log, *, env=None, cwd=None, echo=False):
        self.argv = [str(a) for a in argv]
        self.name = os.path.basename(self.argv[0])
        self.log = log
        mine, theirs = socket.socketpair()
        self._stdin = mine
        try:
            self.popen = subprocess.Popen(self.argv, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True, bufsize=0)
        except OSError as error:
            mine.close()
            raise Failure(f"cannot start {self.name}: {error.strerror}") from error
        finally:
            theirs.close()
        with self._lock:
            self._living.add(self)
        self.out = Output(os.dup(self.popen.stdout.fileno()), self._echo() if echo else None)
        self.err = Output(os.dup(self.popen.stderr.fileno()))
        self.popen.stdout.close()
        self.popen.stderr.close()

    def send(self, data):
        try:
            self._stdin.sendall(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EBADF):
                raise

    def send_file(self, path, window=None, then=None):
        """Starts sending a file's bytes, at most |window| ahead of what came back; calls then() after the last."""
        def pump():
            sent = 0
            try:
                with open(path, "rb") as source:
                    while data := source.read(BLOCK if window is None else min(BLOCK, window)):
                        if window is not None and not self.out.wait_count(sent + len(data) - window):
                            return
                        self._stdin.sendall(data)
                        sent += len(data)
            except OSError:
                return  # the child is gone; what it printed tells the case
            if then:
                then()
        threading.Thread(target=pump, daemon=True).start()

    def _echo(self):
        """Sends back what the child prints, from a thread that may block while the output is still read."""
        waiting = queue.SimpleQueue()

        def pump():
            while data := waiting.get():
                self.send(data)
        threading.Thread(target=pump, daemon=True).start()
        return waiting.put

    def end_input(self):
        try:
            self._stdin.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def wait(self, deadline, what=None):
        what = what or f"{self.name} to end"
        try:
            status = self.popen.wait(deadline.left(what))
        except subprocess.TimeoutExpired as error:
            raise Failure(f"timed out: {what}") from error
        self.out.wait_end(deadline, what)
        self.err.wait_end(deadline, what)
        return status

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def kill(self):
        """Ends the child and whatever it started, and keeps its output in the case's log."""
        with self._lock:
            if self not in self._living:
                return
            self._living.discard(self)
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        status = self.popen.wait()
        self._stdin.close()
        self.log(f"$ {' '.join(self.argv)}\n[status {status}]\n--- stdout ({self.out.count} bytes)\n"
                 f"{self.out.text()[:8000]}\n--- stderr\n{self.err.text()[:8000]}\n")

    def report(self):
        """The JSON report that the peers written for these tests put at the end of stderr."""
        found = re.findall(r"^PEER (\{.*\})$", self.err.text(), re.M)
        return json.loads(found[-1]) if found else {}

    @classmethod
    def kill_all(cls):
        with cls._lock:
            living = list(cls._living)
        for child in living:
            child.kill()


atexit.register(Child.kill_all)


def listening(port):
    """Whether somebody listens on the TCP port, told by the kernel's table so that no connection is wasted."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):  # a kernel without IPv6
            continue
        with open(table) as lines:
            for line in lines:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    return True
    return False


def wait_listening(child, port, deadline):
    while not listening(port):
        if not child.running():
            raise Failure(f"{child.name} ended before it listened: {child.err.text().strip()[-300:]}")
        deadline.left(f"{child.name} to listen")
        time.sleep(0.01)
