-- SPDX-License-Identifier: Apache-2.0
--- Values nested far too deep, both ways, in every place that takes one.
-- try: action ok
-- permissions: event:publish:boundary.* storage:read storage:write operators:call
return {
  actions = {
    ["boundary_deep.go"] = {
      execute = function(_, ctx)
        local deep = {}
        for _ = 1, 5000 do deep = { deep } end
        for _, try in ipairs({
          function() ctx.json.encode(deep) end, function() ctx.json.decode(("["):rep(20000)) end, function() ctx.json.decode(('{"a":'):rep(20000)) end,
          function() ctx.emit("boundary.Deep", deep) end, function() ctx.emit("boundary.Deep", {}, deep) end, function() ctx.storage.set("k", deep) end,
          function() ctx.storage.set("k", 1, deep) end, function() ctx.log.info("x", deep) end, function() ctx.call("boundary_deep.go", deep) end,
          function() ctx.json.decode("[1e999]") end, function() ctx.json.decode('"\\ud800"') end, function() ctx.json.decode('{"a":1,"a":') end,
        }) do
          local ok, why = pcall(try)
          assert(ok == false or why == nil)
        end
      end,
    },
  },
}
