# SPDX-License-Identifier: Apache-2.0
"""Builds peers/rustls upon the rustls that `bench/peers/crates/build rustls` has compiled into build/peers."""

import glob
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..", "peers", "rustls", "peer.rs")
CRATES = os.path.abspath(os.path.join(HERE, "..", "..", "..", "build", "peers", "release", "deps"))


def library():
    found = sorted(glob.glob(os.path.join(CRATES, "librustls-*.rlib")), key=os.path.getmtime)
    return found[-1] if found else None


def available():
    return bool(library()) and bool(shutil.which("rustc"))


def build(cache):
    """The program's path; made anew if its source or the library changed."""
    binary = os.path.join(cache, "rustls-peer")
    if not os.path.exists(binary) or os.path.getmtime(binary) < max(map(os.path.getmtime, (SOURCE, library()))):
        done = subprocess.run(["rustc", "--edition", "2021", "-C", "opt-level=1", "-L", f"dependency={CRATES}", "--extern",
                               f"rustls={library()}", "-o", binary, SOURCE], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(f"rustc: {done.stderr.strip()[-2000:]}")
    return binary


def argv(binary, call, suites, *words):
    """What a client's and a server's command line share."""
    argv = [binary, *words, "--ca", call.ca, "--version", "1.2" if call.tls12 else "1.3"]
    if call.suite:
        argv += ["--suites", suites[call.suite]]
    if call.groups:
        argv += ["--groups", ",".join(call.groups)]
    if call.alpn:
        argv += ["--alpn", ",".join(call.alpn)]
    if call.cert:
        argv += ["--cert", call.cert, "--key", call.key]
    if call.keyupdate:
        argv += ["--keyupdate", "yes"]
    if call.staple:
        argv += ["--staple", call.staple]
    return argv
