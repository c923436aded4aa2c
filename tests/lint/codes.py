#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every code that a finding can carry is explained in engine/app/codes*.c, and every code that is explained there is used.

Read from the sources: the argument of each function below that takes a code, whatever literals stand in it."""
import pathlib
import re
import sys

# Function -> which argument is the code.
EVERYWHERE = {
    "peri_diag_add": 3, "peri_rule_fault": 2, "warn": 2, "trial_fault": 2, "pattern_find_fault": 2, "peri_expr_problem_set": 2, "build_complain": 2, "warn_once": 2,
    "FINDING": 2, "finding": 2, }
# Of the plugin layer: the error that ends a loading is a finding.
PLUGIN = {"peri_error_set": 2, "peri_vm_raisef": 1, "peri_vm_end": 1, "peri_vm_stop": 1, "refuse": 1}
NOT_SHOWN = {"memory", "syntax"}  # of expressions: the first is no finding, the second is shown as expr-syntax
CODE = re.compile(r'"([a-z][a-z0-9]*(?:[-._][a-z0-9]+)*)"')
NAME = re.compile(r"\b([A-Za-z_]\w*)\(")
# Named where no call says so.
IN_WORDS = {"expr-syntax": "engine/lang/template.c", "unknown-step": "engine/lang/rule_names.c", "unknown-var": "engine/lang/rule_names.c",
            "unknown-field": "engine/lang/rule_names.c",  "unknown-input": "engine/lang/rule_names.c",
            "package.manifest": "engine/app/cmd_plugins.c"}


def arguments(text, at):
    """The arguments of the call whose opening bracket is at - 1."""
    depth, start, found, quote = 1, at, [], None
    i = at
    while i < len(text) and depth:
        c = text[i]
        if quote:
            if c == "\\":
                i += 1
            elif c == quote:
                quote = None
        elif c in "\"'":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 1:
            found.append(text[start:i])
            start = i + 1
        i += 1
    return found + [text[start:i - 1]]


def used(root):
    codes = {}
    for path in sorted(root.glob("engine/*/*.c")):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        functions = dict(EVERYWHERE, **(PLUGIN if name.startswith("engine/plugin/") else {}))
        for call in NAME.finditer(text):
            index = functions.get(call.group(1))
            if index is None:
                continue
            found = arguments(text, call.end())
            for code in set(CODE.findall(found[index])) - NOT_SHOWN if index < len(found) else ():
                codes.setdefault(code, set()).add(name)
    for code, name in IN_WORDS.items():
        if f'"{code}"' in (root / name).read_text(encoding="utf-8"):
            codes.setdefault(code, set()).add(name)
    return codes


def explained(root):
    codes = set()
    for path in sorted(root.glob("engine/app/codes*.c")):
        codes.update(re.findall(r'^    \{"([^"]+)",', path.read_text(encoding="utf-8"), re.M))
    return codes


def main():
    root = pathlib.Path(".")
    use, known = used(root), explained(root)
    if "-l" in sys.argv:
        for code, names in sorted(use.items()):
            print(code, *sorted(names))
    bad = 0
    for code in sorted(set(use) - known):
        print(f"{code} has no explanation in engine/app/codes*.c; used in {', '.join(sorted(use[code]))}")
        bad += 1
    for code in sorted(known - set(use)):
        print(f"{code} is explained, but nothing uses it")
        bad += 1
    print(f"{len(known)} codes, {bad} mistakes")
    return 1 if bad or not known else 0


if __name__ == "__main__":
    sys.exit(main())
