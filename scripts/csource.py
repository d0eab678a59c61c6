# SPDX-License-Identifier: Apache-2.0
"""What our checks know of C: the files of the tree, a view of a file without comments and literals, its functions."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(*patterns):
    """The tree's files (in git, or new and not ignored) that match, relative to the root."""
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *patterns],
                         cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    return sorted({f for f in out.split("\0") if f and os.path.isfile(os.path.join(ROOT, f))})


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text, keep_strings=False):
    """Comments and literals become blanks; every line keeps its number."""
    def hide(match):
        token = match.group(0)
        if keep_strings and token[0] == '"':
            return token
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(hide, text)


def without_preprocessor(text):
    """The same with preprocessor lines blanked, continuations included. |text| comes from blank()."""
    out, inside = [], False
    for line in text.split("\n"):
        directive = inside or line.lstrip().startswith("#")
        inside = directive and line.endswith("\\")
        out.append("" if directive else line)
    return "\n".join(out)


def functions(text):
    """(name, first line, number of lines) of each function defined in |text|, which is a file as it stands."""
    code = without_preprocessor(blank(text))
    depth, start, found = 0, 0, []
    name = None
    for match in re.finditer(r"[{};]", code):
        at, char = match.start(), match.group(0)
        if char == "{":
            if depth == 0:
                head = code[start:at]
                named = re.search(r"([A-Za-z_]\w*)\s*\(", head)
                is_function = head.rstrip().endswith(")") and named and "=" not in head.split("(")[0]
                name = named.group(1) if is_function else None
                first = code.count("\n", 0, start + len(head) - len(head.lstrip())) + 1
            depth += 1
        elif char == "}":
            depth -= 1
            if depth < 0:
                raise ValueError("line %d: a closing brace too many" % (code.count("\n", 0, at) + 1))
            if depth == 0:
                if name:
                    found.append((name, first, code.count("\n", 0, at) + 1 - first + 1))
                start = at + 1
        elif depth == 0:
            start = at + 1
    if depth:
        raise ValueError("a brace is never closed")
    return found


class Report:
    """Counts files, prints what is wrong with them and the line that .ci/run sums up."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def file(self, path, complaints):
        for complaint in complaints:
            print("%s: %s" % (path, complaint))
        if complaints:
            self.failed += 1
        else:
            self.passed += 1

    def end(self):
        print("%d passed, %d failed" % (self.passed, self.failed))
        sys.exit(0 if self.passed and not self.failed else 1)
