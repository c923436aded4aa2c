---@meta
-- SPDX-License-Identifier: Apache-2.0

---@class perigee.Json
---@field null userdata JSON's null: nil can not stand in a table
local json = {}

json.null = nil

---@param value any
---@return string
function json.encode(value) end

--- Raises an error with code "json" and the place when text is malformed.
---@param text string
---@return any
function json.decode(text) end

--- Marks a table as a list, so that it is one also when it is empty.
---@param t? table
---@return table t
function json.array(t) end

return json
