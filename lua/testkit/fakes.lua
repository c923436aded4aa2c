-- SPDX-License-Identifier: Apache-2.0
--- Packages that stand in for other plugins: a channel for each type that a spec answers, operators for ctx.call, and a
--- door to the channel under test. They are plugins like any other; their handlers ask the spec (outside.lua).

local outside = require("testkit.outside")
local wire = require("testkit.wire")

local M = {}

local function package(id, type_, permissions, text)
  local manifest = {
    id = id, name = id, version = "1.0.0", type = type_, apiVersion = "1.0", entrypoint = "./init.lua", permissions = permissions,
  }
  return { manifest = manifest, files = { ["init.lua"] = text } }
end

local ASK = [[
local function ask(ctx, path, given)
  local response = ctx.http.post("http://%s/" .. path, { json = given })
  if response.status ~= 200 then
    error(response.json)
  end
  return response.json.result
end
]]

local function channel(type_)
  local text = ASK:format(outside.FAKES) .. ([[
return { channel = { type = %q, delivery = "repeat", send = function(ctx, message) return ask(ctx, "send/%s", message) end } }
]]):format(type_, type_)
  return package("testkit.channel-" .. type_:lower():gsub("[^%w]", "-"), "channel", { "network:outbound:" .. outside.FAKES }, text)
end

local function operators(actions, conditions)
  local parts = { ASK:format(outside.FAKES), "return { actions = {\n" }
  for id in pairs(actions or {}) do
    parts[#parts + 1] = ('[%q] = { execute = function(p, ctx) return ask(ctx, "operators/%s", p) end },\n'):format(id, id)
  end
  parts[#parts + 1] = "}, conditions = {\n"
  for id in pairs(conditions or {}) do
    parts[#parts + 1] = ('[%q] = { evaluate = function(p, ctx) return ask(ctx, "conditions/%s", p) end },\n'):format(id, id)
  end
  parts[#parts + 1] = "} }"
  return package("testkit.operators", "operator", { "network:outbound:" .. outside.FAKES }, table.concat(parts))
end

--- testkit.send {type, message}: as a rule's action would, so that the channel under test gets what it would get.
local function door()
  return package("testkit.door", "operator", { "channels:send:*" }, [[
return { actions = { ["testkit.send"] = { execute = function(p, ctx) return ctx.send(p.type, p.message) end } } }
]])
end

function M.packages(options)
  local list = { door() }
  for type_ in pairs(options.send or {}) do
    list[#list + 1] = channel(type_)
  end
  if options.operators or options.conditions then
    list[#list + 1] = operators(options.operators, options.conditions)
  end
  return list
end

--- A plugin that runs the text that a spec gives it, in the sandbox and with the permissions of the spec.
function M.probe(permissions)
  local probe = package("spec.probe", "operator", wire.list(permissions or {}), [[
local function run(params, ctx)
  local chunk, why = load("local ctx, args = ... " .. params.code, "=spec", "t")
  if not chunk then error(why, 0) end
  local out = table.pack(chunk(ctx, params.args))
  local count = out.n
  out.n = nil
  for i = 1, count do
    if out[i] == nil then out[i] = ctx.json.null end
  end
  return { n = count, values = ctx.json.array(out) }
end
return {
  actions = { ["probe.act"] = { execute = run } },
  conditions = { ["probe.ask"] = { evaluate = function(params, ctx) return true, run(params, ctx) end } },
}
]])
  return probe
end

return M
