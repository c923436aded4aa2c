#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of a provider that fails in every way: what is sent again, what is not, and what the sender can see of it."""
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


if __name__ == "__main__":
    harness.main()
