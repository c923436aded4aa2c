-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local plugin, inner = kit.load("channels/twilio")
local webhooks = inner("webhooks")
local SID = "AC" .. ("0123456789abcdef"):rep(2)

local function context(options)
  options.config = options.config or { accountSid = SID, authToken = "12345", from = "+15005550006", baseUrl = "https://api.twilio.com" }
  return kit.context(options)
end

describe("sending", function()
  local function send(status, json, config)
    local ctx = context({ config = config, http = function() return { status = status, headers = {}, json = json } end })
    return ctx, pcall(plugin.channel.send, ctx, { to = "+14155550101", body = "hi" })
  end

  it("posts the form with Basic auth", function()
    local ctx, ok, result = send(201, { sid = "SM1", status = "queued" })
    assert.is_true(ok)
    assert.same({ ok = true, messageId = "SM1", status = "queued" }, result)
    local request = ctx.kit.requests[1]
    assert.equal("https://api.twilio.com/2010-04-01/Accounts/" .. SID .. "/Messages.json", request.url)
    assert.same({ To = "+14155550101", From = "+15005550006", Body = "hi" }, request.form)
    assert.same({ user = SID, password = "12345" }, request.auth)
  end)

  it("prefers a messaging service and an API key", function()
    local ctx = send(201, {}, { accountSid = SID, authToken = "t", messagingServiceSid = "MG1", apiKeySid = "SK1", apiKeySecret = "s", baseUrl = "http://x/" })
    assert.equal("MG1", ctx.kit.requests[1].form.MessagingServiceSid)
    assert.same({ user = "SK1", password = "s" }, ctx.kit.requests[1].auth)
  end)

  it("sorts refusals", function()
    local _, ok, err = send(400, { code = 21211, message = "bad To" })
    assert.is_false(ok)
    assert.same({ "twilio.21211", false, nil }, { err.code, err.retryable, err.outcome })
    _, _, err = send(429, { code = 20429 })
    assert.same({ true, nil }, { err.retryable, err.outcome })
    _, _, err = send(500, nil)
    assert.equal("unknown", err.outcome)
  end)

  it("needs a sender", function()
    local _, ok, err = send(201, {}, { accountSid = SID, authToken = "t", baseUrl = "http://x" })
    assert.is_false(ok)
    assert.equal("twilio.no_sender", err.code)
  end)
end)

describe("the lookup after a lost answer", function()
  local SENT = "Sat, 10 Jan 2026 12:00:05 +0000"

  local function lookup(messages, data)
    local ctx = context({ data = data, http = function() return { status = 200, headers = {}, json = { messages = messages } } end })
    local message = { to = "+14155550101", body = "hi", since = "2026-01-10T12:00:00.000Z" }
    return plugin.channel.lookup(ctx, message), ctx
  end

  local function sms(fields)
    local all = { sid = "SM1", to = "+14155550101", body = "hi", direction = "outbound-api", status = "sent", date_created = SENT }
    for key, value in pairs(fields or {}) do
      all[key] = value
    end
    return all
  end

  it("finds the message", function()
    local found, ctx = lookup({ sms({ sid = "SM2" }), sms() })
    assert.same({ ok = true, messageId = "SM1", status = "sent" }, found)
    assert.same({ To = "+14155550101", PageSize = "50" }, ctx.kit.requests[1].query)
  end)

  it("takes no other one for it", function()
    assert.is_nil((lookup({})))
    assert.is_nil((lookup({ sms({ body = "other" }) })))
    assert.is_nil((lookup({ sms({ direction = "inbound" }) })))
    assert.is_nil((lookup({ sms({ date_created = "Sat, 10 Jan 2026 11:58:59 +0000" }) })))
    assert.is_nil((lookup({ sms() }, { message = { { id = "m1", providerId = "SM1" } } })))
  end)

  it("fails when Twilio does", function()
    local ctx = context({ http = function() return { status = 503, headers = {}, json = {} } end })
    local ok, err = pcall(plugin.channel.lookup, ctx, { to = "+1", body = "hi", since = "2026-01-10T12:00:00.000Z" })
    assert.same({ false, true }, { ok, err.retryable })
  end)
end)

