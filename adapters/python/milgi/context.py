# SPDX-License-Identifier: Apache-2.0
"""What connections are made from: credentials, certificates that are trusted, and what is asked of the application.

A Context is made once and used for any number of connections, in any number of loops. It is safe as it comes: a client
checks the server's certificate and name, and a server that is given certificates of clients' authorities demands one.
"""

import datetime
import itertools
import os
import time

from ._native import ffi, lib
from .errors import UsageError, check, cstring, text

_numbers = itertools.count(1)
# Of credentials whose key is a function: number -> function. Without a lock: who holds one may be who collects a credential.
_signers = {}


def _pem_or_file(what):
    """(bytes, None) or (None, path)."""
    if isinstance(what, (bytes, bytearray, memoryview)):
        return bytes(what), None
    return None, os.fspath(what)


def _read(what):
    pem, path = _pem_or_file(what)
    if pem is None:
        try:
            with open(path, "rb") as f:
                pem = f.read()
        except OSError as e:
            raise UsageError("%s: %s" % (path, e.strerror)) from e
    return pem


class Credential:
    """A certificate chain (leaf first) and its private key, each a path or, as bytes, PEM.

    The key may be elsewhere: |key| a URI ("keyless:", where the engine has a device for it), or in its place |sign|, a
    function sign(scheme, message) that returns the signature over |message| by a scheme as "ecdsa_secp256r1_sha256" or
    "rsa_pss_rsae_sha256", or an awaitable of it. Its signatures are verified before they are sent.
    A key that is encrypted has |password|, bytes or str.
    """

    def __init__(self, chain, key=None, *, sign=None, password=None):
        out = ffi.new("struct milgi_credential **")
        problem = ffi.new("struct milgi_problem *")
        if (key is None) == (sign is None):
            raise UsageError("a credential has a key, or a function that signs")
        uri = None
        if sign is not None:
            self._number = next(_numbers)
            uri = "python:%d" % self._number
        elif isinstance(key, str) and key.startswith(("keyless:", "pkcs11:")):
            uri = key
        pem = _read(chain)
        if uri:
            rv = lib.milgi_credential_load_uri(pem, len(pem), cstring(uri), out, problem)
        else:
            secret = _read(key)
            word = password.encode() if isinstance(password, str) else password
            rv = lib.milgi_credential_load_pem_encrypted(pem, len(pem), secret, len(secret), ffi.NULL if word is None else word,
                                                         len(word or b""), out, problem)
        file = {1: chain, 2: key}.get(problem.file)
        check(rv, file if isinstance(file, str) else "credential", problem)
        self._c = ffi.gc(out[0], lib.milgi_credential_unref)
        if sign is not None:
            _signers[self._number] = sign

    _number = None

    def __del__(self):
        if self._number is not None:
            _signers.pop(self._number, None)

    @property
    def subject(self):
        return text(lib.milgi_credential_subject(self._c))

    @property
    def key_type(self):
        return text(lib.milgi_credential_key_type(self._c))

    def __repr__(self):
        return "<milgi.Credential %s, %s>" % (self.subject, self.key_type)


def signer(number):
    return _signers.get(number)


class Trust:
    """Authorities whose certificates are accepted: a path or PEM; None: the system's.

    With |crls|, a path or PEM, a peer is refused that is in one, or of whom none of now speaks: of "all" certificates of
    the path, or of the "leaf".
    """

    def __init__(self, pem=None, *, crls=None, crl_check="all"):
        out = ffi.new("struct milgi_trust **")
        problem = ffi.new("struct milgi_problem *")
        if pem is None:
            check(lib.milgi_trust_new_system(out), "the system's trust store")
        else:
            data = _read(pem)
            check(lib.milgi_trust_load_pem(data, len(data), out, problem), pem if isinstance(pem, str) else "trust",
                  problem)
        self._c = ffi.gc(out[0], lib.milgi_trust_unref)
        if crls is not None:
            data = _read(crls)
            check(lib.milgi_trust_add_crls_pem(self._c, data, len(data), problem), crls if isinstance(crls, str) else "crls",
                  problem)
            check(lib.milgi_trust_set_crl_check(self._c, self._CHECKS[crl_check]))

    _CHECKS = {"leaf": lib.MILGI_CRL_CHECK_LEAF, "all": lib.MILGI_CRL_CHECK_ALL}


