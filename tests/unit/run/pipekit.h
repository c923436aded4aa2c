/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_RUN_PIPEKIT_H
#define PERI_TESTS_RUN_PIPEKIT_H

#include "run/kit.h"

#include <unistd.h>
#include "base/str.h"
#include "io/store_data.h"
#include "io/store_runs.h"
#include "run/pipeline_internal.h"
#include "run/verdicts_read.h"

/* A pipeline on a real store and loop, with a clock that stands still and operators made here:
 *   c.yes, c.no, c.broken   conditions; c.slow answers when told
 *   x.ok                    answers {"ok": true}
 *   x.bad                   fails for good; x.flaky fails twice, then succeeds
 *   x.slow                  answers when told (answer())
 *   x.lost                  outcome unknown
 *   x.repeat                as x.slow, class repeat
 *   x.busy, c.busy          have no room three times, then answer */
struct kit_call {
    char operator_id[64], *params, *key, *run;
    uint64_t as_of, event;
    peri_call_done done;
    void *arg;
    bool answered;
};

struct bed {
    char dir[64], db[96];
    struct peri_clock_fake fake;
    struct peri_clock clock;
    struct peri_loop *loop;
    struct peri_store *store;
    struct peri_pipeline *pipe;
    struct peri_reader *reader;
    struct kit_call *calls[4096];
    size_t call_count;
    int flaky, busy;
    int notes;
    bool slim;     /* rules keep what it takes to be heard, as in the service */
    bool stopping; /* the host takes no calls any more */
    size_t max_queue;
    const struct peri_run_ops *ops;  /* instead of those made here */
    const struct peri_rule_env *env; /* of rules; or NULL */
    const struct peri_tz_source *tz; /* NULL: UTC only */
    struct peri_metrics *metrics;
};

struct kit_answer {
    struct bed *bed;
    struct kit_call *call;
    struct peri_call_result result;
    struct peri_value *value;
};

static inline void kit_deliver(void *arg)
{
    struct kit_answer *a = arg;
    a->result.value = a->value;
    a->call->done(a->call->arg, &a->result);
    peri_value_unref(a->value);
    free(a);
}

static inline struct kit_answer *kit_answer_new(struct bed *bed, struct kit_call *call)
{
    struct kit_answer *a = calloc(1, sizeof(*a));
    a->bed = bed;
    a->call = call;
    call->answered = true;
    return a;
}

static inline void kit_post(struct kit_answer *a)
{
    assert_int_equal(peri_loop_post(a->bed->loop, kit_deliver, a), PERI_OK);
}

static inline void kit_fail(struct kit_answer *a, const char *code, bool retryable, bool unknown)
{
    a->result.status = peri_error_set(&a->result.error, PERI_EIO, code, "it said %s", code);
    a->result.error.retryable = retryable;
    a->result.error.outcome_unknown = unknown;
}

static inline bool kit_lookup(void *ctx, const char *id, enum peri_delivery *ret)
{
    if (strncmp(id, "x.", 2) != 0 && strncmp(id, "c.", 2) != 0)
        return false;
    *ret = strcmp(id, "x.repeat") == 0 ? PERI_DELIVERY_REPEAT : PERI_DELIVERY_ONCE;
    return true;
}

