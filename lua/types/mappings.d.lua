---@meta
-- SPDX-License-Identifier: Apache-2.0

--- Which id another system has for something of ours. Within a type every key has one external id and every external id one
--- key. At most 100,000; `perigee mappings` shows them. Needs storage:read, for changes storage:write.
---@class perigee.Mappings
local mappings = {}

---@class perigee.Mapping
---@field id? string "map-7"
---@field source? string the plugin's id
---@field type string "contact", or any word
---@field key string our id
---@field external_id string theirs
---@field data? any
---@field updated? string RFC 3339

--- Makes it or changes what the key has. Error mapping.conflict: another key has that external id.
---@param type string
---@param key string
---@param external_id string
---@param data? any
function mappings.set(type, key, external_id, data) end

--- Up to 1,000, all or none: one operation.
---@param list perigee.Mapping[]
---@return integer count
function mappings.bulk(list) end

---@param type string
---@param key string
function mappings.delete(type, key) end

---@param type string
---@param key string
---@return string? external_id
function mappings.external_id(type, key) end

---@param type string
---@param external_id string
---@return string? key
function mappings.key(type, external_id) end

--- In the order in which they were made.
---@param type? string
---@param options? {after?: string, limit?: integer} after: the last id of the page before; limit: default 100, at most 1000
---@return perigee.Mapping[]
function mappings.list(type, options) end

return mappings
