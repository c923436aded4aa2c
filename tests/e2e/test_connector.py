#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A connector in Lua, in the service's process and in one of its own: what it fetches is data, and fires rules."""
import contextlib
import http.client
import json
import os
import signal
import sqlite3
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

    PAGES = """
local SIZE, LAST = 2000, SIZE_OF_ALL
return {
  actions = { ["shop.calls"] = { execute = function(p, ctx) return { calls = ctx.storage.get("calls") } end } },
  connector = {
    sync = function(ctx, options)
      local from = options.cursor or ctx.storage.get("at") or 0
      local items, to = {}, math.min(from + SIZE, LAST)
      for i = from + 1, to do items[#items + 1] = i end
      ctx.storage.set("at", to)
      ctx.storage.set("calls", (ctx.storage.get("calls") or 0) + 1)
      return items, options.stuck and 0 or to < LAST and to or nil
    end,
    map = function(i)
      local id = tostring(i)
      return { entities = { { type = "order", source = "shop", externalId = id, total = i } },
               events = i % 10000 == 0 and { { type = "shop.Order", id = "o" .. id, data = { id = id, total = i } } } or nil }
    end,
  },
}
"""

    def pages(self, size, *approve):
        manifest = {**MANIFEST, "permissions": MANIFEST["permissions"] + ["storage:read", "storage:write"]}
        s = self.service("plugin_path: [plugins]", rules={"large.yaml": RULE.replace("test.shop.execute", "core.log").replace("order:", "message:")}, start=False)
        folder = os.path.join(s.dir, "plugins/shop")
        os.makedirs(folder)
        with open(os.path.join(folder, "plugin.json"), "w", encoding="utf-8") as f:
            json.dump(manifest, f)
        with open(os.path.join(folder, "init.lua"), "w", encoding="utf-8") as f:
            f.write(self.PAGES.replace("SIZE_OF_ALL", str(size)))
        s.cli("plugins", "approve", "test.shop", *approve, "--yes", expect=0)
        return s

    def count(self, s):
        s.stop()
        with contextlib.closing(sqlite3.connect(os.path.join(s.state, "perigee.db"))) as db:
            return db.execute("SELECT count(*), count(DISTINCT external_id) FROM entities WHERE type = 'order'").fetchone()

    def call(self, s, operator, params):
        return s.request("POST", f"/v1/operators/{operator}/call", {"params": params}).json

    def test_fifty_thousand_come_in_pages_and_a_kill_in_between_repeats_none(self):
        s = self.pages(50000)
        s.env["PERIGEE_FAILPOINT"] = "sync.page@10"
        s.start()
        try:
            s.request("POST", "/v1/operators/test.shop.sync/call", {"params": {}})
        except (OSError, http.client.HTTPException):
            pass
        self.assertEqual(s.process.wait(harness.DEADLINE), -signal.SIGKILL)
        del s.env["PERIGEE_FAILPOINT"]
        s.start()
        told = self.call(s, "test.shop.sync", {})
        self.assertEqual(told["result"], {"items": 30000, "entities": 30000, "events": 3, "pages": 15})
        calls = self.call(s, "shop.calls", {})
        self.assertEqual(calls["result"], {"calls": 25})
        harness.wait_for(lambda: len([r for r in s.get("/v1/runs")["items"] if r["state"] == "succeeded"]) == 5, "a run for each event")
        self.assertIn("page 2: sync has returned the cursor that it was called with", json.dumps(self.call(s, "test.shop.sync", {"stuck": True})))
        self.assertEqual(self.count(s), (50000, 50000))

    def test_pages_in_a_process_of_its_own(self):
        s = self.pages(5000, "--isolation", "process").start()
        told = self.call(s, "test.shop.sync", {})
        self.assertEqual(told["result"], {"items": 5000, "entities": 5000, "events": 0, "pages": 3})


if __name__ == "__main__":
    unittest.main()
