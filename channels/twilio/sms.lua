-- SPDX-License-Identifier: Apache-2.0
--- POST /2010-04-01/Accounts/{sid}/Messages.json. Twilio has no idempotency key for messages: a request whose answer was
--- lost may have been sent. Before it is sent again, lookup searches the latest messages to that number.

local M = {}

--- What Twilio's answer means for a retry.
local function fail(response)
  local body = type(response.json) == "table" and response.json or {}
  local status = response.status
  local code = body.code and ("twilio." .. tostring(body.code)) or ("twilio.http_" .. status)
  local refused = status == 429 or status == 503
  error({
    code = code,
    message = "Twilio: " .. (body.message or ("status " .. status)),
    retryable = refused or status >= 500,
    outcome = status >= 500 and not refused and "unknown" or nil,
    retry_after = tonumber(response.headers["retry-after"]),
  })
end

local function credentials(config)
  if config.apiKeySid then
    return { user = config.apiKeySid, password = config.apiKeySecret }
  end
  return { user = config.accountSid, password = config.authToken }
end

function M.send(ctx, message)
  local config = ctx.config
  if not config.from and not config.messagingServiceSid then
    error({ code = "twilio.no_sender", message = "set \"from\" or \"messagingServiceSid\" in the twilio plugin's settings" })
  end
  local form = { To = message.to, Body = message.body }
  if config.messagingServiceSid then
    form.MessagingServiceSid = config.messagingServiceSid
  else
    form.From = config.from
  end
  local response = ctx.http.request({
    method = "POST",
    url = config.baseUrl:gsub("/+$", "") .. "/2010-04-01/Accounts/" .. config.accountSid .. "/Messages.json",
    form = form,
    auth = credentials(config),
  })
  if response.status ~= 201 and response.status ~= 200 then
    fail(response)
  end
  local body = response.json or {}
  return { ok = true, messageId = body.sid, status = body.status }
end

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

--- RFC 2822 "Thu, 24 Aug 2023 05:01:45 +0000" in milliseconds; nil when it is none.
local function mail_time(ctx, text)
  local day, month, year, time = (text or ""):match("(%d%d?) (%a%a%a) (%d%d%d%d) (%d%d:%d%d:%d%d) %+0000$")
  if not day or not MONTHS[month] then
    return nil
  end
  return ctx.time.parse(("%s-%02d-%02dT%sZ"):format(year, MONTHS[month], tonumber(day), time))
end

--- Twilio's clock and ours may differ by a little.
local SLACK_MS = 60000

--- The same text to the same number since the first attempt, unless it is known as the message of another run.
local function is_it(ctx, found, message)
  local made = mail_time(ctx, found.date_created)
  return made
    and made >= ctx.time.parse(message.since) - SLACK_MS
    and found.to == message.to
    and found.body == message.body
    and found.direction ~= "inbound"
    and #ctx.data.query("message", { where = { providerId = found.sid }, limit = 1 }) == 0
end

function M.lookup(ctx, message)
  local config = ctx.config
  local response = ctx.http.request({
    method = "GET",
    url = config.baseUrl:gsub("/+$", "") .. "/2010-04-01/Accounts/" .. config.accountSid .. "/Messages.json",
    query = { To = message.to, PageSize = "50" },
    auth = credentials(config),
  })
  if response.status ~= 200 then
    fail(response)
  end
  local list = (response.json or {}).messages or {}
  for i = #list, 1, -1 do -- the oldest first: of two runs with the same text each finds its own
    if is_it(ctx, list[i], message) then
      return { ok = true, messageId = list[i].sid, status = list[i].status }
    end
  end
  return nil
end

return M
