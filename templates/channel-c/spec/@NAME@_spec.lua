-- SPDX-License-Identifier: Apache-2.0
--- Build first, then `perigee plugins test .` in the plugin's folder: the program loads the shared object and calls it.
local kit = require("testkit")

local MESSAGE = { to = "ada", body = "hi" }

local function host_with(answer)
  local config = { url = "https://example.com/send", token = kit.secret("token") }
  return kit.host({ config = config, secrets = { token = "0123456789" }, http = answer })
end

local function sending(answer, message)
  local host = host_with(answer)
  return host, pcall(host.send, host, message or MESSAGE, { idempotency_key = "run-1/1" })
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

describe("after an attempt of unknown outcome", function()
  it("asks for the key, and sends what never arrived", function()
    local host = host_with({ ["GET example.com/send/*"] = { status = 404 }, ["POST example.com/send"] = { json = { id = "m2" } } })
    assert.equal("m2", host:send(MESSAGE, { lookup = true, idempotency_key = "k-1" }).messageId)
    assert.equal("https://example.com/send/k-1", host.requests[1].url)
    assert.equal(2, #host.requests)
  end)

  it("does not send what did", function()
    local host = host_with({ ["GET example.com/send/*"] = { json = { id = "m3" } } })
    assert.equal("m3", host:send(MESSAGE, { lookup = true, idempotency_key = "k-1" }).messageId)
    assert.equal(1, #host.requests)
  end)
end)
