-- SPDX-License-Identifier: Apache-2.0
--- ctx.storage in memory, with scopes, namespaces and times to live by the fake clock.

local times = require("testkit.times")

local M = {}

local function ttl_ms(ttl)
  return type(ttl) == "string" and times.duration(ttl) or ttl * 1000
end

function M.new(clock)
  local spaces, storage = {}, {}

  local function space(options)
    options = options or {}
    local key = (options.scope or "plugin") .. "\0" .. (options.namespace or "")
    spaces[key] = spaces[key] or {}
    return spaces[key]
  end

  local function entry(options, key)
    local found = space(options)[key]
    return found and (not found.until_ms or found.until_ms > clock.ms) and found or nil
  end

  function storage.get(key, options)
    local found = entry(options, key)
    return found and found.value
  end

  function storage.set(key, value, options)
    local ttl = options and options.ttl
    space(options)[key] = value ~= nil and { value = value, until_ms = ttl and clock.ms + ttl_ms(ttl) } or nil
  end

  --- Values are compared by what they hold.
  local function equal(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
      return a == b
    end
    for key, value in pairs(a) do
      if not equal(value, b[key]) then
        return false
      end
    end
    for key in pairs(b) do
      if a[key] == nil then
        return false
      end
    end
    return true
  end

  function storage.compare_and_set(key, expected, value, options)
    local same = equal(storage.get(key, options), expected)
    if same then
      storage.set(key, value, options)
    end
    return same
  end

  function storage.delete(key, options)
    space(options)[key] = nil
  end

  function storage.list(prefix, options)
    local keys = {}
    for key in pairs(space(options)) do
      if entry(options, key) and key:sub(1, #(prefix or "")) == (prefix or "") then
        keys[#keys + 1] = key
      end
    end
    table.sort(keys)
    return keys
  end

  function storage.clear(options)
    local count = 0
    for key in pairs(space(options)) do
      space(options)[key], count = nil, count + 1
    end
    return count
  end

  return storage
end

return M
