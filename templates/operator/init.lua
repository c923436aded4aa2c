-- SPDX-License-Identifier: Apache-2.0
--- Conditions and actions for rules. This file runs once, when the plugin is loaded: it defines things, it does not do
--- things. What a handler may use beside its parameters is in ctx.

local name = { type = "string", minLength = 1, maxLength = 100, description = "whom it is about" }

local function times_greeted(ctx, who)
  return ctx.storage.get(who, { namespace = "greeted" }) or 0
end

---@type perigee.Plugin
return {
  conditions = {
    ["@WORD@.wasGreeted"] = {
      description = "True when somebody was greeted that many times or more.",
      params = {
        type = "object",
        properties = { name = name, times = { type = "integer", minimum = 1, default = 1, description = "at least" } },
        required = { "name" },
        additionalProperties = false,
      },
      -- A condition returns true or false and, for `perigee why`, what it compared. It may not write.
      evaluate = function(params, ctx)
        local actual = times_greeted(ctx, params.name)
        return actual >= params.times, { actual = actual, wanted = ">= " .. params.times }
      end,
    },
  },
  actions = {
    ["@WORD@.greet"] = {
      description = "Makes a greeting and remembers whom it was for.",
      params = { type = "object", properties = { name = name }, required = { "name" }, additionalProperties = false },
      delivery = "once", -- counting twice would be wrong
      -- What it returns is steps.<id> for the steps that follow.
      execute = function(params, ctx)
        if not params.name:find("%S") then
          error({ code = "no_name", message = "name is blank" })
        end
        local times = times_greeted(ctx, params.name) + 1
        ctx.storage.set(params.name, times, { namespace = "greeted" })
        ctx.log.info("greeted", { name = params.name, times = times })
        return { text = ctx.config.greeting .. ", " .. params.name .. "!", times = times }
      end,
    },
  },
}
