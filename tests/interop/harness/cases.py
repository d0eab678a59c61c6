# SPDX-License-Identifier: Apache-2.0
"""The cases as data: kinds, dimensions, which combinations make sense, and the pairwise selection.

A case's name is SIDE/KIND/PEER/CERT-GROUP-SUITE/DEVICE, where SIDE is milgi's: `server` (proxy) or `client` (connect).
"""

import dataclasses
import itertools
import random

from . import as_client, as_server
from .clients import ALL_CERTS, CLIENTS
from .names import SUITES
from .servers import SERVERS
from .trial import DEVICES

GROUPS = ("x25519", "p256", "p384", "hrr", "hybrid")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What is tried. |needs|: what the peer must be able to do. |cert|: the server's one certificate, if not any.
    |negative|: something must be refused. |data|: what is compared is the data. |matrix|: the full run takes every
    combination of the dimensions."""
    run: object
    needs: tuple = ()
    cert: str = None
    negative: bool = False
    data: bool = False
    seconds: int = 30
    matrix: bool = False
    plain_group: bool = False    # not with HelloRetryRequest
    tls12: bool = False          # which has neither that nor hybrids
    wire: bool = False           # it is judged by what is on the wire, too


SERVER_KINDS = {
    "page": Kind(as_server.page, matrix=True, wire=True),
    "page-12": Kind(as_server.page_12, ("tls12",), matrix=True, tls12=True, wire=True),
    "auth-12": Kind(as_server.auth("required", tls12=True), ("tls12", "client-cert"), tls12=True, wire=True),
    "resume": Kind(as_server.resumed(), ("resume",), plain_group=True, wire=True),
    "resume-auth": Kind(as_server.resumed(auth=True), ("resume", "client-cert"), plain_group=True, wire=True),
    "resume-12": Kind(as_server.resumed(tls12=True), ("resume", "tls12"), tls12=True, wire=True),
    "resume-auth-12": Kind(as_server.resumed(auth=True, tls12=True), ("resume", "client-cert", "tls12"), tls12=True, wire=True),
    "staple": Kind(as_server.staple(), ("staple",), plain_group=True, wire=True),
    "staple-12": Kind(as_server.staple(tls12=True), ("staple", "tls12"), tls12=True, wire=True),
    "bulk": Kind(as_server.bulk, ("bulk",), data=True, seconds=180),
    "half-close-by-client": Kind(as_server.half_client, ("half-client",), data=True),
    "half-close-by-server": Kind(as_server.half_server, ("half-server",), data=True),
    "two-certificates": Kind(as_server.two_certs, cert="p256"),
    "sni": Kind(as_server.sni, cert="p256"),
    "auth-required": Kind(as_server.auth("required"), ("client-cert",), wire=True),
    "auth-optional": Kind(as_server.auth("optional"), ("client-cert",)),
    "auth-optional-none": Kind(as_server.auth_optional_none),
    "auth-missing": Kind(as_server.auth_missing, negative=True),
    "auth-wrong-ca": Kind(as_server.auth_wrong_ca("required"), ("client-cert",), negative=True),
    "auth-optional-wrong-ca": Kind(as_server.auth_wrong_ca("optional"), ("client-cert",), negative=True),
    "alpn": Kind(as_server.alpn, ("alpn",)),
    "alpn-mismatch": Kind(as_server.alpn_mismatch, ("alpn",), negative=True),
    "untrusted": Kind(as_server.untrusted, cert="p256", negative=True),
    "keyupdate": Kind(as_server.keyupdate, ("keyupdate",), seconds=60),
}

CLIENT_KINDS = {
    "talk": Kind(as_client.talk, matrix=True, wire=True),
    "talk-12": Kind(as_client.talk_12, ("tls12",), matrix=True, tls12=True, wire=True),
    "auth-12": Kind(as_client.auth_12, ("tls12", "client-cert"), tls12=True, wire=True),
    "resume": Kind(as_client.resumed(), ("resume",), plain_group=True, wire=True),
    "resume-auth": Kind(as_client.resumed(auth=True), ("resume", "client-cert"), plain_group=True, wire=True),
    "resume-12": Kind(as_client.resumed(tls12=True), ("resume", "tls12"), tls12=True, wire=True),
    "resume-auth-12": Kind(as_client.resumed(auth=True, tls12=True), ("resume", "client-cert", "tls12"), tls12=True, wire=True),
    "staple": Kind(as_client.staple(), ("staple",), plain_group=True, wire=True),
    "staple-12": Kind(as_client.staple(tls12=True), ("staple", "tls12"), tls12=True, wire=True),
    "bulk": Kind(as_client.bulk, ("bulk",), data=True, seconds=180),
    "half-close-by-client": Kind(as_client.half_client, ("half-client",), data=True),
    "half-close-by-server": Kind(as_client.half_server, ("half-server",), data=True),
    "truncate": Kind(as_client.truncate, ("truncate",), negative=True),
    "auth-required": Kind(as_client.auth, ("client-cert",), wire=True),
    "auth-optional-none": Kind(as_client.auth_optional_none, ("client-cert",)),
    "auth-missing": Kind(as_client.auth_missing, ("client-cert", "auth-alert"), negative=True),
    "auth-wrong-ca": Kind(as_client.auth_wrong_ca, ("client-cert", "auth-alert"), negative=True),
    "alpn": Kind(as_client.alpn, ("alpn",)),
    "alpn-mismatch": Kind(as_client.alpn_mismatch, ("alpn",), negative=True),
    "name-is-address": Kind(as_client.name_override),
    "insecure": Kind(as_client.insecure, cert="p256"),
    "wrong-name": Kind(as_client.refusal("wrong-name"), cert="p256", negative=True),
    "untrusted": Kind(as_client.refusal("untrusted"), cert="p256", negative=True),
    "no-intermediate": Kind(as_client.refusal("no-intermediate"), cert="p256", negative=True),
    "expired": Kind(as_client.refusal("expired"), cert="p256", negative=True),
    "not-yet-valid": Kind(as_client.refusal("not-yet-valid"), cert="p256", negative=True),
    "weak-key": Kind(as_client.refusal("weak-key"), cert="p256", negative=True),
    "wrong-purpose": Kind(as_client.refusal("wrong-purpose"), cert="p256", negative=True),
    "tls12": Kind(as_client.tls12, ("tls12",), cert="p256", negative=True, plain_group=True),
    "keyupdate": Kind(as_client.keyupdate, ("keyupdate",), seconds=60),
    "keyupdate-by-milgi": Kind(as_client.keyupdate_by_milgi, ("bulk",), data=True, seconds=60),
}

SIDES = {"server": (SERVER_KINDS, CLIENTS), "client": (CLIENT_KINDS, SERVERS)}


@dataclasses.dataclass(frozen=True)
class Case:
    side: str
    kind: str
    peer: str
    cert: str
    group: str
    suite: str
    device: str

    @property
    def how(self):
        return SIDES[self.side][0][self.kind]

    @property
    def name(self):
        return f"{self.side}/{self.kind}/{self.peer}/{self.cert}-{self.group}-{self.suite}/{self.device}"

    @property
    def seconds(self):
        return self.how.seconds

    @property
    def negative(self):
        return self.how.negative

    @property
    def tapped(self):
        """Whether it is judged by what is on the wire, too."""
        return self.how.wire or self.group in ("hrr", "hybrid")

    @property
    def longer(self):
        return SIDES[self.side][1][self.peer].longer

    def makes_sense(self, installed=True):
        """|installed|: with the versions that are here; otherwise with whichever can."""
        kind, peer = self.how, SIDES[self.side][1][self.peer]
        return (set(kind.needs) <= peer.can
                and (self.cert == kind.cert if kind.cert else self.cert in peer.certs)
                and not (self.group == "hrr" and (kind.plain_group or self.side == "client" and "group" not in peer.can))
                and not (kind.tls12 and self.group in ("hrr", "hybrid"))
                and not (self.group == "hybrid" and not (peer.has_hybrid() if installed else peer.can_hybrid()))
                and not (kind.tls12 and installed and not peer.has_ems())
                and not (kind.tls12 and self.cert not in (peer.certs_12 or peer.certs))
                and not ("staple" in kind.needs and self.cert not in (peer.staple_certs or peer.certs))
                and self.kind not in peer.cannot)


def by_name(name):
    """The case of that name, whether or not a selection holds it; None if there is no such case."""
    try:
        side, kind, peer, how, device = name.split("/")
        cert, group, suite = how.rsplit("-", 2)
        case = Case(side, kind, peer, cert, group, suite, device)
        good = (kind in SIDES[side][0] and peer in SIDES[side][1] and group in GROUPS and suite in SUITES
                and device in DEVICES and cert in ALL_CERTS and case.makes_sense())
    except (ValueError, KeyError):
        return None
    return case if good else None


def all_cases(side, kinds=None, peers=None, installed=True):
    rows = itertools.product([side], kinds or SIDES[side][0], peers or SIDES[side][1], ALL_CERTS, GROUPS, SUITES, DEVICES)
    return [case for case in itertools.starmap(Case, rows) if case.makes_sense(installed)]


FIELDS = ("kind", "peer", "cert", "group", "suite", "device")


def pairs_of(case):
    values = [(field, getattr(case, field)) for field in FIELDS]
    return list(itertools.combinations(values, 2))


def pairwise(cases, chosen):
    """|chosen|, and a small selection with which every pair of values that occurs together in |cases| occurs: always the same
    one."""
    chance = random.Random(1)
    having = {}
    for case in cases:
        for pair in pairs_of(case):
            having.setdefault(pair, []).append(case)
    open_pairs, chosen = dict.fromkeys(having), list(dict.fromkeys(chosen))
    for case in chosen:
        for covered in pairs_of(case):
            open_pairs.pop(covered, None)
    while open_pairs:
        pair = next(iter(open_pairs))
        candidates = having[pair]
        if len(candidates) > 80:
            candidates = chance.sample(candidates, 80)
        best = max(candidates, key=lambda case: sum(pair in open_pairs for pair in pairs_of(case)))
        chosen.append(best)
        for covered in pairs_of(best):
            open_pairs.pop(covered, None)
    return chosen


def selection(longer):
    """What each peer must be seen to do, by name, and pairs."""
    from . import named
    first, chosen = named.cases(longer), []
    for side in SIDES:
        cases = [case for case in all_cases(side) if case.longer == longer]
        chosen += pairwise(cases, [case for case in first if case.side == side])
    return chosen


def ci():
    return selection(False)


def longer():
    """The same of the peers that only longer commands want."""
    return selection(True)


def full():
    """Every combination for the kinds that are the matrix; every kind, peer and device for the others, with the
    certificate, group and suite taken in turn."""
    chosen = []
    for side in SIDES:
        turns = {}
        for case in all_cases(side):
            if case.how.matrix:
                chosen.append(case)
            else:
                turns.setdefault((case.kind, case.peer, case.device), []).append(case)
        for number, cases in enumerate(turns.values()):
            chosen.append(cases[number * 37 % len(cases)])
    return chosen
