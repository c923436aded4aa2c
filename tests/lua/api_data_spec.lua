-- SPDX-License-Identifier: Apache-2.0
--- ctx.data, storage, mappings, emit, events, files, as a plugin sees them in the sandbox.
local kit = require("testkit")

local PERMISSIONS = {
  "data:read:task", "data:write:task", "data:write:note", "storage:read", "storage:write", "event:publish:a.*", "event:publish:b.*",
  "event:subscribe:a.*", "event:subscribe:b.**",
}

local function fresh(options)
  local all = { permissions = PERMISSIONS }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  return kit.sandbox(all)
end

local function fails(host, code, args)
  return kit.fails(host.run, host, code, args).code
end

local function refuses_in_conditions(code)
  local host = fresh()
  local err = kit.fails(host.ask, host, code)
  assert.equal("denied", err.code)
end

local TASKS = { task = { { id = "t1", n = 1, tags = { "x" } }, { id = "t2", n = 2 }, { id = "t3", n = 3, kind = "other" } } }

describe("ctx.data.query", function()
  it("finds by fields, in order, in pages", function()
    local host = fresh({ data = TASKS })
    assert.same({ 3, 2 }, { host:run("return #ctx.data.query('task'), #ctx.data.query('task', { where = { n = { gte = 2 } } })") })
    assert.same({ "t3", "t2" }, { host:run("local l = ctx.data.query('task', { order = '-n', limit = 2 }) return l[1].id, l[2].id") })
    assert.same({ "t1", 3, 1 }, { host:run([[
      local l = ctx.data.query("task", { order = "-n", offset = 2 })
      return l[1].id, ctx.data.query("task", { count = true }), ctx.data.query("task", { where = { tags = { contains = "x" } }, count = true })]]) })
  end)

  it("sees what the handler wrote before, and what conditions may see", function()
    local host = fresh({ data = TASKS })
    assert.equal(4, host:run("ctx.data.put('task', { id = 't4' }) return #ctx.data.query('task')"))
    assert.equal(4, host:ask("return ctx.data.query('task', { count = true })"))
  end)

  it("refuses types, operators and forms that are not there", function()
    local host = fresh({ data = TASKS })
    assert.equal("denied", fails(host, "return ctx.data.query('contact')"))
    assert.equal("denied", fails(host, "return ctx.data.query('note')"))
    assert.is_truthy(fails(host, "return ctx.data.query('No type!')"))
    assert.is_truthy(fails(host, "return ctx.data.query('task', { where = { n = { near = 1 } } })"))
    assert.is_truthy(fails(host, "return ctx.data.query('task', { order = 'n; DROP TABLE entities' })"))
    assert.equal("bad_argument", fails(host, "return ctx.data.query('task', 'all')"))
    assert.equal("bad_argument", fails(host, "return ctx.data.query(nil)"))
    assert.equal("bad_argument", fails(host, "return ctx.data.query('task', { where = { f = print } })"))
  end)
end)

describe("ctx.data.get", function()
  it("gives one, or nil", function()
    local host = fresh({ data = TASKS })
    assert.same({ 1, nil }, { host:run("return ctx.data.get('task', 't1').n, ctx.data.get('task', 'none')") })
    assert.equal("denied", fails(host, "return ctx.data.get('contact', 'ada')"))
    assert.equal("bad_argument", fails(host, "return ctx.data.get('task', {})"))
    assert.equal("bad_argument", fails(host, "return ctx.data.get('task', 't\\0001')"))
  end)

  it("gives a copy", function()
    local host = fresh({ data = TASKS })
    assert.equal(1, host:run("ctx.data.get('task', 't1').n = 7 return ctx.data.get('task', 't1').n"))
  end)
end)

