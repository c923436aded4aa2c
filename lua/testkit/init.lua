-- SPDX-License-Identifier: Apache-2.0
--- Specs for plugins. `perigee plugins test DIR` runs them with busted; the plugin itself runs where it always does, in
--- the sandbox of the program: the same globals, limits, permissions and errors, on a clock that stands still until the
--- spec moves it, with answers of the spec in place of the network.
---
---   local kit = require("testkit")
---   local host = kit.host({ config = { greeting = "Hi" }, data = { contact = { { id = "ada", tags = { "vip" } } } } })
---   local result = host:call("greeter.greet", { name = "Ada" })
---   host:advance("10m")
---
--- docs/plugins.md describes all of it.

local Host = require("testkit.host")
local fakes = require("testkit.fakes")
local wire = require("testkit.wire")

local M = { null = wire.null, list = wire.list }

-- A host that was opened in a test ends with it; one of a `setup` ends with the run.
local of_test
local good, busted = pcall(require, "busted")
if good and busted.subscribe then
  busted.subscribe({ "test", "start" }, function()
    of_test = {}
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function()
    for _, host in ipairs(of_test or {}) do
      host:close()
    end
    of_test = nil
    return nil, true
  end)
end

local function noted(host)
  if of_test then
    of_test[#of_test + 1] = host
  end
  return host
end

---@class testkit.Options
---@field folder? string the package (default: the folder that is tested)
---@field files? table<string, string> files added to a copy of it, or all of a package without a folder
---@field manifest? table members that replace those of plugin.json
---@field permissions? string[] in place of those of plugin.json
---@field config? table the plugin's settings
---@field configs? table<string, table> settings of others, by id
---@field secrets? table<string, string> values of secrets; settings name them with kit.secret(name)
---@field accounts? table<string, table> accounts that are connected, by provider: {user =, scopes =, hosts =, ...}
---@field data? table<string, table[]> entities by type
---@field now? string RFC 3339 (default: 2026-01-10T12:00:00.000Z)
---@field timezone? string
---@field http? table|fun(request: table): table? the answer, or answers by "host/path*" or "POST host/path"
---@field smtp? fun(mail: table): table?
---@field send? table<string, fun(message: table): table?> fake channels by type; without one messages go to the outbox
---@field operators? table<string, fun(params: table): any> fake actions for ctx.call
---@field conditions? table<string, fun(params: table): boolean> fake conditions for ctx.call
---@field also? table[] more packages: {folder =, files =, manifest =}
---@field isolation? "process"|"none" (default: what `perigee plugins test --isolation` says)
---@field may_fail? boolean do not raise when the plugin does not load: host.row says why

--- Loads the plugin.
---@param options? testkit.Options
function M.host(options)
  return noted(Host.open(options or {}))
end

--- An empty plugin with these permissions that runs what host:run(text, args) gives it. With folder: in that package.
function M.sandbox(options)
  local given = {}
  for key, value in pairs(options or {}) do
    given[key] = value
  end
  local probe = fakes.probe(given.permissions)
  if given.folder then
    probe.folder = given.folder
    local permissions = probe.manifest.permissions
    probe.manifest = { id = "spec.probe", type = "operator", entrypoint = "./init.lua", permissions = permissions }
    probe.manifest.configSchema = { type = "object" }
  end
  for name, text in pairs(given.files or {}) do
    probe.files[name] = text
  end
  for key, value in pairs(given.manifest or {}) do
    probe.manifest[key] = value
  end
  given.package = probe
  return noted(Host.open(given))
end

--- In config: the secret of this name.
function M.secret(name)
  return { ["$secret"] = name }
end

local helper

--- As ctx.crypto.hmac: for the signatures of webhooks.
function M.hmac(algorithm, key, data, form)
  helper = helper or Host.open({ package = fakes.probe() })
  return helper:run("return ctx.crypto.hmac(table.unpack(args))", { algorithm, key, data, form or "hex" })
end

--- Calls an action or condition, a webhook, ... that must fail, and returns the error {code, message, retryable, ...}.
function M.fails(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then
    error("it went well", 2)
  end
  if type(err) ~= "table" then
    error(err, 0)
  end
  return err
end

return M
