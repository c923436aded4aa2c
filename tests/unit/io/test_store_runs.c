/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include "io/store_db.h"

static struct peri_run_row base_row(void)
{
    return (struct peri_run_row){.rule = "vip",
        .rhash = "h1",
        .event = 1,
        .trigger = "t1",
        .state = PERI_RUN_READY,
        .pos = "{\"at\":0}",
        .vars = "{\"n\":1}",
        .kprefix = "01J",
        .created_ms = T0};
}

struct insert {
    struct peri_run_row row;
    uint64_t id;
};

static enum peri_status insert_run_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct insert *i = arg;
    return peri_tx_run_insert(tx, &i->row, &i->id, err);
}

static uint64_t insert_run(struct fixture *f, struct peri_run_row row)
{
    struct insert i = {row, 0};
    ok(f, peri_store_run(f->store, insert_run_fn, &i, &f->err));
    return i.id;
}

struct update {
    struct peri_run_row row;
    enum peri_run_state expected;
};

static enum peri_status update_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct update *u = arg;
    return peri_tx_run_update(tx, &u->row, u->expected, err);
}

static enum peri_status step_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_step_put(tx, arg, err);
}

struct kept {
    uint64_t ids[8];
    size_t count;
    char pos[64], vars[64], error[64];
    int64_t wake, base;
    int interruptions;
    enum peri_run_state state;
};

static enum peri_status keep(void *arg, const struct peri_run_row *row)
{
    struct kept *k = arg;
    k->ids[k->count++] = row->id;
    snprintf(k->pos, sizeof(k->pos), "%s", row->pos ? row->pos : "");
    snprintf(k->vars, sizeof(k->vars), "%s", row->vars ? row->vars : "");
    snprintf(k->error, sizeof(k->error), "%s", row->error ? row->error : "");
    k->wake = row->wake_ms;
    k->base = row->base_ms;
    k->interruptions = row->interruptions;
    k->state = row->state;
    return PERI_OK;
}

static void test_one_run_for_event_rule_and_trigger(void **state)
{
    struct fixture *f = *state;
    struct insert again = {base_row(), 0};
    assert_int_equal(insert_run(f, base_row()), 1);
    assert_int_equal(peri_store_run(f->store, insert_run_fn, &again, &f->err), PERI_EEXIST);
    assert_non_null(strstr(f->err.message, "ev-1"));
    again.row.trigger = "t2";
    assert_int_equal(insert_run(f, again.row), 2);
    /* Retries are runs of their own, as many as people want. */
    again.row.trigger = "t1";
    again.row.retry_of = 1;
    assert_int_equal(insert_run(f, again.row), 3);
    assert_int_equal(insert_run(f, again.row), 4);
}

static void test_update_needs_the_expected_state(void **state)
{
    struct fixture *f = *state;
    struct kept k = {.count = 0};
    struct update u = {base_row(), PERI_RUN_READY};
    u.row.id = insert_run(f, base_row());
    u.row.state = PERI_RUN_SLEEPING;
    u.row.wake_ms = T0 + 5000;
    u.row.base_ms = 5000;
    u.row.pos = "{\"at\":1}";
    u.row.vars = "{\"n\":2}";
    u.row.interruptions = 3;
    ok(f, peri_store_run(f->store, update_fn, &u, &f->err));
    ok(f, peri_reader_run_row(f->reader, 1, keep, &k, &f->err));
    assert_int_equal(k.state, PERI_RUN_SLEEPING);
    assert_int_equal(k.wake, T0 + 5000);
    assert_int_equal(k.base, 5000);
    assert_string_equal(k.pos, "{\"at\":1}");
    assert_string_equal(k.vars, "{\"n\":2}");
    assert_int_equal(k.interruptions, 3);
    assert_int_equal(peri_store_run(f->store, update_fn, &u, &f->err), PERI_EINTERNAL);
    assert_non_null(strstr(f->err.message, "run-1 is not ready"));
    u.row.id = 99;
    assert_int_equal(peri_store_run(f->store, update_fn, &u, &f->err), PERI_EINTERNAL);
}

