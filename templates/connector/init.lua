-- SPDX-License-Identifier: Apache-2.0
--- Another system posts tickets to /hooks/@ID@/tickets; they become entities of the unified model, and events for rules.

local function refuse(status, detail)
  return { status = status, json = { title = "refused", status = status, detail = detail } }
end

--- Everybody who knows the address can post: nothing is written before the signature is right.
local function signed(ctx, request)
  local given = request.headers["x-signature"]
  return given ~= nil and ctx.crypto.equals(ctx.crypto.hmac("sha256", ctx.config.key, request.body), given)
end

local function take(ctx, request)
  if not signed(ctx, request) then
    return refuse(401, "x-signature must be the HMAC-SHA256 of the body, in hex")
  end
  local ticket = request.json
  if type(ticket) ~= "table" or type(ticket.id) ~= "string" then
    return refuse(400, "the body must be a JSON object with an id")
  end
  -- source and externalId say which entity it is: sent again, it is the same one.
  local id = ctx.data.put("ticket", {
    source = "@WORD@",
    externalId = ticket.id,
    title = ticket.title,
    status = ticket.status or "open",
  })
  ctx.emit("@WORD@.Ticket", { ticket = id, title = ticket.title, status = ticket.status or "open" })
  return { status = 204 }
end

---@type perigee.Plugin
return { webhooks = { ["/tickets"] = { methods = { "POST" }, handle = take } } }
