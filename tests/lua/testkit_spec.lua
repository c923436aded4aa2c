-- SPDX-License-Identifier: Apache-2.0
--- The testkit itself: a spec sees of a plugin what an operator would, at the speed that the spec wants.
local kit = require("testkit")

local MANIFEST = {
  id = "spec.clock", name = "Clock", version = "1.0.0", type = "operator", apiVersion = "1.0", entrypoint = "./init.lua",
  permissions = kit.list(),
}

local function plugin(text, permissions, options)
  local all = { files = { ["init.lua"] = text }, manifest = {}, permissions = permissions }
  for key, value in pairs(MANIFEST) do
    all.manifest[key] = value
  end
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  return kit.host(all)
end

local function action(body)
  return 'return { actions = { ["t.act"] = { execute = function(params, ctx)\n' .. body .. "\nend } } }"
end

describe("a spec", function()
  it("sees limits end what does not end, whatever it catches", function()
    local host = plugin(action("while true do pcall(function() while true do end end) end"))
    assert.equal("limit.instructions", kit.fails(host.call, host, "t.act").code)
    assert.is_true(host.usage.instructions >= 1000000)
    host = plugin(action("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end"))
    assert.equal("limit.memory", kit.fails(host.call, host, "t.act").code)
    host = plugin(action("return 1"), nil, { manifest = nil })
    assert.equal(1, host:call("t.act"))
    assert.is_true(host.usage.instructions < 1000 and host.usage.memory_bytes > 1000)
  end)

  it("sees a plugin rest after three of them, and come back", function()
    local host = plugin(action("if params.loop then while true do end end return 1"))
    for _ = 1, 3 do
      kit.fails(host.call, host, "t.act", { loop = true })
    end
    assert.equal("plugin_suspended", kit.fails(host.call, host, "t.act").code)
    host:advance("31s")
    assert.equal(1, host:call("t.act"))
  end)

  it("sees the globals of the sandbox and no others", function()
    local host = plugin(action('return { io = type(io), os = type(os), debug = type(debug), dofile = type(dofile), dump = type(string.dump), format = type(string.format) }'))
    assert.same({ io = "nil", os = "nil", debug = "nil", dofile = "nil", dump = "nil", format = "function" }, host:call("t.act"))
  end)

  it("sees what the manifest asks for, and nothing without it", function()
    local areas = action("local r = {} for _, a in ipairs({ 'storage', 'http', 'data', 'emit', 'send', 'call', 'events' }) do r[a] = ctx[a] ~= nil end return r")
    assert.same({
      storage = false, http = false, data = false, emit = false, send = false, call = false, events = false,
    }, plugin(areas):call("t.act"))
    assert.same({
      storage = true, http = true, data = false, emit = true, send = false, call = false, events = false,
    }, plugin(areas, { "storage:read", "network:outbound:a.example", "event:publish:a.*" }):call("t.act"))
  end)

  it("gets errors with the place in the plugin", function()
    local host = plugin(action("local t = nil\nreturn t.x"))
    local err = kit.fails(host.call, host, "t.act")
    assert.matches("^init.lua:3: attempt to index a nil value", err.message)
    assert.equal("lua.error", err.code)
    assert.matches("init.lua:3", tostring(err))
  end)

  it("is told why a plugin does not load", function()
    local ok, why = pcall(plugin, "return { actions = { ['t.act'] = { execut = 1 } } }")
    assert.is_false(ok)
    assert.matches("unknown member \"execut\"", why)
    local host = plugin("x = = 1", nil, { may_fail = true })
    assert.equal("failed", host.row.state)
    assert.matches("init.lua:1", host.row.error.message)
  end)

  it("is checked like a rule: parameters, settings", function()
    local host = plugin([[return { actions = { ["t.act"] = { params = { properties = { n = { type = "integer", default = 7 } } },
      execute = function(params) return params.n end } } }]])
    assert.equal(7, host:call("t.act"))
    assert.equal("params", kit.fails(host.call, host, "t.act", { n = "x" }).code)
    assert.equal("unknown_operator", kit.fails(host.call, host, "t.other").code)
  end)
end)

