-- SPDX-License-Identifier: Apache-2.0
--- Reads the storage of another plugin.
-- try: action ok
-- permissions: storage:read
return {
  actions = {
    ["escape_namespace.go"] = {
      execute = function(_, ctx)
        for _, namespace in ipairs({ "../good", "..", "/", "good", "\0", ("x"):rep(300) }) do
          local ok, value = pcall(ctx.storage.get, "mine", { namespace = namespace })
          assert(not ok or value == nil, namespace)
        end
      end,
    },
  },
}
