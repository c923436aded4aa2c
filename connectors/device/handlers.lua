-- SPDX-License-Identifier: Apache-2.0
--- What each kind of device event does: presence and arrivals from locations, call rows from calls, plain events else.

local contacts = require("perigee.contacts")

local M = {}

local EARTH_M = 6371008.8
local MAX_ACCURACY_M = 1000 -- a coarser fix decides nothing about places
local DEFAULT_RADIUS_M = 100

--- Great-circle distance in metres (haversine formula).
function M.distance(lat1, lon1, lat2, lon2)
  local p1, p2 = math.rad(lat1), math.rad(lat2)
  local a = math.sin((p2 - p1) / 2) ^ 2 + math.cos(p1) * math.cos(p2) * math.sin(math.rad(lon2 - lon1) / 2) ^ 2
  return 2 * EARTH_M * math.asin(math.min(1, math.sqrt(a)))
end

--- The place that a fix lies in; the smallest when circles overlap.
local function place_at(ctx, event)
  local best, best_radius
  for _, place in ipairs(ctx.data.query("place", { limit = 1000 })) do
    if place.latitude and place.longitude then
      local radius = place.radiusMeters or DEFAULT_RADIUS_M
      local inside = M.distance(event.latitude, event.longitude, place.latitude, place.longitude) <= radius
      if inside and (not best or radius < best_radius) then
        best, best_radius = place, radius
      end
    end
  end
  return best
end

--- Payload of arrivals and departures.
local function place_event(device, row, at)
  return {
    placeId = row.placeId,
    placeName = row.placeName,
    placeType = row.placeType,
    userId = device.userId,
    deviceId = device.id,
    at = at,
  }
end

--- Events that no id was given for are told apart by device, kind and time.
local function options(device, event, kind, at)
  return { id = device.id .. ":" .. (event.id or (kind .. ":" .. event.at)), time = at, subject = device.id }
end

local function presence_row(device, event, place, at, before)
  return {
    source = "device",
    externalId = device.id,
    deviceId = device.id,
    userId = device.userId,
    state = place and "present" or "away",
    placeId = place and place.id or nil,
    placeName = place and place.name or nil,
    placeType = place and place.placeType or nil,
    since = before or at,
    seenAt = at,
    latitude = event.latitude,
    longitude = event.longitude,
  }
end

function M.location(ctx, device, event)
  local at = ctx.time.format(event.at)
  ctx.emit("device.Location", {
    deviceId = device.id,
    userId = device.userId,
    latitude = event.latitude,
    longitude = event.longitude,
    accuracy = event.accuracy,
    speed = event.speed,
    at = at,
  }, options(device, event, "location", at))
  if event.accuracy and event.accuracy > MAX_ACCURACY_M then
    return
  end
  local old = ctx.data.query("presence", { where = { source = "device", externalId = device.id }, limit = 1 })[1]
  if old and old.seenAt and old.seenAt >= at then
    return -- an older fix that arrives late says nothing about now
  end
  local place = place_at(ctx, event)
  local same = old and old.placeId == (place and place.id)
  local row = presence_row(device, event, place, at, same and old.since or nil)
  if not place then -- a merge keeps what is not named: null removes
    row.placeId, row.placeName, row.placeType = ctx.json.null, ctx.json.null, ctx.json.null
  end
  ctx.data.put("presence", row)
  if same then
    return
  end
  if old and old.placeId then
    ctx.emit("location.PlaceLeft", place_event(device, old, at), options(device, event, "left", at))
  end
  if place then
    ctx.emit("location.PlaceArrived", place_event(device, row, at), options(device, event, "arrived", at))
  end
end

function M.battery(ctx, device, event)
  local at = ctx.time.format(event.at)
  ctx.emit("device.Battery", {
    deviceId = device.id,
    userId = device.userId,
    level = event.level,
    charging = event.charging,
    at = at,
  }, options(device, event, "battery", at))
end

function M.sensor(ctx, device, event)
  local at = ctx.time.format(event.at)
  ctx.emit("device.Sensor", {
    deviceId = device.id,
    userId = device.userId,
    sensor = event.sensor,
    value = event.value,
    unit = event.unit,
    at = at,
  }, options(device, event, "sensor." .. event.sensor, at))
end

function M.call(ctx, device, event)
  local at = ctx.time.format(event.at)
  local contact = contacts.by(ctx, "phoneNumbers", event.number)
  local inbound = event.direction == "inbound"
  local missed = inbound and event.status == "missed"
  local key = device.id .. ":" .. (event.id or ("call:" .. event.at))
  local call_id = ctx.data.put("call", {
    source = "device",
    externalId = key,
    contactId = contact and contact.id,
    direction = event.direction,
    status = event.status,
    missed = missed,
    from = inbound and event.number or nil,
    to = not inbound and event.number or nil,
    startedAt = at,
    durationSeconds = event.duration,
  })
  ctx.emit(missed and "comms.CallMissed" or "comms.CallEnded", {
    callId = call_id,
    contactId = contact and contact.id,
    fromContactId = inbound and contact and contact.id or nil,
    direction = event.direction,
    number = event.number,
    status = event.status,
    deviceId = device.id,
    at = at,
  }, { id = key, time = at, subject = event.number })
end

return M
