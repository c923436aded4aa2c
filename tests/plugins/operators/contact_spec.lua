-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

describe("contact.HasTag", function()
  local data = { contact = { { id = "ada", tags = { "vip", "friend" } }, { id = "bob" } } }

  local function ask(params, payload)
    return kit.host({ data = data }):call("contact.HasTag", params, { event = payload and { type = "a.B", data = payload } })
  end

  it("asks the contact that is named, else the event's", function()
    assert.is_true((ask({ tag = "vip", contactId = "ada" })))
    assert.is_true((ask({ tag = "vip" }, { fromContactId = "ada" })))
    assert.is_true((ask({ tag = "vip" }, { contactId = "ada", fromContactId = "bob" })))
    assert.is_false((ask({ tag = "VIP" }, { contactId = "ada" })))
  end)

  it("explains a no", function()
    local holds, why = ask({ tag = "vip" }, { contactId = "bob" })
    assert.is_false(holds)
    assert.same({ contactId = "bob", actual = {}, wanted = "vip" }, why)
    why = select(2, ask({ tag = "vip" }, { contactId = "nobody" }))
    assert.equal("no such contact", why.actual)
    why = select(2, ask({ tag = "vip" }, {}))
    assert.equal("the event names no contact", why.actual)
  end)
end)
