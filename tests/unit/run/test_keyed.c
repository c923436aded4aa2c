/* SPDX-License-Identifier: Apache-2.0 */
#include "run/streams.h"

#include <stdio.h>
#include <stdlib.h>

#include "run/keyed.h"
#include "run/lane.h"

/* What triggers that watch over time make of random streams, against slow oracles (streams.h). The transactions around
 * it are run over fewer streams by test_watch_streams. */

#define STREAMS 10000
#define END 2000

static void same(const struct firings *got, const struct firings *wanted, size_t stream)
{
    if (got->count == wanted->count && memcmp(got->at, wanted->at, wanted->count * sizeof(got->at[0])) == 0)
        return;
    for (size_t i = 0; i < got->count || i < wanted->count; i++)
        print_message("%zu: at %lld, wanted %lld\n", i, i < got->count ? (long long)got->at[i] : -1,
            i < wanted->count ? (long long)wanted->at[i] : -1);
    fail_msg("stream %zu: %zu firings, wanted %zu", stream, got->count, wanted->count);
}

/* --- a key's list --- */

struct list {
    struct peri_heard items[STREAM_EVENTS];
    size_t count;
};

static void add(struct list *l, const struct peri_heard *e)
{
    size_t at = l->count;
    for (; at > 0 && l->items[at - 1].ts > e->ts; at--)
        l->items[at] = l->items[at - 1];
    l->items[at] = *e;
    l->count++;
}

static void drop(struct list *l, size_t n)
{
    memmove(l->items, l->items + n, (l->count - n) * sizeof(l->items[0]));
    l->count -= n;
}

static struct peri_heard heard(const struct stream *s, size_t i)
{
    return (struct peri_heard){s->events[i].ts, i + 1, s->events[i].steps};
}

static void test_count(void **state)
{
    size_t fired = 0;
    for (size_t n = 0; n < STREAMS; n++) {
        struct stream s;
        struct firings wanted = {.count = 0}, got = {.count = 0};
        struct list l = {.count = 0};
        int64_t newest = INT64_MIN;
        struct peri_trigger t = {
            .kind = PERI_TRIGGER_COUNT, .at_least = 1 + stream_random(5), .within_ms = 1 + stream_random(20)};
        stream_make(&s, 2);
        oracle_count(&s, t.at_least, t.within_ms, &wanted);
        for (size_t i = 0; i < s.count; i++) {
            struct peri_heard e = heard(&s, i);
            struct peri_count_said said = peri_count_hear(l.items, l.count, &e, &t, &newest);
            if (said.fires)
                fires(&got, s.events[i].at);
            if (!said.late)
                add(&l, &e);
            while (l.count > 0 && l.items[0].ts <= newest - t.within_ms)
                drop(&l, 1);
            if (l.count > (size_t)t.at_least) /* no more than that has to be kept */
                drop(&l, l.count - (size_t)t.at_least);
        }
        same(&got, &wanted, n);
        fired += got.count;
    }
    assert_true(fired > STREAMS / 2);
}

static void hold_until(struct peri_keyed *row, int64_t now, int64_t last, struct firings *f)
{
    if (row->due == 0 || row->due > now)
        return;
    fires(f, row->due > last ? row->due : last);
    row->state = PERI_HOLD_TOLD;
    row->due = 0;
}

static void test_for(void **state)
{
    size_t fired = 0;
    for (size_t n = 0; n < STREAMS; n++) {
        struct stream s;
        struct firings wanted = {.count = 0}, got = {.count = 0};
        struct peri_keyed row = {.newest = INT64_MIN};
        int64_t length = 1 + stream_random(12), last = INT64_MIN;
        stream_make(&s, 2);
        oracle_for(&s, length, END, &wanted);
        for (size_t i = 0; i < s.count; i++) {
            struct peri_heard e = heard(&s, i);
            hold_until(&row, s.events[i].at, last, &got);
            (void)peri_hold_hear(&row, &e, s.events[i].matches, length);
            last = s.events[i].at;
        }
        hold_until(&row, END, last, &got);
        same(&got, &wanted, n);
        fired += got.count;
    }
    assert_true(fired > STREAMS / 2);
}

static void test_absence(void **state)
{
    size_t fired = 0;
    for (size_t n = 0; n < STREAMS; n++) {
        struct stream s;
        struct firings wanted = {.count = 0}, got = {.count = 0};
        struct peri_keyed row = {.newest = INT64_MIN};
        int64_t length = 1 + stream_random(8);
        stream_make(&s, 2);
        oracle_absence(&s, length, END, &wanted);
        for (size_t i = 0; i < s.count; i++) {
            hold_until(&row, s.events[i].at, INT64_MIN, &got);
            peri_absence_hear(&row, s.events[i].at, i + 1, length);
        }
        hold_until(&row, END, INT64_MIN, &got);
        same(&got, &wanted, n);
        fired += got.count;
    }
    assert_true(fired > STREAMS / 2);
}

