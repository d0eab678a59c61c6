# SPDX-License-Identifier: Apache-2.0
"""Builds the package: build.py DIRECTORY [--library libmilgi.a] [--cflags FLAGS], or as pip's backend a wheel.

DIRECTORY is what is to be in sys.path then. Without a library given it is built by cmake below build/wheel, without
devices that stand on other libraries (PKCS #11: a wheel takes along all that it needs). The extension module is made
by cffi, in API mode, for the stable interface of Python (abi3), with AWS-LC inside and no symbol visible but its
entry. A wheel is tagged by the newest symbol of glibc that it wants.
"""

import argparse
import base64
import glob
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COMMON = ["loop.c", "stream.c", "read.c", "forward.c", "signer.c", "splice.c", "socket.c"]
OWN = ["bridge.c", "signer.c"]
CFFI = "cffi>=1.15"


def version():
    with open(os.path.join(ROOT, "include/milgi/milgi.h")) as f:
        parts = dict(re.findall(r"^#define MILGI_VERSION_(MAJOR|MINOR|PATCH) (\d+)$", f.read(), re.M))
    return "%(MAJOR)s.%(MINOR)s.%(PATCH)s" % parts


def run(*command):
    subprocess.run(command, check=True, stdout=sys.stderr)


def jobs():
    return str(os.cpu_count() or 2)


def library():
    """The library as a wheel needs it. AWS-LC has to be there: scripts/setup-packages build."""
    where = os.path.join(ROOT, "build/wheel")
    run("cmake", "-S", ROOT, "-B", where, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DMILGI_TESTS=OFF",
        "-DMILGI_EXAMPLES=OFF", "-DMILGI_INSTALL=OFF", "-DMILGI_DEVICE_PKCS11=OFF", "-DMILGI_DEVICE_DPDK=OFF",
        "-DMILGI_LIBEVENT=OFF")
    run("cmake", "--build", where, "-j", jobs(), "--target", "milgi_static")
    return os.path.join(where, "libmilgi.a")


