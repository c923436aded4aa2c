#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plugin platform through the program: interceptors, the audit trail, health, files, accounts."""
import base64
import email
import http.server
import json
import os
import shutil
import ssl
import subprocess
import tempfile
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


class Requests(Platform):
    """Binary bodies, forms with files, and a server that asks for a certificate."""

    LUA = """
return { actions = {
  ["up.load"] = { execute = function(_, ctx)
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = table.concat(bytes)
    local answer = ctx.http.post(ctx.config.url .. "/echo", { multipart = {
      { name = "note", content = "hi" },
      { name = "file", filename = 'a "b".bin', content_type = "application/x-test", content = all } } })
    local back = ctx.http.post(ctx.config.url .. "/raw", { body = all, headers = { ["Content-Type"] = "application/octet-stream" } })
    return { type = answer.headers["x-type"], body = ctx.crypto.base64(answer.body), same = back.body == all }
  end },
  ["up.mutual"] = { execute = function(params, ctx)
    return ctx.http.get(ctx.config.url, { tls = { cert = params.show and ctx.secret("client-cert") or nil,
      key = params.show and ctx.secret("client-key") or nil, ca = ctx.secret("ca") } }).body
  end },
  ["up.peek"] = { execute = function(params, ctx) return { text = tostring(ctx.secret("client-key")), other = pcall(ctx.secret, "token") } end },
} }
"""
    MORE = {"configSchema": {"type": "object", "properties": {"url": {"type": "string"}}}, "mtlsSecrets": ["client-cert", "client-key", "ca"]}

    def upload(self, url):
        return self.begin(f"plugins:\n  test.up:\n    config: {{url: '{url}'}}\n",
                          up=(["network:outbound:{config.url}", "secrets:mtls"], self.LUA, self.MORE))

    def call(self, s, operator, params=None):
        return json.loads(s.cli("operators", "call", operator, "--params", json.dumps(params or {}), "--approve-all").stdout)

    def test_forms_with_files_and_any_bytes(self):
        class Echo(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("X-Type", self.headers["Content-Type"])
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        result = self.call(self.upload(f"http://127.0.0.1:{server.server_port}"), "up.load")["result"]
        self.assertTrue(result["same"])
        parsed = email.message_from_bytes(b"Content-Type: " + result["type"].encode() + b"\r\n\r\n" + base64.b64decode(result["body"]))
        parts = parsed.get_payload()
        self.assertEqual([p.get_param("name", header="Content-Disposition") for p in parts], ["note", "file"])
        self.assertEqual(parts[0].get_payload(decode=True), b"hi")
        self.assertEqual((parts[1].get_filename(), parts[1].get_content_type()), ("a %22b%22.bin", "application/x-test"))
        self.assertEqual(base64.b64decode(result["body"]).count(bytes(range(256))), 1)

    def openssl(self, folder, *arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def certificates(self, folder):
        self.openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                     "-days", "2", "-subj", "/CN=Test CA")
        for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
            self.openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                         "-subj", f"/CN={name}")
            with open(os.path.join(folder, "ext"), "w", encoding="utf-8") as f:
                f.write(extension)
            self.openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem",
                         "-days", "2", "-extfile", "ext")

    def test_mutual_tls_with_secrets_that_lua_never_sees(self):
        class Who(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = dict(pair[0] for pair in self.connection.getpeercert()["subject"])["commonName"]
                self.send_response(200)
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *args):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *args):
                pass

        keys = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, keys)
        self.certificates(keys)
        server = Quiet(("127.0.0.1", 0), Who)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(keys, "server.pem"), os.path.join(keys, "server.key"))
        context.load_verify_locations(os.path.join(keys, "ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        s = self.upload(f"https://127.0.0.1:{server.server_port}")
        for name, file in (("client-cert", "client.pem"), ("client-key", "client.key"), ("ca", "ca.pem")):
            with open(os.path.join(keys, file), encoding="utf-8") as f:
                s.cli("secrets", "set", name, stdin=f.read(), expect=0)
        self.assertEqual(self.call(s, "up.mutual", {"show": True})["result"], "client")
        refused = self.call(s, "up.mutual")
        self.assertFalse(refused["ok"], refused)
        self.assertRegex(refused["error"]["code"], "^http[.](tls|protocol)$")
        peek = self.call(s, "up.peek")["result"]
        self.assertNotIn("PRIVATE", peek["text"])
        self.assertFalse(peek["other"])


class Updates(Platform):
    LUA = "return { actions = { ['up.date'] = { execute = function() return { ok = true } end } } }"

    def test_what_was_not_approved_does_not_load_and_says_what_to_type(self):
        s = self.begin(up=(["network:outbound:api.example.com"], self.LUA))
        s.cli("plugins", "approve", "test.up", "--yes", expect=0)
        s.start()
        self.assertEqual(s.get("/v1/plugins/test.up")["state"], "active")
        s.stop()
        for permissions, lua, code in ((["network:outbound:api.example.com", "network:outbound:evil.example"], self.LUA, "policy.new-permission"),
                                       (["network:outbound:api.example.com", "storage:read"], self.LUA, "policy.new-permission"),
                                       (["network:outbound:api.example.com"], self.LUA + "\n", "policy.changed")):
            self.write(s, "up", permissions, lua)
            s.start()
            plugin = s.get("/v1/plugins/test.up")
            self.assertEqual(plugin["state"], "blocked")
            self.assertIn(plugin["refusal"]["code"], (code, "policy.changed"))
            self.assertIn("perigee plugins approve test.up", plugin["refusal"]["message"] + plugin["refusal"].get("remedy", ""))
            self.assertEqual(s.request("POST", "/v1/operators/up.date/call", {"params": {}}).status, 404)
            s.stop()
        self.write(s, "up", ["network:outbound:api.example.com", "network:outbound:evil.example"], self.LUA)
        self.assertRegex(s.cli("plugins", "approve", "test.up", "--yes", expect=0).stdout, "new since it was approved:\n  network:outbound:evil.example")
        s.start()
        self.assertEqual(s.get("/v1/plugins/test.up")["state"], "active")


class CPlugins(Platform):
    def begin_with(self, **mocks):
        """A service that has not started, with a plugin test.<name> for each shared object."""
        s = self.service("plugin_path: [plugins]\n", start=False)
        for name, mock in mocks.items():
            folder = os.path.join(s.dir, "plugins", name)
            os.makedirs(folder)
            shutil.copy(os.path.join(os.path.dirname(os.path.dirname(harness.BIN)), "tests/mocks", mock), folder)
            with open(os.path.join(folder, "plugin.json"), "w", encoding="utf-8") as f:
                json.dump({"id": "test." + name, "name": name, "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./" + mock,
                           "permissions": ["data:write:task", "event:publish:mock.*"]}, f)
        return s

    def test_what_ends_a_process_in_init_does_not_end_the_service(self):
        s = self.begin_with(aborts="mock6.so", exits="mock8.so", faults="mock7.so", good="mock0.so", other="mock1.so")
        s.start("--approve-all")
        states = {p["id"]: (p["state"], p.get("error", {}).get("code")) for p in s.get("/v1/plugins?limit=1000")["items"] if p["id"].startswith("test.")}
        self.assertEqual(states, {"test.aborts": ("failed", "native.crashed"), "test.exits": ("failed", "native.crashed"), "test.faults": ("failed", "native.crashed"),
                                  "test.good": ("active", None), "test.other": ("failed", "native.version")})
        shown = s.cli("plugins", "show", "test.aborts", expect=0).stdout
        self.assertIn("signal 6", shown)
        self.assertIn("mock: nothing works", shown)
        self.assertIn("perigee plugins probe", shown)
        probed = s.cli("plugins", "probe", os.path.join(s.dir, "plugins/other/mock1.so"), expect=1)
        self.assertEqual(json.loads(probed.stdout.splitlines()[-1])["error"]["code"], "native.version")
        checked = s.cli("plugins", "check", os.path.join(s.dir, "plugins/exits"), expect=1)
        self.assertIn("exit status 3", checked.stdout + checked.stderr)

    def test_one_that_crashes_the_service_is_left_out_at_the_next_start(self):
        s = self.begin_with(bad="mock15.so")
        s.start("--approve-all", ready=False)
        self.assertNotEqual(s.process.wait(harness.DEADLINE), 0)
        s.start("--approve-all")
        plugin = s.get("/v1/plugins/test.bad")
        self.assertEqual((plugin["state"], plugin["error"]["code"]), ("failed", "native.crashed"))
        self.assertIn("plugins reload test.bad", plugin["error"]["message"])


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
        s.cli("plugins", "approve", "test.caller", "--host", f"other.example,{self.host}", "--yes", expect=0)
        return s.start()

    def test_grants_loads_calls_and_violations(self):
        s = self.approved()
        run = s.runs_of(s.emit("a.Get", {"url": f"http://{self.host}/x"}))[0]
        self.assertEqual(run["state"], "succeeded", run)
        s.runs_of(s.emit("a.Get", {"url": "http://evil.example/"}))
        self.assertEqual(s.request("POST", "/v1/operators/caller.peek/call", {"params": {}}).json["error"]["code"], "denied")
        entries = self.rows(s, "plugins", "audit", "test.caller")
        by_action = {e["action"]: e.get("detail", {}) for e in entries}
        self.assertEqual(by_action["policy.granted"]["hosts"], ["other.example", self.host])
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
