# SPDX-License-Identifier: Apache-2.0
"""The public headers as data: their comments, and the declarations that follow each."""

import re

import csource

HEADERS = ["include/milgi/%s.h" % name for name in
           ("milgi", "error", "config", "policy", "engine", "conn", "buf", "device", "op", "stats")] + \
          csource.files("adapters/*/milgi_*.h")
COMMENT = re.compile(r"^/\*(?!\s*SPDX)(.*?)\*/[ \t]*\n", re.S | re.M)
FUNCTION = re.compile(r"\b(milgi_[a-z0-9_]+)\s*\(")
NOISE = re.compile(r"^#(?:ifdef __cplusplus|endif|pragma once).*\n|^extern \"C\" \{\n|^}\n(?=#endif)", re.M)


def text_of(comment):
    """A comment without its stars, as lines."""
    lines = [re.sub(r"^ \* ?| \*$", "", line) for line in comment.strip("\n").split("\n")]
    return "\n".join(lines).strip()


def declared(code):
    """The functions that |code| declares at its outermost level, in order."""
    flat = re.sub(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", "{}", csource.without_preprocessor(csource.blank(code)))
    names = []
    for statement in flat.split(";"):
        match = FUNCTION.search(statement)
        if match and "typedef" not in statement and "{" not in statement and "(*" not in statement[:match.start()]:
            names.append(match.group(1))
    return names


def blocks(path):
    """(comment, code) pairs of the header: each comment that begins a line, and what stands between it and the next."""
    text = NOISE.sub("", csource.read(path))
    at, comment, found = 0, "", []
    for match in COMMENT.finditer(text):
        found.append((comment, text[at:match.start()]))
        comment, at = text_of(match.group(1)), match.end()
    found.append((comment, text[at:]))
    return [(comment, code.strip("\n")) for comment, code in found]


def without_contract(path):
    """Functions that nothing is said of: no comment above or beside them or above the group that they stand in."""
    missing = []
    for comment, code in blocks(path):
        # A blank line ends what a comment is about.
        flat = re.sub(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", "{}", code)
        for number, group in enumerate(re.split(r"\n\s*\n", flat)):
            if number == 0 and comment:
                continue
            for line in group.split("\n"):
                if "/*" not in line:
                    missing += declared(line + "\n")
    return missing
