-- SPDX-License-Identifier: Apache-2.0
--- Sending and follow-ups. What was sent is kept in the unified model as an outbound message.

local contacts = require("perigee.contacts")

local M = {}

--- Records an outbound message; the run's key makes a repeat the same row.
local function record(ctx, fields, result)
  fields.direction = "outbound"
  fields.status = result.status or "sent"
  fields.providerId = result.messageId
  fields.sentAt = ctx.time.now()
  fields.source = "perigee"
  fields.externalId = ctx.idempotency_key
  return ctx.data.put("message", fields)
end

M["comms.sendSms"] = {
  description = "Sends an SMS to a contact or a phone number.",
  delivery = "channel",
  channel = "sms",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      to = { type = "string", minLength = 1, description = "contact id or phone number in E.164 form" },
      body = { type = "string", minLength = 1, maxLength = 1600, description = "text" },
    },
    required = { "to", "body" },
  },
  execute = function(params, ctx)
    local address, contact_id = contacts.address(ctx, params.to, "phoneNumbers")
    local result = ctx.send("sms", { to = address, body = params.body, contactId = contact_id })
    local id = record(ctx, { channelType = "sms", contactId = contact_id, to = address, body = params.body }, result)
    return { messageId = result.messageId, channel = result.channel, to = address, id = id, contactId = contact_id }
  end,
}

--- Addresses of cc and bcc: one, or a list of them.
local function address_list(ctx, value)
  local list = {}
  if type(value) == "string" then
    value = { value }
  end
  for i, entry in ipairs(value or {}) do
    list[i] = contacts.address(ctx, entry, "emails")
  end
  return #list > 0 and list or nil
end

local function addresses(description)
  local item = { type = "string", minLength = 1 }
  return { type = { "string", "array" }, items = item, minLength = 1, maxItems = 50, description = description }
end

M["comms.sendEmail"] = {
  description = "Sends an e-mail to a contact or an address.",
  delivery = "channel",
  channel = "email",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      to = { type = "string", minLength = 1, description = "contact id or e-mail address" },
      subject = { type = "string", maxLength = 500, description = "one line" },
      body = { type = "string", description = "plain text" },
      html = { type = "string", description = "the same as HTML, in addition" },
      cc = addresses("who gets a copy: contact ids or addresses"),
      bcc = addresses("who gets a copy unseen by the others"),
      replyToMessageId = { type = "string", minLength = 1, description = "Message-ID of the mail that this one answers" },
    },
    required = { "to", "subject", "body" },
  },
  execute = function(params, ctx)
    local address, contact_id = contacts.address(ctx, params.to, "emails")
    local result = ctx.send("email", {
      to = address,
      subject = params.subject,
      body = params.body,
      html = params.html,
      cc = address_list(ctx, params.cc),
      bcc = address_list(ctx, params.bcc),
      inReplyTo = params.replyToMessageId,
      contactId = contact_id,
    })
    local id = record(ctx, {
      channelType = "email",
      contactId = contact_id,
      to = address,
      subject = params.subject,
      body = params.body,
      inReplyTo = params.replyToMessageId,
    }, result)
    return { messageId = result.messageId, channel = result.channel, to = address, id = id, contactId = contact_id }
  end,
}

--- dueAt as an instant, or as a duration from now.
local function due_time(ctx, text)
  if text:match("^%d%d%d%d%-") then
    return ctx.time.format(ctx.time.parse(text))
  end
  return ctx.time.format(ctx.time.now_ms() + ctx.time.duration(text))
end

M["comms.createFollowUp"] = {
  description = "Creates a pending task that is flagged as a follow-up with a contact.",
  delivery = "repeat", -- the same run and step make the same task
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      contactId = { type = "string", minLength = 1, description = "whom to get back to" },
      dueAt = { type = "string", minLength = 2, description = "RFC 3339 time, or a duration from now such as 2d" },
      note = { type = "string", description = "what it is about" },
    },
    required = { "contactId", "dueAt" },
  },
  execute = function(params, ctx)
    local due = due_time(ctx, params.dueAt)
    local id = ctx.data.put("task", {
      source = ctx.idempotency_key and "perigee" or nil,
      externalId = ctx.idempotency_key,
      kind = "follow_up",
      status = "pending",
      title = "Follow up",
      contactId = params.contactId,
      dueAt = due,
      note = params.note,
      createdAt = ctx.time.now(),
    })
    return { taskId = id, dueAt = due }
  end,
}

return M
