-- SPDX-License-Identifier: Apache-2.0
local sms = require("sms")
local webhooks = require("webhooks")

return {
  channel = { type = "sms", delivery = "lookup", send = sms.send, lookup = sms.lookup },
  webhooks = {
    ["/call-status"] = { methods = { "POST" }, handle = webhooks.call_status },
    ["/message"] = { methods = { "POST" }, handle = webhooks.message },
    ["/message-status"] = { methods = { "POST" }, handle = webhooks.message_status },
  },
}
