#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lua in rules: conditions and steps, mistakes with their places, and runs that go on after a kill."""
import json
import os

import harness

ORDER = """name: Order
trigger: {event: shop.Order}
conditions:
  - lua: |
      local sum = 0
      for _, item in ipairs(event.items) do
        sum = sum + item.price
      end
      return sum >= 10, { actual = sum, wanted = ">= 10" }
actions:
  - set: {greeting: Hello}
  - id: names
    lua: |
      local names = {}
      for i, item in ipairs(event.items) do
        names[i] = item.name
      end
      return { list = names, text = vars.greeting .. " " .. table.concat(names, ", "), type = trigger.type }
  - delay: 300ms
  - lua: "return #steps.names.list"
    as: count
  - operator: notify.send
    params: {message: "{{ steps.names.text }} ({{ count }})"}
"""


class Scripts(harness.Case):
    def test_decide_and_make_values(self):
        s = self.service(rules={"order.yaml": ORDER})
        small = s.emit("shop.Order", {"items": [{"name": "pen", "price": 2}]})
        verdict = s.matched(small)["order"]
        self.assertNotEqual(verdict["verdict"], "fired")
        self.assertIn('"actual":2', json.dumps(verdict, separators=(",", ":")))
        run, = s.runs_of(s.emit("shop.Order", {"items": [{"name": "desk", "price": 90}, {"name": "pen", "price": 2}]}))
        self.assertEqual(run["state"], "succeeded", run)
        self.assertEqual(run["steps"][1]["result"], {"list": ["desk", "pen"], "text": "Hello desk, pen", "type": "shop.Order"})
        self.assertEqual([m["body"] for m in s.outbox()], ["Hello desk, pen (2)"])

    def test_go_on_after_a_kill(self):
        s = self.service(rules={"order.yaml": ORDER.replace("300ms", "2s").replace("#steps.names.list", "#steps.names.list + nothing")})
        event = s.emit("shop.Order", {"items": [{"name": "desk", "price": 90}]})
        s.matched(event)
        harness.wait_for(lambda: len(s.runs_of(event, ended=False)[0]["steps"]) >= 3, "the delay to begin")
        s.kill()
        # The rule has changed meanwhile; the run goes on with the one it started with, whose lines are those of the script.
        s.write_rule("order.yaml", ORDER)
        s.start()
        run, = s.runs_of(event)
        self.assertEqual(run["state"], "failed", run)
        self.assertIn("actions[3].lua:1: attempt to perform arithmetic on a nil value (global 'nothing')", json.dumps(run))

    def test_are_told_where_they_are_wrong(self):
        s = self.service(start=False)
        s.write_rule("bad.yaml", ORDER.replace("do\n        sum", "\n        sum").replace("local names = {}", "local names ="))
        findings = [json.loads(line) for line in s.cli("check", "--json", expect=1).stdout.splitlines()]
        self.assertEqual([(os.path.basename(f["file"]), f["line"], f["column"], f["code"]) for f in findings],
                         [("bad.yaml", 7, 9, "lua-syntax"), ("bad.yaml", 15, 7, "lua-syntax")])
        self.assertEqual(findings[0]["message"], "'do' expected near 'sum'")

    def test_fail_with_their_line(self):
        s = self.service(rules={"order.yaml": ORDER.replace("#steps.names.list", "steps.nothing.list")})
        verdict = s.matched(s.emit("shop.Order", {}))["order"]
        self.assertEqual(verdict["verdict"], "error", verdict)
        self.assertIn("order.yaml:6: bad argument #1", json.dumps(verdict))
        run, = s.runs_of(s.emit("shop.Order", {"items": [{"name": "desk", "price": 90}]}))
        self.assertIn("order.yaml:20: attempt to index a nil value (field 'nothing')", json.dumps(run))


if __name__ == "__main__":
    harness.main()
