-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

describe("notify.send", function()
  it("uses the configured channel and recipient", function()
    local host = kit.host({
      config = { channel = "email", to = "ada" }, data = { contact = { { id = "ada", emails = { "ada@example.org" } } } },
    })
    host:call("notify.send", { message = "m", title = "t" })
    assert.equal("email", host.sent[1].channel_type)
    assert.equal("ada@example.org", host.sent[1].to)
    assert.equal("t", host.sent[1].subject)
  end)

  it("needs nobody on a channel that knows whom it reaches", function()
    local host = kit.host()
    host:call("notify.send", { message = "m" })
    assert.same({ "notify", nil }, { host.sent[1].channel_type, host.sent[1].to })
  end)

  it("says when a recipient is missing", function()
    local host = kit.host({ config = { channel = "sms" } })
    assert.equal("no_recipient", kit.fails(host.call, host, "notify.send", { message = "m" }).code)
    assert.same({}, host.sent)
  end)
end)
