-- SPDX-License-Identifier: Apache-2.0
--- Ids of entities that try to be of another type, another row, or more than an id.
-- try: action ok
-- permissions: data:read:task data:write:task
return {
  actions = {
    ["inject_ids.go"] = {
      execute = function(_, ctx)
        for _, id in ipairs({
          "../contact/ada", "contact/ada", "contact\0ada", "task\0t", "\0", "", ("x"):rep(1 << 18), ("x"):rep(129), "a\nb", "\27[2J", "x'; DROP TABLE entities; --", "\xff", "%", "_", "*",
        }) do
          local ok, got = pcall(ctx.data.put, "task", { id = id, n = 1 })
          assert(not ok or got == id, "another id")
          pcall(ctx.data.put, "task", { externalId = id, source = id, n = 2 })
          pcall(ctx.data.get, "task", id)
          pcall(ctx.data.query, "task", { where = { id = id } })
          pcall(ctx.data.query, "task", { where = { [id] = 1 }, order = id })
          pcall(ctx.data.delete, "task", id)
        end
        for _, type_ in ipairs({ "contact", "contacts", "Contact", "task\0contact", "task/../contact", "task,contact", "*", "", ("t"):rep(70000) }) do
          local ok, why = pcall(ctx.data.get, type_, "ada")
          assert(not ok and why.code, type_)
          ok, why = pcall(ctx.data.put, type_, { id = "ada" })
          assert(not ok and why.code, type_)
        end
        return "refused"
      end,
    },
  },
}
