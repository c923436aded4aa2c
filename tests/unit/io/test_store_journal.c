/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include "io/store_db.h"

/* Many events at once are stored as if each had come alone. */

#define IDS 4000
#define SOURCES 2
#define EVENTS_MAX 100
#define DAY INT64_C(86400000)

/* What the store should know: the event of each pair, 0 when it is not recognised. */
struct model {
    struct fixture *f;
    uint32_t seed;
    uint64_t first[SOURCES][IDS];
    uint64_t seq;
    uint32_t counted[SOURCES]; /* how far the senders have counted */
    int64_t passed_ms;
};

/* What one batch should become. */
struct wanted {
    uint64_t seq;
    bool duplicate;
};

static uint32_t any(struct model *m, uint32_t below)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return (m->seed >> 8) % below;
}

static void check_rows(struct fixture *f, const char *sql, int64_t wanted)
{
    int64_t n = -1;
    ok(f, peri_db_int(peri_store_db(f->store), sql, -1, &n, &f->err));
    if (n != wanted)
        fail_msg("%s: %lld, not %lld", sql, (long long)n, (long long)wanted);
}

/* id IDS: none. Ids ascend as texts, and every second one lies between two that senders count. */
static struct peri_event *make(struct model *m, uint32_t source, uint32_t id)
{
    char text[24], name[16];
    /* One sender's numbers have as many digits as they need, those of the other always four. */
    if (source == 0)
        snprintf(text, sizeof(text), id % 2 ? "n%u-x" : "n%u", id / 2);
    else
        snprintf(text, sizeof(text), id % 2 ? "%04ux" : "%04u", id / 2);
    snprintf(name, sizeof(name), "source-%u", source);
    struct peri_event *e = make_event("a", id == IDS ? NULL : text, "{}");
    free(e->source);
    e->source = peri_strdup(name);
    e->received_ms = T0 + m->passed_ms + (any(m, 8) ? 0 : DAY); /* so that a part of a batch is forgotten first */
    e->unheard = id % 7 != 3; /* the others wait to be matched: retention leaves them */
    if (id % 11 == 5) {
        e->extensions = peri_value_map();
        assert_int_equal(peri_map_put_int(e->extensions, "n", id), PERI_OK);
    }
    return e;
}

static void add(struct model *m, struct peri_batch *batch, struct wanted *wanted, uint32_t source, uint32_t id)
{
    assert_int_equal(peri_batch_event(batch, make(m, source, id)), PERI_OK);
    wanted->duplicate = id < IDS && m->first[source][id] != 0;
    wanted->seq = wanted->duplicate ? m->first[source][id] : ++m->seq;
    if (id < IDS)
        m->first[source][id] = wanted->seq;
}

static void store(struct model *m, struct peri_batch *batch, const struct wanted *wanted, const char *what)
{
    ok(m->f, peri_store_run(m->f->store, batch_fn, batch, &m->f->err));
    for (size_t i = 0; i < peri_batch_events(batch); i++) {
        const struct peri_event *e = peri_batch_event_at(batch, i);
        if (e->seq != wanted[i].seq || e->duplicate != wanted[i].duplicate)
            fail_msg("%s, event %zu (%s): ev-%llu%s, wanted ev-%llu%s", what, i, e->external_id,
                (unsigned long long)e->seq, e->duplicate ? " again" : "", (unsigned long long)wanted[i].seq,
                wanted[i].duplicate ? " again" : "");
    }
    peri_batch_destroy(batch);
    check_rows(m->f, "SELECT count(*) FROM dedupe a JOIN dedupe b ON b.k>a.k AND b.k<=a.last", 0);
}

/* Senders that count, with a few events between that are known, come twice, have no id, or were left out before. */
static void counted_batch(struct model *m)
{
    struct peri_batch *batch = peri_batch_create();
    struct wanted wanted[EVENTS_MAX];
    uint32_t source = any(m, SOURCES), count = 1 + any(m, EVENTS_MAX - 1), odd = any(m, 3) ? 400 : 12;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = m->counted[source];
        if (any(m, odd) == 0)
            id = any(m, 6) ? any(m, m->counted[source] + 8) : IDS;
        else if (m->counted[source] < IDS - 20)
            m->counted[source] += any(m, 20) ? 2 : 6;
        add(m, batch, &wanted[i], source, id);
    }
    store(m, batch, wanted, "counted");
}

