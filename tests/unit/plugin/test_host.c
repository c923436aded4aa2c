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

static void a_bad_plugin_never_stops_the_rest(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[]", "", "return { actions = { ['t.a'] = { execute = function() return 1 end } } }");
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['t.a'] = { execute = function() return 2 end } } }");
    rig_plugin(&rig, "c", "[]", "", "local x = 1\nreturn {{ }");
    rig_plugin(&rig, "d", "[]", "", "return { action = {} }");
    rig_plugin(&rig, "e", "[]", "",
        "return { init = function() error('not today') end, actions = { ['t.e'] = { execute = function() end } } }");
    rig_plugin(&rig, "f", "[]", ",\"relationships\":{\"requires\":[{\"pluginId\":\"test.zzz\"}]}", "return {}");
    rig_plugin(&rig, "g", "[\"storage:fly\"]", "", "return {}");
    rig_plugin(&rig, "h", "[]", "", "while true do end");
    rig_load(&rig);
    static const struct {
        const char *file, *code, *part;
        int line;
    } expected[] = {{"b/plugin.json", "plugin.operator", "test.a and by test.b", 0}, {"c/init.lua", "", "", 2},
        {"d/plugin.json", "plugin.package", "actions", 0}, {"e/plugin.json", "lua.error", "not today", 0},
        {"f/plugin.json", "relationship.missing", "test.zzz", 0}, {"g/plugin.json", "bad-permission", "storage:fly", 1},
        {"h/plugin.json", "limit.instructions", "", 0}};
    size_t n = sizeof(expected) / sizeof(expected[0]);
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t f = 0; f < rig.diag.count && !found; f++) {
            const struct peri_finding *x = &rig.diag.items[f];
            found = strstr(x->file, expected[i].file) && strstr(x->code, expected[i].code) &&
                    strstr(x->message, expected[i].part) && (!expected[i].line || x->line == expected[i].line);
        }
        if (!found) {
            rig_show(&rig);
            fail_msg("no finding for %s", expected[i].file);
        }
    }
    assert_int_equal(rig.diag.count, n);
    rig_gives(&rig, "t.a", "{}", "1");
    rig_fails(&rig, "t.e", "{}", "unknown_operator");
    struct peri_value *list = NULL;
    assert_int_equal(peri_host_plugins(rig.host, &list), PERI_OK);
    static const char *const states[] = {
        "active", "failed", "failed", "failed", "failed", "blocked", "failed", "failed"};
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(peri_map_text(peri_list_at(list, i), "state"), states[i]);
    peri_value_unref(list);
    rig_finish(&rig);
}

static void unapproved_plugins_are_blocked(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.approve_all = false;
    rig_plugin(&rig, "a", "[\"storage:read\"]", "",
        "return { actions = { ['t.a'] = { execute = function() return 1 end } } }");
    rig_load(&rig);
    assert_int_equal(rig.diag.count, 1);
    assert_string_equal(rig.diag.items[0].code, "policy.not-approved");
    assert_non_null(strstr(rig.diag.items[0].message, "perigee plugins approve test.a"));
    rig_fails(&rig, "t.a", "{}", "unknown_operator");
    rig_finish(&rig);
}

static void settings_are_checked(void **state)
{
    struct rig rig;
    rig_init(&rig);
    const char *schema = ",\"configSchema\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\","
                         "\"default\":3},\"key\":{\"type\":\"string\",\"minLength\":4}}}";
    rig_plugin(&rig, "a", "[]", schema,
        "return { actions = { ['t.a'] = { execute = function(p, ctx) return { n = ctx.config.n, key = "
        "type(ctx.config.key),\n"
        "  shown = tostring(ctx.config.key):find('topsecret') ~= nil, mac = ctx.crypto.hmac('sha1', ctx.config.key, "
        "'data', 'hex') } end } } }");
    snprintf(rig.config, sizeof(rig.config), "{\"key\":{\"$secret\":\"k\"}}");
    assert_int_equal(peri_secrets_set(rig.secrets, "k", "topsecret", 9, NULL), PERI_OK);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.a", "{}",
        "{\"key\":\"userdata\",\"mac\":\"5ce508184b4c7a485fdc5ae668c4c5ad8ef15fc7\",\"n\":3,\"shown\":false}");
    rig_finish(&rig);
}

