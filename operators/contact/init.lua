-- SPDX-License-Identifier: Apache-2.0
local contacts = require("perigee.contacts")

local conditions = {}

conditions["contact.HasTag"] = {
  description = "The contact (by default the one that the event is about) carries a tag.",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      tag = { type = "string", minLength = 1, description = "compared letter by letter" },
      contactId = { type = "string", minLength = 1, description = "default: the event's contact" },
    },
    required = { "tag" },
  },
  evaluate = function(params, ctx)
    local id = params.contactId or contacts.of_event(ctx)
    if not id then
      return false, { actual = "the event names no contact", wanted = params.tag }
    end
    local contact = ctx.data.get("contact", id)
    if not contact then
      return false, { contactId = id, actual = "no such contact", wanted = params.tag }
    end
    local tags = contact.tags or {}
    for _, tag in ipairs(tags) do
      if tag == params.tag then
        return true, { contactId = id, actual = tags, wanted = params.tag }
      end
    end
    return false, { contactId = id, actual = tags, wanted = params.tag }
  end,
}

return { conditions = conditions }
