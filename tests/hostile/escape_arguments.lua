-- SPDX-License-Identifier: Apache-2.0
--- Changes what it was given, for the next one to find.
-- try: action ok
-- try: action ok|lua.error
return {
  actions = {
    ["escape_arguments.go"] = {
      execute = function(params, ctx)
        assert(ctx.config.changed == nil and ctx.manifest.changed == nil and params.changed == nil)
        ctx.config.changed, ctx.manifest.changed, params.changed = true, true, true
        ctx.log, ctx.json.encode = nil, nil
      end,
    },
  },
}
