---@meta
-- SPDX-License-Identifier: Apache-2.0

---@class perigee.Smtp
local smtp = {}

---@class perigee.Mail
---@field host string
---@field port? integer default 587, with tls 465
---@field security? "starttls"|"tls"|"plain" default starttls
---@field user? perigee.SecretText
---@field password? perigee.SecretText
---@field from string envelope address
---@field to string|string[] envelope addresses: to, cc and bcc
---@field message string the whole RFC 5322 message with CRLF
---@field ca_file? string
---@field timeout_ms? integer default 30000

--- Hands one message to a server. Waits. Errors: denied, smtp.connect, smtp.tls, smtp.auth, smtp.refused (final),
--- smtp.later (retryable), smtp.timeout, http.blocked.
---@param mail perigee.Mail
---@return {code: integer, text: string}
function smtp.send(mail) end

return smtp
