/* SPDX-License-Identifier: Apache-2.0 */
/* What threads of a plugin's own may call: answers to calls that were deferred, and items that have come in. Both are
 * taken under a lock, and the loop does the rest.
 *
 * A deferred call is known by a number, never by an address: it may be answered in time, late, twice, after its plugin
 * was unloaded, or not at all. What is late is counted and dropped. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/native_call.h"

#define OPEN_MAX 10000  /* deferred calls of one plugin */
#define PUSHES_MAX 1024 /* items of one plugin on their way */

struct pending {
    struct pending *next;
    perigee_token token;
    struct peri_job *job; /* followed by the loop only, and only while this is in the list */
    bool armed, completed, given;
    struct peri_deferred with;
};

struct perigee_self {
    struct perigee_self *next; /* of the host's */
    pthread_mutex_t lock;      /* taken before the host's */
    struct peri_host *host;
    struct peri_plugin *plugin; /* NULL: unloaded. Not counted: see try_ref */
    struct peri_value *config;
    char *area;
    perigee_token last;
    struct pending *pendings;
    size_t open, pushes;
    int64_t late;
};

struct peri_push {
    struct peri_push *next;
    struct perigee_self *self;
    struct peri_plugin *plugin;
    struct peri_value *item;
    void (*done)(void *user, enum perigee_status status);
    void *user;
};

struct perigee_self *peri_self_create(struct peri_plugin *plugin)
{
    struct peri_host *host = plugin->host;
    struct perigee_self *self = calloc(1, sizeof(*self));
    char *area = peri_strdup(plugin->area);
    if (!self || !area) {
        free(self);
        free(area);
        return NULL;
    }
    pthread_mutex_init(&self->lock, NULL);
    self->host = host;
    self->plugin = plugin;
    self->area = area;
    self->config = plugin->config ? peri_value_copy_deep(plugin->config) : NULL;
    pthread_mutex_lock(&host->lock);
    self->next = host->selves;
    host->selves = self;
    pthread_mutex_unlock(&host->lock);
    return self;
}

void peri_self_gone(struct perigee_self *self)
{
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->plugin = NULL;
    pthread_mutex_unlock(&self->lock);
}

static void free_pending(struct pending *pending)
{
    peri_value_unref(pending->with.value);
    free(pending);
}

static void end_push(struct peri_push *push, enum perigee_status status)
{
    pthread_mutex_lock(&push->self->lock);
    push->self->pushes--;
    pthread_mutex_unlock(&push->self->lock);
    if (push->done)
        push->done(push->user, status);
    peri_value_unref(push->item);
    peri_plugin_unref(push->plugin);
    free(push);
}

void peri_selves_finish(struct peri_host *host)
{
    struct perigee_self *self = host->selves;
    host->selves = NULL;
    while (self) {
        struct perigee_self *next = self->next;
        for (struct pending *p; (p = self->pendings);) {
            self->pendings = p->next;
            free_pending(p);
        }
        pthread_mutex_destroy(&self->lock);
        peri_value_unref(self->config);
        free(self->area);
        free(self);
        self = next;
    }
}

/* A plugin whose last reference is about to go has none to give. */
static bool try_ref(struct peri_plugin *plugin)
{
    int refs = plugin ? atomic_load(&plugin->refs) : 0;
    while (refs > 0 && !atomic_compare_exchange_weak(&plugin->refs, &refs, refs + 1))
        ;
    return refs > 0;
}

/* --- deferred calls --- */

static struct pending **find(struct perigee_self *self, perigee_token token)
{
    struct pending **at = &self->pendings;
    while (*at && (*at)->token != token)
        at = &(*at)->next;
    return at;
}

