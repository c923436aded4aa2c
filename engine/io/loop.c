/* SPDX-License-Identifier: Apache-2.0 */
/* Only the loop's thread touches libevent, so libevent needs no locks of its own: other threads put their calls into a
 * list under one mutex and write to an eventfd that the loop reads. */
#include "io/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/pool.h"

#define SPARE_POSTS 64

struct post {
    struct post *next;
    bool spare; /* one of the loop's own */
    void (*fn)(void *arg);
    void *arg;
};

struct peri_timer {
    struct peri_timer *prev, *next; /* of all pending timers, so that destroying the loop frees them */
    struct peri_loop *loop;
    struct event *event; /* NULL: by the loop's clock, ... */
    int64_t due_ns;      /* ... when that says so */
    uint64_t serial;
    void (*fn)(void *arg);
    void *arg;
    bool firing;
};

struct sig {
    struct sig *next;
    struct event *event;
    void (*fn)(void *arg, int signo);
    void *arg;
};

struct peri_loop {
    struct event_base *base;
    struct peri_clock clock;
    struct event *wake;
    int wake_fd;
    pthread_mutex_t lock; /* of the fields up to closing */
    struct post *first, **tail;
    struct post *spare; /* for when memory is out: an answer that nobody hears of would be waited for for ever */
    bool woken;         /* the eventfd was written and not read yet */
    bool closing;
    atomic_bool stop;
    _Atomic(pthread_t) thread;
    struct peri_timer *timers;
    bool by_clock;
    uint64_t serial; /* of the newest timer */
    struct sig *signals;
    struct post spares[SPARE_POSTS];
    bool in_round; /* something posted is being run */
    struct peri_later *later;
};

static void take_posts(struct peri_loop *loop, struct post **ret_first)
{
    pthread_mutex_lock(&loop->lock);
    *ret_first = loop->first;
    loop->first = NULL;
    loop->tail = &loop->first;
    loop->woken = false;
    pthread_mutex_unlock(&loop->lock);
}

static void free_post(struct peri_loop *loop, struct post *post)
{
    if (!post->spare) {
        free(post);
        return;
    }
    pthread_mutex_lock(&loop->lock);
    post->next = loop->spare;
    loop->spare = post;
    pthread_mutex_unlock(&loop->lock);
}

static void run_later(struct peri_loop *loop)
{
    while (loop->later) {
        struct peri_later *later = loop->later;
        loop->later = later->next;
        later->waits = false;
        later->fn(later->arg);
    }
}

void peri_loop_later(struct peri_loop *loop, struct peri_later *later, void (*fn)(void *arg), void *arg)
{
    if (!loop->in_round) {
        fn(arg);
        return;
    }
    if (later->waits)
        return;
    struct peri_later **end = &loop->later;
    while (*end)
        end = &(*end)->next;
    *later = (struct peri_later){.fn = fn, .arg = arg, .waits = true};
    *end = later;
}

void peri_later_cancel(struct peri_loop *loop, struct peri_later *later)
{
    struct peri_later **link = &loop->later;
    while (*link && *link != later)
        link = &(*link)->next;
    if (*link)
        *link = later->next;
    later->waits = false;
}

/* Runs what was queued when we woke up. What these calls post themselves waits for the next round, so that sockets and
 * timers get their turn. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct peri_loop *loop = arg;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n; /* nothing to read is fine too: the list decides */
    if (loop->stop)
        event_base_loopbreak(loop->base);
    struct post *post;
    bool outer = loop->in_round; /* somebody turns the loop from within */
    take_posts(loop, &post);
    loop->in_round = true;
    while (post) {
        struct post *next = post->next;
        post->fn(post->arg);
        free_post(loop, post);
        post = next;
    }
    run_later(loop);
    loop->in_round = outer;
}

static void wake(struct peri_loop *loop)
{
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof(one));
    (void)n; /* EAGAIN means that the counter is full, so the loop wakes anyway */
}

static pthread_once_t memory_once = PTHREAD_ONCE_INIT;

