-- SPDX-License-Identifier: Apache-2.0
local formats = require("formats")
local handlers = require("handlers")

local MAX_EVENTS = 200

--- The configured device whose token the request carries: Bearer, or the password of Basic (OwnTracks).
local function authenticate(ctx, request)
  local header = request.headers["authorization"] or ""
  local token = header:match("^[Bb]earer%s+(.+)$")
  local basic = header:match("^[Bb]asic%s+(.+)$")
  if basic then
    local text = ctx.crypto.base64.decode(basic)
    token = text and text:match("^[^:]*:(.*)$")
  end
  if not token then
    return nil
  end
  local found
  for _, device in ipairs(ctx.config.devices) do
    -- All are compared, so that the time tells nothing about which one came near.
    if ctx.crypto.equals(device.token, token) then
      found = device
    end
  end
  return found
end

local function problem(status, detail)
  return { status = status, json = { title = "device event refused", status = status, detail = detail } }
end

--- Phones queue while offline: events come in bulk and out of order, so they are taken in the order of their own time.
local function handle(ctx, request)
  local device = authenticate(ctx, request)
  if not device then
    return {
      status = 401,
      headers = { ["WWW-Authenticate"] = "Bearer" },
      json = { title = "Unauthorized", status = 401, detail = "send the device's token" },
    }
  end
  if request.body == "" then
    return { status = 200, json = ctx.json.array({}) } -- OwnTracks sends empty bodies now and then
  end
  if type(request.json) ~= "table" then
    return problem(400, "the body is not JSON")
  end
  local events, err = formats.read(ctx, request.json)
  if not events then
    return problem(400, err)
  end
  if #events > MAX_EVENTS then
    return problem(413, "at most " .. MAX_EVENTS .. " events at once")
  end
  table.sort(events, function(a, b)
    return a.at < b.at
  end)
  for _, event in ipairs(events) do
    handlers[event.type](ctx, device, event)
  end
  return { status = 200, json = ctx.json.array({}) }
end

return { webhooks = { ["/events"] = { methods = { "POST" }, handle = handle } } }
