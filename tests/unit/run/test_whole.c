/* SPDX-License-Identifier: Apache-2.0 */
#include "run/kit.h"

#include "plugin/host_rig.h"
#include "io/store_runs.h"
#include "run/pipeline.h"
#include "base/str.h"

/* The pipeline with the real host, store and Lua: rules of YAML, operators of a plugin folder. */
struct whole {
    struct rig rig;
    struct peri_pipeline *pipe;
    struct peri_reader *reader;
};

static void open_whole(struct whole *w, const char *permissions, const char *lua, const char *yaml)
{
    struct peri_error err = {0};
    memset(w, 0, sizeof(*w));
    rig_init(&w->rig);
    rig_plugin(&w->rig, "ops", permissions, "", lua);
    struct peri_pipeline_options po = {.loop = w->rig.loop, .store = w->rig.store, .clock = w->rig.clock};
    if (peri_pipeline_create(&po, &w->pipe, &err) != PERI_OK)
        fail_msg("%s", err.message);
    w->rig.options.ops.submit = peri_pipeline_host_submit;
    w->rig.options.ops.ctx = w->pipe;
    rig_load_clean(&w->rig);
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    if (peri_rules_load_text("test.yaml", yaml, strlen(yaml), NULL, &list, &diag) != PERI_OK)
        fail_msg("%s", diag.items[0].message);
    peri_diag_finish(&diag);
    assert_int_equal(peri_pipeline_set_rules(w->pipe, list.items, list.count, &err), PERI_OK);
    peri_rule_list_finish(&list);
    assert_int_equal(peri_store_reader(w->rig.store, &w->reader, &err), PERI_OK);
    if (peri_pipeline_start(w->pipe, w->rig.host, &err) != PERI_OK)
        fail_msg("%s", err.message);
}

static void close_whole(struct whole *w)
{
    struct rig *rig = &w->rig;
    peri_reader_close(w->reader);
    peri_host_destroy(rig->host);
    peri_pipeline_destroy(w->pipe);
    rig->host = NULL;
    peri_http_client_destroy(rig->http);
    peri_store_close(rig->store);
    for (int i = 0; i < 5; i++)
        peri_loop_once(rig->loop, 0);
    peri_secrets_destroy(rig->secrets);
    peri_loop_destroy(rig->loop);
    peri_diag_finish(&rig->diag);
    files_finish(&rig->files);
}

static void sent(void *arg, enum peri_status st, const struct peri_error *err)
{
    assert_int_equal(st, PERI_OK);
    *(bool *)arg = true;
}

/* entity may be NULL: {type, fields} stored beside the event. */
static void send(struct whole *w, const char *type, const char *json, const char *entity_type, const char *entity)
{
    struct peri_error err = {0};
    bool done = false;
    struct peri_batch *batch = peri_batch_create();
    struct peri_event *event = peri_event_create();
    event->type = peri_strdup(type);
    event->data = peri_strdup(json);
    event->data_len = strlen(json);
    if (entity)
        assert_int_equal(peri_batch_entity_put(batch, entity_type, kit_json(entity)), PERI_OK);
    assert_int_equal(peri_batch_event(batch, event), PERI_OK);
    if (peri_pipeline_submit(w->pipe, batch, sent, &done, &err) != PERI_OK)
        fail_msg("%s", err.message);
    rig_wait(&w->rig, &done);
}

static int64_t status(struct whole *w, const char *name)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_pipeline_status(w->pipe, &v), PERI_OK);
    int64_t n = peri_map_int(v, name, -1);
    peri_value_unref(v);
    return n;
}

static void until(struct whole *w, const char *name, int64_t n)
{
    for (int i = 0; i < 1000 && status(w, name) != n; i++)
        peri_loop_once(w->rig.loop, 10);
    assert_int_equal(status(w, name), n);
}

#define CALLS                                                                                                          \
    "return { conditions = { ['t.missed'] = { params = { type = 'object', properties = { who = { type = 'string' },\n" \
    "      count = { type = 'integer', default = 3 } }, required = { 'who' } },\n"                                     \
    "    evaluate = function(p, ctx) local n = ctx.data.query('call', { where = { who = p.who }, count = true })\n"    \
    "      return n >= p.count, { actual = n, wanted = p.count } end } },\n"                                           \
    "  actions = { ['t.note'] = { execute = function(p, ctx)\n"                                                        \
    "      local id = ctx.data.put('task', { title = p.title, key = ctx.idempotency_key })\n"                          \
    "      ctx.emit('t.Noted', { id = id, run = ctx.run.id }) return { id = id } end },\n"                             \
    "    ['t.spin'] = { execute = function() while true do end end } } }\n"

