---@meta
-- SPDX-License-Identifier: Apache-2.0

--- Keys and values of the plugin's own: at most 1,000 keys of 255 bytes, values of 64 KiB.
---@class perigee.Storage
local storage = {}

---@class perigee.StorageOptions
---@field namespace? string
---@field scope? "plugin"|"user"
---@field ttl? string|number "10m", or seconds; only for set

--- Needs storage:read.
---@param key string
---@param options? perigee.StorageOptions
---@return any value nil when there is none
function storage.get(key, options) end

--- nil deletes. Needs storage:write.
---@param key string
---@param value any
---@param options? perigee.StorageOptions
function storage.set(key, value, options) end

--- Sets only when what is stored equals expected (nil: nothing is), also when other calls write at the same moment.
--- Waits. Needs storage:read and storage:write.
---@param key string
---@param expected any
---@param value any nil deletes
---@param options? perigee.StorageOptions
---@return boolean set
function storage.compare_and_set(key, expected, value, options) end

--- Needs storage:write.
---@param key string
---@param options? perigee.StorageOptions
function storage.delete(key, options) end

--- Needs storage:read.
---@param prefix? string
---@param options? perigee.StorageOptions
---@return string[] keys
function storage.list(prefix, options) end

--- Removes every key of the namespace. Needs storage:write.
---@param options? perigee.StorageOptions
---@return integer count
function storage.clear(options) end

return storage
