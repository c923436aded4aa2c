/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "lang/glob.h"
#include "lang/index.h"
#include "run/keyed.h"
#include "run/match_internal.h"
#include "run/verdict.h"

/* One event against the rules that hear its type: pattern first, then conditions, trigger by trigger. */

void match_pair_free(struct match_rule *mr)
{
    match_line_leave(mr);
    pipe_evaluation_cancel(mr->evaluation);
    peri_rule_unref(mr->rule);
    peri_rule_unref(mr->full);
    peri_value_unref(mr->trigger_value);
    peri_value_unref(mr->rule_value);
    peri_value_unref(mr->verdict);
    peri_value_unref(mr->told);
    for (size_t i = 0; i < mr->heard_count; i++)
        free(mr->heard[i].key);
    free(mr->heard);
    free(mr->key);
    free(mr->no);
    match_ahead_free(mr->ahead);
    mr->event->p->pairs--;
    free(mr);
}

static void free_pairs(struct match_event *me)
{
    for (size_t i = 0; i < me->rule_count; i++)
        match_pair_free(me->rules[i]);
    me->rule_count = 0;
}

void match_free(struct match_event *me)
{
    free_pairs(me);
    match_cancels_finish(me);
    free(me->rules);
    free(me->dead_text);
    peri_hearing_unref(me->hearing);
    free(me->stored);
    peri_map_destroy(me->stored_rules, NULL);
    peri_buf_finish(&me->texts);
    peri_pattern_event_destroy(me->scanned);
    peri_value_unref(me->payload);
    peri_event_unref(me->event);
    free(me);
}

void match_cancel(struct match_event *me)
{
    for (size_t i = 0; i < me->rule_count; i++) {
        pipe_evaluation_cancel(me->rules[i]->evaluation);
        me->rules[i]->evaluation = NULL;
    }
}

void match_set_aside(struct match_event *me, const char *dead)
{
    free_pairs(me);
    me->open = 0;
    me->dead = dead;
    match_ready(me);
}

/* --- one rule --- */

/* One of its rules fired and others are open: it does not wait for them for ever. */
static void be_patient(struct match_event *me)
{
    if (me->impatient) {
        match_ready(me);
    } else if (!me->patient && !me->beginning) {
        me->patient = true;
        timer_due(me->p, PIPE_PATIENCE_MS, DUE_PATIENCE, me->event->seq, 0);
    }
}

static void keep_verdict(struct match_rule *mr, struct peri_value *verdict);

static void decide(struct match_rule *mr)
{
    struct match_event *me = mr->event;
    mr->decided = true;
    me->open--;
    if (match_line_decided(mr) != PERI_OK) {
        mr->fired = NULL;
        while (mr->heard_count > 0)
            free(mr->heard[--mr->heard_count].key);
        peri_value_unref(mr->verdict);
        mr->verdict = NULL;
        keep_verdict(mr, peri_verdict_error(mr->rule, mr->triggers[0], "mode", "out of memory"));
    }
    if (me->open == 0) {
        peri_pattern_event_destroy(me->scanned);
        me->scanned = NULL;
        if (!me->at_once)
            caution_decided(me->p, me);
        match_ready(me);
    } else if (match_matters(mr)) {
        be_patient(me);
    }
}

/* Of several triggers the furthest is told. take */
static void keep_verdict(struct match_rule *mr, struct peri_value *verdict)
{
    int rank = mr->no ? PERI_VERDICT_RANK_NO : mr->verdict ? peri_verdict_rank(mr->verdict) : 0;
    if (!verdict || (rank > 0 && rank >= peri_verdict_rank(verdict))) {
        peri_value_unref(verdict);
        return;
    }
    free(mr->no);
    mr->no = NULL;
    peri_value_unref(mr->verdict);
    mr->verdict = verdict;
    mr->text_len = 0;
}

