-- SPDX-License-Identifier: Apache-2.0
--- Raises and catches errors of every kind.
-- try: action ok
-- result: [1000,false,"handled: attempt to perform arithmetic on a nil value"]
return {
  actions = {
    ["errors.go"] = {
      execute = function()
        local caught = 0
        for i = 1, 1000 do
          local ok, err = pcall(error, { code = "x", n = i })
          if not ok and err.n == i then
            caught = caught + 1
          end
        end
        local ok, text = xpcall(function()
          return nil + 1
        end, function(message)
          return "handled: " .. message:match("attempt.*")
        end)
        return { caught, ok, text }
      end,
    },
  },
}
