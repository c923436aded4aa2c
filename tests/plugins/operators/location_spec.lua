-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

describe("location operators", function()
  local host
  setup(function()
    host = kit.host({ data = {
      place = { { id = "p1", name = "Office North", placeType = "work" } },
      presence = {
        { id = "1", userId = "me", state = "present", placeId = "p1", placeType = "work", since = "2026-01-10T08:00:00.000Z" },
        { id = "2", userId = "you", state = "away" },
      },
    } })
  end)

  local function ask(id, params)
    return host:call(id, params)
  end

  it("knows places by type and by id", function()
    local holds, why = ask("location.IsUserAtPlace", { placeType = "work" })
    assert.is_true(holds)
    assert.equal("2026-01-10T08:00:00.000Z", why.since)
    assert.is_true((ask("location.IsUserAtPlace", { placeId = "p1", userId = "me" })))
    assert.is_false((ask("location.IsUserAtPlace", { placeType = "home" })))
    assert.is_false((ask("location.IsUserAtPlace", { placeType = "work", userId = "you" })))
  end)

  it("needs a place to ask for", function()
    assert.equal("bad_params", kit.fails(ask, "location.IsUserAtPlace", { userId = "me" }).code)
  end)

  it("knows venues by name in any letter case and by id", function()
    assert.is_true((ask("location.IsUserAtVenue", { venue = "office north" })))
    assert.is_true((ask("location.IsUserAtVenue", { venue = "p1" })))
    local holds, why = ask("location.IsUserAtVenue", { venue = "Stadium" })
    assert.is_false(holds)
    assert.same({ actual = { "p1" }, wanted = "Stadium" }, why)
  end)
end)
