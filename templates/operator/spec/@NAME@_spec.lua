-- SPDX-License-Identifier: Apache-2.0
--- `perigee plugins test .` in the plugin's folder: the plugin runs in the sandbox, the spec beside it.
local kit = require("testkit")

describe("@WORD@.greet", function()
  it("counts greetings", function()
    local host = kit.host({ config = { greeting = "Hi" } })
    assert.same({ text = "Hi, Ada!", times = 1 }, host:call("@WORD@.greet", { name = "Ada" }))
    assert.equal(2, host:call("@WORD@.greet", { name = "Ada" }).times)
    assert.is_true((host:call("@WORD@.wasGreeted", { name = "Ada", times = 2 })))
    assert.is_false((host:call("@WORD@.wasGreeted", { name = "Bob" })))
  end)

  it("refuses a blank name", function()
    local host = kit.host()
    assert.equal("no_name", kit.fails(host.call, host, "@WORD@.greet", { name = " " }).code)
  end)
end)
