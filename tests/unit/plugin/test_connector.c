/* SPDX-License-Identifier: Apache-2.0 */
/* Connectors of plugins in Lua: what sync and map come to, when sync is called, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"
#include "plugin/host_internal.h"

#define MAY                                                                                                            \
    "[\"data:read:thing\",\"data:write:thing\",\"event:publish:t.*\",\"event:subscribe:t.*\",\"storage:read\","        \
    "\"scheduler:read\","                                                                                              \
    "\"storage:write\",\"network:outbound:*.invalid\"]"
#define START INT64_C(1767258000000) /* 2026-01-01T09:00:00Z */

static void begin(struct rig *rig, const char *permissions, const char *lua)
{
    rig_init(rig);
    rig_plugin(rig, "c", permissions, "", lua);
    rig_load_clean(rig);
}

static void fails_with(struct rig *rig, const char *id, const char *params, const char *code, const char *text)
{
    struct rig_answer a = rig_fails(rig, id, params, code);
    if (!strstr(a.error.message, text))
        fail_msg("\"%s\", not \"%s\"", a.error.message, text);
}

#define THINGS "execute = function(p, ctx) return #ctx.data.query('thing') end"

static void items_are_mapped_and_stored_at_once(void **state)
{
    struct rig rig;
    begin(&rig, MAY,
        "local function map(item) if item == 'skip' then return nil end return {\n"
        "  entities = { { type = 'thing', source = 's', externalId = item, name = item } },\n"
        "  events = { { type = 't.Came', subject = item, data = { name = item } } } } end\n"
        "return { connector = { map = map, sync = function(ctx, options)\n"
        "  ctx.storage.set('cursor', 7)\n"
        "  if options.none then return nil end\n"
        "  if options.empty then return {} end\n"
        "  return { 'a', options.second or 'b', 'skip' } end },\n"
        "actions = { ['t.count'] = { " THINGS " } } }");
    rig_gives(&rig, "test.c.sync", "{}", "{\"entities\":2,\"events\":2,\"items\":3}");
    assert_string_equal(rig.trail, "{\"name\":\"a\"} {\"name\":\"b\"}");
    assert_int_equal(rig.submits, 1);
    rig_gives(&rig, "test.c.sync", "{\"second\":\"c\"}", "{\"entities\":2,\"events\":2,\"items\":3}");
    rig_gives(&rig, "t.count", "{}", "3");
    rig_gives(&rig, "test.c.sync", "{\"none\":true}", "{\"entities\":0,\"events\":0,\"items\":0}");
    rig_gives(&rig, "test.c.sync", "{\"empty\":true}", "{\"entities\":0,\"events\":0,\"items\":0}");
    assert_int_equal(peri_host_delivery(rig.host, "test.c.sync"), PERI_DELIVERY_REPEAT);
    rig_finish(&rig);
}

static void without_map_items_are_entities_and_events_themselves(void **state)
{
    struct rig rig;
    begin(&rig, MAY,
        "return { connector = { sync = function(ctx)\n"
        "  return { { entities = { { type = 'thing', id = 'x' } }, events = {} }, { events = { { type = 't.E' } } } }\n"
        "end, execute = function(ctx, params) return { did = params.what, id = ctx.id } end,\n"
        "  execute_params = { type = 'object', required = { 'what' }, properties = { what = { type = 'string' } } } } "
        "}");
    rig_gives(&rig, "test.c.sync", "{}", "{\"entities\":1,\"events\":1,\"items\":2}");
    rig_gives(&rig, "test.c.execute", "{\"what\":\"open\"}", "{\"did\":\"open\",\"id\":\"test.c\"}");
    rig_fails(&rig, "test.c.execute", "{}", "params");
    rig_finish(&rig);
}

