#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of a provider that fails in every way: what is sent again, what is not, and what the sender can see of it."""
import json

import harness
from flaky_provider import Provider

CONFIG = 'plugins: {http: {config: {hosts: ["%s"]}}}'
CALL = """
name: %(name)s
trigger: {event: %(event)s}
actions:
  - operator: http.request
    params: {url: "%(url)s/orders", method: POST, json: {n: "{{ event.n }}"}}
    retry: {initial_interval: 20ms, maximum_attempts: 6}
    %(more)s
"""


class Effects(harness.Case):
    def setUp(self):
        self.provider = Provider(honours=True)
        self.addCleanup(self.provider.close)

    def start(self, more="", config="", **rules):
        self.rules = {"call.yaml": CALL % {"name": "Call", "event": "t.Call", "url": self.provider.url, "more": more}}
        self.rules.update({f"{name}.yaml": text.replace("URL", self.provider.url) for name, text in rules.items()})
        self.p = self.service(CONFIG % self.provider.host + "\n" + config, self.rules)

    def call(self, n=1):
        run, = self.p.runs_of(self.p.emit("t.Call", {"n": n}))
        return run

    def only_key(self):
        key, = self.provider.requests
        return key

    def test_refusals_are_tried_again_with_the_same_key_and_body(self):
        self.start()
        self.provider.say("busy", "refuse", "busy", "ok")
        run = self.call()
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual([s["state"] for s in run["steps"]], ["retry", "retry", "retry", "done"])
        key = self.only_key()
        self.assertEqual({s["idempotency_key"] for s in run["steps"]}, {key})
        self.assertEqual(self.provider.requests[key], ["busy", "refuse", "busy", "ok"])
        self.assertEqual((self.provider.deliveries[key], len(self.provider.bodies[key])), (1, 1))

    def test_a_service_that_calls_nobody_has_no_http_client_in_memory(self):
        """libcurl and the 25 libraries that it needs are 4 MiB."""
        self.start()

        def mapped():
            with open(f"/proc/{self.p.process.pid}/maps") as maps:
                return "libcurl" in maps.read()

        self.assertFalse(mapped())
        self.assertEqual(self.call()["state"], "succeeded")
        self.assertTrue(mapped())

    def test_what_may_have_arrived_waits_for_a_person_or_is_repeated_as_the_step_says(self):
        self.start(again=CALL % {"name": "Again", "event": "t.Again", "url": "URL", "more": "delivery: repeat"})
        self.provider.say("error")
        event = self.p.emit("t.Call", {"n": 1})
        self.p.matched(event)
        harness.wait_for(lambda: self.p.get(f"/v1/runs?event={event}")["items"][0]["state"] == "unknown", "the outcome to be unknown")
        self.provider.say("lost", "error", "drop", "late", "ok")
        run, = self.p.runs_of(self.p.emit("t.Again", {"n": 2}))
        self.assertEqual(run["state"], "succeeded")
        key = run["steps"][0]["idempotency_key"]
        self.assertEqual(self.provider.requests[key], ["lost", "error", "drop", "late"])
        self.assertEqual((self.provider.deliveries[key], len(self.provider.bodies[key])), (1, 1))

    def test_a_final_answer_ends_it(self):
        self.start()
        self.provider.say("reject")
        run = self.call()
        self.assertEqual((run["state"], run["error"]["code"], len(run["steps"])), ("failed", "http.status_422", 1))
        self.assertIn(run["id"], self.p.cli("runs", "list", "--state", "dead", expect=0).stdout)

    def test_an_open_circuit_is_seen_and_holds_runs_over_a_restart(self):
        self.start()
        self.provider.down()
        for n in range(12):
            self.p.emit("t.Call", {"n": n})

        def waiting():
            items = self.p.get("/v1/runs?limit=100")["items"]
            return [r for r in items if r.get("waiting", {}).get("code") == "circuit.open"]

        harness.wait_for(lambda: len(waiting()) >= 2, "runs to wait for the circuit")
        self.provider.up()
        self.p.restart()
        circuit, = self.p.get("/v1/status")["circuits"]
        self.assertEqual((circuit["destination"], circuit["state"]), ("http/" + self.provider.host, "open"))
        self.assertIn("is not called until", self.p.cli("doctor").stdout)
        self.assertRegex(self.p.cli("runs", "show", waiting()[0]["id"], expect=0).stdout, r"waits: the circuit of .* is open since .*\[circuit.open\]")
        self.assertRegex(self.p.request("GET", "/metrics").body.decode(), r"perigee_circuits_open 1\n")
        run = waiting()[0]
        self.assertEqual(run["waiting"]["until"], run["wake"])
        self.assertRegex(self.p.cli("runs", "list", expect=0).stdout, run["id"] + r" .*sleeping .*circuit\.open +" + run["wake"])
        why = self.p.cli("why", "call", "--event", run["event"], expect=0).stdout
        self.assertRegex(why, r"the run is sleeping until " + run["wake"] + r": the circuit of .* is open since .*\[circuit.open\]")
        told = json.loads(self.p.cli("why", "call", "--event", run["event"], "--json", expect=0).stdout)
        self.assertEqual(told["now"]["waiting"], run["waiting"])

    BRANCHES = """
name: Branches
trigger: {event: t.Both}
actions:
  - parallel:
      - - {operator: http.request, params: {url: "URL/orders", method: POST, json: {n: 1}}}
      - - delay: 1h
"""

    def test_a_branch_that_waits_for_a_circuit_is_told_too(self):
        self.start(both=self.BRANCHES)
        self.provider.down()
        for n in range(12):
            self.p.emit("t.Call", {"n": n})
        harness.wait_for(lambda: [c for c in self.p.get("/v1/status")["circuits"] if c["state"] == "open"], "the circuit to open")
        event = self.p.emit("t.Both")
        self.p.matched(event)
        run = harness.wait_for(lambda: next((r for r in self.p.get(f"/v1/runs?event={event}")["items"] if "waiting" in r), None), "the branch to wait")
        self.assertEqual(run["waiting"]["code"], "circuit.open")
        self.assertIn("waits: the circuit of", self.p.cli("runs", "show", run["id"], expect=0).stdout)

    def test_a_slow_destination_leaves_room_for_others(self):
        slow = Provider(weights={"timeout": 1})
        self.addCleanup(slow.close)
        self.start()
        self.p.stop()
        self.p.write_config(CONFIG.replace('"%s"', f'"{self.provider.host}", "{slow.host}"'), [self.p.rules])
        self.p.write_rule("slow.yaml", CALL % {"name": "Slow", "event": "t.Slow", "url": slow.url, "more": ""})
        self.p.start()
        for n in range(300):  # more than there are places
            self.p.emit("t.Slow", {"n": n})
        crowded = harness.wait_for(lambda: [c for c in self.p.get("/v1/status")["crowded"] if c["waiting"] == 292], "8 to be under way")
        self.assertEqual(crowded, [{"destination": "http/" + slow.host, "under_way": 8, "limit": 8, "waiting": 292}])
        self.assertEqual(self.call()["state"], "succeeded")
        self.assertRegex(self.p.cli("doctor").stdout, r"8 calls are under way, \d+ wait")
        self.assertRegex(self.p.request("GET", "/metrics").body.decode(), r"perigee_attempts_crowded 2\d\d\n")
        slow.close()

    def test_quiet_hours_are_the_recipients_and_limits_hold_in_virtual_time(self):
        rule = """
name: Remind
trigger: {event: t.Due}
actions:
  - operator: notify.send
    params: {to: "{{ event.who }}", message: "m{{ event.n }}"}
    rate_limit: {limit: 1, period: 1h, key: "{{ event.who }}"}
    quiet_hours: {from: "22:00", to: "07:00"}
"""
        tests = """
start: 2026-03-28T20:30:00Z
timezone: Europe/Berlin
data: {contact: [{id: ada, timezone: America/New_York}, {id: bo, timezone: Europe/Berlin}]}
tests:
  - name: each has a night of their own, the one with the clock change an hour less
    steps:
      - {event: t.Due, data: {who: ada, n: 1}, expect: {messages: [{body: m1}]}}
      - {event: t.Due, data: {who: ada, n: 2}, expect: {runs: {remind: sleeping}}}
      - {advance: 40m}
      - {event: t.Due, data: {who: bo, n: 3}, expect: {messages: [], runs: {remind: sleeping}}}
      - restart: true
      - {until: "2026-03-28T22:29:59", expect: {messages: []}}
      - {advance: 1s, expect: {messages: [{body: m2}]}}
      - {until: "2026-03-29T06:59:59", expect: {messages: []}}
      - {advance: 1s, expect: {messages: [{body: m3}]}}
"""
        p = self.service(start=False, rules={"remind.yaml": rule, "remind.test.yaml": tests})
        p.cli("test", p.rules, expect=0)

    def letters(self, *options):
        return [json.loads(line) for line in self.p.cli("dead", "list", "--json", *options, expect=0).stdout.splitlines()]

    def test_dead_letters_wait_for_somebody_and_go_once_more(self):
        full = "name: Full\ntrigger: {event: t.Full}\nmode: queued\nmax: 1\nactions: [{delay: 1h}]\n"
        broken = "name: Broken\ntrigger: {event: t.Broken}\nconditions: [{expr: \"event.n < 'x'\"}]\nactions: [{stop: true}]\n"
        self.start(full=full, broken=broken)
        self.provider.say("reject", "reject")
        dead = [self.call(n) for n in (1, 2)]
        for event in [self.p.emit("t.Full", {}), self.p.emit("t.Full", {}), self.p.emit("t.Broken", {"n": 1})]:
            self.p.matched(event)
        self.p.restart()
        letters = self.letters()
        self.assertEqual([(x["kind"], x["rule"], x["code"]) for x in letters],
                         [("rule", "broken", "type"), ("drop", "full", "max_exceeded"), ("run", "call", "http.status_422"), ("run", "call", "http.status_422")])
        self.assertEqual({x["run"] for x in letters[2:]}, {r["id"] for r in dead})
        self.assertEqual(self.p.get("/v1/status")["dead_letters"], 4)
        self.assertRegex(self.p.cli("doctor").stdout, "4 wait for somebody")
        again = self.p.cli("dead", "redrive", letters[2]["id"], expect=0).stdout.strip()
        harness.wait_for(lambda: self.p.get("/v1/runs/" + again).get("ended"), "the run made anew")
        self.assertEqual(self.p.get("/v1/runs/" + again)["state"], "succeeded")
        made = self.p.cli("dead", "redrive", "--all", expect=0).stdout.split()
        self.assertEqual([x[:3] for x in made], ["run", "ev-", "ev-"])
        for event in made[1:]:
            self.p.matched(event)
        self.assertEqual([(x["kind"], x["event"]) for x in self.letters()], [("rule", made[2]), ("drop", made[1])])
        self.assertEqual(self.p.cli("dead", "resolve", "--rule", "broken", "--note", "typo", expect=0).stdout, "1 resolved\n")
        self.assertEqual([x["note"] for x in self.letters("--state", "resolved", "--rule", "broken")], ["typo", "redriven"])
        self.p.cli("dead", "resolve", expect=2)
        self.assertIn("perigee_dead_letters 1\n", self.p.request("GET", "/metrics").body.decode())

    def test_errors_are_kept_counted_and_resolved(self):
        self.start()
        self.provider.say("busy", "busy", "ok", "reject")
        self.call(1)
        self.call(2)
        self.p.restart()
        errors = self.p.get("/v1/errors")["items"]
        self.assertEqual([(e["operator"], e["code"], e["attempt"]) for e in errors],
                         [("http.request", "http.status_422", 1), ("http.request", "http.status_503", 2), ("http.request", "http.status_503", 1)])
        stats = self.p.get("/v1/errors/stats")["items"]
        self.assertEqual([(s["code"], s["count"], s["open"]) for s in stats], [("http.status_503", 2, 2), ("http.status_422", 1, 1)])
        self.assertEqual(sum(t["count"] for t in self.p.get("/v1/errors/trends?by=day&operator=http.request")["items"]), 3)
        self.assertEqual(self.p.cli("errors", "resolve", "--code", "http.status_503", expect=0).stdout, "2 resolved\n")
        self.assertIn("422", self.p.cli("errors", "list", expect=0).stdout)
        self.assertNotIn("503", self.p.cli("errors", "list", expect=0).stdout)
        self.assertRegex(self.p.cli("errors", "stats", expect=0).stdout, r"http.status_503 +2 +0")
        self.p.cli("errors", "trends", expect=0)
        self.assertIn("resolved", self.p.cli("errors", "show", errors[1]["id"], expect=0).stdout)


if __name__ == "__main__":
    harness.main()