static void set_up_memory(void)
{
    event_set_mem_functions(peri_pool_alloc, realloc, peri_pool_free);
}

static struct event_base *new_base(void)
{
    pthread_once(&memory_once, set_up_memory);
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    /* The coarse clock that libevent takes by default lets timers fire a few milliseconds early. */
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

enum peri_status peri_loop_create(const struct peri_clock *clock, struct peri_loop **ret, struct peri_error *err)
{
    struct peri_loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return peri_error_nomem(err);
    pthread_mutex_init(&loop->lock, NULL);
    loop->clock = *clock;
    loop->tail = &loop->first;
    for (int i = 0; i < SPARE_POSTS; i++) {
        loop->spares[i] = (struct post){.next = loop->spare, .spare = true};
        loop->spare = &loop->spares[i];
    }
    loop->thread = pthread_self();
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        peri_error_set(err, PERI_EIO, NULL, "can not make an eventfd: %s", strerror(errno));
        peri_loop_destroy(loop);
        return PERI_EIO;
    }
    loop->base = new_base();
    loop->wake = loop->base ? event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop) : NULL;
    if (!loop->wake || event_add(loop->wake, NULL) < 0) {
        peri_loop_destroy(loop);
        return peri_error_nomem(err);
    }
    *ret = loop;
    return PERI_OK;
}

