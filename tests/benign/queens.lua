-- SPDX-License-Identifier: Apache-2.0
--- Eight queens.
-- try: action ok
-- result: 92
return {
  actions = {
    ["queens.go"] = {
      execute = function()
        local found = 0
        local function place(row, columns, left, right)
          if row > 8 then
            found = found + 1
            return
          end
          for c = 1, 8 do
            if not columns[c] and not left[row + c] and not right[row - c] then
              columns[c], left[row + c], right[row - c] = true, true, true
              place(row + 1, columns, left, right)
              columns[c], left[row + c], right[row - c] = nil, nil, nil
            end
          end
        end
        place(1, {}, {}, {})
        return found
      end,
    },
  },
}
