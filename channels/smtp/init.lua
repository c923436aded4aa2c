-- SPDX-License-Identifier: Apache-2.0
local mime = require("mime")

--- Everybody who gets the mail: the envelope.
local function recipients(message)
  local list, seen = {}, {}
  local function add(value)
    if type(value) == "string" then
      value = { value }
    end
    for _, address in ipairs(value or {}) do
      if not seen[address] then
        seen[address] = true
        list[#list + 1] = address
      end
    end
  end
  add(message.to)
  add(message.cc)
  add(message.bcc)
  return list
end

--- The same attempt has the same Message-ID, so that a mail that arrives twice can be told to be one.
local function message_id(ctx, message)
  local key = message.idempotency_key or ctx.idempotency_key
  local unique = key and ctx.crypto.sha256(key, "hex"):sub(1, 32) or ctx.crypto.uuid()
  return "<" .. unique .. "@" .. ctx.config.from:match("@(.+)$") .. ">"
end

local function send(ctx, message)
  local config = ctx.config
  local to = recipients(message)
  for _, address in ipairs(to) do
    if not mime.address_ok(address) then
      error({ code = "smtp.bad_address", message = "\"" .. tostring(address) .. "\" is no e-mail address" })
    end
  end
  if #to == 0 then
    error({ code = "smtp.no_recipient", message = "the message names nobody" })
  end
  local id = message_id(ctx, message)
  local text = mime.build({
    id = id,
    date = ctx.time.now_ms(),
    from = config.from,
    from_name = config.fromName,
    to = message.to,
    cc = message.cc,
    reply_to = config.replyTo,
    subject = message.subject,
    body = message.body,
    html = message.html,
    in_reply_to = message.inReplyTo,
    boundary = "=_" .. ctx.crypto.uuid():gsub("-", ""),
    base64 = ctx.crypto.base64,
  })
  local answer = ctx.smtp.send({
    host = config.host,
    port = config.port,
    security = config.security,
    user = config.username,
    password = config.password,
    ca_file = config.caFile,
    from = config.from,
    to = to,
    message = text,
  })
  return { ok = true, messageId = id, status = "sent", answer = answer.text }
end

return { channel = { type = "email", send = send } }
