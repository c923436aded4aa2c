-- SPDX-License-Identifier: Apache-2.0
--- operators/data is written in C.
local kit = require("testkit")

local function call(operator, params)
  local host = kit.host()
  local ok, result = pcall(host.call, host, operator, params)
  if ok then
    return result, nil, host
  end
  return nil, result, host
end

describe("data.query", function()
  it("finds nothing where nothing is", function()
    assert.same({ items = {}, count = 0 }, (call("data.query", { type = "task", where = { status = "pending" }, order = "dueAt" })))
  end)

  it("refuses what is no question", function()
    assert.equal("params", select(2, call("data.query", { where = { a = 1 } })).code)
    assert.equal("params", select(2, call("data.query", { type = "task", limit = 0 })).code)
    assert.equal("invalid", select(2, call("data.query", { type = "No type!" })).code)
    assert.equal("invalid", select(2, call("data.query", { type = "task", where = { a = { near = 1 } } })).code)
  end)
end)

describe("data.update", function()
  it("makes an entity only when it is told to", function()
    local result, err = call("data.update", { type = "task", id = "t1", set = { status = "done" } })
    assert.is_nil(result)
    assert.equal("not_found", err.code)
    result = call("data.update", { type = "task", id = "t1", set = { status = "done" }, create = true })
    assert.same({ id = "t1", type = "task", status = "done" }, result)
  end)

  it("takes the id that the source gave", function()
    local result, _, host = call("data.update", { type = "task", externalId = "7", source = "desk", set = { a = 1 }, create = true })
    assert.same({ "7", "desk", 1 }, { result.externalId, result.source, result.a })
    assert.equal(1, host.data.get("task", result.id).a)
  end)

  it("needs to know which one", function()
    assert.equal("bad_params", select(2, call("data.update", { type = "task", set = { a = 1 } })).code)
  end)
end)
