/* SPDX-License-Identifier: Apache-2.0 */
#include "run/kit.h"

#include "run/circuit.h"

static struct woken {
    uint64_t runs[8];
    size_t count;
} woken;

static void wake(void *arg, uint64_t run, int64_t wake_ms)
{
    woken.runs[woken.count++] = run;
}

static enum peri_circuit_change result(
    struct peri_circuits *c, int64_t now, const char *code, bool retryable, long retry_after)
{
    struct peri_error err = {.status = PERI_EIO, .retryable = retryable, .retry_after_ms = retry_after};
    struct peri_circuit_stored row;
    if (!code)
        return peri_circuits_result(c, "d", NULL, now, &row, wake, NULL);
    snprintf(err.code, sizeof(err.code), "%s", code);
    return peri_circuits_result(c, "d", &err, now, &row, wake, NULL);
}

static bool admit(struct peri_circuits *c, int64_t now, int64_t *ret_until)
{
    struct peri_error why = {0};
    return peri_circuits_admit(c, "d", true, now, ret_until, &why);
}

static void fail_times(struct peri_circuits *c, int n, int64_t now)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(result(c, now, "http.connect", true, 0), PERI_CIRCUIT_SAME);
}

static void test_ten_in_a_row_open_it_and_one_success_begins_anew(void **state)
{
    struct peri_circuits *c = peri_circuits_create();
    int64_t until = 0;
    fail_times(c, 9, 1000);
    assert_int_equal(result(c, 1000, NULL, false, 0), PERI_CIRCUIT_SAME);
    fail_times(c, 9, 1000);
    /* what is our own fault, or this one call's, says nothing */
    assert_int_equal(result(c, 1000, "limit.time", true, 0), PERI_CIRCUIT_SAME);
    assert_int_equal(result(c, 1000, "http.status_422", false, 0), PERI_CIRCUIT_SAME);
    assert_true(admit(c, 1000, &until));
    assert_int_equal(result(c, 1000, "http.connect", true, 0), PERI_CIRCUIT_OPENED);
    assert_false(admit(c, 1001, &until));
    assert_int_equal(until, 1000 + PERI_CIRCUIT_FIRST_MS);
    assert_true(peri_circuits_admit(c, "another", true, 1001, &until, NULL));
    assert_int_equal(peri_circuits_open(c), 1);
    peri_circuits_destroy(c);
}

static void test_one_probe_at_a_time_decides(void **state)
{
    struct peri_circuits *c = peri_circuits_create();
    int64_t until = 0, now = 31000;
    fail_times(c, 9, 1000);
    assert_int_equal(result(c, 1000, "http.connect", true, 0), PERI_CIRCUIT_OPENED);
    assert_true(admit(c, now, &until)); /* the probe */
    assert_false(admit(c, now, &until));
    assert_int_equal(until, now + PERI_CIRCUIT_FIRST_MS);
    assert_int_equal(result(c, now, "http.connect", true, 0), PERI_CIRCUIT_OPENED);
    assert_false(admit(c, now + 59999, &until)); /* twice as long */
    now += 60000;
    assert_true(admit(c, now, &until));
    peri_circuits_wait(c, "d", 7, until);
    peri_circuits_wait(c, "d", 8, until);
    woken.count = 0;
    assert_int_equal(result(c, now, NULL, false, 0), PERI_CIRCUIT_CLOSED);
    assert_int_equal(woken.count, 2);
    assert_int_equal(woken.runs[0], 7);
    assert_true(admit(c, now, &until) && admit(c, now, &until));
    assert_int_equal(peri_circuits_open(c), 0);
    peri_circuits_destroy(c);
}

static void test_a_probe_that_is_never_heard_of_again_and_what_was_asked_for(void **state)
{
    struct peri_circuits *c = peri_circuits_create();
    int64_t until = 0;
    fail_times(c, 9, 1000);
    assert_int_equal(result(c, 1000, "http.status_503", true, 120000), PERI_CIRCUIT_OPENED);
    assert_false(admit(c, 120999, &until));
    assert_int_equal(until, 121000); /* Retry-After is longer than the first pause */
    assert_true(admit(c, 121000, &until));
    assert_false(admit(c, 121000 + PERI_CIRCUIT_PROBE_MS - 1, &until));
    assert_true(admit(c, 121000 + PERI_CIRCUIT_PROBE_MS, &until));
    assert_int_equal(result(c, 200000, "plugin_suspended", true, 0), PERI_CIRCUIT_SAME); /* it did not get there */
    assert_true(admit(c, 200000, &until));
    peri_circuits_destroy(c);
}

static void test_an_open_one_comes_back_from_the_store(void **state)
{
    struct peri_circuits *c = peri_circuits_create();
    struct peri_circuit_stored row = {
        .destination = "d", .code = "x", .message = "gone", .opened_ms = 1, .until_ms = 5000, .pause_ms = 40000};
    struct peri_error why = {0};
    int64_t until = 0;
    assert_int_equal(peri_circuits_restore(c, &row), PERI_OK);
    assert_false(peri_circuits_admit(c, "d", true, 4999, &until, &why));
    assert_string_equal(why.message, "the circuit of d is open since 1970-01-01T00:00:00.001Z: gone [x]");
    struct peri_value *list = peri_circuits_value(c, 4999);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "state"), "open");
    peri_value_unref(list);
    assert_true(admit(c, 5000, &until));
    peri_circuits_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_in_a_row_open_it_and_one_success_begins_anew),
        cmocka_unit_test(test_one_probe_at_a_time_decides),
        cmocka_unit_test(test_a_probe_that_is_never_heard_of_again_and_what_was_asked_for),
        cmocka_unit_test(test_an_open_one_comes_back_from_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
