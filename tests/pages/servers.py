# SPDX-License-Identifier: Apache-2.0
"""Servers over Milgi that say a page: each is a context whose port and words (`shows`) the page's reader is given."""

import contextlib
import os
import re
import shutil
import subprocess
import time

from harness.proc import Failure
from ports import free_port


ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


class Missing(Exception):
    """Something that the server is made of is not here."""


def command(argv, missing):
    """Its status is 0, or 77: what it needs is not here."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, check=False)
    if done.returncode == 77:
        raise Missing(missing)
    if done.returncode:
        raise Failure(f"{' '.join(argv)}: {done.stdout[-1000:]}")


class Server:
    """One that is told the files of its certificate and key, and prints its port."""

    shows, protocol = (), "http/1.1"
    target, packages = None, "build" # what cmake makes of it, and which packages it needs for that

    def make(self):
        command(["cmake", "--preset", "release"], None)
        missing = f"no target {self.target}: scripts/setup-packages {self.packages}"
        command(["sh", "-c", f"ninja -C build/release -t query {self.target} >/dev/null 2>&1 || exit 77"], missing)
        command(["cmake", "--build", "build/release", "--target", self.target], None)

    def __init__(self, build, pki, work):
        self.build, self.pki, self.work = build, pki, work
        self.port, self.child = 0, None

    def argv(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def __enter__(self):
        argv = self.argv() # may say what is missing
        self.log = open(os.path.join(self.work, "server.log"), "w+b")
        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log, cwd=self.work,
                                      env={**os.environ, **self.environment()})
        if self.listens():
            return self
        self.__exit__()
        raise Failure(f"{argv[0]} has ended before it listened")

    def listens(self):
        while line := self.child.stdout.readline():
            if found := re.search(rb"port (\d+)", line):
                self.port = int(found.group(1))
                return True
        return False

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        self.log.close()

    def of_build(self, name):
        path = os.path.join(self.build, name)
        if not os.path.exists(path):
            raise Missing(f"no {path}")
        return path

    def papers(self):
        return [self.pki.path("p256"), self.pki.path("p256", "key")]


class Evhttp(Server):
    """libevent's, by examples/libevent."""

    shows, protocol = ("127.0.0.1 asks by protocol 0304",), "unknown" # by no ALPN
    target = "example_libevent"

    def argv(self):
        return [self.of_build("example_libevent"), *self.papers()]


NGINX = """
load_module %(modules)s/ngx_milgi_module.so;
daemon off; pid nginx.pid; error_log error.log notice; %(user)s
events {}
http {
    access_log off; default_type text/html; server_tokens off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    server {
        listen 127.0.0.1:%(port)d http2; milgi on; milgi_certificate %(chain)s; milgi_certificate_key %(key)s;
        return 200 "<p>nginx says: $server_protocol over $milgi_protocol, as $milgi_alpn_protocol</p>\n";
    }
}
"""


class Nginx(Server):
    """Debian's, with the modules that adapters/nginx/build has put into build/nginx."""

    shows, protocol = ("nginx says: HTTP/2.0 over TLSv1.3, as h2",), "h2"
    target = "milgi_static"

    def make(self):
        if not os.path.exists("/usr/share/nginx/src/conf_flags") or not os.path.exists("/usr/sbin/nginx"):
            raise Missing("no nginx and nginx-dev: scripts/setup-packages nginx")
        super().make()
        command(["adapters/nginx/build", "build/nginx"], None)

    def argv(self):
        modules = os.path.join(os.path.dirname(self.build), "nginx")
        for path in ("/usr/sbin/nginx", modules + "/ngx_milgi_module.so"):
            if not os.path.exists(path):
                raise Missing(f"no {path}: scripts/setup-packages nginx, adapters/nginx/build build/nginx")
        self.port = free_port()
        os.chmod(self.work, 0o755)
        chain, key = self.papers()
        with open(os.path.join(self.work, "nginx.conf"), "w", encoding="ascii") as file:
            file.write(NGINX % {"modules": modules, "port": self.port, "chain": chain, "key": key,
                                "user": "user root;" if os.geteuid() == 0 else ""})
        return ["/usr/sbin/nginx", "-p", self.work, "-c", os.path.join(self.work, "nginx.conf")]

    def listens(self):
        """nginx prints nothing: its worker writes that it is ready."""
        log = os.path.join(self.work, "error.log")
        while self.child.poll() is None:
            with contextlib.suppress(FileNotFoundError), open(log, encoding="utf-8") as file:
                if re.search(r"milgi \S+ is ready", file.read()):
                    return True
            time.sleep(0.05)
        return False


class Node(Server):
    """HTTP/2 by Node.js over the npm package."""

    shows, protocol = ("node says: HTTP/2.0 over TLSv1.3, as h2",), "h2"
    target, packages = "milgi_node", "node"

    def argv(self):
        if not shutil.which("node"):
            raise Missing("no node: scripts/setup-packages node")
        return ["node", os.path.join(os.path.dirname(__file__), "../node/page.js"), *self.papers()]

    def environment(self):
        return {"MILGI_ADDON": self.of_build("node/milgi.node")}


class Aiohttp(Server):
    """By tests/python/page.py, with the package that tests/python/package has put beside the build."""

    name, shows = "aiohttp", ("aiohttp over Milgi", "https by TLSv1.3")

    def make(self):
        command(["tests/python/package", "release"], "no cffi for Python: scripts/setup-packages python")

    def argv(self):
        self.of_build("python/milgi/_native.abi3.so")
        if not os.path.isdir("/usr/lib/python3/dist-packages/" + self.name):
            raise Missing(f"no python3-{self.name}: scripts/setup-packages python")
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python", "page.py")
        return ["/usr/bin/python3", page, self.name, *self.papers()]

    def environment(self):
        return {"PYTHONPATH": os.path.join(os.path.abspath(self.build), "python")}


class Uvicorn(Aiohttp):
    name, shows = "uvicorn", ("uvicorn over Milgi", "HTTP/1.1 by https, TLSv1.3")


SERVERS = {"aiohttp": Aiohttp, "evhttp": Evhttp, "nginx": Nginx, "node": Node, "uvicorn": Uvicorn}