perigee_token peri_self_defer(struct perigee_self *self, struct peri_job *job)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (!pending)
        return 0;
    pthread_mutex_lock(&self->lock);
    if (self->open >= OPEN_MAX) {
        pthread_mutex_unlock(&self->lock);
        free(pending);
        return 0;
    }
    pending->token = ++self->last;
    pending->job = job;
    pending->next = self->pendings;
    self->pendings = pending;
    self->open++;
    perigee_token token = pending->token;
    pthread_mutex_unlock(&self->lock);
    return token;
}

bool peri_self_armed(struct perigee_self *self, perigee_token token)
{
    pthread_mutex_lock(&self->lock);
    struct pending *pending = *find(self, token);
    bool completed = pending && pending->completed;
    if (pending) {
        pending->armed = true;
        pending->given = completed;
    }
    pthread_mutex_unlock(&self->lock);
    return completed;
}

bool peri_self_withdraw(struct perigee_self *self, perigee_token token, struct peri_deferred *ret)
{
    struct peri_deferred none = {0};
    pthread_mutex_lock(&self->lock);
    struct pending **at = find(self, token), *pending = *at;
    if (pending) {
        *at = pending->next;
        self->open--;
    }
    pthread_mutex_unlock(&self->lock);
    bool completed = pending && pending->completed;
    *ret = completed ? pending->with : none;
    free(pending);
    return !completed;
}

static void pushed(struct peri_push *push);

/* On the loop: calls that were completed while they wait go on. */
static void collect(void *arg)
{
    struct peri_host *host = arg;
    struct peri_push *push, *pushes;
    pthread_mutex_lock(&host->lock);
    host->self_posted = false;
    pushes = host->pushes;
    host->pushes = NULL;
    host->push_tail = NULL;
    struct perigee_self *self = host->selves;
    pthread_mutex_unlock(&host->lock);
    for (; self; self = self->next) { /* new ones come at the head only, and none goes */
        pthread_mutex_lock(&self->lock);
        for (struct pending *p = self->pendings; p; p = p->next) {
            bool now = p->armed && p->completed && !p->given;
            p->given = p->given || now;
            if (now && !p->job->answered && !p->job->on_worker)
                peri_job_resume(p->job);
        }
        pthread_mutex_unlock(&self->lock);
    }
    while ((push = pushes)) {
        pushes = push->next;
        pushed(push);
    }
}

/* With the lock of self. */
static void wake(struct peri_host *host)
{
    pthread_mutex_lock(&host->lock);
    bool post = !host->self_posted && !host->closing_selves;
    host->self_posted = host->self_posted || post;
    if (post && peri_loop_post(host->options.loop, collect, host))
        host->self_posted = false; /* the next one wakes it */
    pthread_mutex_unlock(&host->lock);
}

void peri_selves_close(struct peri_host *host)
{
    pthread_mutex_lock(&host->lock);
    host->closing_selves = true;
    struct peri_push *pushes = host->pushes, *push;
    host->pushes = NULL;
    host->push_tail = NULL;
    pthread_mutex_unlock(&host->lock);
    while ((push = pushes)) {
        pushes = push->next;
        end_push(push, PERIGEE_FAILED);
    }
}

enum perigee_status peri_self_complete(struct perigee_self *self, perigee_token token, struct peri_deferred *with)
{
    enum perigee_status st = PERIGEE_NOT_FOUND;
    if (self) {
        pthread_mutex_lock(&self->lock);
        struct pending *pending = token ? *find(self, token) : NULL;
        if (pending && !pending->completed) {
            pending->completed = true;
            pending->with = *with;
            *with = (struct peri_deferred){0};
            st = PERIGEE_OK;
            if (pending->armed)
                wake(self->host);
        } else {
            self->late++;
            peri_metric_add(self->host->late_completions, 1);
        }
        pthread_mutex_unlock(&self->lock);
    }
    peri_value_unref(with->value);
    return st;
}

