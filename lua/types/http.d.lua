---@meta
-- SPDX-License-Identifier: Apache-2.0

--- Requests to the hosts that were granted. Every call waits; redirects are not followed. Errors: denied, http.dns,
--- http.connect, http.tls, http.timeout, http.too_large, http.blocked (a private address), http.protocol, http.url,
--- secret.missing, account_host, account_renewal, account_needs_attention; with outcome = "unknown" when the request may have arrived.
---@class perigee.Http
local http = {}

---@alias perigee.SecretText string|perigee.Secret|{[1]: string|perigee.Secret, prefix?: string}|perigee.Account

---@class perigee.HttpOptions
---@field headers? table<string, perigee.SecretText>
---@field query? table<string, any> appended to the URL, names sorted; a list repeats its name
---@field body? string any bytes
---@field json? any instead of body
---@field form? table<string, any> instead of body: urlencoded
---@field multipart? perigee.HttpPart[] instead of body: multipart/form-data, at most 100 parts
---@field tls? perigee.HttpTls
---@field timeout_ms? integer default 10000, at most 60000
---@field auth? {user: perigee.SecretText, password: perigee.SecretText} Basic

---@class perigee.HttpPart
---@field name string
---@field content string any bytes
---@field filename? string
---@field content_type? string with a filename default application/octet-stream

--- Mutual TLS. The secrets hold PEM texts; ctx.secret gives them.
---@class perigee.HttpTls
---@field cert? perigee.Secret certificate (and chain) that is shown to the server
---@field key? perigee.Secret its private key; absent: it stands in the same text
---@field ca? perigee.SecretText who may have signed the server's certificate, instead of the system's

---@class perigee.HttpRequest: perigee.HttpOptions
---@field url string
---@field method? string default GET, with a body POST

---@class perigee.HttpResponse
---@field status integer
---@field headers table<string, string> names in lower case
---@field body string at most 5 MiB
---@field json? any when the content type is JSON and the body is well formed

---@param request perigee.HttpRequest
---@return perigee.HttpResponse
function http.request(request) end

---@param url string
---@param options? perigee.HttpOptions
---@return perigee.HttpResponse
function http.get(url, options) end

---@param url string
---@param options? perigee.HttpOptions
---@return perigee.HttpResponse
function http.post(url, options) end

return http
