-- SPDX-License-Identifier: Apache-2.0
--- The two pipes to the program that runs the specs: one JSON object a line each way. While a request is under way the
--- program may ask back, when a plugin sends a request to the outside.

local dkjson = require("dkjson")

local M = {}

local reader, writer
local busy = false

local function open()
  local reads, writes = os.getenv("PERIGEE_SPEC_READS"), os.getenv("PERIGEE_SPEC_WRITES")
  if not reads then
    error("specs are run by the program: perigee plugins test DIR", 0)
  end
  reader, writer = assert(io.open(reads, "r")), assert(io.open(writes, "w"))
  writer:setvbuf("full")
end

--- JSON's null, for values that hold it inside.
M.null = setmetatable({}, { __name = "null" })
local lists = setmetatable({}, { __mode = "k" })

--- Marks an empty table as a list: {} alone is an object.
function M.list(items)
  items = items or {}
  lists[items] = true
  return items
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quoted(text)
  assert(utf8.len(text), "a text that is not UTF-8 can not cross: use body of HTTP for bytes")
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local encode

local function encode_table(value)
  local parts = {}
  if #value > 0 or lists[value] then
    for i = 1, #value do
      parts[i] = encode(value[i])
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(value) do
    assert(type(key) == "string", "a key that is neither text nor of a list")
    parts[#parts + 1] = quoted(key) .. ":" .. encode(item)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
  local kind = type(value)
  if value == nil or value == M.null then
    return "null"
  elseif kind == "table" then
    return encode_table(value)
  elseif kind == "string" then
    return quoted(value)
  elseif math.type(value) == "float" then
    assert(value == value and value ~= math.huge and value ~= -math.huge, "a number that JSON does not have")
    return ("%.17g"):format(value):gsub(",", ".")
  elseif kind == "number" or kind == "boolean" then
    return tostring(value)
  end
  error("a " .. kind .. " can not cross", 0)
end

M.encode = encode

--- null becomes nil.
function M.decode(text)
  return dkjson.decode(text, 1, nil, nil)
end

local function send(value)
  writer:write(encode(value), "\n")
  writer:flush()
end

local function receive()
  local line = reader:read("l")
  if not line then
    error("the program has ended", 0)
  end
  return assert(M.decode(line), "the program said what is no JSON")
end

--- answer(host, request) is called for each request to the outside. What it raises is raised here, when the request of
--- the spec has ended: a mistake in a stub is a mistake of the spec, not an answer.
function M.ask(request, answer)
  assert(not busy, "a stub can not use the host that asks it")
  if not reader then
    open()
  end
  local failed, why
  busy = true
  send(request)
  local reply = receive()
  while reply.ask do
    local ok, value = pcall(answer, reply.host, reply.ask)
    if not ok then
      failed, why = true, value
      value = { error = { code = "spec", message = "the stub of the spec failed", retryable = false } }
    end
    send(value)
    reply = receive()
  end
  busy = false
  if failed then
    error(why, 0)
  end
  return reply
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

function M.to_base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local at = n >> (18 - 6 * k) & 63
      local used = k < 2 or (k == 2 and b) or (k == 3 and c)
      out[#out + 1] = used and ALPHABET:sub(at + 1, at + 1) or "="
    end
  end
  return table.concat(out)
end

function M.from_base64(text)
  local out, n, bits = {}, 0, 0
  for c in text:gmatch("[%w+/]") do
    n, bits = n << 6 | ALPHABET:find(c, 1, true) - 1, bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(n >> bits & 255)
    end
  end
  return table.concat(out)
end

return M
