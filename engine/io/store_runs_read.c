/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_runs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"
#include "io/store_db.h"
#include "io/store_events.h"
#include "io/store_trace.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000

/* Column order of run_row(). */
#define RUN_COLUMNS                                                                                                    \
    "id,rule,rhash,event,trig,state,pos,wake,base,vars,kprefix,intr,retry_of,created,ended,error,"                     \
    "ckey"
/* How far the wall clock is ahead of what waits are stored in. */
#define CLOCK_OFFSET "coalesce((SELECT CAST(v AS INTEGER) FROM meta WHERE k='clock_offset'),0)"
#define RUN_POS 6
#define RUN_ERROR 15
#define RUN_OFFSET 17 /* of those that are shown */
#define RUN_GATED 18  /* the same: position of a branch that is put off */
#define GATED_BRANCH                                                                                                   \
    "CASE WHEN state=3 THEN (SELECT t.pos FROM tracks t WHERE t.run=runs.id AND instr(t.pos,'\"gated\"')>0 ORDER BY "  \
    "t.t LIMIT 1) END"
/* Column order of step_row(). */
#define STEP_COLUMNS "run,n,attempt,path,op,step_id,state,started,ended,req,out,error,key,crc"

static struct peri_run_row run_row(struct peri_stmt *q)
{
    return (struct peri_run_row){.id = (uint64_t)peri_stmt_get_int(q, 0),
        .rule = peri_stmt_get_text(q, 1),
        .rhash = peri_stmt_get_text(q, 2),
        .event = (uint64_t)peri_stmt_get_int(q, 3),
        .trigger = peri_stmt_get_text(q, 4),
        .state = (enum peri_run_state)peri_stmt_get_int(q, 5),
        .pos = peri_stmt_get_text(q, 6),
        .wake_ms = peri_stmt_get_int(q, 7),
        .base_ms = peri_stmt_get_int(q, 8),
        .vars = peri_stmt_get_text(q, 9),
        .kprefix = peri_stmt_get_text(q, 10),
        .interruptions = (int)peri_stmt_get_int(q, 11),
        .retry_of = (uint64_t)peri_stmt_get_int(q, 12),
        .created_ms = peri_stmt_get_int(q, 13),
        .ended_ms = peri_stmt_get_int(q, 14),
        .error = peri_stmt_get_text(q, RUN_ERROR),
        .ckey = peri_stmt_get_text(q, RUN_ERROR + 1)};
}

static enum peri_status step_row(struct peri_stmt *q, struct peri_step_row *ret, struct peri_error *err)
{
    *ret = (struct peri_step_row){.run = (uint64_t)peri_stmt_get_int(q, 0),
        .n = (int)peri_stmt_get_int(q, 1),
        .attempt = (int)peri_stmt_get_int(q, 2),
        .path = peri_stmt_get_text(q, 3),
        .op = peri_stmt_get_text(q, 4),
        .step_id = peri_stmt_get_text(q, 5),
        .state = (enum peri_attempt_state)peri_stmt_get_int(q, 6),
        .started_ms = peri_stmt_get_int(q, 7),
        .ended_ms = peri_stmt_get_int(q, 8),
        .params = peri_stmt_get_text(q, 9),
        .result = peri_stmt_get_text(q, 10),
        .error = peri_stmt_get_text(q, 11),
        .key = peri_stmt_get_text(q, 12)};
    if (peri_step_crc(ret->params, ret->result) != (uint32_t)peri_stmt_get_int(q, 13))
        return peri_db_damage(q->db, err, "corrupt.step",
            "what is stored of step %d of run-%" PRIu64 " is not what was written", ret->n, ret->run);
    return PERI_OK;
}

enum peri_status peri_reader_ruleset(struct peri_reader *reader, const char *hash, char **ret, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT text FROM rulesets WHERE hash=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, hash);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "no rule text with hash %s is kept", hash);
    if (!st)
        st = peri_stmt_dup(&q, 0, ret, err);
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_run_row(struct peri_reader *reader, uint64_t id,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT " RUN_COLUMNS " FROM runs WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no run run-%" PRIu64, id);
    if (!st) {
        struct peri_run_row r = run_row(&q);
        st = fn(arg, &r);
    }
    peri_stmt_close(&q);
    return st;
}

#define LIVE_PAGE 1000

