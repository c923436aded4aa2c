-- SPDX-License-Identifier: Apache-2.0
--- "Within the last ..." conditions: before a rule fires the window ends at the event, so that late and replayed events are judged by
--- their own time; in a step of a run, which may have waited for a day, it ends now.

local M = {}

local DAY = 86400000

--- The instant that the window ends at (ms).
---@param ctx perigee.Context
---@return integer
function M.stop(ctx)
  if ctx.event and ctx.event.time and not ctx.run then
    return ctx.time.parse(ctx.event.time)
  end
  return ctx.time.now_ms()
end

--- The length of the window in ms: a duration text, or a number of days, or the fallback.
---@param ctx perigee.Context
---@param duration string? "36h"
---@param days number?
---@param fallback string
---@return integer
function M.length(ctx, duration, days, fallback)
  if duration and days then
    error({ code = "bad_params", message = "give the window as a duration or in days, not both" })
  end
  if days then
    return math.floor(days * DAY)
  end
  return ctx.time.duration(duration or fallback)
end

--- Where condition for a time field: the window's two ends as RFC 3339 texts.
---@param ctx perigee.Context
---@param length integer ms
---@return table condition
---@return string since
function M.condition(ctx, length)
  local stop = M.stop(ctx)
  local since = ctx.time.format(stop - length)
  return { gt = since, lte = ctx.time.format(stop) }, since
end

return M
