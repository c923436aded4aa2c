/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers the rules of a backtest: the record for actions, the plugins for conditions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/backtest.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_runs.h"

static void free_value(void *value)
{
    peri_value_unref(value);
}

void peri_backtest_answers_finish(struct peri_backtest_answers *answers)
{
    peri_map_destroy(answers->by_event, free_value);
    peri_map_destroy(answers->by_call, free_value);
    peri_map_destroy(answers->by_operator, free_value);
    memset(answers, 0, sizeof(*answers));
}

/* ---- the record ---- */

/* take value */
static void keep(struct peri_backtest *test, struct peri_map *map, const char *key, struct peri_value *value)
{
    void *old = NULL;
    if (!value || !key || !peri_map_set(map, key, value, &old)) {
        peri_value_unref(value);
        test->failed = PERI_ENOMEM;
        return;
    }
    peri_value_unref(old);
}

static char *call_key(const char *operator_id, const struct peri_value *params)
{
    char *text = params ? peri_json_text(params, PERI_JSON_COMPACT) : peri_strdup("{}");
    char *key = text ? peri_asprintf("%s %s", operator_id, text) : NULL;
    free(text);
    return key;
}

/* The last attempt of each step that ended: what it was answered. */
static void remember_steps(struct peri_backtest *test, const struct peri_value *steps)
{
    struct peri_backtest_answers *a = &test->answers;
    for (size_t i = 0; i < peri_value_count(steps); i++) {
        const struct peri_value *step = peri_list_at(steps, i);
        const char *operator_id = peri_map_text(step, "operator"), *state = peri_map_text(step, "state");
        if (!operator_id || !strchr(operator_id, '.') || !peri_streq(state, "done"))
            continue;
        char *key = call_key(operator_id, peri_map_at(step, "params"));
        keep(test, a->by_call, key, peri_value_ref(step));
        keep(test, a->by_operator, operator_id, peri_value_ref(step));
        free(key);
    }
}

/* Steps of the runs that the rule had for the event; borrow. */
static const struct peri_value *steps_of(struct peri_backtest *test, uint64_t event, const char *rule)
{
    char key[300];
    struct peri_error err;
    snprintf(key, sizeof(key), "%llu %.250s", (unsigned long long)event, rule);
    struct peri_value *known = peri_map_get(test->answers.by_event, key), *runs = NULL, *all = NULL;
    if (known)
        return known;
    struct peri_run_filter filter = {.rule = rule, .event = event, .limit = 100};
    all = peri_value_list();
    if (peri_reader_runs(test->stage->recorded, &filter, &runs, &err) != PERI_OK)
        runs = NULL;
    for (size_t i = peri_value_count(runs); i-- > 0;) {
        uint64_t id = 0;
        struct peri_value *run = NULL;
        if (!peri_run_id_parse(peri_map_text(peri_list_at(runs, i), "id"), &id) ||
            peri_reader_run(test->stage->recorded, id, &run, &err) != PERI_OK)
            continue;
        const struct peri_value *steps = peri_map_at(run, "steps");
        for (size_t k = 0; all && k < peri_value_count(steps); k++)
            if (peri_list_push(all, peri_value_ref(peri_list_at(steps, k))) != PERI_OK)
                test->failed = PERI_ENOMEM;
        remember_steps(test, steps);
        peri_value_unref(run);
    }
    peri_value_unref(runs);
    keep(test, test->answers.by_event, key, all);
    return all;
}

/* The step of this very event and rule with the same operator and parameters; failures only from there. */
static const struct peri_value *same_step(const struct peri_value *steps, const struct peri_call *call)
{
    const struct peri_value *found = NULL;
    for (size_t i = 0; i < peri_value_count(steps); i++) {
        const struct peri_value *step = peri_list_at(steps, i);
        const char *state = peri_map_text(step, "state");
        if (peri_streq(peri_map_text(step, "operator"), call->operator_id) &&
            (peri_streq(state, "done") || peri_streq(state, "failed")) &&
            peri_value_equal(peri_map_at(step, "params"), call->params))
            found = step;
    }
    return found;
}

/* *ret_assumed: nothing was recorded for such a call. */
static const struct peri_value *recorded(struct peri_backtest *test, const struct peri_call *call, bool *ret_assumed)
{
    uint64_t seq = call->event ? call->event->seq : 0, event = seq < test->original_cap ? test->original[seq] : 0;
    const struct peri_value *step = NULL;
    if (test->stage->recorded && (event || test->last_original))
        step = same_step(steps_of(test, event ? event : test->last_original, call->rule_id), call);
    if (step)
        return step;
    char *key = call_key(call->operator_id, call->params);
    step = key ? peri_map_get(test->answers.by_call, key) : NULL;
    free(key);
    *ret_assumed = step == NULL;
    return step ? step : peri_map_get(test->answers.by_operator, call->operator_id);
}

