/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a backtest, without what depends on how things are numbered: runs by what woke them, and their effects.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/backtest.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"
#include "data/json.h"
#include "io/store_runs.h"
#include "run/verdicts_read.h"

#define PAGE 1000

/* ---- events in words ---- */

struct naming {
    struct peri_backtest *test;
    struct peri_backtest_result *result;
    struct peri_map *ordinals; /* words without an ordinal -> how many */
    size_t cap, seen;
    uint64_t last;
    bool nomem;
};

/* An event that was made here has no number that means anything: it is told by what made it and when. */
static char *words_of(struct naming *n, const struct peri_event *event)
{
    char when[PERI_TIME_TEXT], id[PERI_ID_TEXT];
    uint64_t original = event->seq < n->test->original_cap ? n->test->original[event->seq] : 0;
    if (original)
        return peri_strdup(peri_event_id(original, id));
    peri_time_format(event->received_ms, when);
    const char *key = peri_map_text(peri_map_at(event->extensions, "watch"), "key");
    char *words =
        peri_asprintf("%s from %s%s%s%s%s%s%s at %s", event->type, event->source, event->target_rule ? " for " : "",
            event->target_rule ? event->target_rule : "", event->target_trigger ? "/" : "",
            event->target_trigger ? event->target_trigger : "", key ? " key " : "", key ? key : "", when);
    size_t count = words ? (size_t)(uintptr_t)peri_map_get(n->ordinals, words) + 1 : 0;
    if (words && !peri_map_set(n->ordinals, words, (void *)(uintptr_t)count, NULL))
        n->nomem = true;
    if (words && count > 1) {
        char *more = peri_asprintf("%s (%zu)", words, count);
        free(words);
        words = more;
    }
    return words;
}

static enum peri_status name_event(void *arg, struct peri_event *event)
{
    struct naming *n = arg;
    struct peri_backtest_result *r = n->result;
    size_t before = n->cap;
    if (!peri_vec_grow(&r->events, &n->cap, event->seq + 1, sizeof(*r->events)))
        return PERI_ENOMEM;
    if (n->cap > before)
        memset(r->events + before, 0, (n->cap - before) * sizeof(*r->events));
    r->events[event->seq] = words_of(n, event);
    if (!r->events[event->seq] ||
        !peri_map_set(r->by_event, r->events[event->seq], (void *)(uintptr_t)event->seq, NULL))
        n->nomem = true;
    r->event_count = event->seq + 1;
    n->last = event->seq;
    n->seen++;
    return n->nomem ? PERI_ENOMEM : PERI_OK;
}

static enum peri_status name_events(
    struct peri_backtest *test, struct peri_backtest_result *ret, struct peri_error *err)
{
    struct naming n = {.test = test, .result = ret, .ordinals = peri_map_create()};
    enum peri_status st = n.ordinals ? PERI_OK : peri_error_nomem(err);
    do {
        n.seen = 0;
        if (st == PERI_OK)
            st = peri_reader_journal(test->reader, n.last, PAGE, name_event, &n, err);
    } while (st == PERI_OK && n.seen == PAGE);
    peri_map_destroy(n.ordinals, NULL);
    return st;
}

/* ---- runs ---- */

static int64_t time_of(const struct peri_value *map, const char *key)
{
    const char *text = peri_map_text(map, key);
    int64_t ms = 0;
    if (text)
        (void)peri_time_parse(text, strlen(text), &ms);
    return ms;
}

/* The run's own id and that of its event, wherever parameters name them. */
static struct peri_value *unnumbered(const struct peri_value *params, const char *run, const char *event)
{
    struct peri_value *v = NULL;
    struct peri_buf out;
    char *text = peri_json_text(params, PERI_JSON_COMPACT);
    size_t run_len = strlen(run), event_len = strlen(event);
    peri_buf_init(&out, 16 << 20);
    for (const char *p = text; p && *p;) {
        bool is_run = strncmp(p, run, run_len) == 0 && (p[run_len] < '0' || p[run_len] > '9');
        bool is_event = !is_run && strncmp(p, event, event_len) == 0 && (p[event_len] < '0' || p[event_len] > '9');
        if (is_run || is_event) {
            (void)peri_buf_puts(&out, is_run ? "<run>" : "<event>");
            p += is_run ? run_len : event_len;
        } else {
            (void)peri_buf_putc(&out, *p++);
        }
    }
    if (text && !out.failed && peri_json_parse(peri_buf_text(&out), out.len, &v, NULL) != PERI_OK)
        v = NULL;
    peri_buf_finish(&out);
    free(text);
    return v;
}

static bool is_effect(const struct peri_value *step)
{
    const char *operator_id = peri_map_text(step, "operator"), *state = peri_map_text(step, "state");
    return operator_id && (strchr(operator_id, '.') || strcmp(operator_id, "emit") == 0) &&
           !peri_streq(state, "skipped");
}

