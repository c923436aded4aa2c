-- SPDX-License-Identifier: Apache-2.0
--- Twenty-eight pairs that share their halves: 2^28 elements when written out.
-- try: action limit.output|too_large|limit.instructions|limit.memory
return {
  actions = {
    ["result_shared.go"] = {
      execute = function()
        local t = { "x" }
        for _ = 1, 28 do
          t = { t, t }
        end
        return t
      end,
    },
  },
}
