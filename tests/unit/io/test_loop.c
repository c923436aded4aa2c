/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/loop.h"

#define THREADS 4
#define POSTS 2000

static struct peri_loop *new_loop(void)
{
    struct peri_clock clock = peri_clock_system();
    struct peri_loop *loop = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_loop_create(&clock, &loop, &err), PERI_OK);
    return loop;
}

/* Runs rounds until *flag reaches want; the number of rounds bounds a broken test to a few seconds. */
static void run_until(struct peri_loop *loop, const int *flag, int want)
{
    for (int i = 0; i < 500 && *flag < want; i++)
        peri_loop_once(loop, 20);
    assert_int_equal(*flag, want);
}

struct tally {
    struct peri_loop *loop;
    int count, last[THREADS], disorder, wrong_thread;
};
struct job {
    struct tally *tally;
    int thread, number;
};

static void take_job(void *arg)
{
    struct job *job = arg;
    struct tally *tally = job->tally;
    tally->wrong_thread += !peri_loop_is_current(tally->loop);
    tally->disorder += job->number != tally->last[job->thread] + 1;
    tally->last[job->thread] = job->number;
    tally->count++;
    free(job);
}

static void *post_many(void *arg)
{
    const struct job *start = arg;
    for (int i = 1; i <= POSTS; i++) {
        struct job *job = malloc(sizeof(*job));
        *job = (struct job){start->tally, start->thread, i};
        if (peri_loop_post(start->tally->loop, take_job, job) != PERI_OK)
            abort();
    }
    return NULL;
}

static void posts_of_all_threads_run_on_the_loop_in_order(void **state)
{
    struct tally tally = {.loop = new_loop()};
    pthread_t threads[THREADS];
    struct job starts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        starts[i] = (struct job){&tally, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &starts[i]), 0);
    }
    run_until(tally.loop, &tally.count, THREADS * POSTS);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(tally.disorder, 0);
    assert_int_equal(tally.wrong_thread, 0);
    peri_loop_destroy(tally.loop);
}

struct echo {
    struct peri_loop *loop;
    int rounds, timer;
};

static void post_again(void *arg)
{
    struct echo *echo = arg;
    echo->rounds++;
    if (!echo->timer)
        assert_int_equal(peri_loop_post(echo->loop, post_again, echo), PERI_OK);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void posts_that_post_do_not_starve_timers(void **state)
{
    struct echo echo = {.loop = new_loop()};
    assert_int_equal(peri_loop_post(echo.loop, post_again, &echo), PERI_OK);
    assert_int_equal(peri_loop_after(echo.loop, 1, count, &echo.timer, NULL), PERI_OK);
    for (int i = 0; i < 10000000 && !echo.timer; i++)
        peri_loop_once(echo.loop, 20);
    assert_int_equal(echo.timer, 1);
    peri_loop_once(echo.loop, 0);
    peri_loop_destroy(echo.loop);
}

struct self_cancel {
    struct peri_timer *timer;
    int fired;
};

static void cancel_self(void *arg)
{
    struct self_cancel *self = arg;
    self->fired++;
    peri_timer_cancel(self->timer);
}

static void timers_fire_once_and_can_be_cancelled(void **state)
{
    struct peri_loop *loop = new_loop();
    int first = 0, second = 0, pending = 0;
    struct self_cancel self = {0};
    struct peri_timer *cancelled = NULL;
    assert_int_equal(peri_loop_after(loop, 1, count, &first, &cancelled), PERI_OK);
    assert_int_equal(peri_loop_after(loop, -5, count, &second, NULL), PERI_OK);
    assert_int_equal(peri_loop_after(loop, 0, cancel_self, &self, &self.timer), PERI_OK);
    assert_int_equal(peri_loop_after(loop, 1000000, count, &pending, NULL), PERI_OK);
    peri_timer_cancel(cancelled);
    peri_timer_cancel(NULL);
    run_until(loop, &second, 1);
    run_until(loop, &self.fired, 1);
    for (int i = 0; i < 3; i++)
        peri_loop_once(loop, 2);
    assert_int_equal(first, 0);
    assert_int_equal(second, 1);
    assert_int_equal(self.fired, 1);
    assert_int_equal(pending, 0);
    peri_loop_destroy(loop); /* frees the pending one */
}

static void stop_loop(void *arg)
{
    peri_loop_stop(arg);
}

static void *stop_from_thread(void *arg)
{
    peri_loop_stop(arg);
    return NULL;
}

static void run_ends_by_stop(void **state)
{
    struct peri_loop *loop = new_loop();
    assert_int_equal(peri_loop_after(loop, 1, stop_loop, loop, NULL), PERI_OK);
    assert_int_equal(peri_loop_run(loop), PERI_OK);
    peri_loop_stop(loop); /* before it runs */
    assert_int_equal(peri_loop_run(loop), PERI_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_from_thread, loop), 0);
    assert_int_equal(peri_loop_run(loop), PERI_OK);
    pthread_join(thread, NULL);
    peri_loop_destroy(loop);
}

static void on_signal(void *arg, int signo)
{
    *(int *)arg = signo;
}

static void signals_arrive_on_the_loop(void **state)
{
    struct peri_loop *loop = new_loop();
    int got = 0;
    assert_int_equal(peri_loop_on_signal(loop, SIGHUP, on_signal, &got), PERI_OK);
    raise(SIGHUP);
    run_until(loop, &got, SIGHUP);
    peri_loop_destroy(loop);
}

