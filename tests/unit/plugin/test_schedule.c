/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"
#include "plugin/host_internal.h"

#define MAY "[\"scheduler:read\",\"scheduler:write\",\"event:publish:**\",\"storage:read\",\"storage:write\"]"
#define START INT64_C(1767258000000) /* 2026-01-01T09:00:00Z */

struct timed {
    struct rig rig;
    struct peri_clock_fake clock;
};

static void timed_init(struct timed *t)
{
    rig_init(&t->rig);
    t->rig.options.clock = peri_clock_fake_init(&t->clock, START);
}

/* Lets time pass and what is due happen. */
static void pass(struct timed *t, int64_t ms)
{
    peri_clock_fake_advance(&t->clock, ms);
    peri_plans_tick(t->rig.host);
    for (int i = 0; i < 20 || t->rig.host->job_count || t->rig.host->commits; i++)
        peri_loop_once(t->rig.loop, i < 20 ? 0 : 10);
}

static void restart(struct timed *t)
{
    struct peri_error err = {0};
    struct peri_host *host = t->rig.host;
    t->rig.host = NULL;
    peri_host_destroy(host);
    assert_int_equal(peri_host_create(&t->rig.options, &t->rig.host, &err), PERI_OK);
}

static void load(struct timed *t)
{
    assert_int_equal(peri_host_load_now(t->rig.host, &t->rig.diag), PERI_OK);
    pass(t, 0);
}

static void trail_is(struct timed *t, const char *text)
{
    if (strcmp(t->rig.trail, text))
        fail_msg("%s, not %s", t->rig.trail, text);
    t->rig.trail[0] = '\0';
}

static void each_kind_comes_when_it_should(void **state)
{
    struct timed t;
    timed_init(&t);
    rig_plugin(&t.rig, "p", MAY, "",
        "return { init = function(ctx) local s = ctx.schedule\n"
        "  s.cron('daily', '30 10 * * *', 'say', { data = 'c' })\n"
        "  s.every('often', '10m', 'say', { data = 'e' })\n"
        "  s.after('once', 90, function(ctx, job) ctx.emit('t.x', 'once ' .. job.due) end) end,\n"
        "jobs = { say = function(ctx, job) ctx.emit('t.x', job.data) end },\n"
        "actions = { ['t.list'] = { execute = function(p, ctx) return ctx.schedule.list() end } } }");
    rig_load_clean(&t.rig);
    rig_gives(&t.rig, "t.list", "{}",
        "[{\"cron\":\"30 10 * * *\",\"data\":\"c\",\"kind\":\"cron\",\"name\":\"daily\",\"next\":\"2026-01-01T10:30:00."
        "000Z\",\"run\":\"say\"},"
        "{\"data\":\"e\",\"every_ms\":600000,\"kind\":\"every\",\"name\":\"often\",\"next\":\"2026-01-01T09:10:00."
        "000Z\","
        "\"run\":\"say\"},"
        "{\"at\":\"2026-01-01T09:01:30.000Z\",\"kind\":\"after\",\"name\":\"once\",\"next\":\"2026-01-01T09:01:30."
        "000Z\"}"
        "]");
    pass(&t, 60000);
    trail_is(&t, "");
    pass(&t, 30000);
    trail_is(&t, "\"once 2026-01-01T09:01:30.000Z\"");
    pass(&t, 600000);
    trail_is(&t, "\"e\"");
    pass(&t, 540000);
    trail_is(&t, "");
    pass(&t, 3600000 * 3); /* several times at once are one */
    assert_int_equal(t.rig.events, 4);
    rig_finish(&t.rig);
}

#define KEEPER                                                                                                         \
    "return { init = function(ctx) ctx.schedule.every('often', '10m', 'say', {data = 'e'}) end,\n"                     \
    "jobs = { say = function(ctx, job) ctx.emit('t.x', job.data) end },\n"                                             \
    "actions = { ['t.after'] = { execute = function(p, ctx) ctx.schedule.after('late', '1h', 'say', {data = 'l'}) "    \
    "end },\n"                                                                                                         \
    "  ['t.cancel'] = { execute = function(p, ctx) ctx.schedule.cancel('late') return ctx.schedule.list() end } } }"

