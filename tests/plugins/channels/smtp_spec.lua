-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local plugin, inner = kit.load("channels/smtp")
local mime = inner("mime")

local function send(message, config)
  local settings = { host = "mail.example.com", port = 587, security = "starttls", from = "office@example.com" }
  for key, value in pairs(config or {}) do
    settings[key] = value
  end
  local ctx = kit.context({ config = settings })
  local result = plugin.channel.send(ctx, message)
  return ctx.kit.mails[1], result
end

describe("a mail", function()
  it("has the headers that a mail needs, with CRLF", function()
    local mail, result = send({ to = "ada@example.org", subject = "Hello", body = "line one\nline two" })
    assert.same({ "ada@example.org" }, mail.to)
    assert.truthy(mail.message:find("Date: Sat, 10 Jan 2026 12:00:00 +0000\r\n", 1, true))
    assert.truthy(mail.message:find("From: office@example.com\r\n", 1, true))
    assert.truthy(mail.message:find("Subject: Hello\r\n", 1, true))
    assert.truthy(mail.message:find("\r\n\r\nline one\r\nline two\r\n", 1, true))
    assert.truthy(mail.message:find("Message-ID: " .. result.messageId, 1, true))
    assert.is_nil(mail.message:gsub("\r\n", ""):find("[\r\n]"))
  end)

  it("keeps its Message-ID over repeats of one step", function()
    local _, first = send({ to = "a@example.org", subject = "s", body = "b", idempotency_key = "k/1" })
    local _, again = send({ to = "a@example.org", subject = "s", body = "b", idempotency_key = "k/1" })
    local _, other = send({ to = "a@example.org", subject = "s", body = "b", idempotency_key = "k/2" })
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
    local ok, err = pcall(send, { to = "a@example.org>\r\nRCPT TO:<b@example.org", subject = "s", body = "b" })
    assert.is_false(ok)
    assert.equal("smtp.bad_address", err.code)
    ok, err = pcall(send, { subject = "s", body = "b" })
    assert.is_false(ok)
    assert.equal("smtp.no_recipient", err.code)
  end)
end)

describe("encoding", function()
  local base64 = kit.context().crypto.base64

  it("writes RFC 2047 words of at most 75 characters, cut between characters", function()
    assert.equal("=?utf-8?B?Q2Fmw6kg4pyT?=", mime.encode_words("Café ✓", base64))
    for word in mime.encode_words(("ü"):rep(100), base64):gmatch("%S+") do
      assert.is_true(#word <= 75)
      local text = kit.context().crypto.base64.decode(word:match("%?B%?(.*)%?="))
      assert.truthy(utf8.len(text))
    end
  end)

  it("writes quoted-printable lines of at most 76 characters", function()
    local text = mime.quoted_printable(("é = x "):rep(40) .. "\n.\nend ")
    for line in (text .. "\r\n"):gmatch("(.-)\r\n") do
      assert.is_true(#line <= 76)
      assert.is_nil(line:find(" $"))
    end
    assert.truthy(text:find("\r\n=2E\r\n", 1, true))
    assert.truthy(text:find("=C3=A9 =3D x", 1, true))
  end)

  it("writes dates of RFC 5322", function()
    assert.equal("Thu, 01 Jan 1970 00:00:00 +0000", mime.date(0))
    assert.equal("Thu, 29 Feb 2024 23:59:59 +0000", mime.date(1709251199000))
  end)

  it("quotes and encodes a sender's name", function()
    local mail = send({ to = "a@example.org", subject = "s", body = "b" }, { fromName = "Büro, Berlin" })
    assert.truthy(mail.message:find("From: =?utf-8?B?", 1, true))
    mail = send({ to = "a@example.org", subject = "s", body = "b" }, { fromName = 'A "B" C' })
    assert.truthy(mail.message:find('From: "A \\"B\\" C" <office@example.com>', 1, true))
  end)
end)
