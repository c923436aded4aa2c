-- SPDX-License-Identifier: Apache-2.0
local actions = {}

actions["core.log"] = {
  description = "Writes a line to the service's log.",
  delivery = "repeat",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      message = { type = "string" },
      level = { enum = { "debug", "info", "warn", "error" }, default = "info" },
      data = { description = "any value, logged as JSON" },
    },
    required = { "message" },
  },
  execute = function(params, ctx)
    ctx.log[params.level](params.message, params.data)
    return { message = params.message, level = params.level }
  end,
}

return { actions = actions }