static void what_was_missed_comes_once(void **state)
{
    struct timed t;
    timed_init(&t);
    rig_plugin(&t.rig, "p", MAY, "", KEEPER);
    rig_load_clean(&t.rig);
    rig_gives(&t.rig, "t.after", "{}", "");
    pass(&t, 300000);
    restart(&t);
    peri_clock_fake_advance(&t.clock, 360000); /* due while the service was down */
    load(&t);
    trail_is(&t, "\"e\"");
    pass(&t, 300000);
    trail_is(&t, "");
    restart(&t);
    peri_clock_fake_advance(&t.clock, 10 * 3600000);
    load(&t); /* the one that nobody made again is there too */
    assert_true(strstr(t.rig.trail, "\"l\"") && strstr(t.rig.trail, "\"e\""));
    assert_int_equal(t.rig.events, 3);
    pass(&t, 3600000);
    assert_int_equal(t.rig.events, 4);
    rig_finish(&t.rig);
}

static void cancelled_ones_and_those_of_a_plugin_at_rest_do_not_come(void **state)
{
    struct timed t;
    struct peri_error err = {0};
    timed_init(&t);
    rig_plugin(&t.rig, "p", MAY, "", KEEPER);
    rig_load_clean(&t.rig);
    rig_gives(&t.rig, "t.after", "{}", "");
    struct rig_answer a = rig_call(&t.rig, "t.cancel", "{}");
    assert_null(strstr(a.text, "late"));
    assert_int_equal(peri_host_set_enabled(t.rig.host, "test.p", false, &err), PERI_OK);
    pass(&t, 2 * 3600000);
    trail_is(&t, "");
    assert_int_equal(peri_host_set_enabled(t.rig.host, "test.p", true, &err), PERI_OK);
    for (int i = 0; i < 300 && !t.rig.trail[0]; i++)
        peri_loop_once(t.rig.loop, 10);
    trail_is(&t, "\"e\"");
    rig_finish(&t.rig);
}

static void failures_end_or_are_tried_again(void **state)
{
    struct timed t;
    timed_init(&t);
    rig_plugin(&t.rig, "p", MAY, "",
        "return { init = function(ctx) local s = ctx.schedule\n"
        "  s.after('later', 1) s.after('bad', 1) s.every('again', 60) end,\n"
        "jobs = { later = function(ctx, job) if job.attempt < 3 then error({ code = 'x', message = 'y', retryable = "
        "true, retry_after = 5 }) end ctx.emit('t.x', 'third') end,\n"
        "  bad = function(ctx) ctx.emit('t.x', 'never') error('no') end,\n"
        "  again = function(ctx, job) if not job.last then error('first') end ctx.emit('t.x', 'second') end },\n"
        "actions = { ['t.list'] = { execute = function(p, ctx) return #ctx.schedule.list() end } } }");
    rig_load_clean(&t.rig);
    pass(&t, 1000);
    trail_is(&t, "");
    rig_gives(&t.rig, "t.list", "{}", "2"); /* bad is gone */
    pass(&t, 5000);
    pass(&t, 5000);
    trail_is(&t, "\"third\"");
    rig_gives(&t.rig, "t.list", "{}", "1");
    pass(&t, 60000);
    trail_is(&t, "");
    pass(&t, 60000);
    trail_is(&t, "\"second\"");
    rig_finish(&t.rig);
}

static void a_handler_can_plan_itself_again(void **state)
{
    struct timed t;
    timed_init(&t);
    rig_plugin(&t.rig, "p", MAY, "",
        "return { init = function(ctx) ctx.schedule.after('step', 10, nil, {data = 1}) end,\n"
        "jobs = { step = function(ctx, job) ctx.emit('t.x', job.data)\n"
        "  if job.data < 3 then ctx.schedule.after('step', 10, nil, {data = job.data + 1}) end end } }");
    rig_load_clean(&t.rig);
    for (int i = 0; i < 6; i++)
        pass(&t, 10000);
    trail_is(&t, "1 2 3");
    rig_finish(&t.rig);
}

