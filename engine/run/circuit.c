/* SPDX-License-Identifier: Apache-2.0 */
#include "run/circuit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/id.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "base/vec.h"

struct waiter {
    uint64_t run;
    int64_t wake_ms;
};

struct circuit {
    char destination[PERI_CIRCUIT_NAME];
    int failures; /* in a row */
    bool open;    /* or half open */
    int64_t opened_ms, until_ms, pause_ms;
    int64_t probe_ms; /* when the probe left; 0: there is none */
    char code[PERI_ERROR_CODE_MAX];
    char *message; /* may be NULL */
    struct waiter *waiters;
    size_t waiter_count, waiter_cap;
};

struct peri_circuits {
    struct peri_map *map; /* by the hash of the destination */
    int64_t offset_ms;    /* wall minus durable ms */
};

static const char *name_of(const char *destination, char out[65])
{
    peri_sha256_hex(destination, strlen(destination), out);
    return out;
}

static void free_circuit(void *value)
{
    struct circuit *k = value;
    free(k->waiters);
    free(k->message);
    free(k);
}

struct peri_circuits *peri_circuits_create(void)
{
    struct peri_circuits *c = calloc(1, sizeof(*c));
    if (c && !(c->map = peri_map_create())) {
        free(c);
        return NULL;
    }
    return c;
}

void peri_circuits_destroy(struct peri_circuits *c)
{
    if (!c)
        return;
    peri_map_destroy(c->map, free_circuit);
    free(c);
}

void peri_circuits_clock(struct peri_circuits *c, int64_t offset_ms)
{
    c->offset_ms = offset_ms;
}

static struct circuit *find(const struct peri_circuits *c, const char *destination)
{
    char key[65];
    return peri_map_get(c->map, name_of(destination, key));
}

static struct circuit *find_or_make(struct peri_circuits *c, const char *destination)
{
    char key[65];
    struct circuit *k = peri_map_get(c->map, name_of(destination, key));
    if (k || peri_map_count(c->map) >= PERI_CIRCUIT_DESTINATIONS)
        return k;
    k = calloc(1, sizeof(*k));
    if (!k || !peri_map_set(c->map, key, k, NULL)) {
        free(k);
        return NULL;
    }
    snprintf(k->destination, sizeof(k->destination), "%s", destination);
    return k;
}

static void say_why(struct circuit *k, const char *code, const char *message)
{
    snprintf(k->code, sizeof(k->code), "%s", code ? code : "");
    free(k->message);
    k->message = peri_strdup(message ? message : "");
}

enum peri_status peri_circuits_restore(struct peri_circuits *c, const struct peri_circuit_stored *row)
{
    struct circuit *k = find_or_make(c, row->destination);
    if (!k)
        return peri_map_count(c->map) >= PERI_CIRCUIT_DESTINATIONS ? PERI_OK : PERI_ENOMEM;
    k->open = true;
    k->failures = PERI_CIRCUIT_FAILURES;
    k->opened_ms = row->opened_ms;
    k->until_ms = row->until_ms;
    k->pause_ms = row->pause_ms;
    say_why(k, row->code, row->message);
    return PERI_OK;
}

static bool probing(const struct circuit *k, int64_t now_ms)
{
    return k->probe_ms > 0 && now_ms < k->probe_ms + PERI_CIRCUIT_PROBE_MS;
}

bool peri_circuits_admit(struct peri_circuits *c, const char *destination, bool take, int64_t now_ms,
    int64_t *ret_until_ms, struct peri_error *why)
{
    struct circuit *k = find(c, destination);
    char text[PERI_TIME_TEXT];
    if (!k || !k->open)
        return true;
    if (now_ms >= k->until_ms && !probing(k, now_ms)) {
        if (take)
            k->probe_ms = now_ms > 0 ? now_ms : 1;
        return true;
    }
    *ret_until_ms = now_ms >= k->until_ms ? now_ms + k->pause_ms : k->until_ms;
    (void)peri_error_set(why, PERI_EBUSY, "circuit.open", "the circuit of %s is %s since %s: %s [%s]", k->destination,
        now_ms >= k->until_ms ? "being probed, open" : "open", peri_time_format(k->opened_ms + c->offset_ms, text),
        k->message ? k->message : "", k->code);
    return false;
}

void peri_circuits_wait(struct peri_circuits *c, const char *destination, uint64_t run, int64_t wake_ms)
{
    struct circuit *k = find(c, destination);
    if (!k || k->waiter_count >= PERI_CIRCUIT_WAITERS ||
        !peri_vec_grow(&k->waiters, &k->waiter_cap, k->waiter_count + 1, sizeof(*k->waiters)))
        return;
    k->waiters[k->waiter_count++] = (struct waiter){run, wake_ms};
}

bool peri_circuit_counts(const struct peri_error *error)
{
    static const char *const ours[] = {"limit.", "plugin_", "busy", "stopping", "denied", "dry_run",
        "channel.unavailable", "rate_limit.", "http.unavailable", NULL};
    if (!error || !(error->retryable || error->outcome_unknown))
        return false;
    if (error->status == PERI_EBUSY || error->status == PERI_ENOTFOUND || error->status == PERI_ENOMEM)
        return false;
    for (const char *const *o = ours; *o; o++)
        if (peri_str_starts(error->code, *o))
            return false;
    return true;
}

