# SPDX-License-Identifier: Apache-2.0
"""What cases are made of: certificates, the command, TLS clients, backends."""

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_port  # noqa: E402

patience = 1.0  # what machines slower than usual need


def limit():
    """Seconds for anything that must happen."""
    return 30.0 * patience


def is_readable(f, seconds):
    """Within so many seconds; of any descriptor, where select() knows the first 1024."""
    poll = select.poll()
    poll.register(f, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class Failure(Exception):
    """A case went wrong; the text says how."""


def check(what, message):
    if not what:
        raise Failure(message)


def until(what, message, seconds=None):
    """Waits until what() is true, and returns it."""
    seconds = seconds or limit()
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {message}")
        time.sleep(0.02)


# --- certificates -----------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def serving(word, *arguments):
    """Somebody else's server while the `with` lasts, on a free port that stands for PORT in its arguments: the port. It says
    |word| when it listens."""
    for tries_left in (2, 1, 0):
        port, said = free_port(), b""
        server = subprocess.Popen([argument.replace("PORT", str(port)) for argument in arguments], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            while line := server.stdout.readline():
                said += line
                if word in line:
                    yield port
                    return
            check(tries_left, f"{arguments[0]} has ended: {ascii(said)}")  # else somebody else may have taken the port
        finally:
            server.kill()
            server.wait()
            server.stdout.close()


class Pki:
    """Throwaway certificates, made with the openssl command."""

    def __init__(self, directory):
        self.directory = directory
        self.authority("ca")
        self.authority("other-ca")
        self.leaf("server", "ca", "localhost", "DNS:localhost,DNS:milgi.test,IP:127.0.0.1", "serverAuth")
        self.leaf("second", "ca", "second.test", "DNS:second.test", "serverAuth")
        self.leaf("strange", "other-ca", "localhost", "DNS:localhost,IP:127.0.0.1", "serverAuth")
        self.leaf("alice", "ca", "alice", None, "clientAuth")
        self.leaf("mallory", "other-ca", "mallory", None, "clientAuth")

    def path(self, name, end="pem"):
        return os.path.join(self.directory, f"{name}.{end}")

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}")

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-keyout",
                     self.path(name, "key"), "-out", self.path(name), "-subj", f"/CN={name}", "-addext",
                     "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def leaf(self, name, issuer, subject, names, purpose, key=None):
        """With a new key, or that of the file |key|."""
        which = ["-key", key] if key else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                                           self.path(name, "key")]
        self.openssl("req", "-new", *which, "-out", self.path(name, "csr"), "-subj", f"/CN={subject}")
        with open(self.path(name, "ext"), "w") as out:
            out.write(f"keyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\n")
            if names:
                out.write(f"subjectAltName={names}\n")
        self.openssl("x509", "-req", "-in", self.path(name, "csr"), "-CA", self.path(issuer), "-CAkey", self.path(issuer, "key"),
                     "-set_serial", str(time.monotonic_ns()), "-days", "9", "-extfile", self.path(name, "ext"), "-out", self.path(name))


class Token:
    """A token in SoftHSM with one key in it."""

    PIN = "1234"
    MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
               "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")

    @classmethod
    def module(cls):
        """None: there is no SoftHSM here."""
        found = [path for path in (os.environ.get("MILGI_SOFTHSM_MODULE"), *cls.MODULES) if path and os.path.exists(path)]
        return found[0] if found and shutil.which("softhsm2-util") else None

    def __init__(self, directory, key):
        self.directory = directory
        os.makedirs(os.path.join(directory, "tokens"))
        conf = os.path.join(directory, "softhsm2.conf")
        with open(conf, "w") as out:
            out.write(f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": conf}
        self.pin_file = os.path.join(directory, "pin")
        self.set_pin(self.PIN)
        self.util("--init-token", "--free", "--label", "milgi", "--so-pin", "87654321")
        self.util("--import", key, "--token", "milgi", "--label", "server", "--id", "01")
        self.uri = f"pkcs11:token=milgi;object=server;type=private?module-path={self.module()}&pin-source={self.pin_file}"

    def util(self, *arguments):
        done = subprocess.run(["softhsm2-util", *arguments, "--pin", self.PIN], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, **self.environment))
        check(done.returncode == 0, f"softhsm2-util {arguments[0]}: {done.stderr}")

    def set_pin(self, pin):
        with open(self.pin_file, "w") as out:
            out.write(pin + "\n")


