# SPDX-License-Identifier: Apache-2.0
"""Proxies that end TLS before one backend, each as its documentation sets it up: started, watched, and ended."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "tests/lib"))
from ports import free_port  # noqa: E402

PATIENCE = 60  # seconds for anything that must happen


def make_certificate(work, *key):
    """For localhost, with a new key as `openssl req` is told by |key|: cert.pem, key.pem, and both.pem with the two."""
    subprocess.run(["openssl", "req", "-x509", *key, "-nodes", "-keyout", work + "/key.pem", "-out", work + "/cert.pem",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(work + "/both.pem", "w", encoding="ascii") as both:
        for name in ("key.pem", "cert.pem"):
            with open(os.path.join(work, name), encoding="ascii") as part:
                both.write(part.read())


def cpu_clock(pid):
    """The clock of a process's CPU time, with threads that have ended, in ns: /proc/PID/stat has ticks of 10 ms."""
    return ~pid << 3 | 2  # clock_getcpuclockid(3), which Python does not have


def children(pid, thread):
    """Of a thread that may be gone by now."""
    try:
        with open("/proc/%d/task/%s/children" % (pid, thread), encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


class Proxy:
    """|cpus|: those that it may run on; None: all."""

    def __init__(self, name, work, command, port, cpus=None):
        self.name, self.port = name, port
        self.log = os.path.join(work, name.replace(" ", "-") + ".log")
        log = open(self.log, "wb")
        if cpus:
            command = ["taskset", "-c", ",".join(map(str, cpus)), *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    sys.exit("%s does not serve: %s" % (name, open(log.name, errors="replace").read()[-500:]))
                time.sleep(0.05)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def cpu(self):
        """Seconds of user and system time, of the process and its children."""
        total, queue = 0, [self.process.pid]
        while queue:
            pid = queue.pop()
            try:
                total += time.clock_gettime(cpu_clock(pid))
                threads = os.listdir("/proc/%d/task" % pid)
            except OSError:
                continue
            queue += [child for thread in threads for child in children(pid, thread)]
        return total

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def write(work, name, text):
    path = os.path.join(work, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def found(command):
    """Debian has daemons where not everybody looks."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def start_milgi(work, milgi, to, cpus=None, tickets=0, name="Milgi", loop="uv"):
    port = free_port()
    return Proxy(name, work, [milgi, "proxy", "--loop", loop, "--listen", "127.0.0.1:%d" % port,
                              "--backend", "127.0.0.1:%d" % to, "--cert", work + "/cert.pem", "--key", work + "/key.pem",
                              "--tls-min", "1.3", "--tickets", str(tickets)], port, cpus)


def start_haproxy(work, name, to, threads, cpus=None):
    port = free_port()
    config = write(work, name.replace(" ", "-") + ".cfg",
                   "global\n    maxconn 4000\n    tune.ssl.cachesize 0\n%s"
                   "defaults\n    mode tcp\n    timeout connect 10s\n    timeout client 300s\n    timeout server 300s\n"
                   "listen tls\n    bind 127.0.0.1:%d ssl crt %s/both.pem ssl-min-ver TLSv1.3 no-tls-tickets\n"
                   "    server b 127.0.0.1:%d\n"
                   % ("    nbthread %d\n" % threads if threads else "", port, work, to))
    return Proxy(name, work, [found("haproxy"), "-db", "-q", "-f", config], port, cpus)


def start_nginx(work, to, cpus=None):
    port, module = free_port(), "/usr/lib/nginx/modules/ngx_stream_module.so"
    config = write(work, "nginx.conf",
                   "%sdaemon off;\nworker_processes 1;\npid %s/nginx.pid;\nerror_log %s/nginx-error.log;\n"
                   "events { worker_connections 4096; }\n"
                   "stream {\n  server {\n    listen 127.0.0.1:%d ssl backlog=1024;\n    proxy_pass 127.0.0.1:%d;\n"
                   "    ssl_protocols TLSv1.3;\n    ssl_certificate %s/cert.pem;\n    ssl_certificate_key %s/key.pem;\n"
                   "    ssl_session_tickets off;\n    ssl_session_cache off;\n  }\n}\n"
                   % ("load_module %s;\n" % module if os.path.exists(module) else "", work, work, port, to, work, work))
    return Proxy("nginx stream", work, [found("nginx"), "-p", work, "-c", config], port, cpus)


def start_hitch(work, to, cpus=None):
    port = free_port()
    config = write(work, "hitch.conf",
                   'frontend = "[127.0.0.1]:%d"\nbackend = "[127.0.0.1]:%d"\npem-file = "%s/both.pem"\nworkers = 1\n'
                   'backlog = 1024\ntls-protos = TLSv1.3\ndaemon = off\nkeepalive = 3600\nlog-level = 0\n%s'
                   % (port, to, work, 'user = "nobody"\n' if os.geteuid() == 0 else ""))
    return Proxy("hitch", work, [found("hitch"), "--config", config], port, cpus)


def start_stunnel(work, to, cpus=None):
    port = free_port()
    config = write(work, "stunnel.conf",
                   "foreground = yes\npid =\ndebug = 3\nsslVersion = TLSv1.3\noptions = NO_TICKET\nsessionCacheSize = 1\n"
                   "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
                   "[tls]\naccept = 127.0.0.1:%d\nconnect = 127.0.0.1:%d\ncert = %s/cert.pem\nkey = %s/key.pem\n"
                   "TIMEOUTclose = 0\n" % (port, to, work, work))
    return Proxy("stunnel", work, [found("stunnel4") or found("stunnel"), config], port, cpus)


def machine():
    model, flags = "", ""
    for line in open("/proc/cpuinfo", encoding="ascii", errors="replace"):
        if line.startswith("model name") and not model:
            model = line.split(":", 1)[1].strip()
        if line.startswith("flags") and not flags:
            flags = "AVX-512" if " avx512f" in line else "no AVX-512"
    return {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "processor": "%s, %s" % (model, flags),
            "processors": os.cpu_count(), "load": os.getloadavg()[0]}
