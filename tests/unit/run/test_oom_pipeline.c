/* SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"

#include "run/pipekit.h"

/* The way of an event with each allocation of the engine and its store refused once: what was acknowledged gets its
 * verdict, and every run its end, if not now then when memory is there again. */

#define ROUNDS 400

struct pending {
    peri_call_done done;
    void *arg;
};

struct provider {
    struct pending items[256];
    size_t count;
};

static bool look_up(void *ctx, const char *id, enum peri_delivery *ret)
{
    *ret = PERI_DELIVERY_REPEAT;
    return true;
}

static enum peri_status take_call(
    void *ctx, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct provider *provider = ctx;
    assert_true(provider->count < 256);
    provider->items[provider->count++] = (struct pending){done, arg};
    return PERI_OK;
}

static void answer(struct provider *provider)
{
    struct peri_call_result result = {.status = PERI_OK, .holds = true};
    while (provider->count > 0) {
        struct pending p = provider->items[--provider->count];
        p.done(p.arg, &result);
    }
}

struct sent {
    bool done;
    enum peri_status st;
    uint64_t seq;
    struct peri_batch *batch;
};

static void sent_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct sent *sent = arg;
    sent->done = true;
    sent->st = st;
    sent->seq = peri_batch_event_at(sent->batch, 0)->seq;
}

static bool settled(struct bed *bed, const struct sent *sent)
{
    const struct peri_pipeline *p = bed->pipe; /* asking for its status would need memory */
    return sent->done && p->submitting == 0 && p->committing == 0 && p->unmatched == 0 && p->live_memory == 0 &&
           p->evaluating == 0 && p->live_runs == 0;
}

static void turn(struct bed *bed, struct provider *provider, const struct sent *sent, int rounds)
{
    for (int i = 0; i < rounds && !settled(bed, sent); i++) {
        answer(provider);
        peri_loop_once(bed->loop, 1);
        if (i % 4 == 3)
            kit_advance(bed, 1000); /* what is tried again later */
    }
}

/* False: nothing was refused any more. */
static bool one_round(struct bed *bed, struct provider *provider, long n)
{
    struct sent sent = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    assert_int_equal(peri_batch_event(sent.batch, kit_event("a.B", "{\"n\":1}", NULL)), PERI_OK);
    oom_at(n);
    enum peri_status st = peri_pipeline_submit(bed->pipe, sent.batch, sent_done, &sent, &err);
    if (st != PERI_OK) {
        bool hit = oom_over(); /* on a busy machine the fake clock makes commits look slow: 503, and the next round */
        assert_true(hit || st == PERI_EBUSY);
        peri_batch_destroy(sent.batch);
        kit_advance(bed, 60000); /* else it would be slow for ever */
        return true;
    }
    turn(bed, provider, &sent, 40);
    bool hit = oom_over();
    turn(bed, provider, &sent, ROUNDS);
    if (!settled(bed, &sent)) { /* a timer was lost: the look of each minute finds the run */
        for (int i = 0; i < 3; i++)
            owners_due(bed->pipe);
        turn(bed, provider, &sent, ROUNDS);
    }
    if (!settled(bed, &sent))
        fail_msg("allocation %ld: unmatched %lld, live runs %lld", n, (long long)bed->pipe->unmatched,
            (long long)bed->pipe->live_runs);
    if (sent.st != PERI_OK)
        return hit;
    struct peri_value *verdicts = kit_verdicts(bed, sent.seq);
    assert_true(peri_value_count(verdicts) > 0); /* fired, or why not */
    peri_value_unref(verdicts);
    return hit;
}

static void each_allocation_fails(const char *rule, long least)
{
    struct bed bed;
    struct provider provider = {.count = 0};
    struct peri_run_ops ops = {.lookup = look_up, .call = take_call, .ctx = &provider};
    memset(&bed, 0, sizeof(bed));
    snprintf(bed.dir, sizeof(bed.dir), "/tmp/perigee-run-XXXXXX");
    assert_non_null(mkdtemp(bed.dir));
    snprintf(bed.db, sizeof(bed.db), "%s/perigee.db", bed.dir);
    bed.clock = peri_clock_fake_init(&bed.fake, 1750000000000);
    bed.ops = &ops;
    kit_start(&bed, rule);
    const char *all = getenv("PERIGEE_TEST_ALL");
    long n = 1, step = all && *all ? 1 : 2;
    while (one_round(&bed, &provider, n))
        n += n < 100 ? 1 : step;
    assert_true(n > least);
    assert_int_equal(kit_run_count(&bed, "ready"), 0);
    answer(&provider);
    kit_close(&bed);
}

static void test_each_allocation_fails_once(void **state)
{
    each_allocation_fails(
        "name: All\ntrigger: {event: a.B}\nkey: \"{{ event.n }}\"\nmode: queued\nconditions:\n"
        "  - {operator: c.yes, params: {n: \"{{ event.n }}\"}}\nactions:\n"
        "  - {operator: x.ok, params: {n: \"{{ event.n }}\"}}\n  - delay: 1s\n  - emit: {event: a.C}\n",
        100);
}

static void test_each_allocation_fails_once_of_what_is_stored_at_once(void **state)
{
    each_allocation_fails(
        "name: All\ntrigger: {event: a.B}\nconditions: [\"{{ event.n == 1 }}\"]\nactions:\n"
        "  - set: {n: \"{{ event.n }}\", of: \"{{ rule.id }}\"}\n  - {if: \"{{ vars.n > 5 }}\", set: {m: 1}}\n",
        40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation_fails_once),
        cmocka_unit_test(test_each_allocation_fails_once_of_what_is_stored_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
