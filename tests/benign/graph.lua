-- SPDX-License-Identifier: Apache-2.0
--- Shortest paths in a graph of a thousand nodes.
-- try: action ok
-- result: 1000
return {
  actions = {
    ["graph.go"] = {
      execute = function()
        local edges = {}
        for i = 1, 1000 do
          edges[i] = { (i * 7) % 1000 + 1, (i * 13) % 1000 + 1, i % 1000 + 1 }
        end
        local distance, queue, head = { [1] = 0 }, { 1 }, 1
        while queue[head] do
          local at = queue[head]
          head = head + 1
          for _, to in ipairs(edges[at]) do
            if not distance[to] then
              distance[to] = distance[at] + 1
              queue[#queue + 1] = to
            end
          end
        end
        return #queue
      end,
    },
  },
}
