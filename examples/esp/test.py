# SPDX-License-Identifier: Apache-2.0
"""The ends are example_esp; the network between them is here."""
import ctypes
import ctypes.util
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile

EXAMPLE = sys.argv[1]
WAY = {"a": (0x1001, os.urandom(32), os.urandom(4)), "b": (0x2002, os.urandom(32), os.urandom(4))}  # by who sends
crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
    getattr(crypto, name).restype = ctypes.c_void_p


def gcm(seals, way, head, text, tag=None):
    """By libcrypto: what |text| becomes and the tag, or None."""
    _, key, salt = way
    context, out, n = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new()), ctypes.create_string_buffer(len(text) + 16), ctypes.c_int()
    made = ctypes.create_string_buffer(tag or bytes(16), 16)
    crypto.EVP_CipherInit_ex(context, ctypes.c_void_p(crypto.EVP_aes_256_gcm()), None, key, salt + head[8:], int(seals))
    crypto.EVP_CipherUpdate(context, None, ctypes.byref(n), head[:8], 8)
    crypto.EVP_CipherUpdate(context, out, ctypes.byref(n), text, len(text))
    if not seals:
        crypto.EVP_CIPHER_CTX_ctrl(context, 0x11, 16, made)
    ok = crypto.EVP_CipherFinal_ex(context, ctypes.byref(out, len(text)), ctypes.byref(n))
    if seals:
        crypto.EVP_CIPHER_CTX_ctrl(context, 0x10, 16, made)
    crypto.EVP_CIPHER_CTX_free(context)
    return (out.raw[:len(text)], made.raw[:16]) if ok == 1 else None


HOST = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"  # whose ports are this test's
PATIENCE = 100  # seconds: nothing depends on how fast anything is


def bound():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    sock.settimeout(PATIENCE)
    return sock


def port():
    with bound() as sock:
        return sock.getsockname()[1]


def at(number):
    return f"{HOST}:{number}"


class End:
    def __init__(self, device, work, name, other, peer):
        self.plain, self.esp = port(), port()
        keys = os.path.join(work, name)
        with open(keys, "wb") as file:
            for spi, key, salt in (WAY[name], WAY[other]):
                file.write(struct.pack(">I", spi) + key + salt)
        self.process = subprocess.Popen([EXAMPLE, device, keys, at(self.plain), at(self.esp), at(peer)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "it does not begin"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, self.process.returncode
        words = out.split()
        return dict(zip(words[::2], map(int, words[1::2])))


def tunnel(device, work, rounds):
    """Payloads go from a to b; |rounds| of up to 32. Devices that fail some ops lose those datagrams, and no others."""
    wire, source, sink = bound(), bound(), bound()
    rng = random.Random(7)
    a, b = End(device, work, "a", "b", wire.getsockname()[1]), End(device, work, "b", "a", wire.getsockname()[1])
    sink.sendto(b"here I am", (HOST, b.plain))  # so that b knows where to
    wire.recv(4096)
    forged, doubled, got, sent = 0, 0, [], set()
    for _ in range(rounds):
        payloads = [struct.pack(">I", len(sent) + i) + rng.randbytes(rng.choice((0, 1, 2, 3, 64, 1400))) for i in range(32)]
        sent.update(payloads)  # one that comes late is still one of them
        for payload in payloads:
            source.sendto(payload, (HOST, a.plain))
        datagrams = collect(wire, 32, device)
        for datagram in datagrams:
            assert datagram[:4] == struct.pack(">I", 0x1001), "another SPI"
            text = gcm(False, WAY["a"], datagram[:16], datagram[16:-16], datagram[-16:])
            assert text, "libcrypto does not open what was sealed"
            assert text[0][-1] == 61 and text[0][:-2 - text[0][-2]] in sent, "another payload"
        bad = [bytes(x ^ (i == 20) for i, x in enumerate(datagram)) for datagram in datagrams[::5]]
        bad += [datagram[:7] + bytes([datagram[7] ^ 0x40]) + datagram[8:] for datagram in datagrams[1::7]]
        forged, doubled = forged + len(bad), doubled + len(datagrams[::3])
        mixed = datagrams + bad + datagrams[::3]
        rng.shuffle(mixed)
        for datagram in mixed:
            wire.sendto(datagram, (HOST, b.esp))
        came = collect(sink, len(datagrams), device)
        assert sent.issuperset(came), "a payload that was never sent"
        got += came
    assert len(set(got)) == len(got), "a payload came twice"
    head = struct.pack(">IIII", 0x1001, 1 << 20, 7, 7)  # of libcrypto's making, far ahead
    wire.sendto(head + b"".join(gcm(True, WAY["a"], head, b"from elsewhere\x00\x3d")), (HOST, b.esp))
    if device != CHAOS:
        assert sink.recv(4096) == b"from elsewhere"
    for bad in (b"\xff", head, head + bytes(19), struct.pack(">I", 9) + head[4:] + bytes(20), b""):
        wire.sendto(bad, (HOST, b.esp))
    first, second = a.stop(), b.stop()
    if device != CHAOS:
        assert len(got) == len(sent) == first["sealed"], (len(got), len(sent), first)
        # What is forged of a datagram that has come is a replay already.
        assert second["opened"] == len(sent) + 1 and second["replayed"] + second["forged"] == doubled + forged, (second, doubled, forged)
        assert second["forged"] > 0 and second["replayed"] >= doubled, second
    assert (first["failed"] > 0) == (device == CHAOS), first
    for sock in (wire, source, sink):
        sock.close()
    print(f"ok      {device}: {len(got)} of {len(sent)} came, {first}, {second}")


def collect(sock, n, device):
    """|n| datagrams; of a device that loses some those that come within a moment of each other."""
    sock.settimeout(0.2 if device == CHAOS else PATIENCE)
    got = []
    try:
        while len(got) < n:
            got.append(sock.recv(4096))
    except socket.timeout:
        assert device == CHAOS, f"{len(got)} of {n} came"
    return got


def is_here(device):
    """Not everybody has DPDK, or a kernel with AF_ALG: such a device is refused before anything else is."""
    done = subprocess.run([EXAMPLE, device, "/nowhere", "", "", ""], capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode == 2:
        print(f"--      {device} is not here: {done.stderr.strip()}")
    return done.returncode != 2


CHAOS = "chaos:seed=3,fail=10%,lose=1%"
DEVICES = {"cpu": 20, "pool:2": 20, "sim:latency=300us,units=4,depth=8,order=out": 20, CHAOS: 4,
           "dpdk:vdev=crypto_aesni_mb,memory=2m": 4, "afalg": 4}
with tempfile.TemporaryDirectory() as directory:
    for what, number in DEVICES.items():
        if is_here(what):
            tunnel(what, directory, number)
