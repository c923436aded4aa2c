-- SPDX-License-Identifier: Apache-2.0
--- `perigee plugins test .` in the plugin's folder: the plugin runs in the sandbox, the spec beside it.
local kit = require("testkit")

local function sending(answer, message)
  local config = { url = "https://example.com/send", token = kit.secret("token") }
  local host = kit.host({ config = config, secrets = { token = "0123456789" }, http = answer })
  return host, pcall(host.send, host, message or { to = "ada", body = "hi" }, { idempotency_key = "run-1/1" })
end

describe("sending", function()
  it("posts the message", function()
    local host, ok, result = sending({ json = { id = "m1" } })
    assert.is_true(ok)
    assert.same({ true, "m1" }, { result.ok, result.messageId })
    local request = host.requests[1]
    assert.equal("https://example.com/send", request.url)
    assert.same({ to = "ada", body = "hi" }, request.json)
    assert.equal("run-1/1", request.headers["idempotency-key"])
    assert.equal("Bearer 0123456789", request.headers.authorization)
  end)

  it("says which failures are worth another attempt", function()
    local _, ok, err = sending({ status = 400 })
    assert.same({ false, "@WORD@.http_400", false }, { ok, err.code, err.retryable })
    _, _, err = sending({ status = 429, headers = { ["retry-after"] = "7" } })
    assert.same({ true, 7.0 }, { err.retryable, err.retry_after })
    _, _, err = sending({ status = 500 })
    assert.equal("unknown", err.outcome)
  end)

  it("needs a recipient", function()
    local host, ok, err = sending(nil, { body = "hi" })
    assert.same({ false, "@WORD@.no_recipient", 0 }, { ok, err.code, #host.requests })
  end)
end)
