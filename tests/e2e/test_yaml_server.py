#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The published schema in the YAML language server that VS Code, Neovim and others use. Runs where `yaml-language-server` is
installed (npm install -g yaml-language-server); Debian has no package of it."""
import os
import shutil
import unittest

import harness
import lsp_wire

SERVER = shutil.which("yaml-language-server")


@unittest.skipUnless(SERVER, "yaml-language-server is not installed")
class YamlServer(harness.Case):
    def setUp(self):
        self.p = self.service(start=False)
        self.c = lsp_wire.Wire([SERVER, "--stdio"], cwd=self.p.dir)
        self.addCleanup(self.finish)
        self.schema = os.path.join(self.p.dir, "rule.schema.json")
        with open(self.schema, "w") as f:
            f.write(self.p.cli("check", "--schema", expect=0).stdout)
        self.c.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {"textDocument": {"completion": {"completionItem": {}}}}})
        self.c.tell("initialized", {})

    def finish(self):
        self.c.process.kill()
        self.c.end()

    def open(self, name, text):
        uri = "file://" + os.path.join(self.p.rules, name)
        text = f"# yaml-language-server: $schema=file://{self.schema}\n" + text
        return uri, self.c.open(uri, text)

    def labels(self, name, marked):
        before, after = marked.split("¦")
        uri, _ = self.open(name, before + after)
        result = self.c.ask("textDocument/completion", {"textDocument": {"uri": uri}, "position": {
            "line": 1 + before.count("\n"), "character": len(before.rsplit("\n", 1)[-1])}})
        return {item["label"] for item in result["items"]}

    def test_it_completes(self):
        self.assertTrue({"trigger", "conditions", "actions"} <= self.labels("a.yaml", "name: A\n¦"))
        self.assertTrue({"event", "schedule"} <= self.labels("b.yaml", "name: A\ntrigger:\n  ¦\n"))
        self.assertIn("comms.sendSms", self.labels("c.yaml", "name: A\nactions:\n  - operator: ¦\n"))
        self.assertTrue({"to", "body"} <= self.labels("d.yaml", "name: A\nactions:\n  - operator: comms.sendSms\n    params:\n      ¦\n"))

    def test_it_checks(self):
        good = "name: A\ntrigger: {event: demo.A}\nactions:\n  - operator: core.log\n    params: {message: hello}\n"
        self.assertEqual(self.open("good.yaml", good)[1], [])
        self.assertNotEqual(self.open("key.yaml", good.replace("trigger", "trigge"))[1], [])
        self.assertNotEqual(self.open("operator.yaml", good.replace("core.log", "core.lgo"))[1], [])
        self.assertNotEqual(self.open("parameter.yaml", good.replace("message", "mesage"))[1], [])


if __name__ == "__main__":
    harness.main()
