-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local SID = "AC" .. ("0123456789abcdef"):rep(2)
local MG, SK = "MG" .. SID:sub(3), "SK" .. SID:sub(3)

local function host_of(options)
  local config = { accountSid = SID, authToken = "12345", from = "+15005550006", baseUrl = "https://api.twilio.com" }
  for key, value in pairs(options.config or {}) do
    config[key] = value or nil
  end
  options.config = config
  return kit.host(options)
end

describe("sending", function()
  local function send(status, json, config)
    local host = host_of({ config = config, http = { status = status, json = json } })
    return host, pcall(host.send, host, { to = "+14155550101", body = "hi" })
  end

  it("posts the form with Basic auth", function()
    local host, ok, result = send(201, { sid = "SM1", status = "queued" })
    assert.is_true(ok)
    assert.same({ true, "SM1", "queued", "twilio" }, { result.ok, result.messageId, result.status, result.channel })
    local request = host.requests[1]
    assert.equal("https://api.twilio.com/2010-04-01/Accounts/" .. SID .. "/Messages.json", request.url)
    assert.same({ To = "+14155550101", From = "+15005550006", Body = "hi" }, request.form)
    assert.same({ user = SID, password = "12345" }, request.auth)
  end)

  it("prefers a messaging service and an API key", function()
    local host = send(201, {}, { messagingServiceSid = MG, apiKeySid = SK, apiKeySecret = "s", baseUrl = "http://x/" })
    assert.equal(MG, host.requests[1].form.MessagingServiceSid)
    assert.same({ user = SK, password = "s" }, host.requests[1].auth)
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
    local _, ok, err = send(201, {}, { from = false })
    assert.is_false(ok)
    assert.equal("twilio.no_sender", err.code)
  end)
end)

