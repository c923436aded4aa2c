#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of a provider that fails in every way: what is sent again, what is not, and what the sender can see of it."""
import json
import os

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

    PLUGIN = {
        "plugin.json": """{"id": "shop", "name": "Shop", "version": "1.0.0", "type": "channel", "apiVersion": "1.0", "entrypoint": "./init.lua",
            "license": "MIT", "permissions": ["network:outbound:{config.host}"],
            "configSchema": {"type": "object", "properties": {"host": {"type": "string"}}}}""",
        "init.lua": """
local function post(ctx, key, value)
  local r = ctx.http.request({ method = "POST", url = "URL/orders", headers = { ["Idempotency-Key"] = key }, json = value, timeout_ms = 700 })
  if r.status ~= 200 then
    error({ code = "shop." .. r.status, message = "status " .. r.status, retryable = true, outcome = r.status == 500 and "unknown" or nil })
  end
  return { ok = true, messageId = r.json.id }
end
local function find(ctx, key, since)
  local r = ctx.http.get("URL/deliveries/" .. key)
  if r.status == 404 then return nil end
  if r.status ~= 200 then error({ code = "shop.lookup", message = "status " .. r.status, retryable = true }) end
  return { ok = true, messageId = r.json.id, since = since }
end
return {
  actions = { ["shop.order"] = { delivery = "lookup", params = { type = "object" },
    execute = function(params, ctx) return post(ctx, ctx.idempotency_key, params) end,
    lookup = function(_, ctx) return find(ctx, ctx.idempotency_key, ctx.first_attempt) end } },
  channel = { type = "shop", delivery = "lookup", send = function(ctx, m) return post(ctx, m.idempotency_key, { body = m.body }) end,
    lookup = function(ctx, m) return find(ctx, m.idempotency_key, m.since) end },
}
""",
    }

    def shop(self, action):
        """A provider that honours no key: whatever arrives twice is delivered twice."""
        self.provider.honours = False
        rule = "name: Order\ntrigger: {event: t.Order}\nactions:\n  - operator: " + action + "\n    retry: {initial_interval: 20ms, maximum_attempts: 5}\n"
        self.p = self.service("plugins: {notify: {config: {channel: shop}}, shop: {config: {host: \"%s\"}}}" % self.provider.host, {"order.yaml": rule}, start=False)
        folder = os.path.join(self.p.dir, "plugins", "shop")
        os.makedirs(folder)
        for name, text in self.PLUGIN.items():
            with open(os.path.join(folder, name), "w") as f:
                f.write(text.replace("URL", self.provider.url).replace("HOST", self.provider.host))
        with open(self.p.config_file, "a") as f:
            f.write(f"plugin_path: [{os.path.dirname(folder)}]\n")
        self.p.cli("plugins", "approve", "shop", "--yes", expect=0)
        self.p.start()

    def order(self):
        run, = self.p.runs_of(self.p.emit("t.Order", {}))
        return run

    def test_after_an_unknown_outcome_the_provider_is_asked(self):
        self.shop("shop.order\n    params: {n: 1}")
        self.provider.say("lost")
        run = self.order()
        key = run["steps"][0]["idempotency_key"]
        self.assertEqual([s["state"] for s in run["steps"]], ["retry", "done"])
        self.assertTrue(run["steps"][1]["result"]["found"])
        self.assertRegex(run["steps"][1]["result"]["since"], r"^2\d{3}-.*Z$")
        self.assertEqual((self.provider.requests[key], self.provider.deliveries[key]), (["lost"], 1))
        self.provider.say("drop", "ok")
        run = self.order()
        key = run["steps"][0]["idempotency_key"]
        self.assertEqual((run["state"], self.provider.requests[key], self.provider.deliveries[key]), ("succeeded", ["drop", "ok"], 1))

    def test_a_lookup_that_fails_is_made_again_and_channels_have_one_too(self):
        self.shop("notify.send\n    params: {message: hello}")
        event = self.p.emit("t.Order", {})
        run = self.p.get(f"/v1/runs?event={event}")["items"] if self.p.matched(event) else None
        key = self.p.runs_of(event)[0]["steps"][0]["idempotency_key"]
        self.assertEqual(self.provider.deliveries[key], 1)
        self.provider.say("timeout")
        upcoming = key.replace(f".{run[0]['id'][4:]}/", f".{int(run[0]['id'][4:]) + 1}/")
        self.provider.say("busy", key="GET " + upcoming)
        run = self.order()
        self.assertEqual(run["steps"][0]["idempotency_key"], upcoming)
        self.assertEqual([s["state"] for s in run["steps"]], ["retry", "retry", "done"])
        self.assertIn("asking what became of it", run["steps"][1]["error"]["message"])
        self.assertEqual((self.provider.requests[upcoming], self.provider.deliveries[upcoming]), (["timeout"], 1))

    def test_a_kill_in_a_call_is_looked_up(self):
        self.shop("shop.order\n    params: {n: 1}")
        self.provider.late = 30
        self.provider.say("late")
        event = self.p.emit("t.Order", {})
        harness.wait_for(lambda: self.provider.order, "the order to arrive")
        self.p.restart()
        run, = self.p.runs_of(event)
        key = run["steps"][0]["idempotency_key"]
        self.assertEqual((run["state"], self.provider.requests[key], self.provider.deliveries[key]), ("succeeded", ["late"], 1))

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
