/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

static void operators_are_called(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "ops", "[]", "",
        "return {\n"
        "  conditions = { ['t.more'] = { description = 'is it more', params = { type = 'object', properties = { n = { "
        "type = 'integer', default = 7 } }, required = {} },\n"
        "    evaluate = function(params, ctx) return params.n > 5, { actual = params.n, wanted = '> 5' } end } },\n"
        "  actions = { ['t.echo'] = { params = {}, execute = function(params, ctx)\n"
        "    return { params = params, rule = ctx.rule, run = ctx.run, key = ctx.idempotency_key, event = ctx.event, "
        "id = ctx.id,\n"
        "      data = ctx.data == nil, http = ctx.http == nil, version = ctx.manifest.version } end } } }\n");
    rig_load_clean(&rig);
    struct rig_answer a = rig_call(&rig, "t.more", "{}");
    assert_int_equal(a.status, PERI_OK);
    assert_true(a.holds);
    assert_string_equal(a.text, "{\"actual\":7,\"wanted\":\"> 5\"}");
    assert_true(a.usage.instructions > 0);
    a = rig_call(&rig, "t.more", "{\"n\":1}");
    assert_false(a.holds);
    a = rig_call(&rig, "t.more", "{\"n\":\"x\"}");
    assert_int_equal(a.status, PERI_EINVAL);
    assert_non_null(strstr(a.error.message, "/n"));
    a = rig_call(&rig, "t.mroe", "{}");
    assert_int_equal(a.status, PERI_ENOTFOUND);
    assert_non_null(strstr(a.error.message, "t.more"));
    struct peri_event *event = peri_event_create();
    event->seq = 12;
    event->type = strdup("a.B");
    event->source = strdup("/s");
    event->data = strdup("{\"x\":[1,null]}");
    event->data_len = strlen(event->data);
    a = rig_call_with(&rig,
        (struct peri_call){.operator_id = "t.echo",
            .event = event,
            .rule_id = "r",
            .rule_name = "R",
            .run_id = "run-1",
            .idempotency_key = "k1"},
        "{\"a\":[]}");
    peri_event_unref(event);
    assert_string_equal(a.text, "{\"data\":true,\"event\":{\"data\":{\"x\":[1,null]},\"id\":\"ev-12\",\"source\":\"/"
                                "s\",\"time\":\"1970-01-01T00:00:00.000Z\","
                                "\"type\":\"a.B\"},\"http\":true,\"id\":\"test.ops\",\"key\":\"k1\",\"params\":{\"a\":["
                                "]},\"rule\":{\"id\":\"r\",\"name\":\"R\"},"
                                "\"run\":{\"id\":\"run-1\"},\"version\":\"1.0.0\"}");
    const char *const *ids = peri_host_operator_ids(rig.host);
    assert_string_equal(ids[0], "t.echo");
    assert_string_equal(ids[1], "t.more");
    assert_null(ids[2]);
    rig_finish(&rig);
}

/* Whether the caller had the event's data as values already or not: the same comes of it. */
static struct rig_answer call_with_data(struct rig *rig, const char *id, uint64_t seq, const char *data)
{
    struct peri_event *event = peri_event_create();
    struct peri_value *payload = NULL;
    event->seq = seq;
    event->type = strdup("a.B");
    event->source = strdup("/s");
    event->data = strdup(data);
    event->data_len = strlen(event->data);
    assert_int_equal(peri_json_parse(data, strlen(data), &payload, NULL), PERI_OK);
    struct peri_call call = {.operator_id = id, .event = event, .rule_id = "r", .rule_name = "R"};
    struct rig_answer a = rig_call_with(rig, call, "{}");
    call.payload = payload;
    struct rig_answer b = rig_call_with(rig, call, "{}");
    assert_string_equal(a.text, b.text);
    peri_value_unref(payload);
    peri_event_unref(event);
    return a;
}

static struct rig_answer call_about(struct rig *rig, const char *id, uint64_t seq)
{
    return call_with_data(rig, id, seq, "{\"x\":[1,2],\"y\":{\"z\":null}}");
}