/* A condition says no: the usual end, so no value is made of it. */
static void keep_no(struct match_rule *mr, const struct peri_trigger *trigger, const struct peri_cond_eval *eval)
{
    if (mr->no || (mr->verdict && peri_verdict_rank(mr->verdict) >= PERI_VERDICT_RANK_NO))
        return;
    mr->no = peri_verdict_text_no(mr->rule, trigger, eval);
    if (!mr->no) {
        keep_verdict(mr, peri_verdict_condition(mr->rule, trigger, PERI_COND_NO, eval));
        return;
    }
    peri_value_unref(mr->verdict);
    mr->verdict = NULL;
    mr->text_len = 0;
}

/* False: memory is out. */
static bool keep_unmatched(struct match_rule *mr, const struct peri_trigger *trigger, const struct peri_value *why)
{
    struct peri_buf *texts = &mr->event->texts;
    size_t at = texts->len;
    if (mr->verdict || mr->no || mr->text_len > 0)
        return true;
    if (!mr->event->beginning) { /* a T2 may be reading the texts */
        mr->verdict = peri_verdict_unmatched(mr->rule, trigger, why);
        return mr->verdict != NULL;
    }
    enum peri_status st = peri_verdict_write_unmatched(texts, mr->rule, trigger, why);
    if (st == PERI_ELIMIT) { /* without what was compared it may still fit */
        texts->len = at;
        texts->failed = PERI_OK;
        st = peri_verdict_write_unmatched(texts, mr->rule, trigger, NULL);
    }
    if (st != PERI_OK)
        return false;
    mr->text_at = at;
    mr->text_len = texts->len - at;
    return true;
}

/* *ret_why: new reference, NULL when it matches. */
static enum peri_status match_pattern(struct match_event *me, const struct peri_pattern *pattern, bool *ret_matches,
    struct peri_value **ret_why, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    if (!me->scanned)
        st = peri_pattern_event_read(me->event->data, me->event->data_len, &me->scanned, err);
    return st == PERI_OK ? peri_pattern_match_event(pattern, me->scanned, ret_matches, ret_why, err) : st;
}

static enum peri_status find_key(struct match_rule *mr, char **ret, struct peri_error *err)
{
    struct peri_pipeline *p = mr->event->p;
    struct peri_scope scope = peri_match_scope(&mr->roots, pipe_now(p), p->options.tz);
    const char *known = mr->place ? mr->place->key : NULL;
    if (!known)
        known = peri_map_text(mr->event->watch, "key");
    if (!known) {
        enum peri_status st = peri_scope_key(mr->rule->flow.key, &scope, ret, err);
        return mr->roots.failed ? peri_error_nomem(err) : st;
    }
    free(*ret);
    *ret = peri_strdup(known);
    return *ret ? PERI_OK : peri_error_nomem(err);
}

/* False, with a verdict: an event whose key cannot be told belongs to no lane. */
static bool take_key(struct match_rule *mr, const struct peri_trigger *trigger)
{
    struct peri_error err = {0};
    if (find_key(mr, &mr->key, &err) == PERI_OK)
        return true;
    keep_verdict(mr, peri_verdict_error(mr->rule, trigger, "key", err.message));
    return false;
}

/* Its conditions wait for an answer, and no other trigger can give it another key. */
static void tell_key(struct match_rule *mr)
{
    struct peri_error err = {0};
    char *key = NULL;
    if (mr->at + 1 == mr->trigger_count && match_line_wants_key(mr) && find_key(mr, &key, &err) == PERI_OK)
        match_line_key(mr, key);
}

static void next_trigger(struct match_rule *mr);

/* That it fired is its verdict, without a value for it, unless there is more to say. */
static void fire(struct match_rule *mr, const struct peri_trigger *trigger)
{
    const char *found = peri_map_text(mr->event->watch, "reason");
    mr->fired = trigger;
    free(mr->no);
    mr->no = NULL;
    peri_value_unref(mr->verdict);
    mr->verdict = NULL;
    mr->text_len = 0;
    if (found)
        keep_verdict(
            mr, peri_verdict_watch(mr->rule, trigger, PERI_VERDICT_FIRED, 0, peri_trigger_kind_name(trigger), found));
}

