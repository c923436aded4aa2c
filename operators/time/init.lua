-- SPDX-License-Identifier: Apache-2.0
local BUILT_IN = {
  workdays = { weekdays = { "mon", "tue", "wed", "thu", "fri" } },
  weekend = { weekdays = { "sat", "sun" } },
}
local WEEKDAYS = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" }
local DEPTH = 8

--- Days since a fixed day, so that dates can be subtracted.
local function number_of(year, month, day)
  local y = month <= 2 and year - 1 or year
  local m = month <= 2 and month + 9 or month - 3
  return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day
end

--- Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher).
local function easter(year)
  local a, b, c = year % 19, year // 100, year % 100
  local h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
  local l = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
  local m = (a + 11 * h + 22 * l) // 451
  local n = h + l - 7 * m + 114
  return number_of(year, n // 31, n % 31 + 1)
end

local function parts(text)
  local year, month, day = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  if not year then
    month, day = text:match("^(%d%d)%-(%d%d)$")
  end
  return tonumber(year), tonumber(month), tonumber(day)
end

--- As a number that can be compared: with a year by it, without one within any year.
local function rank(text)
  local year, month, day = parts(text)
  return (year or 0) * 10000 + month * 100 + day, year ~= nil
end

local function is_date(entry, today)
  local shift = entry:match("^easter(.*)$")
  if shift then
    return number_of(today.year, today.month, today.day) == easter(today.year) + (tonumber(shift) or 0)
  end
  local from, to = entry:match("^(.-)%.%.(.+)$")
  local first, dated = rank(from or entry)
  local last = rank(to or entry)
  local now = (dated and today.year or 0) * 10000 + today.month * 100 + today.day
  if first > last then -- 12-24..01-06
    return now >= first or now <= last
  end
  return now >= first and now <= last
end

local function set_of(config, name)
  local set = config.days and config.days[name] or BUILT_IN[name]
  if not set then
    error({ code = "unknown_days", message = "no days are called " .. name .. ": plugins.time.config.days declares them" })
  end
  return set
end

local function contains(config, name, today, depth)
  local set = set_of(config, name)
  if depth > DEPTH then
    error({ code = "bad_config", message = name .. " is an exception of itself" })
  end
  for _, other in ipairs(set.except or {}) do
    if contains(config, other, today, depth + 1) then
      return false
    end
  end
  for _, day in ipairs(set.weekdays or {}) do
    if day == today.weekday then
      return true
    end
  end
  for _, entry in ipairs(set.dates or {}) do
    if is_date(entry, today) then
      return true
    end
  end
  return false
end

local function today_of(params, ctx)
  local zone = params.timezone or ctx.config.timezone or ctx.time.zone()
  local ms = params.at and ctx.time.parse(params.at) or ctx.time.now_ms()
  local text = ctx.time.format(ms, zone, "%Y-%m-%d %u")
  local year, month, day, weekday = text:match("^(%d+)-(%d+)-(%d+) (%d)$")
  return {
    year = tonumber(year),
    month = tonumber(month),
    day = tonumber(day),
    weekday = WEEKDAYS[tonumber(weekday)],
    text = text:sub(1, -3),
    zone = zone,
  }
end

local conditions = {}

conditions["time.isDay"] = {
  description = "Holds on days of a set: workdays, weekend, or one that the settings declare.",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      days = { type = "string", minLength = 1, description = "name of the set" },
      at = { type = "string", description = "the time to look at; default: now" },
      timezone = { type = "string", description = "where days begin and end; default: that of the settings, else that of perigee.yaml" },
    },
    required = { "days" },
  },
  evaluate = function(params, ctx)
    local today = today_of(params, ctx)
    local holds = contains(ctx.config, params.days, today, 0)
    return holds, { actual = today.weekday .. " " .. today.text, zone = today.zone, wanted = params.days }
  end,
}

return { conditions = conditions }
