-- SPDX-License-Identifier: Apache-2.0
--- ctx.time with a clock that stands still.

local M = {}

local UNITS = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }

--- ms since 1970 UTC of an RFC 3339 text; raises bad_time.
function M.parse(text)
  local year, month, day, hour, minute, second, rest = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)[Tt](%d%d):(%d%d):(%d%d)(.*)$")
  if not year then
    error({ code = "bad_time", message = "not an RFC 3339 time: " .. text })
  end
  local fraction, zone = rest:match("^%.?(%d*)(.*)$")
  local ms = math.tointeger(tonumber((fraction .. "000"):sub(1, 3)))
  local offset = 0
  if zone ~= "Z" and zone ~= "z" then
    local sign, h, m = zone:match("^([+-])(%d%d):(%d%d)$")
    offset = (sign == "-" and -1 or 1) * (tonumber(h) * 60 + tonumber(m)) * 60
  end
  -- Days from the civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
  local y, mo, d = tonumber(year), tonumber(month), tonumber(day)
  y = mo <= 2 and y - 1 or y
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (mo + (mo > 2 and -3 or 9)) + 2) // 5 + d - 1
  local days = era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
  local seconds = days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second) - offset
  return math.tointeger(seconds * 1000 + ms)
end

--- RFC 3339 UTC with milliseconds; with a format as os.date has it, in UTC only.
function M.format(ms, zone, format)
  ms = math.tointeger(ms) or math.floor(ms)
  if zone or format then
    assert(not zone or zone == "UTC", "this clock knows UTC only")
    return os.date("!" .. (format or "%Y-%m-%dT%H:%M:%S+00:00"), ms // 1000)
  end
  return os.date("!%Y-%m-%dT%H:%M:%S", ms // 1000) .. string.format(".%03dZ", ms % 1000)
end

function M.duration(text)
  local total, rest = 0, text
  while rest ~= "" do
    local number, unit, tail = rest:match("^(%d+)(%a+)(.*)$")
    if not UNITS[unit] then
      error({ code = "bad_duration", message = "not a duration: " .. text })
    end
    total, rest = total + tonumber(number) * UNITS[unit], tail
  end
  return total
end

function M.api(clock)
  return {
    now = function() return M.format(clock.ms) end,
    now_ms = function() return clock.ms end,
    parse = M.parse,
    format = M.format,
    duration = M.duration,
  }
end

return M