static void conditions_done(void *arg, enum peri_cond_outcome outcome, const struct peri_cond_eval *eval)
{
    struct match_rule *mr = arg;
    const struct peri_trigger *trigger = mr->triggers[mr->at];
    mr->evaluation = NULL;
    if (mr->event->at_once && outcome == PERI_COND_FAILED)
        mr->event->later = true;
    if (mr->event->later)
        return;
    if (mr->roots.failed) {
        keep_verdict(mr, peri_verdict_error(mr->rule, trigger, "conditions", "out of memory"));
        mr->at++;
        next_trigger(mr);
        return;
    }
    if (outcome == PERI_COND_YES && !take_key(mr, trigger)) {
        mr->at++;
        next_trigger(mr);
        return;
    }
    if (outcome == PERI_COND_YES) {
        fire(mr, trigger);
        decide(mr);
        return;
    }
    if (outcome == PERI_COND_FAILED)
        peri_warn(mr->event->p->options.log, "match", "rule %s, event ev-%llu: %s: %s", mr->rule->id,
            (unsigned long long)mr->event->event->seq, eval->at ? eval->at : "conditions", eval->error.message);
    if (outcome == PERI_COND_NO)
        keep_no(mr, trigger, eval);
    else
        keep_verdict(mr, peri_verdict_condition(mr->rule, trigger, outcome, eval));
    mr->at++;
    next_trigger(mr);
}

static const struct peri_value *make_trigger(void *ctx)
{
    struct match_rule *mr = ctx;
    if (mr->event->at_once) /* it has the event's number in it */
        match_later(mr);
    else if (!mr->trigger_value)
        mr->trigger_value = peri_scope_trigger(mr->event->event, mr->event->payload, mr->root_trigger->id);
    return mr->trigger_value;
}

/* False: memory is out. */
static bool make_roots(struct match_rule *mr, const struct peri_trigger *trigger)
{
    struct match_event *me = mr->event;
    if (!me->payload)
        me->payload = peri_scope_event(me->event);
    if (!mr->rule_value)
        mr->rule_value = peri_scope_rule(mr->rule);
    peri_value_unref(mr->trigger_value);
    mr->trigger_value = NULL;
    mr->root_trigger = trigger;
    mr->roots = (struct peri_match_scope){
        .event = me->payload, .rule = mr->rule_value, .make_trigger = make_trigger, .ctx = mr};
    return me->payload && mr->rule_value;
}

/* *ret_ready: the pattern holds and the scope stands. False: memory is out. */
static bool try_pattern(struct match_rule *mr, const struct peri_trigger *trigger, bool *ret_ready)
{
    struct match_event *me = mr->event;
    struct peri_value *why = NULL;
    struct peri_error err = {0};
    bool matches = true;
    *ret_ready = false;
    bool asked = me->hearing && peri_hearing_asks(trigger); /* it is here because it matches */
    if (trigger->match && trigger->kind == PERI_TRIGGER_EVENT && !asked && !me->watch &&
        match_pattern(me, trigger->match, &matches, &why, &err) != PERI_OK) {
        keep_verdict(mr, peri_verdict_error(mr->rule, trigger, "match", err.message));
        return true;
    }
    if (!matches) {
        bool kept = keep_unmatched(mr, trigger, why);
        peri_value_unref(why);
        return kept;
    }
    peri_value_unref(why);
    struct peri_rule *full = mr->full;
    if (!full && pipe_rule_full(me->p, mr->rule, &full, &err) != PERI_OK) {
        keep_verdict(mr, peri_verdict_error(mr->rule, trigger, "conditions", err.message));
        return true;
    }
    if (!mr->full)
        mr->full = peri_rule_ref(full);
    *ret_ready = make_roots(mr, trigger);
    return *ret_ready;
}

/* --- triggers that watch over time --- */

/* Which steps of the sequence it is. */
static enum peri_status match_steps(struct match_event *me, const struct peri_trigger *trigger, uint32_t *ret_steps,
    struct peri_value **ret_why, struct peri_error *err)
{
    uint32_t steps = peri_sequence_types(trigger, me->event->type);
    for (size_t i = 0; i < trigger->step_count; i++) {
        bool matches = true;
        if ((steps >> i & 1) == 0 || !trigger->steps[i].match)
            continue;
        peri_value_unref(*ret_why);
        *ret_why = NULL;
        enum peri_status st = match_pattern(me, trigger->steps[i].match, &matches, ret_why, err);
        if (st != PERI_OK)
            return st;
        if (!matches)
            steps &= ~(UINT32_C(1) << i);
    }
    *ret_steps = steps;
    return PERI_OK;
}