/* A part of what was there, once more and in its order. */
static void repeated_batch(struct model *m)
{
    struct peri_batch *batch = peri_batch_create();
    struct wanted wanted[EVENTS_MAX];
    uint32_t source = any(m, SOURCES), id = any(m, m->counted[source] + 1), step = 1 + any(m, 2);
    for (uint32_t i = 0; i < EVENTS_MAX && id < IDS; i++, id += step)
        add(m, batch, &wanted[i], source, id);
    store(m, batch, wanted, "repeated");
}

static void random_batch(struct model *m)
{
    struct peri_batch *batch = peri_batch_create();
    struct wanted wanted[EVENTS_MAX];
    uint32_t count = any(m, EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        add(m, batch, &wanted[i], any(m, SOURCES), any(m, IDS));
    store(m, batch, wanted, "random");
}

static enum peri_status prune_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    bool more = true;
    enum peri_status st = PERI_OK;
    while (!st && more)
        st = peri_tx_prune(tx, arg, &more, NULL, err);
    return st;
}

static void pass(struct model *m, int64_t ms)
{
    peri_clock_fake_advance(&m->f->fake, ms);
    m->passed_ms += ms;
}

/* Events go, or are only not recognised any more. */
static void prune(struct model *m)
{
    int64_t mark = 0;
    struct peri_retention r = {.events_ms = 400 * DAY, .runs_ms = DAY, .max_events = 150 + any(m, 600)};
    if (any(m, 3) == 0)
        pass(m, 4 * DAY);
    ok(m->f, peri_store_run(m->f->store, prune_fn, &r, &m->f->err));
    ok(m->f, peri_db_meta_int(peri_store_db(m->f->store), "dedupe_mark", 0, &mark, &m->f->err));
    for (uint32_t s = 0; s < SOURCES; s++)
        for (uint32_t id = 0; id < IDS; id++) {
            char sql[80];
            int64_t there = 0;
            if (!m->first[s][id])
                continue;
            snprintf(sql, sizeof(sql), "SELECT 1 FROM events WHERE seq=%llu", (unsigned long long)m->first[s][id]);
            ok(m->f, peri_db_int(peri_store_db(m->f->store), sql, 0, &there, &m->f->err));
            if (!there || m->first[s][id] <= (uint64_t)mark)
                m->first[s][id] = 0;
        }
}

static void test_repeated_events_are_recognised_however_they_come(void **state)
{
    static void (*const turns[])(struct model * m) = {
        counted_batch, counted_batch, counted_batch, repeated_batch, repeated_batch, random_batch, prune};
    for (uint32_t seed = 1; seed <= 4; seed++) {
        struct fixture *f = *state;
        struct model *m = calloc(1, sizeof(*m));
        m->f = f;
        m->seed = seed;
        for (int i = 0; i < 60; i++)
            turns[any(m, (uint32_t)(sizeof(turns) / sizeof(turns[0])))](m);
        /* Without reading on, the same is known. */
        fixture_close(m->f);
        fixture_open(m->f); /* its clock begins anew */
        peri_clock_fake_advance(&f->fake, m->passed_ms);
        repeated_batch(m);
        /* In the end everything is forgotten, and no row is left behind. */
        pass(m, 9 * DAY);
        prune(m);
        check_rows(m->f, "SELECT count(*) FROM dedupe", 0);
        free(m);
        fixture_close(f);
        fixture_remove(f);
        fixture_dir(f);
        fixture_open(f);
    }
}

/* A batch of a sender that counts is one row. */
static void test_a_batch_that_counts_takes_one_row(void **state)
{
    struct model m = {.f = *state};
    struct wanted wanted[EVENTS_MAX];
    struct peri_batch *batch = peri_batch_create();
    for (uint32_t i = 0; i < EVENTS_MAX; i++)
        add(&m, batch, &wanted[i], 0, i * 2);
    store(&m, batch, wanted, "counted");
    check_rows(m.f, "SELECT count(*) FROM dedupe", 1);
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
            test_repeated_events_are_recognised_however_they_come, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_batch_that_counts_takes_one_row, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_each_row_of_a_large_batch_holds_its_own_event, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_an_incomplete_event_takes_its_batch_with_it, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
