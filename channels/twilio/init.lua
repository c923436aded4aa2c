-- SPDX-License-Identifier: Apache-2.0
local sms = require("sms")
local webhooks = require("webhooks")

return {
  channel = { type = "sms", send = sms.send },
  webhooks = {
    ["/call-status"] = { methods = { "POST" }, handle = webhooks.call_status },
    ["/message"] = { methods = { "POST" }, handle = webhooks.message },
    ["/message-status"] = { methods = { "POST" }, handle = webhooks.message_status },
  },
}