static void wrong_results_say_what_is_wrong(void **state)
{
    struct rig rig;
    begin(&rig, MAY,
        "local made = { text = 'x', names = { a = 1 }, item = { { entities = {} }, 5 },\n"
        "  neither = { { entity = {} } }, entities = { { entities = 'x' } }, type = { { entities = { {} } } },\n"
        "  event = { { events = { { data = 1 } } } }, denied = { {}, { entities = { { type = 'other' } } } },\n"
        "  publish = { { events = { { type = 'u.E' } } } } }\n"
        "return { connector = { sync = function(ctx, options)\n"
        "  if options.slow then ctx.storage.set('x', 1) return { options } end\n"
        "  if options.is == 'false' then return false end return made[options.is] end,\n"
        "map = function(item) if type(item) == 'table' and item.slow == 'loop' then while true do end end\n"
        "  if type(item) == 'table' and item.slow == 'number' then return 5 end\n"
        "  if type(item) == 'table' and item.slow == 'error' then error({ code = 'own', message = 'no' }) end\n"
        "  return item end } }");
    fails_with(&rig, "test.c.sync", "{\"is\":\"text\"}", "bad_result",
        "sync must return a list of items, or nothing, not a string");
    fails_with(&rig, "test.c.sync", "{\"is\":\"false\"}", "bad_result", "not a boolean");
    fails_with(&rig, "test.c.sync", "{\"is\":\"names\"}", "bad_result", "names or holes");
    fails_with(&rig, "test.c.sync", "{\"is\":\"item\"}", "bad_result", "item 2: map must return");
    fails_with(&rig, "test.c.sync", "{\"is\":\"neither\"}", "bad_result", "item 1: an item must come to");
    fails_with(&rig, "test.c.sync", "{\"is\":\"entities\"}", "bad_result", "are lists");
    fails_with(&rig, "test.c.sync", "{\"is\":\"type\"}", "bad_result", "item 1: an entity of an item needs a type");
    fails_with(&rig, "test.c.sync", "{\"is\":\"event\"}", "bad_result", "item 1: an event of an item needs a type");
    fails_with(&rig, "test.c.sync", "{\"is\":\"denied\"}", "denied", "item 2: ");
    fails_with(&rig, "test.c.sync", "{\"is\":\"publish\"}", "denied", "item 1: ");
    fails_with(&rig, "test.c.sync", "{\"slow\":\"number\"}", "bad_result", "item 1: map must return");
    rig_fails(&rig, "test.c.sync", "{\"slow\":\"error\"}", "own");
    assert_int_equal(rig.submits, 0); /* nor what sync itself had written */
    rig_fails(&rig, "test.c.sync", "{\"slow\":\"loop\"}", "limit.instructions");
    rig_finish(&rig);
}

static void map_can_not_wait_but_sync_can(void **state)
{
    struct rig rig;
    begin(&rig, MAY,
        "local kept\n"
        "return { connector = { sync = function(ctx, options) kept = ctx\n"
        "  local ok, err = pcall(ctx.http.get, 'http://nowhere.invalid/')\n"
        "  ctx.data.put('thing', { id = 'w' }) ctx.data.query('thing')\n"
        "  return { { waits = options.waits, failed = not ok } } end,\n"
        "map = function(item) if item.waits == 'inside' then\n"
        "  local ok, err = coroutine.resume(coroutine.create(function() kept.http.get('http://nowhere.invalid/') "
        "end))\n"
        "  error(err) elseif item.waits then kept.http.get('http://nowhere.invalid/') end\n"
        "  return { events = { { type = 't.E', data = item } } } end } }");
    rig_gives(&rig, "test.c.sync", "{}", "{\"entities\":0,\"events\":1,\"items\":1}");
    assert_string_equal(rig.trail, "{\"failed\":true}");
    fails_with(&rig, "test.c.sync", "{\"waits\":true}", "plugin.no_wait", "connector's map");
    fails_with(&rig, "test.c.sync", "{\"waits\":\"inside\"}", "plugin.no_wait", "connector's map");
    rig_finish(&rig);
}

static void secrets_are_no_items(void **state)
{
    struct rig rig;
    rig_init(&rig);
    snprintf(rig.config, sizeof(rig.config), "{\"key\":{\"$secret\":\"k\"}}");
    rig_plugin(&rig, "c", MAY, ",\"configSchema\":{\"type\":\"object\"}",
        "return { connector = { sync = function(ctx) return { { entities = { { type = 'thing', key = ctx.config.key } "
        "} } "
        "} end } }");
    rig_load_clean(&rig);
    fails_with(&rig, "test.c.sync", "{}", "bad_result", "holds a secret");
    rig_finish(&rig);
}

static void too_much_is_refused(void **state)
{
    struct rig rig;
    begin(&rig, MAY,
        "return { connector = { sync = function(ctx) local t = {} for i = 1, 100 do t[i] = i end return t end,\n"
        "map = function(item) return { events = { { type = 't.E', data = { text = string.rep('x', 60000) } } } } end } "
        "}");
    struct rig_answer a = rig_call(&rig, "test.c.sync", "{}");
    assert_int_not_equal(a.status, PERI_OK);
    assert_true(!strncmp(a.error.code, "limit.", 6));
    assert_int_equal(rig.events, 0);
    rig_finish(&rig);
}

