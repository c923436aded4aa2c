/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include "io/store_db.h"
#include "io/store_flow.h"

static struct peri_event *event(const char *source, const char *id)
{
    struct peri_event *e = peri_event_create();
    e->source = peri_strdup(source);
    e->type = peri_strdup("t.T");
    e->external_id = peri_strdup(id);
    e->data = peri_strdup("{}");
    e->data_len = 2;
    return e;
}

struct step {
    const char *source, *id;
    uint64_t end;
    enum peri_event_state state;
    bool fail;
};

static enum peri_status step_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct step *s = arg;
    enum peri_status st = PERI_OK;
    if (s->source) {
        struct peri_event *e = event(s->source, s->id);
        st = peri_tx_event_insert(tx, e, err);
        peri_event_unref(e);
    }
    if (!st && s->end)
        st = peri_tx_event_done(tx, s->end, s->state, NULL, err);
    return st ? st : s->fail ? peri_error_set(err, PERI_EINVAL, NULL, "taken back") : PERI_OK;
}

static void insert(struct fixture *f, const char *source, const char *id)
{
    ok(f, peri_store_run(f->store, step_fn, &(struct step){.source = source, .id = id}, &f->err));
}

static void end(struct fixture *f, uint64_t seq, enum peri_event_state state)
{
    ok(f, peri_store_run(f->store, step_fn, &(struct step){.end = seq, .state = state}, &f->err));
}

struct wanted {
    const char *source;
    struct peri_flow_row row;
};

static void take(void *arg, const struct peri_flow_row *row)
{
    struct wanted *w = arg;
    assert_true(peri_flow_balanced(row));
    if (peri_streq(row->source, w->source))
        w->row = *row;
}

static struct peri_flow_row memory(struct fixture *f, const char *source)
{
    struct wanted w = {.source = source};
    peri_store_flow(f->store, take, &w);
    return w.row;
}

static int64_t stored(struct fixture *f, const char *source, const char *what)
{
    struct peri_value *rows = NULL;
    int64_t n = -1;
    ok(f, peri_reader_flow(f->reader, &rows, &f->err));
    for (size_t i = 0; i < peri_value_count(rows); i++) {
        const struct peri_value *row = peri_list_at(rows, i);
        assert_true(peri_map_bool(row, "balanced", false));
        if (peri_streq(peri_map_text(row, "source"), source))
            n = peri_map_int(row, what, -1);
    }
    peri_value_unref(rows);
    return n;
}

static void test_each_fate_is_counted_where_it_happens(void **state)
{
    struct fixture *f = *state;
    insert(f, "door", "1");
    insert(f, "door", "2");
    insert(f, "door", "2");
    insert(f, "door", "3");
    end(f, 1, PERI_EVENT_MATCHED);
    end(f, 2, PERI_EVENT_DEAD);
    peri_store_flow_refused(f->store, "door", PERI_FLOW_REJECTED, 2);
    peri_store_flow_refused(f->store, "door", PERI_FLOW_SHED, 5);
    struct peri_flow_row row = memory(f, "door");
    assert_int_equal(row.received, 11);
    assert_int_equal(row.matched, 1);
    assert_int_equal(row.unmatched, 1);
    assert_int_equal(row.duplicate, 1);
    assert_int_equal(row.rejected, 2);
    assert_int_equal(row.shed, 5);
    assert_int_equal(row.dead, 1);
    peri_store_upkeep(f->store);
    assert_int_equal(stored(f, "door", "received"), 11);
    assert_int_equal(stored(f, "door", "unmatched"), 1);
    assert_int_equal(stored(f, "door", "shed"), 5);
}

static void test_what_is_rolled_back_is_not_counted(void **state)
{
    struct fixture *f = *state;
    insert(f, "door", "1");
    struct step bad = {.source = "door", .id = "2", .end = 1, .state = PERI_EVENT_MATCHED, .fail = true};
    assert_int_equal(peri_store_run(f->store, step_fn, &bad, &f->err), PERI_EINVAL);
    assert_int_equal(memory(f, "door").received, 1);
    assert_int_equal(memory(f, "door").unmatched, 1);
    struct step twice = {.end = 1, .state = PERI_EVENT_MATCHED};
    ok(f, peri_store_run(f->store, step_fn, &twice, &f->err));
    assert_int_equal(peri_store_run(f->store, step_fn, &twice, &f->err), PERI_ESTATE);
    assert_int_equal(memory(f, "door").matched, 1);
    assert_int_equal(stored(f, "door", "matched"), 1);
}

