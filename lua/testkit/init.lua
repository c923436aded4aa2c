-- SPDX-License-Identifier: Apache-2.0
--- A fake host for specs: loads a plugin's package and gives its handlers a ctx with a fake clock, data in memory, and
--- recorded messages, events and HTTP requests. It grants everything; what a real host refuses is tested with the program.
---
---   local kit = require("testkit")
---   local plugin = kit.load("operators/comms")
---   local ctx = kit.context({ data = { contact = { { id = "ada", tags = { "vip" } } } } })
---   local holds, why = plugin.conditions["contact.HasTag"].evaluate({ tag = "vip" }, ctx)

local dkjson = require("dkjson")
local memory = require("testkit.memory")
local plans = require("testkit.plans")
local real = require("testkit.real")
local storage = require("testkit.storage")
local times = require("testkit.times")

--- real(id, params, options): the operator as the program itself runs it.
local M = { real = real.call }

--- Runs the package's init.lua as the host does: its own modules and lua/perigee by require, fresh each time.
---@param folder string "." in the specs of a package
---@return table package
---@return fun(name: string): any require the package's own require
function M.load(folder)
  local loaded = {}
  local function inner_require(name)
    if loaded[name] ~= nil then
      return loaded[name]
    end
    local path = folder .. "/" .. name:gsub("%.", "/") .. ".lua"
    local file = io.open(path, "r")
    if not file then
      path = assert(package.searchpath(name, package.path), "no module " .. name)
      file = assert(io.open(path, "r"))
    end
    local text = file:read("a")
    file:close()
    local env = setmetatable({ require = inner_require }, { __index = _G })
    loaded[name] = assert(load(text, "@" .. path, "t", env))() or true
    return loaded[name]
  end
  return inner_require("init"), inner_require
end

--- Text through a program; both are ours, so quoting is enough.
local function pipe(command, input)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(input)
  file:close()
  local process = assert(io.popen(command .. " < " .. name, "r"))
  local output = process:read("a")
  process:close()
  os.remove(name)
  return output
end

local function hex_to_bytes(hex)
  return (hex:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function encode(bytes, form)
  if form == "raw" then
    return bytes
  end
  if form == "base64" then
    return (pipe("openssl base64 -A", bytes))
  end
  return (bytes:gsub(".", function(c)
    return string.format("%02x", c:byte())
  end))
end

local uuids = 0

local crypto = {
  hmac = function(algorithm, key, data, form)
    local hex = pipe("openssl dgst -" .. algorithm .. " -hmac '" .. key .. "' -r", data):match("^%x+")
    return encode(hex_to_bytes(hex), form or "hex")
  end,
  sha256 = function(data, form)
    return encode(hex_to_bytes(pipe("openssl dgst -sha256 -r", data):match("^%x+")), form or "hex")
  end,
  base64 = setmetatable({
    encode = function(data)
      return encode(data, "base64")
    end,
    decode = function(text)
      return pipe("openssl base64 -d -A", text)
    end,
  }, {
    __call = function(_, data)
      return encode(data, "base64")
    end,
  }),
  uuid = function()
    uuids = uuids + 1
    return string.format("00000000-0000-4000-8000-%012d", uuids)
  end,
  equals = function(a, b)
    return a == b
  end,
}

--- Fills defaults of a params schema, as the host does before a call.
---@param schema table
---@param params table
---@return table
function M.params(schema, params)
  local copy = {}
  for key, value in pairs(params) do
    copy[key] = value
  end
  for key, property in pairs(schema.properties or {}) do
    if copy[key] == nil and type(property) == "table" then
      copy[key] = property.default
    end
  end
  return copy
end

--- Calls a condition or action by id with defaults filled.
function M.call(plugin, id, params, ctx)
  local condition, action = (plugin.conditions or {})[id], (plugin.actions or {})[id]
  local operator = assert(condition or action, "no operator " .. id)
  return (operator.evaluate or operator.execute)(M.params(operator.params or {}, params), ctx)
end

--- Asks an action of delivery "lookup" what became of an earlier attempt.
function M.lookup(plugin, id, params, ctx)
  local action = assert((plugin.actions or {})[id], "no action " .. id)
  return action.lookup(M.params(action.params or {}, params), ctx)
end

local function http(kit, options)
  local api = {}
  function api.request(request)
    kit.requests[#kit.requests + 1] = request
    return assert(options.http, "this spec has no http")(request)
  end
  for _, method in ipairs({ "GET", "POST" }) do
    api[method:lower()] = function(url, more)
      local request = { method = method, url = url }
      for key, value in pairs(more or {}) do
        request[key] = value
      end
      return api.request(request)
    end
  end
  return api
end

--- A ctx. Options: now (RFC 3339), config, event (envelope; data is its payload), data ({type = {entities}}), idempotency_key,
--- http (function(request) -> response), send (function(type, message) -> result), smtp (function(mail) -> answer).
--- call (function(operator_id, params) -> result), files ({path = content}), plugin (the package, for the jobs of schedules).
--- ctx.kit.hear(type, data) hands an event to those that subscribed, ctx.kit.advance(gap) moves the clock and runs what is due.
--- Afterwards ctx.kit has sent, emitted, calls, requests, mails, logged and store.
function M.context(options)
  options = options or {}
  local clock = { ms = times.parse(options.now or "2026-01-10T12:00:00.000Z") }
  local kit = { sent = {}, emitted = {}, calls = {}, requests = {}, mails = {}, logged = {}, clock = clock }
  kit.store = memory.new(options.data or {}, clock)
  local ctx = {
    kit = kit,
    id = "spec",
    config = options.config or {},
    event = options.event,
    idempotency_key = options.idempotency_key or "key.1/1",
    crypto = crypto,
    data = kit.store,
    storage = storage.new(clock),
    json = { null = dkjson.null, encode = dkjson.encode, decode = dkjson.decode, array = function(list) return list end },
    log = {},
  }
  for _, level in ipairs({ "debug", "info", "warn", "error" }) do
    ctx.log[level] = function(message, data)
      kit.logged[#kit.logged + 1] = { level = level, message = message, data = data }
    end
  end
  ctx.time = times.api(clock)
  ctx.emit = function(type, data, more)
    kit.emitted[#kit.emitted + 1] = { type = type, data = data, options = more or {} }
  end
  ctx.send = function(type, message)
    kit.sent[#kit.sent + 1] = { type = type, message = message }
    return options.send and options.send(type, message) or { messageId = "m" .. #kit.sent, channel = "fake" }
  end
  ctx.http = http(kit, options)
  ctx.call = function(id, params)
    kit.calls[#kit.calls + 1] = { operator = id, params = params }
    return assert(options.call, "this spec has no call")(id, params or {})
  end
  ctx.secret = function(name)
    return setmetatable({}, { __tostring = function() return "secret" end, __name = name })
  end
  ctx.events = plans.events(kit, ctx)
  ctx.schedule = plans.schedule(kit, ctx, clock, options)
  ctx.mappings = plans.mappings(clock)
  ctx.files = plans.files(options.files or {})
  ctx.smtp = {
    send = function(mail)
      kit.mails[#kit.mails + 1] = mail
      return options.smtp and options.smtp(mail) or { code = 250, text = "queued" }
    end,
  }
  return ctx
end

return M
