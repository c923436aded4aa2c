/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_runs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/id.h"
#include "base/str.h"
#include "io/store_db.h"

#define VARS_MAX ((size_t)64 << 10)

static const struct {
    enum peri_run_state state;
    const char *name;
} run_states[] = {
    {PERI_RUN_QUEUED, "queued"},
    {PERI_RUN_READY, "ready"},
    {PERI_RUN_RUNNING, "running"},
    {PERI_RUN_SLEEPING, "sleeping"},
    {PERI_RUN_WAITING, "waiting"},
    {PERI_RUN_PAUSED, "paused"},
    {PERI_RUN_UNKNOWN, "unknown"},
    {PERI_RUN_SUCCEEDED, "succeeded"},
    {PERI_RUN_FAILED, "failed"},
    {PERI_RUN_CANCELLED, "cancelled"},
    {PERI_RUN_DROPPED, "dropped"},
};
#define RUN_STATES (sizeof(run_states) / sizeof(run_states[0]))

const char *peri_run_state_name(enum peri_run_state state)
{
    for (size_t i = 0; i < RUN_STATES; i++)
        if (run_states[i].state == state)
            return run_states[i].name;
    return "invalid";
}

bool peri_run_state_parse(const char *text, enum peri_run_state *ret)
{
    for (size_t i = 0; text && i < RUN_STATES; i++) {
        if (strcmp(run_states[i].name, text) == 0) {
            *ret = run_states[i].state;
            return true;
        }
    }
    return false;
}

const char *peri_attempt_state_name(enum peri_attempt_state state)
{
    static const char *const names[] = {
        "invalid", "started", "done", "retry", "failed", "unknown", "skipped", "cancelled"};
    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : names[0];
}

/* Numbers of runs that are given a text are told to it in blocks, so that it is not written for each. */
#define BLOCK 4095

static enum peri_status put_ruleset(
    struct peri_tx *tx, const char *hash, const char *text, const char *rule, struct peri_error *err)
{
    struct peri_stmt q;
    const char *sql = "INSERT INTO rulesets(hash,text) VALUES(?,?) ON CONFLICT DO NOTHING";
    if (rule)
        sql = "INSERT INTO rulesets(hash,text,rule,first,last) VALUES(?,?,?,?,?) ON CONFLICT(hash) DO UPDATE SET"
              " rule=excluded.rule, first=coalesce(first,excluded.first), last=excluded.last"
              " WHERE last IS NULL OR last<excluded.first";
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_text(&q, hash);
    peri_stmt_text(&q, text);
    if (rule) {
        peri_stmt_text(&q, rule);
        peri_stmt_int(&q, (int64_t)tx->next_run);
        peri_stmt_int(&q, (int64_t)(tx->next_run | BLOCK));
    }
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_ruleset_put(
    struct peri_tx *tx, const char *hash, const char *text, const char *rule, struct peri_error *err)
{
    if (strcmp(tx->ruleset, hash) == 0 && (!rule || tx->next_run <= tx->ruleset_last)) /* many runs of one rule */
        return PERI_OK;
    enum peri_status st = put_ruleset(tx, hash, text, rule, err);
    if (!st && strlen(hash) < sizeof(tx->ruleset)) {
        memcpy(tx->ruleset, hash, strlen(hash) + 1);
        tx->ruleset_last = rule ? tx->next_run | BLOCK : 0;
    }
    return st;
}

static enum peri_status check_vars(const struct peri_run_row *row, struct peri_error *err)
{
    if (row->vars && strlen(row->vars) > VARS_MAX)
        return peri_error_set(err, PERI_ELIMIT, "limit.vars",
            "the run's variables and results take %zu bytes, allowed are %zu", strlen(row->vars), VARS_MAX);
    return PERI_OK;
}

enum peri_status peri_tx_run_insert(
    struct peri_tx *tx, const struct peri_run_row *row, uint64_t *ret_id, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = check_vars(row, err);
    if (!st)
        st = peri_stmt_open(&q, tx->db,
            "INSERT INTO runs(id,rule,rhash,event,trig,state,pos,wake,base,vars,kprefix,intr,"
            "retry_of,created,ended,error,ckey,change,wall) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)tx->next_run);
    peri_stmt_text(&q, row->rule);
    peri_stmt_text(&q, row->rhash ? row->rhash : "");
    peri_stmt_int(&q, (int64_t)row->event);
    peri_stmt_text(&q, row->trigger ? row->trigger : "");
    peri_stmt_int(&q, row->state);
    peri_stmt_text(&q, row->pos);
    peri_stmt_int(&q, row->wake_ms);
    peri_stmt_int(&q, row->base_ms);
    peri_stmt_text(&q, row->vars);
    peri_stmt_text(&q, row->kprefix ? row->kprefix : "");
    peri_stmt_int(&q, row->interruptions);
    peri_stmt_int(&q, (int64_t)row->retry_of);
    peri_stmt_int(&q, row->created_ms);
    peri_stmt_int(&q, row->ended_ms);
    peri_stmt_text(&q, row->error);
    peri_stmt_text(&q, row->ckey);
    peri_stmt_int(&q, row->change);
    peri_stmt_int(&q, row->wall);
    st = peri_stmt_exec(&q, err);
    if (st == PERI_EEXIST)
        return peri_error_set(
            err, st, NULL, "rule %s has a run for ev-%" PRIu64 " and this trigger already", row->rule, row->event);
    if (!st)
        *ret_id = tx->next_run++;
    return st;
}

static enum peri_status other_state(
    struct peri_tx *tx, const struct peri_run_row *row, enum peri_run_state expected, struct peri_error *err)
{
    struct peri_stmt q;
    bool found = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT state FROM runs WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)row->id);
    st = peri_stmt_row(&q, &found, err);
    enum peri_run_state stored = found ? (enum peri_run_state)peri_stmt_get_int(&q, 0) : PERI_RUN_QUEUED;
    peri_stmt_close(&q);
    if (st)
        return st;
    if (found && stored >= PERI_RUN_SUCCEEDED)
        return peri_error_set(
            err, PERI_ESTATE, "run.ended", "run-%" PRIu64 " is %s", row->id, peri_run_state_name(stored));
    return peri_error_set(err, PERI_EINTERNAL, NULL, "run-%" PRIu64 " is not %s: it can not become %s", row->id,
        peri_run_state_name(expected), peri_run_state_name(row->state));
}

