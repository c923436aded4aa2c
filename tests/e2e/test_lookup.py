#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A provider that honours no key: it is asked what became of a call. And what is sent when a message cannot be."""
import os

import harness
from flaky_provider import Provider


class Lookup(harness.Case):
    def setUp(self):
        self.provider = Provider()
        self.addCleanup(self.provider.close)

    PLUGIN = {
        "plugin.json": """{"id": "shop", "name": "Shop", "version": "1.0.0", "type": "channel", "apiVersion": "1.0", "entrypoint": "./init.lua",
            "license": "MIT", "permissions": ["network:outbound:{config.host}"],
            "configSchema": {"type": "object", "properties": {"host": {"type": "string"}}}}""",
        "init.lua": """
local function post(ctx, key, value)
  local r = ctx.http.request({ method = "POST", url = "URL/orders", headers = { ["Idempotency-Key"] = key }, json = value, timeout_ms = 700 })
  if r.status ~= 200 then
    error({ code = "shop." .. r.status, message = "status " .. r.status, retryable = r.status ~= 422, outcome = r.status == 500 and "unknown" or nil })
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

    def shop(self, action, config=""):
        """A provider that honours no key: whatever arrives twice is delivered twice."""
        rule = "name: Order\ntrigger: {event: t.Order}\nactions:\n  - operator: " + action + "\n    retry: {initial_interval: 20ms, maximum_attempts: 5}\n"
        self.p = self.service("plugins: {notify: {config: {channel: shop}}, shop: {config: {host: \"%s\"}}}" % self.provider.host + "\n" + config, {"order.yaml": rule}, start=False)
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

    def test_a_fallback_goes_where_a_message_cannot(self):
        self.shop("notify.send\n    params: {message: \"{{ event.text }}\"}", 'channels: {shop: {plugin: shop, fallback: "Please {{ call }}."}}')
        self.provider.say("reject")
        run, = self.p.runs_of(self.p.emit("t.Order", {"text": "long"}))
        key = run["steps"][0]["idempotency_key"]
        self.assertEqual([(s["state"], s["idempotency_key"], s["params"]["message"]) for s in run["steps"]],
                         [("retry", key, "long"), ("done", key + "~fallback", "Please {{ call }}.")])
        self.assertEqual(run["steps"][0]["error"]["code"], "shop.422")
        run, = self.p.runs_of(self.p.emit("t.Order", {}))
        self.assertEqual([s["state"] for s in run["steps"]], ["retry", "done"])
        self.assertIn("missing event.text", run["steps"][0]["error"]["message"])
        self.assertEqual(self.provider.deliveries[run["steps"][1]["idempotency_key"]], 1)
        self.provider.say("reject", "reject")
        run, = self.p.runs_of(self.p.emit("t.Order", {"text": "long"}))
        self.assertEqual((run["state"], [s["state"] for s in run["steps"]]), ("failed", ["retry", "failed"]))
        bad = self.service('channels: {sms: {plugn: twilio}, email: {fallback: 3}}', start=False)
        found = bad.cli("check", expect=1)
        self.assertRegex(found.stdout + found.stderr, r'unknown key "plugn" .here: plugin, fallback')


if __name__ == "__main__":
    harness.main()
