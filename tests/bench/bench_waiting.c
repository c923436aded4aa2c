/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_db.h"
#include "io/store_runs.h"
#include "lang/rule.h"
#include "run/run.h"

/* Fills a database for measurements that would take long through the door.
 *
 *   bench_waiting runs FOLDER COUNT SECONDS    COUNT runs that sleep; the last hundred of them are due SECONDS from
 * now, one after the other, ten a second, and emit an event "bench.Woken" bench_waiting calls FOLDER COUNT COUNT calls
 * of 100,000 contacts, an eighth of them missed; then asks 10,000 times how many of one contact were missed in 30 days
 *
 * FOLDER is a state folder; perigee.db must not exist. A service that is started on it has the rest to do. The calls of
 * a contact are written one after the other, as an import does that is sorted, and the index by time is made at the
 * end: with both indexes there, each group of rows would change as many pages as it has rows, at random places. */

#define GROUP 20000
#define CONTACTS 100000
#define ASKED 10000
#define DUE_RUNS 100
#define DELAY_MS (INT64_C(30) * 86400000)

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what, const struct peri_error *err)
{
    fprintf(stderr, "bench_waiting: %s: %s\n", what, err ? err->message : "");
    exit(1);
}

static const char rule_text[] = "name: Waiting\ntrigger: {event: bench.Wait}\nactions:\n  - delay: 30d\n"
                                "  - emit: {event: bench.Woken, data: {due: \"{{ event.due }}\"}}\n";

struct filling {
    struct peri_rule *rule;
    long first, count, total;
    int64_t now_ms, due_ms;
    char *pos, *vars;
    char *kprefix;
};

/* Position and variables of a run that began its delay then, as the machine writes them. */
static void make_position(struct filling *f, int64_t began_ms)
{
    struct peri_run *run = peri_run_create(f->rule, f->kprefix, began_ms);
    struct peri_run_effects effects;
    char *error = NULL;
    free(f->pos);
    free(f->vars);
    f->pos = f->vars = NULL;
    peri_run_effects_init(&effects);
    struct peri_run_input input = {.kind = PERI_INPUT_GO, .now_ms = began_ms};
    if (!run || peri_run_advance(run, &input, &effects) || run->state != PERI_RUN_SLEEPING ||
        peri_run_write(run, &f->pos, &f->vars, &error))
        die("a run that waits", NULL);
    free(error);
    peri_run_effects_finish(&effects);
    peri_run_destroy(run);
}

/* One event and one run that waits in its first step. */
static enum peri_status fill_runs(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct filling *f = arg;
    enum peri_status st = peri_tx_ruleset_put(tx, f->rule->hash, f->rule->text, f->rule->id, err);
    for (long i = f->first; !st && i < f->first + f->count; i++) {
        bool soon = i >= f->total - DUE_RUNS;
        int64_t due = soon ? f->due_ms + (i - (f->total - DUE_RUNS)) * 100 : f->now_ms + DELAY_MS;
        if (soon)
            make_position(f, due - DELAY_MS);
        struct peri_event *event = peri_event_create();
        uint64_t id;
        event->source = peri_strdup("bench");
        event->type = peri_strdup("bench.Wait");
        event->data = peri_asprintf("{\"due\":%lld}", (long long)due);
        event->data_len = strlen(event->data);
        event->time_ms = event->received_ms = f->now_ms;
        st = peri_tx_event_insert(tx, event, err);
        if (!st)
            st = peri_tx_event_done(tx, event->seq, PERI_EVENT_MATCHED, "[]", err);
        struct peri_run_row row = {.rule = f->rule->id,
            .rhash = f->rule->hash,
            .event = event->seq,
            .trigger = f->rule->triggers[0].id,
            .state = PERI_RUN_SLEEPING,
            .pos = f->pos,
            .vars = f->vars,
            .kprefix = f->kprefix,
            .created_ms = f->now_ms};
        if (!st)
            st = peri_tx_run_insert(tx, &row, &id, err);
        row.id = id;
        row.wake_ms = due;
        row.base_ms = DELAY_MS;
        if (!st)
            st = peri_tx_run_update(tx, &row, PERI_RUN_SLEEPING, err);
        peri_event_unref(event);
    }
    return st;
}

/* As JSON text, in one piece: what the door would have parsed. The calls of a contact are half an hour to weeks old. */
static enum peri_status fill_calls(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct filling *f = arg;
    enum peri_status st = PERI_OK;
    long each = f->total / CONTACTS > 0 ? f->total / CONTACTS : 1;
    for (long i = f->first; !st && i < f->first + f->count; i++) {
        char text[256], time[PERI_TIME_TEXT];
        struct peri_value *call = NULL;
        long contact = i / each % CONTACTS, nth = i % each;
        peri_time_format(f->now_ms - (nth + 1) * (INT64_C(40) * 86400000 / each) - contact, time);
        int n = snprintf(text, sizeof(text),
            "{\"id\":\"call-%09ld\",\"contactId\":\"contact-%06ld\",\"missed\":%s,\"direction\":\"inbound\","
            "\"startedAt\":\"%s\"}",
            i, contact, i % 8 == 0 ? "true" : "false", time);
        st = peri_json_parse(text, (size_t)n, &call, err);
        if (!st)
            st = peri_tx_entity_put(tx, "call", call, NULL, NULL, err);
        peri_value_unref(call);
    }
    return st;
}

