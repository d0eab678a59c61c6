# SPDX-License-Identifier: Apache-2.0
"""An nginx with Milgi's modules, backends behind it, and clients: what the cases need."""

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

PATIENCE = 120  # seconds for anything that must happen
MODULES = "/usr/lib/nginx/modules"
SERVERS = ("one.test", "two.test", "closed.test")  # certificates, with one authority


class Failed(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failed(what)


def equal(got, wanted, what):
    check(got == wanted, "%s: %.300r instead of %.300r" % (what, got, wanted))


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < end, "waited in vain: " + what)
        time.sleep(0.02)


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, **more).stdout


# --- certificates --------------------------------------------------------------------------------------------------------

def make_certificates(work):
    def openssl(*args):
        run("openssl", *args, cwd=work)

    for name, key in (("ca", "EC"), ("other-ca", "EC")):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
                "-out", name + ".pem", "-days", "2", "-subj", "/CN=" + name)
    for name in (*SERVERS, "client", "stranger", "rsa.test"):
        ca = "other-ca" if name == "stranger" else "ca"
        key = ("rsa:2048",) if name == "rsa.test" else ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        with open(os.path.join(work, "names"), "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:%s,DNS:*.%s\n" % (name, name))
        openssl("req", "-newkey", *key, "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/O=Test/CN=" + name)
        openssl("x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial", "-days", "2",
                "-extfile", "names", "-out", name + ".pem")
    openssl("pkey", "-in", "one.test.key", "-aes256", "-passout", "pass:sesame", "-out", "locked.key")
    with open(os.path.join(work, "ca.conf"), "w", encoding="ascii") as file:
        file.write("[ca]\ndefault_ca = a\n[a]\ndatabase = index.txt\ndefault_md = sha256\n")
    open(os.path.join(work, "index.txt"), "w", encoding="ascii").close()
    of = ("ca", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key")
    for crl, revoked in (("good.crl", None), ("revoked.crl", "client.pem")):
        if revoked:
            openssl(*of, "-revoke", revoked)
        openssl(*of, "-gencrl", "-crldays", "2", "-out", crl)


# --- nginx ---------------------------------------------------------------------------------------------------------------

HEAD = """
load_module %(system)s/ngx_stream_module.so;
load_module %(modules)s/ngx_milgi_module.so;
load_module %(modules)s/ngx_stream_milgi_module.so;
daemon off; pid nginx.pid; error_log error.log info; worker_processes 1; %(user)s
%(main)s
events { worker_connections %(connections)d; }
"""
HTTP = """
http {
    access_log off; default_type text/plain; server_tokens off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    %(http)s
}
"""


def tls(name, more=""):
    return "milgi on; milgi_certificate %s.pem; milgi_certificate_key %s.key; %s" % (name, name, more)


class Nginx:
    """|http|, |stream|: servers, with %(a)d, %(b)d ... for ports; |backends|: ports of others, by name."""

    def __init__(self, rig, http="", stream="", main="", connections=8192, **backends):
        self.rig, self.work = rig, tempfile.mkdtemp(dir=rig.work)
        for name in os.listdir(rig.work):
            if name.endswith((".pem", ".key", ".crl", ".words")):
                os.symlink(os.path.join(rig.work, name), os.path.join(self.work, name))
        os.chmod(self.work, 0o755)
        self.http, self.stream, self.main, self.backends = http, stream, main, backends
        self.connections, self.allowed = connections, ()
        for attempt in range(5):
            self.ports = {}
            self.write()
            self.log = open(os.path.join(self.work, "output"), "wb")
            self.process = subprocess.Popen([*rig.under, rig.nginx, "-p", self.work, "-c", "nginx.conf"], stdout=self.log,
                                            stderr=self.log, cwd=self.work, env=rig.environment)
            wait_for(lambda: self.process.poll() is not None or self.worker(), "nginx starts")
            if self.process.poll() is None:
                break
            check("Address already in use" in self.errors() and attempt < 4, "nginx does not start: " + self.errors())
        self.descriptors = self.count()

    def port(self, name):
        if name not in self.ports:
            with socket.create_server(("127.0.0.1", 0)) as sock:
                self.ports[name] = sock.getsockname()[1]
        return self.ports[name]

    def write(self):
        text = HEAD % {"system": MODULES, "connections": self.connections, "modules": self.rig.modules, "user": "user root;" if os.getuid() == 0 else "",
                       "main": self.main or "milgi_device %s; %s" % (self.rig.device, self.rig.records)}
        text += HTTP % {"http": self.http} if self.http else ""
        text += "stream { %s }" % self.stream if self.stream else ""
        for name in set(re.findall(r"%\((\w+)\)d", text)):
            text = text.replace("%%(%s)d" % name, str(self.backends.get(name) or self.port(name)))
        with open(os.path.join(self.work, "nginx.conf"), "w", encoding="ascii") as file:
            file.write(text)

    def errors(self):
        said = ""
        for name in ("error.log", "output"):
            with contextlib.suppress(OSError), open(os.path.join(self.work, name), encoding="utf-8", errors="replace") as file:
                said += file.read()
        return said

    def workers(self):
        with contextlib.suppress(OSError, ValueError):
            with open(os.path.join(self.work, "nginx.pid"), encoding="ascii") as file:
                master = int(file.read())
            with open("/proc/%d/task/%d/children" % (master, master), encoding="ascii") as file:
                return [int(child) for child in file.read().split()]
        return []

    def worker(self):
        """The newest, once it serves."""
        said = self.errors()
        workers = [w for w in self.workers() if re.search(r" %d#%d: milgi \S+ is ready" % (w, w), said)]
        return workers[-1] if workers else None

    def count(self):
        """Descriptors of the worker, once it is at rest."""
        worker, before = self.worker(), -1
        while True:
            try:
                now = len(os.listdir("/proc/%d/fd" % worker))
            except OSError:
                return -1
            if now == before:
                return now
            before = now
            time.sleep(0.1)

    def signal(self, number):
        os.kill(self.process.pid if not self.rig.under else int(open(os.path.join(self.work, "nginx.pid")).read()), number)

    def reload(self):
        before = self.worker()
        self.signal(signal.SIGHUP)
        wait_for(lambda: self.worker() not in (None, before), "another worker")
        wait_for(lambda: self.is_ending(before), "the worker before has been told to end")

    def is_ending(self, worker):
        """It has gone, or says in its title that it is on its way: it hears of that a while after the next one serves."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open("/proc/%d/cmdline" % worker, "rb") as file:
                said = file.read()
            return not said or b"shutting down" in said
        return True

    def all_closed(self):
        """No connection is left: as many descriptors as at the beginning."""
        wait_for(lambda: len(os.listdir("/proc/%d/fd" % self.worker())) <= self.descriptors, "all descriptors are closed")

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGQUIT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed("nginx does not end: " + self.errors()[-1000:]) from None
        self.log.close()
        bad = [line for line in self.errors().splitlines() if re.search(r"\[(alert|crit|emerg)\]", line)
               and not any(word in line for word in (*self.allowed, "Address already in use"))]  # it has tried again, and serves
        check(not bad, "in the log: " + "\n".join(bad[:5]))
        equal(self.process.returncode, 0, "nginx's exit status")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
        else:
            self.stop()


# --- clients -------------------------------------------------------------------------------------------------------------

def context(rig, version=None, alpn=None, cert=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.options &= ~0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF, which Python sets: an end without close_notify is to be seen
    c.load_verify_locations(os.path.join(rig.work, "ca.pem"))
    if version:
        c.minimum_version = c.maximum_version = version
    if alpn:
        c.set_alpn_protocols(alpn)
    if cert:
        c.load_cert_chain(os.path.join(rig.work, cert + ".pem"), os.path.join(rig.work, cert + ".key"))
    return c


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def wrap(c, port, name="one.test", **more):
    """A connection whose end must be one: without close_notify reading fails."""
    return c.wrap_socket(connect(port), server_hostname=name, suppress_ragged_eofs=False, **more)


def read_all(sock):
    data = []
    while piece := sock.recv(65536):
        data.append(piece)
    return b"".join(data)


def response(sock):
    """Headers and body of one response; the rest of what came is lost, unless it is the last."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        check(piece, "the response has no end: %r" % data)
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += sock.recv(65536)
    return head.decode(), body


def get(sock, path="/", host="one.test", more=""):
    sock.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path, host, more)).encode())
    return response(sock)


def curl(rig, port, path, *args, name="one.test"):
    done = subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE), "--cacert", os.path.join(rig.work, "ca.pem"), "--resolve",
                           "*:%d:127.0.0.1" % port, *args, "https://%s:%d%s" % (name, port, path)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(done.returncode == 0, "curl %s: %s" % (" ".join(args), done.stderr.decode().strip()))
    return done.stdout


# --- backends ------------------------------------------------------------------------------------------------------------

class Backend:
    """Calls |serve| with each connection, in a thread."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.errors = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        try:
            with sock:
                self.serve(sock)
        except Exception as error:
            self.errors.append(error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # whoever waits in accept() would go on listening
        self.listener.close()


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
