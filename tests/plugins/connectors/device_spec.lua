-- SPDX-License-Identifier: Apache-2.0
local kit = require("testkit")

local function fresh()
  return kit.host({
    config = { devices = { { id = "phone", token = "phone-token", userId = "me" }, { id = "pc", token = "pc-token-1" } } },
    data = {
      place = {
        { id = "work", name = "Office", placeType = "work", latitude = 52.52, longitude = 13.405, radiusMeters = 150 },
        { id = "desk", name = "Desk", placeType = "desk", latitude = 52.52, longitude = 13.405, radiusMeters = 20 },
      },
      contact = { { id = "ada", phoneNumbers = { "+14155550101" } } },
    },
  })
end

local function post(host, body, token)
  return host:webhook("/events", { headers = { authorization = "Bearer " .. (token or "phone-token") }, json = body })
end

local function types(host)
  local list = {}
  for i, event in ipairs(host.emitted) do
    list[i] = event.type
  end
  return list
end

local function fix(latitude, time, accuracy)
  return { type = "location", latitude = latitude, longitude = 13.405, accuracy = accuracy or 5, time = time }
end

describe("authentication", function()
  it("takes a device's token as Bearer or Basic password", function()
    assert.equal(200, post(fresh(), { type = "battery", level = 1 }).status)
    local host = fresh()
    local basic = "Basic YW55b25lOnBjLXRva2VuLTE="
    assert.equal(200, host:webhook("/events", { headers = { authorization = basic }, json = { type = "battery", level = 0.5 } }).status)
    assert.equal("pc", host.emitted[1].data.deviceId)
  end)

  it("refuses everything else", function()
    assert.equal(401, post(fresh(), {}, "guess").status)
    assert.equal(401, fresh():webhook("/events", { json = {} }).status)
  end)
end)

describe("locations", function()
  it("arrive at the smallest place around, stay, and leave", function()
    local host = fresh()
    post(host, fix(52.5201, "2026-01-10T08:00:00Z"))
    assert.same({ "device.Location", "location.PlaceArrived" }, types(host))
    assert.equal("desk", host.emitted[2].data.placeId)
    assert.equal("desk", host.data.query("presence")[1].placeId)
    post(host, fix(52.5201, "2026-01-10T08:10:00Z"))
    assert.equal(3, #host.emitted)
    assert.equal("2026-01-10T08:00:00.000Z", host.data.query("presence")[1].since)
    post(host, fix(50.0, "2026-01-10T09:00:00Z"))
    assert.equal("location.PlaceLeft", types(host)[5])
    assert.same({ "away", nil }, { host.data.query("presence")[1].state, host.data.query("presence")[1].placeId })
  end)

  it("come late and out of order: their own time counts", function()
    local host = fresh()
    post(host, { fix(50.0, "2026-01-10T09:00:00Z"), fix(52.5201, "2026-01-10T08:00:00Z") })
    assert.same({ "device.Location", "location.PlaceArrived", "device.Location", "location.PlaceLeft" }, types(host))
    post(host, fix(52.5201, "2026-01-10T07:00:00Z"))
    assert.equal("away", host.data.query("presence")[1].state)
  end)

  it("that are too coarse decide nothing", function()
    local host = fresh()
    post(host, fix(52.5201, "2026-01-10T08:00:00Z", 1500))
    assert.same({ "device.Location" }, types(host))
    assert.same({}, host.data.query("presence"))
  end)

  it("that can not be are refused", function()
    assert.equal(400, post(fresh(), fix(91)).status)
    assert.equal(400, post(fresh(), { type = "location", latitude = 0, longitude = 0, accuracy = 0 }).status)
    assert.equal(400, post(fresh(), { fix(52.0), { type = "nonsense" } }).status)
  end)

  it("from a clock that runs ahead get our time", function()
    local host = fresh()
    post(host, fix(52.5201, "2030-01-01T00:00:00Z"))
    assert.equal("2026-01-10T12:00:00.000Z", host.emitted[1].data.at)
  end)

  it("are measured on a great circle", function()
    local host = kit.sandbox({ folder = "." })
    local meters = host:run('return require("handlers").distance(52.52, 13.405, 48.8566, 2.3522)')
    assert.is_true(math.abs(meters - 877464) < 2000)
  end)
end)

describe("other clients", function()
  it("OwnTracks: units are converted", function()
    local host = fresh()
    post(host, { _type = "location", lat = 52.5201, lon = 13.405, tst = 1768032000, acc = 13, vel = 36, batt = 67, bs = 1 })
    assert.equal(10.0, host.emitted[1].data.speed)
    assert.equal(0.67, host.emitted[3].data.level)
    assert.equal(200, host:webhook("/events", { headers = { authorization = "Bearer phone-token" } }).status)
  end)

  it("Traccar Client", function()
    local host = fresh()
    post(host, { device_id = "1", location = { timestamp = "2026-01-10T08:00:00.000Z", coords = { latitude = 52.5201, longitude = 13.405, accuracy = 5 }, battery = { level = 0.87, is_charging = true } } })
    assert.same({ "device.Location", "location.PlaceArrived", "device.Battery" }, types(host))
    assert.same({ 0.87, true }, { host.emitted[3].data.level, host.emitted[3].data.charging })
  end)

  it("CloudEvents, each once", function()
    local host = fresh()
    local event = { specversion = "1.0", id = "9", source = "/p", type = "device.battery", time = "2026-01-10T08:00:00Z", data = { level = 0.4 } }
    post(host, event)
    post(host, event)
    assert.same({ "device.Battery" }, types(host))
    event.id = "10"
    post(host, event)
    assert.equal(2, #host.emitted)
  end)
end)

describe("calls and sensors", function()
  it("a missed call becomes an entity and an event of its contact", function()
    local host = fresh()
    post(host, { type = "call", id = "c1", number = "+14155550101", status = "missed", time = "2026-01-10T08:00:00Z" })
    assert.same({ "comms.CallMissed" }, types(host))
    assert.equal("ada", host.emitted[1].data.fromContactId)
    assert.is_true(host.data.query("call")[1].missed)
  end)

  it("a sensor's value is passed on", function()
    local host = fresh()
    post(host, { type = "sensor", sensor = "temperature", value = 21.5, unit = "C" })
    assert.same({ "temperature", 21.5 }, { host.emitted[1].data.sensor, host.emitted[1].data.value })
  end)
end)