static void test_the_third_missed_call_makes_one_task(void **state)
{
    struct whole w;
    open_whole(&w, "[\"data:read:call\",\"data:write:task\",\"event:publish:t.*\"]", CALLS,
        "rules:\n"
        "  - name: Missed\n"
        "    trigger: {event: comms.CallMissed}\n"
        "    conditions: [{operator: t.missed, params: {who: \"{{ event.who }}\"}}]\n"
        "    actions:\n"
        "      - {operator: t.note, as: note, params: {title: \"call {{ event.who }}\"}}\n"
        "      - {set: {task: \"{{ note.id }}\"}}\n"
        "  - {name: Noted, trigger: {event: t.Noted}, actions: [{stop: \"{{ event.run }}\"}]}\n");
    /* All three at once: each condition sees the calls up to its own event, and no later ones. */
    send(&w, "comms.CallMissed", "{\"who\":\"ann\"}", "call", "{\"who\":\"ann\"}");
    send(&w, "comms.CallMissed", "{\"who\":\"ann\"}", "call", "{\"who\":\"ann\"}");
    send(&w, "comms.CallMissed", "{\"who\":\"ann\"}", "call", "{\"who\":\"ann\"}");
    until(&w, "runs_succeeded", 2);
    assert_int_equal(status(&w, "accepted"), 4);
    struct peri_query query = {.type = "task"};
    struct peri_value *tasks = NULL;
    size_t count = 0;
    assert_int_equal(peri_reader_query(w.reader, &query, &tasks, &count, NULL), PERI_OK);
    assert_int_equal(count, 1);
    assert_string_equal(peri_map_text(peri_list_at(tasks, 0), "title"), "call ann");
    assert_non_null(strstr(peri_map_text(peri_list_at(tasks, 0), "key"), ".1/1"));
    peri_value_unref(tasks);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct peri_value *verdicts = NULL;
        assert_int_equal(peri_reader_verdicts(w.reader, seq, &verdicts, NULL), PERI_OK);
        const struct peri_value *v = peri_list_at(verdicts, 0);
        assert_string_equal(peri_map_text(v, "verdict"), seq == 3 ? "fired" : "no");
        if (seq < 3)
            assert_int_equal(peri_map_int(peri_map_at(v, "detail"), "actual", -1), (int64_t)seq);
        peri_value_unref(verdicts);
    }
    close_whole(&w);
}

static void test_a_runaway_action_fails_its_run_and_no_other(void **state)
{
    struct whole w;
    open_whole(&w, "[\"data:read:call\",\"data:write:task\",\"event:publish:t.*\"]", CALLS,
        "rules:\n"
        "  - {name: Spin, trigger: {event: a.Spin}, actions: [{operator: t.spin, retry: {maximum_attempts: 1}}]}\n"
        "  - {name: Note, trigger: {event: a.Note}, actions: [{operator: t.note, params: {title: x}}]}\n"
        "  - {name: Gone, trigger: {event: a.Gone}, actions: [{operator: t.gone, retry: {maximum_attempts: 1}}]}\n"
        "  - {name: Wrong, trigger: {event: a.Wrong}, conditions: [{operator: t.missed, params: {who: 7}}], actions: "
        "[{stop: true}]}\n");
    send(&w, "a.Spin", "{}", NULL, NULL);
    send(&w, "a.Gone", "{}", NULL, NULL);
    send(&w, "a.Wrong", "{}", NULL, NULL);
    send(&w, "a.Note", "{}", NULL, NULL);
    until(&w, "runs_succeeded", 1);
    until(&w, "runs_failed", 2);
    struct peri_value *run = NULL, *verdicts = NULL;
    assert_int_equal(peri_reader_run(w.reader, 1, &run, NULL), PERI_OK);
    assert_int_equal(strncmp(peri_map_text(peri_map_at(run, "error"), "code"), "limit.", 6), 0);
    peri_value_unref(run);
    assert_int_equal(peri_reader_verdicts(w.reader, 3, &verdicts, NULL), PERI_OK);
    assert_string_equal(peri_map_text(peri_list_at(verdicts, 0), "verdict"), "error");
    assert_string_equal(peri_map_text(peri_list_at(verdicts, 0), "code"), "params");
    peri_value_unref(verdicts);
    close_whole(&w);
}

static void test_the_end_in_the_middle_of_calls(void **state)
{
    struct whole w;
    open_whole(&w, "[]", "return { actions = { ['t.wait'] = { execute = function(p, ctx) while true do end end } } }\n",
        "rules:\n  - {name: Wait, trigger: {event: a.B}, actions: [{operator: t.wait}]}\n");
    for (int i = 0; i < 5; i++)
        send(&w, "a.B", "{}", NULL, NULL);
    until(&w, "runs_started", 5);
    close_whole(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_third_missed_call_makes_one_task),
        cmocka_unit_test(test_a_runaway_action_fails_its_run_and_no_other),
        cmocka_unit_test(test_the_end_in_the_middle_of_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
