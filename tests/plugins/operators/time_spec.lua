-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

describe("time.isDay", function()
  local days = {
    holidays = { dates = { "12-25", "easter-2", "easter+1", "2026-05-15" } },
    workdays = { weekdays = { "mon", "tue", "wed", "thu", "fri" }, except = { "holidays", "closed" } },
    closed = { dates = { "12-24..01-01" } },
    ring = { weekdays = { "mon" }, except = { "ring" } },
  }

  local function ask(name, at, config)
    return kit.host({ config = config or { days = days } }):call("time.isDay", { days = name, at = at })
  end

  it("knows weekdays without any settings", function()
    assert.is_true((ask("workdays", "2026-01-09T12:00:00Z", {})))
    assert.is_false((ask("workdays", "2026-01-10T12:00:00Z", {})))
    assert.is_true((ask("weekend", "2026-01-11T12:00:00Z", {})))
  end)

  it("knows dates, Easter and exceptions", function()
    assert.is_true((ask("holidays", "2026-12-25T12:00:00Z")))
    assert.is_true((ask("holidays", "2031-12-25T12:00:00Z")))
    assert.is_true((ask("holidays", "2026-04-03T12:00:00Z")))
    assert.is_true((ask("holidays", "2026-04-06T12:00:00Z")))
    assert.is_true((ask("holidays", "2024-04-01T12:00:00Z")))
    assert.is_true((ask("holidays", "2038-04-26T12:00:00Z")))
    assert.is_false((ask("holidays", "2027-05-15T12:00:00Z")))
    assert.is_false((ask("workdays", "2026-04-03T12:00:00Z")))
    assert.is_true((ask("workdays", "2026-04-07T12:00:00Z")))
    assert.is_false((ask("workdays", "2026-12-28T12:00:00Z")))
    assert.is_false((ask("workdays", "2027-01-01T12:00:00Z")))
    assert.is_true((ask("workdays", "2027-01-04T12:00:00Z")))
  end)

  it("says what it compared", function()
    local holds, why = ask("workdays", "2026-12-25T12:00:00Z")
    assert.is_false(holds)
    assert.same({ actual = "fri 2026-12-25", zone = "UTC", wanted = "workdays" }, why)
  end)

  it("takes days from midnight to midnight in the zone of the call, of the settings, of perigee.yaml", function()
    local late = "2026-01-09T23:30:00Z" -- a Saturday already in Berlin
    local function holds(settings, zone, own)
      return (kit.host({ config = settings, timezone = zone }):call("time.isDay", { days = "workdays", at = late, timezone = own }))
    end
    assert.is_true(holds({}, nil))
    assert.is_false(holds({}, "Europe/Berlin"))
    assert.is_true(holds({ timezone = "America/New_York" }, "Europe/Berlin"))
    assert.is_false(holds({ timezone = "America/New_York" }, "Europe/Berlin", "Asia/Kolkata"))
  end)

  it("refuses what nobody has declared", function()
    assert.equal("unknown_days", kit.fails(ask, "moondays", "2026-01-09T12:00:00Z").code)
    assert.equal("bad_config", kit.fails(ask, "ring", "2026-01-09T12:00:00Z").code)
  end)
end)
