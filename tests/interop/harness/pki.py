# SPDX-License-Identifier: Apache-2.0
"""Throwaway certificates, made with the openssl command in the work directory.

Every identity is three files: NAME.pem (leaf, then its intermediates), NAME.key (PKCS#8) and NAME.p12 (for the peers
that want a key store). Leaves hang below an intermediate, so that every handshake carries a chain.
"""

import os
import ssl
import subprocess
import threading

P12_PASSWORD = "milgi-test"
SERVER_SAN = "DNS:milgi.test,DNS:localhost,IP:127.0.0.1"

# name: arguments of `openssl genpkey`
KEYS = {
    "p256": ["EC", "ec_paramgen_curve:P-256"],
    "p384": ["EC", "ec_paramgen_curve:P-384"],
    "p521": ["EC", "ec_paramgen_curve:P-521"],
    "rsa2048": ["RSA", "rsa_keygen_bits:2048"],
    "rsa3072": ["RSA", "rsa_keygen_bits:3072"],
    "rsapss": ["RSA-PSS", "rsa_keygen_bits:2048"],
    "ed25519": ["ED25519"],
}

# name: (key kind, issuer, subject, subjectAltName, extended key usage)
LEAVES = {name: (name, "int-rsa" if name.startswith("rsa") else "int-ec", "milgi.test", SERVER_SAN, "serverAuth")
          for name in KEYS}
LEAVES.update({
    "wrong-name": ("p256", "int-ec", "other.test", "DNS:other.test,IP:127.0.0.9", "serverAuth"),
    "a-test": ("p256", "int-ec", "a.test", "DNS:a.test", "serverAuth"),
    "b-test": ("rsa2048", "int-rsa", "b.test", "DNS:b.test", "serverAuth"),
    "wrong-purpose": ("p256", "int-ec", "milgi.test", SERVER_SAN, "clientAuth"),
    "expired": ("p256", "int-ec", "milgi.test", SERVER_SAN, "serverAuth"),
    "not-yet-valid": ("p256", "int-ec", "milgi.test", SERVER_SAN, "serverAuth"),
    "weak-key": ("rsa1024", "int-rsa", "milgi.test", SERVER_SAN, "serverAuth"),
    "untrusted": ("p256", "rogue-int", "milgi.test", SERVER_SAN, "serverAuth"),
    "client-p256": ("p256", "client-int", "alice", None, "clientAuth"),
    "client-rsa2048": ("rsa2048", "client-int", "alice", None, "clientAuth"),
    "client-ed25519": ("ed25519", "client-int", "alice", None, "clientAuth"),
    "client-rogue": ("p256", "rogue-int", "mallory", None, "clientAuth"),
})
DATES = {
    "expired": ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"],
    "not-yet-valid": ["-startdate", "20900101000000Z", "-enddate", "20910101000000Z"],
}

# authorities: (key kind, issuer or None when self-signed)
AUTHORITIES = {
    "ca": ("p256", None),
    "int-ec": ("p256", "ca"),
    "int-rsa": ("rsa2048", "ca"),
    "client-ca": ("p256", None),
    "client-int": ("p384", "client-ca"),
    "rogue-ca": ("p256", None),
    "rogue-int": ("p256", "rogue-ca"),
}

CA_CONF = """\
[ca]
default_ca = this
[this]
database = {dir}/index.txt
rand_serial = yes
new_certs_dir = {dir}
policy = any
default_md = {md}
default_days = 30
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
commonName = unused
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,{usage}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
extendedKeyUsage = {eku}
{san}
"""


