/* SPDX-License-Identifier: Apache-2.0 */
#include "run/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "io/store_pace.h"
#include "run/circuit.h"
#include "run/limit.h"
#include "run/quiet.h"
#include "run/scope.h"
#include "run/slots.h"

/* In this order, because each must not use up what the next one gives: quiet hours, an open circuit, room at the
 * destination, the rate limit, and last the place of a circuit's probe. A run that was put off asks again when it
 * wakes. It brings along the time that a rate limit gave it; when quiet hours or a circuit have made it miss that, it
 * is given another one. */

#define ZONES 64
#define LATE_MS 2000 /* a time that was given counts when its run comes no later than this */

struct gate {
    struct peri_gate asked; /* ctx is the gate */
    struct peri_pipeline *p;
    struct peri_limiter *limiter;
    struct peri_circuits *circuits;
    struct zone {
        char *name;
        struct peri_tz *tz;
    } zones[ZONES]; /* a ring */
    size_t zone_next;
    struct peri_metric *opened, *open, *held[4];
};

enum held { HELD_QUIET, HELD_CIRCUIT, HELD_RATE, HELD_DESTINATION };

/* --- where a call goes --- */

static void destination_of(
    struct gate *g, const struct peri_step *step, const struct peri_value *params, char out[PERI_CIRCUIT_NAME])
{
    struct peri_run_ops *ops = &g->p->ops;
    snprintf(out, PERI_CIRCUIT_NAME, "%s", step->operator_id);
    if (ops->destination)
        ops->destination(ops->ctx, step->operator_id, params, out, PERI_CIRCUIT_NAME);
}

/* "" when nobody says where it goes. */
static void outside_of(
    struct gate *g, const struct peri_step *step, const struct peri_value *params, char out[PERI_CIRCUIT_NAME])
{
    out[0] = '\0';
    if (g->p->ops.destination && step && step->kind == PERI_STEP_OPERATOR)
        destination_of(g, step, params, out);
}

/* --- room --- */

static bool pass_room(
    struct gate *g, const struct peri_gate_question *q, const char *destination, struct peri_gate_answer *a)
{
    if (!g->p->ops.destination || slots_admit(g->p->slots, destination, q->run->id))
        return true;
    a->kind = PERI_GATE_HOLD;
    peri_metric_add(g->held[HELD_DESTINATION], 1);
    return false;
}

void gate_enter(struct gate *g, struct live_task *task)
{
    char destination[PERI_CIRCUIT_NAME];
    const struct peri_track *track = peri_run_track(task->live->run, task->track);
    if (!track)
        return;
    outside_of(g, peri_track_step(track), track->params, destination);
    slots_enter(g->p->slots, destination, task);
}

bool gate_park(struct gate *g, struct live_task *task)
{
    char destination[PERI_CIRCUIT_NAME];
    const struct peri_track *track = peri_run_track(task->live->run, task->track);
    if (!track || !track->params)
        return false;
    outside_of(g, peri_track_step(track), track->params, destination);
    return *destination && slots_park(g->p->slots, destination, task);
}

/* --- quiet hours --- */

static enum peri_status load_zone(struct gate *g, const char *name, const struct peri_tz **ret, struct peri_error *err)
{
    struct peri_tz *tz = NULL;
    for (size_t i = 0; i < ZONES; i++)
        if (peri_streq(g->zones[i].name, name)) {
            *ret = g->zones[i].tz;
            return PERI_OK;
        }
    char *copy = peri_strdup(name);
    enum peri_status st = copy ? peri_tz_load(g->p->options.tz, name, &tz, err) : peri_error_nomem(err);
    if (st != PERI_OK) {
        free(copy);
        return st;
    }
    struct zone *slot = &g->zones[g->zone_next++ % ZONES];
    free(slot->name);
    peri_tz_destroy(slot->tz);
    *slot = (struct zone){copy, tz};
    *ret = tz;
    return PERI_OK;
}

