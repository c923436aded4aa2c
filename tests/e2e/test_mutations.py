#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mistakes of all kinds, made at every place of good rules where they can be made: one finding each, at the very place, and
what --fix makes of a file loads. The good ones are corpus/ and the shipped rules."""
import glob
import json
import os
import re
import shutil

import harness

HEAD_KEYS = "name description enabled tags priority trigger triggers key mode max max_exceeded throttle conditions actions on_error".split()
KEYS = HEAD_KEYS + ("event match schedule cron every at timezone dst catch_up all any not expr lua operator params delay if then else choose do "
                    "for_each set emit stop id as timeout retry idempotency_key continue_on_error in data once_within once_after wait_for approve parallel count within prompt rate_limit quiet_hours").split()


def sources():
    for folder in (os.path.join(harness.SOURCE, "tests/e2e/corpus"), os.path.join(harness.SOURCE, "rules")):
        for path in sorted(glob.glob(folder + "/*.yaml")):
            with open(path) as f:
                text = f.read()
            if not path.endswith(".test.yaml") and not re.search(r"^rules:", text, re.M):
                yield os.path.basename(path)[:-5], text


class Mutant:
    """A text with one mistake, where it is, and which codes tell of it."""

    def __init__(self, kind, text, at, codes, hint=None):
        self.kind, self.text, self.codes, self.hint = kind, text, codes, hint
        self.line = text.count("\n", 0, at) + 1
        self.column = at - (text.rfind("\n", 0, at) + 1) + 1


def swap(text, at, old, new):
    return text[:at] + new + text[at + len(old):]


def misspelt(word):
    """Two letters in the middle change places."""
    i = len(word) // 2
    while i > 1 and word[i] == word[i - 1]:
        i -= 1
    return word[:i - 1] + word[i] + word[i - 1] + word[i + 1:]


def in_script(text, at):
    """Inside of a block scalar, or of a comment?"""
    line = text[text.rfind("\n", 0, at) + 1:at]
    if "#" in line and not re.search(r"[\"'{]", line):
        return True
    start = text.rfind("lua: |", 0, at)
    if start < 0:
        return False
    indent = start - (text.rfind("\n", 0, start) + 1)
    return all(not row.strip() or len(row) - len(row.lstrip()) > indent for row in text[start:at].split("\n")[1:])


def each(text, pattern):
    for m in re.finditer(pattern, text, re.M):
        if not in_script(text, m.start(m.lastindex or 0)):
            yield m


def keys(text):
    """(offset, key) of the keys in block style, and whether they are the engine's."""
    parents = []
    for m in re.finditer(r"^( *)((?:- )*)([A-Za-z_]+):(?= |$)", text, re.M):
        if in_script(text, m.start(3)):
            continue
        column = len(m.group(1)) + len(m.group(2))
        while parents and (parents[-1][0] >= column or (m.group(2) and parents[-1][0] > len(m.group(1)))):
            parents.pop()
        path = [name for _, name in parents]
        parents.append((column, m.group(3)))
        yield m.start(3), m.group(3), path


