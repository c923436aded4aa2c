#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets with values that stand out go every way there is; afterwards nothing but their store holds them."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import sqlite3
import threading

import harness
import lsp_wire

MARK = "CaNaRy"
NAMES = ("header", "basic", "hmac", "device", "twilio", "smtp", "rule")
SECRETS = {name: f"{MARK}-{name}-5b1e9d07c2" for name in NAMES}
FORMS = [MARK, base64.b64encode(f"user:{SECRETS['basic']}".encode()).decode()]


class Echo(http.server.BaseHTTPRequestHandler):
    """Repeats what it was sent, in its answer's body, headers and reason; /bad fails with it."""

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        told = json.dumps({"headers": dict(self.headers), "body": self.rfile.read(length).decode(errors="replace"), "path": self.path}).encode()
        self.server.seen.append(told.decode())
        self.send_response(500 if self.path.startswith("/bad") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Echo", self.headers.get("Authorization") or self.headers.get("X-Key") or "-")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_POST = do_GET

    def log_message(self, *args):
        pass


PLUGIN = """
local function all(ctx, params)
  local url = ctx.config.url
  local echo = ctx.http.request({ method = "POST", url = url .. "/echo", headers = { ["X-Key"] = ctx.config.header,
    Authorization = { ctx.config.header, prefix = "Bearer " } }, body = "x" })
  local basic = ctx.http.request({ method = "GET", url = url .. "/echo", auth = { user = "user", password = ctx.config.basic } })
  return { echo = echo.body, headers = echo.headers, basic = basic.body, key = tostring(ctx.config.header), given = tostring(params and params.key),
    mac = ctx.crypto.hmac("sha256", ctx.config.hmac, "text") }
end

local function leak(ctx, params)
  local told = all(ctx, params)
  ctx.log.warn("all that I know", told)
  ctx.log.error(told.echo)
  ctx.log.info(tostring(ctx.config.header), { config = tostring(ctx.config.basic) })
  ctx.emit("leak.Told", told)
  ctx.data.put("leak", { id = "x", told = told })
  ctx.storage.set("told", told)
  return told
end

return {
  conditions = { ["leak.holds"] = { params = { type = "object" }, evaluate = function(params, ctx) return params.yes == true, all(ctx, params) end } },
  actions = {
    ["leak.tell"] = { params = { type = "object" }, execute = function(params, ctx) return leak(ctx, params) end },
    ["leak.send"] = { params = { type = "object" }, execute = function(params, ctx)
      return ctx.send("notify", { to = "x", body = all(ctx).echo .. all(ctx).basic }) end },
    ["leak.fail"] = { params = { type = "object" }, execute = function(params, ctx)
      local told = leak(ctx, params)
      error({ code = "leaked", message = told.echo .. told.basic, retryable = params.again == true }) end },
    ["leak.crash"] = { params = { type = "object" }, execute = function(params, ctx) return ctx.config.header .. "x" end },
    ["leak.loop"] = { params = { type = "object" }, execute = function(params, ctx) local told = all(ctx); while true do told = told end end },
    ["leak.index"] = { params = { type = "object" }, execute = function(params, ctx) local t = all(ctx).echo; return t[t].x end },
  },
  webhooks = { ["/in"] = { methods = { "POST" }, handle = function(ctx, request)
    local good = ctx.crypto.equals(ctx.config.device, request.headers["x-token"] or "")
    ctx.log.warn("a request", { headers = request.headers, body = request.body })
    ctx.emit("leak.Request", { headers = request.headers, body = request.body, good = good })
    ctx.data.put("leak", { id = "request", headers = request.headers })
    if request.body == "fail" then error("failed with " .. request.headers["x-token"]) end
    return { status = good and 200 or 403, json = { headers = request.headers } }
  end } },
}
"""

RULE = """rules:
  - name: Tell
    trigger: {event: go.Tell}
    conditions: [{operator: leak.holds, params: {yes: true, key: !secret rule}}]
    actions:
      - {operator: leak.tell, id: told, params: {key: !secret rule}}
      - {set: {told: "{{ steps.told }}", key: !secret rule}}
      - {emit: {event: go.Told, data: {told: "{{ steps.told }}", key: !secret rule}}, continue_on_error: true}
      - {operator: leak.send, params: {}}
      - {operator: notify.send, params: {message: "{{ steps.told.echo }} {{ vars.key }}"}, continue_on_error: true}
      - operator: http.request
        params: {url: "%(url)s/echo", headers: {X-Key: !secret rule}}
      - lua: |
          return { vars = vars, told = steps.told, key = tostring(vars.key) }
        continue_on_error: true
  - {name: Refuse, trigger: {event: go.Tell}, conditions: [{operator: leak.holds, params: {yes: false, key: !secret rule}}], actions: [{stop: true}]}
  - {name: Fail, trigger: {event: go.Tell}, actions: [{operator: leak.fail, params: {key: !secret rule}}]}
  - {name: Again, trigger: {event: go.Tell}, actions: [{operator: leak.fail, params: {again: true}, retry: {maximum_attempts: 3, initial_interval: 10ms}}]}
  - {name: Crash, trigger: {event: go.Tell}, actions: [{operator: leak.crash, params: {}}]}
  - {name: Loop, trigger: {event: go.Loop}, actions: [{operator: leak.loop, params: {}}]}
  - {name: Index, trigger: {event: go.Tell}, actions: [{operator: leak.index, params: {}}]}
  - name: Http
    trigger: {event: go.Tell}
    actions:
      - {operator: http.request, params: {url: "%(url)s/bad", method: POST, headers: {Authorization: !secret rule}}, retry: {maximum_attempts: 2, initial_interval: 10ms}}
  - {name: Wrong, trigger: {event: go.Tell}, actions: [{operator: notify.send, params: {message: !secret rule}}]}
  - {name: Sms, trigger: {event: go.Tell}, actions: [{operator: comms.sendSms, params: {to: "+14155550101", body: hello}, retry: {maximum_attempts: 2, initial_interval: 10ms}}]}
  - {name: Mail, trigger: {event: go.Tell}, actions: [{operator: comms.sendEmail, params: {to: a@example.org, subject: s, body: b}, retry: {maximum_attempts: 1}}]}
"""

# The same by a plugin in a process of its own; and somebody is asked, with a link.
WALLED = """rules:
  - name: Walled
    trigger: {event: go.Tell}
    conditions: [{operator: walled.holds, params: {yes: true, key: !secret rule}}]
    actions:
      - {operator: walled.tell, id: told, params: {key: !secret rule}}
      - {operator: walled.send, params: {}}
  - {name: Walled Fail, trigger: {event: go.Tell}, actions: [{operator: walled.fail, params: {key: !secret rule}}]}
  - {name: Walled Again, trigger: {event: go.Tell}, actions: [{operator: walled.fail, params: {again: true}, retry: {maximum_attempts: 2, initial_interval: 10ms}}]}
  - {name: Walled Crash, trigger: {event: go.Tell}, actions: [{operator: walled.crash, params: {}}]}
  - {name: Walled Index, trigger: {event: go.Tell}, actions: [{operator: walled.index, params: {}}]}
  - name: Ask
    trigger: {event: go.Ask}
    actions:
      - {operator: leak.tell, id: told, params: {key: !secret rule}}
      - {operator: core.log, params: {message: "{{ run.approve.ask }}"}}
      - {approve: {prompt: "May {{ steps.told.echo }} in?"}, id: ask}
"""

CONFIG = """plugin_path: [%(folder)s]
log: {level: debug}
plugins:
  leak: {config: {url: "%(url)s", header: !secret header, basic: !secret basic, hmac: !secret hmac, device: !secret device}}
  walled: {config: {url: "%(url)s", header: !secret header, basic: !secret basic, hmac: !secret hmac, device: !secret device}}
  http: {config: {hosts: ["127.0.0.1:%(port)d"]}}
  twilio: {config: {accountSid: AC00000000000000000000000000000000, authToken: !secret twilio, from: "+14155550100", baseUrl: "%(url)s"}}
  smtp: {config: {host: 127.0.0.1, port: 1, from: a@example.org, username: user, password: !secret smtp, security: plain}}
"""


class Canaries(harness.Case):
    def setUp(self):
        self.echo = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        self.echo.seen = []
        threading.Thread(target=self.echo.serve_forever, daemon=True).start()
        self.addCleanup(self.echo.server_close)
        self.addCleanup(self.echo.shutdown)
        url = f"http://127.0.0.1:{self.echo.server_port}"
        p = self.p = self.service(start=False)
        folder = os.path.join(p.dir, "plugins")
        self.plugin(folder, "leak")
        self.plugin(folder, "walled")
        p.write_config(CONFIG % {"folder": folder, "url": url, "port": self.echo.server_port}, [p.rules])
        p.write_rule("go.yaml", RULE % {"url": url})
        p.write_rule("walled.yaml", WALLED)
        for name, value in SECRETS.items():
            p.cli("secrets", "set", name, stdin=value, expect=0)
        p.cli("plugins", "approve", "walled", "--isolation", "process", "--yes", expect=0)
        p.start("--approve-all")
        self.assertEqual(p.get("/v1/plugins/walled")["isolation"], "process")

    def plugin(self, folder, name):
        folder = os.path.join(folder, name)
        os.makedirs(folder)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write(PLUGIN.replace("leak", name))
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": name, "name": name.capitalize(), "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                       "permissions": ["network:outbound:{config.url}", "network:inbound", "storage:read", "storage:write", f"event:publish:{name}.*",
                                       f"data:read:{name}", f"data:write:{name}", "channels:send:notify"],
                       "configSchema": {"type": "object", "properties": {k: {"type": "string"} for k in ("url", "header", "basic", "hmac", "device")}}}, f)

    def runs_of(self, kind):
        p = self.p
        event = p.emit(kind, {"who": "ada"})
        p.matched(event)
        rest = ("succeeded", "failed", "unknown")
        listed = f"/v1/runs?limit=100&event={event}"
        harness.wait_for(lambda: all(r["state"] in rest for r in p.get(listed)["items"]), "the runs to end")
        return event, [p.get("/v1/runs/" + r["id"]) for r in p.get(listed)["items"]]

    def go(self):
        p = self.p
        event, runs = self.runs_of("go.Tell")
        # A plugin that went over its limit is reset, which ends whatever else it has under way: it does so when nothing else is.
        runs += self.runs_of("go.Loop")[1]
        token = {"X-Token": SECRETS["device"], "Authorization": "Bearer " + SECRETS["header"]}
        self.assertEqual([p.request("POST", "/hooks/leak/in", body, token).status for body in ("hello " + SECRETS["hmac"], "fail")], [200, 500])
        p.request("POST", "/v1/operators/leak.tell/call", {"params": {}})
        p.request("POST", "/v1/operators/leak.holds/call", {"params": {"yes": False}})
        p.request("POST", "/v1/operators/http.request/call", {"params": {"url": "http://127.0.0.1:1/", "headers": {"X": {"$secret": "rule"}}}})
        form = "Body=hi&From=%2B14155550101&MessageSid=SM1&To=%2B14155550100"
        text = f"http://127.0.0.1:{p.port}/hooks/twilio/message" + "".join(sorted(x.replace("=", "").replace("%2B", "+") for x in form.split("&")))
        mac = base64.b64encode(hmac.new(SECRETS["twilio"].encode(), text.encode(), hashlib.sha1).digest()).decode()
        p.request("POST", "/hooks/twilio/message", form, {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": mac})
        p.request("POST", "/hooks/twilio/message", form, {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": SECRETS["twilio"]})
        asked, _ = self.ask()
        return event, runs + asked

    def ask(self):
        """The run that asks, and the page of its link."""
        p = self.p
        event = p.emit("go.Ask")
        run, = harness.wait_for(lambda: [r for r in p.get(f"/v1/runs?event={event}")["items"] if r["state"] == "waiting"], "somebody to be asked")
        run = p.get("/v1/runs/" + run["id"])
        link = next(s for s in run["steps"] if s["operator"] == "core.log")["params"]["message"]
        page = p.request("GET", "/approve/" + link.rsplit("/", 1)[1])
        self.assertEqual(page.status, 200)
        self.page = page.body.decode()
        self.assertIn("[secret header]", self.page)
        return [run], self.page

    def editor(self):
        """What the language server says about the files that name secrets."""
        p = self.p
        wire = lsp_wire.Wire([harness.BIN, "lsp", "--stdio", "--config", p.config_file], env=p.env, cwd=p.dir)
        said = [wire.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})]
        wire.tell("initialized", {})
        for path in (os.path.join(p.rules, "go.yaml"), p.config_file):
            with open(path) as f:
                text = f.read()
            said.append(wire.open("file://" + path, text))
            for number, line in enumerate(text.split("\n")):
                if "!secret" in line:
                    at = {"textDocument": {"uri": "file://" + path}, "position": {"line": number, "character": line.index("!secret") + 9}}
                    said += [wire.ask("textDocument/" + what, at) for what in ("hover", "completion")]
        wire.ask("shutdown", None)
        wire.tell("exit", None)
        wire.end()
        return json.dumps(said)

    def everything(self, event, runs):
        """(where, text) of all that anybody can read."""
        p = self.p
        paths = ["/v1/" + x for x in ("rules", "events?limit=1000", "runs?limit=1000", "plugins", "operators", "outbox?limit=1000", "mappings", "errors", "tasks",
                                      "dead", "status", "audit", "data/leak", "data/walled", "approvals", "top", "accounts")] + ["/metrics", f"/v1/events/{event}", f"/v1/events/{event}/verdicts"]
        paths += [f"/v1/runs/{r['id']}" for r in runs] + [f"/v1/plugins/{x}" for x in ("leak", "walled", "http", "twilio", "smtp")]
        for path in paths:
            yield path, p.request("GET", path).body.decode(errors="replace")
        for words in (("events", "show", event), ("runs", "list"), ("rules", "list"), ("plugins", "list"), ("plugins", "show", "leak"), ("outbox", "list"), ("doctor",),
                      ("secrets", "list"), ("errors", "list"), ("data", "query", "leak"), ("why", "tell"), ("why", "refuse"), ("why", "refuse", "--event", event, "--again"),
                      ("diff", p.rules), ("check",), *(("runs", "show", r["id"]) for r in runs)):
            for option in ((), ("--json",)):
                done = p.cli(*words, *option)
                yield " ".join(words), done.stdout + done.stderr
        for words in (("check", "--sarif"), ("top", "--once"), ("rules", "graph"), ("runs", "approve"), ("accounts", "list"), ("tasks", "list"), ("dead", "list")):
            done = p.cli(*words)
            yield " ".join(words), done.stdout + done.stderr
        yield "the page behind a link", self.page
        yield "the language server", self.editor()
        p.cli("backup", os.path.join(p.dir, "copy.db"), expect=0)

    def files(self):
        for folder, _, names in os.walk(self.p.dir):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.basename(folder) != "secrets" and os.path.exists(path) and not os.path.islink(path) and os.path.isfile(path):
                    with open(path, "rb") as f:
                        yield path, f.read().decode(errors="replace")

    def test_nothing_but_the_secret_store_holds_a_secret(self):
        event, runs = self.go()
        self.assertTrue(all(any(value in told for told in self.echo.seen) for name, value in SECRETS.items() if name in ("header", "rule")),
                        "they do leave, to where they are meant to go")
        self.assertTrue(any(FORMS[1] in told for told in self.echo.seen))
        states = {r["rule"]: r["state"] for r in runs}
        self.assertEqual((states["tell"], states["walled"]), ("succeeded", "succeeded"), runs)
        for rule in ("walled-fail", "walled-again", "walled-crash", "walled-index"):
            self.assertEqual(states[rule], "failed", rule)
        for rule in ("fail", "again", "crash", "loop", "index", "http"):
            self.assertIn(states[rule], ("failed", "unknown"), rule)
        told = next(s for r in runs if r["rule"] == "tell" for s in r["steps"] if s.get("id") == "told")["result"]
        self.assertIn('[secret header]', told["echo"])
        self.assertIn('[secret basic]', told["basic"])
        self.assertEqual(told["mac"], hmac.new(SECRETS["hmac"].encode(), b"text", hashlib.sha256).hexdigest(), "they work")
        found = [(where, self.around(text)) for where, text in self.everything(event, runs) if any(form in text for form in FORMS)]
        self.p.stop()
        found += [(where, self.around(text)) for where, text in self.files() if any(form in text for form in FORMS)]
        self.assertEqual(found, [])
        self.assertIn("[secret header]", self.p.log_text())
        with sqlite3.connect(os.path.join(self.p.dir, "copy.db")) as db:
            self.assertGreater(db.execute("SELECT count(*) FROM steps").fetchone()[0], 10)

    def around(self, text):
        at = min(text.find(form) for form in FORMS if form in text)
        return text[max(0, at - 120):at + 60]

    def test_no_core_file_is_written(self):
        with open(f"/proc/{self.p.process.pid}/limits") as f:
            limit, = [line.split() for line in f if line.startswith("Max core file size")]
        self.assertEqual(limit[4:6], ["0", "0"])


if __name__ == "__main__":
    harness.main()