/* Its key, with a verdict when it has none. */
static void note_heard(struct match_rule *mr, struct match_heard *heard)
{
    struct peri_error err = {0};
    enum peri_status st = find_key(mr, &heard->key, &err);
    if (st == PERI_OK && !mr->key && !(mr->key = peri_strdup(heard->key)))
        st = peri_error_nomem(&err);
    if (st == PERI_OK) {
        mr->heard_count++;
        return;
    }
    free(heard->key);
    keep_verdict(mr, peri_verdict_error(mr->rule, heard->trigger, "key", err.message));
}

/* What the trigger makes of it is for T2 to say; here, whether it concerns it. False: memory is out. */
static bool hear(struct match_rule *mr, const struct peri_trigger *trigger)
{
    struct match_event *me = mr->event;
    struct match_heard *heard = &mr->heard[mr->heard_count];
    struct peri_value *why = NULL;
    struct peri_error err = {0};
    enum peri_status st = PERI_OK;
    *heard = (struct match_heard){.trigger = trigger, .matches = true};
    if (trigger->kind == PERI_TRIGGER_SEQUENCE)
        st = match_steps(me, trigger, &heard->steps, &why, &err);
    else if (trigger->match)
        st = match_pattern(me, trigger->match, &heard->matches, &why, &err);
    if (st != PERI_OK) {
        keep_verdict(mr, peri_verdict_error(mr->rule, trigger, "match", err.message));
        return true;
    }
    bool concerns = trigger->kind == PERI_TRIGGER_SEQUENCE ? heard->steps != 0
                                                           : heard->matches || trigger->kind == PERI_TRIGGER_EVENT;
    bool kept = concerns || keep_unmatched(mr, trigger, why);
    peri_value_unref(why);
    if (!concerns)
        return kept;
    if (me->event->replay_of) {
        keep_verdict(mr, peri_verdict_watch(mr->rule, trigger, PERI_VERDICT_NO, 0, peri_trigger_kind_name(trigger),
                             "it was heard when it came: a replay is not heard again"));
        return true;
    }
    if (!make_roots(mr, trigger))
        return false;
    note_heard(mr, heard);
    return true;
}

/* All of them, whatever the other triggers of the rule say. */
static void hear_all(struct match_rule *mr)
{
    size_t count = 0;
    for (size_t i = 0; i < mr->trigger_count; i++)
        count += peri_trigger_watches(mr->triggers[i]);
    if (count == 0 || mr->event->watch)
        return;
    mr->heard = calloc(count, sizeof(*mr->heard));
    for (size_t i = 0; i < mr->trigger_count; i++)
        if (peri_trigger_watches(mr->triggers[i]) && (!mr->heard || !hear(mr, mr->triggers[i])))
            keep_verdict(mr, peri_verdict_error(mr->rule, mr->triggers[i], "match", "out of memory"));
}

static void next_trigger(struct match_rule *mr)
{
    struct match_event *me = mr->event;
    struct peri_pipeline *p = me->p;
    for (; mr->at < mr->trigger_count && !me->later; mr->at++) {
        const struct peri_trigger *trigger = mr->triggers[mr->at];
        bool ready = false;
        if (peri_trigger_watches(trigger) && !me->watch)
            continue;
        bool memory = try_pattern(mr, trigger, &ready);
        if (memory && !ready)
            continue;
        if (memory) {
            bool settled = peri_streq(peri_map_text(me->watch, "kind"), "quiet"); /* its conditions held already */
            struct evaluation_request request = {.condition = settled ? NULL : mr->full->condition,
                .rule = mr->full,
                .event = me->event,
                .payload = me->payload,
                .as_of = me->event->seq,
                .scope = peri_match_scope(&mr->roots, pipe_now(p), p->options.tz)};
            struct evaluation *evaluation = NULL;
            enum peri_status st = PERI_OK;
            bool asks = !peri_condition_is_pure(request.condition);
            if (asks && me->at_once) {
                match_later(mr);
                return;
            }
            if (asks)
                st = match_line_ask(mr);
            if (st == PERI_EBUSY)
                return;
            if (st == PERI_OK && pipe_evaluate(p, &request, conditions_done, mr, &evaluation) == PERI_OK) {
                if (evaluation) {
                    mr->evaluation = evaluation;
                    tell_key(mr);
                }
                return; /* conditions_done has gone on or will */
            }
        }
        keep_verdict(mr, peri_verdict_error(mr->rule, trigger, "conditions", "out of memory"));
    }
    if (!me->later)
        decide(mr);
}

