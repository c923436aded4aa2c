-- SPDX-License-Identifier: Apache-2.0
--- What the outside world answers in a spec: HTTP requests, mails, and the fake channels and operators of fakes.lua.

local wire = require("testkit.wire")

local M = {}

M.FAKES = "testkit.invalid"

local UNITS = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }

--- ms of "1h30m" or of a number of seconds.
function M.milliseconds(gap)
  if type(gap) == "number" then
    return math.floor(gap * 1000)
  end
  local total, rest = 0, gap
  while rest ~= "" do
    local number, unit, tail = rest:match("^(%d+)(%a+)(.*)$")
    assert(UNITS[unit], "not a duration: " .. gap)
    total, rest = total + tonumber(number) * UNITS[unit], tail
  end
  return total
end

local function unescaped(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function pairs_of(text)
  local found = {}
  for name, value in text:gmatch("([^&=]+)=?([^&]*)") do
    found[unescaped(name)] = unescaped(value)
  end
  return found
end

local function body_of(raw)
  return raw.body64 and wire.from_base64(raw.body64) or raw.body or ""
end

--- {method, url, host, path, query, headers (names in lower case), body, json | form, auth, user_agent, timeout_ms}
local function request_of(raw)
  local request = { method = raw.method, url = raw.url, headers = {}, query = {}, body = body_of(raw) }
  for _, pair in ipairs(raw.headers) do
    local name = pair[1]:lower()
    request.headers[name] = request.headers[name] and request.headers[name] .. ", " .. pair[2] or pair[2]
  end
  request.host, request.path = raw.url:match("^%w+://([^/?#]*)([^?#]*)")
  request.query = pairs_of(raw.url:match("%?([^#]*)") or "")
  local type_ = request.headers["content-type"] or ""
  if type_:find("json", 1, true) then
    request.json = wire.decode(request.body)
  elseif type_:find("application/x-www-form-urlencoded", 1, true) then
    request.form = pairs_of(request.body)
  end
  if raw.user then
    request.auth = { user = raw.user, password = raw.password }
  end
  for _, key in ipairs({ "user_agent", "timeout_ms", "cert", "key", "ca" }) do
    request[key] = raw[key]
  end
  return request
end

local function glob(text)
  return "^" .. text:gsub("[%.%-%+%(%)%[%]%^%$%%%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

--- The most exact pattern decides: that with the most text.
local function choose(answers, request)
  local best, found
  for pattern, answer in pairs(answers) do
    local method, rest = pattern:match("^(%u+) (.*)$")
    local where = request.host .. request.path
    local fits = (not method or method == request.method) and where:match(glob(rest or pattern))
    if fits and (not best or #pattern > #best) then
      best, found = pattern, answer
    end
  end
  return found
end

local function error_of(problem)
  if type(problem) == "string" then
    problem = { code = problem }
  end
  local message = problem.message or problem.code
  return { error = { code = problem.code, message = message, retryable = problem.retryable, outcome = problem.outcome } }
end

local function reply_of(answer)
  if answer == nil then
    return error_of({ code = "http.unavailable", message = "the spec has no answer" })
  end
  if answer.error then
    return error_of(answer.error)
  end
  local headers = {}
  for name, value in pairs(answer.headers or {}) do
    headers[name:lower()] = value
  end
  local body = answer.body or ""
  if answer.json ~= nil then
    body = wire.encode(answer.json)
    headers["content-type"] = headers["content-type"] or "application/json"
  end
  return {
    status = answer.status or 200,
    headers = headers,
    body = utf8.len(body) and body or nil,
    body64 = not utf8.len(body) and wire.to_base64(body) or nil,
    delay_ms = answer.delay and M.milliseconds(answer.delay) or nil,
  }
end

--- An answer, not answers by pattern.
local function is_answer(value)
  for _, key in ipairs({ "status", "json", "body", "headers", "error", "delay" }) do
    if value[key] ~= nil then
      return true
    end
  end
  return false
end

local function answer_http(host, raw)
  local request = request_of(raw)
  host.requests[#host.requests + 1] = request
  local answer = host.options.http
  if type(answer) == "table" and not is_answer(answer) then
    answer = choose(answer, request)
  end
  if type(answer) == "function" then
    answer = answer(request)
  end
  return reply_of(answer)
end

local function answer_mail(host, raw)
  local mail = { to = {}, message = body_of(raw), user = raw.user, password = raw.password }
  mail.host, mail.port = raw.url:match("^smtp://(.*):(%d+)$")
  mail.port = tonumber(mail.port)
  for _, pair in ipairs(raw.headers) do
    if pair[1] == "to" then
      mail.to[#mail.to + 1] = pair[2]
    else
      mail[pair[1]] = pair[2]
    end
  end
  host.mails[#host.mails + 1] = mail
  local answer = host.options.smtp and host.options.smtp(mail) or { code = 250, text = "queued" }
  if answer.error then
    return error_of(answer.error)
  end
  return { status = answer.code or 250, headers = {}, body = answer.text or "" }
end

--- A fake channel or operator: what its function raises is the error that the plugin sees.
local function answer_fake(host, raw)
  local kind, name = raw.url:match("^https?://[^/]*/(%a+)/(.*)$")
  local given = wire.decode(raw.body) or {}
  if kind == "operators" then
    host.calls[#host.calls + 1] = { operator = name, params = given }
  end
  local ok, result = pcall(host.options[kind][name], given)
  if ok then
    return reply_of({ json = { result = result == nil and wire.null or result } })
  end
  return reply_of({ status = 500, json = type(result) == "table" and result or { message = tostring(result) } })
end

function M.answer(host, raw)
  if raw.method == "SMTP" then
    return answer_mail(host, raw)
  elseif raw.url:find("://" .. M.FAKES .. "/", 1, true) then
    return answer_fake(host, raw)
  end
  return answer_http(host, raw)
end

return M
