---@meta
-- SPDX-License-Identifier: Apache-2.0

--- Handlers called at a time. Schedules are stored: they outlive restarts and updates; what came due while the plugin was not
--- running fires once when it runs again. Names are unique in a plugin; a schedule that is made again as it was keeps its
--- place. At most 100. Needs scheduler:write, for list scheduler:read.
---@class perigee.Schedule
local schedule = {}

--- The handler: a function of the package's jobs by name (default: the schedule's name), or a function. A function is gone when
--- the state is built anew: make such schedules in init.
---@alias perigee.Run string|fun(ctx: perigee.Context, job: perigee.Job)

---@class perigee.Job
---@field name string of the schedule
---@field due string RFC 3339
---@field attempt integer
---@field last? string when it fired before
---@field data? any

---@class perigee.ScheduleOptions
---@field data? any
---@field timezone? string of cron; default "UTC"

---@param name string
---@param expression string "0 9 * * 1-5"
---@param run? perigee.Run
---@param options? perigee.ScheduleOptions
function schedule.cron(name, expression, run, options) end

--- The gap is between the end of one run and the beginning of the next; at least 1 s.
---@param name string
---@param gap string|number "10m", or seconds
---@param run? perigee.Run
---@param options? perigee.ScheduleOptions
function schedule.every(name, gap, run, options) end

--- Once. An error with retryable = true is tried again, at most five times.
---@param name string
---@param delay string|number "10m", or seconds
---@param run? perigee.Run
---@param options? perigee.ScheduleOptions
function schedule.after(name, delay, run, options) end

---@param name string
function schedule.cancel(name) end

---@return {name: string, kind: "cron"|"every"|"after", next?: string, last?: string, run?: string, data?: any}[]
function schedule.list() end

return schedule
