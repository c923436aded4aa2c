-- SPDX-License-Identifier: Apache-2.0
local contacts = require("perigee.contacts")

local actions = {}

local FIELDS = { sms = "phoneNumbers", email = "emails" }

--- SMS and e-mail need an address; other channels know whom they reach.
local function recipient(ctx, channel, to)
  local field = FIELDS[channel]
  if not field then
    return to
  end
  if not to then
    error({ code = "no_recipient", message = "say whom: \"to\" here, or plugins.notify.config.to in perigee.yaml" })
  end
  return (contacts.address(ctx, to, field))
end

actions["notify.send"] = {
  description = "Sends a notification over the configured channel.",
  delivery = "channel",
  channel = "{config.channel}",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      message = { type = "string", minLength = 1, description = "text" },
      title = { type = "string", description = "one line; the subject of an e-mail" },
      to = { type = "string", minLength = 1, description = "contact id or address; default: the plugin's setting" },
      priority = { enum = { "min", "low", "default", "high", "max" }, description = "for channels that know one" },
      data = { type = "object", description = "more for the channel" },
    },
    required = { "message" },
  },
  execute = function(params, ctx)
    local channel = ctx.config.channel
    local to = recipient(ctx, channel, params.to or ctx.config.to)
    local result = ctx.send(channel, {
      to = to,
      subject = params.title,
      title = params.title,
      body = params.message,
      priority = params.priority,
      data = params.data,
    })
    return { messageId = result.messageId, channel = result.channel, to = to }
  end,
}

return { actions = actions }
