/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lang/glob.h"

static void test_match(void **state)
{
    static const struct {
        const char *glob, *type;
        bool want;
    } rows[] = {
        {"comms.CallMissed", "comms.CallMissed", true},
        {"comms.CallMissed", "comms.callmissed", false},
        {"comms.CallMissed", "comms.CallMissed.x", false},
        {"comms.CallMissed", "comms", false},
        {"comms.*", "comms.CallMissed", true},
        {"comms.*", "comms.sms.Received", false},
        {"comms.*", "comms", false},
        {"comms.*", "commsx.CallMissed", false},
        {"comms.**", "comms.CallMissed", true},
        {"comms.**", "comms.sms.Received", true},
        {"comms.**", "comms", true},
        {"comms.**", "commsx", false},
        {"**", "a", true},
        {"**", "a.b.c", true},
        {"*", "a", true},
        {"*", "a.b", false},
        {"comms.Call*", "comms.CallMissed", true},
        {"comms.Call*", "comms.Call", true},
        {"comms.Call*", "comms.call", false},
        {"comms.Call*", "comms.CallMissed.x", false},
        {"comms.*Missed", "comms.CallMissed", true},
        {"comms.*Mis*ed", "comms.MisCallMissed", true},
        {"comms.*Mis*ed", "comms.MisCallMisses", false},
        {"**.Received", "comms.sms.Received", true},
        {"**.Received", "Received", false},
        {"a.**.b", "a.x.b", true},
        {"a.**.b", "a.x.y.b", true},
        {"a.**.b", "a.b", false},
        {"a.**.b", "a.b.b", true},
        {"a.**.b", "a.x.b.c", false},
        {"a.**.b.*.c", "a.x.b.y.b.z.c", true},
        {"**.a.**.a", "x.a.a.a", true},
        {"**.a.**.a", "x.a.a", false},
        {"*.*", "a.b", true},
        {"*.*", "a", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (peri_glob_match(rows[i].glob, rows[i].type) != rows[i].want)
            fail_msg("%s against %s: not %d", rows[i].glob, rows[i].type, rows[i].want);
    }
}

static void test_check(void **state)
{
    static const char *const good[] = {
        "a", "comms.CallMissed", "a_b.c-d.9", "comms.*", "comms.**", "**", "Call*.x*y*z"};
    static const char *const bad[] = {
        "", ".", "a.", ".a", "a..b", "a b", "a***", "a.b**", "**b", "a.***", "\xc3\xa9", "a/b"};
    struct peri_error err;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(peri_glob_check(good[i], &err), PERI_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (peri_glob_check(bad[i], &err) != PERI_EINVAL)
            fail_msg("accepted \"%s\"", bad[i]);
        assert_string_equal(err.code, "event-type");
    }
    assert_int_equal(peri_event_type_check("comms.CallMissed", &err), PERI_OK);
    assert_int_equal(peri_event_type_check("comms.*", &err), PERI_EINVAL);
    assert_string_equal(err.message, "the event type \"comms.*\" holds a star");
    char many[300];
    memset(many, 'a', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    assert_int_equal(peri_event_type_check(many, &err), PERI_EINVAL);
    many[255] = '\0';
    assert_int_equal(peri_event_type_check(many, &err), PERI_OK);
}

static void test_exact(void **state)
{
    assert_true(peri_glob_is_exact("a.b"));
    assert_false(peri_glob_is_exact("a.*"));
    assert_false(peri_glob_is_exact("a.b*"));
}

static void test_many_stars_are_quick(void **state)
{
    /* Exponential with naive backtracking: 2^60 steps. */
    char glob[256], type[256] = "";
    for (int i = 0; i < 60; i++)
        memcpy(glob + 2 * i, "a*", 2);
    memcpy(glob + 120, "b", 2);
    memset(type, 'a', 250);
    assert_false(peri_glob_match(glob, type));
    assert_false(peri_glob_match("**.a.**.a.**.a.**.a.**.a.**.a.**.a.**.b",
        "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_many_stars_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
