# SPDX-License-Identifier: Apache-2.0
"""What it takes to run the tests of somebody else with Milgi in the place of their TLS."""

import collections
import sys
import unittest


def only(file, what):
    """Of a file with certificates and keys what is a |what|."""
    with open(file, encoding="utf-8") as f:
        lines, inside, kept = f.read().splitlines(), False, []
    for line in lines:
        if line.startswith("-----BEGIN "):
            inside = what in line
        if inside:
            kept.append(line)
    return "\n".join(kept + [""]).encode()


class Proxy:
    """A module, of which some is another."""

    def __init__(self, module, **instead):
        self.__module = module
        vars(self).update(instead)

    def __getattr__(self, name):
        return getattr(self.__module, name)


def judge(tests, cannot):
    """|tests|: (name, test, function that runs it into a result). |cannot|(name): why it does not fit, or None; those that were
    asked for by the command's arguments run anyway. Prints each, and the sum; the program ends."""
    count = collections.Counter()
    for name, test, run in tests:
        why = cannot(name)
        if why and not sys.argv[1:]:
            print("does not fit: %s: %s" % (name, why))
            count["cannot"] += 1
            continue
        result = unittest.TestResult()
        run(test, result)
        faults = result.errors + result.failures
        what = "FAILED" if faults else "skipped" if result.skipped else "ok"
        count[what] += 1
        said = "\n" + "".join(fault[1] for fault in faults) if faults else ": " + result.skipped[0][1] if result.skipped else ""
        print("%s %s%s" % (what, name, said), flush=True)
    print("%d do not fit, %d skipped by themselves" % (count["cannot"], count["skipped"]))
    print("%d passed, %d failed" % (count["ok"], count["FAILED"]))
    sys.exit(count["FAILED"] != 0)