static inline enum peri_status kit_op(
    void *ctx, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct bed *bed = ctx;
    const char *id = call->operator_id;
    enum peri_delivery delivery;
    if (!kit_lookup(ctx, id, &delivery))
        return peri_error_set(err, PERI_ENOTFOUND, "operator.unknown", "there is no operator %s", id);
    if (strcmp(id + 2, "busy") == 0 && bed->busy++ < 3)
        return peri_error_set(err, PERI_EBUSY, NULL, "no room");
    if (bed->stopping)
        return peri_error_set(err, PERI_ESTATE, "stopping", "the service is stopping");
    assert_true(bed->call_count < 4096);
    struct kit_call *c = calloc(1, sizeof(*c));
    bed->calls[bed->call_count++] = c;
    snprintf(c->operator_id, sizeof(c->operator_id), "%s", id);
    c->params = peri_json_text(call->params, PERI_JSON_COMPACT);
    c->key = peri_strdup(call->idempotency_key);
    c->run = peri_strdup(call->run_id);
    c->as_of = call->as_of;
    c->event = call->event ? call->event->seq : 0;
    c->done = done;
    c->arg = arg;
    if (strcmp(id + 2, "slow") == 0 || strcmp(id, "x.repeat") == 0)
        return PERI_OK;
    struct kit_answer *a = kit_answer_new(bed, c);
    a->result.holds = strcmp(id, "c.yes") == 0 || strcmp(id, "c.busy") == 0;
    if (strcmp(id, "x.bad") == 0 || strcmp(id, "c.broken") == 0)
        kit_fail(a, "nope", false, false);
    else if (strcmp(id, "x.lost") == 0)
        kit_fail(a, "timeout", true, true);
    else if (strcmp(id, "x.flaky") == 0 && bed->flaky++ < 2)
        kit_fail(a, "net", true, false);
    else
        a->value = kit_json(id[0] == 'c' ? "{\"actual\":4,\"wanted\":5}" : "{\"ok\":true}");
    kit_post(a);
    return PERI_OK;
}

/* Answers the nth open call of an operator. */
static inline void kit_reply_nth(struct bed *bed, const char *id, size_t nth, bool yes)
{
    for (size_t i = 0; i < bed->call_count; i++) {
        if (bed->calls[i]->answered || strcmp(bed->calls[i]->operator_id, id) != 0 || nth-- > 0)
            continue;
        struct kit_answer *a = kit_answer_new(bed, bed->calls[i]);
        a->result.holds = yes;
        if (id[0] == 'x' && !yes)
            kit_fail(a, "nope", false, false);
        kit_post(a);
        return;
    }
    fail_msg("no open call of %s", id);
}

static inline void kit_reply(struct bed *bed, const char *id, bool yes)
{
    kit_reply_nth(bed, id, 0, yes);
}

static inline size_t kit_calls(const struct bed *bed, const char *id)
{
    size_t n = 0;
    for (size_t i = 0; i < bed->call_count; i++)
        n += strcmp(bed->calls[i]->operator_id, id) == 0;
    return n;
}

static inline size_t kit_calls_for(const struct bed *bed, const char *id, uint64_t event)
{
    size_t n = 0;
    for (size_t i = 0; i < bed->call_count; i++)
        n += bed->calls[i]->event == event && strcmp(bed->calls[i]->operator_id, id) == 0;
    return n;
}

static inline const struct kit_call *kit_call(const struct bed *bed, const char *id, size_t nth)
{
    for (size_t i = 0; i < bed->call_count; i++)
        if (strcmp(bed->calls[i]->operator_id, id) == 0 && nth-- == 0)
            return bed->calls[i];
    fail_msg("no such call of %s", id);
    return NULL;
}

static inline enum peri_status kit_store_post(void *ctx, void (*fn)(void *arg), void *arg)
{
    return peri_loop_post(ctx, fn, arg);
}

/* --- life --- */

static inline void kit_rules(struct bed *bed, const char *yaml)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    struct peri_error err = {0};
    peri_diag_init(&diag);
    if (yaml && peri_rules_load_text("test.yaml", yaml, strlen(yaml), bed->env, &list, &diag) != PERI_OK)
        fail_msg("%s:%d: %s", diag.items[0].file, diag.items[0].line, diag.items[0].message);
    for (size_t i = 0; bed->slim && i < list.count; i++)
        peri_rule_slim(list.items[i]);
    assert_int_equal(peri_pipeline_set_rules(bed->pipe, list.items, list.count, &err), PERI_OK);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
}

