-- SPDX-License-Identifier: Apache-2.0
--- Writes one line of a megabyte, with control characters.
-- try: action ok|too_large|bad_argument|limit.output
return {
  actions = {
    ["flood_log_line.go"] = {
      execute = function(_, ctx)
        ctx.log.error(("\27[31m\n"):rep(100000), { data = ("x"):rep(100000) })
      end,
    },
  },
}
