-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

describe("core.log", function()
  it("logs at the level asked for", function()
    local host = kit.host()
    host:call("core.log", { message = "x", level = "warn", data = { a = 1 } })
    assert.same({ level = "warn", message = "x", data = { a = 1 }, plugin = host.id }, host:logged("x"))
  end)

  it("takes any value as data", function()
    local host = kit.host()
    host:call("core.log", { message = "x", data = 7 })
    assert.same({ value = 7 }, host:logged("x").data)
  end)
end)
