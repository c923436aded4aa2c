/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_RUN_BED_H
#define PERI_TESTS_RUN_BED_H

#include "run/kit.h"
#include "run/run.h"

/* A run under test: the machine, what it said last, and every row it wrote as "n.attempt op state" lines. */
struct bed {
    struct peri_rule *rule;
    struct peri_run *run;
    struct peri_run_effects effects;
    int64_t now;
    char log[8192];
    char emitted[1024];
};

static const char *const attempt_names[] = {
    "", "started", "done", "retry", "failed", "unknown", "skipped", "cancelled"};

static inline void note(struct bed *bed)
{
    size_t len = strlen(bed->log);
    for (size_t i = 0; i < bed->effects.record_count; i++) {
        const struct peri_step_record *r = &bed->effects.records[i];
        len += (size_t)snprintf(
            bed->log + len, sizeof(bed->log) - len, "%d.%d %s %s\n", r->n, r->attempt, r->op, attempt_names[r->state]);
        assert_true(len < sizeof(bed->log));
    }
    for (size_t i = 0; i < bed->effects.emit_count; i++) {
        char *text = peri_json_text(bed->effects.emits[i].data, PERI_JSON_COMPACT);
        size_t at = strlen(bed->emitted);
        snprintf(bed->emitted + at, sizeof(bed->emitted) - at, "%s %s\n", bed->effects.emits[i].type, text);
        free(text);
    }
}

/* Every state has to survive the store: the run is written and read back before each input. */
static inline void through_the_store(struct bed *bed)
{
    char *pos = NULL, *vars = NULL, *error = NULL;
    struct peri_run *again = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_run_write(bed->run, &pos, &vars, &error), PERI_OK);
    struct peri_run_row row = {.id = bed->run->id,
        .rule = bed->rule->id,
        .rhash = bed->rule->hash,
        .state = bed->run->state,
        .pos = pos,
        .vars = vars,
        .error = error,
        .kprefix = bed->run->kprefix,
        .wake_ms = bed->run->wake_ms,
        .base_ms = bed->run->base_ms,
        .created_ms = bed->run->created_ms,
        .ended_ms = bed->run->ended_ms,
        .interruptions = bed->run->interruptions};
    enum peri_status st = peri_run_read(&row, bed->rule, &again, &err);
    if (st != PERI_OK)
        print_error("%s: %s\n", err.message, pos);
    assert_int_equal(st, PERI_OK);
    again->event = peri_value_ref(bed->run->event);
    for (size_t i = 0; i < bed->run->branch_count; i++) {
        char *text = peri_track_write(bed->run->branches[i]);
        assert_non_null(text);
        st = peri_track_read(again, bed->run->branches[i]->id, text, &err);
        if (st != PERI_OK)
            print_error("%s: %s\n", err.message, text);
        assert_int_equal(st, PERI_OK);
        free(text);
    }
    for (size_t i = 0; i <= bed->run->branch_count; i++) { /* of open attempts their rows have the parameters */
        const struct peri_track *old = i == 0 ? &bed->run->track : bed->run->branches[i - 1];
        if (old->phase == PERI_PHASE_CALL)
            peri_run_track(again, old->id)->params = peri_value_ref(old->params);
    }
    peri_run_destroy(bed->run);
    bed->run = again;
    free(pos);
    free(vars);
    free(error);
}

static inline enum peri_run_next input(struct bed *bed, struct peri_run_input in)
{
    in.now_ms = bed->now;
    peri_run_effects_finish(&bed->effects);
    if (bed->run->track.depth > 0)
        through_the_store(bed);
    assert_int_equal(peri_run_advance(bed->run, &in, &bed->effects), PERI_OK);
    note(bed);
    return bed->effects.next;
}

static inline enum peri_run_next go(struct bed *bed)
{
    return input(bed, (struct peri_run_input){.kind = PERI_INPUT_GO});
}

static inline enum peri_run_next ok(struct bed *bed, const char *json)
{
    struct peri_value *v = json ? kit_json(json) : NULL;
    enum peri_run_next next = input(bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_OK, .value = v});
    peri_value_unref(v);
    return next;
}

static inline enum peri_run_next failed(
    struct bed *bed, const char *code, bool retryable, bool unknown, enum peri_delivery delivery)
{
    struct peri_error error = {0};
    (void)peri_error_set(&error, PERI_EIO, code, "it said %s", code);
    error.retryable = retryable;
    error.outcome_unknown = unknown;
    return input(bed, (struct peri_run_input){
                          .kind = PERI_INPUT_CALL_FAILED, .error = &error, .delivery = delivery, .random = UINT32_MAX});
}

static inline void open_bed(struct bed *bed, const char *steps, const char *payload)
{
    char yaml[8192];
    memset(bed, 0, sizeof(*bed));
    snprintf(yaml, sizeof(yaml), "name: T\ntrigger: {event: a.B}\n%s\n", steps);
    bed->rule = kit_rule(yaml);
    bed->now = 1000000;
    bed->run = peri_run_create(bed->rule, "inst", bed->now);
    bed->run->id = 7;
    bed->run->event = kit_json(payload);
}

static inline void close_bed(struct bed *bed)
{
    peri_run_effects_finish(&bed->effects);
    peri_run_destroy(bed->run);
    peri_rule_unref(bed->rule);
}

static inline const char *error_code(const struct bed *bed)
{
    return peri_map_text(bed->run->error, "code");
}

static inline enum peri_run_next restarted(struct bed *bed, enum peri_delivery delivery)
{
    return input(
        bed, (struct peri_run_input){.kind = PERI_INPUT_RESTARTED, .delivery = delivery, .open_attempt = true});
}

static inline enum peri_run_next ok_of(struct bed *bed, int track, const char *json)
{
    struct peri_value *v = json ? kit_json(json) : NULL;
    enum peri_run_next next =
        input(bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_OK, .track = track, .value = v});
    peri_value_unref(v);
    return next;
}

static inline enum peri_run_next failed_of(struct bed *bed, int track, const char *code)
{
    struct peri_error error = {0};
    (void)peri_error_set(&error, PERI_EIO, code, "it said %s", code);
    return input(bed, (struct peri_run_input){.kind = PERI_INPUT_CALL_FAILED, .track = track, .error = &error});
}

static inline enum peri_run_next timer(struct bed *bed)
{
    bed->now = bed->run->wake_ms;
    return input(bed, (struct peri_run_input){.kind = PERI_INPUT_TIMER, .due_ms = bed->run->wake_ms});
}

/* "track:next ..." of the last transition. */
static inline const char *tasks(const struct bed *bed)
{
    static const char *const names[] = {[PERI_NEXT_GO] = "go",
        [PERI_NEXT_HELD] = "held",
        [PERI_NEXT_CALL] = "call",
        [PERI_NEXT_EVALUATE] = "evaluate",
        [PERI_NEXT_SLEEP] = "sleep",
        [PERI_NEXT_PERSON] = "person"};
    static char text[256];
    text[0] = '\0';
    for (size_t i = 0; i < bed->effects.task_count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d:%s", i ? " " : "", bed->effects.tasks[i].track,
            names[bed->effects.tasks[i].next]);
    return text;
}

#endif
