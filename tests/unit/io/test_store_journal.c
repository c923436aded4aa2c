/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include "io/store_db.h"

/* Many events at once are stored as if each had come alone. */

#define IDS 150
#define SOURCES 2

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

struct wanted {
    uint64_t seq;
    bool duplicate;
};

static void check_rows(struct fixture *f, const char *sql, int64_t wanted)
{
    int64_t n = -1;
    ok(f, peri_db_int(peri_store_db(f->store), sql, -1, &n, &f->err));
    if (n != wanted)
        fail_msg("%s: %lld, not %lld", sql, (long long)n, (long long)wanted);
}

/* A batch that says the same things again and again, and now and then nothing by which an event is recognised. */
static void test_batches_are_stored_as_their_events_one_by_one(void **state)
{
    struct fixture *f = *state;
    uint64_t first[SOURCES][IDS] = {{0}}, seq = 0;
    uint32_t seed = 20;
    int64_t stored = 0, paired = 0;
    for (int round = 0; round < 120; round++) {
        struct peri_batch *batch = peri_batch_create();
        struct wanted wanted[80];
        size_t count = next_random(&seed) % 80;
        /* Late rounds hardly know anything that is new: both ends of the paths are walked. */
        uint32_t ids = round % 3 == 0 ? IDS : 40;
        for (size_t i = 0; i < count; i++) {
            char id[16], source[16];
            uint32_t s = next_random(&seed) % SOURCES, n = next_random(&seed) % ids;
            bool nameless = next_random(&seed) % (round % 2 ? 40 : 400) == 0;
            snprintf(id, sizeof(id), "id-%u", n);
            snprintf(source, sizeof(source), "source-%u", s);
            struct peri_event *e = make_event("a", nameless ? NULL : id, "{}");
            free(e->source);
            e->source = peri_strdup(source);
            e->unheard = n % 2 == 0;
            if (n % 7 == 0) {
                e->extensions = peri_value_map();
                assert_int_equal(peri_map_put_int(e->extensions, "n", n), PERI_OK);
            }
            assert_int_equal(peri_batch_event(batch, e), PERI_OK);
            wanted[i].duplicate = !nameless && first[s][n] != 0;
            wanted[i].seq = wanted[i].duplicate ? first[s][n] : ++seq;
            if (!nameless)
                first[s][n] = wanted[i].seq;
            stored += !wanted[i].duplicate;
            paired += !wanted[i].duplicate && !nameless;
        }
        ok(f, peri_store_run(f->store, batch_fn, batch, &f->err));
        for (size_t i = 0; i < count; i++) {
            const struct peri_event *e = peri_batch_event_at(batch, i);
            if (e->seq != wanted[i].seq || e->duplicate != wanted[i].duplicate)
                fail_msg("round %d, event %zu of %zu: ev-%llu%s, wanted ev-%llu", round, i, count,
                    (unsigned long long)e->seq, e->duplicate ? " again" : "", (unsigned long long)wanted[i].seq);
        }
        peri_batch_destroy(batch);
    }
    check_rows(f, "SELECT count(*) FROM events", stored);
    check_rows(f, "SELECT max(seq) FROM events", (int64_t)seq);
    check_rows(f, "SELECT count(*) FROM dedupe", paired);
    check_rows(f,
        "SELECT count(*) FROM events e JOIN dedupe d ON d.k=dedupe_key(e.src,e.xid) AND d.seq=e.seq WHERE xid NOT NULL",
        paired);
}

/* 100 events whose members all say the same number; of plain ones the rest is as it comes from outside. */
static void check_large_batch(struct fixture *f, int from, bool plain)
{
    struct peri_batch *batch = peri_batch_create();
    for (int i = from; i < from + 100; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%d", i);
        struct peri_event *e = make_event(text, text, text);
        e->time_ms = e->received_ms = i;
        if (!plain) {
            e->hops = i;
            e->replay_of = (uint64_t)i;
            e->subject = peri_strdup(text);
            e->cause = peri_strdup(text);
            e->target_rule = peri_strdup(text);
            e->target_trigger = peri_strdup(text);
        }
        assert_int_equal(peri_batch_event(batch, e), PERI_OK);
    }
    ok(f, peri_store_run(f->store, batch_fn, batch, &f->err));
    peri_batch_destroy(batch);
    check_rows(f,
        plain ? "SELECT count(*) FROM events WHERE seq=type AND seq=xid AND seq=CAST(body AS INTEGER) AND "
                "seq=occurred AND seq=received AND coalesce(subject,cause,target_rule,target_trigger,ext) IS NULL AND "
                "hops=0 AND replay_of=0 AND src='test' AND state=0"
              : "SELECT count(*) FROM events WHERE seq=type AND seq=xid AND seq=CAST(body AS INTEGER) AND "
                "seq=occurred AND seq=received AND seq=hops AND seq=replay_of AND seq=subject AND seq=cause AND "
                "seq=target_rule AND seq=target_trigger AND src='test' AND ext IS NULL AND state=0",
        100);
    for (int i = from; i < from + 100; i++) { /* and its checksum */
        struct peri_event *e = NULL;
        ok(f, peri_reader_event(f->reader, (uint64_t)i, &e, &f->err));
        peri_event_unref(e);
    }
}

static void test_each_row_of_a_large_batch_holds_its_own_event(void **state)
{
    struct fixture *f = *state;
    check_large_batch(f, 1, true);
    check_large_batch(f, 101, false);
}

static void test_an_incomplete_event_takes_its_batch_with_it(void **state)
{
    struct fixture *f = *state;
    for (int at = 0; at < 40; at += 13) {
        struct peri_batch *batch = peri_batch_create();
        for (int i = 0; i < 40; i++) {
            char id[16];
            snprintf(id, sizeof(id), "%d", i);
            struct peri_event *e = make_event("a", id, "{}");
            if (i == at)
                e->type[0] = 0;
            assert_int_equal(peri_batch_event(batch, e), PERI_OK);
        }
        assert_int_equal(peri_store_run(f->store, batch_fn, batch, &f->err), PERI_EINVAL);
        peri_batch_destroy(batch);
        check_rows(f, "SELECT (SELECT count(*) FROM events)+(SELECT count(*) FROM dedupe)", 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_batches_are_stored_as_their_events_one_by_one, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_each_row_of_a_large_batch_holds_its_own_event, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_an_incomplete_event_takes_its_batch_with_it, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
