/* SPDX-License-Identifier: Apache-2.0 */
#include "app/backtest.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "app/bed.h"
#include "app/paths.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"
#include "io/store_data.h"

#define QUIET_MS 60000 /* of real time */
#define MAX_INSTANTS 200000
#define WRITTEN_WITH_MS 1000
#define EVENT_BYTES_MAX (16 << 20) /* larger ones were never stored */

/* ---- what both worlds share ---- */

/* The database keeps no former values: who was given one that is newer than the clock here should know. */
static void note_read(void *ctx, const char *type, const struct peri_value *entity)
{
    struct peri_backtest_stage *stage = ctx;
    const char *updated = peri_map_text(entity, "updatedAt"), *id = peri_map_text(entity, "id");
    int64_t ms = 0;
    /* What came with the event itself was written a moment after the event was received. */
    int64_t grace = peri_map_int(entity, "version", 1) < 2 ? WRITTEN_WITH_MS : 0;
    if (!id || !updated || !peri_time_parse(updated, strlen(updated), &ms) ||
        ms <= atomic_load(&stage->fake.wall_ms) + grace)
        return;
    char *name = peri_asprintf("%s %s", type, id);
    pthread_mutex_lock(&stage->lock);
    if (name && stage->changed)
        (void)!peri_map_put_bool(stage->changed, name, true);
    pthread_mutex_unlock(&stage->lock);
    free(name);
}

enum peri_status peri_backtest_stage_open(
    struct peri_backtest_stage *stage, struct peri_cli *cli, struct peri_diag *diag, struct peri_error *err)
{
    memset(stage, 0, sizeof(*stage));
    stage->clock = peri_clock_fake_init(&stage->fake, 0);
    stage->bench.use_clock = &stage->clock;
    stage->bench.no_effects = true;
    stage->bench.reads = note_read;
    stage->bench.reads_ctx = stage;
    pthread_mutex_init(&stage->lock, NULL);
    stage->changed = peri_value_map();
    enum peri_status st = peri_workbench_open(&stage->bench, cli, diag, err);
    if (st == PERI_OK && peri_path_is_file(cli->config.database))
        st = peri_reader_open(cli->config.database, &stage->recorded, err);
    if (st)
        peri_backtest_stage_close(stage);
    return st;
}

void peri_backtest_stage_close(struct peri_backtest_stage *stage)
{
    peri_reader_close(stage->recorded);
    if (stage->bench.cli)
        peri_workbench_close(&stage->bench);
    peri_value_unref(stage->changed);
    memset(stage, 0, sizeof(*stage));
}

/* ---- a world ---- */

static bool is_quiet(const void *ctx)
{
    const struct peri_backtest *test = ctx;
    return peri_pipeline_is_quiet(test->pipeline) && peri_store_queued(test->store) == 0;
}

static enum peri_status settle(struct peri_backtest *test, struct peri_error *err)
{
    struct peri_bed_rest rest = {is_quiet, test, QUIET_MS, NULL, "rules"};
    enum peri_status st = peri_bed_settle(test->stage->bench.loop, &rest, err);
    return st == PERI_OK && test->failed ? peri_error_nomem(err) : st;
}

static enum peri_status start(struct peri_backtest *test, const struct peri_rule_list *rules, struct peri_error *err)
{
    struct peri_workbench *bench = &test->stage->bench;
    struct peri_pipeline_options options = {.loop = bench->loop,
        .store = test->store,
        .log = bench->log,
        .clock = test->stage->clock,
        .tz = &bench->tz,
        .max_event_bytes = EVENT_BYTES_MAX};
    struct peri_run_ops ops;
    peri_backtest_ops(test, &ops);
    enum peri_status st = peri_pipeline_create(&options, &test->pipeline, err);
    if (st == PERI_OK)
        st = peri_pipeline_set_rules(test->pipeline, rules->items, rules->count, err);
    if (st == PERI_OK)
        st = peri_pipeline_start_ops(test->pipeline, &ops, err);
    return st ? st : settle(test, err);
}

enum peri_status peri_backtest_open(struct peri_backtest *test, struct peri_backtest_stage *stage,
    const struct peri_rule_list *rules, int64_t start_ms, struct peri_error *err)
{
    memset(test, 0, sizeof(*test));
    test->stage = stage;
    test->start_ms = start_ms;
    atomic_store(&stage->fake.wall_ms, start_ms);
    test->assumed = peri_map_create();
    test->not_comparable = peri_map_create();
    enum peri_status st = test->assumed && test->not_comparable ? peri_bed_store(stage->bench.loop, stage->bench.log,
                                                                      stage->clock, &test->store, &test->reader, err)
                                                                : peri_error_nomem(err);
    if (st == PERI_OK)
        st = start(test, rules, err);
    if (st)
        peri_backtest_close(test);
    return st;
}

