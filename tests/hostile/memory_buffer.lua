-- SPDX-License-Identifier: Apache-2.0
--- Encodes a value that grows while it is encoded.
-- try: action too_large|limit.memory|limit.instructions|ok
return {
  actions = {
    ["memory_buffer.go"] = {
      execute = function(_, ctx)
        local list = {}
        for i = 1, 50000 do
          list[i] = "\1\2\3\4\5\6\7"
        end
        return #ctx.json.encode(list)
      end,
    },
  },
}