/* The zone that the contact says, to whom the call is addressed; NULL when nobody knows. */
static const struct peri_tz *recipients_zone(struct gate *g, const struct peri_value *params)
{
    static const char *const fields[] = {"to", "contactId", "contact_id", NULL};
    const struct peri_tz *tz = NULL;
    struct peri_error ignored;
    for (const char *const *f = fields; *f && !tz; f++) {
        const char *id = peri_map_text(params, *f);
        struct peri_value *contact = NULL;
        if (!id || peri_reader_entity(g->p->reader, "contact", id, &contact, &ignored) != PERI_OK)
            continue;
        const char *name = peri_map_text(contact, "timezone");
        if (name && load_zone(g, name, &tz, &ignored) != PERI_OK)
            tz = NULL;
        peri_value_unref(contact);
    }
    return tz;
}

static enum peri_status zone_of(
    struct gate *g, const struct peri_gate_question *q, const struct peri_tz **ret, struct peri_error *err)
{
    const struct peri_quiet *quiet = q->step->quiet;
    struct peri_value *value = NULL;
    if (!quiet->timezone) {
        *ret = recipients_zone(g, q->params);
        return *ret ? PERI_OK : load_zone(g, quiet->zone, ret, err);
    }
    enum peri_status st = peri_template_render(quiet->timezone, q->scope, &value, err);
    if (st == PERI_OK && peri_value_is(value, PERI_NULL))
        st = load_zone(g, quiet->zone, ret, err);
    else if (st == PERI_OK && !peri_value_text(value))
        st = peri_error_set(err, PERI_EINVAL, "timezone", "quiet_hours.timezone must be the name of a zone");
    else if (st == PERI_OK)
        st = load_zone(g, peri_value_text(value), ret, err);
    peri_value_unref(value);
    if (st != PERI_OK && !peri_str_starts(err->message, "quiet_hours"))
        peri_error_prefix(err, "quiet_hours");
    return st;
}

static void fail(struct peri_gate_answer *a, const struct peri_error *err)
{
    a->kind = PERI_GATE_FAIL;
    a->why = *err;
}

/* False when it ends here. */
static bool pass_quiet(struct gate *g, const struct peri_gate_question *q, struct peri_gate_answer *a)
{
    const struct peri_quiet *quiet = q->step->quiet;
    const struct peri_tz *tz = NULL;
    struct peri_error err = {0};
    int64_t end = 0;
    if (!quiet)
        return true;
    if (zone_of(g, q, &tz, &err) != PERI_OK) {
        fail(a, &err);
        return false;
    }
    if (!peri_quiet_now(tz, quiet->from, quiet->to, q->now_ms, &end))
        return true;
    a->kind = quiet->drop ? PERI_GATE_SKIP : PERI_GATE_WAIT;
    a->until_ms = end - q->offset_ms;
    a->wall = true;
    a->reserved_ms = 0;
    (void)peri_error_set(&a->why, PERI_EBUSY, "quiet_hours", "quiet hours from %02d:%02d to %02d:%02d in %s",
        quiet->from / 60, quiet->from % 60, quiet->to / 60, quiet->to % 60, peri_tz_name(tz));
    peri_metric_add(g->held[HELD_QUIET], 1);
    return false;
}

/* --- circuits --- */

static bool pass_circuit(
    struct gate *g, const struct peri_gate_question *q, const char *destination, bool take, struct peri_gate_answer *a)
{
    int64_t until = 0, now = q->now_ms - q->offset_ms;
    peri_circuits_clock(g->circuits, q->offset_ms);
    if (!*destination || peri_circuits_admit(g->circuits, destination, take, now, &until, &a->why))
        return true;
    a->kind = PERI_GATE_WAIT;
    a->until_ms = until > now ? until : now + 1;
    a->reserved_ms = 0;
    peri_circuits_wait(g->circuits, destination, q->run->id, a->until_ms);
    peri_metric_add(g->held[HELD_CIRCUIT], 1);
    return false;
}

struct circuit_op {
    struct peri_pipeline *p;
    char destination[PERI_CIRCUIT_NAME], code[PERI_ERROR_CODE_MAX];
    char *message;
    int64_t opened_ms, until_ms, pause_ms;
    bool open;
};

