-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local folder = io.open("init.lua") and "." or "docs/examples/weather"
local plugin = kit.load(folder)
local config = { baseUrl = "https://weather.example", places = { home = { latitude = 52.5, longitude = 13.4 } }, keepFor = "10m" }

local function answering(temperature, rain)
  return kit.context({
    config = config,
    http = function() return { status = 200, headers = {}, json = { current = { temperature_2m = temperature, precipitation = rain } } } end,
  })
end

local function failing(response)
  local ctx = kit.context({ config = config, http = function() return response end })
  local ok, err = pcall(kit.call, plugin, "weather.current", { place = "home" }, ctx)
  assert.is_false(ok)
  return err
end

describe("weather.current", function()
  it("asks once within ten minutes", function()
    local ctx = answering(7.5, 0.2)
    local expected = { temperature = 7.5, millimeters = 0.2, rain = true }
    assert.same(expected, kit.call(plugin, "weather.current", { place = "home" }, ctx))
    ctx.kit.clock.ms = ctx.kit.clock.ms + 9 * 60000
    assert.same(expected, kit.call(plugin, "weather.current", { place = "home" }, ctx))
    assert.equal(1, #ctx.kit.requests)
    ctx.kit.clock.ms = ctx.kit.clock.ms + 60000
    kit.call(plugin, "weather.current", { place = "home" }, ctx)
    assert.equal(2, #ctx.kit.requests)
    assert.same({ latitude = 52.5, longitude = 13.4, current = "temperature_2m,precipitation" }, ctx.kit.requests[1].query)
  end)

  it("tells a change, not every answer", function()
    local ctx = answering(7.5, 0.2)
    for _ = 1, 3 do
      kit.call(plugin, "weather.current", { place = "home" }, ctx)
      ctx.storage.clear({ namespace = "current" })
    end
    assert.equal(1, #ctx.kit.emitted)
    assert.same({ place = "home", rain = true, temperature = 7.5 }, ctx.kit.emitted[1].data)
  end)

  it("says what kind of failure it was", function()
    local err = failing({ status = 503, headers = { ["retry-after"] = "30" } })
    assert.same({ "weather.down", true, 30 }, { err.code, err.retryable, err.retry_after })
    err = failing({ status = 400, headers = {}, json = { reason = "no such latitude" } })
    assert.same({ "weather.refused", nil }, { err.code, err.retryable })
    assert.matches("no such latitude", err.message)
    assert.equal("weather.bad_answer", failing({ status = 200, headers = {}, json = { current = 7 } }).code)
    assert.equal("weather.bad_answer", failing({ status = 200, headers = {} }).code)
  end)

  it("knows the places of the settings only", function()
    local ok, err = pcall(kit.call, plugin, "weather.current", { place = "moon" }, answering(1, 1))
    assert.same({ false, "weather.no_place" }, { ok, err.code })
  end)
end)

describe("weather.isBelow", function()
  it("compares, and writes nothing", function()
    local ctx = answering(-2, 0)
    local holds, why = kit.call(plugin, "weather.isBelow", { place = "home", celsius = 0 }, ctx)
    assert.same({ true, { actual = -2, wanted = "< 0" } }, { holds, why })
    assert.is_false((kit.call(plugin, "weather.isBelow", { place = "home", celsius = -5 }, ctx)))
    assert.same({}, ctx.storage.list())
  end)
end)

describe("the hooks", function()
  it("refuse a duration that is none, forget what is old", function()
    assert.is_false(pcall(plugin.init, kit.context({ config = { keepFor = "soon" } })))
    local ctx = answering(1, 0)
    plugin.init(ctx)
    plugin.ready(ctx)
    kit.call(plugin, "weather.current", { place = "home" }, ctx)
    plugin.on_enable(ctx)
    assert.same({}, ctx.storage.list(nil, { namespace = "current" }))
    plugin.on_disable(ctx)
    plugin.stop(ctx)
  end)
end)
