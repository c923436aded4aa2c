-- SPDX-License-Identifier: Apache-2.0
--- Reads what devices post - our own form, CloudEvents, OwnTracks, Traccar - into one form:
--- { type = "location"|"battery"|"sensor"|"call", at = ms, id?, ... } in SI units.

local M = {}

local DAY = 86400000

--- Clocks of phones are wrong now and then: a time more than a day ahead is replaced by ours.
local function sane(ctx, ms)
  local now = ctx.time.now_ms()
  if not ms or ms > now + DAY then
    return now
  end
  return math.floor(ms)
end

--- Time as RFC 3339 text, or Unix seconds or milliseconds.
local function time_of(ctx, value)
  if type(value) == "string" then
    local ok, ms = pcall(ctx.time.parse, value)
    return sane(ctx, ok and ms or nil)
  end
  if type(value) == "number" then
    return sane(ctx, value < 100000000000 and value * 1000 or value)
  end
  return sane(ctx, nil)
end

local function number(value, low, high)
  return type(value) == "number" and value >= low and value <= high
end

--- A fix is refused when it can not be one.
local function location(event, latitude, longitude, accuracy)
  if not number(latitude, -90, 90) or not number(longitude, -180, 180) then
    return nil, "a location needs latitude (-90 to 90) and longitude (-180 to 180)"
  end
  if latitude == 0 and longitude == 0 and (accuracy or 0) == 0 then
    return nil, "0,0 with accuracy 0 is no location"
  end
  event.latitude, event.longitude, event.accuracy = latitude, longitude, accuracy
  return event
end

local KINDS = {}

function KINDS.location(event, item)
  event.speed, event.heading, event.altitude = item.speed, item.heading, item.altitude
  return location(event, item.latitude, item.longitude, item.accuracy)
end

function KINDS.battery(event, item)
  if not number(item.level, 0, 1) then
    return nil, "a battery event needs level, a ratio from 0 to 1"
  end
  event.level, event.charging = item.level, item.charging
  return event
end

function KINDS.sensor(event, item)
  if type(item.sensor) ~= "string" or item.value == nil then
    return nil, "a sensor event needs sensor (its name) and value"
  end
  event.sensor, event.value, event.unit = item.sensor, item.value, item.unit
  return event
end

local CALL_STATUS = { missed = true, completed = true, rejected = true, busy = true }

function KINDS.call(event, item)
  if type(item.number) ~= "string" or not CALL_STATUS[item.status] then
    return nil, "a call event needs number and status (missed, completed, rejected or busy)"
  end
  event.number, event.status, event.direction = item.number, item.status, item.direction or "inbound"
  event.duration = item.durationSeconds
  return event
end

local function own(ctx, item)
  local kind = KINDS[item.type]
  if not kind then
    return nil, "unknown type \"" .. tostring(item.type) .. "\" (here: location, battery, sensor, call)"
  end
  return kind({ type = item.type, at = time_of(ctx, item.time), id = item.id }, item)
end

--- OwnTracks, HTTP mode: tst in seconds, vel in km/h, batt in percent.
local function owntracks(ctx, item)
  local list = {}
  if item._type ~= "location" then
    return list -- transitions are seen from the locations; the rest is not for us
  end
  local event, err = location({ type = "location", at = time_of(ctx, item.tst) }, item.lat, item.lon, item.acc)
  if not event then
    return nil, err
  end
  event.speed = type(item.vel) == "number" and item.vel / 3.6 or nil
  event.heading, event.altitude = item.cog, item.alt
  list[1] = event
  if number(item.batt, 0, 100) then
    list[2] = { type = "battery", at = event.at, level = item.batt / 100, charging = item.bs == 2 or item.bs == 3 }
  end
  return list
end

--- Traccar Client 9 and later.
local function traccar(ctx, item)
  local at, coords = time_of(ctx, item.location.timestamp), item.location.coords or {}
  local event, err = location({ type = "location", at = at }, coords.latitude, coords.longitude, coords.accuracy)
  if not event then
    return nil, err
  end
  event.speed, event.heading, event.altitude = coords.speed, coords.heading, coords.altitude
  local list = { event }
  local battery = item.location.battery
  if battery and number(battery.level, 0, 1) then
    list[2] = { type = "battery", at = at, level = battery.level, charging = battery.is_charging }
  end
  return list
end

--- A CloudEvent whose data is in our own form; its type may be "device.location" and the like.
local function cloud_event(ctx, item)
  local data = type(item.data) == "table" and item.data or {}
  local copy = { time = item.time, id = item.id, type = tostring(item.type):match("([%a]+)$"):lower() }
  for key, value in pairs(data) do
    copy[key] = value
  end
  local event, err = own(ctx, copy)
  return event and { event }, err
end

local function read_one(ctx, item)
  if type(item) ~= "table" then
    return nil, "an event must be an object"
  end
  if item._type then
    return owntracks(ctx, item)
  end
  if item.specversion then
    return cloud_event(ctx, item)
  end
  if type(item.location) == "table" then
    return traccar(ctx, item)
  end
  local event, err = own(ctx, item)
  return event and { event }, err
end

--- All events of a body, or nil and what is wrong with it: one bad event refuses the whole.
function M.read(ctx, body)
  local items = body[1] ~= nil and body or { body }
  if next(body) == nil then
    items = {}
  end
  local events = {}
  for i, item in ipairs(items) do
    local list, err = read_one(ctx, item)
    if not list then
      return nil, "event " .. i .. ": " .. err
    end
    for _, event in ipairs(list) do
      events[#events + 1] = event
    end
  end
  return events
end

return M
