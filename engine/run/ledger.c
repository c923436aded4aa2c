/* SPDX-License-Identifier: Apache-2.0 */
#include "run/ledger.h"

#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "io/store_ledger.h"
#include "run/match_internal.h"
#include "run/verdict.h"

/* The row of a container says what failed inside it; that has been entered already. */
static bool is_its_own(const struct peri_step_record *r, const struct peri_value *error)
{
    const char *step = peri_map_text(error, "step");
    return r->key || peri_streq(step, r->step_id) || peri_streq(step, r->path);
}

static enum peri_status enter_record(
    struct peri_tx *tx, const struct peri_run_row *row, const struct peri_step_record *r, struct peri_error *err)
{
    struct peri_value *error = NULL;
    enum peri_status st = PERI_OK;
    if (!r->error ||
        (r->state != PERI_ATTEMPT_RETRY && r->state != PERI_ATTEMPT_FAILED && r->state != PERI_ATTEMPT_UNKNOWN))
        return PERI_OK;
    if (peri_json_parse(r->error, strlen(r->error), &error, NULL) == PERI_OK && is_its_own(r, error)) {
        struct peri_failure failure = {.kind = "action",
            .op = r->op,
            .code = peri_map_text(error, "code"),
            .message = peri_map_text(error, "message"),
            .rule = row->rule,
            .run = row->id,
            .event = row->event,
            .n = r->n,
            .attempt = r->attempt};
        st = peri_tx_failure_put(tx, &failure, err);
    }
    peri_value_unref(error);
    return st;
}

static enum peri_status enter_dead(struct peri_tx *tx, const struct peri_run_row *row, struct peri_error *err)
{
    struct peri_value *error = NULL;
    enum peri_status st = PERI_OK;
    if (row->error)
        (void)(peri_json_parse(row->error, strlen(row->error), &error, NULL) == PERI_OK);
    if (!peri_map_bool(error, "handled", false)) {
        const char *message = peri_map_text(error, "message");
        struct peri_dead dead = {.kind = "run",
            .rule = row->rule,
            .code = peri_map_text(error, "code"),
            .reason = message ? message : "it failed",
            .run = row->id,
            .event = row->event};
        st = peri_tx_dead_put(tx, &dead, err);
    }
    peri_value_unref(error);
    return st;
}

enum peri_status ledger_run(struct peri_tx *tx, const struct peri_run_row *row, const struct peri_step_record *records,
    size_t count, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < count; i++)
        st = enter_record(tx, row, &records[i], err);
    if (st == PERI_OK && row->state == PERI_RUN_FAILED)
        st = enter_dead(tx, row, err);
    return st;
}

static enum peri_status enter_rule(
    struct peri_tx *tx, const struct match_rule *mr, const struct peri_value *verdict, struct peri_error *err)
{
    const char *code = peri_map_text(verdict, "code"), *reason = peri_map_text(verdict, "reason"),
               *op = peri_map_text(verdict, "operator"), *at = peri_map_text(verdict, "at");
    struct peri_failure failure = {.kind = "condition",
        .op = op ? op : at,
        .code = code,
        .message = reason,
        .rule = mr->rule->id,
        .event = mr->event->event->seq};
    struct peri_dead dead = {
        .kind = "rule", .rule = mr->rule->id, .code = code, .reason = reason, .event = mr->event->event->seq};
    enum peri_status st = peri_tx_failure_put(tx, &failure, err);
    return st == PERI_OK ? peri_tx_dead_put(tx, &dead, err) : st;
}

enum peri_status ledger_event(struct peri_tx *tx, const struct match_item *item, struct peri_error *err)
{
    const struct match_event *me = item->event;
    enum peri_status st = PERI_OK;
    if (me->dead) {
        struct peri_dead dead = {.kind = "event", .code = "event", .reason = me->dead, .event = me->event->seq};
        return peri_tx_dead_put(tx, &dead, err);
    }
    for (size_t i = 0; st == PERI_OK && i < item->count; i++) {
        const struct match_rule *mr = item->pairs[i];
        const struct peri_value *verdict = mr->told ? mr->told : mr->verdict;
        if (verdict && peri_streq(peri_map_text(verdict, "verdict"), PERI_VERDICT_ERROR)) {
            st = enter_rule(tx, mr, verdict, err);
        } else if (mr->above_max) {
            struct peri_dead dead = {.kind = "drop",
                .rule = mr->rule->id,
                .code = "max_exceeded",
                .reason = peri_map_text(verdict, "reason"),
                .event = me->event->seq};
            st = peri_tx_dead_put(tx, &dead, err);
        }
    }
    return st;
}
