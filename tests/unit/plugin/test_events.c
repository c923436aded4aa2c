/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

#define HEAR "[\"event:subscribe:a.*\",\"event:publish:**\",\"storage:read\",\"storage:write\"]"

/* Keeps the data of what it hears under "heard". */
#define NOTE                                                                                                           \
    "local function note(event, ctx)\n"                                                                                \
    "  local list = ctx.storage.get('heard') or {} list[#list + 1] = event.data ctx.storage.set('heard', list) end\n"

#define ASK "actions = { ['t.heard'] = { execute = function(p, ctx) return ctx.storage.get('heard') end } }"

/* Waits until the plugin has heard this. Each look is a call of the plugin, which takes turns with its events: a test
 * of n events can need more than n looks, so there are many more than any test has events. */
static void hears(struct rig *rig, const char *json)
{
    struct rig_answer a = {0};
    for (int i = 0; i < 3000; i++) {
        a = rig_call(rig, "t.heard", "{}");
        assert_int_equal(a.status, PERI_OK);
        if (!strcmp(a.text, json))
            return;
        peri_loop_once(rig->loop, 5);
    }
    fail_msg("heard %s, not %s", a.text, json);
}

static void restart(struct rig *rig)
{
    struct peri_error err = {0};
    struct peri_host *host = rig->host;
    rig->host = NULL;
    peri_host_destroy(host);
    assert_int_equal(peri_host_create(&rig->options, &rig->host, &err), PERI_OK);
}

static void events_come_in_order_and_only_those_asked_for(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_emit(&rig, "a.x", "\"before\"");
    rig_plugin(&rig, "p", HEAR, "",
        NOTE "return { init = function(ctx) ctx.events.on('a.*', function(event, ctx)\n"
             "  assert(ctx.event.id == event.id and event.source == 'test' and event.type:find('^a%.'))\n"
             "  note(event, ctx) end) end," ASK "}");
    rig_load_clean(&rig);
    assert_true(peri_host_hears(rig.host, "a.z"));
    assert_false(peri_host_hears(rig.host, "b.z"));
    for (int i = 1; i <= 5; i++) {
        char data[16];
        snprintf(data, sizeof(data), "%d", i);
        rig_emit(&rig, "a.x", data);
        rig_emit(&rig, "b.x", "\"other\"");
    }
    hears(&rig, "[1,2,3,4,5]");
    rig_finish(&rig);
}

static void what_came_while_it_was_away_is_heard_later(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    rig_init(&rig);
    rig_plugin(&rig, "p", HEAR, "", NOTE "return { init = function(ctx) ctx.events.on('a.*', note) end," ASK "}");
    rig_load_clean(&rig);
    rig_emit(&rig, "a.x", "1");
    hears(&rig, "[1]");
    assert_int_equal(peri_host_set_enabled(rig.host, "test.p", false, &err), PERI_OK);
    assert_false(peri_host_hears(rig.host, "a.z"));
    rig_emit(&rig, "a.x", "2");
    restart(&rig); /* the position outlives the service */
    rig_emit(&rig, "a.x", "3");
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK);
    rig_emit(&rig, "a.x", "4");
    hears(&rig, "[1,2,3,4]");
    rig_finish(&rig);
}

static void a_late_subscriber_can_begin_at_the_start(void **state)
{
    struct rig rig;
    rig_init(&rig);
    for (int i = 0; i < 450; i++) /* more than one look, more than the queue */
        rig_emit(&rig, i % 3 ? "a.x" : "b.x", "1");
    rig_plugin(&rig, "p", HEAR, ",\"limits\":{\"operationsPerSecond\":1000}",
        "return { init = function(ctx) ctx.events.on('a.*', function(event, ctx)\n"
        "  ctx.storage.set('heard', (ctx.storage.get('heard') or 0) + 1) end, { since = 'start' }) end," ASK "}");
    rig_load_clean(&rig);
    hears(&rig, "300");
    restart(&rig);
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK);
    rig_emit(&rig, "a.x", "1");
    hears(&rig, "301"); /* since counts for new subscriptions only */
    rig_finish(&rig);
}

