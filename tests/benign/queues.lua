-- SPDX-License-Identifier: Apache-2.0
--- A queue and a stack by insert and remove.
-- try: action ok
-- result: -4481400
return {
  actions = {
    ["queues.go"] = {
      execute = function()
        local queue, seen = {}, 0
        for i = 1, 200 do
          table.insert(queue, i)
        end
        while #queue > 0 do
          seen = seen + table.remove(queue, 1)
        end
        for i = 1, 3000 do
          queue[#queue + 1] = i
        end
        while #queue > 0 do
          seen = seen - table.remove(queue)
        end
        return seen
      end,
    },
  },
}
