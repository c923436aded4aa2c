#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A condition that takes long holds up its own rule's lane and nothing else, also over a crash."""
import harness
from test_hostile import Held, put_plugin

ASK = """return { conditions = {
  ["test.ask"] = { evaluate = function(params, ctx)
    return ctx.http.get("http://" .. ctx.config.host .. "/").status == 200
  end },
  ["test.burn"] = { evaluate = function() while true do end end } } }"""

QUICK = "name: {0}\ntrigger: {{event: {1}}}\nactions: [{{stop: true}}]\n"
SLOW = "name: Slow\ntrigger: {event: t.Slow}\nkey: \"{{ event.k }}\"\nmode: queued\nconditions: [{operator: test.ask}]\nactions: [{stop: true}]\n"


class Order(harness.Case):
    def setUp(self):
        self.held = Held()
        self.addCleanup(self.held.close)
        self.p = self.service(f"plugins: {{test.ask: {{config: {{host: '{self.held.at}'}}}}}}", start=False,
                              rules={"slow.yaml": SLOW, "beside.yaml": QUICK.format("Beside", "t.Slow"), "other.yaml": QUICK.format("Other", "t.Other"),
                                     "burn.yaml": "name: Burn\ntrigger: {event: t.Burn}\nconditions: [{operator: test.burn}]\nactions: [{stop: true}]\n"})
        put_plugin(self.p, "test.ask", ASK, ["network:outbound:{config.host}"],
                   configSchema={"type": "object", "properties": {"host": {"type": "string"}}})
        self.start()

    def start(self):
        self.p.start("--plugins", self.p.dir + "/plugins", "--approve-all")

    def ended(self, event, rule):
        harness.wait_for(lambda: [r for r in self.p.get(f"/v1/runs?event={event}&rule={rule}")["items"] if r["state"] == "succeeded"], f"{rule} to run")

    def test_others_go_past_a_condition_that_waits(self):
        slow = [self.p.emit("t.Slow", {"k": "a"}) for _ in range(3)]
        self.assertTrue(self.held.asked.wait(harness.DEADLINE))
        for event in slow:
            self.ended(event, "beside")
        other = self.p.emit("t.Other", {"n": 1})
        self.ended(other, "other")
        self.assertEqual(self.p.get(f"/v1/events/{slow[0]}")["state"], "journaled")
        verdicts = self.p.get(f"/v1/events/{slow[0]}/verdicts")["items"]
        self.assertEqual([(v["rule"], v["verdict"]) for v in verdicts], [("beside", "fired")])
        self.assertIn("not decided yet", self.p.cli("events", "show", slow[0], expect=0).stdout)
        self.p.kill()
        self.held.go.set()
        self.start()
        for event in slow:
            self.assertEqual({r: v["verdict"] for r, v in self.p.matched(event).items()}["beside"], "fired")
        runs = [self.p.runs_of(event) for event in slow]
        self.assertEqual([sorted(r["rule"] for r in of) for of in runs], [["beside", "slow"]] * 3)
        ids = [int(r["id"][4:]) for of in runs for r in of if r["rule"] == "slow"]
        self.assertEqual(ids, sorted(ids))

    def test_others_go_past_a_condition_that_burns_its_budget(self):
        for _ in range(100):
            self.p.emit("t.Burn", {})
            self.ended(self.p.emit("t.Other", {"n": 1}), "other")


if __name__ == "__main__":
    harness.main()