/* 1,100 events are more than may come at once: the second page waits. Somebody else's does not. */
static void what_comes_too_fast_waits(void **state)
{
    struct rig rig;
    struct rig_answer slow = {0};
    begin(&rig, MAY,
        "return { connector = { map = function(i) return { events = { { type = 't.E', data = i } } } end,\n"
        "  sync = function(ctx, o)\n"
        "    local items, n = {}, o.count or 1100\n"
        "    for i = 1, n do items[i] = i end\n"
        "    return items, (o.cursor or 0) < (o.last or 1) and (o.cursor or 0) + 1 end },\n"
        "actions = { ['t.touch'] = { execute = function(p, ctx) ctx.storage.set('a', 1) return true end } } }");
    struct peri_call call = {.operator_id = "test.c.sync", .params = peri_value_map()};
    assert_int_equal(peri_host_call(rig.host, &call, rig_called, &slow, &slow.error), PERI_OK);
    peri_value_unref((struct peri_value *)(uintptr_t)call.params);
    while (rig.events < 1100)
        peri_loop_once(rig.loop, 10);
    assert_false(slow.done);
    rig_gives(&rig, "t.touch", "{}", "true"); /* other operations of the plugin have an allowance of their own */
    struct rig_answer other = rig_fails(&rig, "test.c.sync", "{\"count\":1,\"last\":0}", "limit.rate");
    assert_true(other.error.retryable && other.error.retry_after_ms > 0);
    rig_wait(&rig, &slow.done);
    assert_int_equal(slow.status, PERI_OK);
    assert_string_equal(slow.text, "{\"entities\":0,\"events\":2200,\"items\":2200,\"pages\":2}");
    assert_int_equal(rig.events, 2200);
    rig_finish(&rig);
}

static void bad_cursors_are_refused(void **state)
{
    struct rig rig;
    begin(&rig, MAY,
        "return { connector = { sync = function(ctx, o) return {}, o.f and function() end or o.s and "
        "string.rep('x', 5000) or o.t and {} end } }");
    fails_with(&rig, "test.c.sync", "{\"f\":true}", "bad_argument", "the cursor, which sync returns second");
    fails_with(&rig, "test.c.sync", "{\"s\":true}", "limit.output", "the cursor, which sync returns second");
    fails_with(&rig, "test.c.sync", "{\"t\":true}", "bad_result", "page 2: sync has returned the cursor that it was");
    rig_gives(&rig, "test.c.sync", "{}", "{\"entities\":0,\"events\":0,\"items\":0}");
    rig_finish(&rig);
}

static void refused(const char *connector, const char *why)
{
    struct rig rig;
    char lua[512];
    rig_init(&rig);
    snprintf(lua, sizeof(lua), "local f = function() end\nreturn { connector = %s }", connector);
    rig_plugin(&rig, "c", MAY, "", lua);
    rig_load(&rig);
    if (!rig.diag.count || !strstr(rig.diag.items[0].message, why))
        fail_msg("%s: %s", connector, rig.diag.count ? rig.diag.items[0].message : "no finding");
    rig_finish(&rig);
}

static void what_is_no_connector_does_not_load(void **state)
{
    refused("5", "connector must be a table");
    refused("f", "connector must be a table");
    refused("{}", "neither sync nor execute");
    refused("{ sync = 1 }", "connector.sync must be a function");
    refused("{ sync = f, mapp = f }", "did you mean \"map\"");
    refused("{ execute = f, map = f }", "it needs a function sync");
    refused("{ execute = f, sync_every_ms = 5000 }", "needs a function connector.sync");
    refused("{ sync = f, sync_every_ms = 999 }", "at least 1000");
    refused("{ sync = f, sync_every_ms = '1m' }", "whole number");
    refused("{ sync = f, execute_params = {} }", "needs a function connector.execute");
    refused("{ execute = f, execute_params = 'x' }", "must be a JSON Schema");
}

static void wait_event(struct rig *rig, const char *text)
{
    for (int i = 0; i < 3000 && !strstr(rig->trail, text); i++)
        peri_loop_once(rig->loop, 10);
    if (!strstr(rig->trail, text))
        fail_msg("no %s in %s", text, rig->trail);
}

