-- SPDX-License-Identifier: Apache-2.0
--- Runs in plain Lua with a fake ctx: `perigee plugins test .` in the plugin's folder.
local kit = require("testkit")

local plugin = kit.load(".")

describe("@WORD@.greet", function()
  it("counts greetings", function()
    local ctx = kit.context({ config = { greeting = "Hi" } })
    assert.same({ text = "Hi, Ada!", times = 1 }, kit.call(plugin, "@WORD@.greet", { name = "Ada" }, ctx))
    assert.equal(2, kit.call(plugin, "@WORD@.greet", { name = "Ada" }, ctx).times)
    assert.is_true((kit.call(plugin, "@WORD@.wasGreeted", { name = "Ada", times = 2 }, ctx)))
    assert.is_false((kit.call(plugin, "@WORD@.wasGreeted", { name = "Bob" }, ctx)))
  end)

  it("refuses a blank name", function()
    local ok, err = pcall(kit.call, plugin, "@WORD@.greet", { name = " " }, kit.context({}))
    assert.is_false(ok)
    assert.equal("no_name", err.code)
  end)
end)