--- Published vectors of the provider's signature.
describe("the signature", function()
  local function signed(request)
    request.headers = { ["x-twilio-signature"] = request.signature }
    return webhooks.signed(context({}), request)
  end

  local FORM = {
    { name = "CallSid", value = "CA1234567890ABCDE" }, { name = "Caller", value = "+14158675309" }, { name = "Digits", value = "1234" },
    { name = "From", value = "+14158675309" }, { name = "To", value = "+18005551212" },
  }

  it("covers URL and sorted parameters", function()
    local request = { url = "https://mycompany.com/myapp.php?foo=1&bar=2", params_list = FORM, signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=" }
    assert.is_true(signed(request))
    request.signature = "RSOYDt4T1cUTdK1PDd93/VVr8B9="
    assert.is_false(signed(request))
  end)

  it("takes repeated names once for each distinct value", function()
    local params = {
      { name = "Sid", value = "CA123" }, { name = "SidAccount", value = "AC123" }, { name = "Digits", value = "5678" },
      { name = "Digits", value = "1234" }, { name = "Digits", value = "1234" },
    }
    assert.is_true(signed({ url = "https://mycompany.com/myapp.php?foo=1&bar=2", params_list = params, signature = "IK+Dwps556ElfBT0I3Rgjkr1wJU=" }))
  end)

  it("covers a JSON body by its hash in the URL", function()
    local hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
    local request = {
      url = "https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=" .. hash,
      query = { bodySHA256 = hash },
      body = '{"property": "value", "boolean": true}',
      signature = "a9nBmqA0ju/hNViExpshrM61xv4=",
    }
    assert.is_true(signed(request))
    request.body = '{"property": "other", "boolean": true}'
    assert.is_false(signed(request))
  end)

  it("is tried with and without the default port", function()
    assert.same({ "https://x.org:443/a", "https://x.org/a" }, webhooks.url_forms("https://x.org:443/a"))
    assert.same({ "http://x.org/a", "http://x.org:80/a" }, webhooks.url_forms("http://x.org/a"))
    assert.same({ "http://x.org:8420/a" }, webhooks.url_forms("http://x.org:8420/a"))
  end)

  it("is missing: refused", function()
    assert.is_false(webhooks.signed(context({}), { url = "https://x.org/", headers = {}, params_list = {} }))
  end)
end)

describe("webhooks", function()
  local function post(ctx, path, form, forged)
    local params = {}
    for name, value in pairs(form) do
      params[#params + 1] = { name = name, value = value }
    end
    local url = "https://hooks.example.com/hooks/twilio" .. path
    local mac = ctx.crypto.hmac("sha1", forged and "guess" or ctx.config.authToken, webhooks.signed_text(url, params), "base64")
    return plugin.webhooks[path].handle(ctx, { path = path, url = url, headers = { ["x-twilio-signature"] = mac }, params_list = params, form = form })
  end

  local CALL = { CallSid = "CA1", From = "+14155550101", To = "+15005550006", Direction = "inbound", CallStatus = "no-answer", Timestamp = "Sat, 10 Jan 2026 11:00:00 +0000" }

  local function fresh()
    return context({ data = { contact = { { id = "ada", phoneNumbers = { "+14155550101" } } } } })
  end

  it("makes a missed call an entity and an event, once", function()
    local ctx = fresh()
    assert.equal(204, post(ctx, "/call-status", CALL).status)
    assert.equal(204, post(ctx, "/call-status", CALL).status)
    assert.equal(1, #ctx.kit.store.rows.call)
    local call = ctx.kit.store.rows.call[1]
    assert.same({ "ada", true, "2026-01-10T11:00:00.000Z" }, { call.contactId, call.missed, call.startedAt })
    assert.equal(1, #ctx.kit.emitted)
    local event = ctx.kit.emitted[1]
    assert.equal("comms.CallMissed", event.type)
    assert.equal("ada", event.data.fromContactId)
    assert.equal("CA1:no-answer", event.options.id)
  end)

  it("tells an answered call from a missed one", function()
    local ctx = fresh()
    local form = {}
    for key, value in pairs(CALL) do
      form[key] = value
    end
    form.CallStatus = "ringing"
    post(ctx, "/call-status", form)
    assert.same({}, ctx.kit.emitted)
    form.CallStatus, form.CallDuration = "completed", "42"
    post(ctx, "/call-status", form)
    assert.equal("comms.CallEnded", ctx.kit.emitted[1].type)
    assert.same({ false, 42 }, { ctx.kit.store.rows.call[1].missed, ctx.kit.store.rows.call[1].durationSeconds })
  end)

  it("makes an SMS a message and an event", function()
    local ctx = fresh()
    local answer = post(ctx, "/message", { MessageSid = "SM1", From = "+14155550101", To = "+15005550006", Body = "Hallo ☎" })
    assert.same({ 200, "<Response/>" }, { answer.status, answer.body })
    assert.equal("Hallo ☎", ctx.kit.store.rows.message[1].body)
    assert.equal("comms.MessageReceived", ctx.kit.emitted[1].type)
    assert.equal("ada", ctx.kit.emitted[1].data.fromContactId)
  end)

  it("refuses a forged signature and changes nothing", function()
    local ctx = fresh()
    assert.equal(403, post(ctx, "/call-status", CALL, true).status)
    assert.is_nil(ctx.kit.store.rows.call)
    assert.same({}, ctx.kit.emitted)
  end)

  it("asks for what it needs", function()
    assert.equal(400, post(fresh(), "/call-status", { From = "+14155550101" }).status)
    assert.equal(400, post(fresh(), "/message", { Body = "x" }).status)
  end)
end)
