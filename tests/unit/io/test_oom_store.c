/* SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"

#include "io/store_fixture.h"

/* Everything that the store does, with each allocation refused once (PERIGEE_TEST_ALL=1; a spread of them without): an
 * error that says so, and what was committed is
 * there afterwards. */

static struct peri_event *make(void)
{
    struct peri_event *e = peri_event_create();
    if (!e)
        return NULL;
    e->source = peri_strdup("door");
    e->type = peri_strdup("t.T");
    e->external_id = peri_strdup("");
    e->data = peri_strdup("{}");
    e->data_len = 2;
    if (e->source && e->type && e->external_id && e->data) {
        free(e->external_id);
        e->external_id = NULL;
        return e;
    }
    peri_event_unref(e);
    return NULL;
}

static enum peri_status work(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct peri_event *e = make();
    struct peri_value *entity = peri_value_map();
    uint64_t id = 0;
    enum peri_status st = e && entity && peri_map_put_text(entity, "name", "Ada") == PERI_OK ? PERI_OK : peri_error_nomem(err);
    if (!st)
        st = peri_tx_event_insert(tx, e, err);
    if (!st)
        st = peri_tx_entity_put(tx, "contact", entity, NULL, NULL, err);
    struct peri_run_row row = {.rule = "r", .rhash = "h", .event = e ? e->seq : 0, .trigger = "t1", .state = PERI_RUN_READY,
        .pos = "{}", .vars = "{}", .kprefix = "k"};
    if (!st)
        st = peri_tx_run_insert(tx, &row, &id, err);
    struct peri_step_row step = {.run = id, .n = 1, .attempt = 1, .path = "actions[0]", .op = "x", .state = PERI_ATTEMPT_DONE};
    if (!st)
        st = peri_tx_step_put(tx, &step, err);
    if (!st)
        st = peri_tx_event_done(tx, e->seq, PERI_EVENT_MATCHED, "[]", err);
    if (!st)
        st = peri_tx_audit(tx, "a", "b", "c", NULL, err);
    if (!st)
        *(uint64_t *)arg = e->seq;
    peri_event_unref(e);
    peri_value_unref(entity);
    return st;
}

static void finish(struct peri_reader *reader, struct peri_store *store)
{
    peri_reader_close(reader);
    peri_store_close(store);
}

/* False: nothing was refused any more. */
static bool one_round(struct fixture *f, long n, uint64_t *stored)
{
    struct peri_store *store = NULL;
    struct peri_reader *reader = NULL;
    struct peri_value *value = NULL;
    struct peri_store_options options = fixture_options(f);
    uint64_t seq = 0;
    options.high = true;
    oom_at(n);
    enum peri_status st = peri_store_open(&options, &store, &f->err);
    if (!st)
        st = peri_store_reader(store, &reader, &f->err);
    if (!st)
        st = peri_store_run(store, work, &seq, &f->err);
    bool committed = st == PERI_OK;
    if (!st)
        st = peri_reader_events(reader, &(struct peri_event_filter){.limit = 5}, &value, &f->err);
    peri_value_unref(value);
    bool hit = oom_over();
    if (st != PERI_OK && !hit)
        fail_msg("allocation %ld: %s: %s", n, peri_status_name(st), f->err.message);
    finish(reader, store);
    *stored += committed;
    return hit;
}

static void test_each_allocation_fails_once(void **state)
{
    struct fixture *f = *state;
    uint64_t stored = 0;
    const char *all = getenv("PERIGEE_TEST_ALL");
    long n = 1, step = all && *all ? 1 : 41;
    fixture_close(f);
    while (one_round(f, n, &stored)) /* most of them are SQLite's */
        n += n < 60 ? 1 : step;
    assert_true(n > 30);
    print_message("%ld allocations, stored %llu times\n", n, (unsigned long long)stored);
    fixture_open(f);
    struct peri_value *list = NULL;
    ok(f, peri_reader_events(f->reader, &(struct peri_event_filter){.limit = 1000}, &list, &f->err));
    assert_true(peri_value_count(list) >= (stored < 1000 ? stored : 1000)); /* nothing that was reported as stored is gone */
    peri_value_unref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_allocation_fails_once, fixture_setup, fixture_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
