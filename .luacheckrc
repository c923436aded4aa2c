-- SPDX-License-Identifier: Apache-2.0
-- Plugins run in restricted states: they see what engine/plugin/lua_vm_open.c lists and nothing else (tests/lint/luacheck.sh
-- compares the two). Specs run on plain Lua 5.4 under busted.
local function fields(names)
  local map = {}
  for _, name in ipairs(names) do
    map[name] = {}
  end
  return { fields = map }
end

stds.perigee = {
  read_globals = {
    "_VERSION", "assert", "collectgarbage", "error", "getmetatable", "ipairs", "load", "next", "pairs", "pcall", "print",
    "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber", "tostring",
    "type", "xpcall",
    string = fields({
      "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack", "packsize", "rep",
      "reverse", "sub", "unpack", "upper",
    }),
    table = fields({
      "concat", "insert", "move", "pack", "remove", "sort", "unpack",
    }),
    math = fields({
      "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "log", "max", "min",
      "modf", "rad", "random", "randomseed", "sin", "sqrt", "tan", "tointeger", "type", "ult", "huge",
      "maxinteger", "mininteger", "pi",
    }),
    utf8 = fields({
      "char", "codepoint", "codes", "len", "offset", "charpattern",
    }),
    coroutine = fields({
      "close", "create", "isyieldable", "resume", "running", "status", "wrap", "yield",
    }),
  },
}

std = "perigee"
max_line_length = 140
cache = false
files["lua/testkit"] = { std = "lua54" }
files["tests"] = { std = "lua54+busted", max_line_length = false }
files["**/*_spec.lua"] = { std = "lua54+busted", max_line_length = false }
files[".luacheckrc"] = { std = "lua54+luacheckrc" }
-- Hostile on purpose: only what is no Lua at all would be a mistake.
files["tests/hostile"] = { std = "perigee", ignore = { "." } }
files["tests/benign"] = { std = "perigee" }
files["lua/types"] = { ignore = { "212", "241", "122" } } -- declarations: nothing is used or done
