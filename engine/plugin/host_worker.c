/* SPDX-License-Identifier: Apache-2.0 */
/* The worker threads. A plugin with mail stands in one queue; a worker takes it, works through its mail for a short
 * while and puts it back when there is more, so that one busy plugin does not hold a worker for ever. Finished items go
 * to the loop in one list with one post. */
#include <stdlib.h>
#include <string.h>

#include "plugin/lua_cell.h"
#include "plugin/lua_vm_watch.h"

#define STACK_BYTES ((size_t)16 << 20) /* nested C calls of Lua need up to 420 kB, its compiler more */
#define TURN_NS 2000000                /* how long a worker collects results before it hands them over */
#define TURN_ITEMS 64
#define REBUILD_NS 200000000 /* between two tries to build a state again */
#define TURN_MAX_NS 10000000 /* then others have a turn, however little was done */

static void put(struct peri_items *items, struct peri_item *item)
{
    if (!items->head)
        items->tail = &items->head;
    item->next = NULL;
    *items->tail = item;
    items->tail = &item->next;
    items->count++;
}

static struct peri_item *take(struct peri_items *items)
{
    struct peri_item *item = items->head;
    if (item) {
        items->head = item->next;
        items->count--;
    }
    return item;
}

static bool has_work(const struct peri_plugin *p)
{
    return p->urgent.head || (p->mail.head && !p->held);
}

/* With the lock. */
static void schedule(struct peri_host *host, struct peri_plugin *p)
{
    if (p->queued || p->running || !has_work(p))
        return;
    p->queued = true;
    p->next_run = NULL;
    *host->run_tail = peri_plugin_ref(p);
    host->run_tail = &p->next_run;
    host->wanted = true;
}

static void wake(void *arg)
{
    struct peri_host *host = arg;
    pthread_mutex_lock(&host->lock);
    bool many = host->run_head && host->run_head->next_run;
    host->wanted = false;
    pthread_mutex_unlock(&host->lock);
    if (many)
        pthread_cond_broadcast(&host->wake);
    else
        pthread_cond_signal(&host->wake);
}

enum peri_status peri_item_send(struct peri_host *host, struct peri_plugin *p, struct peri_item *item, bool urgent)
{
    enum peri_status st = PERI_OK;
    pthread_mutex_lock(&host->lock);
    if (item->kind == PERI_ITEM_START && p->mail.count >= PERI_HOST_QUEUE) {
        st = PERI_EBUSY;
    } else {
        put(urgent ? &p->urgent : &p->mail, item);
        schedule(host, p);
    }
    bool wanted = host->wanted;
    pthread_mutex_unlock(&host->lock);
    if (wanted) /* once for all that is sent at the same time: each would cost the workers a turn of their own */
        peri_loop_later(host->options.loop, &host->waking, wake, host);
    return st;
}

void peri_plugin_release(struct peri_plugin *p, bool broken)
{
    pthread_mutex_lock(&p->host->lock);
    p->held = false;
    p->broken = broken;
    schedule(p->host, p);
    pthread_mutex_unlock(&p->host->lock);
    peri_loop_later(p->host->options.loop, &p->host->waking, wake, p->host);
}

void peri_plugin_retire(struct peri_plugin *p)
{
    if (!p->isolated || p->retire_item.plugin)
        return;
    p->retire_item = (struct peri_item){.kind = PERI_ITEM_RETIRE, .plugin = p};
    (void)!peri_item_send(p->host, p, &p->retire_item, false);
}

/* --- the loop's side of the finished list --- */

static void watch_process(struct peri_plugin *p)
{
    atomic_store(&p->watch_sent, false);
    peri_cell_watch(p);
    peri_plugin_unref(p);
}

void peri_host_collect(struct peri_host *host)
{
    pthread_mutex_lock(&host->lock);
    struct peri_item *item = host->finished.head;
    memset(&host->finished, 0, sizeof(host->finished));
    pthread_mutex_unlock(&host->lock);
    while (item) {
        struct peri_item *next = item->next; /* handling may send the item off again */
        if (item->kind == PERI_ITEM_LOAD)
            peri_plugin_loaded(item->plugin);
        else if (item->kind == PERI_ITEM_RESET)
            peri_plugin_was_reset(item->plugin);
        else if (item->kind == PERI_ITEM_WATCH)
            watch_process(item->plugin);
        else
            peri_job_returned(item->job, item->kind);
        item = next;
    }
}

