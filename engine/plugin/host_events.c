/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions: events on their way to plugins. Each has a position in the journal that outlives the plugin's versions
 * and the service. Behind it everything was delivered; what is ahead comes from the journal until the subscription has
 * caught up, then straight from the commit. One event of a subscription is delivered at a time, in order, at least
 * once: the position is stored with what the handler wrote, or a little later. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/glob.h"
#include "lang/system_event.h"
#include "plugin/host_internal.h"
#include "plugin/lua_vm.h"

#define LOOK_ROWS 200  /* of the journal in one turn of the loop */
#define STORE_MS 1000  /* positions are stored this late when nothing else is written */
#define HOPS_MAX 16    /* as of rules: events made by events made by ... */
#define ATTEMPTS_MAX 8 /* of one event whose handler asks to be tried again */
#define PAUSE_MS 1000
#define PAUSE_MAX_MS 60000

/* Rows of kv that no plugin can reach: a plugin's id has no colon. */
static const char cursor_owner[] = ":cursors";

struct peri_sub {
    struct peri_host *host;
    char *key, *glob;               /* glob: the tail of key */
    struct peri_plugin *owner;      /* the active version that hears it. borrow */
    uint64_t cursor, taken, stored; /* delivered, looked at, delivered as the database knows it */
    bool known;                     /* has a position */
    bool live;                      /* nothing in the journal that was not looked at */
    struct peri_event *queue[PERI_HOST_SUB_QUEUE];
    size_t head, count;
    struct peri_job *job;
    int attempts;
    struct peri_timer *timer;
};

struct peri_reader *peri_host_reader(struct peri_host *host)
{
    struct peri_error err = {0};
    if (!host->reader && host->options.store && peri_store_reader(host->options.store, &host->reader, &err)) {
        host->reader = NULL;
        peri_warn(host->options.log, "plugins", "the database can not be read: %s", err.message);
    }
    return host->reader;
}

void peri_subs_free_changes(struct peri_sub_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(changes[i].glob);
    free(changes);
}

/* --- delivery --- */

static void pump(struct peri_sub *sub);

/* A glob that begins with a star means the world: what the service tells about itself is heard by its name. */
static bool by_star(const struct peri_sub *sub, const char *type)
{
    return sub->glob[0] == '*' && peri_system_event_find(type);
}

static bool hears(const struct peri_sub *sub, const struct peri_event *event)
{
    bool own = peri_str_starts(event->source, "perigee:"); /* schedules, and what the service tells of itself */
    if (event->target_rule && strcmp(event->source, "perigee:schedule") != 0)
        return false;
    return !event->damaged && event->hops < HOPS_MAX && !(own && by_star(sub, event->type)) &&
           peri_glob_match(sub->glob, event->type) && peri_grants_subscribe(sub->owner->grants, event->type);
}

static void woken(void *arg)
{
    struct peri_sub *sub = arg;
    sub->timer = NULL;
    pump(sub);
}

static void rest(struct peri_sub *sub, int64_t ms)
{
    if (!sub->timer && peri_loop_after(sub->host->options.loop, ms, woken, sub, &sub->timer))
        sub->timer = NULL; /* the next event tries again */
}

static void store_later(struct peri_host *host);

static void advance(struct peri_sub *sub)
{
    struct peri_event *event = sub->queue[sub->head];
    sub->cursor = event->seq;
    sub->head = (sub->head + 1) % PERI_HOST_SUB_QUEUE;
    sub->attempts = 0;
    if (--sub->count == 0)
        sub->cursor = sub->taken;
    peri_event_unref(event);
    store_later(sub->host);
}

