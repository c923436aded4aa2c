-- SPDX-License-Identifier: Apache-2.0
--- `perigee plugins test .` in the plugin's folder: the plugin runs in the sandbox, the spec beside it.
local kit = require("testkit")

local KEY = "0123456789"

local function post(body, signature)
  local host = kit.host({ config = { key = KEY } })
  local headers = { ["x-signature"] = signature or kit.hmac("sha256", KEY, body), ["content-type"] = "application/json" }
  return host:webhook("/tickets", { headers = headers, body = body }), host
end

describe("a ticket", function()
  it("is stored and told to rules", function()
    local answer, host = post('{"id": "7", "title": "No heating"}')
    assert.equal(204, answer.status)
    local stored = host.data.query("ticket")[1]
    assert.same({ "7", "No heating", "open" }, { stored.externalId, stored.title, stored.status })
    assert.equal("@WORD@.Ticket", host.emitted[1].type)
    assert.equal(stored.id, host.emitted[1].data.ticket)
  end)

  it("is refused without the right signature", function()
    local answer, host = post('{"id": "7"}', "guess")
    assert.equal(401, answer.status)
    assert.same({}, host.data.query("ticket"))
  end)

  it("is refused when it is none", function()
    assert.equal(400, post("no JSON").status)
    assert.equal(400, post('{"title": "no id"}').status)
  end)
end)