class Certificate:
    """A peer's certificate: .der and what stands in it. Nothing of it is checked but what the connection has checked."""

    def __init__(self, der):
        self.der = bytes(der)

    def _text(self, read):
        out = ffi.new("char[1024]")
        check(read(self.der, len(self.der), out, 1024), "certificate")
        return text(out)

    @property
    def subject(self):
        return self._text(lib.milgi_certificate_subject)

    @property
    def issuer(self):
        return self._text(lib.milgi_certificate_issuer)

    @property
    def key_type(self):
        return self._text(lib.milgi_certificate_key_type)

    @property
    def names(self):
        """Of the subjectAltName: ("dns", "example.org"), ("ip", ...), ("email", ...), ("uri", ...)."""
        size = lib.milgi_py_names(self.der, len(self.der), ffi.NULL, 0)
        out = ffi.new("char[]", size + 1)
        lib.milgi_py_names(self.der, len(self.der), out, size + 1)
        return [tuple(line.split(":", 1)) for line in text(out).splitlines()]

    @property
    def validity(self):
        """From when to when, in seconds since 1970."""
        times = ffi.new("int64_t[2]")
        check(lib.milgi_certificate_validity(self.der, len(self.der), times, times + 1), "certificate")
        return times[0], times[1]

    def __repr__(self):
        return "<milgi.Certificate %s>" % self.subject

    def as_dict(self):
        """As ssl's getpeercert() has it, as far as Milgi reads certificates."""
        begins, ends = (datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%b %e %H:%M:%S %Y GMT")
                        for t in self.validity)
        kinds = {"dns": "DNS", "ip": "IP Address", "email": "email", "uri": "URI"}
        found = {"subject": _names(self.subject), "issuer": _names(self.issuer), "notBefore": begins, "notAfter": ends}
        names = tuple((kinds[kind], name) for kind, name in self.names)
        if names:
            found["subjectAltName"] = names
        return found


_LONG = {"CN": "commonName", "C": "countryName", "O": "organizationName", "OU": "organizationalUnitName",
         "L": "localityName", "ST": "stateOrProvinceName", "DC": "domainComponent", "UID": "userId"}


def _names(line):
    """A name in one line, the last part first, as ssl writes it: parts of attributes."""
    parts, word, quoted = [], "", False
    for c in line + ",":
        if quoted:
            word, quoted = word + c, False
        elif c == "\\":
            quoted = True
        elif c == ",":
            kind, _, value = word.partition("=")
            parts.append(((_LONG.get(kind, kind), value),))
            word = ""
        else:
            word += c
    return tuple(reversed(parts)) if line else ()


class Session:
    """What a server has given a client for its next connection. bytes() of it are as much a secret as a private key."""

    def __init__(self, data=None, *, _c=None):
        if _c is None:
            out = ffi.new("struct milgi_session **")
            data = bytes(data)
            check(lib.milgi_session_decode(data, len(data), out), "session")
            _c = out[0]
        self._c = ffi.gc(_c, lib.milgi_session_unref)

    def __bytes__(self):
        return encode(self._c)


def encode(session):
    size = lib.milgi_session_encode(session, ffi.NULL, 0)
    out = ffi.new("uint8_t[]", size)
    lib.milgi_session_encode(session, out, size)
    return ffi.buffer(out)[:]