static void note_assumed(struct peri_backtest *test, const struct peri_call *call)
{
    struct peri_value *list = call->run_id ? peri_map_get(test->assumed, call->run_id) : NULL;
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_value_text(peri_list_at(list, i)), call->operator_id))
            return;
    if (!call->run_id)
        return;
    if (!list)
        keep(test, test->assumed, call->run_id, list = peri_value_list());
    if (list && !test->failed && peri_list_push(list, peri_value_str(call->operator_id)) != PERI_OK)
        test->failed = PERI_ENOMEM;
}

/* ---- calls ---- */

struct asked {
    struct peri_backtest *test;
    struct peri_value *step; /* recorded; NULL: an empty answer */
    char *where;             /* "rule operator", of conditions */
    peri_call_done done;
    void *arg;
};

static void free_asked(struct asked *a)
{
    peri_value_unref(a->step);
    free(a->where);
    free(a);
}

static void deliver(void *arg)
{
    struct asked *a = arg;
    const struct peri_value *error = peri_map_at(a->step, "error");
    struct peri_call_result result = {.value = peri_map_at(a->step, "result")};
    if (peri_streq(peri_map_text(a->step, "state"), "failed")) {
        const char *code = peri_map_text(error, "code"), *message = peri_map_text(error, "message");
        result.status =
            peri_error_set(&result.error, PERI_EINVAL, code ? code : "failed", "%s", message ? message : "");
    }
    a->done(a->arg, &result);
    free_asked(a);
}

static enum peri_status answer(
    struct peri_backtest *test, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    bool assumed = false;
    struct asked *a = calloc(1, sizeof(*a));
    if (!a)
        return peri_error_nomem(err);
    *a = (struct asked){.test = test, .step = peri_value_ref(recorded(test, call, &assumed)), .done = done, .arg = arg};
    if (assumed)
        note_assumed(test, call);
    enum peri_status st = peri_loop_post(test->stage->bench.loop, deliver, a);
    if (st)
        free_asked(a);
    return st ? peri_error_set(err, st, NULL, "the call was not made") : PERI_OK;
}

/* What fails only because this is no service is told, as it may decide otherwise there. */
static void asked_plugin(void *arg, const struct peri_call_result *result)
{
    struct asked *a = arg;
    static const char *const here[] = {"http.unavailable", "dry_run", "secret.missing", "smtp.unavailable", NULL};
    for (const char *const *code = here; result->status && *code; code++) {
        void *old = NULL;
        char *copy = strcmp(*code, result->error.code) == 0 ? peri_strdup(*code) : NULL;
        if (copy && !peri_map_set(a->test->not_comparable, a->where, copy, &old))
            free(copy);
        free(old);
    }
    a->done(a->arg, result);
    free_asked(a);
}

static enum peri_status ask_plugin(
    struct peri_backtest *test, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct peri_call as_recorded = *call;
    struct asked *a = calloc(1, sizeof(*a));
    if (!a || !(a->where = peri_asprintf("%s %s", call->rule_id ? call->rule_id : "?", call->operator_id))) {
        free(a);
        return peri_error_nomem(err);
    }
    a->test = test;
    a->done = done;
    a->arg = arg;
    if (call->as_of) { /* positions here are not those of the data */
        uint64_t original = call->as_of < test->original_cap ? test->original[call->as_of] : 0;
        as_recorded.as_of = original ? original : test->last_original;
    }
    enum peri_status st = peri_host_call(test->stage->bench.host, &as_recorded, asked_plugin, a, err);
    if (st)
        free_asked(a);
    return st;
}

static bool lookup(void *ctx, const char *id, enum peri_delivery *ret)
{
    struct peri_backtest *test = ctx;
    bool script = strcmp(id, PERI_RULE_LUA) == 0;
    *ret = PERI_DELIVERY_REPEAT;
    return script || peri_host_operator(test->stage->bench.host, id);
}

static enum peri_status call(
    void *ctx, const struct peri_call *c, peri_call_done done, void *arg, struct peri_error *err)
{
    struct peri_backtest *test = ctx;
    const struct peri_operator *op = peri_host_operator(test->stage->bench.host, c->operator_id);
    bool harmless = strcmp(c->operator_id, PERI_RULE_LUA) == 0 || (op && op->is_condition);
    return harmless ? ask_plugin(test, c, done, arg, err) : answer(test, c, done, arg, err);
}

void peri_backtest_ops(struct peri_backtest *test, struct peri_run_ops *ret)
{
    test->answers.by_event = peri_map_create();
    test->answers.by_call = peri_map_create();
    test->answers.by_operator = peri_map_create();
    if (!test->answers.by_event || !test->answers.by_call || !test->answers.by_operator)
        test->failed = PERI_ENOMEM;
    *ret = (struct peri_run_ops){.lookup = lookup, .call = call, .ctx = test};
}