/* First the rows, then what is to be done with them: no read transaction stays open while fn works. */
static enum peri_status read_page(struct peri_reader *reader, uint64_t after, struct peri_run_row *rows, size_t limit,
    size_t *ret_count, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, 0);
    *ret_count = 0;
    enum peri_status st = peri_stmt_open(&q, &reader->db,
        "SELECT id,state,wake,base FROM runs INDEXED BY runs_live WHERE state<10 AND id>? ORDER BY id LIMIT ?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)after);
    peri_stmt_int(&q, (int64_t)limit);
    while (!(st = peri_stmt_row(&q, &row, err)) && row)
        rows[(*ret_count)++] = (struct peri_run_row){.id = (uint64_t)peri_stmt_get_int(&q, 0),
            .state = (enum peri_run_state)peri_stmt_get_int(&q, 1),
            .wake_ms = peri_stmt_get_int(&q, 2),
            .base_ms = peri_stmt_get_int(&q, 3)};
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_live_page(struct peri_reader *reader, uint64_t after, size_t limit,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg, struct peri_error *err)
{
    size_t count = 0;
    struct peri_run_row *rows = calloc(limit, sizeof(*rows));
    if (!rows)
        return peri_error_nomem(err);
    enum peri_status st = read_page(reader, after, rows, limit, &count, err);
    for (size_t i = 0; !st && i < count; i++)
        st = fn(arg, &rows[i]);
    free(rows);
    return st;
}

enum peri_status peri_reader_live_marks(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, 0);
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT id,state,wake,base FROM runs INDEXED BY runs_live WHERE state<10 ORDER BY id", err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        struct peri_run_row mark = {.id = (uint64_t)peri_stmt_get_int(&q, 0),
            .state = (enum peri_run_state)peri_stmt_get_int(&q, 1),
            .wake_ms = peri_stmt_get_int(&q, 2),
            .base_ms = peri_stmt_get_int(&q, 3)};
        if ((st = fn(arg, &mark)))
            break;
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_wall_runs(
    struct peri_reader *reader, enum peri_status (*fn)(void *arg, uint64_t run), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, 0);
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT id FROM runs INDEXED BY runs_wall WHERE wall>0 AND state<10 ORDER BY id", err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row)
        if ((st = fn(arg, (uint64_t)peri_stmt_get_int(&q, 0))))
            break;
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_reader_live_runs(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_run_row *row), void *arg, struct peri_error *err)
{
    struct peri_run_row *rows = calloc(LIVE_PAGE, sizeof(*rows));
    size_t count = LIVE_PAGE;
    uint64_t after = 0;
    enum peri_status st = rows ? PERI_OK : peri_error_nomem(err);
    while (!st && count == LIVE_PAGE) {
        st = read_page(reader, after, rows, LIVE_PAGE, &count, err);
        for (size_t i = 0; !st && i < count; i++) {
            after = rows[i].id;
            st = fn(arg, &rows[i]);
        }
    }
    free(rows);
    return st;
}

