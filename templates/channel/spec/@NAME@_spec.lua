-- SPDX-License-Identifier: Apache-2.0
--- Runs in plain Lua with a fake ctx: `perigee plugins test .` in the plugin's folder.
local kit = require("testkit")

local send = kit.load(".").channel.send

local function sending(answer, message)
  local ctx = kit.context({ config = { url = "https://example.com/send", token = "t" }, http = function() return answer end })
  return ctx, pcall(send, ctx, message or { to = "ada", body = "hi", idempotency_key = "run-1/1" })
end

describe("sending", function()
  it("posts the message", function()
    local ctx, ok, result = sending({ status = 200, headers = {}, json = { id = "m1" } })
    assert.is_true(ok)
    assert.same({ ok = true, messageId = "m1" }, result)
    local request = ctx.kit.requests[1]
    assert.equal("https://example.com/send", request.url)
    assert.same({ to = "ada", body = "hi" }, request.json)
    assert.equal("run-1/1", request.headers["Idempotency-Key"])
  end)

  it("says which failures are worth another attempt", function()
    local _, ok, err = sending({ status = 400, headers = {} })
    assert.same({ false, "@WORD@.http_400", false }, { ok, err.code, err.retryable })
    _, _, err = sending({ status = 429, headers = { ["retry-after"] = "7" } })
    assert.same({ true, 7 }, { err.retryable, err.retry_after })
    _, _, err = sending({ status = 500, headers = {} })
    assert.equal("unknown", err.outcome)
  end)

  it("needs a recipient", function()
    local _, ok, err = sending(nil, { body = "hi" })
    assert.same({ false, "@WORD@.no_recipient" }, { ok, err.code })
  end)
end)