static inline void kit_start(struct bed *bed, const char *yaml)
{
    struct peri_error err = {0};
    struct peri_store_options so = {
        .path = bed->db, .clock = bed->clock, .max_queue = bed->max_queue, .post = kit_store_post, .high = true};
    if (peri_loop_create(&bed->clock, &bed->loop, &err) != PERI_OK)
        fail_msg("%s", err.message);
    so.post_ctx = bed->loop;
    if (peri_store_open(&so, &bed->store, &err) != PERI_OK)
        fail_msg("%s", err.message);
    if (peri_store_reader(bed->store, &bed->reader, &err) != PERI_OK)
        fail_msg("%s", err.message);
    bed->metrics = peri_metrics_create();
    struct peri_pipeline_options po = {
        .loop = bed->loop, .store = bed->store, .clock = bed->clock, .metrics = bed->metrics, .tz = bed->tz};
    if (peri_pipeline_create(&po, &bed->pipe, &err) != PERI_OK)
        fail_msg("%s", err.message);
    kit_rules(bed, yaml);
    struct peri_run_ops ops = {.lookup = kit_lookup, .call = kit_op, .ctx = bed};
    if (peri_pipeline_start_ops(bed->pipe, bed->ops ? bed->ops : &ops, &err) != PERI_OK)
        fail_msg("%s", err.message);
}

/* As a crash: nothing is ended in order. Calls that were under way get an answer that nobody hears. */
static inline void kit_stop(struct bed *bed)
{
    peri_pipeline_destroy(bed->pipe);
    for (size_t i = 0; i < bed->call_count; i++) {
        if (!bed->calls[i]->answered)
            kit_post(kit_answer_new(bed, bed->calls[i]));
    }
    peri_reader_close(bed->reader);
    peri_store_close(bed->store);
    for (int i = 0; i < 5; i++)
        peri_loop_once(bed->loop, 0);
    peri_loop_destroy(bed->loop);
    peri_metrics_destroy(bed->metrics);
    for (size_t i = 0; i < bed->call_count; i++) {
        free(bed->calls[i]->params);
        free(bed->calls[i]->key);
        free(bed->calls[i]->run);
        free(bed->calls[i]);
    }
    bed->call_count = 0;
    bed->pipe = NULL;
}

static inline void kit_restart(struct bed *bed, const char *yaml)
{
    kit_stop(bed);
    kit_start(bed, yaml);
}

/* bed is zero but for what is to be different. */
static inline void kit_open_at(struct bed *bed, const char *yaml, int64_t wall_ms)
{
    snprintf(bed->dir, sizeof(bed->dir), "/tmp/perigee-run-XXXXXX");
    assert_non_null(mkdtemp(bed->dir));
    snprintf(bed->db, sizeof(bed->db), "%s/perigee.db", bed->dir);
    bed->clock = peri_clock_fake_init(&bed->fake, wall_ms);
    kit_start(bed, yaml);
}

static inline void kit_open(struct bed *bed, const char *yaml)
{
    memset(bed, 0, sizeof(*bed));
    kit_open_at(bed, yaml, 1750000000000);
}

static inline void kit_close(struct bed *bed)
{
    char command[128];
    kit_stop(bed);
    snprintf(command, sizeof(command), "rm -rf '%s'", bed->dir);
    assert_int_equal(system(command), 0);
}

static inline void kit_advance(struct bed *bed, int64_t ms)
{
    peri_clock_fake_advance(&bed->fake, ms);
    peri_pipeline_tick(bed->pipe);
}

/* --- looking --- */

static inline int64_t kit_status(struct bed *bed, const char *name)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_pipeline_status(bed->pipe, &v), PERI_OK);
    int64_t n = peri_map_int(v, name, -1);
    peri_value_unref(v);
    return n;
}

static inline struct peri_value *kit_runs(struct bed *bed, const char *rule)
{
    struct peri_run_filter filter = {.rule = rule, .limit = 1000};
    struct peri_value *list = NULL;
    struct peri_error err = {0};
    if (peri_reader_runs(bed->reader, &filter, &list, &err) != PERI_OK)
        fail_msg("%s", err.message);
    return list;
}

static inline size_t kit_run_count(struct bed *bed, const char *state)
{
    struct peri_value *list = kit_runs(bed, NULL);
    size_t n = 0;
    for (size_t i = 0; i < peri_value_count(list); i++)
        n += !state || peri_streq(peri_map_text(peri_list_at(list, i), "state"), state);
    peri_value_unref(list);
    return n;
}

