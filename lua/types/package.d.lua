---@meta
-- SPDX-License-Identifier: Apache-2.0
-- What a plugin's init.lua returns. docs/plugins.md is the guide.

---@class perigee.Plugin
---@field init? fun(ctx: perigee.Context) once after loading, before anything else; an error keeps the plugin from loading
---@field ready? fun(ctx: perigee.Context) once when every plugin has been loaded
---@field stop? fun(ctx: perigee.Context) before it is unloaded or the service stops
---@field health? fun(ctx: perigee.Context): boolean?, string? is it well? false and why; asked every 30 s
---@field on_enable? fun(ctx: perigee.Context)
---@field on_disable? fun(ctx: perigee.Context)
---@field conditions? table<string, perigee.Condition> by operator id
---@field actions? table<string, perigee.Action> by operator id
---@field channel? perigee.Channel
---@field connector? perigee.Connector
---@field jobs? table<string, fun(ctx: perigee.Context, job: perigee.Job)> what ctx.schedule calls, by name
---@field intercept? perigee.Intercept needs actions:intercept
---@field webhooks? table<string, perigee.Webhook> by path, which begins with "/"

---@class perigee.Intercept
---@field operators? string[] ids or globs of the actions it wants to know of; default: all
--- before: nothing or true agrees; false and a text say why not.
---@field before? fun(call: perigee.Interception, ctx: perigee.Context): (boolean|perigee.Agreement)?, string?
---@field after? fun(call: perigee.Interception, ctx: perigee.Context)
---@field on_failure? "closed"|"open" what it means when `before` fails, is too slow or rests; default "closed": the action is refused
---@field deadline_ms? integer for `before`; default 1000, at most 10000

---@class perigee.Interception
---@field operator string
---@field plugin string whose operator it is
---@field params any secrets are shown as "(secret)"
---@field rule? string id
---@field run? string id
---@field idempotency_key? string
---@field nested boolean called by another plugin with ctx.call
---@field ok? boolean after
---@field result? any after
---@field error? { code: string, message: string, retryable: boolean, outcome: string? } after

---@class perigee.Agreement
---@field allow boolean
---@field code? string of the step's error; default "vetoed"
---@field message? string

---@class perigee.Condition
---@field description? string
---@field params? table JSON Schema of the parameters; they are checked, defaults filled, before evaluate is called
---@field evaluate fun(params: table, ctx: perigee.Context): boolean, table? whether it holds, and what was compared

---@class perigee.Action
---@field description? string
---@field params? table JSON Schema of the parameters
---@field delivery? "once"|"repeat"|"lookup"|"channel" may an attempt of unknown outcome be repeated? default "once"
---@field channel? string with delivery "channel": the channel type, or "{config.KEY}"
---@field execute fun(params: table, ctx: perigee.Context): any the result of the step
--- lookup goes with delivery "lookup": what became of an earlier attempt with ctx.idempotency_key. nil or false: nothing, it is made now.
---@field lookup? fun(params: table, ctx: perigee.Context): any true, or the result of the step

---@class perigee.Message
---@field channel_type string
---@field to? string
---@field subject? string
---@field body? string
---@field idempotency_key? string the same for every attempt to send this message
---@field since? string RFC 3339, in a lookup: when the first attempt was made
---@field rule? string id of the rule that sends
---@field run? string id of the run that sends

---@class perigee.Sent
---@field ok? boolean false refuses the message: with code, message, retryable
---@field messageId? string
---@field code? string
---@field message? string
---@field retryable? boolean

---@class perigee.Channel
---@field type string "sms", "email", ...
---@field delivery? "once"|"repeat"|"lookup" does sending twice under one key do no harm? default "once"
---@field send fun(ctx: perigee.Context, message: perigee.Message): perigee.Sent?
--- lookup goes with delivery "lookup": was the message sent since message.since? nil or false: no, it is sent now.
---@field lookup? fun(ctx: perigee.Context, message: perigee.Message): perigee.Sent|boolean|nil
--- handle_incoming_event takes GET and POST on any path below /hooks/<plugin> that `webhooks` does not name.
---@field handle_incoming_event? fun(ctx: perigee.Context, request: perigee.WebhookRequest): perigee.WebhookResponse?
---@field place_call? function
---@field access_token? function

--- sync is the action PLUGIN-ID.sync, whose parameters are its options; a schedule gives {name, due, attempt, last?}. execute is the
--- action PLUGIN-ID.execute. register_realtime_listener is called after ready, and again when the plugin's state was built anew; an
--- error in it takes the plugin out of service.
---@class perigee.Connector
---@field sync? fun(ctx: perigee.Context, options: table): any[]?, any what is new: items, and the cursor of the next page if any
---@field map? fun(item: any): perigee.Mapped? what an item means; must not wait; without it, items are perigee.Mapped
---@field sync_every_ms? integer sync is called so often, durably; at least 1000; default: when somebody asks
---@field register_realtime_listener? fun(ctx: perigee.Context)
---@field execute? fun(ctx: perigee.Context, params: table): any does something there
---@field execute_params? table JSON Schema of its parameters

--- What an item of a connector means: stored with the plugin's permissions, all of a page in one batch with what sync wrote itself.
---@class perigee.Mapped
---@field entities? table[] {type, id? | source? and externalId?, ...} as of ctx.data.put
---@field events? table[] {type, data?, id?, time?, subject?, source?} as of ctx.emit

---@class perigee.Webhook
---@field methods? string[] default {"POST"}
---@field handle fun(ctx: perigee.Context, request: perigee.WebhookRequest): perigee.WebhookResponse?

---@class perigee.WebhookRequest
---@field method string
---@field path string below /hooks/<plugin>, with its leading slash
---@field url string as the sender saw it: for signatures
---@field query table<string, string> decoded; the first of each name
---@field query_string string as it came
---@field headers table<string, string> names in lower case
---@field body string as it came, any bytes
---@field form? table<string, string> of a urlencoded body; the first of each name
---@field params_list? {name: string, value: string}[] the same, all of them in order
---@field json? any of a JSON body; absent when it is malformed
---@field remote string address of the sender

---@class perigee.WebhookResponse
---@field status? integer default 200 with a body, 204 without
---@field headers? table<string, string>
---@field body? string
---@field message? table of a channel: a message came in; told to others as the event message.Received
---@field json? any instead of body

--- What errors are, raised by the host or by plugins: error({code = "no_recipient", message = "..."}).
---@class perigee.Error
---@field code string
---@field message string
---@field retryable? boolean a later attempt may succeed
---@field outcome? "unknown" the effect may have happened all the same
---@field retry_after? number seconds