static void test_variables_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct insert i = {base_row(), 0};
    char *big = malloc(70000);
    memset(big, 'x', 69999);
    big[69999] = '\0';
    i.row.vars = big;
    assert_int_equal(peri_store_run(f->store, insert_run_fn, &i, &f->err), PERI_ELIMIT);
    free(big);
}

static enum peri_status keep_mark(void *arg, const struct peri_run_row *row)
{
    struct kept *k = arg;
    k->ids[k->count++] = row->id;
    k->state = row->state;
    return PERI_OK;
}

static void test_live_runs_by_id(void **state)
{
    struct fixture *f = *state;
    struct kept k = {.count = 0};
    static const enum peri_run_state states[] = {
        PERI_RUN_SLEEPING, PERI_RUN_SUCCEEDED, PERI_RUN_READY, PERI_RUN_UNKNOWN, PERI_RUN_FAILED, PERI_RUN_QUEUED};
    for (size_t i = 0; i < 6; i++) {
        struct peri_run_row row = base_row();
        row.event = i + 1;
        row.state = states[i];
        insert_run(f, row);
    }
    fixture_close(f);
    fixture_open(f);
    ok(f, peri_reader_live_marks(f->reader, keep_mark, &k, &f->err));
    assert_int_equal(k.count, 4);
    assert_int_equal(k.ids[3], 6);
    assert_int_equal(k.state, PERI_RUN_QUEUED);
    memset(&k, 0, sizeof(k));
    ok(f, peri_reader_live_runs(f->reader, keep, &k, &f->err));
    assert_int_equal(k.count, 4);
    assert_int_equal(k.ids[0], 1);
    assert_int_equal(k.ids[1], 3);
    assert_int_equal(k.ids[2], 4);
    assert_int_equal(k.ids[3], 6);
}

static enum peri_status see_attempt(void *arg, const struct peri_step_row *row)
{
    snprintf(arg, 64, "%d/%d %s %s", row->n, row->attempt, row->key ? row->key : "-", row->params ? row->params : "-");
    return PERI_OK;
}

static void test_one_attempt(void **state)
{
    struct fixture *f = *state;
    char seen[64] = "";
    uint64_t run = insert_run(f, base_row());
    struct peri_step_row s = {.run = run,
        .n = 1,
        .attempt = 1,
        .path = "actions[0]",
        .op = "comms.sendSms",
        .state = PERI_ATTEMPT_STARTED,
        .started_ms = T0,
        .params = "{\"to\":\"x\"}",
        .key = "k/1"};
    assert_int_equal(peri_reader_attempt(f->reader, run, 1, 1, see_attempt, seen, &f->err), PERI_ENOTFOUND);
    ok(f, peri_store_run(f->store, step_fn, &s, &f->err));
    ok(f, peri_reader_attempt(f->reader, run, 1, 1, see_attempt, seen, &f->err));
    assert_string_equal(seen, "1/1 k/1 {\"to\":\"x\"}");
    s.attempt = 2;
    s.params = "{\"to\":\"y\"}";
    ok(f, peri_store_run(f->store, step_fn, &s, &f->err));
    ok(f, peri_reader_attempt(f->reader, run, 1, 2, see_attempt, seen, &f->err));
    assert_string_equal(seen, "1/2 k/1 {\"to\":\"y\"}");
    ok(f, peri_reader_attempt(f->reader, run, 1, 1, see_attempt, seen, &f->err));
    assert_string_equal(seen, "1/1 k/1 {\"to\":\"x\"}");
}

static enum peri_status tracks_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    uint64_t run = *(uint64_t *)arg;
    enum peri_status st = peri_tx_track_put(tx, run, 2, "{\"b\":2}", err);
    if (!st)
        st = peri_tx_track_put(tx, run, 1, "{\"a\":1}", err);
    if (!st)
        st = peri_tx_track_put(tx, run, 3, "{}", err);
    if (!st)
        st = peri_tx_track_put(tx, run, 2, "{\"b\":3}", err);
    return st ? st : peri_tx_track_drop(tx, run, 3, err);
}