static void unconfigured_is_no_error(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "sms", "[]",
        ",\"configSchema\":{\"type\":\"object\",\"required\":[\"sid\"],\"properties\":{\"sid\":{\"type\":\"string\"}}}",
        "return { channel = { type = 'sms', send = function() return { ok = true } end } }");
    rig_plugin(&rig, "user", "[\"channels:send:sms\"]", "",
        "return { actions = { ['t.send'] = { execute = function(p, ctx) return ctx.send('sms', { to = '+1', body = "
        "p.body }) end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.send", "{\"body\":\"hello\"}", "{\"channel\":\"outbox\",\"ok\":true}");
    struct peri_reader *reader = NULL;
    struct peri_value *list = NULL;
    assert_int_equal(peri_store_reader(rig.store, &reader, NULL), PERI_OK);
    assert_int_equal(peri_reader_outbox(reader, 0, 10, &list, NULL), PERI_OK);
    assert_int_equal(peri_value_count(list), 1);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "body"), "hello");
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "channel_type"), "sms");
    peri_value_unref(list);
    peri_reader_close(reader);
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

/* --- network --- */

struct server {
    struct peri_http_server *http;
    int hits;
    char seen[2048];
};

static void note_header(void *arg, const char *name, const char *value)
{
    struct server *s = arg;
    size_t n = strlen(s->seen);
    if (!strcasecmp(name, "authorization") || !strcasecmp(name, "content-type") || !strcasecmp(name, "user-agent") ||
        !strcasecmp(name, "x-key"))
        snprintf(s->seen + n, sizeof(s->seen) - n, "|%s=%s", name, value);
}

static void serve(void *ctx, struct peri_http_request *req)
{
    struct server *s = ctx;
    size_t len;
    const char *body = peri_http_body(req, &len);
    s->hits++;
    snprintf(s->seen, sizeof(s->seen), "%s %s %.*s", peri_http_method(req), peri_http_target(req), (int)len, body);
    peri_http_each_header(req, note_header, s);
    peri_http_set_header(req, "X-Answer", "yes");
    peri_http_answer(req, 201, "application/json; charset=utf-8", "{\"ok\":[1]}", 10);
}

