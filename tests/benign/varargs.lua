-- SPDX-License-Identifier: Apache-2.0
--- Lists of arguments in every form.
-- try: action ok
-- result: [2,3,20100,3]
return {
  actions = {
    ["varargs.go"] = {
      execute = function()
        local function count(...)
          return select("#", ...)
        end
        local function sum(...)
          local total = 0
          for _, v in ipairs({ ... }) do
            total = total + v
          end
          return total
        end
        local packed = table.pack(nil, 2, nil)
        local many = {}
        for i = 1, 200 do
          many[i] = i
        end
        return { count(nil, nil), packed.n, sum(table.unpack(many)), (select(-1, 1, 2, 3)) }
      end,
    },
  },
}
