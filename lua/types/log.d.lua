---@meta
-- SPDX-License-Identifier: Apache-2.0

--- At most 64 KiB a call, then one notice and nothing more. print(...) is log.info.
---@class perigee.Log
local log = {}

---@param message any
---@param data? table
function log.debug(message, data) end

---@param message any
---@param data? table
function log.info(message, data) end

---@param message any
---@param data? table
function log.warn(message, data) end

---@param message any
---@param data? table
function log.error(message, data) end

return log
