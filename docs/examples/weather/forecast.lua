-- SPDX-License-Identifier: Apache-2.0
--- What the weather is at a place: from storage while it is fresh, else from the service. A file of its own: init.lua gets
--- it with require("forecast").

local M = {}

local CACHE = { namespace = "current" }

--- Codes of this plugin's errors, in one place: rules can name them (retry: {non_retryable: [weather.no_place]}).
M.errors = { no_place = "weather.no_place", refused = "weather.refused", down = "weather.down", bad_answer = "weather.bad_answer" }

--- Errors are tables with a code. retryable says whether the rule may try again, retry_after (seconds) not before when.
local function fail(code, message, more)
  local err = more or {}
  err.code, err.message = code, message
  error(err)
end

function M.place(ctx, name)
  local place = ctx.config.places[name]
  if not place then
    fail(M.errors.no_place, "there is no place \"" .. name .. "\" in the settings of " .. ctx.id)
  end
  return place
end

--- Asks the service. Waiting suspends this call only: the plugin's other calls and the service go on.
local function ask(ctx, place)
  local response = ctx.http.get(ctx.config.baseUrl .. "/v1/forecast", {
    query = { latitude = place.latitude, longitude = place.longitude, current = "temperature_2m,precipitation" },
    timeout_ms = 5000,
  })
  -- A request that does not arrive raises by itself (http.connect, http.timeout, ...); an answer has to be looked at.
  if response.status == 429 or response.status >= 500 then
    local after = tonumber(response.headers["retry-after"])
    fail(M.errors.down, "the weather service answered " .. response.status, { retryable = true, retry_after = after })
  elseif response.status ~= 200 then
    local reason = type(response.json) == "table" and response.json.reason or "status " .. response.status
    fail(M.errors.refused, "the weather service refused: " .. reason)
  end
  return response.json
end

--- What comes from outside has any shape: look before using it.
local function read(answer)
  local current = type(answer) == "table" and answer.current
  local temperature = type(current) == "table" and current.temperature_2m
  local rain = type(current) == "table" and current.precipitation
  if type(temperature) ~= "number" or type(rain) ~= "number" then
    fail(M.errors.bad_answer, "the weather service gave no temperature or precipitation", { retryable = true })
  end
  return { temperature = temperature, millimeters = rain, rain = rain > 0 }
end

--- What is in storage and still fresh, or nil.
function M.known(ctx, name)
  return ctx.storage.get(name, CACHE)
end

--- Asks in any case, without keeping the answer: that is for actions, conditions may not write.
function M.ask(ctx, name)
  return read(ask(ctx, M.place(ctx, name)))
end

--- ttl lets the entry vanish by itself.
function M.keep(ctx, name, weather)
  ctx.storage.set(name, weather, { namespace = CACHE.namespace, ttl = ctx.config.keepFor })
end

return M