static void free_value(void *value)
{
    peri_value_unref(value);
}

void peri_backtest_close(struct peri_backtest *test)
{
    if (!test->stage)
        return;
    peri_pipeline_destroy(test->pipeline);
    peri_reader_close(test->reader);
    peri_store_close(test->store);
    peri_bed_drain(test->stage->bench.loop);
    peri_backtest_answers_finish(&test->answers);
    peri_map_destroy(test->assumed, free_value);
    peri_map_destroy(test->not_comparable, free);
    free(test->original);
    memset(test, 0, sizeof(*test));
}

/* ---- time ---- */

static int64_t now_ms(const struct peri_backtest *test)
{
    return peri_clock_wall_ms(&test->stage->clock);
}

/* From one instant at which something is due to the next. */
static enum peri_status go(struct peri_backtest *test, int64_t until_ms, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < MAX_INSTANTS; i++) {
        int64_t now = now_ms(test), due = peri_pipeline_next_due(test->pipeline);
        int64_t next = due > until_ms ? until_ms : due < now ? now : due;
        if (next > now)
            peri_clock_fake_advance(&test->stage->fake, next - now);
        if (due > until_ms)
            return PERI_OK;
        peri_pipeline_tick(test->pipeline);
        st = settle(test, err);
    }
    return st ? st
              : peri_error_set(err, PERI_ELIMIT, NULL, "more than %d things are due between two events", MAX_INSTANTS);
}

static bool has_live_runs(const struct peri_backtest *test)
{
    struct peri_value *status = NULL;
    bool live = peri_pipeline_status(test->pipeline, &status) == PERI_OK && peri_map_int(status, "live_runs", 0) > 0;
    peri_value_unref(status);
    return live;
}

enum peri_status peri_backtest_finish(struct peri_backtest *test, int64_t at_most_ms, struct peri_error *err)
{
    int64_t end = now_ms(test) + at_most_ms;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < MAX_INSTANTS && has_live_runs(test); i++) {
        int64_t due = peri_pipeline_next_due(test->pipeline);
        if (due > end)
            break;
        st = go(test, due, err);
    }
    return st;
}

/* ---- events ---- */

/* An event of its own: the engine numbers it anew. */
static struct peri_event *copy_of(const struct peri_event *event)
{
    struct peri_event *copy = peri_event_create();
    if (!copy)
        return NULL;
    copy->type = peri_strdup(event->type);
    copy->source = peri_strdup(event->source);
    copy->external_id = peri_strdup(event->external_id);
    copy->subject = peri_strdup(event->subject);
    copy->extensions = peri_value_ref(event->extensions);
    copy->time_ms = event->time_ms;
    copy->hops = event->hops;
    copy->data = peri_strndup(event->data, event->data_len);
    copy->data_len = event->data_len;
    if (copy->type && copy->source && copy->data)
        return copy;
    peri_event_unref(copy);
    return NULL;
}

static bool note_original(struct peri_backtest *test, uint64_t seq, uint64_t original)
{
    size_t before = test->original_cap;
    if (!peri_vec_grow(&test->original, &test->original_cap, seq + 1, sizeof(*test->original)))
        return false;
    memset(test->original + before, 0, (test->original_cap - before) * sizeof(*test->original));
    test->original[seq] = original;
    return true;
}

enum peri_status peri_backtest_send(
    struct peri_backtest *test, const struct peri_event *event, uint64_t original, struct peri_error *err)
{
    enum peri_status st = go(test, event->received_ms > now_ms(test) ? event->received_ms : now_ms(test), err);
    if (st)
        return st;
    struct peri_batch *batch = peri_batch_create();
    struct peri_event *copy = batch ? copy_of(event) : NULL;
    if (!copy || peri_batch_event(batch, peri_event_ref(copy))) {
        peri_event_unref(copy);
        peri_batch_destroy(batch);
        return peri_error_nomem(err);
    }
    test->last_original = original;
    st = peri_bed_submit(test->stage->bench.loop, test->pipeline, batch, err);
    if (st == PERI_OK && !note_original(test, copy->seq, original))
        st = peri_error_nomem(err);
    test->sent++;
    peri_event_unref(copy);
    return st ? st : settle(test, err);
}