static void failures_are_tried_again_or_skipped(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "p", HEAR, "",
        NOTE "local tries = 0 return { init = function(ctx) ctx.events.on('a.*', function(event, ctx)\n"
             "  if event.data == 'bad' then error({ code = 'bad', message = 'no' }) end\n"
             "  if event.data == 'later' and tries < 2 then tries = tries + 1\n"
             "    error({ code = 'later', message = 'wait', retryable = true, retry_after = 0.001 }) end\n"
             "  if event.data == 'loop' then while true do end end\n"
             "  note(event, ctx) end) end," ASK "}");
    rig_load_clean(&rig);
    rig_emit(&rig, "a.x", "1");
    rig_emit(&rig, "a.x", "\"bad\"");
    rig_emit(&rig, "a.x", "\"later\"");
    rig_emit(&rig, "a.x", "\"loop\""); /* init runs again, and with it on() */
    rig_emit(&rig, "a.x", "2");
    hears(&rig, "[1,\"later\",2]");
    rig_finish(&rig);
}

static void off_ends_it(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "p", HEAR, "",
        NOTE "return { init = function(ctx) ctx.events.on('a.*', note) end, actions = {\n"
             "['t.off'] = { execute = function(p, ctx) ctx.events.off('a.*') end },\n"
             "['t.on'] = { execute = function(p, ctx) ctx.events.on('a.x', note) end },\n"
             "['t.heard'] = { execute = function(p, ctx) return ctx.storage.get('heard') end } } }");
    rig_load_clean(&rig);
    rig_emit(&rig, "a.x", "1");
    hears(&rig, "[1]");
    rig_gives(&rig, "t.off", "{}", "");
    assert_false(peri_host_hears(rig.host, "a.x"));
    rig_emit(&rig, "a.x", "2");
    rig_gives(&rig, "t.on", "{}", "");
    rig_emit(&rig, "a.x", "3");
    rig_emit(&rig, "a.y", "4");
    rig_emit(&rig, "a.x", "5");
    hears(&rig, "[1,3,5]");
    rig_finish(&rig);
}

static void the_manifest_and_the_grants_are_kept(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "p", HEAR,
        ",\"events\":[{\"eventName\":\"a.In\",\"direction\":\"subscribe\"},"
        "{\"eventName\":\"a.Out\",\"direction\":\"publish\",\"maxPayloadBytes\":40,"
        "\"schema\":{\"type\":\"object\",\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":\"integer\"}}}},"
        "{\"eventName\":\"both.*\",\"direction\":\"both\",\"schema\":{\"type\":\"string\"}}]",
        "local function try(f, ...) local ok, e = pcall(f, ...) return ok or e.code end\n"
        "local function f() end\n"
        "return { actions = { ['t.on'] = { execute = function(p, ctx) return try(ctx.events.on, p.glob, f, p.options) "
        "end },\n"
        "  ['t.emit'] = { execute = function(p, ctx) return try(ctx.emit, p.type, p.data, p.options) end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.on", "{\"glob\":\"a.*\"}", "true");
    rig_gives(&rig, "t.on", "{\"glob\":\"a.In\"}", "true");
    rig_gives(&rig, "t.on", "{\"glob\":\"a.Out\"}", "\"event.direction\"");
    rig_gives(&rig, "t.on", "{\"glob\":\"b.*\"}", "\"denied\"");
    rig_gives(&rig, "t.on", "{\"glob\":\"a..b\"}", "\"bad_argument\"");
    rig_gives(&rig, "t.on", "{\"glob\":\"a.*\",\"options\":{\"since\":\"yesterday\"}}", "\"bad_argument\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"free.Type\",\"data\":7}", "true");
    rig_gives(&rig, "t.emit", "{\"type\":\"a.In\",\"data\":{}}", "\"event.direction\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"a.Out\",\"data\":{\"n\":1}}", "true");
    rig_gives(&rig, "t.emit", "{\"type\":\"a.Out\",\"data\":{\"n\":\"x\"}}", "\"event.schema\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"a.Out\"}", "\"event.schema\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"a.Out\",\"data\":{\"n\":1,\"x\":\"0123456789012345678901234567890\"}}",
        "\"too_large\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"both.x\",\"data\":\"s\"}", "true");
    rig_gives(&rig, "t.emit", "{\"type\":\"both.x\",\"data\":{}}", "\"event.schema\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"x.y\",\"options\":{\"source\":\"perigee:schedule\"}}", "\"denied\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"x.y\",\"options\":{\"source\":\"plugin:other\"}}", "\"denied\"");
    rig_gives(&rig, "t.emit", "{\"type\":\"x.y\",\"options\":{\"source\":\"plugin:test.p\"}}", "true");
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order_and_only_those_asked_for),
        cmocka_unit_test(what_came_while_it_was_away_is_heard_later),
        cmocka_unit_test(a_late_subscriber_can_begin_at_the_start),
        cmocka_unit_test(failures_are_tried_again_or_skipped),
        cmocka_unit_test(off_ends_it),
        cmocka_unit_test(the_manifest_and_the_grants_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