static void http_goes_where_it_may(void **state)
{
    struct rig rig;
    struct server server = {0};
    struct peri_error err = {0};
    rig_init(&rig);
    struct peri_http_server_options so = {.loop = rig.loop,
        .listen = "127.0.0.1:0",
        .max_body = 65536,
        .max_headers = 8192,
        .timeout_s = 10,
        .handler = serve,
        .ctx = &server};
    assert_int_equal(peri_http_server_create(&so, &server.http, &err), PERI_OK);
    int port = peri_http_server_port(server.http);
    rig_plugin(&rig, "net", "[\"network:outbound:{config.url}\",\"network:outbound:localhost\"]", "",
        "return { actions = {\n"
        "  ['t.get'] = { execute = function(p, ctx) local r = ctx.http.get(ctx.config.url .. '/a', { query = { q = 'x "
        "y', b = 2 }, headers = { ['X-Key'] = { ctx.config.key, prefix = 'K ' } } })\n"
        "    return { r.status, r.headers['x-answer'], r.json, r.body } end },\n"
        "  ['t.form'] = { execute = function(p, ctx) return ctx.http.post(ctx.config.url, { form = { To = '+1', M = { "
        "'a', 'b' } }, auth = { user = 'u', password = ctx.config.key } }).status end },\n"
        "  ['t.json'] = { execute = function(p, ctx) return ctx.http.request({ method = 'put', url = ctx.config.url, "
        "json = { a = ctx.json.array() } }).status end },\n"
        "  ['t.other'] = { execute = function(p, ctx) return ctx.http.get(p.url) end },\n"
        "  ['t.forge'] = { execute = function(p, ctx) return ctx.http.get(ctx.config.url, { headers = { A = { "
        "['$secret'] = 'k' } } }) end },\n"
        "  ['t.mail'] = { execute = function(p, ctx) return ctx.smtp.send({ host = '127.0.0.1', port = p.port, "
        "security = 'plain', from = 'a@x.test', to = 'b@x.test', message = 'Subject: x\\r\\n\\r\\ny\\r\\n' }) end },\n"
        "  ['t.both'] = { execute = function(p, ctx) local co = coroutine.wrap(function() return "
        "ctx.http.get(ctx.config.url).status end) return { co(), ctx.http.get(ctx.config.url).status } end } } }");
    snprintf(rig.config, sizeof(rig.config), "{\"url\":\"http://127.0.0.1:%d\",\"key\":{\"$secret\":\"k\"}}", port);
    assert_int_equal(peri_secrets_set(rig.secrets, "k", "topsecret", 9, NULL), PERI_OK);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.get", "{}", "[201,\"yes\",{\"ok\":[1]},\"{\\\"ok\\\":[1]}\"]");
    assert_non_null(strstr(server.seen, "GET /a?b=2&q=x%20y "));
    assert_non_null(strstr(server.seen, "=K topsecret"));
    assert_non_null(strstr(server.seen, "=perigee-plugin/test.net"));
    rig_gives(&rig, "t.form", "{}", "201");
    assert_non_null(strstr(server.seen, "POST / M=a&M=b&To=%2B1|"));
    assert_non_null(strstr(server.seen, "=Basic dTp0b3BzZWNyZXQ="));
    assert_non_null(strstr(server.seen, "=application/x-www-form-urlencoded"));
    rig_gives(&rig, "t.json", "{}", "201");
    assert_non_null(strstr(server.seen, "PUT / {\"a\":[]}|"));
    rig_gives(&rig, "t.both", "{}", "[201,201]");
    int hits = server.hits;
    rig_fails(&rig, "t.other", "{\"url\":\"http://example.com/\"}", "denied");
    rig_fails(&rig, "t.other", "{\"url\":\"http://user@127.0.0.1/\"}", "http.url");
    rig_fails(&rig, "t.other", "{\"url\":\"file:///etc/passwd\"}", "http.url");
    char params[100];
    snprintf(params, sizeof(params), "{\"url\":\"http://localhost:%d/\"}",
        port); /* granted by the manifest only: private addresses stay closed */
    rig_fails(&rig, "t.other", params, "http.blocked");
    rig_fails(&rig, "t.forge", "{}", "bad_argument");
    struct rig_answer a = rig_call_with(&rig, (struct peri_call){.operator_id = "t.form", .dry_run = true}, "{}");
    assert_string_equal(a.error.code, "dry_run");
    assert_int_equal(peri_secrets_remove(rig.secrets, "k", NULL), PERI_OK);
    a = rig_fails(&rig, "t.form", "{}", "secret.missing");
    assert_non_null(strstr(a.error.message, "perigee secrets set k"));
    assert_int_equal(peri_secrets_set(rig.secrets, "k", "topsecret", 9, NULL), PERI_OK);
    assert_int_equal(server.hits, hits);
    peri_http_server_destroy(server.http);
    snprintf(params, sizeof(params), "{\"port\":%d}", port);
    rig_fails(&rig, "t.mail", params, "smtp.connect");
    rig_fails(&rig, "t.mail", "{\"port\":1}", "denied");
    a = rig_call(&rig, "t.form", "{}");
    assert_string_equal(a.error.code, "http.connect");
    assert_false(a.error.outcome_unknown);
    rig_finish(&rig);
}

/* --- webhooks --- */

