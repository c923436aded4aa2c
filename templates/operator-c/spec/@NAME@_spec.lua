-- SPDX-License-Identifier: Apache-2.0
--- C code has no fake host: the program itself calls it. Build first, then `perigee plugins test .` in the plugin's folder.
local kit = require("testkit")

describe("@WORD@.count", function()
  it("counts words, not spaces", function()
    assert.same({ words = 0 }, (kit.real("@WORD@.count", { text = " " })))
    assert.same({ words = 3 }, (kit.real("@WORD@.count", { text = " it's  a\nplugin" })))
  end)

  it("needs a text", function()
    local _, err = kit.real("@WORD@.count", { text = 7 })
    assert.equal("params", err.code)
  end)
end)
