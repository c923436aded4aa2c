-- SPDX-License-Identifier: Apache-2.0
--- ctx.log, json, time, crypto, secret, as a plugin sees them in the sandbox.
local kit = require("testkit")

local host

setup(function()
  host = kit.sandbox({
    permissions = { "secrets:mtls" }, secrets = { client = "0123456789", other = "9876543210" },
    manifest = { mtlsSecrets = { "client", "nowhere" }, configSchema = { type = "object" } },
    config = { key = kit.secret("other") },
  })
end)

local function run(code, args)
  return host:run(code, args)
end

local function fails(code, args)
  return kit.fails(host.run, host, code, args).code
end

local function log_specs(level)
  it("writes one line with its data", function()
    run("ctx.log[args[1]]('said at ' .. args[1], { n = 1, list = { 'a' } })", { level })
    local line = host:logged("said at " .. level)
    assert.same({ level, "spec.probe", { n = 1, list = { "a" } } }, { line.level, line.plugin, line.data })
  end)

  it("takes any message, and does not run code of it", function()
    run("ctx.log[args[1]](nil) ctx.log[args[1]](7) ctx.log[args[1]]({}) ctx.log[args[1]](ctx.json.null)", { level })
    run([==[ctx.log[args[1]](setmetatable({}, { __tostring = function() return "made by __tostring" end }))]==], { level })
    assert.equal("bad_argument", fails("ctx.log[args[1]]('x', { f = print })", { level }))
  end)

  it("ends with its bytes, not with an error", function()
    local fresh = kit.sandbox()
    fresh:run("for i = 1, 200 do ctx.log[args[1]](('x'):rep(2000)) end", { level })
    assert.is_truthy(fresh:logged("the rest is dropped"))
    assert.is_true(#fresh.logs < 40)
  end)
end

describe("ctx.log.debug", function()
  log_specs("debug")
end)

describe("ctx.log.info", function()
  log_specs("info")
end)

describe("ctx.log.warn", function()
  log_specs("warn")
end)

describe("ctx.log.error", function()
  log_specs("error")
end)

describe("ctx.json.encode", function()
  it("knows lists from objects", function()
    assert.equal('{"a":[1,2.5,"x",true,null],"b":{},"c":[]}', run([[
      return ctx.json.encode({ a = { 1, 2.5, "x", true, ctx.json.null }, b = {}, c = ctx.json.array() })]]))
    assert.equal("null", run("return ctx.json.encode(nil)"))
    assert.equal('"\\u0001\\"\\\\"', run([[return ctx.json.encode("\1\"\\")]]))
  end)

  it("refuses what JSON does not have", function()
    for _, value in ipairs({ "print", "0/0", "1/0", "'\\255'", "{ [1.5] = 1 }", "{ 1, a = 2 }", "coroutine.create(print)" }) do
      assert.equal("bad_argument", fails("return ctx.json.encode({ " .. value .. " })"))
    end
    assert.equal("bad_argument", fails("local t = {} t.t = t return ctx.json.encode(t)"))
  end)

  it("has an end to its size", function()
    local code = fails("local t = {} for i = 1, 2000 do t[i] = ('x'):rep(1000) end return #ctx.json.encode(t)")
    assert.is_truthy(code == "too_large" or code == "limit.output" or code == "bad_argument" or code == "limit.memory", code)
  end)
end)

describe("ctx.json.decode", function()
  it("gives values back", function()
    assert.same({ { a = { 1, 2 }, b = "x" }, 1, "integer" }, { run([[
      local v = ctx.json.decode('{"a":[1,2],"b":"x"}') return v, #v.a // 2, math.type(ctx.json.decode("7"))]]) })
    assert.is_true(run("return ctx.json.decode('[null]')[1] == ctx.json.null"))
  end)

  it("says where a text is wrong", function()
    local err = kit.fails(host.run, host, "return ctx.json.decode('{\"a\":}')")
    assert.equal("json", err.code)
    assert.equal("json", fails("return ctx.json.decode('[1,]')"))
    assert.equal("json", fails("return ctx.json.decode('')"))
    assert.equal("json", fails("return ctx.json.decode(('['):rep(10000))"))
    assert.equal("bad_argument", fails("return ctx.json.decode({})"))
    assert.equal("json", fails("return ctx.json.decode('\"\\255\"')"))
  end)
end)

describe("ctx.json.array", function()
  it("marks, returns the same table, makes one", function()
    assert.same({ true, "[]", "[1]" }, { run([[
      local t = { 1 } return ctx.json.array(t) == t, ctx.json.encode(ctx.json.array()), ctx.json.encode(ctx.json.array({ 1 }))]]) })
    assert.equal("bad_argument", fails("return ctx.json.array(7)"))
    assert.equal("bad_argument", fails("return ctx.json.array(setmetatable({}, { __index = ctx }))"))
    assert.is_true(run("pcall(ctx.json.array, ctx) return ctx.json ~= nil"))
  end)
end)

describe("ctx.time.now", function()
  it("is the clock of the service", function()
    assert.equal(host:now(), run("return ctx.time.now()"))
  end)
end)

describe("ctx.time.now_ms", function()
  it("is the same in ms", function()
    assert.equal(host.now_ms, run("return ctx.time.now_ms()"))
    assert.equal(host:now(), run("return ctx.time.format(ctx.time.now_ms())"))
  end)
end)

describe("ctx.time.parse", function()
  it("takes RFC 3339 with any offset", function()
    assert.equal(1768046400000, run("return ctx.time.parse('2026-01-10T12:00:00Z')"))
    assert.equal(1768046400123, run("return ctx.time.parse('2026-01-10T14:00:00.123+02:00')"))
  end)

  it("gives nil and why for anything else", function()
    for _, text in ipairs({ "", "now", "2026-02-30T00:00:00Z", "2026-01-10", "2026-01-10T12:00:00", "\0" }) do
      assert.same({ nil, "not a time in RFC 3339 form" }, { run("return ctx.time.parse(args[1])", { text }) })
    end
    assert.equal("bad_argument", fails("return ctx.time.parse({})"))
  end)
end)

describe("ctx.time.format", function()
  it("writes UTC, or a zone and a form", function()
    assert.equal("2026-01-10T12:00:00.000Z", run("return ctx.time.format(1768046400000)"))
    assert.equal("13:00", run("return ctx.time.format(1768046400000, 'Europe/Berlin', '%H:%M')"))
    assert.equal("2026-01-10T13:00:00+01:00", run("return ctx.time.format(1768046400000, 'Europe/Berlin')"))
  end)

  it("refuses what is no time, zone or form", function()
    assert.equal("bad_argument", fails("return ctx.time.format('x')"))
    assert.equal("bad_argument", fails("return ctx.time.format(0/0)"))
    assert.equal("bad_argument", fails("return ctx.time.format(math.maxinteger)"))
    assert.equal("bad_argument", fails("return ctx.time.format(0, 'Mars/Olympus')"))
    assert.equal("bad_argument", fails("return ctx.time.format(0, '../../etc/passwd')"))
    assert.equal("bad_argument", fails("return ctx.time.format(0, 'UTC', ('%c'):rep(100000))"))
  end)
end)

describe("ctx.time.zone", function()
  it("is that of perigee.yaml, else UTC", function()
    assert.equal("UTC", (run("return ctx.time.zone()")))
  end)
end)

describe("ctx.time.duration", function()
  it("reads units", function()
    assert.same({ 600000, 5400000, 86400000 }, { run("return ctx.time.duration('10m'), ctx.time.duration('1h30m'), ctx.time.duration('1d')") })
    assert.equal("bad_argument", fails("return ctx.time.duration('soon')"))
    assert.equal("bad_argument", fails("return ctx.time.duration('')"))
    assert.equal("bad_argument", fails("return ctx.time.duration('99999999999999999999d')"))
  end)
end)

describe("ctx.crypto.hmac", function()
  it("is HMAC of RFC 2104 in each form", function()
    local hex = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    local text = { "sha256", "key", "The quick brown fox jumps over the lazy dog" }
    assert.equal(hex, run("return ctx.crypto.hmac(table.unpack(args))", text))
    assert.equal("3nybhbi3iqa8ino29wqQcBydtNk=", run("return ctx.crypto.hmac('sha1', 'key', args[3], 'base64')", text))
    assert.equal(32, run("return #ctx.crypto.hmac('sha256', 'key', '', 'raw')"))
  end)

  it("takes a secret as its key", function()
    assert.is_true(run("return ctx.crypto.hmac('sha256', ctx.config.key, 'x') == ctx.crypto.hmac('sha256', args[1], 'x')", { "9876543210" }))
    assert.equal("secret.missing", fails("return ctx.crypto.hmac('sha256', ctx.secret('nowhere'), 'x')"))
  end)

  it("refuses other algorithms, forms and keys", function()
    assert.equal("bad_argument", fails("return ctx.crypto.hmac('md5', 'k', 'x')"))
    assert.equal("bad_argument", fails("return ctx.crypto.hmac('sha256', 'k', 'x', 'octal')"))
    assert.equal("bad_argument", fails("return ctx.crypto.hmac('sha256', {}, 'x')"))
    assert.equal("bad_argument", fails("return ctx.crypto.hmac('sha256', 'k', nil)"))
  end)
end)

describe("ctx.crypto.sha256", function()
  it("hashes bytes", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", run("return ctx.crypto.sha256('')"))
    assert.equal("bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=", run("return ctx.crypto.sha256('\\0', 'base64')"))
    assert.equal("bad_argument", fails("return ctx.crypto.sha256({})"))
    assert.equal("bad_argument", fails("return ctx.crypto.sha256('', 'b64')"))
  end)
end)

describe("ctx.crypto.base64.encode", function()
  it("encodes bytes, and is what base64 itself does", function()
    assert.same({ "AP8=", "" , true }, { run("return ctx.crypto.base64.encode('\\0\\255'), ctx.crypto.base64.encode(''), ctx.crypto.base64('x') == ctx.crypto.base64.encode('x')") })
    assert.equal("bad_argument", fails("return ctx.crypto.base64.encode({})"))
  end)
end)

describe("ctx.crypto.base64.decode", function()
  it("takes both alphabets, with and without padding", function()
    assert.same({ true, true, true }, { run([[local d = ctx.crypto.base64.decode
      return d("AP8=") == "\0\255", d("AP8") == "\0\255", d("-_-_") == d("+/+/")]]) })
  end)

  it("gives nil and why for anything else", function()
    assert.same({ nil, "byte 2 is no base64" }, { run("return ctx.crypto.base64.decode('a*')") })
    assert.same({ nil, "the text is cut" }, { run("return ctx.crypto.base64.decode('a')") })
  end)
end)

describe("ctx.crypto.uuid", function()
  it("is of version 4, and another each time", function()
    local a, b = run("return ctx.crypto.uuid(), ctx.crypto.uuid()")
    assert.matches("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$", a)
    assert.equal(36, #a)
    assert.is_true(a ~= b)
  end)
end)

describe("ctx.crypto.equals", function()
  it("compares texts and secrets", function()
    assert.same({ true, false, true, false }, { run([[local e = ctx.crypto.equals
      return e("a", "a"), e("a", "ab"), e(ctx.config.key, args[1]), e(ctx.config.key, ctx.secret("client"))]], { "9876543210" }) })
    assert.equal("bad_argument", fails("return ctx.crypto.equals('a', nil)"))
    assert.equal("secret.missing", fails("return ctx.crypto.equals('a', ctx.secret('nowhere'))"))
  end)
end)

describe("ctx.secret", function()
  it("gives a handle that shows nothing", function()
    local text, kind = run("local s = ctx.secret('client') return tostring(s), type(s)")
    assert.is_nil(text:find("0123456789", 1, true))
    assert.equal("userdata", kind)
    assert.equal("lua.error", fails("return ctx.secret('client') .. ''"))
    assert.equal("lua.error", fails("return #ctx.secret('client')"))
    assert.is_false(run("return getmetatable(ctx.secret('client'))") or false)
  end)

  it("knows those of the manifest only", function()
    assert.equal("denied", fails("return ctx.secret('other')"))
    assert.equal("denied", fails("return ctx.secret('../client')"))
    assert.equal("bad_argument", fails("return ctx.secret({})"))
  end)

  it("leaves in values by its name at most", function()
    assert.is_nil(run("return ctx.json.encode({ ctx.secret('client') })"):find("0123456789", 1, true))
    host:run("ctx.log.info('a secret', { s = ctx.secret('client') })")
    assert.is_nil(host:logged("a secret").message:find("0123456789", 1, true))
  end)
end)

describe("ctx.account", function()
  it("says that nothing is connected", function()
    local own = kit.sandbox({ permissions = { "accounts:google" } })
    if own:run("return ctx.account ~= nil") then
      assert.matches("^account_", kit.fails(own.run, own, "return ctx.account('google')").code)
      assert.equal("denied", kit.fails(own.run, own, "return ctx.account('other')").code)
    end
  end)
end)
