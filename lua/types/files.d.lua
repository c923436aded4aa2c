---@meta
-- SPDX-License-Identifier: Apache-2.0

--- Files below the paths that were granted. Links are not followed, wherever they lead; only regular files are read.
--- Errors: denied, file.missing, file.escape, file.kind, file.failed.
---@class perigee.Files
local files = {}

---@class perigee.FileOptions
---@field offset? integer bytes to pass over
---@field limit? integer bytes to read: default 262144, at most 524288

--- Needs filesystem:read:<path>, of the file or a folder above it.
---@param path string absolute
---@param options? perigee.FileOptions
---@return string content any bytes
---@return integer size of the whole file
function files.read(path, options) end

return files
