#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plugin platform through the program: interceptors, the audit trail, health, files, accounts."""
import json
import os
import unittest

import harness


class Platform(harness.Case):
    def begin(self, config="", rules=None, **plugins):
        """Every keyword is a plugin: (permissions, init.lua, more of the manifest)."""
        s = self.service("plugin_path: [plugins]\n" + config, rules=rules, start=False)
        for name, (permissions, lua, *more) in plugins.items():
            self.write(s, name, permissions, lua, *more)
        return s

    def write(self, s, name, permissions, lua, more=None):
        folder = os.path.join(s.dir, "plugins", name)
        os.makedirs(folder, exist_ok=True)
        manifest = {"id": "test." + name, "name": name, "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                    "permissions": permissions, **(more or {})}
        for file, text in (("init.lua", lua), ("plugin.json", json.dumps(manifest))):
            with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                f.write(text)

    def rows(self, s, *command):
        return [json.loads(line) for line in s.cli(*command, "--json", expect=0).stdout.splitlines()]


class Interceptors(Platform):
    def test_a_veto_is_the_steps_error_and_stands_in_the_audit_trail(self):
        s = self.begin(
            rules={"sms.yaml": "name: Sms\ntrigger: {event: a.B}\nactions: [{operator: comms.sendSms, params: {to: '{{ event.to }}', body: hi}}]\n"},
            guard=(["actions:intercept", "storage:write"], """
              return { intercept = { operators = { "comms.*" },
                before = function(call) if not call.params.to:match("^%+49") then return false, "only German numbers" end end,
                after = function(call, ctx) ctx.storage.set(call.run, { ok = call.ok }) end } }"""))
        s.start("--approve-all")
        run = s.runs_of(s.emit("a.B", {"to": "+15550100"}))[0]
        self.assertEqual(run["state"], "failed")
        self.assertEqual(run["steps"][0]["error"]["code"], "vetoed")
        self.assertEqual(run["steps"][0]["error"]["message"], "vetoed by plugin test.guard: only German numbers")
        self.assertEqual(s.outbox(), [])
        entry = s.get("/v1/audit?action=action.vetoed")["items"][0]
        self.assertEqual((entry["target"], entry["detail"]["operator"], entry["detail"]["run"]), ("test.guard", "comms.sendSms", run["id"]))
        self.assertEqual(s.runs_of(s.emit("a.B", {"to": "+49301234567"}))[0]["state"], "succeeded")
        self.assertEqual(len(s.outbox()), 1)


if __name__ == "__main__":
    unittest.main(verbosity=1)