void match_ask(struct match_rule *mr)
{
    next_trigger(mr);
}

/* --- which rules hear it --- */

static bool add_hit(struct match_event *me, struct peri_rule *rule, const struct peri_trigger *trigger, size_t most)
{
    /* The index answers the triggers of one rule side by side. */
    struct match_rule *mr = me->rule_count > 0 ? me->rules[me->rule_count - 1] : NULL;
    me->heard = true;
    if (me->stored_rules && peri_map_get(me->stored_rules, rule->id))
        return true;
    if (mr && mr->rule != rule)
        mr = NULL;
    if (!mr) {
        if (!me->rules)
            me->rules = calloc(most, sizeof(*me->rules));
        if (!me->rules)
            return false;
        mr = calloc(1, sizeof(*mr) + rule->trigger_count * sizeof(mr->triggers[0]));
        if (!mr)
            return false;
        mr->event = me;
        mr->rule = peri_rule_ref(rule);
        me->rules[me->rule_count++] = mr;
        me->p->pairs++;
    }
    if (mr->trigger_count < rule->trigger_count)
        mr->triggers[mr->trigger_count++] = trigger;
    return true;
}

/* The one trigger that an occurrence of a schedule is for. */
static bool find_target(struct match_event *me, size_t most)
{
    const struct peri_event *event = me->event;
    struct peri_rule *rule = pipe_rule_by_id(me->p, event->target_rule);
    if (!rule || !rule->enabled)
        return true;
    for (size_t i = 0; i < rule->trigger_count; i++)
        if (peri_streq(rule->triggers[i].id, event->target_trigger))
            return add_hit(me, rule, &rule->triggers[i], most);
    return true;
}

/* All patterns together. *ret_done: false when each has to be asked by itself. */
static bool find_together(struct match_event *me, bool *ret_done)
{
    struct peri_error err = {0};
    const uint32_t *numbers;
    size_t count = 0, rules = 0;
    struct peri_hearing *hearing = match_hearing(me->p, me->event->type);
    enum peri_status st = hearing ? match_hear(me->p, hearing, me->event, &numbers, &count, &err) : PERI_ENOTFOUND;
    *ret_done = st == PERI_OK;
    if (st != PERI_OK)
        return st != PERI_ENOMEM;
    me->hearing = peri_hearing_ref(hearing);
    me->heard = true;
    for (size_t i = 0; i < count; i++) {
        const struct peri_index_hit *hit = &hearing->hits[numbers[i]];
        rules += i == 0 || hearing->hits[numbers[i - 1]].rule != hit->rule;
        if (!add_hit(me, (struct peri_rule *)(uintptr_t)hit->rule, hit->trigger, count))
            return false;
    }
    me->unmatched = hearing->rules - rules;
    return true;
}

/* Does it name the type, or at least where it comes from? */
static bool hears_by_name(const struct peri_trigger *trigger, const char *type)
{
    const char *heard;
    for (size_t i = 0; (heard = peri_trigger_hears(trigger, i, NULL)) != NULL; i++)
        if (heard[0] != '*' && peri_glob_match(heard, type))
            return true;
    return false;
}

