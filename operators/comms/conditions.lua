-- SPDX-License-Identifier: Apache-2.0
--- Conditions on the history of calls, messages and voicemail. Each returns what it compared.

local window = require("perigee.window")

local CONTACT = { type = "string", minLength = 1, description = "contact id" }
local ANYBODY = { type = "string", minLength = 1, description = "contact id; default: anybody" }
local WINDOW = { type = "string", minLength = 2, description = "length of the window: a duration such as 36h or 7d; default: 30d" }
local DAYS = { type = "number", exclusiveMinimum = 0, maximum = 3650, description = "the same in days" }
local COUNT = { type = "integer", minimum = 1, default = 1, description = "how many at least" }

--- Counts calls and says how many were wanted.
local function at_least(ctx, where, count, since)
  local actual = ctx.data.query("call", { where = where, count = true })
  return actual >= count, { actual = actual, wanted = ">= " .. count, since = since }
end

local M = {}

M["comms.callCount"] = {
  description = "At least `count` calls with a contact within a window.",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      contactId = CONTACT,
      direction = { enum = { "inbound", "outbound", "any" }, default = "any", description = "who called" },
      windowDays = DAYS,
      window = WINDOW,
      count = COUNT,
    },
    required = { "contactId" },
  },
  evaluate = function(params, ctx)
    local length = window.length(ctx, params.window, params.windowDays, "30d")
    local started, since = window.condition(ctx, length)
    local where = { contactId = params.contactId, startedAt = started }
    if params.direction ~= "any" then
      where.direction = params.direction
    end
    return at_least(ctx, where, params.count, since)
  end,
}

M["comms.missedCalls"] = {
  description = "At least `count` missed inbound calls within a window, of one contact or of anybody.",
  params = {
    type = "object",
    additionalProperties = false,
    properties = { contactId = ANYBODY, count = COUNT, window = WINDOW, windowDays = DAYS },
  },
  evaluate = function(params, ctx)
    local length = window.length(ctx, params.window, params.windowDays, "30d")
    local started, since = window.condition(ctx, length)
    local where = { missed = true, contactId = params.contactId, startedAt = started }
    return at_least(ctx, where, params.count, since)
  end,
}

--- Where each kind of contact leaves its trace: entity type, time field, further condition.
local TRACES = {
  voice = { { "call", "startedAt" } },
  sms = { { "message", "sentAt", { channelType = "sms" } } },
  email = { { "message", "sentAt", { channelType = "email" } }, { "email", "receivedAt" } },
}

local function traces_of(channel)
  if channel ~= "any" then
    return TRACES[channel]
  end
  local all = {}
  for _, list in pairs(TRACES) do
    for _, trace in ipairs(list) do
      all[#all + 1] = trace
    end
  end
  return all
end

--- The newest time of one kind of trace, or nil.
local function newest(ctx, trace, contact_id, stop)
  local kind, field, more = trace[1], trace[2], trace[3]
  local where = { contactId = contact_id, [field] = { lte = stop } }
  for key, value in pairs(more or {}) do
    where[key] = value
  end
  local row = ctx.data.query(kind, { where = where, order = "-" .. field, limit = 1 })[1]
  return row and row[field]
end

M["comms.lastContact"] = {
  description = "The last call, SMS or e-mail with a contact, either way, lies within a window.",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      contactId = CONTACT,
      channelType = { enum = { "voice", "sms", "email", "any" }, default = "any", description = "over which channel" },
      withinDays = DAYS,
      within = WINDOW,
    },
    required = { "contactId" },
  },
  evaluate = function(params, ctx)
    local length = window.length(ctx, params.within, params.withinDays, "30d")
    local _, since = window.condition(ctx, length)
    local stop = ctx.time.format(window.stop(ctx))
    local last
    for _, trace in ipairs(traces_of(params.channelType)) do
      local at = newest(ctx, trace, params.contactId, stop)
      if at and (not last or at > last) then
        last = at
      end
    end
    return last ~= nil and last > since, { actual = last or "never", wanted = "after " .. since }
  end,
}

M["comms.hasVoicemail"] = {
  description = "There is at least one voicemail that nobody has listened to, of one contact or of anybody.",
  params = { type = "object", additionalProperties = false, properties = { contactId = ANYBODY } },
  evaluate = function(params, ctx)
    local where = { listened = { ne = true }, contactId = params.contactId }
    local actual = ctx.data.query("voicemail", { where = where, count = true })
    return actual >= 1, { actual = actual, wanted = ">= 1" }
  end,
}

return M
