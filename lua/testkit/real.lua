-- SPDX-License-Identifier: Apache-2.0
--- Calls an operator of the plugin in the current folder with the program itself: the real host, the real sandbox, an
--- empty model, nothing kept. For plugins in C, and for what only the host does (limits, parameters, refusals).

local dkjson = require("dkjson")

local M = {}

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function write(name, text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
end

local function plugin_id()
  local file = assert(io.open("plugin.json"), "run this in the plugin's folder")
  local manifest = dkjson.decode(file:read("a"))
  file:close()
  return manifest.id
end

--- The program's exit code says no more than its answer.
---@param operator string
---@param params? table
---@param options? { event: table?, config: table? }
---@return any result of an action; of a condition {holds, compared}
---@return table? error {code, message, retryable}
function M.call(operator, params, options)
  options = options or {}
  local name = os.tmpname()
  local none = setmetatable({}, { __jsontype = "object" })
  write(name, dkjson.encode({ plugins = { [plugin_id()] = { config = options.config or none } } }))
  local command = ("%s operators call %s --plugins . --approve-all --config %s --state-dir %s.state --params %s"):format(
    os.getenv("PERIGEE_BIN") or "perigee", operator, name, name, quoted(dkjson.encode(params or none)))
  if options.event then
    command = command .. " --event " .. quoted(dkjson.encode(options.event))
  end
  local process = assert(io.popen(command))
  local text = process:read("a")
  process:close()
  os.remove(name)
  local answer = dkjson.decode(text)
  assert(answer, "the program gave no answer: " .. text)
  return answer.result, answer.error
end

return M