static inline struct peri_value *kit_run(struct bed *bed, uint64_t id)
{
    struct peri_value *run = NULL;
    struct peri_error err = {0};
    if (peri_reader_run(bed->reader, id, &run, &err) != PERI_OK)
        fail_msg("%s", err.message);
    return run;
}

static inline bool kit_run_is(struct bed *bed, uint64_t id, const char *state)
{
    struct peri_value *run = NULL;
    if (peri_reader_run(bed->reader, id, &run, NULL) != PERI_OK)
        return false;
    bool is = peri_streq(peri_map_text(run, "state"), state);
    peri_value_unref(run);
    return is;
}

static inline struct peri_value *kit_verdicts(struct bed *bed, uint64_t seq)
{
    struct peri_value *list = NULL;
    struct peri_error err = {0};
    if (peri_verdicts_read(bed->reader, seq, NULL, &list, &err) != PERI_OK)
        fail_msg("%s", err.message);
    return list;
}

/* Turns the loop until the condition holds. */
#define KIT_UNTIL(bed, condition)                                                                                      \
    do {                                                                                                               \
        int rounds = 0;                                                                                                \
        while (!(condition)) {                                                                                         \
            if (++rounds > 2000)                                                                                       \
                fail_msg("never: %s", #condition);                                                                     \
            peri_loop_once((bed)->loop, 5);                                                                            \
        }                                                                                                              \
    } while (0)

static inline bool kit_quiet(struct bed *bed)
{
    return kit_status(bed, "unmatched") == 0 && kit_status(bed, "in_memory") == 0 &&
           kit_status(bed, "evaluating") == 0 && peri_store_queued(bed->store) == 0;
}
#define KIT_QUIET(bed) KIT_UNTIL(bed, kit_quiet(bed))

struct kit_sent {
    bool done;
    enum peri_status st;
    uint64_t seq[512];
    bool duplicate;
    struct peri_batch *batch;
};

static inline void kit_sent_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct kit_sent *sent = arg;
    sent->done = true;
    sent->st = st;
    for (size_t i = 0; i < peri_batch_events(sent->batch) && i < 512; i++) {
        sent->seq[i] = peri_batch_event_at(sent->batch, i)->seq;
        sent->duplicate = peri_batch_event_at(sent->batch, i)->duplicate;
    }
}

static inline struct peri_event *kit_event(const char *type, const char *json, const char *id)
{
    struct peri_event *event = peri_event_create();
    event->type = peri_strdup(type);
    event->source = peri_strdup("test");
    event->external_id = peri_strdup(id);
    event->data = peri_strdup(json);
    event->data_len = strlen(json);
    return event;
}

static inline uint64_t kit_send_id(
    struct bed *bed, const char *type, const char *json, const char *id, bool *ret_duplicate)
{
    struct kit_sent sent = {.batch = peri_batch_create()};
    struct peri_error err = {0};
    assert_int_equal(peri_batch_event(sent.batch, kit_event(type, json, id)), PERI_OK);
    if (peri_pipeline_submit(bed->pipe, sent.batch, kit_sent_done, &sent, &err) != PERI_OK)
        fail_msg("%s", err.message);
    KIT_UNTIL(bed, sent.done);
    assert_int_equal(sent.st, PERI_OK);
    if (ret_duplicate)
        *ret_duplicate = sent.duplicate;
    return sent.seq[0];
}

static inline uint64_t kit_send(struct bed *bed, const char *type, const char *json)
{
    return kit_send_id(bed, type, json, NULL, NULL);
}

struct kit_changed {
    bool done;
    enum peri_status st;
    char id[32];
};

static inline void kit_changed_done(
    void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct kit_changed *changed = arg;
    changed->done = true;
    changed->st = st;
    snprintf(changed->id, sizeof(changed->id), "%s", peri_map_text(value, "id") ? peri_map_text(value, "id") : "");
}

#endif