static void wrong_ones_are_refused(void **state)
{
    struct timed t;
    timed_init(&t);
    rig_plugin(&t.rig, "p", MAY, "",
        "local function try(f, ...) local ok, e = pcall(f, ...) return ok and 'ok' or e.code end\n"
        "return { jobs = { j = function() end }, conditions = { ['t.c'] = { evaluate = function(p, ctx)\n"
        "  return try(ctx.schedule.cancel, 'x') == 'denied' end } }, actions = { ['t.try'] = { execute = function(p, "
        "ctx) local s = ctx.schedule\n"
        "  return { try(s.cron, 'a', '61 * * * *', 'j'), try(s.cron, 'a', '0 0 30 2 *', 'j'), try(s.every, 'a', 0.5, "
        "'j'), try(s.after, 'a', -1, 'j'),\n"
        "    try(s.after, 'a', '1d', 'nojob'), try(s.after, '', 1, 'j'), try(s.every, 'a', '1s', 'j', 7),\n"
        "    try(s.after, ('x'):rep(101), 1, 'j'), try(s.cron, 'a', '@daily', 'j', {timezone = 'Mars/Base'}) } end },\n"
        "  ['t.many'] = { execute = function(p, ctx) for i = 1, 101 do ctx.schedule.after('n' .. i, '1d', 'j') end end "
        "} } }");
    rig_load_clean(&t.rig);
    rig_gives(&t.rig, "t.try", "{}",
        "[\"bad_argument\",\"bad_argument\",\"bad_argument\",\"bad_argument\",\"bad_argument\",\"bad_argument\","
        "\"bad_argument\",\"bad_argument\",\"bad_argument\"]");
    rig_fails(&t.rig, "t.many", "{}", "limit.schedules");
    struct rig_answer a = rig_call(&t.rig, "t.c", "{}");
    assert_true(a.holds);
    rig_finish(&t.rig);
}

static void mappings_tie_keys_to_ids(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "p", MAY, "",
        "local function try(f, ...) local ok, e = pcall(f, ...) return ok and (e == nil or e) or e.code end\n"
        "return { actions = { ['t.run'] = { execute = function(p, ctx) local m = ctx.mappings\n"
        "  m.set('contact', 'k1', 'x1', { seen = true })\n"
        "  m.set('contact', 'k1', 'x2')\n"
        "  local out = { m.external_id('contact', 'k1'), m.key('contact', 'x2'), m.key('contact', 'x1') == nil,\n"
        "    try(m.set, 'contact', 'k2', 'x2'), m.bulk({ { type = 'task', key = 'a', external_id = '1' }, { type = "
        "'task', key = 'b', external_id = '2', data = 7 } }) }\n"
        "  out[#out + 1] = #m.list() out[#out + 1] = m.list('task', { limit = 1 })[1].key\n"
        "  m.delete('task', 'a') out[#out + 1] = #m.list('task') out[#out + 1] = m.list('task')[1].data\n"
        "  out[#out + 1] = try(m.set, '', 'a', 'b') out[#out + 1] = try(m.bulk, 'x') return out end } } }");
    rig_plugin(&rig, "q", MAY, "",
        "return { actions = { ['q.see'] = { execute = function(p, ctx) return ctx.mappings.list() end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.run", "{}",
        "[\"x2\",\"k1\",true,\"mapping.conflict\",2,3,\"a\",1,7,\"bad_argument\",\"bad_argument\"]");
    rig_gives(&rig, "q.see", "{}", "[]"); /* another plugin's */
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_comes_when_it_should),
        cmocka_unit_test(what_was_missed_comes_once),
        cmocka_unit_test(cancelled_ones_and_those_of_a_plugin_at_rest_do_not_come),
        cmocka_unit_test(failures_end_or_are_tried_again),
        cmocka_unit_test(a_handler_can_plan_itself_again),
        cmocka_unit_test(wrong_ones_are_refused),
        cmocka_unit_test(mappings_tie_keys_to_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