describe("time", function()
  it("stands still until it is moved", function()
    local host = plugin(action("return ctx.time.now()"), nil, { now = "2026-03-01T08:00:00Z" })
    assert.equal("2026-03-01T08:00:00.000Z", host:call("t.act"))
    assert.equal("2026-03-01T08:00:00.000Z", host:call("t.act"))
    host:advance("1h30m")
    assert.equal("2026-03-01T09:30:00.000Z", host:call("t.act"))
    assert.equal(host:now(), host:call("t.act"))
  end)

  it("lets schedules fire at their time, in order", function()
    local host = plugin([[
      local function note(ctx, job)
        ctx.emit("t.Ran", job.name .. " " .. ctx.time.now():sub(12, 16))
      end
      return { jobs = { poll = note }, init = function(ctx)
        ctx.schedule.every("poll", "10m")
        ctx.schedule.after("once", "25m", note)
        ctx.schedule.cron("daily", "45 12 * * *", note)
      end }]], { "scheduler:write", "scheduler:read", "event:publish:t.*" })
    host:advance("31m")
    host:advance("20m")
    local ran = {}
    for i, event in ipairs(host.emitted) do
      ran[i] = event.data
    end
    assert.same({ "poll 12:10", "poll 12:20", "once 12:25", "poll 12:30", "poll 12:40", "daily 12:45", "poll 12:50" }, ran)
  end)

  it("passes while a call waits, up to its deadlines", function()
    local host = plugin(action("return ctx.http.get('https://a.example/', { timeout_ms = params.ms }).status"), { "network:outbound:a.example" }, {
      http = { status = 204, delay = "5s" },
    })
    assert.equal(204, host:call("t.act"))
    assert.equal("2026-01-10T12:00:05.000Z", host:now())
    assert.equal("http.timeout", kit.fails(host.call, host, "t.act", { ms = 2000 }).code)
    assert.equal("2026-01-10T12:00:07.000Z", host:now())
    assert.equal("timeout", kit.fails(host.call, host, "t.act", {}, { timeout_ms = 1000 }).code)
    local pending = host:start("t.act")
    host:advance("4s")
    assert.is_false(pending.done())
    host:advance("1s")
    assert.equal(204, pending.result())
  end)

  it("that a plugin asks for in vain ends with the wall limit", function()
    local host = plugin(action("for _ = 1, 100 do ctx.http.get('https://a.example/') end"), { "network:outbound:a.example" }, {
      http = { status = 204, delay = "9s" },
    })
    assert.equal("limit.time", kit.fails(host.call, host, "t.act").code)
    assert.equal("2026-01-10T12:00:30.000Z", host:now())
  end)

  it("lets what is stored for a while vanish", function()
    local host = plugin(action("if params.set then ctx.storage.set('k', 1, { ttl = '10m' }) end return { ctx.storage.get('k') or 'none' }"), { "storage:read", "storage:write" })
    assert.same({ 1 }, host:call("t.act", { set = true }))
    host:advance("11m")
    assert.same({ "none" }, host:call("t.act"))
  end)
end)

