-- SPDX-License-Identifier: Apache-2.0
local conditions = require("conditions")
local actions = require("actions")

return { conditions = conditions, actions = actions }