# --- the command ------------------------------------------------------------------------------------------------------

class Command:
    """The command under test, once."""

    def __init__(self, world, *arguments, stdin=subprocess.DEVNULL, files=None, denied=None, lacks=None, environment=None, **how):
        self.under = world.under
        argv = [*world.under, world.milgi, *arguments]
        if denied:  # a system call, and its error
            argv = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "deny"), *denied, *argv]
        if lacks:  # capabilities, as if it were not root's
            argv = ["setpriv", "--bounding-set", ",".join(f"-{one}" for one in lacks), *argv]
        if files:
            argv = ["prlimit", f"--nofile={files}:{files}", *argv]
        # memory that a sanitizer holds back is not the command's
        environment = dict(os.environ, **(environment or {}), ASAN_OPTIONS="quarantine_size_mb=1:thread_local_quarantine_size_kb=64")
        self.err_file = tempfile.TemporaryFile(dir=world.work)
        how.setdefault("stderr", self.err_file)
        self.process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, env=environment, **how)

    def err(self):
        size = os.fstat(self.err_file.fileno()).st_size
        return os.pread(self.err_file.fileno(), size, 0).decode("utf-8", "replace")

    def wait(self, seconds=None):
        seconds = seconds or limit()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.process.args[1:3]} did not end within {seconds} s: {self.err()[-300:]}") from None

    def finish(self, data=None):
        """Feeds |data|, waits for the end: (exit status, standard output)."""
        seconds = limit()
        try:
            out, _ = self.process.communicate(data, seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.process.args[1:3]} did not end within {seconds} s: {self.err()[-300:]}") from None
        return self.process.returncode, out

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    pass
        self.err_file.close()


class Proxy(Command):
    """`milgi proxy`, listening."""

    def __init__(self, world, *arguments, cert="server", key=None, listen="127.0.0.1:0", **how):
        pki = world.pki
        identity = ["--cert", pki.path(cert), "--key", key or pki.path(cert, "key")] if cert else []
        super().__init__(world, "proxy", "--listen", listen, *identity, *arguments, **how)
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"listening on (.*):(\d+)\n", line)
        check(found, f"the first line is {line!r}; {self.err()}")
        self.address, self.port = found.group(1), int(found.group(2))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()


COMPLAINT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer|Assertion .* failed|Invalid (read|write)")


class World:
    """One case: its commands and sockets, which all end with it."""

    def __init__(self, milgi, under, work, pki, device, proxies=()):
        self.milgi, self.under, self.work, self.pki = milgi, under, work, pki
        self.device, self.proxies = device, proxies
        self.things = []

    def keep(self, thing):
        self.things.append(thing)
        return thing

    def proxy(self, *arguments, **how):
        return self.keep(Proxy(self, *arguments, *self.device, *self.proxies, **how))

    def run(self, *arguments, data=None, **how):
        """The command from beginning to end: (status, standard output, standard error)."""
        command = self.keep(Command(self, *arguments, stdin=subprocess.PIPE, **how))
        status, out = command.finish(data)
        return status, out, command.err()

    def connect(self, port, *arguments, ca="ca", **how):
        trust = ["--ca", self.pki.path(ca)] if ca else []
        return self.keep(Command(self, "connect", f"127.0.0.1:{port}", *trust, *self.device, *arguments, stdin=subprocess.PIPE,
                                 **how))

    def backend(self, serve):
        return self.keep(Backend(serve))

    def client(self, proxy, **how):
        return self.keep(Client(proxy.port, self.pki, **how))

    def raw(self, proxy):
        sock = socket.create_connection(("127.0.0.1", proxy.port), limit())
        self.keep(sock)
        return sock

    def close(self):
        """Ends everything; a complaint of a sanitizer or a crash is a failure."""
        trouble = None
        for thing in reversed(self.things):
            if isinstance(thing, Proxy) and thing.process.poll() is None:
                thing.process.send_signal(signal.SIGTERM)
                thing.process.send_signal(signal.SIGINT)
                status = None
                try:
                    status = thing.process.wait(limit())
                except subprocess.TimeoutExpired:
                    trouble = "the proxy did not end"
                if status:
                    trouble = f"the proxy ended with {status}"
            if isinstance(thing, Command):
                found = COMPLAINT.search(thing.err())
                if found or (thing.process.returncode or 0) < 0 and thing.process.returncode != -signal.SIGKILL:
                    trouble = f"status {thing.process.returncode}: {thing.err()[:2000]}"
                thing.kill()
            else:
                thing.close()
        check(not trouble, trouble)


