-- SPDX-License-Identifier: Apache-2.0
--- Library functions asked for texts of absurd sizes.
-- try: action ok
return {
  actions = {
    ["text_sizes.go"] = {
      execute = function(_, ctx)
        local big, least = math.maxinteger, math.mininteger
        for _, try in ipairs({
          function() return ("%99.99f"):format(1e308) .. ("%100d"):format(1) end, function() return ("%s"):rep(500):format() end,
          function() return ("%" .. ("0"):rep(1000) .. "d"):format(1) end, function() return string.pack("i17", 1) end,
          function() return string.pack("!32i4", 1) end, function() return string.packsize(("c2000000000"):rep(9)) end,
          function() return string.pack("s1", ("x"):rep(300)) end, function() return string.unpack("c" .. big, "x") end,
          function() return string.unpack("s8", ("\xff"):rep(16)) end, function() return string.unpack("z", "no end") end,
          function() return string.unpack("i4", "1234", big) end,
          function() return utf8.char(-1) end, function() return utf8.char(1 << 31) end, function() return utf8.codepoint("abc", 1, 1 << 40) end,
          function() return utf8.offset("abc", least, big) end, function() return utf8.len("abc", least) end,
          function() for _ in utf8.codes("\xff\xfe") do end error("a codepoint of no text") end,
        }) do
          local ok, text = pcall(try)
          assert(not ok, _ .. tostring(text):sub(1, 50))
        end
        assert(("x"):rep(least) == "" and (""):rep(big) == "" and ("abc"):sub(least, big) == "abc")
        assert(("abc"):byte(big, big) == nil and #utf8.char(0x7fffffff) == 6)
      end,
    },
  },
}
