-- SPDX-License-Identifier: Apache-2.0
--- Reads and writes types that it was not granted.
-- try: action ok|lua.error
-- permissions: data:read:task
return {
  actions = {
    ["escape_data_types.go"] = {
      execute = function(_, ctx)
        assert(ctx.data.query("task"))
        for _, type in ipairs({ "contact", "tasks2", "*", "task\0contact", "TASK", "../contact" }) do
          assert(not pcall(ctx.data.put, type, { name = "x" }), type)
        end
        assert(not pcall(ctx.data.query, "contact"))
      end,
    },
  },
}
