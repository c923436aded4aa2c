-- SPDX-License-Identifier: Apache-2.0
--- Which functions of ctx there are: exactly those of lua/types, each only with its permission.
local kit = require("testkit")

--- What each function needs: one of these is enough. {}: nothing.
local NEEDS = {
  account = { "accounts:google" }, call = { "operators:call" }, emit = { "event:publish:a.*", "event:publish:**" },
  secret = { "secrets:mtls" }, send = { "channels:send:sms", "channels:send:*" },
  crypto = {}, json = {}, log = {}, time = {},
  data = { "data:read:task", "contacts:read" }, ["data.put"] = { "data:write:task" }, ["data.delete"] = { "data:write:task" },
  events = { "event:subscribe:a.*" },
  files = { "filesystem:read:/srv/x" },
  http = { "network:outbound:a.example", "network:outbound:{config.host}" }, smtp = { "network:outbound:a.example" },
  ["mappings.external_id"] = { "storage:read" }, ["mappings.key"] = { "storage:read" }, ["mappings.list"] = { "storage:read" },
  mappings = { "storage:write" },
  schedule = { "scheduler:write" }, ["schedule.list"] = { "scheduler:read" },
  ["storage.get"] = { "storage:read" }, ["storage.list"] = { "storage:read" }, storage = { "storage:write" },
}
--- These need several at once.
local BOTH = { ["storage.compare_and_set"] = { "storage:read", "storage:write" } }

--- The declarations: the documents and the editor's help are made from them.
local function declared()
  local names = {}
  local list = assert(io.popen("ls ../lua/types/*.d.lua"))
  for path in list:lines() do
    for line in io.lines(path) do
      local name = line:match("^function ([%w_.]+)%(")
      if name then
        names[#names + 1] = name:gsub("^ctx%.", "")
      end
    end
  end
  list:close()
  return names
end

local EVERYTHING = {}
for _, needs in pairs(NEEDS) do
  for _, permission in ipairs(needs) do
    EVERYTHING[permission] = true
  end
end

local function needs_of(name)
  return NEEDS[name] or NEEDS[name:match("^[^.]+")]
end

--- Settings and secrets that the permissions above speak of.
local function sandbox(permissions)
  return kit.sandbox({
    permissions = permissions, config = { host = "b.example" },
    manifest = { mtlsSecrets = { "s" }, configSchema = { type = "object" } },
  })
end

--- What ctx really has: "storage.get" and the like, walked to the end.
local REACH = [[
local found = ctx.json.array()
local function walk(value, path)
  for key, item in pairs(value) do
    local here = path and path .. "." .. key or key
    if type(item) == "function" then found[#found + 1] = here end
    if type(item) == "table" and here ~= "manifest" and here ~= "config" then walk(item, here) end
  end
end
for _, area in ipairs(args) do
  local value = ctx[area]
  if type(value) == "function" then found[#found + 1] = area elseif type(value) == "table" then walk(value, area) end
end
return found
]]

local function reachable(host, names)
  local areas, seen = {}, {}
  for _, name in ipairs(names) do
    local area = name:match("^[^.]+")
    if not seen[area] then
      seen[area] = true
      areas[#areas + 1] = area
    end
  end
  local found = {}
  for _, name in ipairs(host:run(REACH, areas)) do
    found[name] = true
  end
  return found
end

describe("the functions of ctx", function()
  local names = declared()

  it("are all known here", function()
    assert.is_true(#names > 45)
    for _, name in ipairs(names) do
      assert.is_truthy(needs_of(name), "this file does not say what ctx." .. name .. " needs")
    end
  end)

  for _, isolation in ipairs({ "none", "process" }) do
    it("are there with every permission, and nothing else is (isolation: " .. isolation .. ")", function()
      local all, wanted = {}, {}
      for permission in pairs(EVERYTHING) do
        all[#all + 1] = permission
      end
      for _, name in ipairs(names) do
        wanted[name] = true
      end
      local host = kit.sandbox({
        permissions = all, config = { host = "b.example" }, isolation = isolation == "process" and "process" or nil,
        manifest = { mtlsSecrets = { "s" }, configSchema = { type = "object" } },
      })
      assert.same(wanted, reachable(host, names))
    end)
  end

  it("are absent without any, but for those that need none", function()
    local wanted = {}
    for _, name in ipairs(names) do
      if #needs_of(name) == 0 then
        wanted[name] = true
      end
    end
    assert.same(wanted, reachable(sandbox({}), names))
  end)

  for permission in pairs(EVERYTHING) do
    it("come with " .. permission .. ": those and no others", function()
      local wanted = {}
      for _, name in ipairs(names) do
        local needs = BOTH[name] or needs_of(name)
        local there = #needs == 0
        for _, one in ipairs(needs) do
          local same_kind = one:match("^[^:]+:[^:]+") == permission:match("^[^:]+:[^:]+")
          there = there or (not BOTH[name] and (one == permission or same_kind))
        end
        wanted[name] = there or nil
      end
      assert.same(wanted, reachable(sandbox({ permission }), names))
    end)
  end

  it("have both sides of compare_and_set", function()
    local found = reachable(sandbox({ "storage:read", "storage:write" }), names)
    assert.is_true(found["storage.compare_and_set"])
  end)
end)