class Pki:
    """Makes all identities in |directory|; path(name, ext) names a file of one."""

    def __init__(self, directory):
        self.directory = directory
        self._lock = threading.Lock()
        os.makedirs(directory, exist_ok=True)

    def path(self, name, extension="pem"):
        return os.path.join(self.directory, f"{name}.{extension}")

    def leaf_length(self, name):
        """The bytes of the first certificate of a file, as they are in a Certificate message."""
        with open(self.path(name)) as pem:
            return len(ssl.PEM_cert_to_DER_cert(pem.read().split("-----END")[0] + "-----END CERTIFICATE-----\n"))

    def make(self):
        for name, (kind, issuer) in AUTHORITIES.items():
            self._identity(name, kind, issuer or name, f"Milgi test {name}", "authority", None, "anyExtendedKeyUsage")
            self._store(name)
        for name, (kind, issuer, subject, san, eku) in LEAVES.items():
            self._identity(name, kind, issuer, subject, "leaf", san, eku)
            self._chain_and_store(name, issuer)
        self._leaf_only("p256", "no-intermediate")
        return self

    def _openssl(self, *args):
        done = subprocess.run(["openssl", *args], cwd=self.directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(args)}: {done.stderr.strip()}")

    def _key(self, name, kind):
        algorithm, *options = KEYS.get(kind) or ["RSA", f"rsa_keygen_bits:{kind[3:]}"]
        pairs = [word for option in options for word in ("-pkeyopt", option)]
        self._openssl("genpkey", "-algorithm", algorithm, *pairs, "-out", self.path(name, "key"))

    def _identity(self, name, kind, issuer, subject, extensions, san, eku):
        self._key(name, kind)
        conf = self.path(name, "cnf")
        scratch = self.path(name, "dir")
        os.makedirs(scratch, exist_ok=True)
        open(os.path.join(scratch, "index.txt"), "w").close()
        # NSS's tools want keyEncipherment of an RSA server, as older suites did
        usage = "digitalSignature,keyEncipherment" if kind in ("rsa1024", "rsa2048", "rsa3072") else "digitalSignature"
        with open(conf, "w") as out:
            out.write(CA_CONF.format(dir=scratch, md="sha256", eku=eku, usage=usage,
                                     san=f"subjectAltName = {san}" if san else ""))
        self._openssl("req", "-new", "-config", conf, "-key", self.path(name, "key"), "-subj", f"/CN={subject}",
                      "-out", self.path(name, "csr"))
        signer = ["-selfsign", "-keyfile", self.path(name, "key")] if issuer == name else \
            ["-cert", self.path(issuer), "-keyfile", self.path(issuer, "key")]
        self._openssl("ca", "-batch", "-notext", "-config", conf, "-extensions", extensions, *signer,
                      *DATES.get(name, []), "-in", self.path(name, "csr"), "-out", self.path(name))

    def staple(self, name):
        """The file with an OCSP response for a leaf, by its issuer: good, for a day."""
        with self._lock:
            out, issuer = self.path(name, "ocsp"), LEAVES[name][1]
            if not os.path.exists(out):
                serial = subprocess.run(["openssl", "x509", "-in", self.path(name), "-noout", "-serial"], capture_output=True,
                                        text=True, check=True).stdout.strip().split("=")[1]
                with open(self.path(name, "index"), "w") as index:
                    index.write(f"V\t401231235959Z\t\t{serial}\tunknown\t/CN={name}\n")
                self._openssl("ocsp", "-index", self.path(name, "index"), "-rsigner", self.path(issuer), "-rkey",
                              self.path(issuer, "key"), "-CA", self.path(issuer), "-issuer", self.path(issuer), "-cert",
                              self.path(name), "-respout", out, "-ndays", "1")
            return out

    def _chain_and_store(self, name, issuer):
        with open(self.path(issuer)) as chain, open(self.path(name), "a") as leaf:
            leaf.write(chain.read())
        self._store(name)

    def _store(self, name):
        self._openssl("pkcs12", "-export", "-inkey", self.path(name, "key"), "-in", self.path(name), "-name", name,
                      "-passout", f"pass:{P12_PASSWORD}", "-out", self.path(name, "p12"))

    def _leaf_only(self, source, name):
        for extension in ("key",):
            with open(self.path(source, extension)) as src, open(self.path(name, extension), "w") as dst:
                dst.write(src.read())
        with open(self.path(source)) as src, open(self.path(name), "w") as dst:
            dst.write(src.read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
        self._store(name)
