-- SPDX-License-Identifier: Apache-2.0
-- The fake host: everything that a real ctx has, with time that only the spec moves.
local kit = require("testkit")

local function names_of_c()
  local file = assert(io.open("engine/plugin/lua_api.c"))
  local list = file:read("a"):match("peri_lua_api_names%[%] = {(.-)NULL")
  file:close()
  local names = {}
  for name in list:gmatch('"([%w_.]+)"') do
    names[#names + 1] = name
  end
  return names
end

describe("testkit", function()
  it("has each function that a real ctx has", function()
    local ctx = kit.context()
    local names = names_of_c()
    assert.is_true(#names > 40)
    for _, name in ipairs(names) do
      local value = ctx
      for part in name:gmatch("[^.]+") do
        value = type(value) == "table" and value[part] or nil
      end
      assert.is_not_nil(value, "testkit has no ctx." .. name)
    end
  end)

  it("hands events to those that subscribed", function()
    local ctx, heard = kit.context(), {}
    ctx.events.on("comms.*", function(event) heard[#heard + 1] = event.type .. " " .. event.data.n end)
    ctx.events.on("a.**", function(event) heard[#heard + 1] = "deep " .. event.type end)
    assert.are.equal(1, ctx.kit.hear("comms.CallMissed", { n = 1 }))
    assert.are.equal(0, ctx.kit.hear("comms.sms.Received", { n = 2 }))
    assert.are.equal(1, ctx.kit.hear("a.b.c", {}))
    ctx.events.off("comms.*")
    assert.are.equal(0, ctx.kit.hear("comms.CallMissed", { n = 3 }))
    assert.are.same({ "comms.CallMissed 1", "deep a.b.c" }, heard)
  end)

  it("runs schedules when time passes", function()
    local runs = {}
    local plugin = { jobs = { poll = function(ctx, job) runs[#runs + 1] = job.name .. " " .. ctx.time.now():sub(12, 16) end } }
    local ctx = kit.context({ plugin = plugin, now = "2026-01-10T12:00:00Z" })
    ctx.schedule.every("poll", "10m")
    ctx.schedule.after("once", "25m", function(_, job) runs[#runs + 1] = "once " .. job.data end, { data = "x" })
    ctx.kit.advance("31m")
    assert.are.same({ "poll 12:10", "poll 12:20", "once x", "poll 12:30" }, runs)
    assert.are.equal(1, #ctx.schedule.list())
    ctx.schedule.cancel("poll")
    ctx.kit.advance("1h")
    assert.are.equal(4, #runs)
    assert.are.equal("2026-01-10T13:31:00.000Z", ctx.time.now())
    assert.has_error(function() ctx.kit.fire("none") end)
  end)

  it("keeps mappings one to one", function()
    local ctx = kit.context()
    ctx.mappings.set("contact", "ada", "ext-1")
    ctx.mappings.bulk({ { type = "contact", key = "bob", external_id = "ext-2" } })
    assert.are.equal("ext-1", ctx.mappings.external_id("contact", "ada"))
    assert.are.equal("bob", ctx.mappings.key("contact", "ext-2"))
    local ok, why = pcall(ctx.mappings.set, "contact", "bob", "ext-1")
    assert.is_false(ok)
    assert.are.equal("mapping.conflict", why.code)
    ctx.mappings.delete("contact", "ada")
    assert.are.equal(1, #ctx.mappings.list("contact"))
  end)

  it("compares before it sets, and reads the files it was given", function()
    local ctx = kit.context({ files = { ["/srv/a.txt"] = "hello" } })
    assert.is_true(ctx.storage.compare_and_set("k", nil, { n = 1 }))
    assert.is_false(ctx.storage.compare_and_set("k", { n = 2 }, { n = 3 }))
    assert.is_true(ctx.storage.compare_and_set("k", { n = 1 }, { n = 2 }))
    local text, size = ctx.files.read("/srv/a.txt", { offset = 1, limit = 3 })
    assert.are.equal("ell", text)
    assert.are.equal(5, size)
    assert.are.equal("file.missing", select(2, pcall(ctx.files.read, "/srv/b.txt")).code)
  end)

  it("records calls and answers them as the spec says", function()
    local ctx = kit.context({ call = function(id, params) return id .. params.n end })
    assert.are.equal("a.b1", ctx.call("a.b", { n = 1 }))
    assert.are.same({ { operator = "a.b", params = { n = 1 } } }, ctx.kit.calls)
  end)
end)
