/* SPDX-License-Identifier: Apache-2.0 */
#include "app/run_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"

static void print_json_line(const char *label, const struct peri_value *v)
{
    if (!v || peri_value_is(v, PERI_NULL))
        return;
    char *text = peri_json_text(v, PERI_JSON_COMPACT);
    if (text)
        printf("%s%s\n", label, text);
    free(text);
}

static long long elapsed(const struct peri_value *v)
{
    const char *from = peri_map_text(v, "started"), *to = peri_map_text(v, "ended");
    int64_t a, b;
    if (!from)
        from = peri_map_text(v, "created");
    if (!from || !to || !peri_time_parse(from, strlen(from), &a) || !peri_time_parse(to, strlen(to), &b))
        return -1;
    return b - a;
}

static void print_error(const char *indent, const struct peri_value *error)
{
    if (!error || peri_value_is(error, PERI_NULL))
        return;
    const char *code = peri_map_text(error, "code"), *message = peri_map_text(error, "message");
    printf("%serror: %s [%s]\n", indent, message ? message : "", code ? code : "");
}

static void print_step(const struct peri_value *step)
{
    const char *id = peri_map_text(step, "id"), *op = peri_map_text(step, "operator");
    long long ms = elapsed(step), attempt = peri_map_int(step, "attempt", 1);
    printf("  %-3lld %-14s %s%s%s%s", (long long)peri_map_int(step, "n", 0), peri_map_text(step, "path"), op ? op : "",
        id ? " (" : "", id ? id : "", id ? ")" : "");
    printf(": %s", peri_map_text(step, "state"));
    if (attempt > 1)
        printf(", attempt %lld", attempt);
    if (ms >= 0)
        printf(", %lld ms", ms);
    putchar('\n');
    print_json_line("      params: ", peri_map_at(step, "params"));
    print_json_line("      result: ", peri_map_at(step, "result"));
    print_error("      ", peri_map_at(step, "error"));
}

/* ev-1 t.A -> run-1 (rule) -> ev-2 t.B */
static void print_trace(const char *label, const struct peri_value *trace)
{
    size_t n = peri_value_count(trace);
    if (n == 0)
        return;
    printf("%s", label);
    for (size_t i = 0; i < n; i++) {
        const struct peri_value *item = peri_list_at(trace, i);
        const char *run = peri_map_text(item, "run"), *rule = peri_map_text(item, "rule");
        if (run)
            printf("%s%s (%s) -> ", i > 0 ? " -> " : "", run, rule ? rule : "no longer kept");
        printf("%s %s", peri_map_text(item, "event"), peri_map_text(item, "type"));
    }
    putchar('\n');
}

static void print_emitted(const struct peri_value *emitted)
{
    for (size_t i = 0; i < peri_value_count(emitted); i++) {
        const struct peri_value *item = peri_list_at(emitted, i), *runs = peri_map_at(item, "runs");
        printf("  emitted %s %s", peri_map_text(item, "event"), peri_map_text(item, "type"));
        for (size_t k = 0; k < peri_value_count(runs); k++) {
            const struct peri_value *run = peri_list_at(runs, k);
            printf("%s %s (%s) %s", k ? "," : " ->", peri_map_text(run, "id"), peri_map_text(run, "rule"),
                peri_map_text(run, "state"));
        }
        putchar('\n');
    }
}

static void print_wait(const struct peri_value *wait)
{
    const char *step = peri_map_text(wait, "step"), *what = peri_map_text(wait, "for"),
               *op = peri_map_text(wait, "operator"), *event = peri_map_text(wait, "event");
    printf("  waits at %s", step ? step : peri_map_text(wait, "path"));
    if (peri_streq(what, "call"))
        printf(" for %s to answer", op ? op : "a call");
    else if (event)
        printf(" for %s", event);
    else
        printf(peri_streq(what, "answer") ? " for a person's answer" : " for its time");
    if (peri_map_text(wait, "until"))
        printf(", until %s", peri_map_text(wait, "until"));
    putchar('\n');
    print_json_line("      match: ", peri_map_at(wait, "match"));
    print_json_line("      prompt: ", peri_map_at(wait, "prompt"));
}

