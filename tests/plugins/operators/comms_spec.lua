-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local function call_row(id, fields)
  local row = { id = id, contactId = "ada", direction = "inbound", missed = true, startedAt = "2026-01-09T12:00:00.000Z" }
  for key, value in pairs(fields or {}) do
    row[key] = value
  end
  return row
end

local function contacts()
  return {
    { id = "ada", phoneNumbers = { "+14155550101" }, emails = { "ada@example.org" } },
    { id = "bare" },
  }
end

describe("comms.missedCalls", function()
  local function ask(params, calls, event)
    return kit.host({ data = { call = calls } }):call("comms.missedCalls", params, { event = event })
  end

  it("holds from the wanted number on and says what it compared", function()
    local calls = { call_row("1"), call_row("2"), call_row("3") }
    local holds, why = ask({ contactId = "ada", count = 3 }, calls)
    assert.is_true(holds)
    assert.same({ actual = 3, wanted = ">= 3", since = "2025-12-11T12:00:00.000Z" }, why)
    assert.is_false((ask({ contactId = "ada", count = 4 }, calls)))
  end)

  it("counts one by default, of anybody when no contact is named", function()
    assert.is_true((ask({}, { call_row("1", { contactId = "eve" }) })))
    assert.is_false((ask({ contactId = "ada" }, { call_row("1", { contactId = "eve" }) })))
  end)

  it("counts missed calls only, inside the window only", function()
    local calls = { call_row("1", { missed = false }), call_row("2", { startedAt = "2025-12-01T00:00:00.000Z" }) }
    assert.is_false((ask({}, calls)))
    assert.is_true((ask({ window = "60d" }, calls)))
    assert.is_false((ask({ window = "1h" }, { call_row("1") })))
  end)

  it("ends the window at the event, not at the clock", function()
    local event = { type = "a.B", time = "2026-01-08T00:00:00.000Z", data = {} }
    assert.is_false((ask({}, { call_row("1") }, event)))
  end)

  it("refuses a window given twice", function()
    assert.equal("bad_params", kit.fails(ask, { window = "1h", windowDays = 2 }, {}).code)
  end)
end)

describe("comms.callCount", function()
  local function ask(params, calls)
    params.contactId = "ada"
    return kit.host({ data = { call = calls } }):call("comms.callCount", params)
  end

  it("tells directions apart", function()
    local calls = { call_row("1"), call_row("2", { direction = "outbound", missed = false }) }
    assert.is_true((ask({ count = 2 }, calls)))
    assert.is_true((ask({ direction = "outbound" }, calls)))
    assert.is_false((ask({ direction = "outbound", count = 2 }, calls)))
  end)

  it("takes the window as days or as a duration", function()
    local calls = { call_row("1", { startedAt = "2026-01-08T13:00:00.000Z" }) }
    assert.is_true((ask({ windowDays = 2 }, calls)))
    assert.is_false((ask({ windowDays = 1 }, calls)))
    assert.is_true((ask({ window = "48h" }, calls)))
  end)
end)

describe("comms.lastContact", function()
  local data = {
    call = { call_row("1", { startedAt = "2026-01-01T00:00:00.000Z" }) },
    message = { { id = "m", contactId = "ada", channelType = "sms", sentAt = "2026-01-09T00:00:00.000Z" } },
    email = {},
  }

  local function ask(params)
    params.contactId = "ada"
    return kit.host({ data = data }):call("comms.lastContact", params)
  end

  it("takes the newest trace of any kind", function()
    local holds, why = ask({ withinDays = 2 })
    assert.is_true(holds)
    assert.equal("2026-01-09T00:00:00.000Z", why.actual)
  end)

  it("looks at one kind when told so", function()
    assert.is_false((ask({ within = "2d", channelType = "voice" })))
    assert.is_true((ask({ within = "30d", channelType = "voice" })))
    local holds, why = ask({ channelType = "email" })
    assert.is_false(holds)
    assert.equal("never", why.actual)
  end)
end)