static void test_counts_outlive_a_restart_and_pruning(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++)
        insert(f, "door", NULL);
    for (uint64_t seq = 1; seq <= 3; seq++)
        end(f, seq, PERI_EVENT_MATCHED);
    peri_store_flow_refused(f->store, "door", PERI_FLOW_SHED, 7);
    fixture_close(f);
    fixture_open(f);
    struct peri_flow_row row = memory(f, "door");
    assert_int_equal(row.received, 12);
    assert_int_equal(row.matched, 3);
    assert_int_equal(row.unmatched, 2);
    assert_int_equal(row.shed, 7);
    end(f, 4, PERI_EVENT_DEAD);
    assert_int_equal(stored(f, "door", "dead"), 1);
}

static void test_sources_are_bounded_and_keep_their_place(void **state)
{
    struct fixture *f = *state;
    char name[300];
    for (int i = 0; i < PERI_FLOW_SOURCES + 20; i++) {
        snprintf(name, sizeof(name), "s-%d", i);
        insert(f, name, NULL);
    }
    assert_int_equal(memory(f, PERI_FLOW_OTHER).received, 20);
    fixture_close(f);
    fixture_open(f);
    end(f, PERI_FLOW_SOURCES + 1, PERI_EVENT_MATCHED);
    end(f, 1, PERI_EVENT_MATCHED);
    assert_int_equal(memory(f, PERI_FLOW_OTHER).matched, 1);
    assert_int_equal(memory(f, "s-0").matched, 1);
    assert_int_equal(stored(f, PERI_FLOW_OTHER, "unmatched"), 19);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    insert(f, name, NULL);
    assert_int_equal(memory(f, PERI_FLOW_OTHER).received, 21);
    insert(f, "perigee:rule/a", NULL);
    assert_int_equal(memory(f, PERI_FLOW_OTHER).received, 22);
}

static void test_the_events_of_rules_are_one_source(void **state)
{
    struct fixture *f = *state;
    insert(f, "perigee:rule/a", NULL);
    insert(f, "perigee:rule/b", NULL);
    assert_int_equal(memory(f, "perigee:rule").received, 2);
}

static enum peri_status forget(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_db_exec(tx->db, "DELETE FROM flow; DELETE FROM meta WHERE k='flow'", err);
}

static void test_an_older_database_is_counted_from_its_events(void **state)
{
    struct fixture *f = *state;
    insert(f, "door", NULL);
    insert(f, "door", NULL);
    insert(f, "perigee:rule/a", NULL);
    end(f, 1, PERI_EVENT_MATCHED);
    end(f, 3, PERI_EVENT_DEAD);
    ok(f, peri_store_run(f->store, forget, NULL, &f->err));
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(memory(f, "door").received, 2);
    assert_int_equal(memory(f, "door").matched, 1);
    assert_int_equal(memory(f, "door").unmatched, 1);
    assert_int_equal(memory(f, "perigee:rule").dead, 1);
}

static void test_an_event_that_is_gone_shows(void **state)
{
    struct fixture *f = *state;
    struct peri_value *rows = NULL;
    insert(f, "door", NULL);
    struct peri_db other;
    ok(f, peri_db_open(&other, f->path, PERI_DB_WRITE, &f->err));
    ok(f, peri_db_exec(&other, "DELETE FROM events", &f->err));
    peri_db_finish(&other);
    ok(f, peri_reader_flow(f->reader, &rows, &f->err));
    assert_int_equal(peri_value_count(rows), 1);
    assert_false(peri_map_bool(peri_list_at(rows, 0), "balanced", true));
    peri_value_unref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_fate_is_counted_where_it_happens, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_rolled_back_is_not_counted, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_counts_outlive_a_restart_and_pruning, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_sources_are_bounded_and_keep_their_place, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_the_events_of_rules_are_one_source, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_an_older_database_is_counted_from_its_events, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_an_event_that_is_gone_shows, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
