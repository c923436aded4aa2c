-- SPDX-License-Identifier: Apache-2.0
--- Finding people: contact ids, phone numbers in E.164, e-mail addresses.

local M = {}

--- Is text a phone number in E.164 form ("+14155550123")?
---@param text any
---@return boolean
function M.is_phone(text)
  return type(text) == "string" and text:match("^%+[1-9]%d%d%d%d%d+$") ~= nil and #text <= 16
end

--- Is text shaped like one e-mail address? Control characters, blanks, angle brackets and commas are never part of one.
---@param text any
---@return boolean
function M.is_email(text)
  return type(text) == "string" and #text <= 254 and text:match("^[^%s%c<>,;\"@]+@[^%s%c<>,;\"@]+$") ~= nil
end

--- The contact that the event is about: contactId, else fromContactId, else toContactId of its payload.
---@param ctx perigee.Context
---@return string?
function M.of_event(ctx)
  local data = ctx.event and ctx.event.data
  if type(data) ~= "table" then
    return nil
  end
  for _, key in ipairs({ "contactId", "fromContactId", "toContactId" }) do
    if type(data[key]) == "string" then
      return data[key]
    end
  end
  return nil
end

--- The first contact whose list field holds a value.
---@param ctx perigee.Context
---@param field "phoneNumbers"|"emails"
---@param value string
---@return table?
function M.by(ctx, field, value)
  return ctx.data.query("contact", { where = { [field] = { contains = value } }, limit = 1 })[1]
end

--- Resolves who a message goes to: an address as it is, or the first one of a contact.
---@param ctx perigee.Context
---@param to string contact id or address
---@param field "phoneNumbers"|"emails"
---@return string address
---@return string? contact_id
function M.address(ctx, to, field)
  local is_address = field == "phoneNumbers" and M.is_phone or M.is_email
  if is_address(to) then
    local known = M.by(ctx, field, to)
    return to, known and known.id
  end
  local contact = ctx.data.get("contact", to)
  if not contact then
    error({ code = "contact_not_found", message = "there is no contact \"" .. to .. "\"" })
  end
  for _, address in ipairs(contact[field] or {}) do
    if is_address(address) then
      return address, contact.id
    end
  end
  local what = field == "phoneNumbers" and "phone number in E.164 form" or "e-mail address"
  error({ code = "no_address", message = "the contact \"" .. to .. "\" has no " .. what })
end

return M