/* --- sequence --- */

static void random_sequence(struct peri_trigger *t, struct peri_sequence_step *steps, struct oracle_steps *o)
{
    *o = (struct oracle_steps){.within = 3 + stream_random(12)};
    t->kind = PERI_TRIGGER_SEQUENCE;
    t->within_ms = o->within;
    t->steps = steps;
    t->step_count = 2 + stream_random(3);
    for (size_t i = 0; i < t->step_count; i++) {
        steps[i] = (struct peri_sequence_step){.negated = i > 0 && stream_random(3) == 0, .count = 1};
        if (steps[i].negated) {
            o->barred[o->units - 1] |= 1u << i;
            continue;
        }
        steps[i].count = stream_random(4) ? 1 : 2;
        for (int64_t k = 0; k < steps[i].count; k++)
            o->unit_step[o->units++] = i;
    }
}

struct sequence {
    struct list list;
    int64_t newest, used, due, last;
};

static void sequence_until(struct sequence *q, const struct peri_trigger *t, int64_t now, struct firings *f)
{
    for (;;) {
        struct peri_sequence_said said;
        peri_sequence_look(t, q->list.items, q->list.count, &said);
        q->due = said.due;
        if (!said.complete && (said.due == 0 || said.due > now))
            return;
        fires(f, said.due > q->last ? said.due : q->last);
        size_t last = said.events[said.of - 1];
        q->used = q->list.items[last].ts;
        drop(&q->list, last + 1);
    }
}

static void test_sequence(void **state)
{
    size_t fired = 0;
    for (size_t n = 0; n < STREAMS; n++) {
        struct stream s;
        struct oracle_steps o;
        struct peri_sequence_step steps[4];
        struct peri_trigger t = {.step_count = 0};
        struct firings wanted = {.count = 0}, got = {.count = 0};
        struct sequence q = {.newest = INT64_MIN / 2, .used = INT64_MIN};
        random_sequence(&t, steps, &o);
        stream_make(&s, (uint32_t)t.step_count);
        oracle_sequence(&s, &o, END, &wanted);
        for (size_t i = 0; i < s.count; i++) {
            struct peri_heard e = heard(&s, i);
            sequence_until(&q, &t, s.events[i].at, &got);
            q.last = s.events[i].at;
            if (e.ts < q.used || e.ts < q.newest - t.within_ms)
                continue;
            q.newest = e.ts > q.newest ? e.ts : q.newest;
            add(&q.list, &e);
            while (q.list.count > 0 && q.list.items[0].ts < q.newest - t.within_ms)
                drop(&q.list, 1);
            sequence_until(&q, &t, INT64_MIN, &got);
        }
        sequence_until(&q, &t, END, &got);
        same(&got, &wanted, n);
        fired += got.count;
    }
    assert_true(fired > STREAMS / 4);
}

/* The events that a verdict names are a chain: in order, each of its step, none barred between. */
static void test_the_events_of_a_sequence_are_a_chain(void **state)
{
    for (size_t n = 0; n < STREAMS; n++) {
        struct stream s;
        struct oracle_steps o;
        struct peri_sequence_step steps[4];
        struct peri_trigger t = {.step_count = 0};
        struct peri_sequence_said said;
        struct list l = {.count = 0};
        random_sequence(&t, steps, &o);
        stream_make(&s, (uint32_t)t.step_count);
        for (size_t i = 0; i < s.count; i++) {
            struct peri_heard e = heard(&s, i);
            add(&l, &e);
        }
        peri_sequence_look(&t, l.items, l.count, &said);
        assert_int_equal(said.of, o.units);
        for (size_t u = 0; u < said.reached; u++) {
            assert_int_equal(said.steps[u], o.unit_step[u]);
            assert_true(l.items[said.events[u]].steps >> o.unit_step[u] & 1);
            for (size_t i = u > 0 ? said.events[u - 1] + 1 : 0; u > 0 && i < said.events[u]; i++)
                assert_false(l.items[i].steps & o.barred[u - 1]);
        }
    }
}

/* --- modes: which runs of a lane are live, against a list of all of them --- */

struct model_run {
    bool live, queued;
    int64_t ends; /* when it is live */
};

struct lane_model {
    struct model_run runs[STREAM_EVENTS];
    size_t count, dropped, cancelled;
};

static size_t how_many(const struct lane_model *m, bool live)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++)
        n += live ? m->runs[i].live : m->runs[i].queued;
    return n;
}

