-- SPDX-License-Identifier: Apache-2.0
--- Runs in plain Lua with a fake ctx: `perigee plugins test .` in the plugin's folder.
local kit = require("testkit")

local handle = kit.load(".").webhooks["/tickets"].handle

local function post(json, signature)
  local ctx = kit.context({ config = { key = "0123456789" } })
  signature = signature or ctx.crypto.hmac("sha256", "0123456789", "the body")
  return handle(ctx, { method = "POST", headers = { ["x-signature"] = signature }, body = "the body", json = json }), ctx
end

describe("a ticket", function()
  it("is stored and told to rules", function()
    local answer, ctx = post({ id = "7", title = "No heating" })
    assert.equal(204, answer.status)
    local stored = ctx.data.query("ticket")[1]
    assert.same({ "7", "No heating", "open" }, { stored.externalId, stored.title, stored.status })
    assert.equal("@WORD@.Ticket", ctx.kit.emitted[1].type)
    assert.equal(stored.id, ctx.kit.emitted[1].data.ticket)
  end)

  it("is refused without the right signature", function()
    local answer, ctx = post({ id = "7" }, "guess")
    assert.equal(401, answer.status)
    assert.same({}, ctx.data.query("ticket"))
  end)

  it("is refused when it is none", function()
    assert.equal(400, post(nil).status)
    assert.equal(400, post({ title = "no id" }).status)
  end)
end)
