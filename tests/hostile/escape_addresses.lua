-- SPDX-License-Identifier: Apache-2.0
--- Reads addresses out of texts.
-- try: action ok
return {
  actions = {
    ["escape_addresses.go"] = {
      execute = function()
        local t = tostring({})
        assert(not t:find("0x%x%x%x%x%x%x%x"), t)
        assert(not pcall(string.format, "%p", {}))
      end,
    },
  },
}
