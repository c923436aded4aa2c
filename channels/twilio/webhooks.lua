-- SPDX-License-Identifier: Apache-2.0
--- Inbound webhooks. Every one is checked against X-Twilio-Signature before anything is read from it or written.

local contacts = require("perigee.contacts")

local M = {}

local EMPTY_TWIML = { status = 200, headers = { ["Content-Type"] = "text/xml" }, body = "<Response/>" }
local NO_CONTENT = { status = 204 }
local FORBIDDEN = { status = 403, json = { title = "Forbidden", status = 403, detail = "the signature does not fit" } }

local MISSED = { ["no-answer"] = true, busy = true, canceled = true }
local FINAL = { completed = true, busy = true, failed = true, ["no-answer"] = true, canceled = true }

--- URL, then every parameter sorted by name, each name followed by its distinct values in order.
local function signed_text(url, params)
  local names, values = {}, {}
  for _, param in ipairs(params) do
    local list = values[param.name]
    if not list then
      list = {}
      values[param.name] = list
      names[#names + 1] = param.name
    end
    list[#list + 1] = param.value
  end
  table.sort(names)
  local parts = { url }
  for _, name in ipairs(names) do
    local list, last = values[name], nil
    table.sort(list)
    for _, value in ipairs(list) do
      if value ~= last then
        parts[#parts + 1] = name .. value
        last = value
      end
    end
  end
  return table.concat(parts)
end

--- The sender is not consistent about the default port: the URL with and without it.
local function url_forms(url)
  local scheme, host, rest = url:match("^(https?)://([^/?]+)(.*)$")
  if not scheme then
    return { url }
  end
  local port = scheme == "https" and "443" or "80"
  local bare = host:match("^(.*):" .. port .. "$")
  if bare then
    return { url, scheme .. "://" .. bare .. rest }
  end
  if not host:match(":%d+$") then
    return { url, scheme .. "://" .. host .. ":" .. port .. rest }
  end
  return { url }
end

--- True when the request was signed with our token. A JSON body is covered by bodySHA256 in the URL.
function M.signed(ctx, request)
  local given = request.headers["x-twilio-signature"]
  if not given then
    return false
  end
  local params = request.params_list or {}
  local body_hash = request.query and request.query.bodySHA256
  if body_hash then
    if not ctx.crypto.equals(ctx.crypto.sha256(request.body or "", "hex"), body_hash:lower()) then
      return false
    end
    params = {}
  end
  for _, url in ipairs(url_forms(request.url)) do
    local mac = ctx.crypto.hmac("sha1", ctx.config.authToken, signed_text(url, params), "base64")
    if ctx.crypto.equals(mac, given) then
      return true
    end
  end
  return false
end

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

--- "Thu, 24 Aug 2023 05:01:45 +0000" as RFC 3339, or nil.
function M.mail_time(text)
  local day, month, year, clock, sign, zone_h, zone_m =
    (text or ""):match("^%a+, (%d+) (%a+) (%d%d%d%d) (%d%d:%d%d:%d%d) ([+-])(%d%d)(%d%d)$")
  if not day or not MONTHS[month] then
    return nil
  end
  return string.format("%s-%02d-%02dT%s%s%s:%s", year, MONTHS[month], tonumber(day), clock, sign, zone_h, zone_m)
end

--- Runs a handler on the form of a request whose signature fits.
local function checked(handle)
  return function(ctx, request)
    if not M.signed(ctx, request) then
      ctx.log.warn("a webhook with a wrong signature was refused", { path = request.path, remote = request.remote })
      return FORBIDDEN
    end
    return handle(ctx, request.form or {})
  end
end

--- The other side of a call or message, and its contact when we know it.
local function other_side(ctx, form, inbound)
  local number = inbound and form.From or form.To
  local contact = number and contacts.by(ctx, "phoneNumbers", number)
  return number, contact and contact.id
end

local function put_call(ctx, form, inbound, at, contact_id)
  local duration = tonumber(form.CallDuration)
  return ctx.data.put("call", {
    source = "twilio",
    externalId = form.CallSid,
    contactId = contact_id,
    direction = inbound and "inbound" or "outbound",
    status = form.CallStatus,
    missed = inbound and MISSED[form.CallStatus] == true,
    from = form.From,
    to = form.To,
    startedAt = at,
    durationSeconds = duration and math.tointeger(duration),
  })
end

M.call_status = checked(function(ctx, form)
  if not form.CallSid or not form.CallStatus then
    return { status = 400, json = { title = "Bad request", status = 400, detail = "CallSid and CallStatus are needed" } }
  end
  local inbound = (form.Direction or "inbound") == "inbound"
  local known = ctx.data.query("call", { where = { source = "twilio", externalId = form.CallSid }, limit = 1 })[1]
  if known and FINAL[known.status] then
    return NO_CONTENT -- repeated, or an earlier state that arrives late
  end
  local stamp = M.mail_time(form.Timestamp)
  local at = known and known.startedAt or (stamp and ctx.time.format(ctx.time.parse(stamp))) or ctx.time.now()
  local number, contact_id = other_side(ctx, form, inbound)
  local call_id = put_call(ctx, form, inbound, at, contact_id)
  if not FINAL[form.CallStatus] then
    return NO_CONTENT
  end
  local missed = inbound and MISSED[form.CallStatus]
  ctx.emit(missed and "comms.CallMissed" or "comms.CallEnded", {
    callId = call_id,
    contactId = contact_id,
    fromContactId = inbound and contact_id or nil,
    direction = inbound and "inbound" or "outbound",
    from = form.From,
    to = form.To,
    number = number,
    status = form.CallStatus,
    at = at,
  }, { id = form.CallSid .. ":" .. form.CallStatus, subject = number })
  return NO_CONTENT
end)

M.message = checked(function(ctx, form)
  local sid = form.MessageSid or form.SmsSid
  if not sid or not form.From then
    return { status = 400, json = { title = "Bad request", status = 400, detail = "MessageSid and From are needed" } }
  end
  local number, contact_id = other_side(ctx, form, true)
  local now = ctx.time.now()
  local id = ctx.data.put("message", {
    source = "twilio",
    externalId = sid,
    contactId = contact_id,
    channelType = "sms",
    direction = "inbound",
    from = form.From,
    to = form.To,
    body = form.Body,
    sentAt = now,
    status = "received",
  })
  ctx.emit("comms.MessageReceived", {
    messageId = id,
    contactId = contact_id,
    fromContactId = contact_id,
    channelType = "sms",
    from = form.From,
    to = form.To,
    body = form.Body,
    optOut = form.OptOutType,
    media = tonumber(form.NumMedia) or 0,
    at = now,
  }, { id = sid, subject = number })
  return {
    status = EMPTY_TWIML.status,
    headers = EMPTY_TWIML.headers,
    body = EMPTY_TWIML.body,
    message = { id = id, from = form.From, to = form.To, body = form.Body },
  }
end)

M.message_status = checked(function(ctx, form)
  local sid = form.MessageSid or form.SmsSid
  if not sid or not form.MessageStatus then
    return { status = 400, json = { title = "Bad request", status = 400, detail = "MessageSid and MessageStatus are needed" } }
  end
  local message = ctx.data.query("message", { where = { providerId = sid }, limit = 1 })[1]
  if message then
    ctx.data.put("message", { id = message.id, status = form.MessageStatus, errorCode = form.ErrorCode })
  end
  ctx.emit("comms.MessageStatus", {
    messageId = message and message.id,
    contactId = message and message.contactId,
    providerId = sid,
    status = form.MessageStatus,
    errorCode = form.ErrorCode,
    to = form.To,
  }, { id = sid .. ":" .. form.MessageStatus })
  return NO_CONTENT
end)

M.signed_text = signed_text
M.url_forms = url_forms

return M
