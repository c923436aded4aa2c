/* SPDX-License-Identifier: Apache-2.0 */
/* A loop whose timers go by a clock that stands until it is moved. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "io/loop.h"

struct world {
    struct peri_clock_fake fake;
    struct peri_loop *loop;
    char fired[64];
    struct peri_timer *other;
};

static void begin(struct world *w)
{
    struct peri_error err = {0};
    memset(w, 0, sizeof(*w));
    struct peri_clock clock = peri_clock_fake_init(&w->fake, 1000);
    assert_int_equal(peri_loop_create(&clock, &w->loop, &err), PERI_OK);
    peri_loop_by_clock(w->loop);
}

static void note(struct world *w, const char *name)
{
    size_t n = strlen(w->fired);
    snprintf(w->fired + n, sizeof(w->fired) - n, "%s", name);
}

static void fire_a(void *arg)
{
    note(arg, "a");
}

static void fire_b(void *arg)
{
    note(arg, "b");
}

static void fire_and_again(void *arg)
{
    struct world *w = arg;
    note(w, "c");
    assert_int_equal(peri_loop_after(w->loop, 0, fire_a, w, NULL), PERI_OK);
}

static void fire_and_cancel(void *arg)
{
    struct world *w = arg;
    note(w, "d");
    peri_timer_cancel(w->other);
}

static void timers_wait_for_the_clock_not_for_time(void **state)
{
    struct world w;
    begin(&w);
    assert_int_equal(peri_loop_next_due(w.loop), -1);
    assert_int_equal(peri_loop_after(w.loop, 20, fire_b, &w, NULL), PERI_OK);
    assert_int_equal(peri_loop_after(w.loop, 10, fire_a, &w, NULL), PERI_OK);
    for (int i = 0; i < 20; i++)
        peri_loop_once(w.loop, 2); /* real time goes by */
    assert_string_equal(w.fired, "");
    assert_int_equal(peri_loop_next_due(w.loop), 10);
    peri_clock_fake_advance(&w.fake, 10);
    assert_int_equal(peri_loop_next_due(w.loop), 0);
    peri_loop_once(w.loop, 0);
    assert_string_equal(w.fired, "a");
    peri_clock_fake_advance(&w.fake, 100);
    peri_loop_once(w.loop, 1000); /* does not wait: something was due */
    assert_string_equal(w.fired, "ab");
    assert_int_equal(peri_loop_next_due(w.loop), -1);
    peri_loop_destroy(w.loop);
}

static void timers_of_one_instant_fire_in_the_order_of_their_making(void **state)
{
    struct world w;
    begin(&w);
    assert_int_equal(peri_loop_after(w.loop, 5, fire_b, &w, NULL), PERI_OK);
    assert_int_equal(peri_loop_after(w.loop, 5, fire_a, &w, NULL), PERI_OK);
    assert_int_equal(peri_loop_after(w.loop, 4, fire_and_again, &w, NULL), PERI_OK);
    peri_clock_fake_advance(&w.fake, 5);
    peri_loop_once(w.loop, 0);
    assert_string_equal(w.fired, "cba"); /* what c started waits for the next round */
    peri_loop_once(w.loop, 0);
    assert_string_equal(w.fired, "cbaa");
    peri_loop_destroy(w.loop);
}

static void a_timer_may_cancel_another_that_is_due(void **state)
{
    struct world w;
    begin(&w);
    assert_int_equal(peri_loop_after(w.loop, 1, fire_and_cancel, &w, NULL), PERI_OK);
    assert_int_equal(peri_loop_after(w.loop, 1, fire_a, &w, &w.other), PERI_OK);
    assert_int_equal(peri_loop_after(w.loop, 9, fire_b, &w, NULL), PERI_OK); /* freed with the loop */
    peri_clock_fake_advance(&w.fake, 1);
    peri_loop_once(w.loop, 0);
    assert_string_equal(w.fired, "d");
    peri_loop_destroy(w.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_wait_for_the_clock_not_for_time),
        cmocka_unit_test(timers_of_one_instant_fire_in_the_order_of_their_making),
        cmocka_unit_test(a_timer_may_cancel_another_that_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