static void open_it(struct circuit *k, const struct peri_error *error, int64_t now_ms)
{
    int64_t pause = k->open ? k->pause_ms * 2 : PERI_CIRCUIT_FIRST_MS;
    if (!k->open)
        k->opened_ms = now_ms;
    k->open = true;
    k->probe_ms = 0;
    k->pause_ms = pause > PERI_CIRCUIT_LAST_MS ? PERI_CIRCUIT_LAST_MS : pause;
    int64_t asked = error->retry_after_ms > 3600 * 1000L ? 3600 * 1000LL : error->retry_after_ms;
    k->until_ms = now_ms + (asked > k->pause_ms ? asked : k->pause_ms);
    say_why(k, error->code, error->message);
    k->waiter_count = 0; /* whoever waited so far wakes for the probe, or has done so */
}

enum peri_circuit_change peri_circuits_result(struct peri_circuits *c, const char *destination,
    const struct peri_error *error, int64_t now_ms, struct peri_circuit_stored *ret_row,
    void (*woken)(void *arg, uint64_t run, int64_t wake_ms), void *arg)
{
    char key[65];
    bool counts = peri_circuit_counts(error);
    struct circuit *k = counts ? find_or_make(c, destination) : find(c, destination);
    if (!k)
        return PERI_CIRCUIT_SAME;
    if (!error) {
        bool was_open = k->open;
        (void)peri_map_remove(c->map, name_of(destination, key));
        for (size_t i = 0; was_open && i < k->waiter_count; i++)
            woken(arg, k->waiters[i].run, k->waiters[i].wake_ms);
        free_circuit(k);
        return was_open ? PERI_CIRCUIT_CLOSED : PERI_CIRCUIT_SAME;
    }
    if (!counts) { /* says nothing about the other side: if it was the probe, another call may be */
        k->probe_ms = 0;
        return PERI_CIRCUIT_SAME;
    }
    k->failures++;
    bool probe = k->open && k->probe_ms > 0;
    if (!(probe || (!k->open && k->failures >= PERI_CIRCUIT_FAILURES)))
        return PERI_CIRCUIT_SAME; /* or a late answer of a call that left before it opened */
    open_it(k, error, now_ms);
    *ret_row = (struct peri_circuit_stored){.destination = k->destination,
        .code = k->code,
        .message = k->message,
        .opened_ms = k->opened_ms,
        .until_ms = k->until_ms,
        .pause_ms = k->pause_ms};
    return PERI_CIRCUIT_OPENED;
}

struct listing {
    struct peri_value *list;
    int64_t now_ms, offset_ms;
    size_t open;
    bool bad;
};

static bool count_open(const char *key, void *value, void *arg)
{
    ((struct listing *)arg)->open += ((const struct circuit *)value)->open;
    return true;
}

size_t peri_circuits_open(const struct peri_circuits *c)
{
    struct listing l = {0};
    peri_map_each(c->map, count_open, &l);
    return l.open;
}

static struct peri_value *error_value(const struct circuit *k)
{
    struct peri_value *e = peri_value_map();
    if (e && peri_map_put_text(e, "code", k->code) == PERI_OK && peri_map_put_text(e, "message", k->message) == PERI_OK)
        return e;
    peri_value_unref(e);
    return NULL;
}

static bool list_one(const char *key, void *value, void *arg)
{
    struct listing *l = arg;
    const struct circuit *k = value;
    struct peri_value *v = peri_value_map();
    const char *state = !k->open ? "closed" : l->now_ms < k->until_ms ? "open" : "half_open";
    bool bad = !v || peri_map_put_text(v, "destination", k->destination) != PERI_OK ||
               peri_map_put_text(v, "state", state) != PERI_OK ||
               peri_map_put_int(v, "failures", k->failures) != PERI_OK;
    if (!bad && k->open)
        bad = peri_map_put_time(v, "opened", k->opened_ms + l->offset_ms) != PERI_OK ||
              peri_map_put_time(v, "until", k->until_ms + l->offset_ms) != PERI_OK ||
              peri_map_put_int(v, "waiting", (int64_t)k->waiter_count) != PERI_OK ||
              peri_map_put(v, "error", error_value(k)) != PERI_OK;
    if (bad) {
        peri_value_unref(v);
        l->bad = true;
    } else if (peri_list_push(l->list, v) != PERI_OK) {
        l->bad = true;
    }
    return !l->bad;
}

struct peri_value *peri_circuits_value(const struct peri_circuits *c, int64_t now_ms)
{
    struct listing l = {.list = peri_value_list(), .now_ms = now_ms, .offset_ms = c->offset_ms};
    if (!l.list)
        return NULL;
    peri_map_each(c->map, list_one, &l);
    if (!l.bad)
        return l.list;
    peri_value_unref(l.list);
    return NULL;
}
