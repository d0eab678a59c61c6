# SPDX-License-Identifier: Apache-2.0
"""What every peer must be seen to do, in the role and with the keys that it has: the cases for it, and a table of them."""

import os

from .cases import SIDES, Case, all_cases
from .names import SUITES
from .trial import DEVICES

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "docs", "testing.md")
BEGIN, END = "<!-- made by `tests/interop/run table` -->\n", "<!-- end of the table -->\n"
PLAIN = {"server": "page", "client": "talk"}

# what is wanted: the kinds that show it
ONCE = (
    ("resumption", ("resume", "resume-12")),
    ("OCSP", ("staple", "staple-12")),
    ("client certificate, resumed", ("resume-auth", "resume-auth-12")),
)


def turn(choices, number):
    return choices[number % len(choices)]


def hybrid_of(side, peer, installed):
    return [case for case in all_cases(side, [PLAIN[side]], [peer], installed) if case.group == "hybrid"]


def of(side, peer, number):
    """The cases of one peer in one role: each of these kinds once, the hybrid, and TLS 1.2 with every key and every suite."""
    chosen = []
    for _, kinds in ONCE:
        for kind in kinds:
            cases = all_cases(side, [kind], [peer])
            chosen += [turn(cases, number * 37)] if cases else []
    hybrids = hybrid_of(side, peer, installed=True)
    chosen += [turn(hybrids, number * 7)] if hybrids else []
    legacy = all_cases(side, [PLAIN[side] + "-12"], [peer])
    certs = list(dict.fromkeys(case.cert for case in legacy))
    for at in range(max(len(certs), len(SUITES)) if certs else 0):
        want = (turn(certs, at), turn(list(SUITES), at + number), turn(list(DEVICES), at + number))
        chosen.append(next(case for case in legacy if (case.cert, case.suite, case.device) == want))
    return chosen


def cases(longer):
    found = []
    for side, (_, peers) in SIDES.items():
        for number, peer in enumerate(peers.values()):
            if peer.longer == longer:
                found += of(side, peer.name, number)
    return found


def row(side, peer):
    cells = []
    for _, kinds in ONCE:
        cells.append(", ".join(f"`{kind}`" for kind in kinds
                               if all_cases(side, [kind], [peer.name], installed=False)))
    legacy = all_cases(side, [PLAIN[side] + "-12"], [peer.name], installed=False)
    certs = " ".join(dict.fromkeys(case.cert for case in legacy))
    suites = " ".join(dict.fromkeys(case.suite for case in legacy))
    hybrid = f"`{PLAIN[side]}`" if hybrid_of(side, peer.name, installed=False) else ""
    if hybrid and peer.hybrid_since:
        hybrid += f", from {peer.hybrid_since[0][0]} " + ".".join(map(str, peer.hybrid_since[1]))
    cells = [cells[0], f"`{PLAIN[side]}-12`: {certs}; {suites}" if certs else "", hybrid, *cells[1:]]
    where = "longer" if peer.longer else "CI"
    return f"| {side} | {peer.name} | " + " | ".join(cell or "-" for cell in cells) + f" | {where} |\n"


def table():
    head = "| Milgi is | peer | resumption | TLS 1.2: keys; suites | X25519MLKEM768 | OCSP | client certificate, resumed | where |\n"
    rows = [row(side, peer) for side, (_, peers) in SIDES.items() for peer in peers.values()]
    return head + "|---|---|---|---|---|---|---|---|\n" + "".join(rows)


def parts_of_docs():
    with open(DOCS, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    shown, _, after = rest.partition(END)
    return before, shown, after


def docs_are_true():
    return parts_of_docs()[1] == table()


def update_docs():
    before, _, after = parts_of_docs()
    with open(DOCS, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + table() + END + after)
