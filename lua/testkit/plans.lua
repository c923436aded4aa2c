-- SPDX-License-Identifier: Apache-2.0
--- ctx.events, ctx.schedule, ctx.mappings and ctx.files in memory. Nothing happens by itself: a spec says that an event comes
--- (kit.hear) or that time passes (kit.advance).

local times = require("testkit.times")

local M = {}

--- "comms.*" as a Lua pattern: one star is within a segment, two are any number of segments.
local function pattern(glob)
  local out = glob:gsub("[%.%-%+%(%)%[%]%^%$%%%?]", "%%%0")
  out = out:gsub("%*%*", "\0"):gsub("%*", "[^.]*"):gsub("%z", ".*")
  return "^" .. out .. "$"
end

--- kit.hear(type, data): hands an event to the handlers that hear it, in the order in which they subscribed; returns how many.
function M.events(kit, ctx)
  local handlers, order = {}, {}
  kit.heard = 0
  function kit.hear(type, data)
    local count = 0
    kit.heard = kit.heard + 1
    local event = { id = "ev-" .. kit.heard, type = type, source = "spec", time = ctx.time.now(), data = data }
    for _, glob in ipairs({ table.unpack(order) }) do
      if handlers[glob] and type:match(pattern(glob)) then
        handlers[glob](event, ctx)
        count = count + 1
      end
    end
    return count
  end
  return {
    on = function(glob, handler)
      assert(type(handler) == "function", "the handler must be a function")
      if not handlers[glob] then
        order[#order + 1] = glob
      end
      handlers[glob] = handler
    end,
    off = function(glob)
      handlers[glob] = nil
    end,
  }
end

local function gap_ms(gap)
  return type(gap) == "string" and times.duration(gap) or gap * 1000
end

local function first_due(plans, until_ms)
  local found
  for _, plan in pairs(plans) do
    local due = plan.due_ms
    local earlier = due and (not found or due < found.due_ms or (due == found.due_ms and plan.name < found.name))
    if earlier and due <= until_ms then
      found = plan
    end
  end
  return found
end

--- kit.advance(gap): moves the clock and runs what is due on the way, in order. Functions of `jobs` are found in the plugin that
--- options.plugin is. Cron expressions are kept, but only kit.fire(name) runs them.
function M.schedule(kit, ctx, clock, options)
  local plans = {}

  local function run(plan)
    local jobs = options.plugin and options.plugin.jobs or {}
    local handler = type(plan.run) == "function" and plan.run or jobs[plan.run or plan.name]
    assert(handler, "no job is called " .. tostring(plan.run or plan.name))
    plan.last = ctx.time.now()
    if plan.kind == "after" then
      plans[plan.name] = nil
    end
    handler(ctx, { name = plan.name, due = plan.last, attempt = 1, data = plan.data })
    if plan.kind == "every" then
      plan.due_ms = clock.ms + plan.gap_ms
    end
  end

  local function add(kind, name, spec, handler, more)
    assert(type(name) == "string" and name ~= "", "a schedule needs a name")
    local plan = { kind = kind, name = name, spec = spec, run = handler, data = more and more.data }
    if kind ~= "cron" then
      plan.gap_ms = gap_ms(spec)
      plan.due_ms = clock.ms + plan.gap_ms
    end
    plans[name] = plan
  end

  function kit.fire(name)
    run(assert(plans[name], "there is no schedule " .. name))
  end

  function kit.advance(gap)
    local until_ms = clock.ms + gap_ms(gap)
    local plan = first_due(plans, until_ms)
    while plan do
      clock.ms = math.max(clock.ms, plan.due_ms)
      run(plan)
      plan = first_due(plans, until_ms)
    end
    clock.ms = until_ms
  end

  return {
    cron = function(name, expression, handler, more) add("cron", name, expression, handler, more) end,
    every = function(name, gap, handler, more) add("every", name, gap, handler, more) end,
    after = function(name, delay, handler, more) add("after", name, delay, handler, more) end,
    cancel = function(name) plans[name] = nil end,
    list = function()
      local list = {}
      for _, plan in pairs(plans) do
        list[#list + 1] = {
          name = plan.name,
          kind = plan.kind,
          next = plan.due_ms and times.format(plan.due_ms) or nil,
          last = plan.last,
          run = type(plan.run) == "string" and plan.run or nil,
          data = plan.data,
        }
      end
      table.sort(list, function(a, b) return a.name < b.name end)
      return list
    end,
  }
end

function M.mappings(clock)
  local rows, count, mappings = {}, 0, {}

  local function find(type, field, value)
    for i, row in ipairs(rows) do
      if row.type == type and row[field] == value then
        return row, i
      end
    end
  end

  function mappings.set(type, key, external_id, data)
    local other = find(type, "external_id", external_id)
    if other and other.key ~= key then
      error({ code = "mapping.conflict", message = external_id .. " belongs to " .. other.key, retryable = false })
    end
    local row = find(type, "key", key)
    if not row then
      count = count + 1
      row = { id = "map-" .. count, source = "spec", type = type, key = key }
      rows[#rows + 1] = row
    end
    row.external_id, row.data, row.updated = external_id, data, times.format(clock.ms)
  end

  function mappings.bulk(list)
    for _, row in ipairs(list) do
      mappings.set(row.type, row.key, row.external_id, row.data)
    end
    return #list
  end

  function mappings.delete(type, key)
    local _, i = find(type, "key", key)
    if i then
      table.remove(rows, i)
    end
  end

  function mappings.external_id(type, key)
    local row = find(type, "key", key)
    return row and row.external_id
  end

  function mappings.key(type, external_id)
    local row = find(type, "external_id", external_id)
    return row and row.key
  end

  function mappings.list(type, options)
    local list, from = {}, tonumber((options and options.after or "map-0"):match("%d+"))
    for _, row in ipairs(rows) do
      if (not type or row.type == type) and tonumber(row.id:match("%d+")) > from and #list < (options and options.limit or 100) then
        list[#list + 1] = row
      end
    end
    return list
  end

  return mappings
end

--- files: path -> content.
function M.files(files)
  return {
    read = function(path, options)
      local text, offset = files[path], options and options.offset or 0
      if not text then
        error({ code = "file.missing", message = "there is no file " .. path, retryable = false })
      end
      return text:sub(offset + 1, offset + (options and options.limit or 262144)), #text
    end,
  }
end

return M
