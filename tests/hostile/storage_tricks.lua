-- SPDX-License-Identifier: Apache-2.0
--- Keys and namespaces that try to leave their place.
-- try: action ok
-- permissions: storage:read storage:write
return {
  actions = {
    ["storage_tricks.go"] = {
      execute = function(_, ctx)
        local s = ctx.storage
        s.set("a", 1, { namespace = "one" })
        s.set("one/a", 2)
        s.set("a", 3, { namespace = "one", scope = "user" })
        assert(s.get("a", { namespace = "one" }) == 1 and s.get("one/a") == 2 and s.get("a", { namespace = "one", scope = "user" }) == 3)
        for at, try in ipairs({
          function() s.set("a", 1, { namespace = "../two" }) end, function() s.set("a", 1, { namespace = "x/y" }) end, function() s.set("", 1) end,
          function() s.set(("k"):rep(256), 1) end, function() s.set("a\0b", 1) end, function() s.set("a", 1, { scope = "other" }) end,
          function() s.set("a", 1, { namespace = ("n"):rep(101) }) end, function() s.get({}) end, function() s.set("a", 1, { ttl = -1 }) end,
          function() s.set("a", 1, { ttl = 0 / 0 }) end, function() s.set("a", 1, { ttl = math.huge }) end, function() s.set("a", 0 / 0) end,
          function() s.list("a\0") end, function() s.set("\xff", 1) end,
        }) do
          assert(not pcall(try), "try " .. at)
        end
        for _, key in ipairs({ "%", "_", "*", "' OR 1=1 --", "a\nb", "..", "../../x" }) do
          s.set(key, key)
          assert(s.get(key) == key)
        end
        assert(#s.list("%") == 1 and #s.list("_") == 1 and #s.list("*") == 1)
        s.clear({ namespace = "one" })
        assert(s.get("one/a") == 2 and s.get("a", { namespace = "one", scope = "user" }) == 3 and s.get("a", { namespace = "one" }) == nil)
      end,
    },
  },
}