static struct peri_value *effects_of(const struct peri_value *run)
{
    const struct peri_value *steps = peri_map_at(run, "steps");
    struct peri_value *list = peri_value_list();
    int64_t created = time_of(run, "created");
    for (size_t i = 0; list && i < peri_value_count(steps); i++) {
        const struct peri_value *step = peri_list_at(steps, i), *later = peri_list_at(steps, i + 1);
        if (!is_effect(step) || (later && peri_map_int(later, "n", -1) == peri_map_int(step, "n", -2)))
            continue; /* of several attempts the last */
        struct peri_value *one = peri_value_map(),
                          *params = peri_map_at(step, "params")
                                        ? unnumbered(peri_map_at(step, "params"), peri_map_text(run, "id"),
                                              peri_map_text(run, "event"))
                                        : peri_value_map();
        bool good = one && params && peri_map_put_text(one, "operator", peri_map_text(step, "operator")) == PERI_OK &&
                    peri_map_put_ref(one, "params", params) == PERI_OK &&
                    peri_map_put_int(one, "after_ms", time_of(step, "started") - created) == PERI_OK;
        peri_value_unref(params);
        if (!good) {
            peri_value_unref(one);
            one = NULL;
        }
        if (peri_list_push(list, one) != PERI_OK) {
            peri_value_unref(list);
            return NULL;
        }
    }
    return list;
}

/* take doc */
static enum peri_status add_run(
    struct peri_backtest *test, struct peri_backtest_result *ret, struct peri_value *doc, struct peri_error *err)
{
    struct peri_backtest_run run = {.doc = doc,
        .rule = peri_map_text(doc, "rule"),
        .trigger = peri_map_text(doc, "trigger"),
        .time_ms = time_of(doc, "created"),
        .assumed = peri_map_get(test->assumed, peri_map_text(doc, "id")),
        .effects = effects_of(doc)};
    (void)peri_event_id_parse(peri_map_text(doc, "event"), &run.seq);
    const char *words = run.seq < ret->event_count ? ret->events[run.seq] : NULL;
    run.event = peri_strdup(words ? words : "?");
    run.key = peri_asprintf("%s %s %s", run.event ? run.event : "", run.rule, run.trigger);
    if (run.effects && run.event && run.key &&
        peri_vec_grow(&ret->runs, &ret->cap, ret->count + 1, sizeof(*ret->runs))) {
        ret->runs[ret->count++] = run;
        return PERI_OK;
    }
    free(run.event);
    free(run.key);
    peri_value_unref(run.effects);
    peri_value_unref(doc);
    return peri_error_nomem(err);
}

static int by_time(const void *a, const void *b)
{
    const struct peri_backtest_run *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return strcmp(x->key, y->key);
}

enum peri_status peri_backtest_result(
    struct peri_backtest *test, struct peri_backtest_result *ret, struct peri_error *err)
{
    struct peri_run_filter filter = {.limit = PAGE};
    memset(ret, 0, sizeof(*ret));
    ret->by_key = peri_map_create();
    ret->by_event = peri_map_create();
    enum peri_status st = ret->by_key && ret->by_event ? name_events(test, ret, err) : peri_error_nomem(err);
    for (size_t n = PAGE; st == PERI_OK && n == PAGE;) {
        struct peri_value *page = NULL;
        st = peri_reader_runs(test->reader, &filter, &page, err);
        n = st == PERI_OK ? peri_value_count(page) : 0;
        for (size_t i = 0; st == PERI_OK && i < n; i++) {
            struct peri_value *doc = NULL;
            (void)peri_run_id_parse(peri_map_text(peri_list_at(page, i), "id"), &filter.before);
            st = peri_reader_run(test->reader, filter.before, &doc, err);
            if (st == PERI_OK)
                st = add_run(test, ret, doc, err);
        }
        peri_value_unref(page);
    }
    if (ret->count)
        qsort(ret->runs, ret->count, sizeof(*ret->runs), by_time);
    for (size_t i = 0; st == PERI_OK && i < ret->count; i++)
        if (!peri_map_set(ret->by_key, ret->runs[i].key, &ret->runs[i], NULL))
            st = peri_error_nomem(err);
    if (st)
        peri_backtest_result_finish(ret);
    return st;
}

void peri_backtest_result_finish(struct peri_backtest_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        free(result->runs[i].key);
        free(result->runs[i].event);
        peri_value_unref(result->runs[i].doc);
        peri_value_unref(result->runs[i].effects);
    }
    for (size_t i = 0; i < result->event_count; i++)
        free(result->events[i]);
    free(result->runs);
    free(result->events);
    peri_map_destroy(result->by_key, NULL);
    peri_map_destroy(result->by_event, NULL);
    memset(result, 0, sizeof(*result));
}

struct peri_value *peri_backtest_verdict(
    const struct peri_backtest *test, const struct peri_backtest_result *result, const char *event, const char *rule)
{
    uint64_t seq = (uint64_t)(uintptr_t)peri_map_get(result->by_event, event);
    struct peri_value *list = NULL, *found = NULL;
    struct peri_error err;
    if (!seq || peri_verdicts_read(test->reader, seq, NULL, &list, &err) != PERI_OK)
        return NULL;
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_map_text(peri_list_at(list, i), "rule"), rule))
            found = peri_value_ref(peri_list_at(list, i));
    peri_value_unref(list);
    return found;
}