static void write_file(const char *dir, const char *name)
{
    char *path = peri_asprintf("%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("x", file);
    fclose(file);
    free(path);
}

static void changes_deep_in_a_tree_are_told_once_after_quiet(void **state)
{
    char root[] = "/tmp/perigee-watch-XXXXXX";
    assert_non_null(mkdtemp(root));
    struct peri_loop *loop = new_loop();
    struct peri_watch *watch = NULL;
    int told = 0;
    assert_int_equal(peri_loop_watch(loop, root, 30, count, &told, &watch), PERI_OK);
    write_file(root, "one");
    write_file(root, "two");
    write_file(root, "three");
    run_until(loop, &told, 1);

    char *sub = peri_asprintf("%s/sub", root);
    assert_int_equal(mkdir(sub, 0700), 0);
    run_until(loop, &told, 2);
    write_file(sub, "deep");
    run_until(loop, &told, 3);

    /* The root goes and comes back. */
    char *away = peri_asprintf("%s-away", root);
    assert_int_equal(rename(root, away), 0);
    run_until(loop, &told, 4);
    assert_int_equal(rename(away, root), 0);
    run_until(loop, &told, 5);
    write_file(sub, "again");
    run_until(loop, &told, 6);

    peri_watch_destroy(watch);
    peri_loop_destroy(loop);
    char *command = peri_asprintf("rm -rf %s", root);
    assert_int_equal(system(command), 0);
    free(command);
    free(away);
    free(sub);
}

static void a_missing_folder_is_watched_when_it_comes(void **state)
{
    char root[] = "/tmp/perigee-watch-XXXXXX";
    assert_non_null(mkdtemp(root));
    assert_int_equal(rmdir(root), 0);
    struct peri_loop *loop = new_loop();
    struct peri_watch *watch = NULL;
    int told = 0;
    assert_int_equal(peri_loop_watch(loop, root, 1, count, &told, &watch), PERI_OK);
    assert_int_equal(mkdir(root, 0700), 0);
    run_until(loop, &told, 1);
    peri_watch_destroy(watch);
    peri_loop_destroy(loop);
    rmdir(root);
}

static void a_missing_folder_is_waited_for_without_waking_up(void **state)
{
    char made[] = "/tmp/perigee-watch-XXXXXX";
    char *top = realpath(mkdtemp(made), NULL);
    assert_non_null(top);
    char *a = peri_asprintf("%s/a", top), *b = peri_asprintf("%s/a/b", top), *c = peri_asprintf("%s/a/b/c/", top);
    char *away = peri_asprintf("%s/away", top);
    struct peri_loop *loop = new_loop();
    struct peri_watch *watch = NULL;
    int told = 0;
    assert_int_equal(mkdir(a, 0700), 0);
    assert_int_equal(peri_loop_watch(loop, c, 0, count, &told, &watch), PERI_OK);
    /* The way there comes, goes and is made anew. */
    assert_int_equal(mkdir(b, 0700), 0);
    peri_loop_once(loop, 0);
    assert_int_equal(rename(a, away), 0);
    peri_loop_once(loop, 0);
    assert_int_equal(mkdir(a, 0700), 0);
    peri_loop_once(loop, 0);
    assert_int_equal(mkdir(b, 0700), 0);
    peri_loop_once(loop, 0);
    assert_int_equal(told, 0);
    assert_int_equal(mkdir(c, 0700), 0);
    for (int i = 0; i < 5; i++)
        peri_loop_once(loop, 0); /* no time passes: nobody looks for it now and then */
    assert_int_equal(told, 1);
    write_file(c, "one");
    run_until(loop, &told, 2);
    peri_watch_destroy(watch);
    peri_loop_destroy(loop);
    char *command = peri_asprintf("rm -rf %s", top);
    assert_int_equal(system(command), 0);
    free(command);
    free(away);
    free(a);
    free(b);
    free(c);
    free(top);
}

struct round {
    struct peri_loop *loop;
    struct peri_later later;
    int posted, later_at, laters;
};

static void note_later(void *arg)
{
    struct round *r = arg;
    r->laters++;
    r->later_at = r->posted;
}

static void ask_later(void *arg)
{
    struct round *r = arg;
    r->posted++;
    peri_loop_later(r->loop, &r->later, note_later, r);
}

static void test_later_runs_once_behind_what_was_posted(void **state)
{
    struct round r = {.loop = new_loop()};
    for (int i = 0; i < 3; i++)
        assert_int_equal(peri_loop_post(r.loop, ask_later, &r), PERI_OK);
    run_until(r.loop, &r.laters, 1);
    assert_int_equal(r.later_at, 3);
    peri_loop_later(r.loop, &r.later, note_later, &r); /* nothing posted is being run */
    assert_int_equal(r.laters, 2);
    peri_later_cancel(r.loop, &r.later);
    peri_loop_destroy(r.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later_runs_once_behind_what_was_posted),
        cmocka_unit_test(posts_of_all_threads_run_on_the_loop_in_order),
        cmocka_unit_test(posts_that_post_do_not_starve_timers),
        cmocka_unit_test(timers_fire_once_and_can_be_cancelled),
        cmocka_unit_test(run_ends_by_stop),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(changes_deep_in_a_tree_are_told_once_after_quiet),
        cmocka_unit_test(a_missing_folder_is_watched_when_it_comes),
        cmocka_unit_test(a_missing_folder_is_waited_for_without_waking_up),
    };
    return cmocka_run_group_tests_name("io.loop", tests, NULL, NULL);
}