static void collect_posted(void *arg)
{
    struct peri_host *host = arg;
    pthread_mutex_lock(&host->lock);
    host->posted = false;
    pthread_mutex_unlock(&host->lock);
    peri_host_collect(host);
}

static void hand_over(struct peri_host *host, struct peri_items *done)
{
    if (!done->head)
        return;
    pthread_mutex_lock(&host->lock);
    for (struct peri_item *item; (item = take(done));)
        put(&host->finished, item);
    bool post = !host->posted;
    host->posted = true;
    pthread_mutex_unlock(&host->lock);
    if (post && peri_loop_post(host->options.loop, collect_posted, host)) {
        pthread_mutex_lock(&host->lock);
        host->posted = false; /* the next hand-over tries again; peri_host_destroy collects in any case */
        pthread_mutex_unlock(&host->lock);
    }
}

/* --- the worker --- */

static void lost(struct peri_job *job)
{
    peri_error_set(
        &job->error, PERI_ESTATE, "plugin_reset", "plugin %s was reset while this call waited", job->plugin->id);
    job->error.retryable = true;
    job->outcome = PERI_JOB_FAILED;
}

/* The loop looks after the process that a build has made. */
static void tell_process(struct peri_plugin *p, struct peri_items *done)
{
    int pid = atomic_load(&p->pid);
    if (pid == 0 || pid == p->told_pid || atomic_exchange(&p->watch_sent, true))
        return;
    p->told_pid = pid;
    p->watch_item = (struct peri_item){.kind = PERI_ITEM_WATCH, .plugin = peri_plugin_ref(p)};
    put(done, &p->watch_item);
}

/* After an end by limit: the state is gone with everything suspended in it. The source is loaded afresh, and when there
 * is an init it runs before anything else. */
static void reset(struct peri_plugin *p, struct peri_items *done)
{
    struct peri_error err = {0};
    for (struct peri_job *job; (job = p->suspended);)
        peri_lua_abort(job); /* its next item finds no call and reports the loss */
    enum peri_status st = peri_plugin_rebuild(p, &err);
    if (st)
        peri_err(p->host->options.log, p->area, "can not be built again after a reset: %s", err.message);
    p->unbuilt_ns = st ? peri_clock_mono(&p->host->options.clock).ns : 0;
    pthread_mutex_lock(&p->host->lock);
    p->held = p->has_init && !st;
    pthread_mutex_unlock(&p->host->lock);
    tell_process(p, done);
    if (p->has_init && !st) {
        p->reset_item = (struct peri_item){.kind = PERI_ITEM_RESET, .plugin = peri_plugin_ref(p)};
        put(done, &p->reset_item);
    }
}

/* What it lacked, memory perhaps, may be there again: it is tried before a call, a few times a second at most. False:
 * the call cannot be made now. */
static bool built(struct peri_plugin *p, struct peri_items *done)
{
    if (!p->unbuilt_ns)
        return true;
    if (peri_clock_mono(&p->host->options.clock).ns - p->unbuilt_ns >= REBUILD_NS)
        reset(p, done);
    return !p->unbuilt_ns && !p->has_init; /* its init comes first */
}

static void run_job(struct peri_worker *w, struct peri_plugin *p, struct peri_item *item, struct peri_items *done)
{
    struct peri_job *job = item->job;
    job->worker = w;
    if (item->kind == PERI_ITEM_ABORT) {
        peri_lua_abort(job);
        peri_native_abort(job);
    } else if (item->kind == PERI_ITEM_RESUME) {
        if (job->native_call)
            peri_native_resume(job);
        else if (job->vm_call)
            peri_lua_resume(job);
        else
            lost(job);
    } else if (p->script) {
        peri_lua_script(job);
    } else if (!built(p, done)) {
        lost(job);
    } else if (p->broken || (!p->vm && !p->native)) {
        peri_error_set(&job->error, PERI_ESTATE, "plugin_failed", "plugin %s has failed", p->id);
        job->outcome = PERI_JOB_FAILED;
    } else if (p->native) {
        peri_native_job(job);
    } else {
        peri_lua_start(job);
    }
    job->worker = NULL;
}