struct web_answer {
    bool done;
    int status;
    char body[1024], type[100], header[100];
    struct peri_error error;
};

static void web_answered(void *arg, const struct peri_webhook_response *r)
{
    struct web_answer *a = arg;
    assert_false(a->done);
    a->done = true;
    a->status = r->status;
    a->error = r->error;
    snprintf(a->body, sizeof(a->body), "%.*s", (int)r->body_len, r->body ? r->body : "");
    snprintf(a->type, sizeof(a->type), "%s", r->content_type ? r->content_type : "");
    if (r->header_count)
        snprintf(a->header, sizeof(a->header), "%s: %s", r->headers[0].name, r->headers[0].value);
}

static struct web_answer web(
    struct rig *rig, const char *plugin, const char *method, const char *path, const char *type, const char *body)
{
    struct web_answer a = {0};
    const struct peri_http_field headers[] = {{"Content-Type", type}, {"X-Sig", "abc"}};
    struct peri_webhook_request r = {.plugin_id = plugin,
        .path = path,
        .method = method,
        .url = "https://x.test/hooks/a?q=1%2B1",
        .headers = headers,
        .header_count = 2,
        .query = "q=1%2B1&q=2",
        .body = body,
        .body_len = strlen(body),
        .remote = "192.0.2.1"};
    peri_host_webhook(rig->host, &r, web_answered, &a);
    rig_wait(rig, &a.done);
    return a;
}

static void webhooks_answer(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "hook", "[\"network:inbound\",\"data:write:call\",\"event:publish:t.**\"]", "",
        "return { webhooks = { ['/in'] = { methods = { 'POST', 'GET' }, handle = function(ctx, r)\n"
        "  if r.body == 'fail' then error('secret detail') end\n"
        "  if r.form and r.form.Bad then return { status = 403, body = 'forged' } end\n"
        "  ctx.data.put('call', { n = 1 }); ctx.emit('t.Called', {})\n"
        "  return { status = 200, headers = { ['X-A'] = 'b' }, json = { form = r.form, list = r.params_list, q = "
        "r.query.q, sig = r.headers['x-sig'], m = r.method, u = r.url, j = r.json, remote = r.remote } } end },\n"
        "  ['/quiet'] = { handle = function() end } } }");
    rig_plugin(&rig, "closed", "[]", "", "return { webhooks = { ['/in'] = { handle = function() end } } }");
    rig_load_clean(&rig);
    struct web_answer a = web(
        &rig, "test.hook", "POST", "/in", "application/x-www-form-urlencoded; charset=utf-8", "To=%2B1&A=x+y&A=z&E");
    assert_string_equal(a.error.message, "");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "application/json");
    assert_string_equal(a.header, "X-A: b");
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(a.body, strlen(a.body), &v, NULL), PERI_OK);
    char *text = peri_json_text(v, PERI_JSON_SORTED);
    assert_string_equal(text,
        "{\"form\":{\"A\":\"x "
        "y\",\"E\":\"\",\"To\":\"+1\"},\"list\":[{\"name\":\"To\",\"value\":\"+1\"},{\"name\":\"A\",\"value\":\"x y\"},"
        "{\"name\":\"A\",\"value\":\"z\"},{\"name\":\"E\",\"value\":\"\"}],\"m\":\"POST\",\"q\":\"1+1\",\"remote\":"
        "\"192.0.2.1\",\"sig\":\"abc\",\"u\":\"https://x.test/hooks/a?q=1%2B1\"}");
    free(text);
    peri_value_unref(v);
    assert_int_equal(rig.submits, 1);
    assert_int_equal(rig.events, 1);
    a = web(&rig, "test.hook", "POST", "/in", "application/json", "{\"a\":1}");
    assert_non_null(strstr(a.body, "\"j\":{\"a\":1}"));
    a = web(&rig, "test.hook", "POST", "/in", "application/x-www-form-urlencoded", "Bad=1");
    assert_int_equal(a.status, 403);
    assert_string_equal(a.body, "forged");
    assert_int_equal(rig.submits, 2);
    a = web(&rig, "test.hook", "POST", "/in", "text/plain", "fail");
    assert_int_equal(a.status, 500);
    assert_string_equal(a.body, "");
    assert_int_equal(web(&rig, "test.hook", "PUT", "/in", "text/plain", "").status, 405);
    assert_int_equal(web(&rig, "test.hook", "POST", "/quiet", "text/plain", "").status, 204);
    assert_int_equal(web(&rig, "test.hook", "POST", "/in/", "text/plain", "").status, 404);
    assert_int_equal(web(&rig, "test.none", "POST", "/in", "text/plain", "").status, 404);
    assert_int_equal(web(&rig, "test.closed", "POST", "/in", "text/plain", "").status, 404);
    rig_finish(&rig);
}