enum peri_status peri_reader_attempt(struct peri_reader *reader, uint64_t run, int n, int attempt,
    enum peri_status (*fn)(void *arg, const struct peri_step_row *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st =
        peri_stmt_open(&q, &reader->db, "SELECT " STEP_COLUMNS " FROM steps WHERE run=? AND n=? AND attempt=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    peri_stmt_int(&q, n);
    peri_stmt_int(&q, attempt);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "run-%" PRIu64 " has no attempt %d.%d", run, n, attempt);
    struct peri_step_row step;
    if (!st)
        st = step_row(&q, &step, err);
    if (!st)
        st = fn(arg, &step);
    peri_stmt_close(&q);
    return st;
}

/* ---- public forms ---- */

static enum peri_status put_json(
    struct peri_stmt *q, int column, struct peri_value *map, const char *key, struct peri_error *err)
{
    struct peri_value *v = NULL;
    enum peri_status st = peri_stmt_json(q, column, &v, err);
    if (!st && v && peri_map_put(map, key, v))
        st = peri_error_nomem(err);
    return st;
}

static void paused_text(const struct peri_run_row *r, int64_t since_ms, char *out, size_t size)
{
    char time[PERI_TIME_TEXT];
    if (!since_ms)
        snprintf(out, size, "paused by `perigee recover': look at it, then `perigee runs resume'");
    else
        snprintf(out, size, "paused by a person, %s%s",
            r->state == PERI_RUN_PAUSED ? "since " : "as soon as its call has ended; asked for at ",
            peri_time_format(since_ms, time));
}

/* Why it does not go on: {code, message, until?} from the position that it sleeps at, or who has paused it. Of
 * branches, the first that is put off. */
static enum peri_status put_waiting(
    struct peri_stmt *q, const struct peri_run_row *r, struct peri_value *map, struct peri_error *err)
{
    struct peri_value *pos = NULL;
    char text[160];
    const char *branch = r->state == PERI_RUN_SLEEPING ? peri_stmt_get_text(q, RUN_GATED) : NULL;
    bool gated = branch || (r->state == PERI_RUN_SLEEPING && r->pos && strstr(r->pos, "\"gated\""));
    bool paused = r->state == PERI_RUN_PAUSED || (r->state == PERI_RUN_RUNNING && strstr(r->pos, "\"paused\":"));
    if (!gated && !paused)
        return PERI_OK;
    enum peri_status st = peri_stmt_json(q, branch ? RUN_GATED : RUN_POS, &pos, err);
    const struct peri_value *last = st ? NULL : peri_map_at(pos, "last");
    const char *code = peri_map_text(last, "code"), *message = peri_map_text(last, "message");
    int64_t since_ms = st ? 0 : peri_map_int(pos, "paused", 0);
    if (!st && paused) {
        paused_text(r, since_ms, text, sizeof(text));
        code = since_ms ? "paused" : "recovered";
        message = text;
    }
    int64_t until_ms = !gated || st ? 0 : peri_map_int(pos, "wake", r->wake_ms);
    if (until_ms)
        until_ms += peri_stmt_get_int(q, RUN_OFFSET);
    bool tells = !st && code && (gated || since_ms || r->state == PERI_RUN_PAUSED);
    struct peri_value *waiting = tells ? peri_value_map() : NULL;
    if (tells &&
        (!waiting || peri_map_put_text(waiting, "code", code) || peri_map_put_text(waiting, "message", message) ||
            (until_ms && peri_map_put_time(waiting, "until", until_ms)) || peri_map_put_ref(map, "waiting", waiting)))
        st = peri_error_nomem(err);
    peri_value_unref(waiting);
    peri_value_unref(pos);
    return st;
}

static enum peri_status run_value(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_run_row r = run_row(q);
    struct peri_value *map = peri_value_map();
    enum peri_status st = map ? peri_map_put_text(map, "id", peri_run_id(r.id, id)) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(map, "rule", r.rule);
    if (!st)
        st = peri_map_put_text(map, "event", peri_event_id(r.event, id));
    if (!st)
        st = peri_map_put_text(map, "trigger", r.trigger);
    if (!st)
        st = peri_map_put_text(map, "state", peri_run_state_name(r.state));
    if (!st && r.ckey && *r.ckey)
        st = peri_map_put_text(map, "key", r.ckey);
    if (!st)
        st = peri_map_put_time(map, "created", r.created_ms);
    if (!st && r.ended_ms)
        st = peri_map_put_time(map, "ended", r.ended_ms);
    if (!st && r.wake_ms)
        st = peri_map_put_time(map, "wake", r.wake_ms + peri_stmt_get_int(q, RUN_OFFSET));
    if (!st && r.retry_of)
        st = peri_map_put_text(map, "retry_of", peri_run_id(r.retry_of, id));
    if (!st && r.interruptions)
        st = peri_map_put_int(map, "interruptions", r.interruptions);
    if (st)
        st = peri_error_nomem(err);
    else
        st = put_json(q, RUN_ERROR, map, "error", err);
    if (!st)
        st = put_waiting(q, &r, map, err);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

/* A damaged step is shown as such: the rest of the run is still worth seeing. */
static enum peri_status step_value(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    struct peri_step_row s;
    struct peri_value *map = peri_value_map();
    bool damaged = step_row(q, &s, err) != PERI_OK;
    enum peri_status st = map ? peri_map_put_int(map, "n", s.n) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_int(map, "attempt", s.attempt);
    if (!st)
        st = peri_map_put_text(map, "path", s.path);
    if (!st)
        st = peri_map_put_text(map, "operator", s.op);
    if (!st)
        st = peri_map_put_text(map, "id", s.step_id);
    if (!st)
        st = peri_map_put_text(map, "state", peri_attempt_state_name(s.state));
    if (!st)
        st = peri_map_put_time(map, "started", s.started_ms);
    if (!st && s.ended_ms)
        st = peri_map_put_time(map, "ended", s.ended_ms);
    if (!st)
        st = peri_map_put_text(map, "idempotency_key", s.key);
    if (!st && damaged)
        st = peri_map_put_bool(map, "damaged", true);
    if (st)
        st = peri_error_nomem(err);
    if (!st && !damaged)
        st = put_json(q, 9, map, "params", err);
    if (!st && !damaged)
        st = put_json(q, 10, map, "result", err);
    if (!st)
        st = put_json(q, 11, map, "error", err);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

static enum peri_status collect(struct peri_stmt *q,
    enum peri_status (*form)(struct peri_stmt *, struct peri_value **, struct peri_error *), struct peri_value *list,
    struct peri_error *err)
{
    for (;;) {
        bool row = false;
        struct peri_value *v = NULL;
        enum peri_status st = peri_stmt_row(q, &row, err);
        if (st || !row)
            return st;
        st = form(q, &v, err);
        if (st)
            return st;
        if (peri_list_push(list, v))
            return peri_error_nomem(err);
    }
}

/* Each filter has its own text so that SQLite takes the index that is meant for it. */
static enum peri_status choose(
    const struct peri_run_filter *f, const char **ret_sql, int64_t *ret_state, struct peri_error *err)
{
#define RUNS(from, where)                                                                                              \
    "SELECT " RUN_COLUMNS "," CLOCK_OFFSET "," GATED_BRANCH " FROM runs" from                                          \
    " WHERE id<?1 AND (?2 IS NULL OR rule=?2)"                                                                         \
    " AND (?3=0 OR event=?3) AND (?4<0 OR state=?4)" where " ORDER BY id DESC LIMIT ?5"
    enum peri_run_state state;
    *ret_state = -1;
    *ret_sql = RUNS("", "");
    if (f->event)
        *ret_sql = RUNS(" INDEXED BY runs_event", " AND event=?3");
    else if (f->rule)
        *ret_sql = RUNS(" INDEXED BY runs_rule", " AND rule=?2");
    if (!f->state)
        return PERI_OK;
    bool dead = strcmp(f->state, "dead") == 0, free_choice = !f->event && !f->rule;
    if (strcmp(f->state, "live") == 0) {
        *ret_sql = free_choice ? RUNS(" INDEXED BY runs_live", " AND state<10") : RUNS("", " AND state<10");
    } else if (dead) {
        *ret_sql = free_choice ? RUNS(" INDEXED BY runs_failed", " AND state=11 AND error->>'$.handled' IS NOT 1")
                               : RUNS("", " AND state=11 AND error->>'$.handled' IS NOT 1");
    } else if (!peri_run_state_parse(f->state, &state)) {
        return peri_error_set(err, PERI_EINVAL, NULL,
            "state: \"%s\" is none of live, dead, queued, ready, running, sleeping, "
            "waiting, paused, unknown, succeeded, failed, cancelled, dropped",
            f->state);
    } else {
        *ret_state = state;
        if (free_choice && state < PERI_RUN_SUCCEEDED)
            *ret_sql = RUNS(" INDEXED BY runs_live", " AND state<10");
        else if (free_choice && state == PERI_RUN_FAILED)
            *ret_sql = RUNS(" INDEXED BY runs_failed", " AND state=11");
    }
    return PERI_OK;
#undef RUNS
}

enum peri_status peri_reader_runs(struct peri_reader *reader, const struct peri_run_filter *filter,
    struct peri_value **ret_list, struct peri_error *err)
{
    const char *sql;
    int64_t state;
    size_t limit = filter->limit == 0 ? LIST_DEFAULT : filter->limit > LIST_MAX ? LIST_MAX : filter->limit;
    enum peri_status st = choose(filter, &sql, &state, err);
    if (st)
        return st;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    struct peri_stmt q;
    peri_db_limit(&reader->db, PERI_READ_NS);
    st = peri_stmt_open(&q, &reader->db, sql, err);
    if (!st) {
        peri_stmt_int(&q, filter->before && filter->before < INT64_MAX ? (int64_t)filter->before : INT64_MAX);
        peri_stmt_text(&q, filter->rule);
        peri_stmt_int(&q, (int64_t)filter->event);
        peri_stmt_int(&q, state);
        peri_stmt_int(&q, (int64_t)limit);
        st = collect(&q, run_value, list, err);
        peri_stmt_close(&q);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret_list = list;
    return st;
}

static enum peri_status steps_of(
    struct peri_reader *reader, uint64_t id, struct peri_value *list, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, &reader->db, "SELECT " STEP_COLUMNS " FROM steps WHERE run=? ORDER BY n, attempt", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = collect(&q, step_value, list, err);
    peri_stmt_close(&q);
    return st;
}

/* What a step that is under way waits for: {n, path, step?, for, until?, event?, match?, prompt?}. */
static struct peri_value *wait_of(const struct peri_value *step)
{
    static const struct {
        const char *op, *what;
    } kinds[] = {{"delay", "time"}, {"wait_for", "event"}, {"approve", "answer"}};
    static const char *const shown[] = {"until", "event", "match", "prompt"};
    const struct peri_value *params = peri_map_at(step, "params");
    struct peri_value *map = peri_value_map();
    const char *what = "call";
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (peri_streq(peri_map_text(step, "operator"), kinds[i].op))
            what = kinds[i].what;
    bool bad = !map || peri_map_put_int(map, "n", peri_map_int(step, "n", 0)) ||
               peri_map_put_text(map, "path", peri_map_text(step, "path")) ||
               peri_map_put_text(map, "step", peri_map_text(step, "id")) || peri_map_put_text(map, "for", what) ||
               peri_map_put_text(map, "operator", peri_streq(what, "call") ? peri_map_text(step, "operator") : NULL);
    for (size_t i = 0; !bad && !peri_streq(what, "call") && i < sizeof(shown) / sizeof(shown[0]); i++)
        if (peri_map_at(params, shown[i]))
            bad = peri_map_put_ref(map, shown[i], peri_map_at(params, shown[i])) != PERI_OK;
    if (!bad)
        return map;
    peri_value_unref(map);
    return NULL;
}

/* Containers wait for what is in them: only that is told. */
static enum peri_status put_waits(struct peri_value *run, const struct peri_value *steps, struct peri_error *err)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : peri_error_nomem(err);
    for (size_t i = 0; !st && !peri_map_at(run, "ended") && i < peri_value_count(steps); i++) {
        const struct peri_value *step = peri_list_at(steps, i);
        const char *op = peri_map_text(step, "operator");
        if (peri_streq(peri_map_text(step, "state"), "started") && !peri_streq(op, "parallel") &&
            !peri_streq(op, "for_each") && peri_list_push(list, wait_of(step)))
            st = peri_error_nomem(err);
    }
    if (!st && peri_value_count(list) > 0 && peri_map_put_ref(run, "waits_for", list))
        st = peri_error_nomem(err);
    peri_value_unref(list);
    return st;
}

/* How it came about, and what it has set in motion. */
static enum peri_status put_traces(
    struct peri_reader *reader, uint64_t id, uint64_t event, struct peri_value *run, struct peri_error *err)
{
    struct peri_value *trace = NULL, *emitted = NULL;
    enum peri_status st = peri_reader_trace(reader, event, &trace, err);
    if (!st)
        st = peri_reader_emitted(reader, id, &emitted, err);
    if (!st && peri_value_count(trace) > 0 && peri_map_put_ref(run, "trace", trace))
        st = peri_error_nomem(err);
    if (!st && peri_value_count(emitted) > 0 && peri_map_put_ref(run, "emitted", emitted))
        st = peri_error_nomem(err);
    peri_value_unref(trace);
    peri_value_unref(emitted);
    return st;
}

enum peri_status peri_reader_run(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err)
{
    struct peri_stmt q = {0};
    struct peri_value *map = NULL, *steps = peri_value_list();
    bool row = false;
    if (!steps)
        return peri_error_nomem(err);
    peri_db_limit(&reader->db, PERI_READ_NS);
    /* The open statement holds the snapshot that the steps are read from. */
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT " RUN_COLUMNS "," CLOCK_OFFSET "," GATED_BRANCH " FROM runs WHERE id=?", err);
    if (st)
        goto out;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    if (!st && !row)
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no run run-%" PRIu64, id);
    if (!st)
        st = run_value(&q, &map, err);
    if (!st)
        st = put_json(&q, 9, map, "vars", err);
    if (!st)
        st = steps_of(reader, id, steps, err);
    if (!st && peri_map_put_ref(map, "steps", steps))
        st = peri_error_nomem(err);
    if (!st)
        st = put_waits(map, steps, err);
    if (!st)
        st = put_traces(reader, id, (uint64_t)peri_stmt_get_int(&q, 3), map, err);
out:
    peri_stmt_close(&q);
    peri_value_unref(steps);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

enum peri_status peri_reader_schedules(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_schedule_row *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    peri_db_limit(&reader->db, 0);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT id,spec,anchor,last FROM schedules ORDER BY id", err);
    if (st)
        return st;
    for (;;) {
        bool row = false;
        st = peri_stmt_row(&q, &row, err);
        if (st || !row)
            break;
        struct peri_schedule_row r = {
            peri_stmt_get_text(&q, 0), peri_stmt_get_text(&q, 1), peri_stmt_get_int(&q, 2), peri_stmt_get_int(&q, 3)};
        st = fn(arg, &r);
        if (st)
            break;
    }
    peri_stmt_close(&q);
    return st;
}
