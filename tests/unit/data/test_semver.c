/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "data/semver.h"

static void versions_are_strict(void **state)
{
    static const char *const good[] = {
        "0.0.0", "1.2.3", "1.2.3-alpha.1", "1.2.3-0a.b-c+build.01", "1.0.0+x", "9007199254740991.0.0", "1.0.0--", NULL};
    static const char *const wrong[] = {"", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3.4", "1.2.3-", "1.2.3-01", "1.2.3+",
        "1.2.x", " 1.2.3", "1.2.3 ", "9007199254740992.0.0", "1.-2.3", "1.2.3-a..b", "1.2.3_", NULL};
    for (const char *const *v = good; *v; v++)
        if (!peri_semver_ok(*v))
            fail_msg("%s is a version", *v);
    for (const char *const *v = wrong; *v; v++)
        if (peri_semver_ok(*v))
            fail_msg("%s is no version", *v);
    assert_false(peri_semver_ok(NULL));
}

static void order_is_that_of_the_standard(void **state)
{
    static const char *const rising[] = {"0.9.0", "1.0.0-0", "1.0.0-9", "1.0.0-10", "1.0.0-99999999999999999999",
        "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
        "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0", NULL};
    for (size_t i = 0; rising[i]; i++)
        for (size_t k = 0; rising[k]; k++) {
            int want = (i > k) - (i < k), is = peri_semver_compare(rising[i], rising[k]);
            if ((is > 0) - (is < 0) != want)
                fail_msg("%s and %s: %d", rising[i], rising[k], is);
        }
    assert_int_equal(peri_semver_compare("1.0.0+a", "1.0.0+b"), 0);
}

static const struct {
    const char *range, *in, *out; /* blank-separated */
} sets[] = {
    {"", "0.0.0 1.2.3 99.0.0", "1.0.0-a"},
    {"*", "0.0.0 1.2.3", "1.0.0-a"},
    {">=1.0 <2", "1.0.0 1.9.9 1.0.0+x", "0.9.9 2.0.0 1.0.0-rc.1 2.0.0-rc.1"},
    {"1.2.3", "1.2.3 1.2.3+b", "1.2.4 1.2.3-a"},
    {"=v1.2.3", "1.2.3", "1.2.2"},
    {"1", "1.0.0 1.99.0", "0.9.0 2.0.0 1.0.0-a"},
    {"1.x", "1.0.0 1.99.0", "2.0.0"},
    {"1.2.*", "1.2.0 1.2.9", "1.3.0 1.1.9"},
    {"x.x", "0.0.1 7.0.0", ""},
    {"^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-0 1.3.0-a"},
    {"^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"},
    {"^0.0.3", "0.0.3", "0.0.4 0.0.2"},
    {"^0.0", "0.0.0 0.0.9", "0.1.0"},
    {"^0", "0.0.0 0.9.9", "1.0.0"},
    {"^0.1", "0.1.0 0.1.5", "0.2.0"},
    {"^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.10 1.2.3 1.9.0", "1.2.3-beta.1 1.2.4-beta.2 2.0.0"},
    {"~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2"},
    {"~1.2", "1.2.0 1.2.9", "1.3.0"},
    {"~1", "1.0.0 1.9.0", "2.0.0"},
    {"~> 1.2", "1.2.5", "1.3.0"},
    {"~ 1.0", "1.0.2", "1.1.0"},
    {">1.2", "1.3.0", "1.2.0 1.2.9"},
    {">1", "2.0.0", "1.9.9"},
    {"<=1.2", "1.2.9 0.0.1", "1.3.0"},
    {"<1.2", "1.1.9", "1.2.0 1.2.0-a"},
    {">= 1.2.3", "1.2.3 3.0.0", "1.2.2"},
    {">*", "", "0.0.0 1.0.0"},
    {"<*", "", "0.0.0 0.0.0-0"},
    {">=*", "0.0.0 3.0.0", ""},
    {"1.2.3 - 2.3.4", "1.2.3 2.3.4 2.0.0", "1.2.2 2.3.5"},
    {"1.2 - 2.3", "1.2.0 2.3.9", "1.1.9 2.4.0"},
    {"1.2 - 2", "2.9.9", "3.0.0 1.1.0"},
    {"* - 2", "0.0.0 2.9.9", "3.0.0"},
    {"<1.0.0 || >=2.3.1 <2.4.5 || >=2.5.2 <3.0.0", "0.9.0 2.3.1 2.4.4 2.5.2", "1.0.0 2.3.0 2.4.5 3.0.0"},
    {"1.2.3||2", "1.2.3 2.5.0", "1.2.4"},
    {"1 ||", "0.1.0 5.0.0", ""},
    {"||", "0.1.0", ""},
    {">1.2.3-alpha.3", "1.2.3-alpha.7 1.2.3 3.4.5", "3.4.5-alpha.9 1.2.3-alpha.3"},
    {">1.0.0-a <1.0.0", "1.0.0-b", "1.0.0 1.0.0-a"},
    {"  >1.0.0\t<1.5.0  ", "1.2.0", "1.5.0"},
};

static void check_list(const char *range, const char *list, bool want)
{
    struct peri_range *r = NULL;
    struct peri_error err = {0};
    char copy[200], *save = NULL;
    if (peri_range_parse(range, &r, &err))
        fail_msg("%s: %s", range, err.message);
    assert_string_equal(peri_range_text(r), range);
    snprintf(copy, sizeof(copy), "%s", list);
    for (char *v = strtok_r(copy, " ", &save); v; v = strtok_r(NULL, " ", &save))
        if (peri_range_has(r, v) != want)
            fail_msg("\"%s\" %s %s", range, want ? "misses" : "has", v);
    assert_false(peri_range_has(r, "1.2"));
    peri_range_destroy(r);
}

static void ranges_hold_what_they_say(void **state)
{
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        check_list(sets[i].range, sets[i].in, true);
        check_list(sets[i].range, sets[i].out, false);
    }
}

static void wrong_ranges_are_refused(void **state)
{
    static const char *const wrong[] = {"1.2.3, 2", ">=1,<2", "latest", "1.2.3.4", "01.2", ">", ">=", "1 |", "1 | 2",
        "1.2.3 -2.0.0", "1 - ", "- 2", "1 - 2 3", ">1 - 2", "a", "1.2.3-", "^^1", "=>1", "1..2", "1.", "!1", "vv1",
        "x.1", "1.x.2", "9007199254740992", NULL};
    struct peri_range *r = NULL;
    struct peri_error err;
    char large[600];
    for (const char *const *w = wrong; *w; w++) {
        memset(&err, 0, sizeof(err));
        if (!peri_range_parse(*w, &r, &err))
            fail_msg("\"%s\" is no range", *w);
        assert_string_equal(err.code, "bad-range");
        assert_non_null(strstr(err.message, "\""));
    }
    memset(large, ' ', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    assert_int_equal(peri_range_parse(large, &r, &err), PERI_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_strict),
        cmocka_unit_test(order_is_that_of_the_standard),
        cmocka_unit_test(ranges_hold_what_they_say),
        cmocka_unit_test(wrong_ranges_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
