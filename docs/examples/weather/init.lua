-- SPDX-License-Identifier: Apache-2.0
--- The annotated example of docs/plugins.md: two operators, answers kept in storage for a while, errors with codes, an event
--- that other rules can hear, and every hook of a plugin's life.

local forecast = require("forecast")

local place = { type = "string", minLength = 1, maxLength = 100, description = "a name from the settings" }

--- Tells rules when it begins or stops to rain. What was said last has no time to live, unlike the cache.
local function tell_change(ctx, name, weather)
  local last = { namespace = "told" }
  if ctx.storage.get(name, last) ~= weather.rain then
    ctx.storage.set(name, weather.rain, last)
    ctx.emit("weather.Changed", { place = name, rain = weather.rain, temperature = weather.temperature })
  end
end

---@type perigee.Plugin
return {
  -- The hooks, in the order in which they run. None is required, and this plugin needs none of them.

  -- Before anything else. An error here keeps the plugin from loading, with its text in `perigee plugins show`.
  init = function(ctx)
    ctx.time.duration(ctx.config.keepFor) -- raises when it is no duration: better now than in a rule
  end,
  -- When all plugins are loaded: from here on ctx.call reaches their operators.
  ready = function(ctx)
    local count = 0
    for _ in pairs(ctx.config.places) do
      count = count + 1
    end
    ctx.log.info("knows places", { count = count })
  end,
  -- Somebody said `perigee plugins enable` or `disable`. What is in storage stays over both.
  on_enable = function(ctx)
    ctx.storage.clear({ namespace = "current" }) -- old by now
  end,
  on_disable = function(ctx)
    ctx.log.info("rests")
  end,
  -- Before it is unloaded or the service stops. There is little time, and after a crash it has not run: nothing may depend on it.
  stop = function(ctx)
    ctx.log.debug("stops")
  end,

  conditions = {
    ["weather.isBelow"] = {
      description = "True when it is colder at a place than a limit.",
      params = {
        type = "object",
        properties = { place = place, celsius = { type = "number", description = "the limit" } },
        required = { "place", "celsius" },
        additionalProperties = false,
      },
      evaluate = function(params, ctx)
        local weather = forecast.known(ctx, params.place) or forecast.ask(ctx, params.place)
        -- The second value is what `perigee why` shows.
        return weather.temperature < params.celsius, { actual = weather.temperature, wanted = "< " .. params.celsius }
      end,
    },
  },

  actions = {
    ["weather.current"] = {
      description = "Temperature and rain at a place; says weather.Changed when rain begins or ends.",
      params = { type = "object", properties = { place = place }, required = { "place" }, additionalProperties = false },
      delivery = "repeat", -- asking twice does no harm
      execute = function(params, ctx)
        local weather = forecast.known(ctx, params.place)
        if not weather then
          weather = forecast.ask(ctx, params.place)
          forecast.keep(ctx, params.place, weather)
          tell_change(ctx, params.place, weather)
        end
        -- Storage and event are stored together when this returns; had it failed, neither would be.
        return weather
      end,
    },
  },
}
