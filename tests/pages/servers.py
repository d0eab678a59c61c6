# SPDX-License-Identifier: Apache-2.0
"""Servers over Milgi that say a page: each is a context whose port and words (`shows`) the page's reader is given."""

import os
import re
import subprocess

from harness.proc import Failure


class Missing(Exception):
    """Something that the server is made of is not here."""


class Server:
    """One that is told the files of its certificate and key, and prints its port."""

    shows = ()

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
        while line := self.child.stdout.readline():
            if found := re.search(rb"port (\d+)", line):
                self.port = int(found.group(1))
                return self
        self.__exit__()
        raise Failure(f"{argv[0]} has ended before it listened")

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

    shows = ("127.0.0.1 asks by protocol 0304",)

    def argv(self):
        return [self.of_build("example_libevent"), *self.papers()]


SERVERS = {"evhttp": Evhttp}