static enum peri_status see_track(void *arg, int track, const char *pos)
{
    size_t len = strlen(arg);
    snprintf((char *)arg + len, 64 - len, "%d%s ", track, pos);
    return PERI_OK;
}

static enum peri_status stop_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_run_stop(tx, *(uint64_t *)arg, PERI_RUN_CANCELLED, NULL, err);
}

static void test_branches_are_kept_until_the_run_ends(void **state)
{
    struct fixture *f = *state;
    char seen[64] = "";
    uint64_t run = insert_run(f, base_row());
    ok(f, peri_store_run(f->store, tracks_fn, &run, &f->err));
    ok(f, peri_reader_tracks(f->reader, run, see_track, seen, &f->err));
    assert_string_equal(seen, "1{\"a\":1} 2{\"b\":3} ");
    ok(f, peri_store_run(f->store, stop_fn, &run, &f->err));
    seen[0] = '\0';
    ok(f, peri_reader_tracks(f->reader, run, see_track, seen, &f->err));
    assert_string_equal(seen, "");
}

static void test_public_form(void **state)
{
    struct fixture *f = *state;
    struct peri_value *v = NULL;
    struct peri_run_row row = base_row();
    row.state = PERI_RUN_FAILED;
    row.ended_ms = T0 + 1000;
    row.error = "{\"code\":\"http\",\"message\":\"500\"}";
    row.retry_of = 4;
    uint64_t run = insert_run(f, row);
    struct peri_step_row s = {.run = run,
        .n = 1,
        .attempt = 1,
        .path = "actions[0]",
        .op = "core.log",
        .step_id = "first",
        .state = PERI_ATTEMPT_DONE,
        .started_ms = T0,
        .ended_ms = T0 + 1,
        .params = "{\"a\":1}",
        .result = "{\"b\":2}",
        .key = "k"};
    ok(f, peri_store_run(f->store, step_fn, &s, &f->err));
    s = (struct peri_step_row){.run = run,
        .n = 2,
        .attempt = 1,
        .path = "actions[1]",
        .op = "core.log",
        .state = PERI_ATTEMPT_STARTED,
        .started_ms = T0 + 2};
    ok(f, peri_store_run(f->store, step_fn, &s, &f->err));
    ok(f, peri_reader_run(f->reader, run, &v, &f->err));
    assert_json(v,
        "{\"id\":\"run-1\",\"rule\":\"vip\",\"event\":\"ev-1\",\"trigger\":\"t1\",\"state\":\"failed\","
        "\"created\":\"2026-01-01T00:00:00.000Z\",\"ended\":\"2026-01-01T00:00:01.000Z\",\"retry_of\":\"run-4\","
        "\"error\":{\"code\":\"http\",\"message\":\"500\"},\"vars\":{\"n\":1},\"steps\":["
        "{\"n\":1,\"attempt\":1,\"path\":\"actions[0]\",\"operator\":\"core.log\",\"id\":\"first\",\"state\":\"done\","
        "\"started\":\"2026-01-01T00:00:00.000Z\",\"ended\":\"2026-01-01T00:00:00.001Z\",\"params\":{\"a\":1},"
        "\"result\":{\"b\":2},\"idempotency_key\":\"k\"},"
        "{\"n\":2,\"attempt\":1,\"path\":\"actions[1]\",\"operator\":\"core.log\",\"state\":\"started\","
        "\"started\":\"2026-01-01T00:00:00.002Z\"}]}");
    assert_int_equal(peri_reader_run(f->reader, 55, &v, &f->err), PERI_ENOTFOUND);
}

static void assert_runs(struct fixture *f, const struct peri_run_filter *filter, const char *wanted)
{
    struct peri_value *list = NULL;
    char got[256] = "";
    ok(f, peri_reader_runs(f->reader, filter, &list, &f->err));
    for (size_t i = 0; i < peri_value_count(list); i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
            peri_map_text(peri_list_at(list, i), "id"));
    assert_string_equal(got, wanted);
    peri_value_unref(list);
}

