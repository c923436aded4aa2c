# SPDX-License-Identifier: Apache-2.0
"""A service with two accounts to connect: "fake", at a provider of its own, and "weather", which takes a key; and plugins that use them."""
import http.server
import json
import os
import threading

import harness
from oauth_provider import CLIENT_SECRET, Browser, Provider


class Accounts(harness.Case):
    def connectable(self, start=True, **kw):
        self.fake = Provider(**kw)
        self.addCleanup(self.fake.close)
        p = self.service(start=False)
        p.write_config("accounts:\n" + self.fake.config() + "  weather: {kind: key, hosts: [api.example.com]}\n", [p.rules])
        p.cli("secrets", "set", "fake_client", stdin=CLIENT_SECRET, expect=0)
        if start:
            p.start()
        return p

    def begin(self, p, name="fake"):
        return json.loads(p.cli("accounts", "connect", name, "--json", expect=0).stdout)["url"]

    def connect(self, p, name="fake"):
        answer, _ = Browser().follow(self.begin(p, name))
        self.assertEqual(answer[0], 200, answer)

    def facts(self, p, name="fake"):
        return p.get(f"/v1/accounts/{name}")

    def stored(self, p, name="fake"):
        path = os.path.join(p.state, "accounts", name)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(path)).st_mode & 0o777, 0o700)
        with open(path) as f:
            return json.load(f)


PLUGIN = """
local function get(ctx, url, headers, more)
  local request = { url = url, headers = headers }
  for k, v in pairs(more or {}) do request[k] = v end
  local answer = ctx.http.request(request)
  return { status = answer.status, body = answer.body, location = answer.headers.location }
end

local kept

return { actions = {
  ["acc.facts"] = { execute = function(_, ctx)
    local a = ctx.account("fake")
    return { provider = a.provider, user = a.user, scopes = a.scopes, state = a.state, kind = a.kind, expires = type(a.expires_at), prefix = a.prefix,
      hosts = a.hosts, token = tostring(a.token), kind_of = type(a.token) }
  end },
  ["acc.get"] = { execute = function(p, ctx)
    local account = ctx.account(p.account or "fake")
    return get(ctx, p.url, { Authorization = account }, { method = p.method, body = p.body })
  end },
  ["acc.named"] = { execute = function(p, ctx)
    local account = ctx.account(p.account)
    return get(ctx, p.url, { Authorization = { account.token, prefix = "Bearer " }, ["X-Key"] = account.token })
  end },
  ["acc.keep"] = { execute = function(p, ctx) kept = ctx.account("fake") return true end },
  ["acc.kept"] = { execute = function(p, ctx) return get(ctx, p.url, { Authorization = kept }) end },
  ["acc.basic"] = { execute = function(p, ctx) return get(ctx, p.url, nil, { auth = { user = "u", password = ctx.account("weather") } }) end },
  ["acc.ca"] = { execute = function(p, ctx) return get(ctx, p.url, { Authorization = ctx.account("fake") }, { tls = { ca = "x" } }) end },
  ["acc.cert"] = { execute = function(p, ctx) return get(ctx, p.url, nil, { tls = { cert = ctx.account("fake").token } }) end },
  ["acc.hmac"] = { execute = function(p, ctx) return ctx.crypto.hmac("sha256", ctx.account("fake").token, "x") end },
  ["acc.equals"] = { execute = function(p, ctx) return ctx.crypto.equals(ctx.account("fake").token, "x") end },
  ["acc.text"] = { execute = function(p, ctx) return "x" .. ctx.account("fake").token end },
  ["acc.leak"] = { execute = function(p, ctx)
    local account = ctx.account("fake")
    local told = get(ctx, p.url, { Authorization = account })
    ctx.log.warn("all that I know " .. told.body, { told = told, account = account })
    ctx.emit("acc.Told", told)
    ctx.storage.set("told", { told = told, account = account })
    if p.fail then error({ code = "leaked", message = told.body }) end
    return { told = told, account = account }
  end },
  ["acc.stored"] = { execute = function(p, ctx) return get(ctx, p.url, { Authorization = ctx.storage.get("told").account }) end },
  ["acc.lend"] = { execute = function(p, ctx) return ctx.call("other.use", { token = ctx.account("fake").token, url = p.url }) end },
} }
"""

OTHER = """
return { actions = {
  ["other.use"] = { execute = function(p, ctx)
    return ctx.http.request({ url = p.url, headers = { Authorization = { p.token, prefix = "Bearer " } } }).status
  end },
  ["other.has"] = { execute = function(_, ctx) return { account = ctx.account ~= nil } end },
} }
"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Users(Accounts):
    isolation = None

    def elsewhere(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
        server.seen = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def add_plugin(self, p, name, lua, permissions):
        folder = os.path.join(p.dir, "plugins", name)
        os.makedirs(folder)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write(lua)
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": f"test.{name}", "name": name, "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                       "permissions": ["network:outbound:{config.hosts}", *permissions],
                       "configSchema": {"type": "object", "properties": {"hosts": {"type": "array", "items": {"type": "string"}}}}}, f)
        isolation = ["--isolation", self.isolation] if self.isolation else []
        p.cli("plugins", "approve", f"test.{name}", *isolation, "--yes", expect=0)

    def usable(self, start=True, env=None, **kw):
        p = self.connectable(start=False, **kw)
        self.there = self.elsewhere()
        hosts = f'{{config: {{hosts: ["{self.fake.host}", "127.0.0.1:{self.there.server_port}"]}}}}'
        p.write_config(f"plugin_path: ['{p.dir}/plugins']\nplugins: {{test.acc: {hosts}, test.other: {hosts}}}\nlog: {{level: debug}}\naccounts:\n" + self.fake.config() +
                       f"  weather: {{kind: key, hosts: [\"{self.fake.host}\"]}}\n", [p.rules])
        self.add_plugin(p, "acc", PLUGIN, ["accounts:fake", "accounts:weather", "accounts:nobody", "event:publish:acc.*", "storage:read", "storage:write", "operators:call"])
        self.add_plugin(p, "other", OTHER, [])
        p.env.update(env or {})
        return p.start() if start else p

    def call(self, p, operator, **params):
        answer = p.request("POST", f"/v1/operators/{operator}/call", {"params": params})
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def good(self, p, operator="acc.get", **params):
        answer = self.call(p, operator, **{"url": self.fake.url + "/api", **params})
        self.assertTrue(answer["ok"], answer)
        return answer["result"]

    def bad(self, p, code, operator="acc.get", **params):
        answer = self.call(p, operator, **{"url": self.fake.url + "/api", **params})
        self.assertFalse(answer["ok"], answer)
        self.assertEqual(answer["error"]["code"], code, answer)
        return answer["error"]