# --- the other side ---------------------------------------------------------------------------------------------------

class Backend:
    """A plain TCP server; serve(socket) runs in a thread per connection."""

    def __init__(self, serve):
        self.serve = serve
        self.results = []
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        try:
            result = self.serve(sock)
        except OSError as error:
            result = error
        self.results.append(result)
        if sock.fileno() >= 0:
            sock.close()

    def result(self):
        until(lambda: self.results, "the backend's connection to end")
        return self.results[0]

    def close(self):
        # a blocked accept() holds a closed listener open: shutdown wakes it
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def reset(sock):
    """Closes with a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_all(sock):
    parts = []
    while True:
        data = sock.recv(65536)
        if not data:
            return b"".join(parts)
        parts.append(data)


class Client:
    """Python's TLS client, verifying. |alert| is True when the peer has sent close_notify."""

    def __init__(self, port, pki, cert=None, name="localhost", alpn=None, receive_buffer=None):
        context = ssl.create_default_context(cafile=pki.path("ca"))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if alpn:
            context.set_alpn_protocols(alpn)
        if cert:
            context.load_cert_chain(pki.path(cert), pki.path(cert, "key"))
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(limit())
        sock.connect(("127.0.0.1", port))
        self.tls = context.wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)

    def send(self, data):
        self.tls.sendall(data)

    def read(self, size=65536):
        return self.tls.recv(size)

    def read_end(self):
        """All up to the close_notify."""
        parts = []
        while True:
            data = self.tls.recv(65536)
            if not data:
                return b"".join(parts)
            parts.append(data)

    def read_cut(self):
        """All up to a fatal alert that says that there was more."""
        parts = []
        while True:
            try:
                data = self.tls.recv(65536)
            except ssl.SSLError as error:
                check("internal error" in str(error), f"another end: {error}")
                return b"".join(parts)
            check(data, f"after {sum(map(len, parts))} bytes it ended as if that were all")
            parts.append(data)

    def answer(self):
        """One HTTP answer: (status, head, body)."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = self.tls.recv(1)
            check(data, f"the connection ended in an answer's head: {head!r}")
            head += data
        text = head.decode()
        length = int(re.search(r"(?i)content-length: (\d+)", text).group(1))
        body = b""
        while len(body) < length:
            data = self.tls.recv(length - len(body))
            check(data, "the connection ended in an answer's body")
            body += data
        return int(text.split()[1]), text, body.decode()

    def ask(self, request):
        self.send(request.replace("\n", "\r\n").encode())
        return self.answer()

    def readable(self, seconds):
        return bool(self.tls.pending() or is_readable(self.tls, seconds))

    def close(self):
        self.tls.close()


def memory_of(command):
    """Resident bytes, or 0 where they would not be the command's own."""
    if command.under:
        return 0
    with open(f"/proc/{command.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_of(command):
    """Seconds of processor time that it has used."""
    with open(f"/proc/{command.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def of_process(pid, name):
    """What /proc says of a process: the text of a file; nothing if the process is gone, before it was opened (ENOENT) or after
    (ESRCH)."""
    try:
        with open(f"/proc/{pid}/{name}") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def state_of(pid):
    """The letter of its state, Z for one that ended and was not waited for; nothing if it is gone."""
    return of_process(pid, "stat").rpartition(")")[2].split()[:1]


def children_of(pid):
    """The process ids of its children, in order."""
    return sorted(map(int, of_process(pid, f"task/{pid}/children").split()))


def is_at_rest(pid):
    """Whether it sleeps most of the time, however little of the processor others leave it."""
    asleep = 0
    for _ in range(50):
        asleep += state_of(pid) == ["S"]
        time.sleep(0.01)
    return asleep > 25


def descriptors_of(command):
    """What its descriptors are of; one that is closed meanwhile is not among them."""
    found = []
    directory = f"/proc/{command.process.pid}/fd"
    for fd in os.listdir(directory):
        try:
            found.append(os.readlink(f"{directory}/{fd}"))
        except FileNotFoundError:
            pass
    return found


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
