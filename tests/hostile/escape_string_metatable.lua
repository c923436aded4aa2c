-- SPDX-License-Identifier: Apache-2.0
--- Looks for the metatable that all texts share.
-- try: action ok
return {
  actions = {
    ["escape_string_metatable.go"] = {
      execute = function()
        local meta = getmetatable("")
        assert(not meta or type(meta) ~= "table", "the metatable of texts is open")
        string.upper = function()
          return "tampered"
        end
        return ("x"):upper()
      end,
    },
  },
}