/* The event is made when it is asked for: nobody can tell. */
static void a_late_event_is_like_any_table(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "late", "[]", "",
        "local kept\n"
        "return { actions = {\n"
        "  ['t.walk'] = { execute = function(p, ctx) local names = {}\n"
        "    for k in pairs(ctx) do names[#names + 1] = k end table.sort(names)\n"
        "    return { names = table.concat(names, ' '), raw = next(ctx) ~= nil, again = ctx.event == ctx.event } end "
        "},\n"
        "  ['t.use'] = { execute = function(p, ctx) local e, n = ctx.event, 0\n"
        "    for _ in pairs(e.data) do n = n + 1 end e.data.y = nil e.more = true\n"
        "    return { n = n, len = #e.data.x, event = ctx.event, json = ctx.json.encode(ctx.event.data) } end },\n"
        "  ['t.own'] = { execute = function(p, ctx) ctx.event = 'mine' ctx.log = nil\n"
        "    return { event = ctx.event, rule = ctx.rule.id, run = ctx.run == nil, none = ctx.nonesuch == nil } end "
        "},\n"
        "  ['t.all'] = { execute = function(p, ctx) return { event = ctx.event } end },\n"
        "  ['t.keep'] = { execute = function(p, ctx) kept = kept or ctx return {} end },\n"
        "  ['t.other'] = { execute = function(p, ctx)\n"
        "    return { old = kept.event and kept.event.id, new = ctx.event.id } end } } }\n");
    rig_load_clean(&rig);
    assert_string_equal(call_about(&rig, "t.walk", 1).text,
        "{\"again\":true,\"names\":\"config crypto event id json log manifest rule time\",\"raw\":true}");
    assert_string_equal(call_about(&rig, "t.use", 2).text,
        "{\"event\":{\"data\":{\"x\":[1,2]},\"id\":\"ev-2\",\"more\":true,\"source\":\"/"
        "s\",\"time\":\"1970-01-01T00:00:00.000Z\",\"type\":\"a.B\"},\"json\":\"{\\\"x\\\":[1,2]}\",\"len\":2,\"n\":"
        "2}");
    assert_string_equal(
        call_about(&rig, "t.own", 3).text, "{\"event\":\"mine\",\"none\":true,\"rule\":\"r\",\"run\":true}");
    assert_non_null(strstr(call_with_data(&rig, "t.all", 6, "null").text, "{\"data\":null,\"id\":\"ev-6\""));
    assert_non_null(strstr(call_with_data(&rig, "t.all", 7, "[]").text, "{\"data\":[],\"id\":\"ev-7\""));
    assert_non_null(strstr(call_with_data(&rig, "t.all", 8, "\"x\"").text, "{\"data\":\"x\",\"id\":\"ev-8\""));
    (void)call_about(&rig, "t.keep", 4);
    struct rig_answer a = call_about(&rig, "t.other", 5); /* never the event of another call */
    assert_null(strstr(a.text, "\"old\":\"ev-5\""));
    assert_non_null(strstr(a.text, "\"new\":\"ev-5\""));
    rig_finish(&rig);
}

static void writes_are_one_batch(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "data",
        "[\"data:read:tasks\",\"data:write:task\",\"event:publish:t.*\",\"storage:read\",\"storage:write\"]", "",
        "local function two(ctx) local id = ctx.data.put('task', { title = 'a', externalId = 'x1' }); "
        "ctx.data.put('task', { title = 'b' })\n"
        "  ctx.emit('t.Made', { id = id }, { id = 'e1', subject = 's' }); return id end\n"
        "return { conditions = {\n"
        "    ['t.none'] = { evaluate = function(p, ctx) return ctx.data.query('task', { count = true }) == 0 end },\n"
        "    ['t.write'] = { evaluate = function(p, ctx) ctx.data.put('task', {}) return true end } },\n"
        "  actions = {\n"
        "    ['t.two'] = { execute = function(p, ctx) return { id = two(ctx) } end },\n"
        "    ['t.fail'] = { execute = function(p, ctx) two(ctx) error({ code = 'nope', message = 'no', retryable = "
        "true }) end },\n"
        "    ['t.read'] = { execute = function(p, ctx) local id = ctx.data.put('task', { title = 'c' }) local e = "
        "ctx.data.get('task', id)\n"
        "      return { title = e.title, n = #ctx.data.query('tasks', { where = { title = 'c' } }), missing = "
        "ctx.data.get('task', 'zz') == nil } end },\n"
        "    ['t.call'] = { execute = function(p, ctx) ctx.data.put('call', {}) end },\n"
        "    ['t.emit'] = { execute = function(p, ctx) ctx.emit('other.Thing', {}) end },\n"
        "    ['t.kv'] = { execute = function(p, ctx) local s = ctx.storage\n"
        "      s.set('a', { 1, 2 }); s.set('b', 'x', { namespace = 'n' }); s.set('c', true, { ttl = '1h' })\n"
        "      local r = { a = s.get('a'), b = s.get('b'), nb = s.get('b', { namespace = 'n' }), list = s.list(), n = "
        "s.clear() }\n"
        "      r.after = s.list(); return r end } } }\n");
    rig_load_clean(&rig);
    assert_true(rig_call(&rig, "t.none", "{}").holds);
    struct rig_answer a = rig_fails(&rig, "t.fail", "{}", "nope");
    assert_true(a.error.retryable);
    assert_string_equal(a.error.message, "no");
    assert_int_equal(rig.submits, 0); /* nothing of it was stored */
    assert_true(rig_call(&rig, "t.none", "{}").holds);
    a = rig_call(&rig, "t.two", "{}");
    assert_int_equal(a.status, PERI_OK);
    assert_int_equal(rig.submits, 1);
    assert_int_equal(rig.events, 1);
    assert_string_equal(rig.last_source, "plugin:test.data");
    char expect[300];
    snprintf(expect, sizeof(expect), "t.Made %.200s", a.text); /* the id was known before the commit */
    assert_string_equal(rig.last_event, expect);
    a = rig_call(&rig, "t.none", "{}");
    assert_string_equal(a.error.message, "");
    assert_false(a.holds);
    rig_gives(&rig, "t.read", "{}", "{\"missing\":true,\"n\":1,\"title\":\"c\"}");
    rig_fails(&rig, "t.write", "{}", "denied");
    rig_fails(&rig, "t.call", "{}", "denied");
    rig_fails(&rig, "t.emit", "{}", "denied");
    rig_gives(&rig, "t.kv", "{}", "{\"a\":[1,2],\"after\":[],\"list\":[\"a\",\"c\"],\"n\":2,\"nb\":\"x\"}");
    rig.refuse_submit = true;
    a = rig_fails(&rig, "t.two", "{}", "busy");
    assert_true(a.error.retryable);
    rig_finish(&rig);
}