describe("the lookup after a lost answer", function()
  local SENT = "Sat, 10 Jan 2026 12:00:05 +0000"

  --- What the send came to, and the requests: the question alone, or the message after it.
  local function lookup(messages, data)
    local host = host_of({ data = data, http = {
      ["GET api.twilio.com/*"] = { json = { messages = messages } },
      ["POST api.twilio.com/*"] = { status = 201, json = { sid = "NEW", status = "queued" } },
    } })
    return host:send({ to = "+14155550101", body = "hi" }, { lookup = true, first = "2026-01-10T12:00:00.000Z", idempotency_key = "k/1" }), host
  end

  local function sms(fields)
    local all = { sid = "SM1", to = "+14155550101", body = "hi", direction = "outbound-api", status = "sent", date_created = SENT }
    for key, value in pairs(fields or {}) do
      all[key] = value
    end
    return all
  end

  it("finds the message and does not send it again", function()
    local found, host = lookup({ sms({ sid = "SM2" }), sms() })
    assert.same({ "SM1", "sent", true }, { found.messageId, found.status, found.found })
    assert.equal(1, #host.requests)
    assert.same({ To = "+14155550101", PageSize = "50" }, host.requests[1].query)
  end)

  it("takes no other one for it", function()
    local function is_sent(messages, data)
      local result, host = lookup(messages, data)
      assert.same({ "NEW", 2 }, { result.messageId, #host.requests })
    end
    is_sent(kit.list())
    is_sent({ sms({ body = "other" }) })
    is_sent({ sms({ direction = "inbound" }) })
    is_sent({ sms({ date_created = "Sat, 10 Jan 2026 11:58:59 +0000" }) })
    is_sent({ sms() }, { message = { { id = "m1", providerId = "SM1" } } })
  end)

  it("fails when Twilio does, and sends nothing", function()
    local host = host_of({ http = { status = 503, json = {} } })
    local err = kit.fails(host.send, host, { to = "+1", body = "hi" }, { lookup = true, idempotency_key = "k/1" })
    assert.is_true(err.retryable)
    assert.equal("GET", host.requests[#host.requests].method)
  end)
end)

--- Published vectors of the provider's signature.
describe("the signature", function()
  local host
  setup(function()
    host = kit.sandbox({ folder = ".", config = { authToken = "12345" } })
  end)

  local function signed(request)
    request.headers = { ["x-twilio-signature"] = request.signature }
    return host:run('return require("webhooks").signed(ctx, args)', request)
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
    local function forms(url)
      return host:run('return require("webhooks").url_forms(args.url)', { url = url })
    end
    assert.same({ "https://x.org:443/a", "https://x.org/a" }, forms("https://x.org:443/a"))
    assert.same({ "http://x.org/a", "http://x.org:80/a" }, forms("http://x.org/a"))
    assert.same({ "http://x.org:8420/a" }, forms("http://x.org:8420/a"))
  end)

  it("is missing: refused", function()
    assert.is_false(signed({ url = "https://x.org/", params_list = kit.list() }))
  end)
end)

describe("webhooks", function()
  --- Signed as Twilio does: the URL, then the fields by name.
  local function post(host, path, form, forged)
    local names, text = {}, "https://perigee.test/hooks/twilio" .. path
    for name in pairs(form) do
      names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
      text = text .. name .. form[name]
    end
    local mac = kit.hmac("sha1", forged and "guess" or "12345", text, "base64")
    return host:webhook(path, { headers = { ["X-Twilio-Signature"] = mac }, form = form })
  end

  local CALL = { CallSid = "CA1", From = "+14155550101", To = "+15005550006", Direction = "inbound", CallStatus = "no-answer", Timestamp = "Sat, 10 Jan 2026 11:00:00 +0000" }

  local function fresh()
    return host_of({ data = { contact = { { id = "ada", phoneNumbers = { "+14155550101" } } } } })
  end

  it("makes a missed call an entity and an event, once", function()
    local host = fresh()
    assert.equal(204, post(host, "/call-status", CALL).status)
    assert.equal(204, post(host, "/call-status", CALL).status)
    assert.equal(1, #host.data.query("call"))
    local call = host.data.query("call")[1]
    assert.same({ "ada", true, "2026-01-10T11:00:00.000Z" }, { call.contactId, call.missed, call.startedAt })
    assert.equal(1, #host.emitted)
    local event = host.emitted[1]
    assert.equal("comms.CallMissed", event.type)
    assert.equal("ada", event.data.fromContactId)
  end)

  it("tells an answered call from a missed one", function()
    local host = fresh()
    local form = {}
    for key, value in pairs(CALL) do
      form[key] = value
    end
    form.CallStatus = "ringing"
    post(host, "/call-status", form)
    assert.same({}, host.emitted)
    form.CallStatus, form.CallDuration = "completed", "42"
    post(host, "/call-status", form)
    assert.equal("comms.CallEnded", host.emitted[1].type)
    assert.same({ false, 42 }, { host.data.query("call")[1].missed, host.data.query("call")[1].durationSeconds })
  end)

  it("makes an SMS a message and an event", function()
    local host = fresh()
    local answer = post(host, "/message", { MessageSid = "SM1", From = "+14155550101", To = "+15005550006", Body = "Hallo ☎" })
    assert.same({ 200, "<Response/>" }, { answer.status, answer.body })
    assert.equal("Hallo ☎", host.data.query("message")[1].body)
    assert.equal("comms.MessageReceived", host.emitted[1].type)
    assert.equal("ada", host.emitted[1].data.fromContactId)
  end)

  it("refuses a forged signature and changes nothing", function()
    local host = fresh()
    assert.equal(403, post(host, "/call-status", CALL, true).status)
    assert.same({}, host.data.query("call"))
    assert.same({}, host.emitted)
  end)

  it("asks for what it needs", function()
    assert.equal(400, post(fresh(), "/call-status", { From = "+14155550101" }).status)
    assert.equal(400, post(fresh(), "/message", { Body = "x" }).status)
  end)
end)
