-- SPDX-License-Identifier: Apache-2.0
--- Stores one value of a megabyte.
-- try: action too_large|limit.storage|limit.output
-- permissions: storage:write
return {
  actions = {
    ["flood_storage_size.go"] = {
      execute = function(_, ctx)
        ctx.storage.set("k", ("x"):rep(500000))
      end,
    },
  },
}
