-- SPDX-License-Identifier: Apache-2.0
--- contact, location, core, http, notify.
local kit = require("testkit")

describe("contact.HasTag", function()
  local plugin = kit.load("operators/contact")
  local data = { contact = { { id = "ada", tags = { "vip", "friend" } }, { id = "bob" } } }

  local function ask(params, payload)
    return kit.call(plugin, "contact.HasTag", params, kit.context({ data = data, event = payload and { data = payload } }))
  end

  it("asks the contact that is named, else the event's", function()
    assert.is_true((ask({ tag = "vip", contactId = "ada" })))
    assert.is_true((ask({ tag = "vip" }, { fromContactId = "ada" })))
    assert.is_true((ask({ tag = "vip" }, { contactId = "ada", fromContactId = "bob" })))
    assert.is_false((ask({ tag = "VIP" }, { contactId = "ada" })))
  end)

  it("explains a no", function()
    local holds, why = ask({ tag = "vip" }, { contactId = "bob" })
    assert.is_false(holds)
    assert.same({ contactId = "bob", actual = {}, wanted = "vip" }, why)
    why = select(2, ask({ tag = "vip" }, { contactId = "nobody" }))
    assert.equal("no such contact", why.actual)
    why = select(2, ask({ tag = "vip" }, {}))
    assert.equal("the event names no contact", why.actual)
  end)
end)

describe("location operators", function()
  local plugin = kit.load("operators/location")
  local data = {
    place = { { id = "p1", name = "Office North", placeType = "work" } },
    presence = {
      { id = "1", userId = "me", state = "present", placeId = "p1", placeType = "work", since = "2026-01-10T08:00:00.000Z" },
      { id = "2", userId = "you", state = "away" },
    },
  }

  local function ask(id, params)
    return kit.call(plugin, id, params, kit.context({ data = data }))
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
    local ok, err = pcall(ask, "location.IsUserAtPlace", { userId = "me" })
    assert.is_false(ok)
    assert.equal("bad_params", err.code)
  end)

  it("knows venues by name in any letter case and by id", function()
    assert.is_true((ask("location.IsUserAtVenue", { venue = "office north" })))
    assert.is_true((ask("location.IsUserAtVenue", { venue = "p1" })))
    local holds, why = ask("location.IsUserAtVenue", { venue = "Stadium" })
    assert.is_false(holds)
    assert.same({ actual = { "p1" }, wanted = "Stadium" }, why)
  end)
end)

describe("core.log", function()
  it("logs at the level asked for", function()
    local ctx = kit.context()
    kit.call(kit.load("operators/core"), "core.log", { message = "x", level = "warn", data = { a = 1 } }, ctx)
    assert.same({ { level = "warn", message = "x", data = { a = 1 } } }, ctx.kit.logged)
  end)

  it("takes any value as data", function()
    local ctx = kit.context()
    kit.call(kit.load("operators/core"), "core.log", { message = "x", data = 7 }, ctx)
    assert.same({ value = 7 }, ctx.kit.logged[1].data)
  end)
end)

describe("http.request", function()
  local plugin = kit.load("operators/http")

  local function send(status, params, body)
    params.url = "http://api.example.com/x"
    local ctx = kit.context({ http = function() return { status = status, headers = {}, body = "text", json = body } end })
    return pcall(kit.call, plugin, "http.request", params, ctx)
  end

  it("returns status and decoded body", function()
    local ok, result = send(200, {}, { a = 1 })
    assert.is_true(ok)
    assert.same({ status = 200, headers = {}, body = { a = 1 } }, result)
  end)

  it("sorts failures into final, retryable and unknown", function()
    local _, err = send(404, {})
    assert.same({ "http.status_404", false, nil }, { err.code, err.retryable, err.outcome })
    _, err = send(429, { method = "POST" })
    assert.same({ true, nil }, { err.retryable, err.outcome })
    _, err = send(500, { method = "POST" })
    assert.equal("unknown", err.outcome)
    _, err = send(500, { method = "GET" })
    assert.is_nil(err.outcome)
    assert.is_true((send(404, { failOnStatus = false })))
  end)

  it("passes on the step's key, and how long the server asks to wait", function()
    local seen
    local function ctx(key)
      return kit.context({ idempotency_key = key, http = function(request)
        seen = request.headers
        return { status = 429, headers = { ["retry-after"] = "7" }, body = "" }
      end })
    end
    local function refused(params, key)
      params.url = "http://api.example.com/x"
      local _, err = pcall(kit.call, plugin, "http.request", params, ctx(key))
      return err
    end
    assert.equal(7, refused({ method = "POST", headers = { a = "b" } }, "i.7/1").retry_after)
    assert.same({ a = "b", ["Idempotency-Key"] = "i.7/1" }, seen)
    refused({ method = "POST", headers = { ["idempotency-key"] = "mine" } }, "i.7/1")
    assert.same({ ["idempotency-key"] = "mine" }, seen)
    refused({ method = "GET" }, "i.7/1")
    assert.is_nil(seen)
  end)

  it("says where hosts are allowed when none is", function()
    local ctx = kit.context()
    ctx.http = nil
    local _, err = pcall(kit.call, plugin, "http.request", { url = "http://x.org/" }, ctx)
    assert.equal("denied", err.code)
    assert.truthy(err.message:find("plugins.http.config.hosts", 1, true))
  end)
end)

describe("notify.send", function()
  local plugin = kit.load("operators/notify")

  it("uses the configured channel and recipient", function()
    local ctx = kit.context({ config = { channel = "email", to = "ada" }, data = { contact = { { id = "ada", emails = { "ada@example.org" } } } } })
    kit.call(plugin, "notify.send", { message = "m", title = "t" }, ctx)
    assert.equal("email", ctx.kit.sent[1].type)
    assert.equal("ada@example.org", ctx.kit.sent[1].message.to)
    assert.equal("t", ctx.kit.sent[1].message.subject)
  end)

  it("needs nobody on a channel that knows whom it reaches", function()
    local ctx = kit.context({ config = { channel = "notify" } })
    kit.call(plugin, "notify.send", { message = "m" }, ctx)
    assert.is_nil(ctx.kit.sent[1].message.to)
  end)

  it("says when a recipient is missing", function()
    local _, err = pcall(kit.call, plugin, "notify.send", { message = "m" }, kit.context({ config = { channel = "sms" } }))
    assert.equal("no_recipient", err.code)
  end)
end)

describe("time.isDay", function()
  local plugin = kit.load("operators/time")
  local days = {
    holidays = { dates = { "12-25", "easter-2", "easter+1", "2026-05-15" } },
    workdays = { weekdays = { "mon", "tue", "wed", "thu", "fri" }, except = { "holidays", "closed" } },
    closed = { dates = { "12-24..01-01" } },
    ring = { weekdays = { "mon" }, except = { "ring" } },
  }

  local function ask(name, at, config)
    return kit.call(plugin, "time.isDay", { days = name, at = at }, kit.context({ config = config or { days = days } }))
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

  it("refuses what nobody has declared", function()
    local ok, err = pcall(ask, "moondays", "2026-01-09T12:00:00Z")
    assert.is_false(ok)
    assert.equal("unknown_days", err.code)
    ok, err = pcall(ask, "ring", "2026-01-09T12:00:00Z")
    assert.is_false(ok)
    assert.equal("bad_config", err.code)
  end)
end)
