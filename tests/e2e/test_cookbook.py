#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of docs/cookbook: no finding, a row in its README, and a test that reaches every outcome and passes."""
import os

import harness

FOLDER = os.path.join(harness.SOURCE, "docs", "cookbook")
RULES = sorted(n.removesuffix(".yaml") for n in os.listdir(FOLDER) if n.endswith(".yaml") and not n.endswith(".test.yaml"))


class Cookbook(harness.Case):
    def test_each_is_named_and_tested(self):
        with open(os.path.join(FOLDER, "README.md"), encoding="utf-8") as f:
            page = f.read()
        for name in RULES:
            self.assertIn(f"({name}.yaml)", page)
            self.assertTrue(os.path.exists(os.path.join(FOLDER, f"{name}.test.yaml")), f"{name} has no test")

    def test_check_finds_nothing(self):
        p = self.service(start=False)
        self.assertEqual(p.cli("check", "--json", FOLDER, expect=0).stdout, "")

    def test_all_tests_pass_and_nothing_is_left_out(self):
        p = self.service(start=False)
        done = p.cli("test", "--coverage", FOLDER)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("not-covered", done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main()