/* --- change at run time --- */

static void set_done(void *arg)
{
    *(bool *)arg = true;
}

static void reload_swaps_only_what_loads(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    bool done = false;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[]", "", "return { actions = { ['t.a'] = { execute = function() return 1 end } } }");
    rig_load_clean(&rig);
    files_put(
        &rig.files, "plugins/a/init.lua", "return { actions = { ['t.b'] = { execute = function() return 2 end } } }");
    rig_gives(&rig, "t.a", "{}", "1");
    assert_int_equal(peri_host_reload(rig.host, "test.a", set_done, &done, &err), PERI_OK);
    rig_wait(&rig, &done);
    rig_gives(&rig, "t.b", "{}", "2");
    rig_fails(&rig, "t.a", "{}", "unknown_operator");
    files_put(&rig.files, "plugins/a/init.lua", "return {");
    done = false;
    assert_int_equal(peri_host_reload(rig.host, "test.a", set_done, &done, &err), PERI_OK);
    rig_wait(&rig, &done);
    rig_gives(&rig, "t.b", "{}", "2"); /* the last good version stays */
    files_put(
        &rig.files, "plugins/a/init.lua", "return { actions = { ['t.c'] = { execute = function() return 3 end } } }");
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['t.new'] = { execute = function() return 4 end } } }");
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK); /* as on SIGHUP: both are there when it ends */
    rig_gives(&rig, "t.c", "{}", "3");
    rig_gives(&rig, "t.new", "{}", "4");
    rig_fails(&rig, "t.b", "{}", "unknown_operator");
    assert_int_equal(peri_host_set_enabled(rig.host, "test.a", false, &err), PERI_OK);
    rig_fails(&rig, "t.c", "{}", "unknown_operator");
    files_put(&rig.files, "plugins/a/init.lua",
        "local on = 0\nreturn { on_enable = function() on = on + 1 end, actions = { ['t.on'] = { execute = function() "
        "return on end } } }");
    assert_int_equal(peri_host_set_enabled(rig.host, "test.a", true, &err), PERI_OK);
    for (int i = 0; !peri_host_operator(rig.host, "t.on") && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    rig_gives(&rig, "t.on", "{}", "1");
    assert_int_equal(peri_host_reload(rig.host, "test.none", NULL, NULL, &err), PERI_ENOTFOUND);
    rig_finish(&rig);
}

/* A new version is told at once, what was in service before is not told again. */
static void ready_is_told_once(void **state)
{
    struct rig rig;
    static const char lua[] = "local n = 0\nreturn { ready = function() n = n + 1 end, actions = {\n"
                              "['t.%s'] = { execute = function() return n end } } }";
    char text[256];
    rig_init(&rig);
    snprintf(text, sizeof(text), lua, "a");
    rig_plugin(&rig, "a", "[]", "", text);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.a", "{}", "1");
    snprintf(text, sizeof(text), lua, "b");
    rig_plugin(&rig, "b", "[]", "", text);
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK);
    rig_gives(&rig, "t.a", "{}", "1");
    rig_gives(&rig, "t.b", "{}", "1");
    snprintf(text, sizeof(text), lua, "c");
    files_put(&rig.files, "plugins/b/init.lua", text);
    assert_int_equal(peri_host_load_now(rig.host, &rig.diag), PERI_OK);
    rig_gives(&rig, "t.c", "{}", "1");
    rig_finish(&rig);
}

