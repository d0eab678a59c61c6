# SPDX-License-Identifier: Apache-2.0
"""Builds peers/libssl upon one libssl or another. The newest come as crates, which `bench/peers/crates/build` compiles for
many minutes into build/peers: peers upon those are there if it was run, and only longer commands want them."""

import functools
import glob
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..", "peers", "libssl")
CRATES = os.path.abspath(os.path.join(HERE, "..", "..", "..", "build", "peers", "release", "build"))

# Debian's is of 2022: it has other names for three functions
DEBIAN_INCLUDE = "/usr/include/android"
DEBIAN_NAMES = ["-DSSL_get_group_id=SSL_get_curve_id", "-DSSL_get_group_name=SSL_get_curve_name",
                "-DSSL_CTX_set1_groups_list=SSL_CTX_set1_curves_list"]


def newest(pattern):
    found = sorted(glob.glob(os.path.join(CRATES, pattern)), key=os.path.getmtime)
    return found[-1] if found else None


@functools.lru_cache(maxsize=None)
def words_for(flavour):
    """What the compiler must be told for this library; None if the library is not there."""
    if flavour == "boringssl-debian":
        directories = glob.glob("/usr/lib/*/android/libssl.so")
        if not directories or not os.path.exists(os.path.join(DEBIAN_INCLUDE, "openssl", "ssl.h")):
            return None
        library = os.path.dirname(directories[0])
        return ["boringssl.c", f"-I{DEBIAN_INCLUDE}", *DEBIAN_NAMES, f"-L{library}", f"-Wl,-rpath,{library}", "-lssl", "-lcrypto"]
    if flavour == "boringssl":
        out = newest("boring-sys-*/out/build/libssl.a")
        headers = newest("boring-sys-*/out/boringssl/include")
        return out and headers and ["boringssl.c", f"-I{headers}", out, out.replace("libssl.a", "libcrypto.a"), "-lstdc++", "-lpthread"]
    out = newest("peer-openssl-*/out/openssl-build/install")
    return out and ["openssl.c", f"-I{out}/include", f"{out}/lib/libssl.a", f"{out}/lib/libcrypto.a", "-ldl", "-lpthread"]


def available(flavour):
    return bool(words_for(flavour)) and bool(shutil.which("cc"))


def build(flavour, cache):
    """The program's path; made anew if its sources or the library changed."""
    binary = os.path.join(cache, "libssl-" + flavour)
    unit, *words = words_for(flavour)
    sources = [os.path.join(SOURCE, name) for name in ("peer.c", unit)]
    used = sources + [os.path.join(SOURCE, "flavour.h"), *(word for word in words if word.endswith(".a"))]
    if not os.path.exists(binary) or os.path.getmtime(binary) < max(map(os.path.getmtime, used)):
        done = subprocess.run(["cc", "-O1", "-std=c11", "-D_GNU_SOURCE", *sources, *words, "-o", binary], capture_output=True,
                              text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"cc: {done.stderr.strip()}")
    return binary


def argv(binary, call, *words):
    """What a client's and a server's command line share."""
    from .clients import OPENSSL_GROUPS
    argv = [binary, *words, "--ca", call.ca, "--version", "1.2" if call.tls12 else "1.3"]
    groups = [OPENSSL_GROUPS[g] for g in call.groups or []]
    if call.tls12 and not groups:
        groups = ["X25519", "P-256", "P-384", "P-521"]      # they are those of certificates, and its own list has no P-521
    if groups:
        argv += ["--groups", ":".join(groups)]
    if call.alpn:
        argv += ["--alpn", ",".join(call.alpn)]
    if call.cert:
        argv += ["--cert", call.cert, "--key", call.key]
    if call.keyupdate:
        argv += ["--keyupdate", "yes"]
    if call.staple:
        argv += ["--staple", call.staple]
    return argv
