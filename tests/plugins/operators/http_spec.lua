-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

describe("http.request", function()
  local function host_of(answer)
    return kit.host({ config = { hosts = { "api.example.com" } }, http = answer })
  end

  local function send(answer, params)
    local host = host_of(answer)
    params.url = "http://api.example.com/x"
    return pcall(host.call, host, "http.request", params)
  end

  it("returns status and decoded body", function()
    local ok, result = send({ json = { a = 1 } }, {})
    assert.is_true(ok)
    assert.same({ status = 200, headers = { ["content-type"] = "application/json" }, body = { a = 1 } }, result)
  end)

  it("sorts failures into final, retryable and unknown", function()
    local _, err = send({ status = 404 }, {})
    assert.same({ "http.status_404", false, nil }, { err.code, err.retryable, err.outcome })
    _, err = send({ status = 429 }, { method = "POST" })
    assert.same({ true, nil }, { err.retryable, err.outcome })
    _, err = send({ status = 500 }, { method = "POST" })
    assert.equal("unknown", err.outcome)
    _, err = send({ status = 500 }, { method = "GET" })
    assert.is_nil(err.outcome)
    assert.is_true((send({ status = 404 }, { failOnStatus = false })))
  end)

  it("passes on the step's key, and how long the server asks to wait", function()
    local host = host_of({ status = 429, headers = { ["retry-after"] = "7" } })
    local function refused(params, key)
      params.url = "http://api.example.com/x"
      return kit.fails(host.call, host, "http.request", params, { idempotency_key = key })
    end
    local function headers()
      return host.requests[#host.requests].headers
    end
    assert.equal(7.0, refused({ method = "POST", headers = { a = "b" } }, "i.7/1").retry_after)
    assert.same({ "b", "i.7/1" }, { headers().a, headers()["idempotency-key"] })
    refused({ method = "POST", headers = { ["idempotency-key"] = "mine" } }, "i.7/1")
    assert.equal("mine", headers()["idempotency-key"])
    refused({ method = "GET" }, "i.7/1")
    assert.is_nil(headers()["idempotency-key"])
  end)

  it("reaches the hosts of its settings only, and says where they are allowed when none is", function()
    local host = host_of({ json = {} })
    assert.equal("denied", kit.fails(host.call, host, "http.request", { url = "http://x.org/" }).code)
    assert.same({}, host.requests)
    host = kit.host()
    local err = kit.fails(host.call, host, "http.request", { url = "http://x.org/" })
    assert.equal("denied", err.code)
    assert.truthy(err.message:find("plugins.http.config.hosts", 1, true))
  end)
end)
