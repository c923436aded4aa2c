-- SPDX-License-Identifier: Apache-2.0
--- Build first, then `perigee plugins test .` in the plugin's folder: the program loads the shared object and calls it.
local kit = require("testkit")

local host
setup(function() host = kit.host() end)

describe("@WORD@.count", function()
  it("counts words, not spaces", function()
    assert.same({ words = 0 }, host:call("@WORD@.count", { text = " " }))
    assert.same({ words = 3 }, host:call("@WORD@.count", { text = " it's  a\nplugin" }))
  end)

  it("needs a text", function()
    assert.equal("params", kit.fails(host.call, host, "@WORD@.count", { text = 7 }).code)
  end)
end)
