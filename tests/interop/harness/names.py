# SPDX-License-Identifier: Apache-2.0
"""What each implementation calls certificates' keys, suites, groups and alerts."""

import html
import json
import re

from .proc import Failure

SUITES = {
    "aes128": "TLS_AES_128_GCM_SHA256",
    "aes256": "TLS_AES_256_GCM_SHA384",
    "chacha": "TLS_CHACHA20_POLY1305_SHA256",
}

# the same of TLS 1.2, by what signs
SUITES_12 = {
    "aes128": "TLS_ECDHE_{}_WITH_AES_128_GCM_SHA256",
    "aes256": "TLS_ECDHE_{}_WITH_AES_256_GCM_SHA384",
    "chacha": "TLS_ECDHE_{}_WITH_CHACHA20_POLY1305_SHA256",
}


def suite_12(suite, cert):
    return SUITES_12[suite].format("RSA" if cert.startswith("rsa") else "ECDSA")


def same_suite(wanted, told):
    """OpenSSL has names of its own for those of TLS 1.2: ECDHE-RSA-CHACHA20-POLY1305."""
    return told == wanted or bool(told) and plain(wanted.replace("TLS_", "").replace("_WITH_", "_")).startswith(plain(told))


# as milgi calls them, after IANA's registry
GROUPS = {"x25519": "x25519", "p256": "secp256r1", "p384": "secp384r1", "hybrid": "X25519MLKEM768"}

# as they are on the wire
GROUP_NUMBERS = {"x25519": 0x001d, "p256": 0x0017, "p384": 0x0018, "hybrid": 0x11ec}

# spellings of a group in reports, compared without case and punctuation
GROUP_ALIASES = {
    "x25519": {"x25519"},
    "p256": {"p256", "secp256r1", "prime256v1", "curvep256"},
    "p384": {"p384", "secp384r1", "curvep384"},
    "hybrid": {"x25519mlkem768"},
}

# alert: how peers tell that they received it
ALERTS = {
    "certificate_required": r"certificate[ _]?(is[ _])?required",
    "bad_client_certificate": r"unknown[ _]?(certificate[ _])?(ca|authority)|bad[ _]?cert|CA is unknown"
                              r"|certificate[ _]?unknown|Certificate is bad",
    "no_application_protocol": r"no[ _]?(supported[ _])?application[ _]?protocol|NEXT_PROTOCOL_NO_PROTOCOL",
}


def plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def same_group(wanted, told):
    return plain(told) in GROUP_ALIASES[wanted]


def page_text(body):
    """The page as lines of text, whatever its markup."""
    body = re.sub(r"(?is)<(style|script|head)\b.*?</\1>", " ", body)
    body = re.sub(r"(?i)</(tr|p|li|div|dd|h\d|pre)>|<br\s*/?>", "\n", body)
    return html.unescape(re.sub(r"<[^>]*>", " ", body))


def page_value(text, label):
    """The value that a line `label: value` or `label value` of the page gives."""
    found = re.search(rf"(?im)^\W*(?:{label})\b[ \t]*[:=]?[ \t]*(?P<value>.*?)\s*$", text)
    if not found:
        raise Failure(f"the page has no line '{label}': {text.strip()[:200]!r}")
    return found.group("value")


def json_line(text):
    """The JSON object that `milgi connect --json` writes on stderr."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError as error:
                raise Failure(f"bad JSON on stderr: {line[:200]}") from error
    raise Failure(f"no JSON line on stderr: {text.strip()[-300:]!r}")