/* What the condition asks the store, as it asks it. Microseconds. */
static double ask(struct peri_store *store, const struct filling *f)
{
    struct peri_error err;
    struct peri_reader *reader;
    char since[PERI_TIME_TEXT];
    size_t found = 0;
    uint32_t random = 1;
    if (peri_store_reader(store, &reader, &err))
        die("reader", &err);
    peri_time_format(f->now_ms - DELAY_MS, since);
    double begin = now();
    for (int i = 0; i < ASKED; i++) {
        char text[160];
        struct peri_value *where = NULL;
        random = random * 1664525 + 1013904223;
        int n = snprintf(text, sizeof(text),
            "{\"missed\":true,\"contactId\":\"contact-%06u\",\"startedAt\":{\"gte\":\"%s\"}}", random / 7 % CONTACTS,
            since);
        struct peri_query q = {.type = "call", .count_only = true};
        size_t count = 0;
        if (peri_json_parse(text, (size_t)n, &where, &err))
            die("where", &err);
        q.where = where;
        if (peri_reader_query(reader, &q, NULL, &count, &err))
            die("query", &err);
        found += count;
        peri_value_unref(where);
    }
    double us = (now() - begin) / ASKED * 1e6;
    peri_reader_close(reader);
    if (found == 0)
        die("no call was found", NULL);
    return us;
}

/* The index by time goes, and comes back; f->pos keeps its text meanwhile. */
static enum peri_status swap_index(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct filling *f = arg;
    struct peri_stmt q;
    bool row = false;
    if (f->pos)
        return peri_db_exec(tx->db, f->pos, err);
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "SELECT sql FROM sqlite_schema WHERE name='entity_call_started'", err);
    if (st)
        return st;
    st = peri_stmt_row(&q, &row, err);
    if (!st && row)
        st = peri_stmt_dup(&q, 0, &f->pos, err);
    peri_stmt_close(&q);
    return st || !f->pos ? st : peri_db_exec(tx->db, "DROP INDEX entity_call_started", err);
}

static void fill(struct peri_store *store, struct filling *f, peri_store_fn fn)
{
    struct peri_error err;
    for (f->first = 0; f->first < f->total; f->first += GROUP) {
        f->count = f->total - f->first < GROUP ? f->total - f->first : GROUP;
        if (peri_store_run(store, fn, f, &err))
            die("writing", &err);
        if (isatty(STDERR_FILENO) || (f->first + f->count) % 1000000 < GROUP)
            fprintf(stderr, "bench_waiting: %ld of %ld\n", f->first + f->count, f->total);
    }
}

static struct peri_rule *read_rule(const char *folder)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    char *path = peri_asprintf("%s/waiting.yaml", folder);
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file || fputs(rule_text, file) < 0 || fclose(file) != 0)
        die("waiting.yaml", NULL);
    peri_diag_init(&diag);
    if (peri_rules_load_file(path, NULL, &list, &diag) || list.count != 1)
        die("the rule", NULL);
    struct peri_rule *rule = peri_rule_ref(list.items[0]);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    free(path);
    return rule;
}

int main(int argc, char **argv)
{
    struct peri_store *store;
    struct peri_reader *reader;
    struct peri_error err;
    struct filling f = {0};
    long long count = 0, seconds = 0;
    bool runs = argc == 5 && strcmp(argv[1], "runs") == 0, calls = argc == 4 && strcmp(argv[1], "calls") == 0;
    if ((!runs && !calls) || !peri_parse_i64(argv[3], &count) || count < DUE_RUNS ||
        (runs && !peri_parse_i64(argv[4], &seconds))) {
        fprintf(stderr, "usage: bench_waiting runs FOLDER COUNT SECONDS\n       bench_waiting calls FOLDER COUNT\n");
        return 2;
    }
    char *path = peri_asprintf("%s/perigee.db", argv[2]);
    struct peri_clock clock = peri_clock_system();
    double begin = now();
    mkdir(argv[2], 0700);
    if (peri_store_open(&(struct peri_store_options){.path = path, .clock = clock}, &store, &err) ||
        peri_store_reader(store, &reader, &err) || peri_reader_meta(reader, "instance", &f.kprefix, &err))
        die(argv[2], &err);
    peri_reader_close(reader);
    f.total = (long)count;
    f.now_ms = peri_clock_wall_ms(&clock);
    f.due_ms = f.now_ms + seconds * 1000;
    if (runs) {
        f.rule = read_rule(argv[2]);
        make_position(&f, f.now_ms);
    }
    if (calls && (peri_store_run(store, swap_index, &f, &err) || !f.pos))
        die("the index by time", &err);
    fill(store, &f, runs ? fill_runs : fill_calls);
    if (calls && peri_store_run(store, swap_index, &f, &err))
        die("the index by time", &err);
    double filled = now() - begin, asked = calls ? ask(store, &f) : 0;
    peri_store_close(store);
    printf("{\"rows\":%lld,\"seconds\":%.1f,\"due_ms\":%lld,\"query_us\":%.1f}\n", count, filled, (long long)f.due_ms,
        asked);
    peri_rule_unref(f.rule);
    free(f.pos);
    free(f.vars);
    free(f.kprefix);
    free(path);
    return 0;
}