static enum peri_status circuit_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct circuit_op *op = arg;
    struct peri_circuit_stored row = {.destination = op->destination,
        .code = op->code,
        .message = op->message,
        .opened_ms = op->opened_ms,
        .until_ms = op->until_ms,
        .pause_ms = op->pause_ms};
    PERI_FAILPOINT("circuit.rows");
    return op->open ? peri_tx_circuit_put(tx, &row, err) : peri_tx_circuit_drop(tx, op->destination, err);
}

static void circuit_stored(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("circuit.done");
    struct circuit_op *op = arg;
    op->p->committing--;
    if (st != PERI_OK && !op->p->dead)
        peri_warn(op->p->options.log, "run", "the circuit of %s is not stored: %s", op->destination,
            err ? err->message : peri_status_name(st));
    free(op->message);
    free(op);
}

/* row NULL: it is closed. */
static void store_circuit(struct gate *g, const char *destination, const struct peri_circuit_stored *row)
{
    struct circuit_op *op = calloc(1, sizeof(*op));
    if (!op)
        return;
    op->p = g->p;
    op->open = row != NULL;
    snprintf(op->destination, sizeof(op->destination), "%s", destination);
    if (row) {
        snprintf(op->code, sizeof(op->code), "%s", row->code);
        op->message = peri_strdup(row->message);
        op->opened_ms = row->opened_ms;
        op->until_ms = row->until_ms;
        op->pause_ms = row->pause_ms;
    }
    g->p->committing++;
    if (pipe_commit(g->p, 512, circuit_tx, circuit_stored, op, true) == PERI_OK)
        return;
    g->p->committing--;
    free(op->message);
    free(op);
}

static void wake(void *arg, uint64_t run, int64_t wake_ms)
{
    timer_due(arg, 0, DUE_WAKE, run, (uint64_t)wake_ms);
}

void gate_result(struct gate *g, const struct peri_track *track, const struct peri_error *error)
{
    const struct peri_step *step = track ? peri_track_step(track) : NULL;
    struct peri_pipeline *p = g->p;
    struct peri_circuit_stored row;
    char destination[PERI_CIRCUIT_NAME];
    if (!step || step->kind != PERI_STEP_OPERATOR)
        return;
    destination_of(g, step, track->params, destination);
    if (!*destination)
        return;
    int64_t now = pipe_steady(p);
    peri_circuits_clock(g->circuits, pipe_offset(p));
    switch (peri_circuits_result(g->circuits, destination, error, now, &row, wake, p)) {
    case PERI_CIRCUIT_SAME:
        break;
    case PERI_CIRCUIT_OPENED:
        peri_warn(p->options.log, "run", "%s has failed %d times in a row: no calls for %lld s, then one to try (%s)",
            destination, PERI_CIRCUIT_FAILURES, (long long)(row.until_ms - now) / 1000, row.message);
        peri_metric_add(g->opened, 1);
        store_circuit(g, destination, &row);
        break;
    case PERI_CIRCUIT_CLOSED:
        peri_info(p->options.log, "run", "%s answers again", destination);
        store_circuit(g, destination, NULL);
        break;
    }
    peri_metric_set(g->open, (int64_t)peri_circuits_open(g->circuits));
}

struct peri_value *gate_circuits(const struct gate *g)
{
    peri_circuits_clock(g->circuits, pipe_offset(g->p));
    return peri_circuits_value(g->circuits, pipe_steady(g->p));
}

/* --- rate limits --- */

static bool bucket_of(
    struct gate *g, const struct peri_gate_question *q, const char *destination, char **ret, struct peri_error *err)
{
    char *key = NULL;
    if (!q->step->rate->key) {
        *ret = peri_asprintf("destination:%s", *destination ? destination : q->step->operator_id);
    } else if (peri_scope_key(q->step->rate->key, q->scope, &key, err) != PERI_OK) {
        peri_error_prefix(err, "rate_limit.key");
        return false;
    } else {
        *ret = peri_asprintf("key:%s", key);
        free(key);
    }
    if (!*ret)
        (void)peri_error_nomem(err);
    return *ret != NULL;
}