class Context:
    """Context.client() and Context.server() make them."""

    # What is asked: the keyword, its bit. The functions may return the answer or an awaitable of it (loop.py).
    QUESTIONS = {
        "choose_certificate": lib.MILGI_DECIDE_CREDENTIAL,
        "choose_alpn": lib.MILGI_DECIDE_ALPN,
        "choose_context": lib.MILGI_DECIDE_CONFIG,
        "check_peer": lib.MILGI_DECIDE_PEER,
        "open_ticket": lib.MILGI_DECIDE_TICKET_OPEN,
        "seal_tickets": lib.MILGI_DECIDE_TICKET_SEAL,
        "find_session": lib.MILGI_DECIDE_SESSION_LOOKUP,
        "store_session": lib.MILGI_DECIDE_SESSION_STORE,
    }
    LIMITS = {"input": lib.MILGI_LIMIT_INPUT, "credit": lib.MILGI_LIMIT_CREDIT, "output": lib.MILGI_LIMIT_OUTPUT,
              "record": lib.MILGI_LIMIT_RECORD}

    @classmethod
    def client(cls, ca=None, *, credentials=(), sessions=256, dangerously_accept_any_server=False, **common):
        """A client that trusts |ca| (a path, PEM, a Trust; None: the system's) and shows its |credentials| where it is
        asked for one. It keeps so many |sessions| and comes back on them."""
        self = cls(lib.MILGI_CLIENT, credentials, **common)
        self.dangerous = dangerously_accept_any_server
        if ca is not None:
            self._set_trust(ca)
        if dangerously_accept_any_server:
            check(lib.milgi_config_dangerously_accept_any_server(self._c))
        if sessions:
            out = ffi.new("struct milgi_session_cache **")
            check(lib.milgi_session_cache_new(sessions, out))
            self._cache = ffi.gc(out[0], lib.milgi_session_cache_unref)
            check(lib.milgi_config_set_session_cache(self._c, self._cache))
        self._freeze()
        return self

    @classmethod
    def server(cls, credentials=(), *, client_ca=None, client_auth=None, tickets=True, ticket_lifetime=7200,
               strict_sni=False, **common):
        """A server with |credentials|, one of which is chosen by the name that the client wants. |client_ca|: whose
        certificates clients are to have; |client_auth|: "required" (then the default), "optional", "none". |tickets|:
        True, False, or 32 secret bytes that several processes share."""
        self = cls(lib.MILGI_SERVER, credentials, **common)
        if client_ca is not None:
            self._set_trust(client_ca)
        if client_auth is not None:
            modes = {"none": lib.MILGI_CLIENT_AUTH_NONE, "optional": lib.MILGI_CLIENT_AUTH_OPTIONAL,
                     "required": lib.MILGI_CLIENT_AUTH_REQUIRED}
            if client_auth not in modes:
                raise UsageError("client_auth is none, optional or required")
            check(lib.milgi_config_set_client_auth(self._c, modes[client_auth]))
        if strict_sni:
            check(lib.milgi_config_set_strict_sni(self._c, True))
        if tickets and not self.ask.get("seal_tickets"):
            secret = os.urandom(32) if tickets is True else bytes(tickets)
            if len(secret) != 32:
                raise UsageError("tickets: 32 bytes")
            keys = ffi.new("struct milgi_ticket_keys **")
            check(lib.milgi_ticket_keys_new(secret, ticket_lifetime, int(time.time()), keys), "tickets")
            check(lib.milgi_config_set_ticket_keys(self._c, keys[0]))
            lib.milgi_ticket_keys_unref(keys[0])
        self._freeze()
        return self

    def __init__(self, role, credentials, *, alpn=(), policy=None, strict_alpn=False, handshake_timeout=None,
                 limits=None, keylog=None, on_failure=None, on_session=None, dangerously_only_report_peer=False, **ask):
        """|policy| as "modern" (TLS 1.3, the default) or "compatible" (TLS 1.2, too) with further words
        (milgi/policy.h). on_failure(error, transport): a handshake has failed, of which a server hears nowhere else.
        on_session(session, transport): a client was given one. keylog(line, transport): lines for Wireshark.

        |dangerously_only_report_peer|: a certificate that is not accepted ends nothing; .peer_verdict of the ssl_object,
        and .verdict of what check_peer is asked with, say what is wrong with it, and who does not look accepts anybody."""
        config = lib.milgi_config_new(role)
        if not config:
            raise MemoryError
        self._c = ffi.gc(config, lib.milgi_config_unref)
        self.server_side = role == lib.MILGI_SERVER
        self.dangerous = False
        self.on_failure, self.on_session = on_failure, on_session
        if isinstance(credentials, Credential):
            credentials = (credentials,)
        self.credentials = tuple(credentials)
        self.ask = {name: function for name, function in ask.items() if function is not None}
        unknown = set(self.ask) - set(self.QUESTIONS)
        if unknown:
            raise TypeError("no such option: " + ", ".join(sorted(unknown)))
        for credential in self.credentials:
            check(lib.milgi_config_add_credential(self._c, credential._c), repr(credential))
        if policy is not None:
            problem = ffi.new("struct milgi_problem *")
            check(lib.milgi_config_set_policy(self._c, cstring(policy), problem), "policy", problem)
        if alpn:
            kept = [ffi.new("char[]", cstring(name)) for name in alpn]
            check(lib.milgi_config_set_alpn(self._c, ffi.new("char *[]", kept), len(kept)), "alpn")
        if strict_alpn:
            check(lib.milgi_config_set_strict_alpn(self._c, True))
        if handshake_timeout is not None:
            check(lib.milgi_config_set_limit(self._c, lib.MILGI_LIMIT_HANDSHAKE_NS, int(handshake_timeout * 1e9)),
                  "handshake_timeout")
        for name, value in (limits or {}).items():
            check(lib.milgi_config_set_limit(self._c, self.LIMITS[name], value), name)
        if dangerously_only_report_peer:
            check(lib.milgi_config_dangerously_only_report_peer(self._c))
        if keylog:
            self._keylog = ffi.new_handle(keylog)
            check(lib.milgi_config_set_keylog(self._c, lib.milgi_py_keylog, self._keylog))
        bits = sum(self.QUESTIONS[name] for name in self.ask)
        if bits:
            check(lib.milgi_config_set_ask(self._c, bits), "questions")

    def _set_trust(self, ca):
        self._trust = ca if isinstance(ca, Trust) else Trust(ca)
        check(lib.milgi_config_set_trust(self._c, self._trust._c))

    def _freeze(self):
        why = ffi.new("const char **")
        rv = lib.milgi_config_freeze(self._c, why)
        if rv < 0:
            raise UsageError(text(why[0]) or text(lib.milgi_error_text(rv)), code=rv)