/* After ready, once; again when the plugin's state had to be made new. */
static void the_listener_is_registered_when_it_is_ready(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "c", MAY, "",
        "return { ready = function(ctx) ctx.emit('t.x', 'ready') end,\n"
        "connector = { register_realtime_listener = function(ctx) ctx.emit('t.x', 'listens')\n"
        "  ctx.events.on('t.Outside', function(event, c) c.emit('t.x', event.data) end) end },\n"
        "actions = { ['t.loop'] = { execute = function() while true do end end } } }");
    rig_load_clean(&rig);
    wait_event(&rig, "\"listens\"");
    assert_string_equal(rig.trail, "\"ready\" \"listens\"");
    for (int i = 0; i < 3000 && rig.host->job_count; i++)
        peri_loop_once(rig.loop, 10);
    rig_emit(&rig, "t.Outside", "\"heard\"");
    wait_event(&rig, "\"heard\" \"heard\"");
    rig.trail[0] = '\0';
    rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    wait_event(&rig, "\"listens\"");
    rig_finish(&rig);
    rig_init(&rig);
    rig_plugin(&rig, "c", MAY, "",
        "return { connector = { register_realtime_listener = function(ctx) error('nobody there') end,\n"
        "  execute = function() end } }");
    rig_load(&rig);
    for (int i = 0; i < 3000 && rig.host->job_count; i++)
        peri_loop_once(rig.loop, 10);
    rig_fails(&rig, "test.c.execute", "{}", "unknown_operator");
    rig_finish(&rig);
}

/* --- the schedule --- */

struct timed {
    struct rig rig;
    struct peri_clock_fake clock;
};

static void pass(struct timed *t, int64_t ms)
{
    peri_clock_fake_advance(&t->clock, ms);
    peri_plans_tick(t->rig.host);
    for (int i = 0; i < 20 || t->rig.host->job_count || t->rig.host->commits; i++)
        peri_loop_once(t->rig.loop, i < 20 ? 0 : 10);
}

static void again(struct timed *t, const char *lua)
{
    struct peri_error err = {0};
    struct peri_host *host = t->rig.host;
    files_put(&t->rig.files, "plugins/c/init.lua", lua);
    t->rig.host = NULL;
    peri_host_destroy(host);
    assert_int_equal(peri_host_create(&t->rig.options, &t->rig.host, &err), PERI_OK);
    assert_int_equal(peri_host_load_now(t->rig.host, &t->rig.diag), PERI_OK);
    rig_show(&t->rig);
    pass(t, 0);
}

#define SYNCS(more)                                                                                                    \
    "return { connector = { " more " sync = function(ctx, about)\n"                                                    \
    "  return { { events = { { type = 't.x', data = about.name } } } } end } }"
#define SAID "\"connector.sync\""

static void sync_comes_as_often_as_it_says(void **state)
{
    struct timed t;
    rig_init(&t.rig);
    t.rig.options.clock = peri_clock_fake_init(&t.clock, START);
    rig_plugin(&t.rig, "c", MAY, "", SYNCS("sync_every_ms = 600000,"));
    rig_load_clean(&t.rig);
    pass(&t, 599000);
    assert_string_equal(t.rig.trail, "");
    pass(&t, 1000);
    assert_string_equal(t.rig.trail, SAID);
    peri_clock_fake_advance(&t.clock, 500000);
    again(&t, SYNCS("sync_every_ms = 600000,"));
    assert_int_equal(t.rig.events, 1);
    pass(&t, 100000); /* the restart has not moved it */
    assert_int_equal(t.rig.events, 2);
    again(&t, SYNCS(""));
    pass(&t, 3600000);
    assert_int_equal(t.rig.events, 2);
    again(&t, SYNCS("sync_every_ms = 600000,"));
    pass(&t, 600000);
    assert_int_equal(t.rig.events, 3);
    again(&t, "return { actions = { ['t.list'] = { execute = function(p, ctx) return #ctx.schedule.list() end } } }");
    rig_gives(&t.rig, "t.list", "{}", "1");
    pass(&t, 3600000); /* nobody drops it: it is forgotten when it is due */
    rig_gives(&t.rig, "t.list", "{}", "0");
    again(&t, SYNCS("sync_every_ms = 600000,"));
    assert_int_equal(t.rig.events, 3);
    pass(&t, 600000);
    assert_int_equal(t.rig.events, 4);
    rig_finish(&t.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_mapped_and_stored_at_once),
        cmocka_unit_test(without_map_items_are_entities_and_events_themselves),
        cmocka_unit_test(wrong_results_say_what_is_wrong),
        cmocka_unit_test(map_can_not_wait_but_sync_can),
        cmocka_unit_test(secrets_are_no_items),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(what_comes_too_fast_waits),
        cmocka_unit_test(bad_cursors_are_refused),
        cmocka_unit_test(what_is_no_connector_does_not_load),
        cmocka_unit_test(the_listener_is_registered_when_it_is_ready),
        cmocka_unit_test(sync_comes_as_often_as_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
