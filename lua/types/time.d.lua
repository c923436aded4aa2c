---@meta
-- SPDX-License-Identifier: Apache-2.0

---@class perigee.Time
local time = {}

---@return string now RFC 3339, UTC
function time.now() end

---@return integer now ms since 1970
function time.now_ms() end

---@param text string RFC 3339
---@return integer? ms
---@return string? why
function time.parse(text) end

--- RFC 3339 in UTC; with a zone or a format what the date filter of rules writes.
---@param ms integer
---@param zone? string "Europe/Berlin"
---@param format? string "%d.%m.%Y %H:%M"
---@return string
function time.format(ms, zone, format) end

---@param text string "10m", "1h30m"
---@return integer ms
function time.duration(text) end

--- The zone that perigee.yaml names for all that names none of its own; UTC when it says nothing.
---@return string zone "Europe/Berlin"
function time.zone() end

return time
