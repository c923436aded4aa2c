---@meta
-- SPDX-License-Identifier: Apache-2.0

---@class perigee.Crypto
---@field base64 perigee.Base64
local crypto = {}

---@param algorithm "sha1"|"sha256"
---@param key string|perigee.Secret
---@param data string
---@param form? "hex"|"base64"|"raw"
---@return string
function crypto.hmac(algorithm, key, data, form) end

---@param data string
---@param form? "hex"|"base64"|"raw"
---@return string
function crypto.sha256(data, form) end

--- A random UUID, version 4.
---@return string
function crypto.uuid() end

--- In constant time.
---@param a string|perigee.Secret
---@param b string|perigee.Secret
---@return boolean
function crypto.equals(a, b) end

---@class perigee.Base64
---@overload fun(data: string): string
crypto.base64 = {}

---@param data string
---@return string
function crypto.base64.encode(data) end

--- Both alphabets; padding is optional.
---@param text string
---@return string? data
---@return string? why
function crypto.base64.decode(text) end

return crypto