describe("the outside", function()
  local function asking(answer)
    return plugin(action("local r = ctx.http.post(params.url, { json = { a = 1 }, headers = { ['X-A'] = 'b' } }) return { status = r.status, json = r.json, body = r.body }"),
      { "network:outbound:a.example", "network:outbound:b.example" }, { http = answer })
  end

  it("answers by host and path, the most exact first", function()
    local host = asking({
      ["a.example/*"] = { status = 404 },
      ["a.example/v1/*"] = { json = { version = 1 } },
      ["GET a.example/v1/x"] = { status = 500 },
      ["b.example/*"] = function(request) return { body = request.path } end,
    })
    assert.equal(404, host:call("t.act", { url = "https://a.example/" }).status)
    assert.same({ version = 1 }, host:call("t.act", { url = "https://a.example/v1/x" }).json)
    assert.equal("/y", host:call("t.act", { url = "https://b.example/y" }).body)
    assert.same({ "POST", "a.example", "/v1/x", "b", "perigee-plugin/spec.clock" }, {
      host.requests[2].method, host.requests[2].host, host.requests[2].path, host.requests[2].headers["x-a"], host.requests[2].user_agent,
    })
    assert.same({ a = 1 }, host.requests[2].json)
  end)

  it("has failures, and bytes", function()
    local url = { url = "https://a.example/" }
    local host = asking()
    assert.equal("http.unavailable", kit.fails(host.call, host, "t.act", url).code)
    host = asking({ error = { code = "http.connect", message = "refused", outcome = "unknown" } })
    local err = kit.fails(host.call, host, "t.act", url)
    assert.same({ "http.connect", "refused", true, "unknown" }, { err.code, err.message, err.retryable, err.outcome })
    host = plugin(action("return #ctx.http.get('https://a.example/').body"), { "network:outbound:a.example" }, { http = { body = "\255\0\254" } })
    assert.equal(3, host:call("t.act"))
  end)

  it("is not reached where no permission is, and the stub is not asked", function()
    local host = asking({ status = 200 })
    assert.equal("denied", kit.fails(host.call, host, "t.act", { url = "https://c.example/" }).code)
    assert.same({}, host.requests)
  end)

  it("raises a mistake of the stub in the spec", function()
    local host = asking(function() error("the stub is wrong") end)
    local ok, why = pcall(host.call, host, "t.act", { url = "https://a.example/" })
    assert.is_false(ok)
    assert.matches("the stub is wrong", why)
  end)

  it("takes messages: the outbox, or channels of the spec", function()
    local text = action("return ctx.send('sms', { to = params.to, body = 'hi' })")
    local host = plugin(text, { "channels:send:sms" })
    assert.equal("outbox", host:call("t.act", { to = "x" }).channel)
    assert.same({ "sms", "x", "hi" }, { host.sent[1].channel_type, host.sent[1].to, host.sent[1].body })
    host = plugin(text, { "channels:send:sms" }, { send = { sms = function(message) return { messageId = "to-" .. message.to } end } })
    assert.equal("to-x", host:call("t.act", { to = "x" }).messageId)
    assert.equal("x", host.sent[1].to)
  end)

  it("has the operators that the spec says", function()
    local host = plugin(action("return { ctx.call('a.add', { n = 1 }), ctx.call('a.is', { n = 1 }) }"), { "operators:call" }, {
      operators = { ["a.add"] = function(p) return p.n + 1 end }, conditions = { ["a.is"] = function(p) return p.n == 1 end },
    })
    assert.same({ 2, true }, host:call("t.act"))
    assert.same({ { operator = "a.add", params = { n = 1 } } }, host.calls)
  end)
end)

