-- SPDX-License-Identifier: Apache-2.0
--- Sends the messages of ctx.send("@WORD@", ...) and of rules that name this type.

--- What the server's answer means for the rule: may it try again, and may the message have been sent?
local function fail(response)
  local status = response.status
  error({
    code = "@WORD@.http_" .. status,
    message = "the server answered " .. status,
    retryable = status == 429 or status >= 500,
    outcome = status >= 500 and status ~= 503 and "unknown" or nil,
    retry_after = tonumber(response.headers["retry-after"]),
  })
end

---@type perigee.Plugin
return {
  channel = {
    type = "@WORD@",
    send = function(ctx, message)
      if not message.to then
        error({ code = "@WORD@.no_recipient", message = "the message has no recipient (to)" })
      end
      -- A secret setting is a handle: it can be put into a header, never be read.
      local response = ctx.http.post(ctx.config.url, {
        json = { to = message.to, subject = message.subject, body = message.body },
        headers = {
          Authorization = ctx.config.token and { ctx.config.token, prefix = "Bearer " },
          ["Idempotency-Key"] = message.idempotency_key, -- the same for every attempt to send this message
        },
      })
      if response.status >= 300 then
        fail(response)
      end
      return { ok = true, messageId = type(response.json) == "table" and response.json.id or nil }
    end,
  },
}