/* An event for everybody, for one rule (a replay), or for one trigger; of schedules others may hear besides. */
static bool find_rules(struct match_event *me)
{
    struct peri_index_hit few[32], *hits = few;
    struct peri_pipeline *p = me->p;
    const char *target = me->event->target_rule;
    bool only = target && me->event->target_trigger, schedule = peri_streq(me->event->source, PIPE_SCHEDULE_SOURCE);
    bool by_name = schedule || peri_streq(me->event->source, PIPE_SYSTEM_SOURCE); /* see system.c */
    if (only && !schedule)
        return find_target(me, 1);
    bool done = false;
    if (!target && !by_name && (!find_together(me, &done) || done))
        return done;
    size_t count = p->index ? peri_index_lookup(p->index, me->event->type, few, 32) : 0;
    if (count > 32) {
        hits = calloc(count, sizeof(*hits));
        if (!hits)
            return false;
        (void)peri_index_lookup(p->index, me->event->type, hits, count);
    }
    bool ok = !only || find_target(me, count + 1);
    for (size_t i = 0; ok && i < count; i++) {
        struct peri_rule *rule = (struct peri_rule *)(uintptr_t)hits[i].rule;
        bool its = target && peri_streq(rule->id, target);
        if ((only ? !its : !target || its) && (!by_name || hears_by_name(hits[i].trigger, me->event->type)))
            ok = add_hit(me, rule, hits[i].trigger, count + 1);
    }
    if (hits != few)
        free(hits);
    return ok;
}

/* Rules that are disabled and would hear it. They need room behind the others. */
static bool find_disabled(struct match_event *me)
{
    struct peri_pipeline *p = me->p;
    const char *target = me->event->target_rule;
    size_t count = p->off && !me->event->target_trigger ? peri_index_lookup(p->off, me->event->type, NULL, 0) : 0;
    struct peri_index_hit *hits = count ? calloc(count, sizeof(*hits)) : NULL;
    struct match_rule **grown =
        hits ? realloc(me->rules, (me->rule_count + count) * sizeof(struct match_rule *)) : NULL;
    bool ok = count == 0 || grown;
    bool by_name = peri_streq(me->event->source, PIPE_SYSTEM_SOURCE);
    if (grown)
        me->rules = grown;
    if (hits)
        (void)peri_index_lookup(p->off, me->event->type, hits, count);
    for (size_t i = 0; ok && i < count; i++) {
        struct peri_rule *rule = (struct peri_rule *)(uintptr_t)hits[i].rule;
        size_t before = me->rule_count;
        if ((target && !peri_streq(rule->id, target)) || (by_name && hits[i].trigger->event[0] == '*'))
            continue;
        ok = add_hit(me, rule, hits[i].trigger, count);
        if (ok && me->rule_count > before)
            me->rules[before]->off = true;
    }
    free(hits);
    return ok;
}

/* What an earlier T2 has stored of the event, before the restart or before it was parked. */
static enum peri_status read_stored(struct match_event *me, struct peri_error *err)
{
    struct peri_value *list = NULL;
    enum peri_status st = peri_reader_verdicts(me->p->reader, me->event->seq, &list, err);
    if (st != PERI_OK || peri_value_count(list) == 0) {
        peri_value_unref(list);
        return st;
    }
    char *text = peri_json_text(list, PERI_JSON_COMPACT);
    me->stored_rules = peri_map_create();
    bool bad = !text || !me->stored_rules;
    for (size_t i = 0; !bad && i < peri_value_count(list); i++) {
        const char *rule = peri_map_text(peri_list_at(list, i), "rule");
        bad = rule && !peri_map_set(me->stored_rules, rule, me, NULL);
    }
    me->stored = bad ? NULL : peri_strndup(text + 1, strlen(text) - 2);
    free(text);
    peri_value_unref(list);
    return me->stored ? PERI_OK : peri_error_nomem(err);
}

static void forget_stored(struct match_event *me)
{
    free(me->stored);
    peri_map_destroy(me->stored_rules, NULL);
    me->stored = NULL;
    me->stored_rules = NULL;
}