describe("comms.hasVoicemail", function()
  local function ask(params, rows)
    return (kit.host({ data = { voicemail = rows } }):call("comms.hasVoicemail", params))
  end

  it("asks for one that nobody has listened to", function()
    assert.is_false(ask({}, {}))
    assert.is_false(ask({}, { { id = "1", listened = true } }))
    assert.is_true(ask({}, { { id = "1", listened = false } }))
    assert.is_false(ask({ contactId = "eve" }, { { id = "1", listened = false, contactId = "ada" } }))
  end)
end)

describe("comms.sendSms", function()
  local function sms(message)
    return { ok = true, messageId = "m-" .. message.to }
  end

  it("sends to the contact's number and keeps the message", function()
    local host = kit.host({ data = { contact = contacts() }, send = { sms = sms } })
    local result = host:call("comms.sendSms", { to = "ada", body = "hi" })
    local sent = host.sent[1]
    assert.same({ "sms", "+14155550101", "hi", "ada" }, { sent.channel_type, sent.to, sent.body, sent.contactId })
    assert.equal("m-+14155550101", result.messageId)
    local kept = host.data.get("message", result.id)
    assert.equal("outbound", kept.direction)
    assert.equal("ada", kept.contactId)
  end)

  it("takes a number as it is and finds its contact", function()
    local host = kit.host({ data = { contact = contacts() } })
    host:call("comms.sendSms", { to = "+14155550101", body = "hi" })
    assert.equal("ada", host.sent[1].contactId)
    host:call("comms.sendSms", { to = "+4930123456", body = "hi" })
    assert.is_nil(host.sent[2].contactId)
  end)

  it("keeps nothing of what the channel refused, and passes its words on", function()
    local host = kit.host({ data = { contact = contacts() }, send = { sms = function()
      error({ code = "sms.refused", message = "no such number", retryable = false })
    end } })
    local err = kit.fails(host.call, host, "comms.sendSms", { to = "ada", body = "hi" })
    assert.same({ "sms.refused", "no such number", false }, { err.code, err.message, err.retryable })
    assert.same({}, host.data.query("message"))
  end)

  it("says when there is nobody or no number", function()
    local host = kit.host({ data = { contact = contacts() } })
    assert.equal("contact_not_found", kit.fails(host.call, host, "comms.sendSms", { to = "nobody", body = "x" }).code)
    assert.equal("no_address", kit.fails(host.call, host, "comms.sendSms", { to = "bare", body = "x" }).code)
    assert.same({}, host.sent)
  end)
end)

describe("comms.sendEmail", function()
  it("sends text, html, copies and a reply", function()
    local host = kit.host({ data = { contact = contacts() } })
    host:call("comms.sendEmail", {
      to = "ada", subject = "s", body = "b", html = "<b>", cc = "ada", bcc = { "x@example.org" }, replyToMessageId = "<1@x>",
    })
    local message = host.sent[1]
    assert.equal("ada@example.org", message.to)
    assert.same({ "ada@example.org" }, message.cc)
    assert.same({ "x@example.org" }, message.bcc)
    assert.equal("<1@x>", message.inReplyTo)
    assert.equal("<b>", message.html)
  end)

  it("refuses what could inject headers", function()
    local host = kit.host()
    local err = kit.fails(host.call, host, "comms.sendEmail", { to = "a@b.org\r\nBcc: x@y.org", subject = "s", body = "b" })
    assert.equal("contact_not_found", err.code)
  end)
end)

describe("comms.createFollowUp", function()
  it("makes one pending task for one run and step", function()
    local host = kit.host()
    local step = { idempotency_key = "run-1/1" }
    local first = host:call("comms.createFollowUp", { contactId = "ada", dueAt = "2d", note = "n" }, step)
    local again = host:call("comms.createFollowUp", { contactId = "ada", dueAt = "2d", note = "n" }, step)
    assert.equal(first.taskId, again.taskId)
    assert.equal(1, #host.data.query("task"))
    local task = host.data.get("task", first.taskId)
    assert.equal("follow_up", task.kind)
    assert.equal("pending", task.status)
    assert.equal("2026-01-12T12:00:00.000Z", task.dueAt)
  end)

  it("takes an instant and normalises it", function()
    local result = kit.host():call("comms.createFollowUp", { contactId = "ada", dueAt = "2026-02-01T10:00:00+02:00" })
    assert.equal("2026-02-01T08:00:00.000Z", result.dueAt)
  end)
end)