static void limits_end_a_call_and_the_plugin_goes_on(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "lim", "[]", ",\"limits\":{\"instructions\":200000}",
        "local ready = 0\n"
        "return { init = function(ctx) ready = ready + 1 end, actions = {\n"
        "  ['t.loop'] = { execute = function() while true do pcall(function() while true do end end) end end },\n"
        "  ['t.ready'] = { execute = function() return { ready = ready } end },\n"
        "  ['t.set'] = { execute = function() ready = 77 end },\n"
        "  ['t.flood'] = { execute = function(p, ctx) for i = 1, 20000 do ctx.time.now_ms() end end },\n"
        "  ['t.bad'] = { execute = function() return function() end end } }, conditions = {\n"
        "  ['t.nobool'] = { evaluate = function() return 1 end } } }\n");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.set", "{}", "");
    rig_gives(&rig, "t.ready", "{}", "{\"ready\":77}");
    rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    rig_gives(&rig, "t.ready", "{}", "{\"ready\":1}"); /* a clean state, init has run again */
    rig_fails(&rig, "t.bad", "{}", "bad_argument");
    rig_fails(&rig, "t.nobool", "{}", "bad_result");
    rig_fails(&rig, "t.flood", "{}", "limit.instructions");
    rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    rig_fails(&rig, "t.loop", "{}", "limit.instructions"); /* three in a row */
    struct rig_answer a = rig_fails(&rig, "t.ready", "{}", "plugin_suspended");
    assert_true(a.error.retryable);
    assert_true(a.error.retry_after_ms > 0);
    rig_finish(&rig);
}

static void a_rest_ends_with_a_trial(void **state)
{
    struct rig rig;
    struct peri_clock_fake clock;
    rig_init(&rig);
    rig.options.clock = peri_clock_fake_init(&clock, 1000000);
    rig_plugin(&rig, "a", "[]", ",\"limits\":{\"instructions\":20000}",
        "return { actions = { ['t.loop'] = { execute = function() while true do end end },\n"
        "  ['t.ok'] = { execute = function() return 1 end }, ['t.raise'] = { execute = function() error({ code = "
        "'later', retryable = true }) end } } }");
    rig_load_clean(&rig);
    for (int i = 0; i < 3; i++)
        rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    peri_clock_fake_advance(&clock, 29000);
    rig_fails(&rig, "t.ok", "{}", "plugin_suspended");
    peri_clock_fake_advance(&clock, 1000);
    rig_fails(&rig, "t.loop", "{}", "limit.instructions"); /* the trial */
    peri_clock_fake_advance(&clock, 59000);
    struct rig_answer a = rig_fails(&rig, "t.ok", "{}", "plugin_suspended");
    assert_int_equal(a.error.retry_after_ms, 1000);
    peri_clock_fake_advance(&clock, 1000);
    rig_fails(&rig, "t.raise", "{}", "later"); /* an error of its own is no run-away */
    rig_gives(&rig, "t.ok", "{}", "1");
    rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    rig_gives(&rig, "t.ok", "{}", "1");
    rig_finish(&rig);
}