describe("events, data, life", function()
  it("reach those that subscribed", function()
    local host = plugin([[return { init = function(ctx) ctx.events.on("a.*", function(event, ctx)
      ctx.log.info("heard", { n = event.data.n })
      ctx.emit("b.Said", { n = event.data.n + 1 })
    end) end }]], { "event:subscribe:a.*", "event:publish:b.*" })
    host:emit("a.X", { n = 1 })
    host:emit("c.X", { n = 5 })
    assert.same({ 1 }, { #host.emitted })
    assert.same({ "b.Said", 2 }, { host.emitted[1].type, host.emitted[1].data.n })
    assert.equal(1, host:logged("heard").data.n)
  end)

  it("data and storage are the spec's to fill and to look at", function()
    local host = plugin(action("ctx.data.put('task', { id = 't1', done = true }) return ctx.storage.get('k', { namespace = 'n' })"),
      { "data:write:task", "storage:read" }, { data = { task = { { id = "t1", title = "x" } } } })
    host.storage.set("k", { a = 1 }, { namespace = "n" })
    assert.same({ a = 1 }, host:call("t.act"))
    assert.same({ "x", true }, { host.data.get("task", "t1").title, host.data.get("task", "t1").done })
    host.data.delete("task", "t1")
    assert.same({}, host.data.query("task"))
  end)

  it("the hooks run when they do", function()
    local names = { "init", "ready", "on_enable", "on_disable", "stop" }
    local parts = {}
    for i, name in ipairs(names) do
      parts[i] = name .. ' = function(ctx) ctx.log.info("hook ' .. name .. '") end'
    end
    local host = plugin("return { " .. table.concat(parts, ", ") .. " }")
    assert.is_truthy(host:logged("hook ready"))
    host:disable()
    assert.equal("disabled", host:plugin().state)
    host:enable()
    assert.equal("active", host:plugin().state)
    local seen = {}
    for _, line in ipairs(host.logs) do
      seen[#seen + 1] = line.message:match("^hook (.*)")
    end
    assert.same("init ready", table.concat(seen, " "):sub(1, 10))
    assert.is_truthy(host:logged("hook on_enable"))
    assert.is_truthy(host:logged("hook on_disable"))
  end)

  it("webhooks answer as over HTTP", function()
    local host = plugin([[return { webhooks = { ["/in"] = { methods = { "POST" }, handle = function(ctx, request)
      return { status = 201, json = { got = request.json or request.form, q = request.query, ip = request.remote } } end } } }]], { "network:inbound" })
    local answer = host:webhook("/in", { json = { a = 1 }, query = "x=1" })
    assert.same({ 201, { got = { a = 1 }, q = { x = "1" }, ip = "192.0.2.1" } }, { answer.status, answer.json })
    assert.same({ b = "c d" }, host:webhook("/in", { form = { b = "c d" } }).json.got)
    assert.equal(405, host:webhook("/in", { method = "GET" }).status)
    assert.equal(404, host:webhook("/none").status)
  end)

  it("a process of its own shows the same", function()
    local host = plugin(action("if params.loop then while true do end end return type(io)"), nil, { isolation = "process" })
    assert.equal("process", host.row.isolation)
    assert.equal("nil", host:call("t.act"))
    assert.equal("limit.instructions", kit.fails(host.call, host, "t.act", { loop = true }).code)
  end)

  it("secrets go out and nowhere else", function()
    local host = plugin(action("ctx.http.get('https://a.example/', { headers = { Authorization = { ctx.config.key, prefix = 'Bearer ' } } }) return tostring(ctx.config.key)"),
      { "network:outbound:a.example" }, { config = { key = kit.secret("key") }, secrets = { key = "0123456789" }, http = { status = 200 } })
    assert.is_nil(host:call("t.act"):find("0123456789", 1, true))
    assert.equal("Bearer 0123456789", host.requests[1].headers.authorization)
  end)

  it("accounts are those that the spec connects", function()
    local text = action("local a = ctx.account(params.at) local r = ctx.http.get(params.url, { headers = { Authorization = a, ['X-Key'] = a.token } }) return { tostring(a.user), a.state, r.status }")
    local options = { accounts = { gmail = { user = "ada", hosts = { "a.example" } }, key = { prefix = "" } }, http = { status = 200 } }
    local host = plugin(text, { "network:outbound:a.example", "network:outbound:b.example", "accounts:gmail", "accounts:key", "accounts:slack" }, options)
    assert.same({ "ada", "connected", 200 }, host:call("t.act", { at = "gmail", url = "https://a.example/" }))
    assert.equal("Bearer test-token-of-gmail", host.requests[1].headers.authorization)
    assert.equal("test-token-of-gmail", host.requests[1].headers["x-key"])
    host:call("t.act", { at = "key", url = "https://a.example/" })
    assert.equal("test-token-of-key", host.requests[2].headers.authorization)
    local function code(at, url)
      return kit.fails(host.call, host, "t.act", { at = at, url = url or "https://a.example/" }).code
    end
    assert.equal("account_not_connected", code("slack"))
    assert.equal("denied", code("notion"))
    assert.equal("account_host", code("gmail", "https://b.example/"))
    assert.equal("account_host", code("gmail", "http://a.example/"))
    assert.equal(2, #host.requests)
  end)

  it("sees what a connector fetches, by its word and by the clock", function()
    local host = plugin([[return { connector = { sync_every_ms = 600000,
      sync = function(ctx, options) return { options.name or "a" } end,
      map = function(name)
        return { entities = { { type = "thing", id = name } }, events = { { type = "t.Came", data = { name = name } } } }
      end,
      execute = function(ctx, params) return params.what end } } ]], { "data:write:thing", "data:read:thing", "event:publish:t.*" })
    assert.same({ items = 1, entities = 1, events = 1 }, host:call("spec.clock.sync", {}))
    assert.equal("open", host:call("spec.clock.execute", { what = "open" }))
    assert.equal("a", host.emitted[1].data.name)
    host:advance("10m")
    assert.equal("connector.sync", host.emitted[2].data.name)
    assert.equal(2, #host.data.query("thing"))
  end)
end)