static struct model_run *oldest(struct lane_model *m, bool live)
{
    for (size_t i = 0; i < m->count; i++)
        if (live ? m->runs[i].live : m->runs[i].queued)
            return &m->runs[i];
    return NULL;
}

/* As the words of docs/rules.md have it. */
static void model_hear(struct lane_model *m, const struct peri_flow *flow, int64_t ends)
{
    size_t live = how_many(m, true), queued = how_many(m, false);
    struct model_run fresh = {.live = true, .ends = ends}, waits = {.queued = true, .ends = ends};
    bool newest_goes = flow->exceeded == PERI_EXCEEDED_DROP_NEWEST,
         oldest_goes = flow->exceeded == PERI_EXCEEDED_DROP_OLDEST;
    bool full = flow->mode == PERI_MODE_QUEUED ? live + queued >= (size_t)flow->max
                                               : flow->max > 0 && live >= (size_t)flow->max;
    struct model_run *r;
    if (flow->mode == PERI_MODE_SINGLE && live + queued > 0) {
        m->dropped++;
        return;
    }
    while (flow->mode == PERI_MODE_RESTART && ((r = oldest(m, true)) || (r = oldest(m, false)))) {
        *r = (struct model_run){0};
        m->cancelled++;
    }
    bool counts = flow->mode == PERI_MODE_QUEUED || flow->mode == PERI_MODE_PARALLEL;
    if (counts && full && flow->mode == PERI_MODE_PARALLEL && oldest_goes) {
        *oldest(m, true) = (struct model_run){0};
        m->cancelled++;
    } else if (counts && full && oldest_goes && queued > 0) {
        *oldest(m, false) = (struct model_run){0};
        m->dropped++;
        fresh = waits;
    } else if (counts && full && flow->mode == PERI_MODE_PARALLEL && !newest_goes) {
        fresh = waits;
    } else if (counts && full) {
        m->dropped++;
        return;
    } else if (flow->mode == PERI_MODE_QUEUED && live + queued > 0) {
        fresh = waits;
    }
    m->runs[m->count++] = fresh;
}

/* Runs whose time has come end, and those that waited longest begin. */
static void model_until(struct lane_model *m, const struct peri_flow *flow, int64_t now)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->runs[i].live && m->runs[i].ends <= now)
            m->runs[i] = (struct model_run){0};
    int64_t room = peri_lane_room(flow);
    struct model_run *next;
    while ((room == 0 || how_many(m, true) < (size_t)room) && (next = oldest(m, false))) {
        next->queued = false;
        next->live = true;
        next->ends += now;
    }
}

/* The same with peri_lane_decide: facts are counted, decisions carried out. */
static void decide(struct lane_model *m, const struct peri_flow *flow, int64_t ends)
{
    struct peri_lane_facts facts = {.live = (int64_t)how_many(m, true), .queued = (int64_t)how_many(m, false)};
    struct peri_lane_decision d = peri_lane_decide(flow, &facts);
    for (size_t i = 0; d.cancel_all && i < m->count; i++) {
        m->cancelled += m->runs[i].live || m->runs[i].queued;
        m->runs[i] = (struct model_run){0};
    }
    if (d.cancel_oldest || d.drop_oldest) {
        *oldest(m, d.cancel_oldest) = (struct model_run){0};
        m->cancelled += d.cancel_oldest;
        m->dropped += d.drop_oldest;
    }
    if (d.kind == PERI_LANE_DROP)
        m->dropped++;
    else
        m->runs[m->count++] =
            (struct model_run){.live = d.kind == PERI_LANE_START, .queued = d.kind == PERI_LANE_QUEUE, .ends = ends};
}

static void test_modes(void **state)
{
    for (size_t n = 0; n < STREAMS; n++) {
        struct stream s;
        struct lane_model wanted = {.count = 0}, got = {.count = 0};
        struct peri_flow flow = {.mode = PERI_MODE_SINGLE + stream_random(4)};
        stream_make(&s, 2);
        if (flow.mode == PERI_MODE_QUEUED)
            flow.max = 1 + stream_random(4), flow.exceeded = 1 + stream_random(2);
        if (flow.mode == PERI_MODE_PARALLEL)
            flow.max = stream_random(4), flow.exceeded = flow.max ? stream_random(3) : PERI_EXCEEDED_QUEUE;
        for (size_t i = 0; i < s.count; i++) {
            int64_t ends = s.events[i].at + (int64_t)s.events[i].steps * 3;
            model_until(&wanted, &flow, s.events[i].at);
            model_until(&got, &flow, s.events[i].at);
            model_hear(&wanted, &flow, ends);
            decide(&got, &flow, ends);
            assert_memory_equal(&got, &wanted, sizeof(got));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_for),
        cmocka_unit_test(test_absence),
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_the_events_of_a_sequence_are_a_chain),
        cmocka_unit_test(test_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
