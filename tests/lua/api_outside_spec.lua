-- SPDX-License-Identifier: Apache-2.0
--- ctx.http, smtp, send, call, schedule, as a plugin sees them in the sandbox.
local kit = require("testkit")

local function fails(host, code, args)
  return kit.fails(host.run, host, code, args).code
end

local function net(answer, more)
  local all = {
    permissions = { "network:outbound:a.example", "network:outbound:b.example:8443", "network:outbound:*.c.example", "secrets:mtls" },
    http = answer, secrets = { token = "0123456789", cert = "PEM1", key = "PEM2" },
    config = { token = kit.secret("token") },
    manifest = { mtlsSecrets = { "cert", "key" }, configSchema = { type = "object" } },
  }
  for key, value in pairs(more or {}) do
    all[key] = value
  end
  return kit.sandbox(all)
end

local function last(host)
  return host.requests[#host.requests]
end

describe("ctx.http.request", function()
  it("sends method, headers, query and each kind of body", function()
    local host = net({ status = 201, headers = { ["X-A"] = "b" }, json = { ok = true } })
    local status, ok, header = host:run([[
      local r = ctx.http.request({ url = "https://a.example/p?x=1", method = "put", query = { q = "a b&c" }, headers = { Accept = "x/y" }, json = { n = 1 } })
      return r.status, r.json.ok, r.headers["x-a"] ]])
    assert.same({ 201, true, "b" }, { status, ok, header })
    assert.same({ "PUT", "/p", { x = "1", q = "a b&c" }, "x/y", { n = 1 } }, {
      last(host).method, last(host).path, last(host).query, last(host).headers.accept, last(host).json,
    })
    host:run("ctx.http.request({ url = 'https://a.example/', form = { a = 'b c', d = 'e&f' } })")
    assert.same({ "POST", { a = "b c", d = "e&f" } }, { last(host).method, last(host).form })
    host:run("ctx.http.request({ url = 'https://a.example/', body = '\\0\\255' })")
    assert.equal("\0\255", last(host).body)
    host:run("ctx.http.request({ url = 'https://a.example/', multipart = { { name = 'f', filename = 'a\"b.txt', content = 'xyz' } } })")
    assert.matches('name="f"; filename="a%%22b.txt"', last(host).body)
    assert.matches("^multipart/form%-data; boundary=", last(host).headers["content-type"])
  end)

  it("puts secrets in at the last moment", function()
    local host = net({ status = 200, body = "you sent 0123456789" })
    local body, shown = host:run([[
      local r = ctx.http.request({ url = "https://a.example/", auth = { user = "u", password = ctx.config.token },
        headers = { Authorization = { ctx.config.token, prefix = "Bearer " }, ["X-Plain"] = { "text", prefix = "p:" } },
        tls = { cert = ctx.secret("cert"), key = ctx.secret("key") } })
      return r.body, tostring(ctx.config.token)]])
    assert.same({ "Bearer 0123456789", "p:text", "u", "0123456789", "PEM1", "PEM2" }, {
      last(host).headers.authorization, last(host).headers["x-plain"], last(host).auth.user, last(host).auth.password, last(host).cert, last(host).key,
    })
    assert.equal("you sent [secret token]", body)
    assert.is_nil(shown:find("0123", 1, true))
  end)

  it("reaches the granted hosts and ports, whatever the URL looks like", function()
    local host = net({ status = 204 })
    for _, url in ipairs({ "https://a.example/", "https://A.EXAMPLE:9/x", "https://a.example./", "https://b.example:8443/", "https://x.c.example/" }) do
      assert.equal(204, host:run("return ctx.http.request({ url = args[1] }).status", { url }))
    end
    local asked = #host.requests
    for _, url in ipairs({
      "https://b.example/", "https://c.example/", "https://x.y.c.example/", "https://a.example.evil.example/", "https://evil.example/a.example",
      "https://a.example@evil.example/", "https://evil.example#a.example", "http://127.0.0.1/", "http://[::1]/", "http://2130706433/",
      "file:///etc/passwd", "gopher://a.example/", "//a.example/", "a.example", "", "https://a.example\\@evil.example/", "https://a.example%00.evil.example/",
    }) do
      assert.is_truthy(fails(host, "return ctx.http.request({ url = args[1] }).status", { url }), url)
    end
    assert.equal(asked, #host.requests)
  end)

  it("lets nothing into the head of a request", function()
    local host = net({ status = 200 })
    for _, request in ipairs({
      "headers = { ['X-A'] = 'b\\r\\nX-Evil: 1' }", "headers = { ['X-A\\r\\nX-Evil'] = '1' }", "headers = { ['X A'] = '1' }", "headers = { [''] = '1' }",
      "headers = { ['X-A'] = 'a\\0b' }", "headers = { ['X-A'] = { 'a', prefix = 'b\\nX-Evil: ' } }", "headers = { ['X-A'] = { 'a\\r\\nX-Evil: 1' } }", "method = 'GET / HTTP/1.1\\r\\nX-Evil: 1'",
      "method = ''", "headers = { Host = 'evil.example' }", "headers = { ['Content-Length'] = '1' }", "headers = { ['transfer-encoding'] = 'chunked' }",
      "headers = { ['User-Agent'] = 'x' }", "headers = { Connection = 'close' }", "multipart = { { name = 'a\\r\\nb', content = '' } }",
      "multipart = { { name = 'a', content = '', content_type = 'x\\r\\ny' } }",
    }) do
      assert.equal("bad_argument", fails(host, "ctx.http.request({ url = 'https://a.example/', " .. request .. " })"), request)
    end
    assert.is_truthy(fails(host, "ctx.http.request({ url = 'https://a.example/\\r\\nX-Evil: 1' })"))
    assert.is_truthy(fails(host, "ctx.http.request({ url = 'https://a.example/ HTTP/1.1' })"))
    assert.same({}, host.requests)
  end)

  it("lets no secret with a line end into the head", function()
    local host = net({ status = 200 }, { secrets = { token = "abcdef\r\nX-Evil: 1" } })
    assert.is_truthy(fails(host, "ctx.http.request({ url = 'https://a.example/', headers = { ['X-A'] = ctx.config.token } })"))
    assert.same({}, host.requests)
  end)

  it("refuses requests that can not be", function()
    local host = net({ status = 200 })
    for _, request in ipairs({
      "", "url = 7", "url = 'https://a.example/', bodi = 'x'", "url = 'https://a.example/', body = 'x', json = {}", "url = 'https://a.example/', timeout_ms = 0",
      "url = 'https://a.example/', timeout_ms = 1e9", "url = 'https://a.example/', timeout_ms = 0/0", "url = 'https://a.example/', headers = 7",
      "url = 'https://a.example/', auth = 7", "url = 'https://a.example/', tls = { cert = 'PEM' }", "url = 'https://a.example/', json = print",
      "url = 'https://a.example/', query = 7", "url = 'https://a.example/', multipart = {}", "url = ('https://a.example/' .. ('x'):rep(100000))",
    }) do
      assert.equal("bad_argument", fails(host, "ctx.http.request({ " .. request .. " })"), request)
    end
    assert.equal("bad_argument", fails(host, "ctx.http.request('https://a.example/')"))
  end)

  it("has the codes of what went wrong, and tells an unknown outcome", function()
    local host = net(function(request)
      return ({
        ["/connect"] = { error = { code = "http.connect" } }, ["/lost"] = { error = { code = "http.protocol", outcome = "unknown" } },
        ["/slow"] = { status = 200, delay = "20s" }, ["/bad"] = { status = 503, json = { why = "busy" } },
      })[request.path]
    end)
    local err = kit.fails(host.run, host, "ctx.http.request({ url = 'https://a.example/connect', method = 'POST' })")
    assert.same({ "http.connect", true, nil }, { err.code, err.retryable, err.outcome })
    err = kit.fails(host.run, host, "ctx.http.request({ url = 'https://a.example/lost', method = 'POST' })")
    assert.same({ "http.protocol", "unknown" }, { err.code, err.outcome })
    assert.equal("http.timeout", fails(host, "ctx.http.request({ url = 'https://a.example/slow' })"))
    assert.same({ 503, "busy" }, { host:run("local r = ctx.http.request({ url = 'https://a.example/bad' }) return r.status, r.json.why") })
    assert.same({ false, "http.connect", true }, { host:run("local ok, e = pcall(ctx.http.request, { url = 'https://a.example/connect' }) return ok, e.code, e.retryable") })
  end)

  it("waits alone: other calls of the plugin go on", function()
    local host = net(function(request) return { status = 200, delay = request.path == "/slow" and "5s" or nil } end)
    local code = { code = "return ctx.http.request({ url = 'https://a.example/' .. args[1] }).status", args = { "slow" } }
    local pending = host:start("probe.act", code)
    assert.is_false(pending.done())
    assert.equal(200, host:run(code.code, { "fast" }))
    assert.equal("2026-01-10T12:00:00.000Z", host:now())
    host:advance("5s")
    assert.equal(200, pending.result().values[1])
  end)
end)

describe("ctx.http.get", function()
  it("is a request without a body, also in conditions", function()
    local host = net({ json = { a = 1 } })
    assert.equal(1, host:ask("return ctx.http.get('https://a.example/', { query = { q = 1 } }).json.a"))
    assert.same({ "GET", "", { q = "1" } }, { last(host).method, last(host).body, last(host).query })
    assert.equal("bad_argument", fails(host, "ctx.http.get(nil)"))
    assert.equal("bad_argument", fails(host, "ctx.http.get('https://a.example/', 7)"))
    assert.equal("denied", fails(host, "ctx.http.get('https://evil.example/')"))
  end)

  it("does not change the plugin's table", function()
    local host = net({ status = 200 })
    assert.same({ nil, nil, 1 }, { host:run("local o = { query = { q = 1 } } ctx.http.get('https://a.example/', o) return o.url, o.method, o.query.q") })
  end)
end)

describe("ctx.http.post", function()
  it("sends what it is given", function()
    local host = net({ status = 204 })
    assert.equal(204, host:run("return ctx.http.post('https://a.example/', { body = 'x', headers = { ['Content-Type'] = 'text/x' } }).status"))
    assert.same({ "POST", "x", "text/x" }, { last(host).method, last(host).body, last(host).headers["content-type"] })
    assert.equal("bad_argument", fails(host, "ctx.http.post({})"))
    assert.equal("denied", fails(host, "ctx.http.post('https://evil.example/', { body = 'x' })"))
  end)
end)

describe("ctx.smtp.send", function()
  local MAIL = "host = 'a.example', from = 'a@x.example', to = { 'b@x.example', 'c@x.example' }, message = 'Subject: x\\r\\n\\r\\nhi'"

  it("hands a message over", function()
    local host = net(nil, { smtp = function() return { code = 250, text = "2.0.0 ok" } end })
    local code = host:run("return ctx.smtp.send({ " .. MAIL .. ", user = 'u', password = ctx.config.token, security = 'tls' }).code")
    local mail = host.mails[1]
    assert.same({ 250, "a.example", 465, "a@x.example", { "b@x.example", "c@x.example" }, "u", "0123456789" }, {
      code, mail.host, mail.port, mail.from, mail.to, mail.user, mail.password,
    })
    assert.equal("Subject: x\r\n\r\nhi", mail.message)
  end)

  it("says what the server said", function()
    local host = net(nil, { smtp = function() return { error = { code = "smtp.refused", message = "550 no", retryable = false } } end })
    local err = kit.fails(host.run, host, "ctx.smtp.send({ " .. MAIL .. " })")
    assert.same({ "smtp.refused", "550 no", false }, { err.code, err.message, err.retryable })
    assert.equal("denied", fails(host, "ctx.smtp.send({ host = 'evil.example', from = 'a@x.example', to = 'b@x.example', message = 'x' })"))
  end)

  it("lets nothing into the dialogue", function()
    local host = net()
    for _, mail in ipairs({
      "host = 'a.example', from = 'a@x.example>\\r\\nDATA', to = 'b@x.example', message = 'x'", "host = 'a.example', from = 'a@x.example', to = 'b@x.example\\r\\nRCPT TO:<c@x.example>', message = 'x'",
      "host = 'a.example', from = 'a@x.example', to = {}, message = 'x'", "host = 'a.example', from = '', to = 'b@x.example', message = 'x'",
      "host = 'a.example', from = 'a@x.example', to = 'b@x.example', message = 7 == 7", "host = 'a.example', from = 'a@x.example', to = 'b@x.example', message = 'x', bcc = 'z'",
      "host = 'a.example', from = 'a@x.example', to = 'b@x.example', message = 'x', port = 0", "host = 'a.example', from = 'a@x.example', to = 'b@x.example', message = 'x', security = 'none'",
    }) do
      assert.equal("bad_argument", fails(host, "ctx.smtp.send({ " .. mail .. " })"), mail)
    end
    assert.is_truthy(fails(host, "ctx.smtp.send({ host = 'a.example\\r\\nX', from = 'a@x.example', to = 'b@x.example', message = 'x' })"))
    assert.same({}, host.mails)
  end)
end)

describe("ctx.send", function()
  local function sandbox(options)
    options.permissions = { "channels:send:sms" }
    return kit.sandbox(options)
  end

  it("goes over the channel, with the step's key", function()
    local host = sandbox({ send = { sms = function(message) return { messageId = message.idempotency_key } end } })
    local id = host:call("probe.act", { code = "return ctx.send('sms', { to = 'x', body = 'hi' }).messageId", args = kit.list() }, { idempotency_key = "run-1/1", rule = "r", run = "run-1" })
    assert.equal("run-1/1", id.values[1])
    assert.same({ "x", "hi", "sms", "r", "run-1" }, { host.sent[1].to, host.sent[1].body, host.sent[1].channel_type, host.sent[1].rule, host.sent[1].run })
  end)

  it("or into the outbox", function()
    local host = sandbox({})
    assert.equal("outbox", host:run("return ctx.send('sms', { to = 'x', body = 'hi' }).channel"))
    assert.equal("x", host.sent[1].to)
  end)

  it("passes the channel's error on", function()
    local host = sandbox({ send = { sms = function() error({ code = "sms.no", message = "no", retryable = true, retry_after = 3, outcome = "unknown" }) end } })
    local err = kit.fails(host.run, host, "ctx.send('sms', { to = 'x' })")
    assert.same({ "sms.no", true, 3.0, "unknown" }, { err.code, err.retryable, err.retry_after, err.outcome })
  end)

  it("is for its types, and not for conditions", function()
    local host = sandbox({})
    assert.equal("denied", fails(host, "ctx.send('email', { to = 'x' })"))
    assert.equal("denied", kit.fails(host.ask, host, "ctx.send('sms', { to = 'x' })").code)
    for _, args in ipairs({ "'sms'", "'sms', 'hi'", "'sms', { 1, 2 }", "'sms', { f = print }", "nil, {}", "'sms', { body = ('x'):rep(300000) }" }) do
      assert.is_truthy(fails(host, "ctx.send(" .. args .. ")"), args)
    end
    assert.same({}, host.sent)
  end)
end)

describe("ctx.call", function()
  local function sandbox(options)
    options.permissions = { "operators:call" }
    return kit.sandbox(options)
  end

  it("calls actions and conditions of others", function()
    local host = sandbox({ operators = { ["x.add"] = function(p) return { sum = p.a + p.b } end }, conditions = { ["x.is"] = function(p) return p.a > 1 end } })
    assert.same({ 3, true, false }, { host:run("return ctx.call('x.add', { a = 1, b = 2 }).sum, ctx.call('x.is', { a = 2 }), ctx.call('x.is', { a = 1 })") })
  end)

  it("passes errors on, and has its own", function()
    local host = sandbox({ operators = { ["x.fail"] = function() error({ code = "x.no", message = "no" }) end } })
    assert.equal("x.no", fails(host, "ctx.call('x.fail')"))
    assert.equal("unknown_operator", fails(host, "ctx.call('x.none')"))
    assert.equal("unknown_operator", fails(host, "ctx.call('lua', { code = 'return 1' })"))
    assert.equal("bad_argument", fails(host, "ctx.call(nil)"))
    assert.is_truthy(fails(host, "ctx.call('x.fail', { f = print })"))
  end)

  it("ends when it calls itself for ever", function()
    local host = sandbox({})
    assert.equal("limit.depth", fails(host, "return ctx.call('probe.act', { code = 'return ctx.call(\"probe.act\", { code = args[1], args = args })', args = { 'return ctx.call(\"probe.act\", { code = args[1], args = args })' } })"))
  end)

  it("names no secret for others", function()
    local host = sandbox({ operators = { ["x.add"] = function() return 1 end }, secrets = { token = "0123456789" } })
    assert.is_truthy(fails(host, "ctx.call('x.add', { a = { ['$secret'] = 'token' } })"))
    assert.same({}, host.calls)
  end)
end)

local SCHEDULER = { permissions = { "scheduler:read", "scheduler:write", "event:publish:t.*" } }
local TELL = "function(ctx, job) ctx.emit('t.Ran', { name = job.name, data = job.data, at = ctx.time.now(), due = job.due }) end"

local function ran(host)
  local list = {}
  for i, event in ipairs(host.emitted) do
    list[i] = event.data.name .. " " .. event.data.at:sub(12, 19)
  end
  return list
end

local function refuses(area, bad)
  local host = kit.sandbox(SCHEDULER)
  for _, args in ipairs(bad) do
    assert.is_truthy(fails(host, "ctx.schedule." .. area .. "(" .. args .. ")"), args)
  end
  assert.same({}, host:run("return ctx.schedule.list()"))
  assert.equal("denied", kit.fails(host.ask, host, "ctx.schedule." .. area .. "('x', '10m', print)").code)
end

local NAMES = { "nil, '1h', print", "'', '1h', print", "('n'):rep(200), '1h', print", "'a\\0b', '1h', print", "{}, '1h', print", "'a\\nb', '1h', print", "'\\255', '1h', print" }

describe("ctx.schedule.every", function()
  it("comes again after each gap, with its data", function()
    local host = kit.sandbox(SCHEDULER)
    host:run("ctx.schedule.every('e', '10m', " .. TELL .. ", { data = { n = 1 } })")
    host:advance("25m")
    assert.same({ "e 12:10:00", "e 12:20:00" }, ran(host))
    assert.same({ n = 1 }, host.emitted[1].data.data)
    host:run("ctx.schedule.every('e', 60, " .. TELL .. ")")
    host:advance("1m")
    assert.equal("e 12:26:00", ran(host)[3])
  end)

  it("refuses gaps and handlers that can not be", function()
    refuses("every", { "'e', '10ms', print", "'e', 'soon', print", "'e', -1, print", "'e', 0/0, print", "'e', '99999d', print", "'e', '1h', 'nojob'", "'e', '1h'", "'e', '1h', print, 7", table.unpack(NAMES) })
  end)

  it("takes names as texts", function()
    local host = kit.sandbox(SCHEDULER)
    for _, name in ipairs({ "../other.plugin/e", "other.plugin/e", "x' OR '1'='1", "plugin:other/e" }) do
      local ok = pcall(host.run, host, "ctx.schedule.every(args[1], '1h', print)", { name })
      if ok then
        host:run("ctx.schedule.cancel(args[1])", { name })
      end
    end
    assert.same({}, host:run("return ctx.schedule.list()"))
  end)

  it("has an end to their number", function()
    local host = kit.sandbox(SCHEDULER)
    assert.is_truthy(fails(host, "for i = 1, 200 do ctx.schedule.every('e' .. i, '1h', print) end"):find("^limit"))
  end)
end)

describe("ctx.schedule.cron", function()
  it("comes by the clock of its zone", function()
    local host = kit.sandbox(SCHEDULER)
    host:run("ctx.schedule.cron('utc', '30 13 * * *', " .. TELL .. ") ctx.schedule.cron('berlin', '30 13 * * *', " .. TELL .. ", { timezone = 'Europe/Berlin' })")
    host:advance("2h")
    assert.same({ "berlin 12:30:00", "utc 13:30:00" }, ran(host))
  end)

  it("refuses what never comes", function()
    refuses("cron", { "'c', 'often', print", "'c', '0 0 31 2 *', print", "'c', '* * * * *', print, { timezone = 'Mars/Olympus' }", "'c', '* * * * *', print, { timezone = '../../etc/passwd' }", "'c', '* * * * *', 'nojob'", "'c', nil, print" })
  end)
end)

describe("ctx.schedule.after", function()
  it("comes once", function()
    local host = kit.sandbox(SCHEDULER)
    host:run("ctx.schedule.after('a', '90s', " .. TELL .. ", { data = 'x' })")
    host:advance("10m")
    assert.same({ "a 12:01:30" }, ran(host))
    assert.same({}, host:run("return ctx.schedule.list()"))
  end)

  it("refuses delays that can not be", function()
    refuses("after", { "'a', 'later', print", "'a', -5, print", "'a', '9999999d', print", "'a', '1h', 'nojob'", table.unpack(NAMES) })
  end)

  it("runs jobs that are named later than the plugin was loaded", function()
    for _, isolation in ipairs({ "none", "process" }) do
      local host = kit.host({
        isolation = isolation == "process" and "process" or nil, permissions = SCHEDULER.permissions,
        manifest = { id = "spec.jobs", name = "Jobs", version = "1.0.0", type = "operator", apiVersion = "1.0", entrypoint = "./init.lua" },
        files = { ["init.lua"] = [[
          local jobs = {}
          return { jobs = jobs, init = function(ctx)
            jobs.late = ]] .. TELL .. [[

            ctx.schedule.after("late", "1m")
            ctx.schedule.after("other", "2m", "late")
          end }]] },
      })
      host:advance("3m")
      assert.same({ "late 12:01:00", "other 12:02:00" }, ran(host), isolation)
    end
  end)
end)

describe("ctx.schedule.cancel", function()
  it("lets nothing come any more", function()
    local host = kit.sandbox(SCHEDULER)
    host:run("ctx.schedule.after('a', '1m', " .. TELL .. ") ctx.schedule.after('b', '1m', " .. TELL .. ")")
    host:run("ctx.schedule.cancel('a') ctx.schedule.cancel('none')")
    host:advance("2m")
    assert.same({ "b 12:01:00" }, ran(host))
    assert.is_truthy(fails(host, "ctx.schedule.cancel(nil)"))
    assert.is_truthy(fails(host, "ctx.schedule.cancel('')"))
    assert.equal("denied", kit.fails(host.ask, host, "ctx.schedule.cancel('b')").code)
  end)
end)

describe("ctx.schedule.list", function()
  it("tells name, kind and when", function()
    local host = kit.sandbox(SCHEDULER)
    host:run("ctx.schedule.every('e', '10m', print) ctx.schedule.cron('c', '0 13 * * *', print) ctx.schedule.after('a', '1h', print, { data = 7 })")
    local list = host:run("return ctx.schedule.list()")
    table.sort(list, function(x, y) return x.name < y.name end)
    assert.same({ "a", "after", "2026-01-10T13:00:00.000Z", 7 }, { list[1].name, list[1].kind, list[1].next, list[1].data })
    assert.same({ "c", "cron", "2026-01-10T13:00:00.000Z" }, { list[2].name, list[2].kind, list[2].next })
    assert.same({ "e", "every", "2026-01-10T12:10:00.000Z" }, { list[3].name, list[3].kind, list[3].next })
    assert.equal(3, #host:ask("return ctx.schedule.list()"))
  end)
end)
