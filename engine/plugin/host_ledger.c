/* SPDX-License-Identifier: Apache-2.0 */
/* What plugins do that somebody may want to know later: calls to the outside, what they were refused or stopped at,
 * and which of their permissions they use. Happenings of one kind are counted together and written once a minute, so
 * that a busy plugin can not fill the database. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/grants.h"
#include "plugin/host_internal.h"

#define FLUSH_MS 60000
#define ROWS_MAX 1000 /* kinds of happenings in one minute; the rest is counted as one */

/* Rows of kv that no plugin can reach: a plugin's id has no colon. */
static const char usage_owner[] = ":usage";

struct row {
    char *action, *plugin, *what, *code;
    int64_t count, sent, received, first_ms, last_ms;
};

struct peri_ledger {
    pthread_mutex_t lock; /* violations come from workers */
    struct peri_map *rows;
    struct peri_value *usage; /* loop: plugin -> {since, used: {permission: ms}} */
    struct peri_value *dirty; /* loop: plugin -> true */
    struct peri_timer *timer; /* loop */
};

struct peri_ledger *peri_ledger_create(void)
{
    struct peri_ledger *ledger = calloc(1, sizeof(*ledger));
    if (!ledger)
        return NULL;
    pthread_mutex_init(&ledger->lock, NULL);
    ledger->rows = peri_map_create();
    ledger->usage = peri_value_map();
    ledger->dirty = peri_value_map();
    if (ledger->rows && ledger->usage && ledger->dirty)
        return ledger;
    peri_ledger_destroy(ledger);
    return NULL;
}

static void free_row(void *arg)
{
    struct row *row = arg;
    free(row->action);
    free(row->plugin);
    free(row->what);
    free(row->code);
    free(row);
}

void peri_ledger_destroy(struct peri_ledger *ledger)
{
    if (!ledger)
        return;
    peri_timer_cancel(ledger->timer);
    peri_map_destroy(ledger->rows, free_row);
    peri_value_unref(ledger->usage);
    peri_value_unref(ledger->dirty);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
}

static struct row *make_row(const char *action, const char *plugin, const char *what, const char *code)
{
    struct row *row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    *row = (struct row){peri_strdup(action), peri_strdup(plugin), peri_strdup(what), peri_strdup(code), 0, 0, 0, 0, 0};
    if (row->action && row->plugin && row->what && row->code)
        return row;
    free_row(row);
    return NULL;
}

static char *row_key(const char *action, const char *plugin, const char *what, const char *code)
{
    const char *const parts[] = {action, plugin, what, code};
    size_t len[4], all = 0;
    for (size_t i = 0; i < 4; i++)
        all += (len[i] = strlen(parts[i])) + 1;
    char *key = malloc(all), *to = key;
    for (size_t i = 0; key && i < 4; i++) {
        memcpy(to, parts[i], len[i]);
        to += len[i];
        *to++ = i < 3 ? '\n' : '\0';
    }
    return key;
}

static struct row *find_row(
    struct peri_ledger *ledger, const char *action, const char *plugin, const char *what, const char *code)
{
    if (peri_map_count(ledger->rows) >= ROWS_MAX)
        what = "(more)";
    char *key = row_key(action, plugin, what, code);
    struct row *row = key ? peri_map_get(ledger->rows, key) : NULL;
    if (key && !row && (row = make_row(action, plugin, what, code)) && !peri_map_set(ledger->rows, key, row, NULL)) {
        free_row(row);
        row = NULL;
    }
    free(key);
    return row;
}

struct note {
    const char *action, *plugin, *what, *code;
    int64_t sent, received;
};

static void take_note(struct peri_host *host, const struct note *note)
{
    struct peri_ledger *ledger = host->ledger;
    int64_t now = peri_clock_wall_ms(&host->options.clock);
    if (!ledger || !host->options.ops.submit)
        return;
    pthread_mutex_lock(&ledger->lock);
    struct row *row = find_row(ledger, note->action, note->plugin, note->what, note->code);
    if (row) {
        row->count++;
        row->sent += note->sent;
        row->received += note->received;
        row->last_ms = now;
        if (!row->first_ms)
            row->first_ms = now;
    }
    pthread_mutex_unlock(&ledger->lock);
}

void peri_ledger_outbound(
    const struct peri_job *job, const char *host, int port, const char *outcome, int64_t sent, int64_t received)
{
    char where[300];
    snprintf(where, sizeof(where), port ? "%.255s:%d" : "%.255s", host ? host : "?", port);
    take_note(job->host, &(struct note){"plugin.outbound", job->plugin->id, where, outcome, sent, received});
    peri_ledger_arm(job->host);
}

void peri_ledger_violation(const struct peri_job *job, const char *code, const char *what)
{
    if (!job->plugin->script)
        take_note(job->host, &(struct note){"plugin.violation", job->plugin->id, what, code, 0, 0});
}

/* --- permissions in use --- */

static struct peri_value *usage_of(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    struct peri_value *v = peri_map_at(host->ledger->usage, p->id);
    struct peri_reader *reader = v ? NULL : peri_host_reader(host);
    if (v)
        return v;
    if (reader && !peri_reader_kv_get(reader, usage_owner, p->id, 0, &v, NULL) && v) {
        struct peri_value *own = peri_value_copy(v);
        peri_value_unref(v);
        v = own;
    } else if ((v = peri_value_map())) {
        (void)!peri_map_put_int(v, "since", peri_clock_wall_ms(&host->options.clock));
        (void)!peri_map_put(v, "used", peri_value_map());
        (void)!peri_map_put_bool(host->ledger->dirty, p->id, true);
    }
    return v && !peri_map_put(host->ledger->usage, p->id, v) ? v : NULL;
}