enum peri_status peri_tx_run_update(
    struct peri_tx *tx, const struct peri_run_row *row, enum peri_run_state expected, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = check_vars(row, err);
    if (!st)
        st = peri_stmt_open(&q, tx->db,
            "UPDATE runs SET state=?,pos=?,wake=?,base=?,vars=?,ended=?,error=?,intr=?,wall=?"
            " WHERE id=? AND state=?",
            err);
    if (st)
        return st;
    peri_stmt_int(&q, row->state);
    peri_stmt_text(&q, row->pos);
    peri_stmt_int(&q, row->wake_ms);
    peri_stmt_int(&q, row->base_ms);
    peri_stmt_text(&q, row->vars);
    peri_stmt_int(&q, row->ended_ms);
    peri_stmt_text(&q, row->error);
    peri_stmt_int(&q, row->interruptions);
    peri_stmt_int(&q, row->wall);
    peri_stmt_int(&q, (int64_t)row->id);
    peri_stmt_int(&q, expected);
    st = peri_stmt_exec(&q, err);
    if (!st && peri_db_changes(tx->db) != 1)
        st = other_state(tx, row, expected, err);
    return st;
}

uint32_t peri_step_crc(const char *params, const char *result)
{
    return peri_crc32c(params ? params : "", params ? strlen(params) : 0) ^
           peri_crc32c(result ? result : "", result ? strlen(result) : 0) * 3;
}

static enum peri_status not_paused(struct peri_tx *tx, uint64_t id, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT 1 FROM runs WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_row(&q, &row, err);
    peri_stmt_close(&q);
    if (st)
        return st;
    return row ? peri_error_set(err, PERI_ESTATE, "state", "run-%" PRIu64 " is not paused", id)
               : peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no run run-%" PRIu64, id);
}

enum peri_status peri_tx_run_resume(struct peri_tx *tx, uint64_t id, struct peri_error *err)
{
    struct peri_stmt q;
    char key[48];
    snprintf(key, sizeof(key), "paused.run-%" PRIu64, id);
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "UPDATE runs SET state=coalesce((SELECT CAST(v AS INTEGER) FROM meta WHERE k=?),1) WHERE id=? AND state=5",
        err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    peri_stmt_int(&q, (int64_t)id);
    st = peri_stmt_exec(&q, err);
    if (!st && peri_db_changes(tx->db) != 1)
        return not_paused(tx, id, err);
    if (!st)
        st = peri_stmt_open(&q, tx->db, "DELETE FROM meta WHERE k=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, key);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_step_put(struct peri_tx *tx, const struct peri_step_row *row, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "INSERT OR REPLACE INTO steps(run,n,attempt,path,op,step_id,state,"
        "started,ended,req,out,error,key,crc) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)row->run);
    peri_stmt_int(&q, row->n);
    peri_stmt_int(&q, row->attempt);
    peri_stmt_text(&q, row->path ? row->path : "");
    peri_stmt_text(&q, row->op ? row->op : "");
    peri_stmt_text(&q, row->step_id);
    peri_stmt_int(&q, row->state);
    peri_stmt_int(&q, row->started_ms);
    peri_stmt_int(&q, row->ended_ms);
    peri_stmt_text(&q, row->params);
    peri_stmt_text(&q, row->result);
    peri_stmt_text(&q, row->error);
    peri_stmt_text(&q, row->key);
    peri_stmt_int(&q, peri_step_crc(row->params, row->result));
    return peri_stmt_exec(&q, err);
}

static enum peri_status put_schedule(
    struct peri_tx *tx, const char *sql, const struct peri_schedule_row *row, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, sql, err);
    if (st)
        return st;
    peri_stmt_text(&q, row->id);
    peri_stmt_text(&q, row->spec);
    peri_stmt_int(&q, row->anchor_ms);
    peri_stmt_int(&q, row->last_ms);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_schedule_put(struct peri_tx *tx, const struct peri_schedule_row *row, struct peri_error *err)
{
    return put_schedule(tx,
        "INSERT INTO schedules(id,spec,anchor,last) VALUES(?,?,?,?)"
        " ON CONFLICT(id) DO UPDATE SET spec=excluded.spec, anchor=excluded.anchor, last=excluded.last",
        row, err);
}

enum peri_status peri_tx_schedule_set(struct peri_tx *tx, const struct peri_schedule_row *row, struct peri_error *err)
{
    return put_schedule(tx,
        "INSERT INTO schedules(id,spec,anchor,last) VALUES(?,?,?,?)"
        " ON CONFLICT(id) DO UPDATE SET spec=excluded.spec, anchor=excluded.anchor, last=excluded.last"
        " WHERE spec<>excluded.spec",
        row, err);
}

enum peri_status peri_tx_schedule_drop(struct peri_tx *tx, const char *id, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM schedules WHERE id=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, id);
    return peri_stmt_exec(&q, err);
}
