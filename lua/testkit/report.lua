-- SPDX-License-Identifier: Apache-2.0
--- What busted tells, in TAP (for `perigee plugins test`): a failure with the line of the spec that it came from, also when a
--- spec can not be read at all.

local base = require("busted.outputHandlers.base")
local busted = require("busted")

--- "spec/a_spec.lua:12": the innermost line of a spec.
local function place_of(problem)
  local trace = problem.trace or {}
  local place = (trace.traceback or ""):match("([^%s]+_spec%.lua:%d+)")
  if not place and problem.element.trace and problem.element.trace.short_src then
    place = ("%s:%s"):format(problem.element.trace.short_src, problem.element.trace.currentline or "?")
  end
  return place
end

local function text_of(problem, place)
  local message = problem.message
  if type(message) == "table" then
    local meta = getmetatable(message)
    message = meta and meta.__tostring and tostring(message) or require("pl.pretty").write(message)
  end
  message = tostring(message or "no message")
  message = message:gsub("^[^%s]*testkit/[%w_]+%.lua:%d+: ", "") -- not where the testkit raised it
  if place and message:sub(1, #place + 2) == place .. ": " then
    message = message:sub(#place + 3)
  end
  return (message:gsub("\n", "\n# "))
end

return function()
  local handler = base()
  local count = 0

  local function failed(problem)
    local place = place_of(problem)
    print(("not ok %d - %s"):format(count, problem.name))
    if place then
      print("# " .. place)
    end
    print("# " .. text_of(problem, place))
  end

  handler.suiteReset = function()
    count = 0
    return nil, true
  end

  handler.suiteEnd = function()
    print("1.." .. count)
    io.flush()
    return nil, true
  end

  handler.testEnd = function(_, _, status)
    count = count + 1
    if status == "success" then
      print(("ok %d - %s"):format(count, handler.successes[#handler.successes].name))
    elseif status == "pending" then
      print(("ok %d - # SKIP %s"):format(count, handler.pendings[#handler.pendings].name))
    else
      local list = status == "failure" and handler.failures or handler.errors
      failed(list[#list])
    end
    io.flush()
    return nil, true
  end

  --- Outside of a test: a file, a describe, a setup.
  handler.error = function(element)
    if element.descriptor ~= "it" then
      count = count + 1
      failed(handler.errors[#handler.errors])
    end
    io.flush()
    return nil, true
  end

  busted.subscribe({ "suite", "reset" }, handler.suiteReset)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "error" }, handler.error)
  return handler
end