struct marking {
    struct peri_plugin *p;
    struct peri_value *used;
};

static void mark(void *arg, const char *permission)
{
    struct marking *m = arg;
    int64_t now = peri_clock_wall_ms(&m->p->host->options.clock);
    if (!peri_map_put_int(m->used, permission, now))
        (void)!peri_map_put_bool(m->p->host->ledger->dirty, m->p->id, true);
}

/* What the workers have marked since the last time. */
static struct peri_value *merged(struct peri_plugin *p)
{
    struct peri_value *usage = p->grants && p->host->options.note_usage ? usage_of(p) : NULL;
    struct marking m = {p, peri_map_at(usage, "used")};
    if (m.used)
        peri_grants_take_used(p->grants, mark, &m);
    return usage;
}

void peri_usage_merge(struct peri_plugin *p)
{
    (void)merged(p);
}

enum peri_status peri_usage_put(struct peri_plugin *p, struct peri_value *v)
{
    struct peri_value *usage = merged(p), *granted = peri_grants_value(p->grants), *unused = peri_value_list();
    enum peri_status st = granted && unused ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; !st && usage && i < peri_value_count(granted); i++) {
        struct peri_value *permission = peri_list_at(granted, i);
        if (!peri_map_at(peri_map_at(usage, "used"), peri_value_text(permission)))
            st = peri_list_push(unused, peri_value_ref(permission));
    }
    if (!st && usage)
        st = peri_map_put_ref(v, "unused", unused);
    if (!st && usage)
        st = peri_map_put_time(v, "used_since", peri_map_int(usage, "since", 0));
    peri_value_unref(granted);
    peri_value_unref(unused);
    return st;
}

/* --- writing --- */

struct writing {
    struct peri_batch *batch;
    struct peri_host *host;
};

static bool write_row(const char *key, void *value, void *arg)
{
    const struct row *row = value;
    struct writing *w = arg;
    bool outbound = !strcmp(row->action, "plugin.outbound");
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_text(v, outbound ? "host" : "what", row->what) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(v, outbound ? "outcome" : "code", row->code);
    if (!st)
        st = peri_map_put_int(v, "count", row->count);
    if (!st && outbound)
        st = peri_map_put_int(v, "bytes_sent", row->sent);
    if (!st && outbound)
        st = peri_map_put_int(v, "bytes_received", row->received);
    if (!st)
        st = peri_map_put_time(v, "since", row->first_ms);
    if (!st)
        st = peri_map_put_time(v, "until", row->last_ms);
    if (st)
        peri_value_unref(v);
    else
        peri_audit_batch(w->batch, row->action, row->plugin, v);
    return true;
}

static void write_usage(struct writing *w)
{
    struct peri_ledger *ledger = w->host->ledger;
    for (size_t i = 0; i < w->host->plugin_count; i++)
        peri_usage_merge(w->host->plugins[i]);
    for (void *it = peri_map_first(ledger->dirty); it; it = peri_map_next(ledger->dirty, it)) {
        const char *id = peri_map_key(it, NULL);
        (void)!peri_batch_kv_set(w->batch, usage_owner, id, peri_value_copy(peri_map_at(ledger->usage, id)), 0);
    }
    struct peri_value *fresh = peri_value_map();
    if (!fresh)
        return;
    peri_value_unref(ledger->dirty);
    ledger->dirty = fresh;
}

struct flush {
    struct peri_host *host;
    void (*done)(void *arg);
    void *arg;
};

static void flush_over(struct flush *flush)
{
    if (flush->done)
        flush->done(flush->arg);
    free(flush);
}

static void written(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct flush *flush = arg;
    flush->host->commits--;
    if (st)
        peri_warn(flush->host->options.log, "audit", "what plugins did was not stored: %s",
            err ? err->message : peri_status_name(st));
    flush_over(flush);
}

static struct peri_batch *collect(struct peri_host *host)
{
    struct peri_ledger *ledger = host->ledger;
    struct peri_map *fresh = ledger && host->options.ops.submit ? peri_map_create() : NULL;
    struct writing w = {fresh ? peri_batch_create() : NULL, host};
    if (!w.batch) {
        peri_map_destroy(fresh, free_row);
        return NULL;
    }
    peri_timer_cancel(ledger->timer);
    ledger->timer = NULL;
    pthread_mutex_lock(&ledger->lock);
    struct peri_map *rows = ledger->rows;
    ledger->rows = fresh;
    pthread_mutex_unlock(&ledger->lock);
    peri_map_each(rows, write_row, &w);
    peri_map_destroy(rows, free_row);
    write_usage(&w);
    return w.batch;
}

void peri_host_ledger_flush(struct peri_host *host, void (*done)(void *arg), void *arg)
{
    struct flush *flush = calloc(1, sizeof(*flush));
    struct peri_batch *batch = flush ? collect(host) : NULL;
    if (!flush) {
        if (done)
            done(arg);
        return;
    }
    *flush = (struct flush){host, done, arg};
    host->commits++;
    if (batch && peri_batch_count(batch) &&
        host->options.ops.submit(host->options.ops.ctx, batch, written, flush) == PERI_OK)
        return;
    host->commits--;
    peri_batch_destroy(batch);
    flush_over(flush);
}

static void flush_due(void *arg)
{
    struct peri_host *host = arg;
    host->ledger->timer = NULL;
    peri_host_ledger_flush(host, NULL, NULL);
}

void peri_ledger_arm(struct peri_host *host)
{
    struct peri_ledger *ledger = host->ledger;
    if (!ledger || ledger->timer || host->closing || !host->options.ops.submit)
        return;
    if (peri_loop_after(host->options.loop, FLUSH_MS, flush_due, host, &ledger->timer))
        ledger->timer = NULL; /* the next call tries again */
}