static void only_a_rule_names_secrets(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "s", "[]", "",
        "return { actions = { ['t.s'] = { execute = function(p) return { kind = type(p.k) } end } } }");
    rig_plugin(&rig, "d", "[]", ",\"configSchema\":{\"properties\":{\"k\":{\"default\":{\"$secret\":\"other\"}}}}",
        "return {}");
    rig_load(&rig);
    assert_int_equal(rig.diag.count, 1);
    assert_non_null(strstr(rig.diag.items[0].message, "a default cannot name a secret"));
    rig_fails(&rig, "t.s", "{\"k\":{\"$secret\":\"tok\"}}", "secret");
    struct rig_answer a =
        rig_call_with(&rig, (struct peri_call){.operator_id = "t.s", .rule_id = "r"}, "{\"k\":{\"$secret\":\"tok\"}}");
    assert_string_equal(a.text, "{\"kind\":\"userdata\"}");
    rig_finish(&rig);
}

static void channels_and_operators_are_called(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "chan", "[]", "",
        "local n = 0\nreturn { channel = { type = 'sms', send = function(ctx, m) n = n + 1\n"
        "  if m.body == 'bad' then return { ok = false, code = 'sms.refused', message = 'no such number' } end\n"
        "  return { ok = true, n = n, key = m.idempotency_key, rule = m.rule, to = m.to } end } }");
    rig_plugin(&rig, "user", "[\"channels:send:*\",\"operators:call\"]", "",
        "return { actions = {\n"
        "  ['t.send'] = { execute = function(p, ctx) return ctx.send('sms', { to = '+1', body = p.body }) end },\n"
        "  ['t.twice'] = { execute = function(p, ctx) local a, b = ctx.send('sms', { to = 'a' }), ctx.send('sms', { to "
        "= 'b' }) return { a.key, b.key } end },\n"
        "  ['t.deep'] = { execute = function(p, ctx) return ctx.call('t.deep', {}) end },\n"
        "  ['t.call'] = { execute = function(p, ctx) local ok, e = pcall(ctx.call, 't.nothing', {}) return { e.code, "
        "ctx.call('t.yes'), ctx.call('t.send', { body = 'x' }).channel } end } },\n"
        "  conditions = { ['t.yes'] = { evaluate = function() return true end } } }");
    rig_load_clean(&rig);
    struct rig_answer a = rig_call_with(&rig,
        (struct peri_call){.operator_id = "t.send", .idempotency_key = "key-1", .rule_id = "r"}, "{\"body\":\"x\"}");
    assert_string_equal(
        a.text, "{\"channel\":\"test.chan\",\"key\":\"key-1\",\"n\":1,\"ok\":true,\"rule\":\"r\",\"to\":\"+1\"}");
    rig_fails(&rig, "t.send", "{\"body\":\"bad\"}", "sms.refused");
    a = rig_call_with(&rig, (struct peri_call){.operator_id = "t.twice", .idempotency_key = "k"}, "{}");
    assert_string_equal(a.text, "[\"k\",\"k#2\"]");
    rig_gives(&rig, "t.call", "{}", "[\"unknown_operator\",true,\"test.chan\"]");
    rig_fails(&rig, "t.deep", "{}", "limit.depth");
    rig_finish(&rig);
}

static void print_goes_to_the_log_and_require_finds_modules(void **state)
{
    struct rig rig;
    rig_init(&rig);
    files_put(&rig.files, "plugins/a/lib/util.lua", "return { twice = function(n) return n * 2 end }");
    rig_plugin(&rig, "a", "[]", "",
        "local util = require('lib.util')\nreturn { actions = { ['t.a'] = { execute = function(p, ctx)\n"
        "  print('hello', 1) ctx.log.info('line', { a = 1 })\n"
        "  return { util.twice(4), ctx.crypto.base64('hi'), ctx.crypto.base64.decode('aGk='), #ctx.crypto.uuid(), "
        "ctx.crypto.sha256('abc'):sub(1, 8),\n"
        "    ctx.time.parse('2026-01-02T03:04:05Z'), ctx.time.format(0), ctx.time.format(0, 'UTC', '%d.%m.%Y'), "
        "ctx.time.duration('1h30m'), ctx.json.decode('[1,null]')[2] == ctx.json.null,\n"
        "    ctx.json.encode({ a = { 1 } }), ctx.crypto.equals('a', 'a'), ctx.crypto.hmac('sha1', 'key', 'The quick "
        "brown fox jumps over the lazy dog') } end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.a", "{}",
        "[8,\"aGk=\",\"hi\",36,\"ba7816bf\",1767323045000,\"1970-01-01T00:00:00.000Z\",\"01.01.1970\",5400000,true,\"{"
        "\\\"a\\\":[1]}\",true,"
        "\"de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9\"]");
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_are_called),
        cmocka_unit_test(a_late_event_is_like_any_table),
        cmocka_unit_test(writes_are_one_batch),
        cmocka_unit_test(limits_end_a_call_and_the_plugin_goes_on),
        cmocka_unit_test(a_rest_ends_with_a_trial),
        cmocka_unit_test(only_a_rule_names_secrets),
        cmocka_unit_test(channels_and_operators_are_called),
        cmocka_unit_test(print_goes_to_the_log_and_require_finds_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