void peri_print_run(const struct peri_value *run)
{
    long long ms = elapsed(run);
    printf("%s  rule %s, event %s: %s", peri_map_text(run, "id"), peri_map_text(run, "rule"),
        peri_map_text(run, "event"), peri_map_text(run, "state"));
    if (ms >= 0)
        printf(", %lld ms", ms);
    if (peri_map_text(run, "wake"))
        printf(", until %s", peri_map_text(run, "wake"));
    putchar('\n');
    print_error("  ", peri_map_at(run, "error"));
    const struct peri_value *waiting = peri_map_at(run, "waiting");
    if (waiting)
        printf("  waits: %s [%s]\n", peri_map_text(waiting, "message"), peri_map_text(waiting, "code"));
    print_trace("  came from ", peri_map_at(run, "trace"));
    const struct peri_value *waits = peri_map_at(run, "waits_for");
    for (size_t i = 0; i < peri_value_count(waits); i++)
        print_wait(peri_list_at(waits, i));
    print_emitted(peri_map_at(run, "emitted"));
    const struct peri_value *steps = peri_map_at(run, "steps");
    for (size_t i = 0; i < peri_value_count(steps); i++)
        print_step(peri_list_at(steps, i));
}

/* Of the run that a verdict made, while something holds it back. */
static void print_now(const struct peri_value *now)
{
    const struct peri_value *waiting = peri_map_at(now, "waiting");
    const char *until = peri_map_text(now, "until");
    if (!now)
        return;
    printf("    the run is %s%s%s", peri_map_text(now, "state"), until ? " until " : "", until ? until : "");
    printf(": %s [%s]\n", peri_map_text(waiting, "message"), peri_map_text(waiting, "code"));
}

void peri_print_verdict(const struct peri_value *v)
{
    const char *at = peri_map_text(v, "at"), *reason = peri_map_text(v, "reason"), *run = peri_map_text(v, "run"),
               *op = peri_map_text(v, "operator");
    printf("%s: %s", peri_map_text(v, "rule"), peri_map_text(v, "verdict"));
    if (run)
        printf(" (%s)", run);
    if (at)
        printf(", at %s", at);
    if (op)
        printf(" %s", op);
    if (reason)
        printf(": %s", reason);
    putchar('\n');
    print_json_line("    ", peri_map_at(v, "detail"));
    print_now(peri_map_at(v, "now"));
    const struct peri_value *changed = peri_map_at(v, "data_of_now");
    for (size_t i = 0; i < peri_value_count(changed); i++)
        printf(
            "    %s was written after the event: what it says is of now\n", peri_value_text(peri_list_at(changed, i)));
}

void peri_print_event(const struct peri_value *event, const struct peri_value *verdicts)
{
    static const char *const keys[] = {
        "id", "type", "source", "subject", "external_id", "time", "received", "state", "cause", "replay_of", NULL};
    for (size_t i = 0; keys[i]; i++)
        if (peri_map_text(event, keys[i]))
            printf("%-12s %s\n", keys[i], peri_map_text(event, keys[i]));
    print_trace("came from    ", peri_map_at(event, "trace"));
    print_json_line("data         ", peri_map_at(event, "data"));
    bool open = peri_streq(peri_map_text(event, "state"), "journaled");
    printf("verdicts\n");
    if (open)
        printf("  %s not decided yet\n", peri_value_count(verdicts) == 0 ? "they are" : "others are");
    else if (peri_value_count(verdicts) == 0)
        printf("  no rule hears this type\n");
    for (size_t i = 0; i < peri_value_count(verdicts); i++) {
        printf("  ");
        peri_print_verdict(peri_list_at(verdicts, i));
    }
}