def mutants(text):
    for at, key, path in keys(text):
        if "match" in path or "set" in path or "where" in path or len(key) < 3:
            continue
        new = misspelt(key)
        if "params" in path:
            if path[-1] == "params" and key not in ("data",):
                yield Mutant("misspelt parameter", swap(text, at, key, new), at, ["param-unknown"])
        elif path and path[-1] == "input":
            if key in ("then", "only"):
                yield Mutant("misspelt input", swap(text, at, key, new), at, ["unknown-input"])
        elif key in KEYS and new != key and "data" not in path:
            yield Mutant("misspelt key", swap(text, at, key, new), at, ["unknown-key"])
        if key in HEAD_KEYS and not path:
            line = text[at:text.find("\n", at) + 1]
            if not line.rstrip("\n").endswith(":"):
                yield Mutant("key twice", text[:at] + line + text[at:], at + len(line), ["duplicate-key"])
    for m in each(text, r"operator: ([A-Za-z.]+)"):
        yield Mutant("misspelt operator", swap(text, m.start(1), m.group(1), misspelt(m.group(1))), m.start(1), ["unknown-operator"])
    for m in each(text, r": (\"(\{\{[^\"]*\}\})\")$"):
        yield Mutant("template without quotes", swap(text, m.start(1), m.group(1), m.group(2)), m.start(1), ["yaml-syntax"])
    for m in each(text, r"^((?:  )+)[a-z]"):
        yield Mutant("tab", swap(text, m.start(1), m.group(1), "\t" * (len(m.group(1)) // 2)), m.start(1), ["yaml-syntax"])
    for m in each(text, r"(\")[^\"\n]*\"$"):
        if "'" not in m.group():
            yield Mutant("quote that is never closed", text[:m.end() - 1] + text[m.end():], m.start(1), ["yaml-syntax"])
    for m in each(text, r"\{\{[^\n]*?\b(event)\."):
        yield Mutant("misspelt root", swap(text, m.start(1), "event", "evetn"), m.start(1), ["unknown-root"])
    for m in each(text, r"\| ([a-z_]+)"):
        new = misspelt(m.group(1))
        if len(m.group(1)) > 3:
            yield Mutant("misspelt filter", swap(text, m.start(1), m.group(1), new), m.start(1), ["unknown-filter"])
    for m in each(text, r"\{\{[^\n{}']*? (==|~=|and|or) "):
        new = {"==": "=", "~=": "!=", "and": "&&", "or": "||"}[m.group(1)]
        yield Mutant("operator of another language", swap(text, m.start(1), m.group(1), new), m.start(1), ["expr-syntax"])
    for m in each(text, r"\{\{[^\n{}]*?( \}\})"):
        yield Mutant("expression that breaks off", swap(text, m.start(1), " }}", " + }}"), m.start(1) + 3, ["expr-syntax"])
    for m in each(text, r"(?:delay|every|once_within|once_after|timeout|catch_up|initial_interval|period|for|(?<=    )within): (\d+)(m|h|s)\b(?!\d)"):
        long = {"m": " minutes", "h": " hours", "s": " seconds"}[m.group(2)]
        yield Mutant("duration in words", text[:m.start(2)] + long + text[m.end(2):], m.start(1), ["duration"])
    for m in each(text, r"(?:mode|dst|max_exceeded|delivery): ([a-z_]+)"):
        yield Mutant("misspelt word", swap(text, m.start(1), m.group(1), misspelt(m.group(1))), m.start(1), ["bad-value"])
    for m in each(text, r"(?:enabled|continue_on_error): (true|false)"):
        yield Mutant("yes and no", swap(text, m.start(1), m.group(1), {"true": "yes", "false": "no"}[m.group(1)]), m.start(1), ["wrong-type"])
    for m in each(text, r"(?:priority|max): (\d+)"):
        yield Mutant("number in quotes", swap(text, m.start(1), m.group(1), f'"{m.group(1)}"'), m.start(1), ["wrong-type"])
    for m in each(text, r"(?:message|body|subject|title): (\"[^\"]*\")"):
        yield Mutant("number as text", swap(text, m.start(1), m.group(1), "12"), m.start(1), ["param-type", "input-type"])
    for m in each(text, r"cron: \"(\d+) \d+ "):
        yield Mutant("minute 61", swap(text, m.start(1), m.group(1), "61"), m.start(1), ["cron-syntax"])
    for m in each(text, r"timezone: ([A-Z][A-Za-z_]+/[A-Za-z_]+)"):
        yield Mutant("no such zone", swap(text, m.start(1), m.group(1), m.group(1) + "x"), m.start(1), ["timezone"])
    for m in each(text, r"^  event: ([A-Za-z.]+)$"):
        yield Mutant("blank in an event type", swap(text, m.start(1), m.group(1), m.group(1).replace(".", " ", 1)), m.start(1), ["event-type"])
    for m in each(text, r"steps\.([a-z]+)\b"):
        yield Mutant("misspelt step", swap(text, m.start(1), m.group(1), misspelt(m.group(1))), m.start(1), ["unknown-step"])
    for m in each(text, r"vars\.([a-z]+)\b"):
        yield Mutant("misspelt variable", swap(text, m.start(1), m.group(1), misspelt(m.group(1))), m.start(1), ["unknown-var"])
    for m in each(text, r"(?:prefix|suffix|exists|numeric|wildcard|anything-but)(?=: )"):
        yield Mutant("misspelt pattern operator", swap(text, m.start(), m.group(), misspelt(m.group())), m.start(), ["pattern", "pattern-operator"])
    for m in each(text, r"^name(:) "):
        yield Mutant("colon without blank", text[:m.end() - 1] + text[m.end():], m.start(1), ["yaml-syntax"])
    for m in each(text, r"^name: .*\n"):
        rest = text[:m.start()] + text[m.end():]
        first = re.search(r"^[a-z]", rest, re.M).start()
        yield Mutant("no name", rest, first, ["missing-key"])
    for m in each(text, r"^actions:\n(?:.*\n)*?(?=\S|\Z)"):
        if "on_error:" not in text:
            yield Mutant("no actions", text[:m.start()] + text[m.end():], re.search(r"^[a-z]", text, re.M).start(), ["missing-key"])
    for m in each(text, r"^    params: (\{[^\n]*\})$"):
        required = re.search(r"message|contactId|tag|type|to:", m.group())
        if required and "operator: comms.missed" not in text and "placeType" not in m.group():
            yield Mutant("no parameters", swap(text, m.start(1), m.group(1), "{}"), m.start(1), ["param-missing", "empty-list"])
    for m in each(text, r"^actions:\n  (- )"):
        yield Mutant("dash without blank", swap(text, m.start(1), "- ", "-"), m.start(1), ["yaml-syntax", "wrong-type", "unknown-key"])


class Mutations(harness.Case):
    def write_all(self):
        """{file: mutant}; each file has an id of its own, at its end, where it moves nothing."""
        self.p = self.service(start=False)
        shutil.copytree(os.path.join(harness.SOURCE, "rules", "blueprints"), os.path.join(self.p.rules, "blueprints"))
        made = {}
        count = 0
        for name, text in sources():
            count += 1
            for i, m in enumerate(mutants(text)):
                path = os.path.join(self.p.rules, f"{name}-{i}.yaml")
                with open(path, "w") as f:
                    f.write(m.text + ("" if re.search(r"^id:", m.text, re.M) else f"id: {name}-{i}\n"))
                made[path] = m
        self.assertGreaterEqual(count, 30)
        self.assertGreaterEqual(len(made), 300)
        return made

    def check(self, *arguments):
        out = self.p.cli("check", "--json", *arguments).stdout
        return [json.loads(line) for line in out.splitlines()]

    def test_one_finding_each_and_at_the_place(self):
        made = self.write_all()
        found = {path: [] for path in made}
        for f in self.check():
            if f["severity"] == "error":
                found[f["file"]].append(f)
        wrong = []
        for path, m in made.items():
            got = [(f["line"], f["column"], f["code"]) for f in found[path]]
            if len(got) != 1 or got[0][:2] != (m.line, m.column) or got[0][2] not in m.codes:
                wrong.append(f"{m.kind} in {os.path.basename(path)}: expected {m.line}:{m.column} {m.codes}, got {got}")
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(made)}:\n" + "\n".join(wrong[:60]))
        # What a fix promises it keeps, and the kinds that are certain have one.
        told = self.check("--fix")
        broken = {f["file"] for f in told if f["severity"] == "error"}
        fixed = {f["file"] for f in told if f["severity"] == "fixed"}
        with_fix = {path for path, findings in found.items() if findings[0].get("fix")}
        self.assertEqual(fixed & broken, set())
        self.assertEqual(with_fix - fixed, set())
        for kind in ("misspelt key", "misspelt operator", "misspelt parameter", "template without quotes", "tab", "misspelt root", "misspelt filter",
                     "operator of another language", "duration in words", "misspelt word", "yes and no", "number in quotes", "number as text"):
            of_kind = {path for path, m in made.items() if m.kind == kind}
            self.assertTrue(of_kind, kind)
            self.assertEqual({p: found[p][0]["message"] for p in of_kind - fixed}, {}, kind)


if __name__ == "__main__":
    harness.main()
