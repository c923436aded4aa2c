#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs that wait, each in its own way, over a SIGKILL."""
import harness

BRANCHES = """
name: Branches
trigger: {event: t.Go}
timeout: 1h
actions:
  - id: all
    parallel:
      - {operator: notify.send, params: {message: first}}
      - [{delay: 2s}, {operator: notify.send, params: {message: second}}]
      - for_each: {in: [1, 2, 3], as: n, parallel: 2}
        do: [{delay: 1s}, {operator: notify.send, params: {message: "n{{ n }}"}}]
  - {operator: notify.send, params: {message: "all {{ steps.all.count }}"}}
"""

SLOW = """
name: Slow
trigger: {event: t.Slow}
actions:
  - if: true
    timeout: 2s
    then: [{delay: 1h}]
    on_error: [{operator: notify.send, params: {message: "{{ error.code }}"}}]
---
name: Slower
trigger: {event: t.Slower}
timeout: 2s
actions: [{parallel: [{delay: 1h}, {delay: 2h}]}]
"""


ORDER = """
name: Order
trigger: {event: order.Placed}
actions:
  - id: payment
    wait_for: {event: order.Paid, match: {order: ["{{ event.id }}"]}, timeout: 1h}
    as: paid
  - {operator: notify.send, params: {message: "{{ event.id }} {{ events.paid.amount }}"}}
"""


class Waiting(harness.Case):
    def in_state(self, event, state):
        return harness.wait_for(lambda: [r for r in self.p.get(f"/v1/runs?event={event}")["items"] if r["state"] == state], f"a run that is {state}")[0]

    def bodies(self):
        return [m["body"] for m in self.p.outbox()]

    def test_branches_go_on_after_a_kill_each_at_its_own_step(self):
        self.p = self.service(rules={"b.yaml": BRANCHES})
        event = self.p.emit("t.Go")
        self.in_state(event, "sleeping")
        self.p.restart()
        run, = self.p.runs_of(event)
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(sorted(self.bodies()), ["all 3", "first", "n1", "n2", "n3", "second"])
        self.assertEqual(self.bodies()[-1], "all 3")
        states = {(s["path"], s["state"]) for s in self.p.get(f"/v1/runs/{run['id']}")["steps"]}
        self.assertIn(("actions[0]", "done"), states)
        self.assertNotIn("started", {s for _, s in states})

    def test_a_run_with_branches_is_cancelled_as_a_whole(self):
        self.p = self.service(rules={"b.yaml": BRANCHES.replace("2s", "1h").replace("1s", "1h")})
        event = self.p.emit("t.Go")
        run = self.in_state(event, "sleeping")
        self.p.restart()
        self.p.cli("runs", "cancel", run["id"])
        shown = self.p.get(f"/v1/runs/{run['id']}")
        self.assertEqual(shown["state"], "cancelled")
        self.assertEqual({s["state"] for s in shown["steps"]}, {"done", "cancelled"})
        self.assertEqual(self.bodies(), ["first"])

    def test_waits_are_found_after_a_kill(self):
        self.p = self.service(rules={"o.yaml": ORDER})
        events = [self.p.emit("order.Placed", {"id": f"o{n}"}) for n in range(20)]
        for event in events:
            self.in_state(event, "waiting")
        self.p.restart()
        self.p.emit("order.Paid", {"order": "o7", "amount": 70})
        self.p.emit("order.Paid", {"order": "nobody", "amount": 1})
        run, = self.p.runs_of(events[7])
        self.assertEqual((run["state"], self.bodies()), ("succeeded", ["o7 70"]))
        self.assertEqual(len(self.p.get("/v1/runs?state=waiting")["items"]), 19)

    def test_what_was_heard_right_before_a_kill_counts(self):
        self.p = self.service(rules={"o.yaml": ORDER})
        events = [self.p.emit("order.Placed", {"id": f"o{n}"}) for n in range(50)]
        for event in events:
            self.in_state(event, "waiting")
        for n in range(50):
            self.p.emit("order.Paid", {"order": f"o{n}", "amount": n})
        self.p.restart()
        for event in events:
            run, = self.p.runs_of(event)
            self.assertEqual(run["state"], "succeeded")
        self.assertEqual(sorted(self.bodies()), sorted(f"o{n} {n}" for n in range(50)))

    def test_timeouts_count_over_a_kill(self):
        self.p = self.service(rules={"s.yaml": SLOW})
        events = self.p.emit("t.Slow"), self.p.emit("t.Slower")
        for event in events:
            self.in_state(event, "sleeping")
        self.p.restart()
        (slow,), (slower,) = self.p.runs_of(events[0]), self.p.runs_of(events[1])
        self.assertEqual((slow["state"], self.bodies()), ("succeeded", ["timeout"]))
        self.assertEqual((slower["state"], slower["error"]["code"]), ("failed", "timeout"))


if __name__ == "__main__":
    harness.main()