void peri_loop_destroy(struct peri_loop *loop)
{
    if (!loop)
        return;
    pthread_mutex_lock(&loop->lock);
    loop->closing = true;
    pthread_mutex_unlock(&loop->lock);
    struct post *post;
    take_posts(loop, &post);
    while (post) {
        struct post *next = post->next;
        free_post(loop, post);
        post = next;
    }
    while (loop->timers)
        peri_timer_cancel(loop->timers);
    while (loop->signals) {
        struct sig *sig = loop->signals;
        loop->signals = sig->next;
        event_free(sig->event);
        free(sig);
    }
    if (loop->wake)
        event_free(loop->wake);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

enum peri_status peri_loop_run(struct peri_loop *loop)
{
    loop->thread = pthread_self();
    int rc = 0;
    while (!loop->stop && rc >= 0)
        rc = event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    loop->stop = false;
    return rc < 0 ? PERI_EIO : PERI_OK;
}

static void on_nothing(evutil_socket_t fd, short what, void *arg)
{
}

static void on_timer(evutil_socket_t fd, short what, void *arg);

/* Of those that go by the clock: by time, then in the order in which they were made. */
static struct peri_timer *first_timer(const struct peri_loop *loop)
{
    struct peri_timer *first = NULL;
    for (struct peri_timer *t = loop->timers; t; t = t->next)
        if (!t->firing &&
            (!first || t->due_ns < first->due_ns || (t->due_ns == first->due_ns && t->serial < first->serial)))
            first = t;
    return first;
}

/* What these timers start themselves waits for the next round. */
static bool fire_due(struct peri_loop *loop)
{
    uint64_t newest = loop->serial;
    int64_t now = peri_clock_mono(&loop->clock).ns;
    bool fired = false;
    struct peri_timer *t;
    while ((t = first_timer(loop)) && t->due_ns <= now && t->serial <= newest) {
        on_timer(-1, 0, t);
        fired = true;
    }
    return fired;
}

void peri_loop_by_clock(struct peri_loop *loop)
{
    loop->by_clock = true;
}

int64_t peri_loop_next_due(const struct peri_loop *loop)
{
    const struct peri_timer *t = loop->by_clock ? first_timer(loop) : NULL;
    int64_t left = t ? t->due_ns - peri_clock_mono(&loop->clock).ns : 0;
    return !t ? -1 : left <= 0 ? 0 : (left + 999999) / 1000000;
}

void peri_loop_once(struct peri_loop *loop, int64_t max_wait_ms)
{
    loop->thread = pthread_self();
    run_later(loop);
    bool fired = loop->by_clock && fire_due(loop);
    if (max_wait_ms <= 0 || fired) {
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
        return;
    }
    struct event *limit = evtimer_new(loop->base, on_nothing, NULL);
    struct timeval tv = {.tv_sec = max_wait_ms / 1000, .tv_usec = max_wait_ms % 1000 * 1000};
    if (limit && evtimer_add(limit, &tv) == 0)
        event_base_loop(loop->base, EVLOOP_ONCE);
    else
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
    if (limit)
        event_free(limit);
}

void peri_loop_stop(struct peri_loop *loop)
{
    loop->stop = true;
    if (peri_loop_is_current(loop))
        event_base_loopbreak(loop->base);
    wake(loop);
}

const struct peri_clock *peri_loop_clock(const struct peri_loop *loop)
{
    return &loop->clock;
}

bool peri_loop_is_current(const struct peri_loop *loop)
{
    return pthread_equal(loop->thread, pthread_self()) != 0;
}

enum peri_status peri_loop_post(struct peri_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct post *post = malloc(sizeof(*post));
    if (post)
        *post = (struct post){.fn = fn, .arg = arg};
    pthread_mutex_lock(&loop->lock);
    bool closing = loop->closing, must_wake = !loop->woken;
    if (!post && !closing && loop->spare) {
        post = loop->spare;
        loop->spare = post->next;
        *post = (struct post){.fn = fn, .arg = arg, .spare = true};
    }
    if (post && !closing) {
        *loop->tail = post;
        loop->tail = &post->next;
        loop->woken = true;
        if (must_wake)
            wake(loop); /* under the lock: the loop can not be gone yet */
    }
    pthread_mutex_unlock(&loop->lock);
    if (closing)
        free(post);
    return closing ? PERI_ESTATE : post ? PERI_OK : PERI_ENOMEM;
}

static void free_timer(struct peri_timer *timer)
{
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        timer->loop->timers = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    if (timer->event)
        event_free(timer->event);
    free(timer);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct peri_timer *timer = arg;
    timer->firing = true; /* a cancel from within fn must not free it under our feet */
    timer->fn(timer->arg);
    free_timer(timer);
}

enum peri_status peri_loop_after(
    struct peri_loop *loop, int64_t delay_ms, void (*fn)(void *arg), void *arg, struct peri_timer **ret)
{
    struct peri_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        return PERI_ENOMEM;
    *timer = (struct peri_timer){.loop = loop, .fn = fn, .arg = arg, .next = loop->timers, .serial = ++loop->serial};
    if (delay_ms < 0)
        delay_ms = 0;
    if (loop->by_clock) {
        timer->due_ns = peri_clock_mono(&loop->clock).ns + delay_ms * 1000000;
    } else {
        timer->event = evtimer_new(loop->base, on_timer, timer);
        struct timeval tv = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
        if (!timer->event || evtimer_add(timer->event, &tv) < 0) {
            if (timer->event)
                event_free(timer->event);
            free(timer);
            return PERI_ENOMEM;
        }
    }
    if (loop->timers)
        loop->timers->prev = timer;
    loop->timers = timer;
    if (ret)
        *ret = timer;
    return PERI_OK;
}

void peri_timer_cancel(struct peri_timer *timer)
{
    if (timer && !timer->firing)
        free_timer(timer);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    struct sig *sig = arg;
    sig->fn(sig->arg, (int)signo);
}

enum peri_status peri_loop_on_signal(struct peri_loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg)
{
    struct sig *sig = calloc(1, sizeof(*sig));
    if (!sig)
        return PERI_ENOMEM;
    sig->fn = fn;
    sig->arg = arg;
    sig->event = evsignal_new(loop->base, signo, on_signal, sig);
    if (!sig->event || evsignal_add(sig->event, NULL) < 0) {
        if (sig->event)
            event_free(sig->event);
        free(sig);
        return PERI_EIO;
    }
    sig->next = loop->signals;
    loop->signals = sig;
    return PERI_OK;
}

struct event_base *peri_loop_base(struct peri_loop *loop)
{
    return loop->base;
}
