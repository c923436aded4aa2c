---@meta
-- SPDX-License-Identifier: Apache-2.0

--- The unified model. Types are singular snake_case ("calendar_event"); the usual plurals are understood. Writes are stored
--- together when the handler has ended well, or before it waits or reads; conditions may not write.
---@class perigee.Data
local data = {}

---@class perigee.Query
---@field where? table {field = value}, {field = {a, b}} or {field = {gte = 1}}: eq ne gt gte lt lte in prefix exists contains
---@field order? string "field" or "-field", comma-separated; default: newest first
---@field limit? integer default 100, at most 10000
---@field offset? integer
---@field count? boolean only the number of matches

--- In a condition: the data as it was at the event. Needs data:read:<type>.
---@param type string
---@param options? perigee.Query
---@return table[]|integer
function data.query(type, options) end

--- Needs data:read:<type>.
---@param type string
---@param id string
---@return table? entity
function data.get(type, id) end

--- Creates or merges: found by fields.id, else by fields.externalId with fields.source (default: the plugin's id).
--- ctx.json.null removes a field. Needs data:write:<type>.
---@param type string
---@param fields table
---@return string id
function data.put(type, fields) end

--- Needs data:write:<type>.
---@param type string
---@param id string
function data.delete(type, id) end

return data
