---@meta
-- SPDX-License-Identifier: Apache-2.0

--- Events of the journal as they are stored, each at least once and in order; what came while the plugin was not running
--- follows when it runs again. Call on() in init, so that it is there again after a restart or reset.
---@class perigee.Events
local events = {}

--- At most 64, one handler for each glob. Needs event:subscribe:<glob>. A handler that fails with retryable = true is tried
--- again with growing pauses, at most 8 times; other failures skip the event.
---@param event string an event type or a glob: "comms.*"
---@param handler fun(event: perigee.Event, ctx: perigee.Context)
---@param options? {since?: "now"|"start"|string} where a new subscription begins; "ev-12": behind that event. Default "now"
function events.on(event, handler, options) end

--- Ends a subscription and forgets how far it was.
---@param event string as it was given to on
function events.off(event) end

return events
