-- SPDX-License-Identifier: Apache-2.0
--- Reads and writes its storage within its caps.
-- try: action ok
-- result: [50,49,true]
-- permissions: storage:read storage:write
return {
  actions = {
    ["storage_use.go"] = {
      execute = function(_, ctx)
        for i = 1, 50 do
          ctx.storage.set("k" .. i, { n = i })
        end
        ctx.storage.delete("k1")
        return { ctx.storage.get("k50").n, #ctx.storage.list("k"), ctx.storage.get("k1") == nil }
      end,
    },
  },
}
