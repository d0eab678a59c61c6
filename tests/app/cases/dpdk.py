# SPDX-License-Identifier: Apache-2.0
"""Cryptodevs of DPDK behind the command, where the module is built: what comes through, workers; and where it is not."""

import os
import shutil
import subprocess

from kit import check, children_of, limit

from cases.relay import echo, payload

DEVICES = ("dpdk:vdev=crypto_aesni_mb", "dpdk:vdev=crypto_openssl", "dpdk:vdev=crypto_scheduler")
SIZE = 300_000


def is_here(world):
    """Not without DPDK; the rest is of no use then."""
    status, _, err = world.run("devices", "dpdk:vdev=crypto_aesni_gcm")
    check(status == 0 or "dpdk:" in err, err)
    return status == 0


def through_s_client(world, proxy, version):
    """What openssl s_client gets back of the payload."""
    client = subprocess.Popen(["openssl", "s_client", "-quiet", version, "-connect", f"127.0.0.1:{proxy.port}", "-CAfile",
                               world.pki.path("ca"), "-servername", "localhost", "-verify_return_error"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        reader = subprocess.Popen(["head", "-c", str(SIZE)], stdin=client.stdout, stdout=subprocess.PIPE)
        client.stdin.write(payload(SIZE))
        client.stdin.flush()
        return reader.communicate(timeout=limit())[0]
    finally:
        client.kill()
        client.communicate()


def test_openssl_gets_its_bytes_back_by_every_cryptodev_and_version(world):
    if not is_here(world):
        return
    backend = world.backend(echo)
    for device in DEVICES:
        proxy = world.proxy("--backend", backend.address, "--device", device, "--records", "device")
        for version in ("-tls1_3", "-tls1_2"):
            check(through_s_client(world, proxy, version) == payload(SIZE), f"{device} {version}")
        check(proxy.stop() == 0, proxy.err())


def test_each_worker_has_an_eal_of_its_own(world):
    if not is_here(world):
        return
    backend = world.backend(echo)
    proxy = world.proxy("--backend", backend.address, "--device", DEVICES[0], "--records", "device", "--workers", "2")
    check(len(children_of(proxy.process.pid)) == 2, proxy.err())
    for _ in range(4):
        client = world.client(proxy)
        client.send(payload(1000))
        got = b""
        while len(got) < 1000:
            got += client.read()
        check(got == payload(1000), "other bytes")
        client.close()
    check(proxy.stop() == 0, proxy.err())


def test_without_the_module_it_is_said_what_to_install(world):
    alone = os.path.join(world.work, "alone")
    os.makedirs(alone, exist_ok=True)
    lonely = shutil.copy(world.milgi, os.path.join(alone, "milgi-without-modules"))
    environment = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    # The current directory has one, which is not looked into.
    done = subprocess.run([lonely, "devices", "dpdk:vdev=crypto_null"], capture_output=True, text=True, timeout=limit(),
                          env=environment, cwd=os.path.dirname(world.milgi), check=False)
    check(done.returncode == 2 and "package milgi-dpdk" in done.stderr and not done.stdout, f"{done}")


def test_the_command_itself_needs_nothing_of_dpdk(world):
    needed = subprocess.run(["readelf", "-d", world.milgi], capture_output=True, text=True, timeout=limit(), check=True).stdout
    check("NEEDED" in needed and "rte_" not in needed and "milgi-dpdk" not in needed, needed)