enum peri_status peri_self_put(struct perigee_self *self, struct peri_value *v)
{
    if (!self)
        return PERI_OK;
    pthread_mutex_lock(&self->lock);
    int64_t open = (int64_t)self->open, late = self->late;
    bool used = self->last > 0 || late > 0;
    pthread_mutex_unlock(&self->lock);
    struct peri_value *d = used ? peri_value_map() : NULL;
    if (!used)
        return PERI_OK;
    if (d && !peri_map_put_int(d, "open", open) && !peri_map_put_int(d, "late", late))
        return peri_map_put(v, "deferred", d);
    peri_value_unref(d);
    return PERI_ENOMEM;
}

/* --- items --- */

static void push_finished(struct peri_job *job, const struct peri_call_result *result)
{
    struct peri_push *push = job->arg;
    if (result->status && !job->host->closing)
        peri_warn(job->host->options.log, job->plugin->area, "an item that came in was not stored: %s [%s]",
            result->error.message, result->error.code);
    end_push(push, result->status ? PERIGEE_FAILED : PERIGEE_OK);
}

static void pushed(struct peri_push *push)
{
    struct peri_plugin *p = push->plugin;
    struct peri_error err = {0};
    struct peri_job *job =
        p->state == PERI_PLUGIN_ACTIVE && !p->host->closing ? peri_job_create(p, PERI_JOB_PUSH) : NULL;
    if (!job) {
        end_push(push, PERIGEE_FAILED);
        return;
    }
    job->path[0] = "connector";
    job->path[1] = "map";
    job->params = push->item;
    push->item = NULL;
    job->finish = push_finished;
    job->arg = push;
    if (peri_job_start(job, false, &err)) {
        peri_warn(p->host->options.log, p->area, "an item that came in was not taken: %s [%s]", err.message, err.code);
        end_push(push, PERIGEE_FAILED);
    }
}

/* With the lock of self: the reference is taken last, so that none is given back on the plugin's own thread. */
static enum perigee_status enqueue(struct perigee_self *self, struct peri_push *push)
{
    struct peri_host *host = self->host;
    if (self->pushes >= PUSHES_MAX)
        return PERIGEE_BUSY;
    if (!try_ref(self->plugin))
        return PERIGEE_FAILED;
    push->plugin = self->plugin;
    pthread_mutex_lock(&host->lock);
    if (host->push_tail)
        host->push_tail->next = push;
    else
        host->pushes = push;
    host->push_tail = push;
    pthread_mutex_unlock(&host->lock);
    self->pushes++;
    wake(host);
    return PERIGEE_OK;
}

enum perigee_status peri_self_push(struct perigee_self *self, struct peri_value *item,
    void (*done)(void *user, enum perigee_status status), void *user)
{
    struct peri_push *push = self && item ? calloc(1, sizeof(*push)) : NULL;
    enum perigee_status st = PERIGEE_FAILED;
    if (push) {
        *push = (struct peri_push){.self = self, .item = item, .done = done, .user = user};
        pthread_mutex_lock(&self->lock);
        if (self->plugin && self->plugin->native)
            atomic_store(&self->plugin->native->stays, true);
        st = enqueue(self, push);
        pthread_mutex_unlock(&self->lock);
    }
    if (st == PERIGEE_OK)
        return st;
    free(push);
    peri_value_unref(item);
    return st;
}

void peri_self_log(struct perigee_self *self, enum perigee_log_level level, const char *text)
{
    enum peri_log_level known =
        level < PERIGEE_DEBUG || level > PERIGEE_ERROR ? PERI_LOG_INFO : (enum peri_log_level)level;
    if (self && text)
        peri_log_write(self->host->options.log, known, self->area, "%.*s", PERI_HOST_LOG_LINE, text);
}

struct peri_value *peri_self_config(struct perigee_self *self)
{
    if (!self)
        return peri_value_map();
    pthread_mutex_lock(&self->lock);
    struct peri_value *copy = self->config ? peri_value_copy_deep(self->config) : peri_value_map();
    pthread_mutex_unlock(&self->lock);
    return copy;
}
