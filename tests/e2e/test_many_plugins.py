#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two hundred approved plugins beside the bundled ones, three of which cannot run: they load, are listed, and work."""
import hashlib
import json
import os
import unittest

import harness

COUNT = 200
LUA = "return { init = function(ctx) ctx.storage.set('n', N) end,\n" \
      "  actions = { ['many.opN'] = { execute = function(p, ctx) return { n = ctx.storage.get('n') } end } } }\n"


class Many(harness.Case):
    def write(self, folder, name, lua, more=None):
        """The plugin's entry in the policy: version, hash and what it asks for."""
        path = os.path.join(folder, name)
        os.makedirs(path)
        manifest = {"id": "many." + name, "name": name, "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                    "permissions": ["storage:read", "storage:write"], **(more or {})}
        files = {"init.lua": lua, "plugin.json": json.dumps(manifest)}
        lines = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {file}\n" for file, text in sorted(files.items()))
        for file, text in files.items():
            with open(os.path.join(path, file), "w", encoding="utf-8") as f:
                f.write(text)
        return f"  many.{name}: {{version: 1.0.0, sha256: {hashlib.sha256(lines.encode()).hexdigest()}, permissions: ['storage:read', 'storage:write']}}\n"

    def test_two_hundred(self):
        s = self.service("plugin_path: [plugins]\npolicy: policy.yaml", start=False)
        folder = os.path.join(s.dir, "plugins")
        policy = "plugins:\n" + "".join(self.write(folder, f"p{n}", LUA.replace("N", str(n))) for n in range(COUNT - 2))
        policy += self.write(folder, "wrong", "return { actions = {")
        policy += self.write(folder, "unwell", "return { init = function() error({code = 'no.coffee', message = 'no coffee'}) end }")
        self.write(folder, "stranger", "return {}")
        with open(os.path.join(s.dir, "policy.yaml"), "w", encoding="utf-8") as f:
            f.write(policy)
        s.start()
        rows = {p["id"]: p for p in map(json.loads, s.cli("plugins", "list", "--json", expect=0).stdout.splitlines())}
        states = [p["state"] for i, p in rows.items() if i.startswith("many.p")]
        self.assertEqual((len(states), set(states)), (COUNT - 2, {"active"}))
        self.assertEqual((rows["many.wrong"]["state"], rows["many.wrong"]["error"]["code"]), ("failed", "lua.error"))
        self.assertEqual((rows["many.unwell"]["state"], rows["many.unwell"]["error"]["code"]), ("failed", "no.coffee"))
        self.assertEqual((rows["many.stranger"]["state"], rows["many.stranger"]["refusal"]["code"]), ("blocked", "policy.not-approved"))
        listed = s.cli("plugins", "list", expect=0).stdout
        self.assertEqual(sum(line.startswith("many.") for line in listed.splitlines()), COUNT + 1)
        for n in (0, 99, COUNT - 3):
            self.assertEqual(s.request("POST", f"/v1/operators/many.op{n}/call", {"params": {}}).json["result"], {"n": n})
        self.assertEqual([step["state"] for step in rows["many.p7"]["life"]], ["discovered", "validated", "loading", "ready", "active"])
        s.restart()
        self.assertEqual(s.request("POST", "/v1/operators/many.op7/call", {"params": {}}).json["result"], {"n": 7})


if __name__ == "__main__":
    unittest.main(verbosity=1)
