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
 * An event whose rules can all be asked without an operator, and whose runs all come to their end without waiting, is
 * evaluated before T1, which stores it as matched, with its verdicts and runs. Its number is not known then: rules
 * whose templates ask for `trigger` do not take this way. What goes wrong is found again, and told, by the usual way.
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
    WEIGHED = 4,
    LATER = 8, /* its events are evaluated when they are stored */
};

#define AT_ONCE_MAX 2048 /* events in memory */
#define FEW 7            /* triggers of a type that are not asked together */
#define LATER_EVENTS 64  /* of a type that many hear, behind one that had to wait */

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

static size_t size_of(const struct match_ahead *ahead)
{
    size_t bytes = strlen(ahead->vars);
    for (size_t i = 0; i < ahead->effects.record_count; i++) {
        const struct peri_step_record *r = &ahead->effects.records[i];
        bytes += 128 + (r->params ? strlen(r->params) : 0) + (r->result ? strlen(r->result) : 0);
    }
    return bytes;
}

size_t match_run_ahead(struct match_rule *mr, int64_t now_ms)
{
    const struct peri_flow *flow = &mr->rule->flow;
    struct peri_flow own;
    bool plain = flow->once_within_ms == 0 && flow->once_after_ms == 0 && flow->cancel_count == 0;
    if (!mr->ahead && plain && !waits(mr) && !peri_lane_of(mr->rule, mr->fired, mr->key, &own))
        mr->ahead = lead(mr, now_ms);
    return mr->ahead ? size_of(mr->ahead) : 0;
}

/* --- events --- */

bool match_may_be_at_once(struct peri_rule *rule)
{
    const struct peri_flow *flow = &rule->flow;
    if (!(rule->found & WEIGHED)) {
        bool later = flow->mode != PERI_MODE_NONE || flow->once_within_ms > 0 || flow->once_after_ms > 0 ||
                     flow->cancel_count > 0;
        for (size_t i = 0; i < rule->trigger_count; i++)
            later = later || peri_trigger_watches(&rule->triggers[i]);
        rule->found |= WEIGHED | (later ? LATER : 0);
    }
    return !(rule->found & LATER);
}

void match_later(struct match_rule *mr)
{
    mr->rule->found |= LATER;
    mr->event->later = true;
}

/* Is there a chance that it can be done? Cheap, since most of what is tried in vain would be done twice. */
static bool may_try(struct peri_pipeline *p, const struct peri_event *event)
{
    struct peri_index_hit few[FEW];
    if (event->target_rule || event->hops >= PIPE_HOPS_MAX || event->damaged ||
        peri_str_starts(event->source, PIPE_OWN_SOURCE) || match_may_cancel(p, event))
        return false;
    size_t count = peri_index_few(p->index, event->type, few, FEW);
    bool may = count > 0;
    for (size_t i = 0; may && i < count && count <= FEW; i++)
        may = match_may_be_at_once((struct peri_rule *)(uintptr_t)few[i].rule);
    struct peri_hearing *hearing = may && count > FEW ? match_hearing_known(p, event->type) : NULL;
    if (count > FEW && hearing && hearing->later > 0) {
        hearing->later--;
        return false;
    }
    return may && (count <= FEW || hearing);
}

/* Runs of all that fired, or none. */
static bool lead_all(struct match_event *me, int64_t now_ms, size_t *bytes)
{
    for (size_t i = 0; i < me->rule_count && !me->later; i++) {
        struct match_rule *mr = me->rules[i];
        if (!mr->fired)
            continue;
        *bytes += match_run_ahead(mr, now_ms);
        if (!mr->ahead && (mr->rule->found & WAITS))
            match_later(mr);
        me->later = me->later || !mr->ahead;
    }
    return !me->later;
}

static struct match_event *evaluate(
    struct peri_pipeline *p, struct peri_event *event, int64_t now_ms, size_t *ret_bytes)
{
    struct match_event *me = match_new(p, event);
    size_t bytes = 128;
    if (!me)
        return NULL;
    if (match_begin_at_once(me) && lead_all(me, now_ms, &bytes)) {
        peri_value_unref(me->payload); /* many wait for their commit, and this is most of them */
        me->payload = NULL;
        *ret_bytes += bytes + 256 * me->rule_count;
        p->at_once++;
        return me;
    }
    if (me->hearing)
        me->hearing->later = LATER_EVENTS;
    match_free(me);
    return NULL;
}

static bool may_begin(const struct peri_pipeline *p)
{
    return p->started && p->index && pipe_writable(p) && match_may_run_ahead(p);
}

static struct match_tx *begin(struct peri_pipeline *p, size_t count)
{
    struct match_tx *mt = calloc(1, sizeof(*mt));
    if (!mt || !(mt->items = calloc(count, sizeof(*mt->items)))) {
        free(mt);
        return NULL;
    }
    mt->p = p;
    mt->now_ms = pipe_now(p);
    mt->steady_ms = pipe_steady(p);
    mt->kprefix = p->kprefix;
    return mt;
}

struct match_tx *match_at_once(
    struct peri_pipeline *p, struct peri_event *const *events, size_t count, size_t *ret_bytes)
{
    struct match_tx *mt = NULL;
    const char *no = NULL; /* a type that cannot be */
    for (size_t i = 0; i < count; i++) {
        struct peri_event *event = events[i];
        if (event->unheard || (no && strcmp(event->type, no) == 0))
            continue;
        if (p->at_once >= AT_ONCE_MAX || p->pairs >= PIPE_PAIRS / 2 || *ret_bytes >= MATCH_TX_BYTES ||
            (!mt && !may_begin(p)))
            break;
        if (!may_try(p, event)) {
            no = event->type;
            continue;
        }
        if (!mt && !(mt = begin(p, count - i)))
            break;
        struct match_event *me = evaluate(p, event, mt->now_ms, ret_bytes);
        if (!me)
            continue;
        event->unheard = true;
        mt->items[mt->count++] = (struct match_item){.event = me,
            .pairs = me->rules,
            .count = me->rule_count,
            .last = true,
            .new_hearing = me->hearing && !me->hearing->stored,
            .named = me->hearing ? me->hearing->named : 0};
    }
    if (mt && mt->count == 0) {
        match_at_once_free(mt);
        mt = NULL;
    }
    return mt;
}

const struct match_item *match_at_once_next(struct match_tx *mt, const struct peri_event *event)
{
    bool is = mt && mt->next < mt->count && mt->items[mt->next].event->event == event;
    return is ? &mt->items[mt->next++] : NULL;
}

void match_at_once_free(struct match_tx *mt)
{
    if (!mt)
        return;
    mt->p->at_once -= mt->count;
    for (size_t i = 0; i < mt->count; i++)
        match_free(mt->items[i].event);
    match_tx_free(mt);
}