static void changed_folders_are_noticed(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.watch = true;
    rig_plugin(&rig, "a", "[]", "",
        "local n = 0\nreturn { actions = { ['t.a'] = { execute = function() n = n + 1 return n end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "t.a", "{}", "1");
    rig_plugin(&rig, "b", "[]", "", "return { actions = { ['t.b'] = { execute = function() return 'b' end } } }");
    for (int i = 0; !peri_host_operator(rig.host, "t.b") && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    rig_gives(&rig, "t.b", "{}", "\"b\"");
    rig_gives(&rig, "t.a", "{}", "2"); /* what did not change is left alone */
    char path[200];
    snprintf(path, sizeof(path), "%s/b/plugin.json", rig.plugins);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; peri_host_operator(rig.host, "t.b") && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    rig_fails(&rig, "t.b", "{}", "unknown_operator");
    rig_finish(&rig);
}

/* A server that answers nobody until it is told to. */
struct silent {
    struct peri_http_server *http;
    struct peri_http_request *held[8];
    size_t count;
};

static void hold(void *ctx, struct peri_http_request *req)
{
    struct silent *s = ctx;
    assert_true(s->count < 8);
    s->held[s->count++] = req;
}

static void silent_start(struct rig *rig, struct silent *s)
{
    struct peri_error err = {0};
    struct peri_http_server_options so = {.loop = rig->loop,
        .listen = "127.0.0.1:0",
        .max_body = 65536,
        .max_headers = 8192,
        .timeout_s = 10,
        .handler = hold,
        .ctx = s};
    memset(s, 0, sizeof(*s));
    assert_int_equal(peri_http_server_create(&so, &s->http, &err), PERI_OK);
    snprintf(rig->config, sizeof(rig->config), "{\"url\":\"http://127.0.0.1:%d\"}", peri_http_server_port(s->http));
}

static void silent_answer(struct silent *s)
{
    for (size_t i = 0; i < s->count; i++)
        peri_http_answer(s->held[i], 200, "text/plain", "late", 4);
    s->count = 0;
}

static const char waiting[] =
    "local n = 0\nreturn { stop = function(ctx) ctx.log.info('stopping') end, actions = {\n"
    "  ['t.post'] = { execute = function(p, ctx) n = n + 1 return { ctx.http.post(ctx.config.url, { body = 'x' "
    "}).body, n } end },\n"
    "  ['t.get'] = { execute = function(p, ctx) return ctx.http.get(ctx.config.url).body end },\n"
    "  ['t.n'] = { execute = function(p, ctx) return n end },\n"
    "  ['t.loop'] = { execute = function() while true do end end } } }";

static void the_deadline_covers_waiting(void **state)
{
    struct rig rig;
    struct silent s;
    rig_init(&rig);
    silent_start(&rig, &s);
    rig_plugin(&rig, "wait", "[\"network:outbound:{config.url}\"]", ",\"limits\":{\"wallMs\":60}", waiting);
    rig_load_clean(&rig);
    struct rig_answer a = rig_fails(&rig, "t.post", "{}", "limit.time");
    assert_true(a.error.outcome_unknown); /* the request had left */
    a = rig_fails(&rig, "t.get", "{}", "limit.time");
    assert_false(a.error.outcome_unknown); /* asking again harms nobody */
    silent_answer(&s);
    rig_gives(&rig, "t.n", "{}", "1"); /* the plugin goes on */
    peri_http_server_destroy(s.http);
    rig_finish(&rig);
}

static void a_reset_fails_what_waits(void **state)
{
    struct rig rig;
    struct silent s;
    rig_init(&rig);
    silent_start(&rig, &s);
    rig_plugin(&rig, "wait", "[\"network:outbound:{config.url}\"]", ",\"limits\":{\"instructions\":100000}", waiting);
    rig_load_clean(&rig);
    struct rig_answer post = {.rig = &rig};
    struct peri_error err = {0};
    struct peri_call call = {.operator_id = "t.post"};
    assert_int_equal(peri_host_call(rig.host, &call, rig_called, &post, &err), PERI_OK);
    for (int i = 0; !s.count && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    assert_int_equal(s.count, 1);
    rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    assert_false(post.done);
    silent_answer(&s);
    rig_wait(&rig, &post.done);
    assert_string_equal(post.error.code, "plugin_reset");
    assert_true(post.error.retryable);
    assert_true(post.error.outcome_unknown);
    rig_gives(&rig, "t.n", "{}", "0");
    peri_http_server_destroy(s.http);
    rig_finish(&rig);
}

static void destroy_ends_every_call(void **state)
{
    struct rig rig;
    struct silent s;
    rig_init(&rig);
    silent_start(&rig, &s);
    rig_plugin(&rig, "wait", "[\"network:outbound:{config.url}\"]", "", waiting);
    rig_plugin(&rig, "user", "[\"operators:call\"]", "",
        "return { actions = { ['t.nested'] = { execute = function(p, ctx) return ctx.call('t.post', {}) end } } }");
    rig_load_clean(&rig);
    struct rig_answer answers[3] = {0};
    static const char *const ids[] = {"t.post", "t.nested", "t.get"};
    for (int i = 0; i < 3; i++) {
        struct peri_call call = {.operator_id = ids[i]};
        assert_int_equal(peri_host_call(rig.host, &call, rig_called, &answers[i], NULL), PERI_OK);
    }
    for (int i = 0; s.count < 3 && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    assert_int_equal(s.count, 3);
    peri_host_destroy(rig.host);
    rig.host = NULL;
    for (int i = 0; i < 3; i++) {
        assert_true(answers[i].done);
        assert_string_equal(answers[i].error.code, "stopping");
    }
    silent_answer(&s);
    peri_http_server_destroy(s.http);
    rig_finish(&rig);
}

static void queues_are_bounded(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[]", "",
        "return { conditions = { ['t.c'] = { evaluate = function() for i = 1, 1000 do end return true end } } }");
    rig_load_clean(&rig);
    static struct rig_answer answers[5000];
    memset(answers, 0, sizeof(answers));
    struct peri_error err = {0};
    size_t taken = 0, refused = 0;
    for (size_t i = 0; i < 5000; i++) { /* the loop does not run: nothing comes back */
        struct peri_call call = {.operator_id = "t.c"};
        enum peri_status st = peri_host_call(rig.host, &call, rig_called, &answers[taken], &err);
        if (!st)
            taken++;
        else {
            assert_int_equal(st, PERI_EBUSY);
            assert_true(err.retryable);
            refused++;
        }
    }
    for (size_t i = 0; i < taken; i++)
        rig_wait(&rig, &answers[i].done);
    assert_int_equal(taken + refused, 5000);
    assert_true(taken >= 1024);
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
        cmocka_unit_test(a_bad_plugin_never_stops_the_rest),
        cmocka_unit_test(unapproved_plugins_are_blocked),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(unconfigured_is_no_error),
        cmocka_unit_test(channels_and_operators_are_called),
        cmocka_unit_test(http_goes_where_it_may),
        cmocka_unit_test(webhooks_answer),
        cmocka_unit_test(reload_swaps_only_what_loads),
        cmocka_unit_test(ready_is_told_once),
        cmocka_unit_test(changed_folders_are_noticed),
        cmocka_unit_test(the_deadline_covers_waiting),
        cmocka_unit_test(a_reset_fails_what_waits),
        cmocka_unit_test(destroy_ends_every_call),
        cmocka_unit_test(queues_are_bounded),
        cmocka_unit_test(print_goes_to_the_log_and_require_finds_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
