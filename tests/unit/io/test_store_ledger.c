/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include "io/store_db.h"
#include "io/store_ledger.h"

/* Dead letters and errors: bounds, settling, retention. */

static enum peri_status put_many(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (int i = 0; !st && i < *(int *)arg; i++)
        st = peri_tx_dead_put(
            tx, &(struct peri_dead){.kind = "rule", .rule = "r", .code = "c", .reason = "because", .event = 1}, err);
    return st;
}

static enum peri_status settle_two(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = peri_tx_dead_resolve(tx, 1, "seen", err);
    return st ? st : peri_tx_dead_resolve(tx, 2, "seen", err);
}

static enum peri_status settle_again(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_dead_resolve(tx, 1, "seen", err);
}

static void counts(struct fixture *f, int64_t want_open, int64_t want_lost)
{
    int64_t open = 0, lost = 0;
    ok(f, peri_reader_dead_count(f->reader, &open, &lost, &f->err));
    assert_int_equal(open, want_open);
    assert_int_equal(lost, want_lost);
}

/* As many as there may be, in one statement. */
static enum peri_status put_bound(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_db_exec(tx->db,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100000)"
        " INSERT INTO dead(ts,kind,reason,resolved) SELECT 1,'rule','because',0 FROM n",
        err);
}

static void test_letters_above_the_bound_are_counted_until_some_are_settled(void **state)
{
    struct fixture *f = *state;
    int n = 3, one = 1;
    ok(f, peri_store_run(f->store, put_bound, NULL, &f->err));
    ok(f, peri_store_run(f->store, put_many, &n, &f->err));
    counts(f, PERI_DEAD_MAX, 3);
    ok(f, peri_store_run(f->store, settle_two, NULL, &f->err));
    counts(f, PERI_DEAD_MAX - 2, 3);
    assert_int_equal(peri_store_run(f->store, settle_again, NULL, &f->err), PERI_ESTATE);
    ok(f, peri_store_run(f->store, put_many, &one, &f->err));
    counts(f, PERI_DEAD_MAX - 1, 3);
}

static enum peri_status prune(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    bool more = false;
    struct peri_retention r = {.events_ms = 1000, .runs_ms = 1000};
    return peri_tx_prune(tx, &r, &more, NULL, err);
}

static enum peri_status end_events(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = peri_tx_event_done(tx, 1, PERI_EVENT_MATCHED, NULL, err);
    return st ? st : peri_tx_event_done(tx, 2, PERI_EVENT_MATCHED, NULL, err);
}

static int64_t number(struct fixture *f, const char *sql)
{
    int64_t n = -1;
    ok(f, peri_db_int(&f->reader->db, sql, -1, &n, &f->err));
    return n;
}

static void test_events_of_open_letters_outlive_the_retention(void **state)
{
    struct fixture *f = *state;
    int one = 1;
    assert_int_equal(insert_event(f, "a.B", NULL, "{}"), 1);
    assert_int_equal(insert_event(f, "a.B", NULL, "{}"), 2);
    ok(f, peri_store_run(f->store, end_events, NULL, &f->err));
    ok(f, peri_store_run(f->store, put_many, &one, &f->err));
    peri_clock_fake_advance(&f->fake, 3600 * 1000);
    ok(f, peri_store_run(f->store, prune, NULL, &f->err));
    assert_int_equal(number(f, "SELECT group_concat(seq) FROM events"), 1);
    ok(f, peri_store_run(f->store, settle_again, NULL, &f->err));
    ok(f, peri_store_run(f->store, prune, NULL, &f->err));
    assert_int_equal(number(f, "SELECT count(*) FROM events"), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 1);
    peri_clock_fake_advance(&f->fake, INT64_C(31) * 86400000);
    ok(f, peri_store_run(f->store, prune, NULL, &f->err));
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
}

static enum peri_status fail_many(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = peri_db_exec(tx->db,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50000) INSERT INTO"
        " errors(ts,kind,op,code,message,run,event,n,attempt,resolved) SELECT 1,'action','x','y','z',0,0,0,0,0 FROM n",
        err);
    char code[32];
    for (int i = 0; !st && i < PERI_ERRORS_HOUR_MAX + 10; i++) {
        snprintf(code, sizeof(code), "c%d", i);
        st = peri_tx_failure_put(
            tx, &(struct peri_failure){.kind = "action", .op = "x.y", .code = code, .message = "no"}, err);
    }
    return st;
}

static void test_errors_are_bounded_but_all_are_counted(void **state)
{
    struct fixture *f = *state;
    ok(f, peri_store_run(f->store, fail_many, NULL, &f->err));
    assert_int_equal(number(f, "SELECT count(*) FROM errors"), PERI_ERRORS_MAX);
    assert_int_equal(number(f, "SELECT min(id) FROM errors"), PERI_ERRORS_HOUR_MAX + 11);
    assert_int_equal(number(f, "SELECT sum(n) FROM errors_hour"), PERI_ERRORS_HOUR_MAX + 10);
    assert_int_equal(number(f, "SELECT count(*) FROM errors_hour"), PERI_ERRORS_HOUR_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_letters_above_the_bound_are_counted_until_some_are_settled, fixture_setup_memory, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_events_of_open_letters_outlive_the_retention, fixture_setup_memory, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_errors_are_bounded_but_all_are_counted, fixture_setup_memory, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
