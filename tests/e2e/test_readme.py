#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""README.md's walk-through, typed as written into a scratch copy: every command prints what the README shows, but for ids, times and durations."""
import os
import re
import shutil
import subprocess

import harness

BLOCK = re.compile(r"^<!-- walk: ([\w-]+) -->\n```console\n(.*?)^```$", re.M | re.S)
NORMAL = ((r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"), (r"\b\d+ ms\b", "N ms"))


def readme():
    with open(os.path.join(harness.SOURCE, "README.md"), encoding="utf-8") as f:
        return f.read()


def commands(block):
    """[(command, output)]; a here-document belongs to its command."""
    found, stop = [], None
    for line in block.splitlines():
        if stop:
            found[-1][0].append(line)
            stop = None if line == stop else stop
        elif line.startswith("$ "):
            found.append(([line[2:]], []))
            here = re.search(r"<<'(\w+)'", line)
            stop = here.group(1) if here else None
        else:
            found[-1][1].append(line)
    return [("\n".join(command), "\n".join(output)) for command, output in found]


class Normal:
    """The same ids, times and durations read the same; ids by the order in which they appear."""

    def __init__(self):
        self.ids = {}

    def __call__(self, text):
        for pattern, word in NORMAL:
            text = re.sub(pattern, word, text)
        text = re.sub(r"\b(ev|run|ob)-\d+\b", self.name, text)
        return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())

    def name(self, match):
        kind = match.group(1)
        known = self.ids.setdefault(kind, {})
        return f"{kind}-{known.setdefault(match.group(), len(known) + 1)}"


class Walk(harness.Case):
    maxDiff = None

    def setUp(self):
        self.s = self.service(start=False)
        shutil.rmtree(self.s.rules)
        # Without rules of somebody who has walked through here already.
        shutil.copytree(os.path.join(harness.SOURCE, "rules"), self.s.rules, ignore=shutil.ignore_patterns("my-*"))
        self.s.start()
        programs = os.path.join(self.s.dir, "bin")
        os.mkdir(programs)
        os.symlink(harness.BIN, os.path.join(programs, "perigee"))
        self.env = {**self.s.env, "PATH": programs + ":" + os.environ["PATH"], "PERIGEE_CONFIG": self.s.config_file}

    def rules_are_read(self):
        """Within a second, says the README; a loaded machine may take longer."""
        files = [os.path.join(self.s.rules, name) for name in os.listdir(self.s.rules) if name.endswith(".yaml") and not name.endswith(".test.yaml")]
        return {rule["file"] for rule in self.s.get("/v1/rules")["items"]} == set(files)

    def type(self, command):
        done = subprocess.run(["bash", "-c", command], cwd=self.s.dir, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=harness.DEADLINE)
        harness.wait_for(self.rules_are_read, "the rules to be read again")
        return done.stdout

    def test_prints_what_the_readme_shows(self):
        blocks = BLOCK.findall(readme())
        self.assertEqual([name for name, _ in blocks], ["emit", "outbox", "own"])
        shown, printed = Normal(), Normal()
        for name, block in blocks:
            steps = commands(block)
            self.assertTrue(steps, name)
            for command, output in steps:
                with self.subTest(f"{name}: {command.splitlines()[0]}"):
                    self.assertEqual(printed(self.type(command)), shown(output))
        self.assertIn("Bob ordered for 250", [message["body"] for message in self.s.outbox()])

    def test_names_what_is_there(self):
        text = readme()
        for script in re.findall(r"^(script/\w+)", text, flags=re.M):
            self.assertTrue(os.access(os.path.join(harness.SOURCE, script), os.X_OK), script)
        with open(os.path.join(harness.SOURCE, "rules/hello.yaml"), encoding="utf-8") as f:
            rule = re.sub(r"^#.*\n", "", f.read(), flags=re.M)
        self.assertIn("```yaml\n" + rule + "```", text, "the rule that the README shows is rules/hello.yaml")


if __name__ == "__main__":
    harness.main()
