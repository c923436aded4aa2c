-- SPDX-License-Identifier: Apache-2.0
--- Its parameter schema contains itself.
-- try: load bad_argument|invalid|bad_result|lua.error|schema
local params = { type = "object" }
params.properties = { self = params }
return { actions = { ["load_cyclic_params.go"] = { params = params, execute = function() end } } }
