#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference documents say what the program says: docs/operators.md and the man page. Links between documents lead
somewhere, and examples are good to copy."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

BIN = os.environ["PERIGEE_BIN"]
SOURCE = os.environ["PERIGEE_SOURCE"]


def text_of(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


def perigee(*arguments):
    done = subprocess.run([BIN, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Links(unittest.TestCase):
    def test_lead_somewhere(self):
        pages = []
        for folder, folders, names in os.walk(SOURCE):
            folders[:] = [name for name in folders if name not in ("build", "node_modules") and not name.startswith(".")]
            pages += [os.path.join(folder, name) for name in names if name.endswith(".md")]
        self.assertGreater(len(pages), 10)
        for page in pages:
            with open(page, encoding="utf-8") as f:
                text = re.sub(r"^```.*?^```", "", f.read(), flags=re.M | re.S)
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
                if "://" not in target and not target.startswith("mailto:"):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), target)), f"{os.path.relpath(page, SOURCE)}: {target}")


class Examples(unittest.TestCase):
    """What stands in a plugin's README, docs/configuration.md and docs/accounts.md is good to copy."""

    def examples(self):
        pages = [os.path.join(SOURCE, "docs/configuration.md"), os.path.join(SOURCE, "docs/accounts.md")]
        for kind in ("operators", "channels", "connectors"):
            pages += sorted(glob.glob(os.path.join(SOURCE, kind, "*/README.md")))
        for page in pages:
            for block in re.findall(r"^```yaml\n(.*?)^```", text_of(page), flags=re.M | re.S):
                yield os.path.relpath(page, SOURCE), block

    def check(self, config, rules):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {"perigee.yaml": config, **rules}.items():
                with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                    f.write(text)
            os.mkdir(os.path.join(folder, "rules"))
            paths = [os.path.join(folder, name) for name in rules] or [os.path.join(folder, "rules")]
            return subprocess.run([BIN, "check", "--config", os.path.join(folder, "perigee.yaml"), "--state-dir", os.path.join(folder, "state"), *paths],
                                  capture_output=True, text=True, timeout=60)

    def test_pass_the_check(self):
        count = 0
        for page, block in self.examples():
            if block.startswith("name:"):
                done = self.check("{}\n", {"rule.yaml": block})
            elif re.search(r"^plugins:", block, flags=re.M):
                done = self.check(block, {})
            else:
                continue
            count += 1
            with self.subTest(page):
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(count, 12)


class Operators(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        generator = os.path.join(SOURCE, "script/generate-operators-doc")
        done = subprocess.run([generator, "-"], capture_output=True, text=True, timeout=240, env={**os.environ, "PERIGEE_BIN": BIN})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.page = done.stdout

    def test_is_what_the_generator_writes(self):
        self.assertEqual(self.page, text_of("docs/operators.md"), "docs/operators.md is old: run script/generate-operators-doc")

    def test_every_parameter_has_a_meaning(self):
        rows = [line for line in self.page.splitlines() if line.startswith("| `")]
        self.assertGreater(len(rows), 20)
        self.assertEqual([row for row in rows if row.endswith("|  |")], [])


class ManPage(unittest.TestCase):
    def setUp(self):
        self.source = text_of("docs/perigee.1.scd")
        self.sections = {}
        for part in re.split(r"^## perigee ", self.source.split("\n# COMMANDS\n")[1].split("\n# ")[0], flags=re.M)[1:]:
            self.sections[part.split()[0]] = part.replace("\\", "")

    def test_has_every_command(self):
        commands = [line.split()[0] for line in perigee("--help").splitlines() if line.startswith("  ")]
        self.assertGreater(len(commands), 10)
        self.assertEqual(list(self.sections), commands)

    def test_has_every_option_of_every_command(self):
        common = self.source.split("\n# COMMON OPTIONS\n")[1].split("\n# ")[0]
        for command, section in self.sections.items():
            own, shared = perigee(command, "--help").split(" Common options:")
            for option in re.findall(r"^ +(?:-., )?(--[a-z-]+)", own, flags=re.M):
                self.assertIn(f"*{option}*", section, command)
            for option in re.findall(r"^ +(?:-., )?(--[a-z-]+)", shared, flags=re.M):
                self.assertIn(f"*{option}*", common, command)

    def test_names_every_verb(self):
        for command, section in self.sections.items():
            usage = re.sub(r"\s+", " ", perigee(command, "--help").split("\n\n")[0])
            for verb in re.findall(r"(?:\[OPTION\.\.\.\]|\|) ([a-z]+)(?= )", usage + " "):
                self.assertIn(verb, section.splitlines()[0], command)

    @unittest.skipUnless(shutil.which("scdoc"), "scdoc is not installed")
    def test_is_built(self):
        done = subprocess.run(["scdoc"], input=self.source, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(".TH", done.stdout)

    @unittest.skipUnless(shutil.which("scdoc") and shutil.which("man"), "scdoc or man is not installed")
    def test_is_read_without_complaint(self):
        page = subprocess.run(["scdoc"], input=self.source, capture_output=True, text=True, timeout=60).stdout
        with tempfile.NamedTemporaryFile("w", suffix=".1") as f:
            f.write(page)
            f.flush()
            done = subprocess.run(["man", "--warnings", "-l", f.name], capture_output=True, text=True, timeout=60,
                                  env={**os.environ, "MANWIDTH": "80", "MANPAGER": "cat", "LC_ALL": "C.UTF-8"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