/* *ret_dead: why it is set aside, or NULL. False: it could not be read. */
static bool gather(struct match_event *me, bool again)
{
    struct peri_pipeline *p = me->p;
    struct peri_error err = {0};
    if (me->dead)
        return true;
    if (me->event->damaged) {
        me->dead = "the stored payload is damaged";
        return true;
    }
    if (me->event->hops >= PIPE_HOPS_MAX) {
        char *path = match_path(p, me->event);
        me->dead_text =
            path ? peri_asprintf("rules have been starting each other %d times in a row: %s", PIPE_HOPS_MAX, path)
                 : NULL;
        me->dead = me->dead_text ? me->dead_text : "rules have been starting each other 16 times in a row";
        free(path);
        peri_warn(
            p->options.log, "match", "ev-%llu: %s; it is set aside", (unsigned long long)me->event->seq, me->dead);
        return true;
    }
    if ((again || me->event->seq <= p->counted_seq) && read_stored(me, &err) != PERI_OK) {
        forget_stored(me);
        peri_err(p->options.log, "match", "ev-%llu: its verdicts cannot be read: %s",
            (unsigned long long)me->event->seq, err.message);
        return false;
    }
    if (peri_streq(me->event->source, PIPE_WATCH_SOURCE) && me->event->target_trigger)
        me->watch = peri_map_at(me->event->extensions, "watch");
    if (!find_rules(me) || !find_disabled(me)) {
        free_pairs(me);
        me->dead = "out of memory";
    }
    peri_map_destroy(me->stored_rules, NULL);
    me->stored_rules = NULL;
    return true;
}

static void begun(struct match_event *me)
{
    bool matters = false;
    me->beginning = false;
    for (size_t i = 0; i < me->rule_count; i++)
        matters = matters || (me->rules[i]->decided && match_matters(me->rules[i]));
    if (me->open == 0)
        match_ready(me);
    else if (matters)
        be_patient(me);
}

bool match_begin(struct peri_pipeline *p, struct match_event *me)
{
    if (!gather(me, false))
        return false;
    me->open = me->rule_count;
    me->beginning = true;
    match_cancels_find(me);
    for (size_t i = 0; i < me->rule_count; i++) {
        if (!me->rules[i]->off) {
            hear_all(me->rules[i]);
            next_trigger(me->rules[i]);
            continue;
        }
        keep_verdict(me->rules[i], peri_verdict_disabled(me->rules[i]->rule, me->rules[i]->triggers[0]));
        decide(me->rules[i]);
    }
    begun(me);
    return true;
}

bool match_begin_at_once(struct match_event *me)
{
    bool may = true;
    me->at_once = me->beginning = true;
    if (!find_rules(me) || !find_disabled(me) || !me->heard)
        return false;
    for (size_t i = 0; i < me->rule_count && may; i++)
        may = me->rules[i]->off || match_may_be_at_once(me->rules[i]->rule);
    me->open = me->rule_count;
    for (size_t i = 0; i < me->rule_count && may && !me->later; i++) {
        struct match_rule *mr = me->rules[i];
        if (mr->off) {
            keep_verdict(mr, peri_verdict_disabled(mr->rule, mr->triggers[0]));
            decide(mr);
        } else {
            next_trigger(mr);
        }
        may = mr->decided &&
              (mr->text_len > 0 || mr->fired || mr->no || (mr->verdict && !peri_verdict_is_error(mr->verdict)));
    }
    return may && me->open == 0;
}

bool match_begin_again(struct peri_pipeline *p, struct match_event *me, struct match_parked *parked)
{
    size_t kept = 0;
    if (!gather(me, true))
        return false;
    for (size_t i = 0; i < me->rule_count; i++) {
        struct match_rule *mr = me->rules[i];
        for (size_t k = 0; k < parked->count && !mr->place; k++)
            if (peri_streq(match_place_rule(parked->places[k]), mr->rule->id))
                mr->place = parked->places[k];
        if (mr->place) {
            mr->place->pair = mr;
            me->rules[kept++] = mr;
            hear_all(mr);
        } else { /* the rule is younger than the event */
            match_pair_free(mr);
        }
    }
    me->rule_count = kept;
    me->open = kept;
    match_line_unpark(p, parked);
    begun(me);
    return true;
}
