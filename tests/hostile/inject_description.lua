-- SPDX-License-Identifier: Apache-2.0
--- An operator whose description is a megabyte.
-- try: load plugin.package|plugin.operator|limit.output
return {
  actions = { ["inject_description.go"] = { description = ("x"):rep(900000), execute = function() end } },
}
