#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plugin platform through the program: interceptors, the audit trail, health, files, accounts."""
import http.server
import json
import os
import threading
import unittest

import harness


class Platform(harness.Case):
    def begin(self, config="", rules=None, **plugins):
        """Every keyword is a plugin: (permissions, init.lua, more of the manifest)."""
        s = self.service("plugin_path: [plugins]\n" + config, rules=rules, start=False)
        for name, (permissions, lua, *more) in plugins.items():
            self.write(s, name, permissions, lua, *more)
        return s

    def write(self, s, name, permissions, lua, more=None):
        folder = os.path.join(s.dir, "plugins", name)
        os.makedirs(folder, exist_ok=True)
        manifest = {"id": "test." + name, "name": name, "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                    "permissions": permissions, **(more or {})}
        for file, text in (("init.lua", lua), ("plugin.json", json.dumps(manifest))):
            with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                f.write(text)

    def rows(self, s, *command):
        return [json.loads(line) for line in s.cli(*command, "--json", expect=0).stdout.splitlines()]


class Interceptors(Platform):
    def test_a_veto_is_the_steps_error_and_stands_in_the_audit_trail(self):
        s = self.begin(
            rules={"sms.yaml": "name: Sms\ntrigger: {event: a.B}\nactions: [{operator: comms.sendSms, params: {to: '{{ event.to }}', body: hi}}]\n"},
            guard=(["actions:intercept", "storage:write"], """
              return { intercept = { operators = { "comms.*" },
                before = function(call) if not call.params.to:match("^%+49") then return false, "only German numbers" end end,
                after = function(call, ctx) ctx.storage.set(call.run, { ok = call.ok }) end } }"""))
        s.start("--approve-all")
        run = s.runs_of(s.emit("a.B", {"to": "+15550100"}))[0]
        self.assertEqual(run["state"], "failed")
        self.assertEqual(run["steps"][0]["error"]["code"], "vetoed")
        self.assertEqual(run["steps"][0]["error"]["message"], "vetoed by plugin test.guard: only German numbers")
        self.assertEqual(s.outbox(), [])
        entry = s.get("/v1/audit?action=action.vetoed")["items"][0]
        self.assertEqual((entry["target"], entry["detail"]["operator"], entry["detail"]["run"]), ("test.guard", "comms.sendSms", run["id"]))
        self.assertEqual(s.runs_of(s.emit("a.B", {"to": "+49301234567"}))[0]["state"], "succeeded")
        self.assertEqual(len(s.outbox()), 1)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers at once, or when it is told to."""
    gate = None

    def do_GET(self):
        self.server.seen.append(self.path)
        if self.path == "/slow":
            self.server.gate.wait(harness.DEADLINE)
        self.send_response(200)
        self.end_headers()
        try:
            self.wfile.write(b"hello")
        except OSError:
            pass

    do_POST = do_GET

    def log_message(self, *args):
        pass


CALLER = """
return { actions = {
  ["caller.get"] = { params = { type = "object", properties = { url = { type = "string" } } },
    execute = function(params, ctx)
      local answer = ctx.http.get(params.url)
      return { status = answer.status }
    end },
  ["caller.peek"] = { execute = function(params, ctx) return { n = #ctx.data.query("call", {}) } end },
} }
"""


class Audit(Platform):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        self.server.seen, self.server.gate = [], threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.gate.set)
        self.host = f"127.0.0.1:{self.server.server_port}"

    def approved(self, permissions=("data:read:contact", "storage:read")):
        s = self.begin(rules={"get.yaml": "name: Get\ntrigger: {event: a.Get}\nactions: [{operator: caller.get, params: {url: '{{ event.url }}'}, retry: {maximum_attempts: 1}}]\n"},
                       caller=(["network:outbound:api.example.com", *permissions], CALLER))
        s.cli("plugins", "approve", "test.caller", "--host", self.host, "--yes", expect=0)
        return s.start()

    def test_grants_loads_calls_and_violations(self):
        s = self.approved()
        run = s.runs_of(s.emit("a.Get", {"url": f"http://{self.host}/x"}))[0]
        self.assertEqual(run["state"], "succeeded", run)
        s.runs_of(s.emit("a.Get", {"url": "http://evil.example/"}))
        self.assertEqual(s.request("POST", "/v1/operators/caller.peek/call", {"params": {}}).json["error"]["code"], "denied")
        entries = self.rows(s, "plugins", "audit", "test.caller")
        by_action = {e["action"]: e.get("detail", {}) for e in entries}
        self.assertEqual(by_action["policy.granted"]["hosts"], [self.host])
        self.assertIn("sha256", by_action["plugin.loaded"])
        call = by_action["plugin.outbound"]
        self.assertEqual((call["host"], call["outcome"], call["count"], call["bytes_received"]), (self.host, "200", 1, 5))
        denied = sorted(e["detail"]["what"] for e in entries if e["action"] == "plugin.violation")
        self.assertEqual(denied, ["data:read:call", "network:outbound:evil.example:80"])
        self.assertEqual(len(self.rows(s, "plugins", "audit", "--action", "plugin.violation")), 2)
        self.assertIn("bytes_received=5", s.cli("plugins", "audit", expect=0).stdout)
        s.cli("plugins", "revoke", "test.caller", expect=0)
        actions = [e["action"] for e in self.rows(s, "plugins", "audit", "test.caller")]
        self.assertIn("policy.revoked", actions)
        self.assertIn("plugin.unloaded", actions)

    def test_permissions_that_were_never_used(self):
        s = self.approved()
        unused = [r["permission"] for r in self.rows(s, "plugins", "audit", "test.caller", "--unused")]
        self.assertEqual(sorted(unused), ["data:read:contact", "network:outbound:api.example.com", "storage:read"])
        s.stop()
        self.write(s, "caller", ["network:outbound:api.example.com", "data:read:contact", "storage:read"],
                   CALLER.replace('"call"', '"contact"'))
        s.cli("plugins", "approve", "test.caller", "--yes", expect=0)
        s.start()
        self.assertTrue(s.request("POST", "/v1/operators/caller.peek/call", {"params": {}}).json["ok"])
        unused = [r["permission"] for r in self.rows(s, "plugins", "audit", "--unused") if r["plugin"] == "test.caller"]
        self.assertEqual(unused, ["network:outbound:api.example.com", "storage:read"])
        s.stop()
        self.assertEqual([r["permission"] for r in self.rows(s, "plugins", "audit", "test.caller", "--unused")], unused)

    def test_a_revocation_ends_what_is_under_way(self):
        s = self.approved()
        event = s.emit("a.Get", {"url": f"http://{self.host}/slow"})
        harness.wait_for(lambda: self.server.seen == ["/slow"], "the call to arrive")
        s.cli("plugins", "revoke", "test.caller", expect=0)
        run = s.runs_of(event)[0]
        self.assertEqual(run["steps"][0]["error"]["code"], "plugin.revoked")
        self.assertEqual(s.get("/v1/plugins/test.caller")["state"], "blocked")


if __name__ == "__main__":
    unittest.main(verbosity=1)
