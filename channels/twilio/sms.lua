-- SPDX-License-Identifier: Apache-2.0
--- POST /2010-04-01/Accounts/{sid}/Messages.json. Twilio has no idempotency key for messages: a request whose answer was
--- lost may have been sent, so such an outcome is reported as unknown.

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

return M
