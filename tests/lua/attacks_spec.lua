-- SPDX-License-Identifier: Apache-2.0
--- Attacks that need several calls, several plugins, or time; each in the service's sandbox and in a process of its own. Those
--- of one call are in tests/hostile.
local kit = require("testkit")

local ALL = {
  "storage:read", "storage:write", "event:publish:a.*", "event:subscribe:a.*", "scheduler:read", "scheduler:write", "network:outbound:a.example",
  "operators:call", "data:read:task", "data:write:task",
}

local function package(id, text, permissions)
  return {
    files = { ["init.lua"] = text },
    manifest = { id = id, name = id, version = "1.0.0", type = "operator", apiVersion = "1.0", entrypoint = "./init.lua", permissions = kit.list(permissions) },
  }
end

for _, isolation in ipairs({ "none", "process" }) do
  local function sandbox(options)
    options = options or {}
    options.permissions = options.permissions or ALL
    options.isolation = isolation == "process" and isolation or nil
    return kit.sandbox(options)
  end

  describe("handles (isolation: " .. isolation .. ")", function()
    it("of an action give a condition nothing to write with", function()
      local host = sandbox()
      host:run("kept = ctx")
      for _, code in ipairs({
        "kept.storage.set('k', 1)", "kept.data.put('task', { id = 't' })", "kept.emit('a.X')", "kept.schedule.after('s', 60, print)",
        "coroutine.wrap(function() kept.storage.set('k', 1) end)()", "kept.storage.clear()",
      }) do
        assert.equal("denied", kit.fails(host.ask, host, code).code, code)
      end
      assert.same({ {}, {}, {} }, { host.storage.list(), host.data.query("task"), host.emitted })
    end)

    it("of a call that is over show nothing of a later one", function()
      local host = sandbox()
      local function call(code, n)
        local ctx = { event = { type = "a.X", data = { n = n } }, rule = "r" .. n, run = "run-" .. n }
        return host:call("probe.act", { code = code, args = kit.list() }, ctx).values
      end
      call("kept = ctx", 1)
      local seen = call("return kept.event and kept.event.data.n or 1, kept.rule and kept.rule.id or 'r1', kept.run and kept.run.id or 'run-1'", 2)
      assert.same({ 1, "r1", "run-1" }, seen)
    end)

    it("of a coroutine that waits for another call can not be resumed from outside", function()
      local host = sandbox({ http = { status = 201, delay = "5s" } })
      local pending = host:start("probe.act", {
        code = "co = coroutine.create(function() return ctx.http.get('https://a.example/').status end) return select(2, coroutine.resume(co))", args = kit.list(),
      })
      local ok, status = host:run("return (coroutine.resume(co, 'forged')), coroutine.status(co), pcall(coroutine.close, co)")
      assert.is_false(ok)
      assert.equal("normal", status)
      host:advance("5s")
      assert.equal(201, pending.result().values[1])
    end)

    it("are gone with the state that they were of", function()
      local host = sandbox({ http = { status = 200, delay = "5s" } })
      host:run("kept = ctx")
      local pending = host:start("probe.act", { code = "return ctx.http.get('https://a.example/').status", args = kit.list() })
      assert.equal("limit.instructions", kit.fails(host.run, host, "while true do end").code)
      host:advance("5s")
      local err = kit.fails(pending.result)
      assert.same({ "plugin_reset", true }, { err.code, err.retryable })
      assert.is_nil(host:run("return kept"))
    end)
  end)

  describe("functions of the host as handlers (isolation: " .. isolation .. ")", function()
    it("do no more than the plugin itself could", function()
      local host = sandbox({ http = { status = 200 } })
      host.storage.set("k", 1)
      host:run([[
        ctx.events.on("a.clear", ctx.storage.clear) ctx.events.on("a.http", ctx.http.get) ctx.events.on("a.call", ctx.call)
        ctx.events.on("a.log", ctx.log.info) ctx.events.on("a.json", ctx.json.array) ctx.events.on("a.pcall", pcall) ctx.events.on("a.co", coroutine.wrap(print))
        ctx.schedule.after("one", 60, ctx.storage.list) ctx.schedule.after("two", 60, ctx.http.request) ctx.schedule.after("three", 60, ctx.schedule.cancel)]])
      for _, name in ipairs({ "clear", "http", "call", "log", "json", "pcall", "co" }) do
        host:emit("a." .. name, { n = 1 })
      end
      host:advance("10m")
      assert.equal(7, host:run("return 7"))
      assert.equal(0, #host.requests)
    end)
  end)

  describe("names (isolation: " .. isolation .. ")", function()
    it("of schedules do not reach another plugin's", function()
      local host = sandbox({ also = { package("other.plugin", [[
        return { init = function(ctx) ctx.schedule.every("tick", "1m", function(ctx) ctx.emit("o.Tick") end) end }]], { "scheduler:write", "event:publish:o.*" }) } })
      for _, name in ipairs({ "tick", "../other.plugin/tick", "plugin:other.plugin/tick", "other.plugin/tick" }) do
        pcall(host.run, host, "ctx.schedule.cancel(args[1])", { name })
        pcall(host.run, host, "ctx.schedule.after(args[1], 30, function(ctx) ctx.emit('a.Mine') end)", { name })
      end
      host:advance("130s")
      local seen = { ["o.Tick"] = 0, ["a.Mine"] = 0 }
      for _, event in ipairs(host.emitted) do
        seen[event.type] = seen[event.type] + 1
      end
      assert.equal(2, seen["o.Tick"])
      assert.is_true(seen["a.Mine"] <= 4)
    end)

    it("of mappings and keys do not either", function()
      local host = sandbox({ also = { package("other.plugin", [[
        return { init = function(ctx) ctx.mappings.set("task", "k", "theirs") ctx.storage.set("k", "theirs") end }]], { "storage:read", "storage:write" }) } })
      assert.same({ nil, nil }, { host:run("return ctx.mappings.key('task', 'theirs'), ctx.storage.get('k')") })
      host:run("ctx.mappings.set('task', 'k', 'mine') ctx.mappings.delete('task', 'k') ctx.storage.clear() ctx.storage.clear({ scope = 'user' })")
      assert.equal("theirs", host.storage.get("k", { plugin = "other.plugin" }))
    end)

    it("of operators are the first one's", function()
      local thief = package("thief", "return { actions = { ['probe.act'] = { execute = function() return 'stolen' end } } }", {})
      local host = sandbox({ also = { thief } })
      assert.equal("mine", host:run("return 'mine'"))
      assert.is_true(host:plugin("thief").state ~= "active")
    end)
  end)

  describe("other plugins (isolation: " .. isolation .. ")", function()
    it("get values, never the caller's rights", function()
      local host = sandbox({ permissions = { "operators:call" }, also = { package("other.plugin", [[
        return { actions = { ["o.put"] = { execute = function(p, ctx) ctx.storage.set("k", p.x) return { had = ctx.data ~= nil } end } } }]], { "storage:write", "storage:read" }) } })
      assert.is_false(host:run("return ctx.call('o.put', { x = { 1, { a = 'b' } } }).had"))
      assert.is_nil(host:run("return ctx.storage"))
      assert.same({ 1, { a = "b" } }, host.storage.get("k", { plugin = "other.plugin" }))
    end)

    it("that loop take nothing else down, and the caller hears why", function()
      local host = sandbox({ also = { package("other.plugin", "return { actions = { ['o.loop'] = { execute = function() while true do end end } } }", {}) } })
      local err = kit.fails(host.run, host, "return ctx.call('o.loop')")
      assert.equal("limit.instructions", err.code)
      assert.equal(1, host:run("return 1"))
      assert.same({ false, "limit.instructions" }, { host:run("local ok, e = pcall(ctx.call, 'o.loop') return ok, e.code") })
    end)

    it("that send events to themselves end somewhere", function()
      local host = sandbox()
      host:run("ctx.events.on('a.*', function(event, ctx) ctx.emit('a.Again', event.data) end)")
      host:emit("a.First", { n = 1 })
      assert.is_true(#host.emitted > 0 and #host.emitted < 20)
    end)
  end)

  describe("memory (isolation: " .. isolation .. ")", function()
    it("that is kept from call to call ends with the cap, once", function()
      local host = sandbox()
      local ends
      for _ = 1, 12 do
        local ok, err = pcall(host.run, host, "hoard = hoard or {} for i = 1, 10 do hoard[#hoard + 1] = ('x'):rep(100000) .. #hoard end return #hoard")
        if not ok then
          ends = err.code
          break
        end
      end
      assert.equal("limit.memory", ends)
      assert.is_nil(host:run("return hoard"))
    end)
  end)
end
