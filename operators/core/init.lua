-- SPDX-License-Identifier: Apache-2.0
local actions = {}

actions["core.log"] = {
  description = "Writes a line to the service's log.",
  delivery = "repeat",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      message = { type = "string", description = "the line" },
      level = { enum = { "debug", "info", "warn", "error" }, default = "info", description = "below log.level it does not appear" },
      data = { description = "any value, logged as JSON behind the line" },
    },
    required = { "message" },
  },
  execute = function(params, ctx)
    local data = params.data
    if data ~= nil and type(data) ~= "table" then
      data = { value = data } -- the log takes tables
    end
    ctx.log[params.level](params.message, data)
    return { message = params.message, level = params.level }
  end,
}

return { actions = actions }
