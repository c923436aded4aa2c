-- SPDX-License-Identifier: Apache-2.0
--- Presence rows are kept by connectors (one for each device): state, placeId, placeType, since.

local conditions = {}

local USER = { type = "string", minLength = 1, description = "default: any user" }

--- Every place that somebody is at now.
local function present(ctx, user_id)
  return ctx.data.query("presence", { where = { state = "present", userId = user_id }, order = "-since", limit = 100 })
end

local function describe(rows)
  local places = {}
  for i, row in ipairs(rows) do
    places[i] = row.placeName or row.placeId
  end
  return #places > 0 and places or "nowhere known"
end

conditions["location.IsUserAtPlace"] = {
  description = "The user is at a place of a type (work, home), or at one place.",
  params = {
    type = "object",
    additionalProperties = false,
    minProperties = 1,
    properties = {
      placeType = { type = "string", minLength = 1, description = "home, work, ..." },
      placeId = { type = "string", minLength = 1, description = "id of a place" },
      userId = USER,
    },
  },
  evaluate = function(params, ctx)
    if not params.placeType and not params.placeId then
      error({ code = "bad_params", message = "give placeType or placeId" })
    end
    local rows = present(ctx, params.userId)
    local wanted = { placeType = params.placeType, placeId = params.placeId }
    for _, row in ipairs(rows) do
      local type_fits = not params.placeType or row.placeType == params.placeType
      local id_fits = not params.placeId or row.placeId == params.placeId
      if type_fits and id_fits then
        return true, { actual = row.placeName or row.placeId, since = row.since, wanted = wanted }
      end
    end
    return false, { actual = describe(rows), wanted = wanted }
  end,
}

conditions["location.IsUserAtVenue"] = {
  description = "The user is at a venue, given by its id or its name (any letter case).",
  params = {
    type = "object",
    additionalProperties = false,
    properties = {
      venue = { type = "string", minLength = 1, description = "place id or name" },
      userId = USER,
    },
    required = { "venue" },
  },
  evaluate = function(params, ctx)
    local rows = present(ctx, params.userId)
    local wanted = params.venue:lower()
    for _, row in ipairs(rows) do
      local place = row.placeId and ctx.data.get("place", row.placeId)
      local name = place and place.name or row.placeName
      if row.placeId == params.venue or (name and name:lower() == wanted) then
        return true, { actual = name or row.placeId, since = row.since, wanted = params.venue }
      end
    end
    return false, { actual = describe(rows), wanted = params.venue }
  end,
}

return { conditions = conditions }
