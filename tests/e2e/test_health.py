#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin whose init fails is started anew by itself, later and later, and shown so; the others go on."""
import json
import os

import harness

ILL = """return { init = function(ctx)
  local lives = (ctx.files.read("%(file)s"))
  if lives ~= "well" then error({ code = "not_yet", message = "the file says " .. lives }) end
end,
actions = { ["ill.act"] = { execute = function() return { ok = true } end } } }"""
WELL = """return { actions = { ["well.act"] = { execute = function() return { ok = true } end } } }"""


class Health(harness.Case):
    def put(self, name, lua, permissions):
        folder = os.path.join(self.p.dir, "plugins", name)
        os.makedirs(folder)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write(lua)
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": f"test.{name}", "name": name, "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                       "permissions": permissions}, f)

    def show(self):
        return json.loads(self.p.cli("plugins", "show", "test.ill", "--json", expect=0).stdout)

    def test_it_comes_back(self):
        p = self.p = self.service(start=False)
        self.state = os.path.join(p.dir, "state.txt")
        with open(self.state, "w") as f:
            f.write("ill")
        self.put("ill", ILL % {"file": self.state}, [f"filesystem:read:{self.state}"])
        self.put("well", WELL, [])
        p.write_config(f"plugin_path: ['{p.dir}/plugins']", [p.rules])
        p.start("--approve-all")
        harness.wait_for(lambda: self.show()["state"] == "failed", "init to fail")
        shown = self.show()
        self.assertIn("the file says ill", json.dumps(shown))
        first = harness.wait_for(lambda: self.show().get("health", {}).get("next_restart"), "the next try to be shown")
        self.assertEqual(p.request("POST", "/v1/operators/well.act/call", {"params": {}}).json["ok"], True)
        second = harness.wait_for(lambda: (self.show().get("health", {}).get("next_restart") or first) != first and self.show()["health"]["next_restart"], "another try")
        self.assertGreater(second, first)
        with open(self.state, "w") as f:
            f.write("well")
        harness.wait_for(lambda: self.show()["state"] == "active", "it to come back")
        self.assertEqual(p.request("POST", "/v1/operators/ill.act/call", {"params": {}}).json["ok"], True)


if __name__ == "__main__":
    harness.main()