static bool pass_rate(
    struct gate *g, const struct peri_gate_question *q, const char *destination, struct peri_gate_answer *a)
{
    const struct peri_rate *rate = q->step->rate;
    struct peri_error err = {0};
    char *bucket = NULL;
    if (!rate)
        return true;
    int64_t now = q->now_ms - q->offset_ms, at = 0;
    if (q->reserved_ms > 0 && q->reserved_ms <= now && now - q->reserved_ms <= LATE_MS)
        return true;
    if (!bucket_of(g, q, destination, &bucket, &err) ||
        peri_limiter_reserve(g->limiter, bucket, rate->limit, rate->period_ms, now, &at, &err) != PERI_OK) {
        free(bucket);
        fail(a, &err);
        return false;
    }
    a->bucket = bucket;
    a->reserved_ms = at;
    a->keep_ms = at + rate->period_ms;
    if (at <= now)
        return true;
    a->kind = PERI_GATE_WAIT;
    a->until_ms = at;
    (void)peri_error_set(&a->why, PERI_EBUSY, "rate_limit", "%lld in %lld s have left already for %s",
        (long long)rate->limit, (long long)(rate->period_ms / 1000), strchr(bucket, ':') + 1);
    peri_metric_add(g->held[HELD_RATE], 1);
    return false;
}

static void ask(void *ctx, const struct peri_gate_question *q, struct peri_gate_answer *a)
{
    struct gate *g = ctx;
    char destination[PERI_CIRCUIT_NAME];
    destination_of(g, q->step, q->params, destination);
    a->reserved_ms = q->reserved_ms;
    (void)(pass_quiet(g, q, a) && pass_circuit(g, q, destination, false, a) && pass_room(g, q, destination, a) &&
           pass_rate(g, q, destination, a) && pass_circuit(g, q, destination, true, a));
}

/* --- life --- */

struct gate *gate_create(struct peri_pipeline *p)
{
    static const char *const reasons[] = {
        "reason=\"quiet_hours\"", "reason=\"circuit\"", "reason=\"rate_limit\"", "reason=\"destination\""};
    struct gate *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->asked = (struct peri_gate){.ask = ask, .ctx = g};
    g->p = p;
    g->limiter = peri_limiter_create();
    g->circuits = peri_circuits_create();
    if (!g->limiter || !g->circuits) {
        gate_destroy(g);
        return NULL;
    }
    struct peri_metrics *m = p->options.metrics;
    for (size_t i = 0; i < 4; i++)
        g->held[i] = peri_metrics_counter(m, "attempts_held_total", reasons[i], "Attempts put off before they left.");
    g->opened = peri_metrics_counter(m, "circuits_opened_total", NULL, "Circuits opened after failures in a row.");
    g->open = peri_metrics_gauge(m, "circuits_open", NULL, "Destinations that are not called now.");
    return g;
}

void gate_destroy(struct gate *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < ZONES; i++) {
        free(g->zones[i].name);
        peri_tz_destroy(g->zones[i].tz);
    }
    peri_limiter_destroy(g->limiter);
    peri_circuits_destroy(g->circuits);
    free(g);
}

const struct peri_gate *gate_of(const struct gate *g)
{
    return g ? &g->asked : NULL;
}

static enum peri_status restore_time(void *arg, const struct peri_pace_row *row)
{
    return peri_limiter_restore(((struct gate *)arg)->limiter, row->bucket, row->at, row->keep);
}

static enum peri_status restore_circuit(void *arg, const struct peri_circuit_stored *row)
{
    return peri_circuits_restore(((struct gate *)arg)->circuits, row);
}

enum peri_status gate_recover(struct gate *g, struct peri_error *err)
{
    enum peri_status st = peri_reader_pace(g->p->reader, pipe_steady(g->p), restore_time, g, err);
    if (st == PERI_OK)
        st = peri_reader_circuits(g->p->reader, restore_circuit, g, err);
    peri_metric_set(g->open, (int64_t)peri_circuits_open(g->circuits));
    return st;
}
