/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "lang/rule_warn.h"
#include "run/gate.h"
#include "run/match_internal.h"
#include "run/system.h"

/* What needs nobody's answer is done before it is stored, so that it is stored once.
 *
 * A run whose steps only compute (set, if, choose, stop, loops) is led to its end before T2, which then stores it as
 * ended, with the rows of its steps: there is no T4. Nothing outside depends on it, so a T2 that fails, or finds that
 * no run is to be made, just drops it. Its number is not known then: a rule whose templates ask for `run` does not take
 * this way, nor does one whose runs stand in a lane or are throttled, nor any while somebody hears of runs.
 *
 * What the first try has shown of a rule is noted in it. */

enum {
    LOOKED = 1, /* its steps have been looked at */
    WAITS = 2,  /* its runs may have to wait for something, or ask for their number */
};

static void look_at(const struct peri_step *step, void *arg)
{
    bool *waits = arg;
    bool computes = step->kind == PERI_STEP_SET || step->kind == PERI_STEP_IF || step->kind == PERI_STEP_CHOOSE ||
                    step->kind == PERI_STEP_STOP || (step->kind == PERI_STEP_FOR_EACH && step->parallel == 0);
    *waits = *waits || !computes || !peri_condition_is_pure(step->guard);
    for (size_t i = 0; i < step->choice_count; i++)
        *waits = *waits || !peri_condition_is_pure(step->choices[i].when);
}

static bool waits(struct match_rule *mr)
{
    struct peri_rule *rule = mr->rule;
    bool waits = false;
    if (!(rule->found & LOOKED)) {
        peri_block_each(mr->full->actions, look_at, &waits);
        rule->found |= LOOKED | (waits ? WAITS : 0);
    }
    return rule->found & WAITS;
}

bool match_may_run_ahead(const struct peri_pipeline *p)
{
    return p->caution.left == 0 && !p->draining && !p->ops.decided && !pipe_heard(p, "run.Started") &&
           !pipe_heard(p, "run.Finished");
}

static struct peri_value *root_of(void *ctx, enum peri_run_root root)
{
    struct match_rule *mr = ctx;
    if (root == PERI_ROOT_TRIGGER)
        return peri_value_ref(mr->roots.make_trigger(mr));
    mr->rule->found |= WAITS; /* `run` has its number in it */
    return NULL;
}

/* Members of a run's variables, as run_codec.c reads them. NULL: memory is out. */
static char *vars_text(const struct peri_run *run)
{
    const struct {
        const char *name;
        const struct peri_value *value;
    } parts[] = {{"{\"vars\":", run->vars}, {",\"steps\":", run->track.steps}, {",\"bound\":", run->track.bound}};
    struct peri_buf buf;
    peri_buf_init(&buf, SIZE_MAX);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        peri_buf_puts(&buf, parts[i].name);
        (void)!peri_json_write(&buf, parts[i].value, PERI_JSON_COMPACT); /* the buffer remembers it */
    }
    (void)peri_buf_putc(&buf, '}');
    char *text = buf.failed ? NULL : peri_buf_take(&buf, NULL);
    peri_buf_finish(&buf);
    return text;
}

/* Has it come to its end, and is that all? */
static bool is_over(const struct peri_run *run, const struct peri_run_effects *effects)
{
    return run->state == PERI_RUN_SUCCEEDED && effects->emit_count == 0 && effects->wait_count == 0 &&
           effects->unwait_count == 0 && effects->ended_count == 0 && effects->reservation_count == 0;
}

static struct match_ahead *lead(struct match_rule *mr, int64_t now_ms)
{
    struct peri_pipeline *p = mr->event->p;
    struct match_ahead *ahead = calloc(1, sizeof(*ahead));
    struct peri_run *run = ahead ? peri_run_create(mr->full, p->kprefix, now_ms) : NULL;
    struct peri_run_input input = {.kind = PERI_INPUT_GO,
        .now_ms = now_ms,
        .offset_ms = pipe_offset(p),
        .seq = p->seen_seq,
        .tz = p->options.tz,
        .random = pipe_random(p),
        .hold = true,
        .gate = gate_of(p->gate),
        .delivery = PERI_DELIVERY_ONCE};
    if (!run) {
        free(ahead);
        return NULL;
    }
    run->event = peri_value_ref(mr->event->payload);
    run->trigger = peri_value_ref(mr->trigger_value);
    run->make_root = root_of;
    run->root_ctx = mr;
    run->first_seq = run->track.since = mr->event->event->seq;
    peri_run_effects_init(&ahead->effects);
    enum peri_status st = peri_run_advance(run, &input, &ahead->effects);
    bool over = st == PERI_OK && is_over(run, &ahead->effects);
    if (st == PERI_OK && !peri_run_is_final(run->state)) /* it is long */
        mr->rule->found |= WAITS;
    if (over)
        ahead->vars = vars_text(run);
    ahead->ended_ms = run->ended_ms;
    peri_run_destroy(run);
    if (ahead->vars)
        return ahead;
    match_ahead_free(ahead);
    return NULL;
}

void match_ahead_free(struct match_ahead *ahead)
{
    if (!ahead)
        return;
    peri_run_effects_finish(&ahead->effects);
    free(ahead->vars);
    free(ahead);
}

size_t match_run_ahead(struct match_rule *mr, int64_t now_ms)
{
    const struct peri_flow *flow = &mr->rule->flow;
    struct peri_flow own;
    bool plain = flow->once_within_ms == 0 && flow->once_after_ms == 0 && flow->cancel_count == 0;
    size_t bytes = 0;
    if (!mr->ahead && plain && !waits(mr) && !peri_lane_of(mr->rule, mr->fired, mr->key, &own))
        mr->ahead = lead(mr, now_ms);
    for (size_t i = 0; mr->ahead && i < mr->ahead->effects.record_count; i++)
        bytes += 256; /* rough; they are short */
    return bytes + (mr->ahead ? strlen(mr->ahead->vars) : 0);
}