static void test_filters(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *rule;
        uint64_t event;
        enum peri_run_state state;
        const char *error;
    } rows[] = {
        {"a", 1, PERI_RUN_SUCCEEDED, NULL},
        {"b", 1, PERI_RUN_FAILED, "{\"code\":\"x\",\"message\":\"y\"}"},
        {"a", 2, PERI_RUN_SLEEPING, NULL},
        {"b", 2, PERI_RUN_FAILED, "{\"code\":\"x\",\"message\":\"y\",\"handled\":true}"},
        {"a", 3, PERI_RUN_READY, NULL},
    };
    for (size_t i = 0; i < 5; i++) {
        struct peri_run_row row = base_row();
        row.rule = rows[i].rule;
        row.event = rows[i].event;
        row.state = rows[i].state;
        row.error = rows[i].error;
        insert_run(f, row);
    }
    assert_runs(f, &(struct peri_run_filter){0}, "run-5 run-4 run-3 run-2 run-1");
    assert_runs(f, &(struct peri_run_filter){.limit = 2, .before = 4}, "run-3 run-2");
    assert_runs(f, &(struct peri_run_filter){.rule = "a"}, "run-5 run-3 run-1");
    assert_runs(f, &(struct peri_run_filter){.event = 2}, "run-4 run-3");
    assert_runs(f, &(struct peri_run_filter){.event = 2, .rule = "b"}, "run-4");
    assert_runs(f, &(struct peri_run_filter){.state = "live"}, "run-5 run-3");
    assert_runs(f, &(struct peri_run_filter){.state = "live", .event = 3}, "run-5");
    assert_runs(f, &(struct peri_run_filter){.state = "sleeping"}, "run-3");
    assert_runs(f, &(struct peri_run_filter){.state = "failed"}, "run-4 run-2");
    assert_runs(f, &(struct peri_run_filter){.state = "dead"}, "run-2");
    assert_runs(f, &(struct peri_run_filter){.state = "dead", .rule = "a"}, "");
    assert_runs(f, &(struct peri_run_filter){.state = "succeeded", .rule = "a"}, "run-1");
    struct peri_value *list;
    struct peri_run_filter wrong = {.state = "running away"};
    assert_int_equal(peri_reader_runs(f->reader, &wrong, &list, &f->err), PERI_EINVAL);
    assert_non_null(strstr(f->err.message, "running away"));
}

static enum peri_status ruleset_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const char *const *pair = arg;
    return peri_tx_ruleset_put(tx, pair[0], pair[1], NULL, err);
}

static void test_rule_texts(void **state)
{
    struct fixture *f = *state;
    const char *pair[] = {"h1", "name: A"};
    char *text = NULL;
    ok(f, peri_store_run(f->store, ruleset_fn, pair, &f->err));
    ok(f, peri_store_run(f->store, ruleset_fn, pair, &f->err));
    ok(f, peri_reader_ruleset(f->reader, "h1", &text, &f->err));
    assert_string_equal(text, "name: A");
    free(text);
    assert_int_equal(peri_reader_ruleset(f->reader, "h2", &text, &f->err), PERI_ENOTFOUND);
}

struct many {
    const char *rule, *hash;
    int count;
};

static enum peri_status many_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct many *m = arg;
    struct peri_run_row row = base_row();
    enum peri_status st = PERI_OK;
    row.rule = m->rule;
    row.rhash = m->hash;
    row.state = PERI_RUN_SUCCEEDED;
    for (int i = 0; !st && i < m->count; i++) {
        uint64_t id;
        st = peri_tx_ruleset_put(tx, m->hash, m->hash, m->rule, err);
        row.event = tx->next_run + 1000;
        if (!st)
            st = peri_tx_run_insert(tx, &row, &id, err);
    }
    return st;
}

static enum peri_status sql_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_db_exec(tx->db, arg, err);
}

