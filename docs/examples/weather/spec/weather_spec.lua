-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local function config(more)
  local all = { baseUrl = "https://weather.example", places = { home = { latitude = 52.5, longitude = 13.4 } }, keepFor = "10m" }
  for key, value in pairs(more or {}) do
    all[key] = value
  end
  return all
end

--- Answers by host and path: any other request of the plugin fails, as on a machine without a network.
local function answering(temperature, rain)
  local answer = { json = { current = { temperature_2m = temperature, precipitation = rain } } }
  return kit.host({ config = config(), http = { ["GET weather.example/v1/forecast"] = answer } })
end

local function failing(response)
  local host = kit.host({ config = config(), http = response })
  return kit.fails(host.call, host, "weather.current", { place = "home" })
end

describe("weather.current", function()
  it("asks once within ten minutes", function()
    local host = answering(7.5, 0.2)
    local expected = { temperature = 7.5, millimeters = 0.2, rain = true }
    assert.same(expected, host:call("weather.current", { place = "home" }))
    host:advance("9m")
    assert.same(expected, host:call("weather.current", { place = "home" }))
    assert.equal(1, #host.requests)
    host:advance("1m")
    host:call("weather.current", { place = "home" })
    assert.equal(2, #host.requests)
    assert.same({ latitude = "52.5", longitude = "13.4", current = "temperature_2m,precipitation" }, host.requests[1].query)
  end)

  it("tells a change, not every answer", function()
    local host = answering(7.5, 0.2)
    for _ = 1, 3 do
      host:call("weather.current", { place = "home" })
      host:advance("11m")
    end
    assert.equal(3, #host.requests)
    assert.equal(1, #host.emitted)
    assert.equal("weather.Changed", host.emitted[1].type)
    assert.same({ place = "home", rain = true, temperature = 7.5 }, host.emitted[1].data)
  end)

  it("says what kind of failure it was", function()
    local err = failing({ status = 503, headers = { ["retry-after"] = "30" } })
    assert.same({ "weather.down", true, 30.0 }, { err.code, err.retryable, err.retry_after })
    err = failing({ status = 400, json = { reason = "no such latitude" } })
    assert.same({ "weather.refused", false }, { err.code, err.retryable })
    assert.matches("no such latitude", err.message)
    assert.equal("weather.bad_answer", failing({ json = { current = 7 } }).code)
    assert.equal("weather.bad_answer", failing({ status = 200 }).code)
    assert.equal("http.timeout", failing({ json = {}, delay = "6s" }).code)
  end)

  it("stores nothing when it fails", function()
    local host = kit.host({ config = config(), http = { status = 500 } })
    kit.fails(host.call, host, "weather.current", { place = "home" })
    assert.same({}, host.storage.list(nil, { namespace = "current" }))
    assert.same({}, host.emitted)
  end)

  it("knows the places of the settings only", function()
    local host = answering(1, 1)
    assert.equal("weather.no_place", kit.fails(host.call, host, "weather.current", { place = "moon" }).code)
    assert.equal("params", kit.fails(host.call, host, "weather.current", { place = 7 }).code)
    assert.same({}, host.requests)
  end)
end)

describe("weather.isBelow", function()
  it("compares, and writes nothing", function()
    local host = answering(-2, 0)
    local holds, why = host:call("weather.isBelow", { place = "home", celsius = 0 })
    assert.same({ true, { actual = -2, wanted = "< 0" } }, { holds, why })
    assert.is_false((host:call("weather.isBelow", { place = "home", celsius = -5 })))
    assert.same({}, host.storage.list(nil, { namespace = "current" }))
  end)
end)

describe("the hooks", function()
  it("refuse a duration that is none", function()
    local host = kit.host({ config = config({ keepFor = "soon" }), may_fail = true })
    assert.equal("failed", host.row.state)
    assert.matches("soon", host.row.error.message)
  end)

  it("forget what is old when it is switched on again", function()
    local host = answering(1, 0)
    assert.equal(1, host:logged("knows places").data.count)
    host:call("weather.current", { place = "home" })
    assert.same({ "home" }, host.storage.list(nil, { namespace = "current" }))
    host:disable()
    host:enable()
    assert.same({}, host.storage.list(nil, { namespace = "current" }))
    assert.is_truthy(host:logged("rests"))
  end)
end)
