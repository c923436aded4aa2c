#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs that wait, each in its own way, over a SIGKILL."""
import datetime
import time

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


EDIT = """
name: %(word)s
trigger: {event: t.Edit}
on_change: %(word)s
actions:
  - {operator: notify.send, params: {message: "%(word)s %(text)s begins"}}
  - %(wait)s
  - {operator: notify.send, params: {message: "%(word)s %(text)s ends"}}
"""
EDITED = {"finish": "wait_for: {event: t.End}", "restart": "parallel: [{wait_for: {event: t.End}}, {delay: 1s}]", "cancel": "approve: {prompt: well}"}

def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


HELD = """
rules:
  - {name: wait, trigger: {event: t.Hold}, actions: [{wait_for: {event: t.End}, id: w}, {operator: notify.send, params: {message: "wait {{ steps.w.timed_out }}"}}]}
  - {name: delay, trigger: {event: t.Hold}, actions: [{delay: 1s}, {operator: notify.send, params: {message: delay}}]}
"""
ASK = """
name: Ask
trigger: {event: t.Ask}
actions:
  - {operator: notify.send, params: {message: "{{ run.approve.boss }}"}}
  - id: boss
    approve: {prompt: "Give <b>{{ event.who }}</b> a discount?", schema: {type: object, required: [percent], properties: {percent: {type: integer, maximum: 50}, rush: {type: boolean}}}, timeout: 1h}
  - emit: {event: t.Answered, data: {percent: "{{ steps.boss.percent }}"}}
---
name: Follow
trigger: {event: t.Answered}
actions: [{operator: notify.send, params: {message: "got {{ event.percent }}"}}]
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

    def test_a_person_answers_by_a_link(self):
        self.p = self.service(rules={"a.yaml": ASK})
        event = self.p.emit("t.Ask", {"who": "Ann"})
        run = self.in_state(event, "waiting")
        self.assertIn("waits at boss for a person's answer, until 2", self.p.cli("runs", "show", run["id"]).stdout)
        link = self.bodies()[0]
        path = "/approve/" + link.rsplit("/", 1)[1]
        for _ in range(3):  # looking changes nothing
            page = self.p.request("GET", path)
            self.assertEqual((page.status, page.headers["cache-control"]), (200, "no-store"))
            self.assertIn(b"Give &lt;b&gt;Ann&lt;/b&gt; a discount?", page.body)
            self.assertIn(b'name="f.percent"', page.body)
        self.assertEqual(self.p.request("HEAD", path).status, 200)
        self.p.restart()
        forged = path[:-1] + ("0" if path[-1] != "0" else "1")
        self.assertEqual(self.p.request("POST", forged, "f.percent=10").status, 404)
        self.assertEqual(self.p.request("GET", path.replace("-boss-", "-2-")).status, 404)
        wrong = self.p.request("POST", path, "f.percent=70")
        self.assertEqual(wrong.status, 400)
        self.assertIn(b"must be at most 50", wrong.body)
        self.in_state(event, "waiting")
        self.assertEqual(self.p.request("POST", path, "f.percent=10&f.rush=true").status, 200)
        run, = self.p.runs_of(event)
        shown = self.p.get(f"/v1/runs/{run['id']}")
        self.assertEqual([s["result"] for s in shown["steps"] if s.get("id") == "boss"], [{"percent": 10, "rush": True}])
        for method in ("GET", "POST"):
            self.assertEqual(self.p.request(method, path, "f.percent=10" if method == "POST" else None).status, 410)
        audit, = [a for a in self.p.get("/v1/audit")["items"] if a["action"] == "run.answered"]
        self.assertEqual((audit["target"], audit["actor"], audit["detail"]["answer"]["percent"]), (run["id"], "link from 127.0.0.1", 10))

    def test_a_person_answers_by_the_command_line(self):
        self.p = self.service(rules={"a.yaml": ASK})
        event = self.p.emit("t.Ask", {"who": "Ann"})
        run = self.in_state(event, "waiting")
        self.assertIn("Give <b>Ann</b> a discount?", self.p.cli("runs", "approve").stdout)
        self.assertIn("/percent must be at most 50", self.p.cli("runs", "approve", run["id"], '{"percent": 80}', expect=1).stderr)
        self.p.cli("runs", "approve", run["id"], '{"percent": 5}', "--step", "boss")
        harness.wait_for(lambda: "got 5" in self.bodies(), "the rule that follows")
        self.p.cli("runs", "approve", run["id"], '{"percent": 5}', expect=1)
        told = self.p.cli("runs", "show", run["id"]).stdout
        emitted = self.p.get(f"/v1/runs/{run['id']}")["emitted"][0]
        self.assertIn(f"emitted {emitted['event']} t.Answered -> {emitted['runs'][0]['id']} (follow) succeeded", told)
        came = f"came from {event} t.Ask -> {run['id']} (ask) -> {emitted['event']} t.Answered"
        self.assertIn(came, self.p.cli("runs", "show", emitted["runs"][0]["id"]).stdout)
        self.assertIn(came.split("from ")[1], self.p.cli("events", "show", emitted["event"]).stdout)

    def write_edits(self, text):
        for word, wait in EDITED.items():
            self.p.write_rule(word + ".yaml", EDIT % {"word": word, "text": text, "wait": wait})

    def states(self, event):
        return {r["rule"]: r["state"] for r in reversed(self.p.get(f"/v1/runs?event={event}")["items"])}

    def edited(self, event):
        """The runs after the edit; by then those of the new text have begun."""
        harness.wait_for(lambda: "restart new begins" in self.bodies(), "the run that begins anew")
        harness.wait_for(lambda: self.states(event)["cancel"] == "cancelled", "the run that the edit cancels")
        self.assertEqual(self.states(event)["finish"], "waiting")
        first, second = sorted((r for r in self.p.get(f"/v1/runs?event={event}&rule=restart")["items"]), key=lambda r: int(r["id"][4:]))
        self.assertEqual((first["state"], first["error"]["code"], second["retry_of"]), ("cancelled", "on_change", first["id"]))
        harness.wait_for(lambda: self.p.get(f"/v1/runs/{second['id']}")["state"] == "waiting", "it to wait again")
        self.p.emit("t.End")
        harness.wait_for(lambda: self.p.get("/v1/status")["live_runs"] == 0, "all runs to end")
        self.assertEqual(sorted(self.bodies()), ["cancel old begins", "finish old begins", "finish old ends", "restart new begins", "restart new ends", "restart old begins"])

    def test_each_run_ends_as_its_rule_says_when_the_files_are_edited(self):
        self.p = self.service()
        self.write_edits("old")
        harness.wait_for(lambda: len(self.p.get("/v1/rules")["items"]) == 3, "the rules")
        event = self.p.emit("t.Edit")
        harness.wait_for(lambda: set(self.states(event).values()) == {"waiting", "sleeping"} or set(self.states(event).values()) == {"waiting"}, "all to wait")
        self.write_edits("new")
        self.edited(event)

    def test_edits_while_the_service_is_down_count(self):
        self.p = self.service()
        self.write_edits("old")
        harness.wait_for(lambda: len(self.p.get("/v1/rules")["items"]) == 3, "the rules")
        event = self.p.emit("t.Edit")
        harness.wait_for(lambda: len(self.bodies()) == 3 and "running" not in self.states(event).values() and "ready" not in self.states(event).values(), "all to wait")
        self.p.kill()
        self.write_edits("new")
        self.p.start()
        self.edited(event)

    def test_an_event_cancels_what_waits(self):
        rule = ORDER.replace("actions:", 'key: "{{ event.id }}"\ncancel_on: [{event: order.Gone}]\nactions:')
        self.p = self.service(rules={"o.yaml": rule})
        events = [self.p.emit("order.Placed", {"id": f"o{n}"}) for n in range(3)]
        for event in events:
            self.in_state(event, "waiting")
        self.p.restart()
        gone = self.p.emit("order.Gone", {"id": "o1"})
        run, = self.p.runs_of(events[1])
        self.assertEqual((run["state"], run["error"]["code"]), ("cancelled", "cancel_on"))
        self.assertIn(gone, run["error"]["message"])
        self.p.emit("order.Paid", {"order": "o1", "amount": 1})
        self.assertEqual(len(self.p.get("/v1/runs?state=waiting")["items"]), 2)

    def test_timeouts_count_over_a_kill(self):
        self.p = self.service(rules={"s.yaml": SLOW})
        events = self.p.emit("t.Slow"), self.p.emit("t.Slower")
        for event in events:
            self.in_state(event, "sleeping")
        self.p.restart()
        (slow,), (slower,) = self.p.runs_of(events[0]), self.p.runs_of(events[1])
        self.assertEqual((slow["state"], self.bodies()), ("succeeded", ["timeout"]))
        self.assertEqual((slower["state"], slower["error"]["code"]), ("failed", "timeout"))

    def test_a_person_pauses_runs_and_lets_them_go_on(self):
        p = self.service(rules={"held.yaml": HELD})
        p.matched(p.emit("t.Hold"))
        runs = {r["rule"]: r["id"] for r in p.get("/v1/runs")["items"]}
        for run in runs.values():
            self.assertEqual(p.cli("runs", "pause", run, expect=0).stdout.strip(), run)
        p.kill()
        p.start()
        p.matched(p.emit("t.End"))
        harness.wait_for(lambda: time.time() > seconds(p.get("/v1/runs/" + runs["delay"])["created"]) + 1, "the delay to be over")
        for run in runs.values():
            shown = p.get("/v1/runs/" + run)
            self.assertEqual((shown["state"], shown["waiting"]["code"]), ("paused", "paused"))
            self.assertIn("paused by a person, since 2", p.cli("runs", "show", run, expect=0).stdout)
        self.assertEqual(p.outbox(), [])
        p.cli("runs", "pause", runs["wait"], expect=1)
        p.cli("runs", "resume", "all", expect=0)
        harness.wait_for(lambda: len(p.outbox()) == 2, "what came and fell due meanwhile")
        self.assertEqual(sorted(m["body"] for m in p.outbox()), ["delay", "wait false"])
        p.cli("runs", "resume", runs["wait"], expect=1)
        self.assertEqual([r["action"] for r in p.get("/v1/audit")["items"] if r["action"].startswith("run.")],
                         ["run.resumed"] * 2 + ["run.paused"] * 2)


if __name__ == "__main__":
    harness.main()
