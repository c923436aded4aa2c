---@meta
-- SPDX-License-Identifier: Apache-2.0
-- ctx: what every handler is given. A member that needs a permission is absent without it.

---@class perigee.Secret an opaque handle: usable in headers, auth, tls, smtp.send, crypto.hmac and crypto.equals; never readable

--- A connected account. It stands for its token wherever a secret can: `headers = {Authorization = account}`. The token
--- goes to `hosts` only, over TLS, and is renewed by itself; it is never readable.
---@class perigee.Account
---@field provider string
---@field kind "oauth2"|"key"
---@field label? string what people call the provider
---@field state "connected"
---@field user? string whose account it is, as the provider said
---@field scopes? string[] what was granted, which may be less than what was asked for
---@field expires_at? string RFC 3339: the token as it is now
---@field hosts string[] where the token may be sent
---@field prefix string what stands before the token in a header: "Bearer "
---@field token perigee.Secret for another prefix: {account.token, prefix = "token "}

---@class perigee.Event
---@field id string "ev-12"
---@field type string
---@field source string
---@field subject? string
---@field time string RFC 3339
---@field data any

---@class perigee.Context
---@field id string the plugin's id
---@field manifest table plugin.json
---@field config table the settings, defaults filled in; secrets as perigee.Secret
---@field event? perigee.Event what the rule was triggered by
---@field rule? {id: string, name?: string}
---@field run? {id: string}
---@field idempotency_key? string of an action's attempt: the same over retries and restarts
---@field first_attempt? string RFC 3339, in a lookup: when the call was made first
---@field log perigee.Log
---@field json perigee.Json
---@field time perigee.Time
---@field crypto perigee.Crypto
---@field data perigee.Data needs data:read:<type> or data:write:<type>
---@field storage perigee.Storage needs storage:read or storage:write
---@field events perigee.Events needs event:subscribe:<glob>
---@field mappings perigee.Mappings needs storage:read or storage:write
---@field schedule perigee.Schedule needs scheduler:read or scheduler:write
---@field files perigee.Files needs filesystem:read:<path>
---@field http perigee.Http needs network:outbound:<host>
---@field smtp perigee.Smtp needs network:outbound:<host>
local ctx = {}

--- Stores an event with the handler's other writes. Needs event:publish:<glob>; not in conditions.
---@param type string
---@param data? any
---@param options? {id?: string, time?: string|integer, subject?: string, source?: string} id makes a repeat recognisable
function ctx.emit(type, data, options) end

--- Sends a message over the channel that serves this type, or into the outbox. Waits. Needs channels:send:<type>.
---@param channel_type string
---@param message table
---@return perigee.Sent result with channel, the id of the plugin that sent it or "outbox"
function ctx.send(channel_type, message) end

--- Calls another operator. Waits. Needs operators:call. At most 8 calls deep.
---@param operator_id string
---@param params? table
---@return any result of an action, or whether a condition holds
function ctx.call(operator_id, params) end

--- A secret that the manifest names under mtlsSecrets. Needs secrets:mtls.
---@param name string
---@return perigee.Secret
function ctx.secret(name) end

--- An account that the operator has connected (`perigee accounts connect`). Needs accounts:<provider>. Errors:
--- account_not_connected, account_needs_attention (it has to be connected again), account_unknown, account_unavailable;
--- of requests that carry it account_host (not a host of the provider) and account_renewal (retryable).
---@param provider string
---@return perigee.Account
function ctx.account(provider) end

return ctx
