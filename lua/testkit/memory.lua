-- SPDX-License-Identifier: Apache-2.0
--- ctx.data in memory, with the where language of docs/data.md.

local dkjson = require("dkjson")

local M = {}

local COMPARE = {
  eq = function(a, b) return a == b end,
  ne = function(a, b) return a ~= b end,
  gt = function(a, b) return a ~= nil and a > b end,
  gte = function(a, b) return a ~= nil and a >= b end,
  lt = function(a, b) return a ~= nil and a < b end,
  lte = function(a, b) return a ~= nil and a <= b end,
  prefix = function(a, b) return type(a) == "string" and a:sub(1, #b) == b end,
  exists = function(a, b) return (a ~= nil) == b end,
}

local function contains(list, value)
  for _, item in ipairs(list or {}) do
    if item == value then
      return true
    end
  end
  return false
end

COMPARE["in"] = function(a, b) return contains(b, a) end
COMPARE.contains = contains

local function fits(entity, where)
  for field, wanted in pairs(where or {}) do
    local actual = entity[field]
    if type(wanted) ~= "table" then
      if actual ~= wanted then
        return false
      end
    elseif wanted[1] ~= nil then
      if not contains(wanted, actual) then
        return false
      end
    else
      for op, operand in pairs(wanted) do
        if not COMPARE[op](actual, operand) then
          return false
        end
      end
    end
  end
  return true
end

local function sort(rows, order)
  local down, field = order:match("^(%-?)(.+)$")
  table.sort(rows, function(a, b)
    local x, y = a[field] or "", b[field] or ""
    if down == "-" then
      return x > y
    end
    return x < y
  end)
end

--- What a caller gets is its own: changing it changes nothing stored.
local function copy(entity)
  local fresh = {}
  for key, value in pairs(entity) do
    fresh[key] = value
  end
  return fresh
end

--- seed: {type = {entities}}, used as it is.
function M.new(seed, clock)
  local store, count = { rows = seed }, 0

  function store.query(type, query)
    query = query or {}
    local found = {}
    for _, entity in ipairs(store.rows[type] or {}) do
      if fits(entity, query.where) then
        found[#found + 1] = copy(entity)
      end
    end
    if query.count then
      return #found
    end
    if query.order then
      sort(found, query.order)
    end
    return { table.unpack(found, 1, query.limit or 100) }
  end

  function store.get(type, id)
    return store.query(type, { where = { id = id } })[1]
  end

  function store.put(type, fields)
    store.rows[type] = store.rows[type] or {}
    local entity
    for _, row in ipairs(store.rows[type]) do
      local same_key = fields.externalId and row.externalId == fields.externalId and row.source == fields.source
      if row.id == fields.id or (not fields.id and same_key) then
        entity = row
      end
    end
    if not entity then
      count = count + 1
      entity = { id = fields.id or (type .. "-" .. count), createdMs = clock.ms }
      table.insert(store.rows[type], entity)
    end
    for key, value in pairs(fields) do
      if value == dkjson.null then
        value = nil
      end
      entity[key] = value
    end
    return entity.id
  end

  function store.delete(type, id)
    for i, row in ipairs(store.rows[type] or {}) do
      if row.id == id then
        table.remove(store.rows[type], i)
        return
      end
    end
  end

  return store
end

return M
