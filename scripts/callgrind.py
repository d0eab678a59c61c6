# SPDX-License-Identifier: Apache-2.0
"""What callgrind writes, read: instructions by object, file and function."""

import collections
import re

NAME = re.compile(r"\((\d+)\)(?: (.*))?$")


class Profile:
    def __init__(self, lines):
        self.own = collections.Counter()     # (object, file of the line, function): instructions
        self.homes = collections.Counter()   # (object, file of the function, function): the same
        self.into = collections.Counter()    # (caller, callee): instructions, with what it called
        self.names = {}
        self.parse(lines)

    def name(self, kind, text):
        found = NAME.match(text)
        if not found:
            return text
        number, name = found.groups()
        if name is not None:
            self.names[kind, number] = name
        return self.names[kind, number]

    def parse(self, lines):
        obj = path = home = function = ""
        callee_obj = callee_path = callee = ""
        after_call = False
        for line in lines:
            line = line.rstrip("\n")
            key, _, value = line.partition("=")
            if key == "ob":
                obj = self.name("ob", value)
            elif key in ("fl", "fi", "fe"):
                path = self.name("fl", value)
                if key == "fl":
                    home = path
            elif key == "fn":
                function = self.name("fn", value)
                path = home
                callee_obj = callee_path = ""
            elif key == "cob":
                callee_obj = self.name("ob", value)
            elif key in ("cfi", "cfl"):
                callee_path = self.name("fl", value)
            elif key == "cfn":
                callee = self.name("fn", value)
            elif key == "calls":
                after_call = True
            elif line[:1].isdigit() or line[:1] in "+-*":
                cost = int(line.split()[1]) if len(line.split()) > 1 else 0
                me = (obj, home, function)
                if after_call:
                    target = (callee_obj or obj, callee_path or path, callee)
                    self.into[me, target] += cost
                    callee_obj = callee_path = ""
                    after_call = False
                else:
                    self.own[obj, path, function] += cost
                    self.homes[me] += cost
