-- SPDX-License-Identifier: Apache-2.0
--- Build first, then `perigee plugins test .` in the plugin's folder: the program loads the shared object and calls it.
local kit = require("testkit")

local TICKETS = { { id = "7", title = "No heating" }, { id = "8", title = "Noise", status = "closed" } }

local function host_with(answer)
  return kit.host({ config = { url = "https://example.com/tickets" }, http = answer })
end

describe("fetching", function()
  it("stores tickets and tells rules", function()
    local host = host_with({ json = TICKETS })
    assert.same({ items = 2, entities = 2, events = 2 }, host:call("@ID@.sync", {}))
    local stored = host.data.query("ticket", { externalId = "7" })[1]
    assert.same({ "7", "No heating", "open" }, { stored.externalId, stored.title, stored.status })
    assert.equal("@WORD@.Ticket", host.emitted[1].type)
    assert.same({ id = "8", title = "Noise" }, host.emitted[2].data)
  end)

  it("goes on behind what it has, unless told to forget", function()
    local host = host_with({ json = TICKETS })
    host:call("@ID@.sync", {})
    host:call("@ID@.sync", {})
    assert.equal("https://example.com/tickets?after=8", host.requests[2].url)
    assert.same({ ok = true }, host:call("@ID@.execute", { command = "forget" }))
    host:call("@ID@.sync", {})
    assert.equal("https://example.com/tickets", host.requests[3].url)
  end)

  it("happens every ten minutes", function()
    local host = host_with({ json = {} })
    host:advance("25m")
    assert.equal(2, #host.requests)
  end)

  it("stores nothing of an answer that is no list of tickets", function()
    local host = host_with({ status = 500 })
    assert.equal("@WORD@.answer", kit.fails(host.call, host, "@ID@.sync", {}).code)
    host = host_with({ json = { { id = "1" }, { title = "no id" } } })
    assert.equal("@WORD@.ticket", kit.fails(host.call, host, "@ID@.sync", {}).code)
    assert.same({}, host.data.query("ticket"))
  end)
end)