static bool has_text(struct fixture *f, const char *hash)
{
    char *text = NULL;
    enum peri_status st = peri_reader_ruleset(f->reader, hash, &text, &f->err);
    free(text);
    return st == PERI_OK;
}

/* A text stays as long as any run has it, however long ago it was given out; those of none go with the next start. */
static void test_texts_go_with_the_last_run(void **state)
{
    struct fixture *f = *state;
    struct many makes[] = {{"r", "h1", 10}, {"q", "g", 9000}, {"r", "h1", 1}, {"r", "h2", 5000}};
    for (size_t i = 0; i < sizeof(makes) / sizeof(makes[0]); i++)
        ok(f, peri_store_run(f->store, many_fn, &makes[i], &f->err));
    static const struct {
        const char *sql;
        bool h1, h2, g;
    } steps[] = {{"DELETE FROM runs WHERE id<=10", true, true, true}, /* h1: there is 9011 */
        {"DELETE FROM runs WHERE rule='q' AND id<9000", true, true, true},
        {"DELETE FROM runs WHERE id=9011", false, true, true},
        {"DELETE FROM runs WHERE rule='q' OR (rule='r' AND id<14011)", false, true, false},
        {"DELETE FROM runs", false, false, false}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        ok(f, peri_store_run(f->store, sql_fn, (void *)(uintptr_t)steps[i].sql, &f->err));
        fixture_close(f);
        fixture_open(f);
        assert_int_equal(has_text(f, "h1"), steps[i].h1);
        assert_int_equal(has_text(f, "h2"), steps[i].h2);
        assert_int_equal(has_text(f, "g"), steps[i].g);
    }
}

static enum peri_status schedule_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_schedule_put(tx, arg, err);
}

static enum peri_status see_schedule(void *arg, const struct peri_schedule_row *row)
{
    char *to = arg;
    snprintf(
        to + strlen(to), 200 - strlen(to), "%s|%s|%d|%d;", row->id, row->spec, (int)row->anchor_ms, (int)row->last_ms);
    return PERI_OK;
}

static void test_schedules(void **state)
{
    struct fixture *f = *state;
    struct peri_schedule_row a = {"r/t1", "every 5m", 10, 0}, b = {"q/t1", "@daily", 1, 2};
    char seen[200] = "";
    ok(f, peri_store_run(f->store, schedule_fn, &a, &f->err));
    ok(f, peri_store_run(f->store, schedule_fn, &b, &f->err));
    a.last_ms = 20;
    ok(f, peri_store_run(f->store, schedule_fn, &a, &f->err));
    ok(f, peri_reader_schedules(f->reader, see_schedule, seen, &f->err));
    assert_string_equal(seen, "q/t1|@daily|1|2;r/t1|every 5m|10|20;");
}

static void test_state_names(void **state)
{
    enum peri_run_state s;
    for (int i = 0; i <= 13; i++) {
        if (i > 6 && i < 10)
            continue;
        assert_true(peri_run_state_parse(peri_run_state_name((enum peri_run_state)i), &s));
        assert_int_equal(s, i);
    }
    assert_false(peri_run_state_parse("nope", &s));
    assert_string_equal(peri_attempt_state_name(PERI_ATTEMPT_CANCELLED), "cancelled");
}

#define M(name) cmocka_unit_test_setup_teardown(name, fixture_setup_memory, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        M(test_one_run_for_event_rule_and_trigger),
        M(test_update_needs_the_expected_state),
        M(test_variables_are_bounded),
        cmocka_unit_test_setup_teardown(test_live_runs_by_id, fixture_setup, fixture_teardown),
        M(test_one_attempt),
        M(test_branches_are_kept_until_the_run_ends),
        M(test_public_form),
        M(test_filters),
        M(test_rule_texts),
        cmocka_unit_test_setup_teardown(test_texts_go_with_the_last_run, fixture_setup, fixture_teardown),
        M(test_schedules),
        cmocka_unit_test(test_state_names),
    };
    return cmocka_run_group_tests_name("store_runs", tests, NULL, NULL);
}
