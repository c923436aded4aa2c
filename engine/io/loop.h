/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_LOOP_H
#define PERI_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/error.h"

/* The one event loop: libevent behind a small face. Everything here is for the loop's thread, except peri_loop_post. */
struct peri_loop;
struct peri_timer;

enum peri_status peri_loop_create(
    const struct peri_clock *clock, struct peri_loop **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Posts that did not run yet are dropped and pending timers freed: drain with peri_loop_once before. */
void peri_loop_destroy(struct peri_loop *loop);
/* Runs until peri_loop_stop. */
enum peri_status peri_loop_run(struct peri_loop *loop) PERI_MUST_CHECK;
/* One round: handles what is ready, waits at most max_wait_ms (0: not at all). For tests and drains. */
void peri_loop_once(struct peri_loop *loop, int64_t max_wait_ms);
void peri_loop_stop(struct peri_loop *loop);
const struct peri_clock *peri_loop_clock(const struct peri_loop *loop);
bool peri_loop_is_current(const struct peri_loop *loop); /* is this the loop's thread? */

/* Runs fn(arg) on the loop's thread, in the order of posting. From any thread; wakes the loop by an eventfd, once for
 * many posts. A few go without memory. PERI_ENOMEM, or PERI_ESTATE when the loop is being destroyed (then fn does not run). */
enum peri_status peri_loop_post(struct peri_loop *loop, void (*fn)(void *arg), void *arg) PERI_MUST_CHECK;

/* Runs fn(arg) when all that was posted until now has run, once however often it was asked for; at once when nothing
 * posted is being run. For what is done once for many completions. Memory is the caller's: zeroed first, and cancelled
 * before it is freed. */
struct peri_later {
    void (*fn)(void *arg);
    void *arg;
    struct peri_later *next;
    bool waits;
};
void peri_loop_later(struct peri_loop *loop, struct peri_later *later, void (*fn)(void *arg), void *arg);
void peri_later_cancel(struct peri_loop *loop, struct peri_later *later);

/* A one-shot timer. Freed after it fired or by cancel; ret may be NULL. Cancelling it from within fn does nothing. */
enum peri_status peri_loop_after(struct peri_loop *loop, int64_t delay_ms, void (*fn)(void *arg), void *arg,
    struct peri_timer **ret) PERI_MUST_CHECK;
void peri_timer_cancel(struct peri_timer *timer); /* NULL is fine */

/* Before the first timer: timers go by the loop's clock instead of the machine's, and fire in peri_loop_once when they
 * are due by it. For worlds whose time stands still until somebody moves it. */
void peri_loop_by_clock(struct peri_loop *loop);
/* ms until the first timer of such a loop is due; 0: one is, -1: there is none. */
int64_t peri_loop_next_due(const struct peri_loop *loop);

/* Signals (SIGTERM, SIGINT, SIGHUP) on the loop. */
enum peri_status peri_loop_on_signal(
    struct peri_loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg) PERI_MUST_CHECK;

/* Calls fn whenever the descriptor is ready for one of what, until it is destroyed (also from within fn). The
 * descriptor stays the caller's and must be open as long as it is watched. */
struct peri_io;
enum { PERI_IO_READ = 1, PERI_IO_WRITE = 2 };
enum peri_status peri_loop_io(struct peri_loop *loop, int fd, int what, void (*fn)(void *arg, int fd, int what),
    void *arg, struct peri_io **ret) PERI_MUST_CHECK;
enum peri_status peri_io_change(struct peri_io *io, int what) PERI_MUST_CHECK;
void peri_io_destroy(struct peri_io *io); /* NULL is fine */

/* Watches a directory tree for changes (inotify: close-write, move, create, delete) and calls fn after debounce_ms of
 * quiet. A root that is missing or vanishes is no error: it is waited for, and fn called when it is back (within a
 * second at most; an absolute path without symbolic links costs nothing while it is waited for).
 * Symbolic links below the root are not followed, folders with a leading dot are left out. */
struct peri_watch;
enum peri_status peri_loop_watch(struct peri_loop *loop, const char *path, int64_t debounce_ms, void (*fn)(void *arg),
    void *arg, struct peri_watch **ret) PERI_MUST_CHECK;
void peri_watch_destroy(struct peri_watch *watch);

/* The libevent base, for http_server.c and the like inside io only. */
struct event_base;
struct event_base *peri_loop_base(struct peri_loop *loop);

#endif