static void run_item(struct peri_worker *w, struct peri_plugin *p, struct peri_item *item, struct peri_items *done)
{
    if (item->kind == PERI_ITEM_LOAD) {
        peri_error_clear(&p->error);
        (void)!peri_plugin_build(p, &p->error);
        tell_process(p, done);
        put(done, item);
        return;
    }
    if (item->kind == PERI_ITEM_LOST) {
        atomic_store(&p->lost_sent, false);
        if (!p->retired && p->cell && peri_cell_lost(p, atomic_load(&p->lost_pid)))
            reset(p, done);
        return;
    }
    if (item->kind == PERI_ITEM_RETIRE) {
        p->retired = true;
        return;
    }
    run_job(w, p, item, done);
    bool spoilt =
        p->vm && item->job->outcome == PERI_JOB_FAILED && item->kind != PERI_ITEM_ABORT && peri_plugin_spoilt(p);
    put(done, item);
    if (spoilt && !p->retired)
        reset(p, done);
}

static void run_plugin(struct peri_worker *w, struct peri_plugin *p)
{
    struct peri_host *host = w->host;
    struct peri_items done = {0};
    struct peri_mono began = peri_clock_mono(&host->options.clock), from = began;
    bool lua = p->vm && !p->cell;
    if (lua)
        peri_vm_watch_turn(1);
    for (int i = 0; i < TURN_ITEMS; i++) {
        pthread_mutex_lock(&host->lock);
        struct peri_item *item = take(&p->urgent);
        if (!item && !p->held)
            item = take(&p->mail);
        pthread_mutex_unlock(&host->lock);
        if (!item)
            break;
        run_item(w, p, item, &done);
        if (p->retired && p->cell && !p->suspended)
            peri_cell_end(p);
        struct peri_mono now = peri_clock_mono(&host->options.clock);
        if (now.ns - from.ns > TURN_NS) {
            hand_over(host, &done);
            from = now;
        }
        if (now.ns - began.ns > TURN_MAX_NS)
            break;
    }
    if (lua)
        peri_vm_watch_turn(0);
    hand_over(host, &done);
}

static void *worker_main(void *arg)
{
    struct peri_worker *w = arg;
    struct peri_host *host = w->host;
    pthread_mutex_lock(&host->lock);
    for (;;) {
        while (!host->run_head && !host->stopping)
            pthread_cond_wait(&host->wake, &host->lock);
        struct peri_plugin *p = host->run_head;
        if (host->stopping)
            break;
        host->run_head = p->next_run;
        if (!host->run_head)
            host->run_tail = &host->run_head;
        p->queued = false;
        p->running = true;
        pthread_mutex_unlock(&host->lock);
        run_plugin(w, p);
        pthread_mutex_lock(&host->lock);
        p->running = false;
        schedule(host, p);
        if (host->run_head && host->run_head->next_run) /* one of them is for this worker */
            pthread_cond_signal(&host->wake);
        pthread_mutex_unlock(&host->lock);
        peri_plugin_unref(p);
        pthread_mutex_lock(&host->lock);
    }
    pthread_mutex_unlock(&host->lock);
    peri_reader_close(w->reader);
    w->reader = NULL;
    return NULL;
}

enum peri_status peri_workers_start(struct peri_host *host, int count, struct peri_error *err)
{
    pthread_attr_t attr;
    host->workers = calloc((size_t)count, sizeof(*host->workers));
    if (!host->workers)
        return peri_error_nomem(err);
    host->worker_count = count;
    int failed = pthread_attr_init(&attr);
    if (!failed) {
        failed = pthread_attr_setstacksize(&attr, STACK_BYTES);
        for (int i = 0; !failed && i < count; i++) {
            host->workers[i].host = host;
            failed = pthread_create(&host->workers[i].thread, &attr, worker_main, &host->workers[i]);
            host->workers[i].running = !failed;
        }
        pthread_attr_destroy(&attr);
    }
    return failed ? peri_error_set(err, PERI_EIO, NULL, "can not start worker threads: %s", strerror(failed)) : PERI_OK;
}

void peri_workers_stop(struct peri_host *host)
{
    pthread_mutex_lock(&host->lock);
    host->stopping = true;
    pthread_cond_broadcast(&host->wake);
    pthread_mutex_unlock(&host->lock);
    for (int i = 0; i < host->worker_count; i++)
        if (host->workers[i].running)
            pthread_join(host->workers[i].thread, NULL);
    free(host->workers);
    host->workers = NULL;
    host->worker_count = 0;
    peri_workers_forget(host);
}

void peri_workers_forget(struct peri_host *host)
{
    struct peri_plugin *p;
    while ((p = host->run_head)) {
        host->run_head = p->next_run;
        p->queued = false;
        peri_plugin_unref(p);
    }
    host->run_tail = &host->run_head;
}
