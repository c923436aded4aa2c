-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local function host_of(config)
  local settings = { host = "mail.example.com", port = 587, security = "starttls", from = "office@example.com" }
  for key, value in pairs(config or {}) do
    settings[key] = value
  end
  return kit.host({ config = settings })
end

local function send(message, config, key)
  local host = host_of(config)
  local result = host:send(message, { idempotency_key = key })
  return host.mails[1], result
end

describe("a mail", function()
  it("has the headers that a mail needs, with CRLF", function()
    local mail, result = send({ to = "ada@example.org", subject = "Hello", body = "line one\nline two" })
    assert.same({ "ada@example.org" }, mail.to)
    assert.same({ "mail.example.com", 587, "office@example.com" }, { mail.host, mail.port, mail.from })
    assert.truthy(mail.message:find("Date: Sat, 10 Jan 2026 12:00:00 +0000\r\n", 1, true))
    assert.truthy(mail.message:find("From: office@example.com\r\n", 1, true))
    assert.truthy(mail.message:find("Subject: Hello\r\n", 1, true))
    assert.truthy(mail.message:find("\r\n\r\nline one\r\nline two\r\n", 1, true))
    assert.truthy(mail.message:find("Message-ID: " .. result.messageId, 1, true))
    assert.is_nil(mail.message:gsub("\r\n", ""):find("[\r\n]"))
  end)

  it("keeps its Message-ID over repeats of one step", function()
    local _, first = send({ to = "a@example.org", subject = "s", body = "b" }, nil, "k/1")
    local _, again = send({ to = "a@example.org", subject = "s", body = "b" }, nil, "k/1")
    local _, other = send({ to = "a@example.org", subject = "s", body = "b" }, nil, "k/2")
    assert.equal(first.messageId, again.messageId)
    assert.is_true(first.messageId ~= other.messageId)
  end)

  it("sends copies to everybody once and never shows Bcc", function()
    local mail = send({ to = "a@example.org", cc = { "b@example.org", "a@example.org" }, bcc = "c@example.org", subject = "s", body = "b" })
    assert.same({ "a@example.org", "b@example.org", "c@example.org" }, mail.to)
    assert.is_nil(mail.message:find("c@example.org", 1, true))
    assert.truthy(mail.message:find("Cc: b@example.org, a@example.org", 1, true))
  end)

  it("answers a mail", function()
    local mail = send({ to = "a@example.org", subject = "s", body = "b", inReplyTo = "x@y" })
    assert.truthy(mail.message:find("In-Reply-To: <x@y>\r\nReferences: <x@y>", 1, true))
  end)

  it("has text first and html last when there is both", function()
    local mail = send({ to = "a@example.org", subject = "s", body = "plain", html = "<p>rich</p>" })
    local plain = mail.message:find("Content-Type: text/plain", 1, true)
    local html = mail.message:find("Content-Type: text/html", 1, true)
    assert.truthy(mail.message:find("multipart/alternative", 1, true))
    assert.is_true(plain < html)
  end)

  it("lets nothing into headers and commands", function()
    local mail = send({ to = "a@example.org", subject = "hi\r\nBcc: evil@example.org", body = "b" })
    assert.is_nil(mail.message:find("\nBcc:", 1, true))
    local err = kit.fails(send, { to = "a@example.org>\r\nRCPT TO:<b@example.org", subject = "s", body = "b" })
    assert.equal("smtp.bad_address", err.code)
    assert.equal("smtp.no_recipient", kit.fails(send, { subject = "s", body = "b" }).code)
  end)
end)

describe("a server", function()
  it("that refuses or is not there says so", function()
    local function answered(answer)
      local host = kit.host({
        config = { host = "mail.example.com", from = "office@example.com" }, smtp = function() return answer end,
      })
      return kit.fails(host.send, host, { to = "a@example.org", subject = "s", body = "b" })
    end
    local err = answered({ error = { code = "smtp.refused", message = "550 no such user", retryable = false } })
    assert.same({ "smtp.refused", false }, { err.code, err.retryable })
    assert.is_true(answered({ error = { code = "smtp.connect" } }).retryable)
  end)

  it("gets the password, which the plugin never sees", function()
    local host = kit.host({
      config = { host = "mail.example.com", from = "a@example.com", username = "office", password = kit.secret("mail") },
      secrets = { mail = "0123456789" },
    })
    host:send({ to = "a@example.org", subject = "s", body = "b" })
    assert.same({ "office", "0123456789" }, { host.mails[1].user, host.mails[1].password })
  end)
end)

describe("encoding", function()
  local host
  setup(function() host = kit.sandbox({ folder = "." }) end)

  it("writes RFC 2047 words of at most 75 characters, cut between characters", function()
    local words = 'return require("mime").encode_words(args[1], ctx.crypto.base64)'
    assert.equal("=?utf-8?B?Q2Fmw6kg4pyT?=", host:run(words, { "Café ✓" }))
    for word in host:run(words, { ("ü"):rep(100) }):gmatch("%S+") do
      assert.is_true(#word <= 75)
      assert.truthy(utf8.len(host:run("return ctx.crypto.base64.decode(args[1])", { word:match("%?B%?(.*)%?=") })))
    end
  end)

  it("writes quoted-printable lines of at most 76 characters", function()
    local text = host:run('return require("mime").quoted_printable(args[1])', { ("é = x "):rep(40) .. "\n.\nend " })
    for line in (text .. "\r\n"):gmatch("(.-)\r\n") do
      assert.is_true(#line <= 76)
      assert.is_nil(line:find(" $"))
    end
    assert.truthy(text:find("\r\n=2E\r\n", 1, true))
    assert.truthy(text:find("=C3=A9 =3D x", 1, true))
  end)

  it("writes dates of RFC 5322", function()
    local date = 'return require("mime").date(args[1])'
    assert.equal("Thu, 01 Jan 1970 00:00:00 +0000", host:run(date, { 0 }))
    assert.equal("Thu, 29 Feb 2024 23:59:59 +0000", host:run(date, { 1709251199000 }))
  end)

  it("quotes and encodes a sender's name", function()
    local mail = send({ to = "a@example.org", subject = "s", body = "b" }, { fromName = "Büro, Berlin" })
    assert.truthy(mail.message:find("From: =?utf-8?B?", 1, true))
    mail = send({ to = "a@example.org", subject = "s", body = "b" }, { fromName = 'A "B" C' })
    assert.truthy(mail.message:find('From: "A \\"B\\" C" <office@example.com>', 1, true))
  end)
end)
