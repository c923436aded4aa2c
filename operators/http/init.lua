-- SPDX-License-Identifier: Apache-2.0
local actions = {}

local SAFE = { GET = true, HEAD = true, OPTIONS = true }

--- 429 and 503 say that nothing was done; other server errors leave it open.
local function check(response, method, params)
  local status = response.status
  if params.failOnStatus == false or status < 400 then
    return
  end
  local refused = status == 408 or status == 425 or status == 429 or status == 503
  local retryable = refused or (status >= 500 and SAFE[method] == true)
  error({
    code = "http.status_" .. status,
    message = "the server answered " .. status,
    retryable = retryable or status >= 500,
    outcome = status >= 500 and not refused and not SAFE[method] and "unknown" or nil,
    retry_after = tonumber(response.headers["retry-after"]),
  })
end

--- The step's key, so that the server can tell a repeat from a second request. A rule's own header comes first.
local function with_key(headers, method, ctx)
  if SAFE[method] or not ctx.idempotency_key then
    return headers
  end
  local all = { ["Idempotency-Key"] = ctx.idempotency_key }
  for name, value in pairs(headers or {}) do
    if name:lower() == "idempotency-key" then
      all["Idempotency-Key"] = nil
    end
    all[name] = value
  end
  return all
end

actions["http.request"] = {
  description = "Sends an HTTP request to a host that the settings or the policy allow.",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      url = { type = "string", minLength = 8, pattern = "^[Hh][Tt][Tt][Pp][Ss]?://", description = "http:// or https://" },
      method = { enum = { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" }, default = "GET", description = "what to do there" },
      headers = { type = "object", description = "names and values" },
      query = { type = "object", description = "names and values; a list repeats its name" },
      body = { type = "string", description = "sent as it is; at most one of body, json and form" },
      json = { description = "any value, sent as JSON" },
      form = { type = "object", description = "names and values, sent as a form" },
      timeout = { type = "string", description = "duration, at most 30s" },
      failOnStatus = { type = "boolean", default = true, description = "a status from 400 up fails the step" },
    },
    required = { "url" },
  },
  execute = function(params, ctx)
    if not ctx.http or #ctx.config.hosts == 0 then
      error({ code = "denied", message = "no host is allowed: list it under plugins.http.config.hosts in perigee.yaml" })
    end
    local response = ctx.http.request({
      url = params.url,
      method = params.method,
      headers = with_key(params.headers, params.method, ctx),
      query = params.query,
      body = params.body,
      json = params.json,
      form = params.form,
      timeout_ms = params.timeout and math.min(ctx.time.duration(params.timeout), 30000) or nil,
    })
    check(response, params.method, params)
    return { status = response.status, headers = response.headers, body = response.json or response.body }
  end,
}

return { actions = actions }
