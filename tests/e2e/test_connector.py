#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A connector in Lua, in the service's process and in one of its own: what it fetches is data, and fires rules."""
import json
import os
import unittest

import harness

MANIFEST = {
    "id": "test.shop", "name": "Shop", "version": "1.0.0", "type": "connector", "apiVersion": "1.0", "entrypoint": "./init.lua",
    "permissions": ["data:write:order", "data:read:order", "event:publish:shop.*"],
}
LUA = """
local function map(order)
  if type(order) ~= "table" then return 5 end
  return {
    entities = { { type = "order", source = "shop", externalId = order.id, total = order.total } },
    events = { { type = "shop.Order", id = "order-" .. order.id, data = { id = order.id, total = order.total } } },
  }
end
return { connector = {
  sync_every_ms = 1000, map = map,
  sync = function(ctx, options)
    if options.wrong then return { "x" } end
    return { { id = "1", total = 20 }, { id = "2", total = 700 } }
  end,
  execute = function(ctx, params) return { cancelled = params.order } end,
  execute_params = { type = "object", required = { "order" }, properties = { order = { type = "string" } } },
} }
"""
RULE = """
name: Large orders
trigger: {event: shop.Order}
conditions: ["{{ event.total > 500 }}"]
actions: [{id: cancel, operator: test.shop.execute, params: {order: "{{ event.id }}"}}]
"""


class Connector(harness.Case):
    def begin(self, *approve):
        s = self.service("plugin_path: [plugins]", rules={"large.yaml": RULE}, start=False)
        folder = os.path.join(s.dir, "plugins/shop")
        os.makedirs(folder)
        with open(os.path.join(folder, "plugin.json"), "w", encoding="utf-8") as f:
            json.dump(MANIFEST, f)
        with open(os.path.join(folder, "init.lua"), "w", encoding="utf-8") as f:
            f.write(LUA)
        s.cli("plugins", "approve", "test.shop", *approve, "--yes", expect=0)
        return s.start()

    def check(self, s):
        def ended():
            return [r for r in s.get("/v1/runs")["items"] if r["state"] == "succeeded"]

        run, = harness.wait_for(ended, "the large order")  # fetched by the schedule, by nobody's word
        self.assertEqual(s.get(f"/v1/runs/{run['id']}")["steps"][0]["result"], {"cancelled": "2"})
        told = json.loads(s.cli("operators", "call", "test.shop.sync", "--json", expect=0).stdout)
        self.assertEqual(told["result"], {"items": 2, "entities": 2, "events": 2})
        rows = [json.loads(r) for r in s.cli("data", "query", "order", "--json", expect=0).stdout.splitlines()]
        self.assertEqual(sorted(r["total"] for r in rows), [20, 700])
        self.assertEqual(len(ended()), 1)  # the same orders once more are the same events
        answer = s.request("POST", "/v1/operators/test.shop.sync/call", {"params": {"wrong": True}})
        self.assertIn("item 1: map must return", json.dumps(answer.json))

    def test_what_it_fetches_is_data_and_fires_a_rule(self):
        self.check(self.begin())

    def test_in_a_process_of_its_own(self):
        s = self.begin("--isolation", "process")
        self.check(s)
        self.assertEqual(s.get("/v1/plugins/test.shop")["isolation"], "process")


if __name__ == "__main__":
    unittest.main()