describe("ctx.data.put", function()
  it("makes, merges, and returns the id", function()
    local host = fresh({ data = TASKS })
    assert.equal("t1", host:run("return ctx.data.put('task', { id = 't1', n = 9, tags = ctx.json.null })"))
    local task = host.data.get("task", "t1")
    assert.same({ 9, nil }, { task.n, task.tags })
    local a = host:run("return ctx.data.put('task', { source = 's', externalId = '7', n = 1 })")
    local b = host:run("return ctx.data.put('task', { source = 's', externalId = '7', n = 2 })")
    assert.equal(a, b)
    assert.equal(2, host.data.get("task", a).n)
  end)

  it("writes nothing when the handler fails", function()
    local host = fresh()
    fails(host, "ctx.data.put('task', { id = 'x' }) error('late')")
    assert.is_nil(host.data.get("task", "x"))
  end)

  it("is for its types, and not for conditions", function()
    assert.equal("denied", fails(fresh(), "ctx.data.put('contact', { id = 'ada' })"))
    refuses_in_conditions("ctx.data.put('task', { id = 'x' })")
  end)

  it("takes ids as texts, whatever is in them", function()
    local host = fresh({ data = { contact = { { id = "ada", name = "Ada" } } } })
    for _, id in ipairs({ "../contact/ada", "contact/ada", "a'; DROP TABLE entities;--", "%00", "ada\n", "🙂" }) do
      local ok, got = pcall(host.run, host, "return ctx.data.put('task', { id = args[1], n = 1 })", { id })
      if ok then
        assert.equal(id, got)
        assert.equal(1, host.data.get("task", id).n)
      end
    end
    assert.equal("Ada", host.data.get("contact", "ada").name)
    assert.equal(1, #host.data.query("contact"))
  end)

  it("refuses ids and fields that can not be", function()
    local host = fresh()
    for _, fields in ipairs({
      "{ id = ('x'):rep(100000) }", "{ id = 'a\\0b' }", "{ id = 7 }", "{ id = {} }", "{ id = '' }", "{ f = print }", "{ [1] = 2, a = 3 }",
      "{ a = '\\255' }", "{ a = 0/0 }", "'text'", "nil",
    }) do
      assert.is_truthy(fails(host, "ctx.data.put('task', " .. fields .. ")"), fields)
    end
    assert.same({}, host.data.query("task"))
  end)
end)

describe("ctx.data.delete", function()
  it("removes one, and minds nothing that is not there", function()
    local host = fresh({ data = TASKS })
    host:run("ctx.data.delete('task', 't1') ctx.data.delete('task', 'none')")
    assert.equal(2, #host.data.query("task"))
    assert.equal("denied", fails(host, "ctx.data.delete('contact', 'ada')"))
    assert.equal("bad_argument", fails(host, "ctx.data.delete('task', nil)"))
    refuses_in_conditions("ctx.data.delete('task', 't2')")
  end)
end)

describe("ctx.storage.set", function()
  it("keeps values as they are, by scope and namespace", function()
    local host = fresh()
    host:run([[local s = ctx.storage.set
      s("k", { a = { 1, true, "x" } }) s("k", 2, { namespace = "n" }) s("k", 3, { scope = "user" }) s("e", ctx.json.array())]])
    assert.same({ { a = { 1, true, "x" } }, 2, 3 }, { host:run([[local g = ctx.storage.get
      return g("k"), g("k", { namespace = "n" }), g("k", { scope = "user" })]]) })
    assert.equal("[]", host:run("return ctx.json.encode(ctx.storage.get('e'))"))
  end)

  it("forgets after its ttl, and nil deletes", function()
    local host = fresh()
    host:run("ctx.storage.set('a', 1, { ttl = '1h' }) ctx.storage.set('b', 1, { ttl = 60 }) ctx.storage.set('c', 1)")
    host:advance("2m")
    assert.same({ "a", "c" }, host:run("return ctx.storage.list()"))
    host:advance("1h")
    assert.same({ "c" }, host:run("return ctx.storage.list()"))
    host:run("ctx.storage.set('c', nil)")
    assert.same({}, host:run("return ctx.storage.list()"))
  end)

  it("has limits with codes", function()
    local host = fresh({ manifest = { limits = { storageKeys = 3, storageBytes = 100000 } } })
    assert.equal("limit.storage", fails(host, "for i = 1, 4 do ctx.storage.set('k' .. i, 1) end"))
    assert.equal("limit.storage", fails(host, "for i = 1, 3 do ctx.storage.set('k' .. i, ('x'):rep(60000)) end"))
    assert.same({}, host.storage.list())
    assert.is_truthy(fails(host, "ctx.storage.set('k', ('x'):rep(70000))"))
  end)

  it("refuses keys, spaces and times that can not be", function()
    local host = fresh()
    for _, args in ipairs({
      "'', 1", "('k'):rep(300), 1", "'a\\0b', 1", "'\\255', 1", "{}, 1", "'k', print", "'k', 1, { namespace = 'a/b' }", "'k', 1, { namespace = ('n'):rep(101) }",
      "'k', 1, { scope = 'other' }", "'k', 1, { ttl = 'soon' }", "'k', 1, { ttl = -1 }", "'k', 1, { ttl = 0/0 }", "'k', 1, 7",
    }) do
      assert.equal("bad_argument", fails(host, "ctx.storage.set(" .. args .. ")"), args)
    end
    refuses_in_conditions("ctx.storage.set('k', 1)")
  end)
end)

describe("ctx.storage.get", function()
  it("gives nil for what is not there, and what was just set", function()
    local host = fresh()
    assert.same({ nil, 1 }, { host:run("local before = ctx.storage.get('k') ctx.storage.set('k', 1) return before, ctx.storage.get('k')") })
    assert.equal(1, host:ask("return ctx.storage.get('k')"))
    assert.equal("bad_argument", fails(host, "return ctx.storage.get('')"))
  end)

  it("does not reach another plugin's, whatever the key says", function()
    local host = fresh()
    host.storage.set("k", "theirs", { plugin = "other.plugin" })
    for _, key in ipairs({ "k", "../other.plugin/k", "other.plugin/plugin//k", "plugin//k" }) do
      assert.is_nil(host:run("return ctx.storage.get(args[1])", { key }))
    end
    assert.equal("bad_argument", fails(host, "return ctx.storage.get('k', { namespace = '../../other.plugin' })"))
  end)
end)

describe("ctx.storage.delete", function()
  it("removes a key of one space", function()
    local host = fresh()
    host:run("ctx.storage.set('k', 1) ctx.storage.set('k', 2, { namespace = 'n' }) ctx.storage.delete('k') ctx.storage.delete('none')")
    assert.same({ nil, 2 }, { host:run("return ctx.storage.get('k'), ctx.storage.get('k', { namespace = 'n' })") })
    refuses_in_conditions("ctx.storage.delete('k')")
  end)
end)

describe("ctx.storage.list", function()
  it("sorts, by prefix, within a space", function()
    local host = fresh()
    host:run("for _, k in ipairs({ 'b2', 'a', 'b1', 'b%' }) do ctx.storage.set(k, 1) end ctx.storage.set('c', 1, { namespace = 'n' })")
    assert.same({ "a", "b%", "b1", "b2" }, host:run("return ctx.storage.list()"))
    assert.same({ "b%", "b1", "b2" }, host:run("return ctx.storage.list('b')"))
    assert.same({ "b%" }, host:run("return ctx.storage.list('b%')"))
    assert.same({ "c" }, host:run("return ctx.storage.list(nil, { namespace = 'n' })"))
    assert.equal("[]", host:run("return ctx.json.encode(ctx.storage.list('none'))"))
    assert.equal("bad_argument", fails(host, "return ctx.storage.list(('x'):rep(300))"))
  end)
end)

describe("ctx.storage.clear", function()
  it("empties one space and counts", function()
    local host = fresh()
    host:run("ctx.storage.set('a', 1) ctx.storage.set('b', 1) ctx.storage.set('c', 1, { namespace = 'n' })")
    assert.equal(2, host:run("return ctx.storage.clear()"))
    assert.equal(0, host:run("return ctx.storage.clear()"))
    assert.same({ "c" }, host.storage.list(nil, { namespace = "n" }))
    refuses_in_conditions("ctx.storage.clear()")
  end)
end)

describe("ctx.storage.compare_and_set", function()
  it("sets only what is as expected", function()
    local host = fresh()
    assert.same({ true, false, true, false }, { host:run([[local swap = ctx.storage.compare_and_set
      return swap("k", nil, { n = 1 }), swap("k", { n = 2 }, 3), swap("k", { n = 1 }, { n = 2 }), swap("k", nil, 9)]]) })
    assert.same({ n = 2 }, host.storage.get("k"))
    assert.is_true(host:run("return ctx.storage.compare_and_set('k', { n = 2 }, nil)"))
    assert.is_nil(host.storage.get("k"))
    assert.equal("bad_argument", fails(host, "return ctx.storage.compare_and_set('k', print, 1)"))
    refuses_in_conditions("ctx.storage.compare_and_set('k', nil, 1)")
  end)
end)

describe("ctx.mappings.set", function()
  it("keeps one external id for one key", function()
    local host = fresh()
    host:run("ctx.mappings.set('task', 't1', 'ext-1', { etag = 'x' }) ctx.mappings.set('task', 't1', 'ext-2')")
    assert.same({ "ext-2", "t1", nil }, { host:run("local m = ctx.mappings return m.external_id('task', 't1'), m.key('task', 'ext-2'), m.key('task', 'ext-1')") })
    assert.equal("mapping.conflict", fails(host, "ctx.mappings.set('task', 't2', 'ext-2')"))
    refuses_in_conditions("ctx.mappings.set('task', 't1', 'e')")
  end)

  it("refuses names that can not be", function()
    local host = fresh()
    assert.equal("bad_argument", fails(host, "ctx.mappings.set('task', '\\255', 'e')"))
    for _, args in ipairs({ "'', 'k', 'e'", "'task', '', 'e'", "'task', 'k', ''", "'task', ('k'):rep(10000), 'e'", "'task', 'k\\0', 'e'", "'task', 'k', {}", "'task', 'k', 'e', print" }) do
      assert.is_truthy(fails(host, "ctx.mappings.set(" .. args .. ")"), args)
    end
  end)
end)

describe("ctx.mappings.bulk", function()
  it("sets many or none", function()
    local host = fresh()
    assert.equal(2, host:run("return ctx.mappings.bulk({ { type = 'task', key = 'a', external_id = '1' }, { type = 'task', key = 'b', external_id = '2' } })"))
    assert.equal(0, host:run("return ctx.mappings.bulk({})"))
    assert.is_truthy(fails(host, "ctx.mappings.bulk({ { type = 'task', key = 'c', external_id = '3' }, { type = 'task', key = 'd', external_id = '1' } })"))
    assert.is_nil(host:run("return ctx.mappings.external_id('task', 'c')"))
    assert.equal("bad_argument", fails(host, "ctx.mappings.bulk('x')"))
    assert.equal("bad_argument", fails(host, "ctx.mappings.bulk({ 1 })"))
  end)
end)

describe("ctx.mappings.delete", function()
  it("forgets a key", function()
    local host = fresh()
    host:run("ctx.mappings.set('task', 'a', '1') ctx.mappings.delete('task', 'a') ctx.mappings.delete('task', 'none')")
    assert.is_nil(host:run("return ctx.mappings.key('task', '1')"))
    refuses_in_conditions("ctx.mappings.delete('task', 'a')")
  end)
end)

describe("ctx.mappings.external_id", function()
  it("is nil for what nobody mapped", function()
    local host = fresh()
    assert.is_nil(host:run("return ctx.mappings.external_id('task', 'none')"))
    assert.equal("bad_argument", fails(host, "return ctx.mappings.external_id('task')"))
  end)
end)

describe("ctx.mappings.key", function()
  it("is the way back", function()
    local host = fresh()
    host:run("ctx.mappings.set('task', 'a', '1') ctx.mappings.set('note', 'b', '1')")
    assert.same({ "a", "b" }, { host:run("return ctx.mappings.key('task', '1'), ctx.mappings.key('note', '1')") })
    assert.equal("bad_argument", fails(host, "return ctx.mappings.key('task', {})"))
  end)
end)

describe("ctx.mappings.list", function()
  it("goes page by page", function()
    local host = fresh()
    host:run("for i = 1, 5 do ctx.mappings.set('task', 'k' .. i, 'e' .. i, { i = i }) end ctx.mappings.set('note', 'n', 'e')")
    local first = host:run("return ctx.mappings.list('task', { limit = 3 })")
    assert.same({ 3, "k1", "e1", 1 }, { #first, first[1].key, first[1].external_id, first[1].data.i })
    assert.equal(2, #host:run("return ctx.mappings.list('task', { after = args[1] })", { first[3].id }))
    assert.equal(6, #host:run("return ctx.mappings.list()"))
    assert.equal("bad_argument", fails(host, "return ctx.mappings.list('task', { limit = 0 })"))
    assert.equal("bad_argument", fails(host, "return ctx.mappings.list('task', { limit = 100000 })"))
  end)
end)

describe("ctx.emit", function()
  it("stores an event with what else the handler wrote", function()
    local host = fresh()
    host:run("ctx.emit('a.Done', { n = 1 }, { subject = 's', time = '2026-01-01T00:00:00Z' })")
    local event = host.emitted[1]
    assert.same({ "a.Done", { n = 1 }, "s", "2026-01-01T00:00:00.000Z" }, { event.type, event.data, event.subject, event.time })
    fails(host, "ctx.emit('a.Lost') error('late')")
    assert.equal(1, #host.emitted)
  end)

  it("knows a repeat by its id", function()
    local host = fresh()
    host:run("ctx.emit('a.X', 1, { id = '7' })")
    host:run("ctx.emit('a.X', 2, { id = '7' }) ctx.emit('a.X', 3, { id = '8' })")
    assert.equal(2, #host.emitted)
  end)

  it("is for the types that were granted, and not for conditions", function()
    local host = fresh()
    assert.equal("denied", fails(host, "ctx.emit('c.X')"))
    assert.equal("denied", fails(host, "ctx.emit('a.b.c')"))
    assert.is_truthy(fails(host, "ctx.emit('plugin.Loaded')"))
    refuses_in_conditions("ctx.emit('a.X')")
  end)

  it("refuses types, data and options that can not be", function()
    local host = fresh()
    for _, args in ipairs({
      "'a.\\nX'", "'a.*'", "''", "nil", "'a.X', print", "'a.X', 0/0", "'a.X', ('x'):rep(70000)", "'a.X', 1, 'id'", "'a.X', 1, { time = 'soon' }",
      "'a.X', 1, { source = 'perigee:schedule' }", "'a.X', 1, { id = ('x'):rep(100000) }", "'a.X', 1, { subject = 'a\\0b' }",
    }) do
      assert.is_truthy(fails(host, "ctx.emit(" .. args .. ")"), args)
    end
    assert.same({}, host.emitted)
  end)
end)

local function heard(host)
  local seen = {}
  for _, line in ipairs(host.logs) do
    if line.message:find("^heard ") then
      seen[#seen + 1] = line.data.n
    end
  end
  return seen
end

local HEAR = [[ctx.events.on(args[1], function(event, ctx) ctx.log.info("heard " .. event.type, { n = event.data.n }) end, args[2])]]

describe("ctx.events.on", function()
  it("hears what comes, in order, and once", function()
    local host = fresh()
    host:run(HEAR, { "a.*" })
    for i = 1, 3 do
      host:emit("a.X", { n = i })
    end
    host:emit("c.X", { n = 9 })
    assert.same({ 1, 2, 3 }, heard(host))
  end)

  it("hears what was, from the start or from an event", function()
    local host = fresh()
    for i = 1, 4 do
      host:emit("a.X", { n = i })
    end
    host:run(HEAR, { "a.*", { since = host.heard[2].id } })
    assert.same({ 3, 4 }, heard(host))
    host = fresh()
    host:emit("a.X", { n = 1 })
    host:run(HEAR, { "a.*", { since = "start" } })
    assert.equal(1, host:logged("heard a.X").data.n)
  end)

  it("stays after a reset only when init says so", function()
    local host = fresh()
    host:run(HEAR, { "a.*" })
    fails(host, "while true do end")
    host:emit("a.X", { n = 1 })
    assert.is_truthy(host:logged("nobody subscribed to a.* again"))
  end)

  it("refuses globs, handlers and beginnings that can not be", function()
    local host = fresh()
    assert.equal("denied", fails(host, "ctx.events.on('c.*', print)"))
    assert.equal("denied", fails(host, "ctx.events.on('**', print)"))
    assert.equal("bad_argument", fails(host, "ctx.events.on('a.*', 'print')"))
    assert.equal("bad_argument", fails(host, "ctx.events.on('a.*', print, { since = 'yesterday' })"))
    assert.is_truthy(fails(host, "ctx.events.on('', print)"))
    assert.is_truthy(fails(host, "for i = 1, 200 do ctx.events.on('b.x' .. i, print) end"))
  end)
end)

describe("ctx.events.off", function()
  it("hears no more", function()
    local host = fresh()
    host:run(HEAR, { "a.*" })
    host:run("ctx.events.off('a.*') ctx.events.off('b.none')")
    host:emit("a.X", { n = 1 })
    assert.is_nil(host:logged("heard"))
    assert.equal("bad_argument", fails(host, "ctx.events.off(nil)"))
  end)
end)

describe("ctx.files.read", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/in/deep && printf hello > " .. folder .. "/in/a.txt && printf secret > " .. folder ..
      "/out.txt && ln -s ../out.txt " .. folder .. "/in/link && printf deep > " .. folder .. "/in/deep/b.txt"))
  end)
  teardown(function()
    os.execute("rm -r " .. folder)
  end)

  local function host_of()
    return kit.sandbox({ permissions = { "filesystem:read:" .. folder .. "/in" } })
  end

  it("reads a piece and says how large the file is", function()
    local read = "return ctx.files.read(args[1], { offset = args[2], limit = args[3] })"
    local host = host_of()
    assert.same({ "hello", 5 }, { host:run(read, { folder .. "/in/a.txt" }) })
    assert.same({ "ell", 5 }, { host:run(read, { folder .. "/in/a.txt", 1, 3 }) })
    assert.same({ "", 5 }, { host:run(read, { folder .. "/in/a.txt", 99 }) })
    assert.same({ "deep", 4 }, { host:run(read, { folder .. "/in/deep/b.txt" }) })
  end)

  it("does not leave the granted folder", function()
    local host = host_of()
    for _, path in ipairs({ "/out.txt", "/in/../out.txt", "/in/./../out.txt", "/in/deep/../../out.txt", "/in/link", "/in//../out.txt", "/inside" }) do
      local code = fails(host, "return ctx.files.read(args[1])", { folder .. path })
      assert.is_truthy(code == "denied" or code:find("^file"), path .. ": " .. code)
    end
    assert.is_truthy(fails(host, "return ctx.files.read('/etc/passwd')"))
    assert.is_truthy(fails(host, "return ctx.files.read('in/a.txt')"))
    assert.is_truthy(fails(host, "return ctx.files.read(args[1] .. '/in/a.txt\\0.png')", { folder }))
  end)

  it("says what is missing, and refuses pieces that can not be", function()
    local host = host_of()
    assert.equal("file.missing", fails(host, "return ctx.files.read(args[1] .. '/in/none')", { folder }))
    assert.is_truthy(fails(host, "return ctx.files.read(args[1] .. '/in')", { folder }))
    assert.equal("bad_argument", fails(host, "return ctx.files.read(args[1] .. '/in/a.txt', { offset = -1 })", { folder }))
    assert.equal("bad_argument", fails(host, "return ctx.files.read(args[1] .. '/in/a.txt', { limit = 1e9 })", { folder }))
    assert.equal("bad_argument", fails(host, "return ctx.files.read(7, 7)"))
  end)
end)