/* Is this event worth another attempt? One that can not be handled must not stop those behind it for ever. */
static bool try_again(struct peri_sub *sub, const struct peri_error *err)
{
    bool not_tried = !strcmp(err->code, "plugin_suspended") || !strcmp(err->code, "busy");
    if (!not_tried && !err->retryable)
        return false;
    if (!not_tried && ++sub->attempts >= ATTEMPTS_MAX)
        return false;
    int64_t pause = err->retry_after_ms > 0 ? err->retry_after_ms : (int64_t)PAUSE_MS << sub->attempts;
    rest(sub, pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
    return true;
}

static void failed(struct peri_sub *sub, const struct peri_error *err)
{
    struct peri_host *host = sub->host;
    struct peri_plugin *p = sub->owner;
    if (!strcmp(err->code, "stopping") || host->closing)
        return;
    if (!p || try_again(sub, err))
        return;
    if (!strcmp(err->code, "plugin.no_handler")) {
        peri_warn(host->options.log, p->area, "its state was built anew and nobody subscribed to %s again: init should",
            sub->glob);
        sub->owner = NULL;
        return;
    }
    peri_warn(host->options.log, p->area, "ev-%" PRIu64 " for %s is given up: %s [%s]", sub->queue[sub->head]->seq,
        sub->glob, err->message, err->code);
    advance(sub);
}

static void delivered(struct peri_job *job, const struct peri_call_result *result)
{
    struct peri_sub *sub = job->arg;
    sub->job = NULL;
    if (result->status)
        failed(sub, &result->error);
    else
        advance(sub);
    pump(sub);
}

static void deliver(struct peri_sub *sub)
{
    struct peri_error err = {0};
    struct peri_job *job = peri_job_create(sub->owner, PERI_JOB_EVENT);
    if (!job) {
        rest(sub, PAUSE_MS);
        return;
    }
    job->event = peri_event_ref(sub->queue[sub->head]);
    job->finish = delivered;
    job->arg = sub;
    job->path[0] = PERI_VM_KEPT;
    job->path[1] = job->name = job->own_name = peri_strdup(sub->glob);
    sub->job = job;
    if (!job->name) {
        peri_job_free(job);
        peri_error_nomem(&err);
        err.retryable = true;
    } else if (!peri_job_start(job, false, &err)) {
        return;
    }
    sub->job = NULL;
    failed(sub, &err);
}

static void push(struct peri_sub *sub, struct peri_event *event)
{
    sub->queue[(sub->head + sub->count++) % PERI_HOST_SUB_QUEUE] = peri_event_ref(event);
}

struct look {
    struct peri_sub *sub;
    size_t rows;
};

static enum peri_status look_at(void *arg, struct peri_event *event)
{
    struct look *look = arg;
    struct peri_sub *sub = look->sub;
    if (hears(sub, event)) {
        if (sub->count == PERI_HOST_SUB_QUEUE)
            return PERI_ELIMIT;
        push(sub, event);
    }
    sub->taken = event->seq;
    look->rows++;
    return PERI_OK;
}

/* The next piece of the journal. */
static void look_ahead(struct peri_sub *sub)
{
    struct look look = {.sub = sub};
    struct peri_error err = {0};
    struct peri_reader *reader = peri_host_reader(sub->host);
    if (!reader)
        return;
    enum peri_status st = peri_reader_journal(reader, sub->taken, LOOK_ROWS, look_at, &look, &err);
    if (st && st != PERI_ELIMIT) {
        peri_warn(sub->host->options.log, "plugins", "the journal can not be read for %s: %s", sub->glob, err.message);
        rest(sub, PAUSE_MS);
        return;
    }
    sub->live = !st && look.rows < LOOK_ROWS;
    if (sub->count == 0 && sub->cursor != sub->taken) {
        sub->cursor = sub->taken;
        store_later(sub->host);
    }
    if (sub->count == 0 && !sub->live)
        rest(sub, 0);
}

static void pump(struct peri_sub *sub)
{
    if (!sub->owner || sub->owner->state != PERI_PLUGIN_ACTIVE || sub->job || sub->timer || sub->host->closing)
        return;
    if (sub->count == 0 && !sub->live)
        look_ahead(sub);
    if (sub->count > 0 && !sub->timer)
        deliver(sub);
}

static bool offer(const char *key, void *value, void *arg)
{
    struct peri_sub *sub = value;
    struct peri_event *event = arg;
    if (!sub->owner || !sub->live || event->seq <= sub->taken)
        return true;
    bool wanted = hears(sub, event);
    if (wanted && sub->count == PERI_HOST_SUB_QUEUE) {
        sub->live = false; /* the journal keeps it */
        return true;
    }
    if (wanted)
        push(sub, event);
    sub->taken = event->seq;
    if (sub->count == 0)
        sub->cursor = sub->taken;
    pump(sub);
    return true;
}

void peri_host_journaled(struct peri_host *host, struct peri_event *event)
{
    if (!host->closing && peri_map_count(host->subs))
        peri_map_each(host->subs, offer, event);
}

static bool is_resting(const char *key, void *value, void *arg)
{
    const struct peri_sub *sub = value;
    bool *delivers = arg;
    *delivers = sub->owner && (sub->job || (sub->count > 0 && !sub->timer));
    return !*delivers;
}

bool peri_host_delivers(struct peri_host *host)
{
    bool delivers = false;
    if (peri_map_count(host->subs))
        peri_map_each(host->subs, is_resting, &delivers);
    return delivers;
}

static bool is_pending(const char *key, void *value, void *arg)
{
    const struct peri_sub *sub = value;
    bool *pending = arg;
    *pending = sub->owner && sub->owner->state == PERI_PLUGIN_ACTIVE && sub->count > 0 && !sub->job && !sub->timer;
    return !*pending;
}

bool peri_subs_pending(struct peri_host *host)
{
    bool pending = false;
    if (peri_map_count(host->subs))
        peri_map_each(host->subs, is_pending, &pending);
    return pending;
}

struct question {
    const char *type;
    bool yes;
};

static bool ask(const char *key, void *value, void *arg)
{
    const struct peri_sub *sub = value;
    struct question *q = arg;
    q->yes = sub->owner && !by_star(sub, q->type) && peri_glob_match(sub->glob, q->type) &&
             peri_grants_subscribe(sub->owner->grants, q->type);
    return !q->yes;
}

bool peri_host_hears(struct peri_host *host, const char *type)
{
    struct question q = {.type = type};
    if (peri_map_count(host->subs))
        peri_map_each(host->subs, ask, &q);
    return q.yes;
}

/* --- positions --- */

void peri_subs_mark(struct peri_job *job)
{
    const struct peri_sub *sub = job->arg;
    if (job->kind == PERI_JOB_EVENT && peri_job_dirty(job))
        (void)!peri_batch_kv_set(job->batch, cursor_owner, sub->key, peri_value_int((int64_t)job->event->seq), 0);
}

static bool add_cursor(const char *key, void *value, void *arg)
{
    struct peri_sub *sub = value;
    if (sub->known && sub->cursor != sub->stored &&
        !peri_batch_kv_set(arg, cursor_owner, key, peri_value_int((int64_t)sub->cursor), 0))
        sub->stored = sub->cursor;
    return true;
}

static void cursors_stored(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_host *host = arg;
    host->commits--;
    if (st)
        peri_warn(host->options.log, "plugins", "how far subscriptions are was not stored: %s",
            err ? err->message : peri_status_name(st));
}

void peri_subs_flush(struct peri_host *host)
{
    struct peri_batch *batch = host->options.ops.submit ? peri_batch_create() : NULL;
    if (!batch)
        return;
    peri_map_each(host->subs, add_cursor, batch);
    host->commits++;
    if (peri_batch_count(batch) == 0 ||
        host->options.ops.submit(host->options.ops.ctx, batch, cursors_stored, host) != PERI_OK) {
        host->commits--; /* not stored: the next time they have moved */
        peri_batch_destroy(batch);
    }
}

static void store_now(void *arg)
{
    struct peri_host *host = arg;
    host->sub_timer = NULL;
    peri_subs_flush(host);
}

static void store_later(struct peri_host *host)
{
    if (!host->sub_timer && !host->closing &&
        peri_loop_after(host->options.loop, STORE_MS, store_now, host, &host->sub_timer))
        host->sub_timer = NULL;
}

static uint64_t newest(struct peri_reader *reader)
{
    struct peri_event_filter filter = {.limit = 1};
    struct peri_value *list = NULL;
    uint64_t seq = 0;
    if (!peri_reader_events(reader, &filter, &list, NULL) && peri_value_count(list))
        peri_event_id_parse(peri_map_text(peri_list_at(list, 0), "id"), &seq);
    peri_value_unref(list);
    return seq;
}

static void find_position(struct peri_sub *sub, const struct peri_sub_change *wish)
{
    struct peri_reader *reader = peri_host_reader(sub->host);
    struct peri_value *v = NULL;
    if (sub->known || !reader)
        return;
    if (!peri_reader_kv_get(reader, cursor_owner, sub->key, 0, &v, NULL) && peri_value_is(v, PERI_INT))
        sub->cursor = (uint64_t)peri_value_as_int(v);
    else
        sub->cursor = wish->from_now ? newest(reader) : wish->since;
    peri_value_unref(v);
    sub->stored = UINT64_MAX;
    sub->taken = sub->cursor;
    sub->known = true;
    store_later(sub->host);
}

/* --- who hears what --- */

static struct peri_sub *sub_of(struct peri_plugin *p, const char *glob, bool make)
{
    char *key = peri_asprintf("%s\n%s", p->id, glob);
    struct peri_sub *sub = key ? peri_map_get(p->host->subs, key) : NULL;
    if (sub || !make || !key) {
        free(key);
        return sub;
    }
    sub = calloc(1, sizeof(*sub));
    if (!sub || !peri_map_set(p->host->subs, key, sub, NULL)) {
        free(sub);
        free(key);
        return NULL;
    }
    sub->host = p->host;
    sub->key = key;
    sub->glob = key + strlen(p->id) + 1;
    return sub;
}

static void bind(struct peri_plugin *p, const struct peri_sub_change *wish)
{
    struct peri_sub *sub = sub_of(p, wish->glob, true);
    if (!sub)
        return;
    find_position(sub, wish);
    sub->owner = p;
    sub->live = false;
    pump(sub);
}

void peri_subs_bind(struct peri_plugin *p)
{
    for (size_t i = 0; i < p->sub_count && p->host->options.store; i++)
        bind(p, &p->subs[i]);
}

static bool let_go(const char *key, void *value, void *arg)
{
    struct peri_sub *sub = value;
    if (sub->owner == arg)
        sub->owner = NULL;
    return true;
}

void peri_subs_unbind(struct peri_plugin *p)
{
    peri_map_each(p->host->subs, let_go, p);
}

static void empty(struct peri_sub *sub)
{
    size_t keep = sub->job ? 1 : 0; /* whose handler runs */
    while (sub->count > keep)
        peri_event_unref(sub->queue[(sub->head + --sub->count) % PERI_HOST_SUB_QUEUE]);
}

static void forget(struct peri_plugin *p, const char *glob)
{
    struct peri_sub *sub = sub_of(p, glob, false);
    struct peri_host *host = p->host;
    if (!sub)
        return;
    sub->owner = NULL;
    sub->known = false;
    empty(sub);
    struct peri_batch *batch = host->options.ops.submit ? peri_batch_create() : NULL;
    host->commits++;
    if (!batch || peri_batch_kv_set(batch, cursor_owner, sub->key, NULL, 0) ||
        host->options.ops.submit(host->options.ops.ctx, batch, cursors_stored, host) != PERI_OK) {
        host->commits--;
        peri_batch_destroy(batch);
    }
}

static size_t index_of(const struct peri_plugin *p, const char *glob)
{
    size_t i = 0;
    while (i < p->sub_count && strcmp(p->subs[i].glob, glob))
        i++;
    return i;
}

static void apply(struct peri_plugin *p, struct peri_sub_change *change)
{
    size_t i = index_of(p, change->glob);
    if (change->off && i < p->sub_count) {
        free(p->subs[i].glob);
        p->subs[i] = p->subs[--p->sub_count];
        forget(p, change->glob);
    } else if (!change->off) {
        if (i == p->sub_count) {
            if (i >= PERI_HOST_SUBS || !peri_vec_grow(&p->subs, &p->sub_cap, i + 1, sizeof(*p->subs)))
                return;
            p->subs[p->sub_count++] = *change;
            change->glob = NULL;
        }
        if (p->state == PERI_PLUGIN_ACTIVE && !p->candidate && p->host->options.store)
            bind(p, &p->subs[i]);
    }
}

void peri_subs_apply(struct peri_job *job)
{
    for (size_t i = 0; i < job->sub_count; i++)
        apply(job->plugin, &job->subs[i]);
    peri_subs_free_changes(job->subs, job->sub_count);
    job->subs = NULL;
    job->sub_count = job->sub_cap = 0;
}

struct peri_value *peri_subs_value(const struct peri_plugin *p)
{
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && i < p->sub_count; i++) {
        const struct peri_sub *sub = sub_of((struct peri_plugin *)(uintptr_t)p, p->subs[i].glob, false);
        struct peri_value *item = peri_value_map();
        char id[PERI_ID_TEXT];
        bool ok = item && !peri_map_put_text(item, "event", p->subs[i].glob);
        if (ok && sub && sub->known)
            ok = !peri_map_put_text(item, "after", peri_event_id(sub->cursor, id));
        if (!ok || peri_list_push(list, item)) {
            if (!ok)
                peri_value_unref(item);
            break;
        }
    }
    return list;
}

static bool free_sub(const char *key, void *value, void *arg)
{
    struct peri_sub *sub = value;
    sub->job = NULL;
    peri_timer_cancel(sub->timer);
    empty(sub);
    free(sub->key);
    free(sub);
    return true;
}

void peri_subs_finish(struct peri_host *host)
{
    peri_timer_cancel(host->sub_timer);
    host->sub_timer = NULL;
    if (host->subs)
        peri_map_each(host->subs, free_sub, NULL);
    peri_map_destroy(host->subs, NULL);
    host->subs = NULL;
    peri_reader_close(host->reader);
    host->reader = NULL;
}