def native(into, archive, cflags="", ldflags=""):
    """The extension module, in the directory |into|."""
    import cffi
    ffi = cffi.FFI()
    with open(os.path.join(HERE, "native.cdef")) as f:
        ffi.cdef(f.read())
    ffi.set_source("milgi._native", '#include "bridge.h"', py_limited_api=True)
    with tempfile.TemporaryDirectory() as work:
        source = os.path.join(work, "native.c")
        ffi.emit_c_code(source)
        exports = os.path.join(work, "exports")
        with open(exports, "w") as f:
            f.write("{ global: PyInit__native; local: *; };\n")
        include = subprocess.run(["/usr/bin/env", sys.executable, "-c",
                                  "import sysconfig; print(sysconfig.get_paths()['include'])"],
                                 check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        common = os.path.join(ROOT, "adapters/common")
        run(os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O2", "-g", "-std=gnu11", "-Wall", "-fvisibility=hidden",
            "-DPy_LIMITED_API=0x03080000", "-ffunction-sections", *shlex.split(cflags),
            "-I", include, "-I", os.path.join(ROOT, "include"), "-I", HERE, "-I", common,
            source, *(os.path.join(HERE, name) for name in OWN), *(os.path.join(common, name) for name in COMMON),
            archive, "-pthread", "-ldl", "-Wl,--gc-sections", "-Wl,-z,relro,-z,now", "-Wl,--version-script=" + exports,
            *shlex.split(ldflags), "-o", os.path.join(into, "_native.abi3.so"))


def sources():
    """All of the package but the extension module: where it is, where it goes."""
    for base in ("milgi", "twisted"):
        for folder, _, names in os.walk(os.path.join(HERE, base)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name.endswith((".py", ".pyi")) or name == "py.typed":
                    yield path, os.path.relpath(path, HERE)


def tree(into, archive, cflags="", ldflags="", with_native=True):
    for path, name in sources():
        target = os.path.join(into, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(path, target)
    if with_native:
        native(os.path.join(into, "milgi"), archive, cflags, ldflags)


def inputs(archive, *flags):
    """What stands for all that the extension module is made of."""
    made = hashlib.sha256(repr((flags, os.environ.get("CC"), sys.version)).encode())
    for pattern in ("adapters/python/*.[ch]", "adapters/python/*.cdef", "adapters/python/build.py", "adapters/common/*.[ch]",
                    "include/milgi/*.h", archive):
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            with open(path, "rb") as f:
                made.update(f.read())
    return made.hexdigest()


def tree_again(into, archive, cflags, ldflags):
    """The module is made anew only if it would be another."""
    stamp, now, before = os.path.join(into, "milgi/_native.stamp"), inputs(archive, cflags, ldflags), None
    if os.path.exists(stamp):
        with open(stamp) as f:
            before = f.read()
        os.remove(stamp)
    there = os.path.exists(os.path.join(into, "milgi/_native.abi3.so"))
    tree(into, archive, cflags, ldflags, now != before or not there)
    with open(stamp, "w") as f:
        f.write(now)


# --- a wheel ------------------------------------------------------------------------------------------------------------

def tag(module):
    """cp38-abi3-manylinux_2_X_ARCH: the newest version of glibc among what |module| wants."""
    text = subprocess.run(["readelf", "-V", "-W", module], check=True, stdout=subprocess.PIPE, text=True).stdout
    minor = max([int(n) for n in re.findall(r"GLIBC_2\.(\d+)", text)] + [17])
    needed = subprocess.run(["readelf", "-d", "-W", module], check=True, stdout=subprocess.PIPE, text=True).stdout
    foreign = [name for name in re.findall(r"NEEDED.*\[([^]]+)\]", needed)
               if not re.match(r"(libc|libpthread|libdl|libm|ld-linux[\w-]*)\.so", name)]
    if foreign:
        raise SystemExit("a wheel cannot need " + ", ".join(foreign))
    return "cp38-abi3-manylinux_2_%d_%s" % (minor, os.uname().machine)


def metadata():
    with open(os.path.join(HERE, "README.md")) as f:
        readme = f.read()
    return "\n".join((
        "Metadata-Version: 2.1", "Name: milgi", "Version: " + version(),
        "Summary: TLS for asyncio and Twisted whose crypto is asynchronous",
        "License: Apache-2.0", "Requires-Python: >=3.8", "Requires-Dist: " + CFFI,
        "Provides-Extra: twisted", "Requires-Dist: twisted; extra == 'twisted'",
        "Description-Content-Type: text/markdown", "", readme))


def pack(folder, path, info, wheel_tag):
    files = {}
    for where, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(where, name)
            with open(full, "rb") as f:
                files[os.path.relpath(full, folder)] = f.read()
    files[info + "/METADATA"] = metadata().encode()
    files[info + "/WHEEL"] = ("Wheel-Version: 1.0\nGenerator: milgi\nRoot-Is-Purelib: false\nTag: %s\n"
                              % wheel_tag).encode()
    packages = os.environ.get("MILGI_PACKAGES") or os.path.join(ROOT, "build/packages")
    for name, full in (("LICENSE", os.path.join(ROOT, "LICENSE")), # and those of what is inside
                       ("LICENSE.AWS-LC", os.path.join(packages, "awslc/LICENSE")),
                       ("LICENSE.crypto_mb", os.path.join(packages, "crypto_mb/LICENSE"))):
        if os.path.exists(full):
            with open(full, "rb") as f:
                files["%s/%s" % (info, name)] = f.read()
    record = "".join("%s,sha256=%s,%d\n" % (
        name, base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(), len(data))
        for name, data in sorted(files.items()))
    files[info + "/RECORD"] = (record + info + "/RECORD,,\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(entry, data)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    archive = (config_settings or {}).get("library") or os.environ.get("MILGI_LIBRARY") or library()
    with tempfile.TemporaryDirectory() as work:
        tree(work, archive)
        module = os.path.join(work, "milgi/_native.abi3.so")
        run("strip", "--strip-unneeded", module)
        wheel_tag = tag(module)
        name = "milgi-%s-%s.whl" % (version(), wheel_tag)
        pack(work, os.path.join(wheel_directory, name), "milgi-%s.dist-info" % version(), wheel_tag)
    return name


def get_requires_for_build_wheel(config_settings=None):
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--library")
    parser.add_argument("--cflags", default="")
    parser.add_argument("--ldflags", default="")
    parser.add_argument("--wheel", action="store_true", help="a wheel, in the directory")
    args = parser.parse_args()
    os.makedirs(args.directory, exist_ok=True)
    if args.wheel:
        print(os.path.join(args.directory, build_wheel(args.directory, {"library": args.library})))
    else:
        tree_again(args.directory, os.path.abspath(args.library or library()), args.cflags, args.ldflags)


if __name__ == "__main__":
    main()
