-- SPDX-License-Identifier: Apache-2.0
--- A host of a spec: the plugin under test, loaded by the program as the service loads it.

local fakes = require("testkit.fakes")
local outside = require("testkit.outside")
local wire = require("testkit.wire")

local Host = {}
Host.__index = Host

local open = {} -- number -> host

--- Errors as a handler raises them: a table with code, message, retryable, outcome, retry_after; as a text it says where.
local Error = {
  __tostring = function(err)
    return ("%s [%s]"):format(err.message, err.code)
  end,
}

local function raise(err, level)
  error(setmetatable(err, Error), level or 0)
end

--- {level, message, data, plugin} of a line of the log.
local function log_of(row)
  local entry = { level = row.level, message = row.text, plugin = row.area:match("^plugin%.(.*)$") }
  local at = row.text:find(" [{%[]")
  while at do
    local data = wire.decode(row.text:sub(at + 1))
    if type(data) == "table" then
      entry.message, entry.data = row.text:sub(1, at - 1), data
      break
    end
    at = row.text:find(" [{%[]", at + 1)
  end
  return entry
end

--- Lines of the service itself (area without a plugin) are in host.service_log.
local function take_news(host, news)
  for _, row in ipairs(news.logs) do
    local entry = log_of(row)
    local into = entry.plugin and host.logs or host.service_log
    into[#into + 1] = entry
  end
  for _, event in ipairs(news.events) do
    host.heard[#host.heard + 1] = event
    if event.source ~= "spec" and not event.source:find("^perigee:") then
      host.emitted[#host.emitted + 1] = event
    end
  end
  for _, message in ipairs(news.sent) do
    host.sent[#host.sent + 1] = message
  end
  host.now_ms = news.now_ms
end

local function ask(host, request)
  assert(not host.closed, "this host is closed")
  request.host = host.number
  local reply = wire.ask(request, function(number, raw)
    return outside.answer(open[number] or host, raw)
  end)
  if reply.news then
    take_news(host, reply.news)
  end
  if reply.error then
    raise(reply.error)
  end
  return reply
end

local function main_package(options)
  local manifest = options.manifest or {}
  if options.permissions then
    manifest.permissions = wire.list(options.permissions)
  end
  return {
    folder = options.folder or (not options.files and ".") or nil,
    files = options.files,
    manifest = next(manifest) and manifest or nil,
  }
end

local function row_of(rows, id)
  for _, row in ipairs(rows) do
    if row.id == id or (not id and not row.id:find("^testkit%.")) then
      return row
    end
  end
end

local function why_not(row, findings)
  local problem = row and (row.error or row.refusal)
  local why = problem and problem.message or (row and "it is " .. row.state) or "no plugin.json"
  return "the plugin does not load: " .. why .. (findings[1] and "\n" .. table.concat(findings, "\n") or "")
end

local function id_of(options, main)
  if main.manifest and main.manifest.id then
    return main.manifest.id
  end
  local file = main.folder and io.open(main.folder .. "/plugin.json")
  if not file then
    return options.id
  end
  local manifest = wire.decode(file:read("a")) or {}
  file:close()
  return manifest.id
end

--- See testkit/init.lua for the options.
function Host.open(options)
  local host = {
    options = options, requests = {}, mails = {}, calls = {}, emitted = {}, heard = {}, sent = {}, logs = {}, service_log = {},
  }
  setmetatable(host, Host)
  local main = options.package or main_package(options)
  local packages = { main, table.unpack(options.also or {}) }
  for _, package in ipairs(fakes.packages(options)) do
    packages[#packages + 1] = package
  end
  host.id = id_of(options, main)
  local config = { [host.id or ""] = options.config }
  for id, other in pairs(options.configs or {}) do
    config[id] = other
  end
  local reply = ask(host, {
    ["do"] = "open", packages = packages, config = config, now = options.now, timezone = options.timezone, data = options.data,
    secrets = options.secrets, accounts = options.accounts, channels = options.channels,
    isolate = (options.isolation or os.getenv("PERIGEE_SPEC_ISOLATION")) == "process" and { host.id } or nil,
  })
  host.number = reply.host
  open[host.number] = host
  host.findings = reply.findings
  host.row = row_of(reply.plugins, host.id)
  host.id = host.row and host.row.id
  if not options.may_fail and not (host.row and host.row.state == "active") then
    host:close()
    error(why_not(host.row, reply.findings), 3)
  end
  host.data, host.storage = Host.data_of(host), Host.storage_of(host)
  return host
end

function Host:close()
  if not self.closed then
    ask(self, { ["do"] = "close" })
    self.closed = true
    open[self.number] = nil
  end
end

-- Calls --

local function given(ctx, what)
  for _, key in ipairs({ "event", "rule", "run", "dry_run", "timeout_ms", "lookup", "first" }) do
    what[key] = ctx and ctx[key]
  end
  what.key = ctx and ctx.idempotency_key
  return what
end

local function give(self, answer)
  self.usage = answer.usage
  if answer.error then
    raise(answer.error)
  end
  if answer.is_condition then
    return answer.result.holds, answer.result.compared
  end
  return answer.result
end

--- A condition or action as a rule calls it; {holds, compared} of a condition are two results.
function Host:call(id, params, ctx)
  return give(self, ask(self, { ["do"] = "call", what = given(ctx, { operator = id, params = params or {} }) }).answer)
end

--- What became of an earlier attempt: the action's lookup, and the action itself where that knows of none.
function Host:lookup(id, params, ctx)
  local more = {}
  for key, value in pairs(ctx or {}) do
    more[key] = value
  end
  more.lookup, more.idempotency_key = true, more.idempotency_key or "spec/1"
  return self:call(id, params, more)
end

--- Sends over the channel under test, as ctx.send does; with ctx.lookup it asks first.
function Host:send(message, ctx)
  local type_ = assert(self.row.channels and self.row.channels[1] or self.options.channel, "the plugin has no channel")
  if type(type_) == "table" then
    type_ = type_.type
  end
  return self:call("testkit.send", { type = type_, message = message }, ctx)
end

--- Begins a call without waiting for its end: pending:done(), pending:result().
function Host:start(id, params, ctx)
  local reply = ask(self, { ["do"] = "call", start = true, what = given(ctx, { operator = id, params = params or {} }) })
  local host, pending = self, {}
  local answer = reply.answer
  function pending.done()
    answer = answer or ask(host, { ["do"] = "result", call = reply.call }).answer
    return answer ~= nil
  end
  function pending.result()
    assert(pending.done(), "the call has not ended: advance the clock")
    return give(host, answer)
  end
  return pending
end

local function form_text(form)
  local parts = {}
  for _, item in ipairs(form) do
    parts[#parts + 1] = { item.name, item.value }
  end
  for name, value in pairs(form) do
    if type(name) == "string" then
      parts[#parts + 1] = { name, tostring(value) }
    end
  end
  for i, pair in ipairs(parts) do
    local function escaped(text)
      return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
    end
    parts[i] = escaped(pair[1]) .. "=" .. escaped(pair[2])
  end
  return table.concat(parts, "&")
end

--- A request from outside: {method, headers, query, body | json | form}. Returns {status, headers, body, json}.
function Host:webhook(path, request)
  request = request or {}
  local headers, body = {}, request.body or ""
  for name, value in pairs(request.headers or {}) do
    headers[name] = value
  end
  if request.json ~= nil then
    body, headers["content-type"] = wire.encode(request.json), headers["content-type"] or "application/json"
  elseif request.form then
    body, headers["content-type"] = form_text(request.form), "application/x-www-form-urlencoded"
  end
  local response = ask(self, { ["do"] = "call", what = {
    webhook = path, plugin = request.plugin or self.id, method = request.method, headers = headers, query = request.query,
    body = utf8.len(body) and body or nil, body64 = not utf8.len(body) and wire.to_base64(body) or nil,
  } }).answer
  response.body = response.body64 and wire.from_base64(response.body64) or response.body
  response.json = wire.decode(response.body)
  response.body64 = nil
  return response
end

-- Events, time, life --

--- An event from outside; who hears it has done so when this returns.
function Host:emit(type_, data, more)
  local event = { type = type_, source = "spec", data = data }
  for key, value in pairs(more or {}) do
    event[key] = value
  end
  ask(self, { ["do"] = "emit", event = event })
end

--- Moves the clock; what becomes due on the way happens at its time.
function Host:advance(gap)
  ask(self, { ["do"] = "advance", ms = outside.milliseconds(gap) })
end

--- RFC 3339 in UTC.
function Host:now()
  local ms = self.now_ms
  return os.date("!%Y-%m-%dT%H:%M:%S", ms // 1000) .. (".%03dZ"):format(ms % 1000)
end

--- {id, state, error, refusal, operators, granted, ...} as `perigee plugins show`.
function Host:plugin(id)
  self.row = row_of(ask(self, { ["do"] = "plugins" }).plugins, id or self.id)
  return self.row
end

function Host:enable()
  ask(self, { ["do"] = "enable", plugin = self.id, enabled = true })
end

function Host:disable()
  ask(self, { ["do"] = "enable", plugin = self.id, enabled = false })
end

function Host:reload()
  ask(self, { ["do"] = "reload", plugin = self.id })
end

--- The newest line that the plugin logged (or the service about it) with this text in it.
function Host:logged(text)
  for i = #self.logs, 1, -1 do
    if self.logs[i].message:find(text, 1, true) then
      return self.logs[i]
    end
  end
end

-- Data and storage --

function Host.data_of(host)
  local data = {}
  local function request(what)
    return ask(host, { ["do"] = "data", what = what }).found
  end
  function data.put(type_, fields)
    return request({ verb = "put", type = type_, fields = fields })
  end
  function data.get(type_, id)
    return request({ verb = "get", type = type_, id = id })
  end
  function data.delete(type_, id)
    request({ verb = "delete", type = type_, id = id })
  end
  --- query: {where, order, limit}; all of them, oldest first, without one.
  function data.query(type_, query)
    query = query or {}
    return request({ verb = "query", type = type_, where = query.where, order = query.order or "createdAt", limit = query.limit }) or {}
  end
  return data
end

function Host.storage_of(host)
  local storage = {}
  local function request(what, key, options)
    options = options or {}
    what.plugin = options.plugin or host.id
    what.key = ("%s/%s/%s"):format(options.scope or "plugin", options.namespace or "", key or "")
    what.ttl_ms = options.ttl and outside.milliseconds(options.ttl)
    return ask(host, { ["do"] = "data", what = what }).found
  end
  function storage.get(key, options)
    return request({ verb = "value" }, key, options)
  end
  function storage.set(key, value, options)
    request({ verb = "set", value = value }, key, options)
  end
  function storage.list(prefix, options)
    local keys = request({ verb = "keys" }, prefix, options) or {}
    for i, key in ipairs(keys) do
      keys[i] = key:match("^[^/]*/[^/]*/(.*)$") or key
    end
    return keys
  end
  return storage
end

-- Text in the sandbox (kit.sandbox) --

local function run(self, id, code, args)
  local holds, result = self:call(id, { code = code, args = args or wire.list() })
  result = id == "probe.act" and holds or result
  return table.unpack(result.values, 1, result.n)
end

--- Runs the text as the body of an action: `ctx` and `args` are there, what it returns is returned.
function Host:run(code, args)
  return run(self, "probe.act", code, args)
end

--- The same as a condition, which changes nothing.
function Host:ask(code, args)
  return run(self, "probe.ask", code, args)
end

return Host
