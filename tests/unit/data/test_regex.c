/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "data/regex.h"

static void test_search(void **state)
{
    static const struct {
        const char *regex, *text;
        bool want;
    } rows[] = {
        {"b", "abc", true},
        {"^b", "abc", false},
        {"c$", "abc", true},
        {"c$", "abc\n", false},
        {"^\\d+$", "12", true},
        {"^\\d+$", "\xd9\xa1", false},
        {"^.$", "\xc3\xa9", true},
        {"^\\u00e9$", "\xc3\xa9", true},
        {"(?i)^\xc3\x89$", "\xc3\xa9", true},
        {"", "", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peri_regex *regex;
        bool found;
        assert_int_equal(peri_regex_compile(rows[i].regex, strlen(rows[i].regex), &regex, NULL), PERI_OK);
        assert_int_equal(peri_regex_search(regex, rows[i].text, strlen(rows[i].text), &found), PERI_OK);
        if (found != rows[i].want)
            fail_msg("%s in %s", rows[i].regex, rows[i].text);
        peri_regex_destroy(regex);
    }
}

static void test_refused(void **state)
{
    struct peri_regex *regex;
    struct peri_error err;
    assert_int_equal(peri_regex_compile("a(b", 3, &regex, &err), PERI_EINVAL);
    assert_string_equal(err.code, "regex");
    assert_string_equal(err.message, "at character 4: missing closing parenthesis");
    assert_int_equal(peri_regex_compile("\xff", 1, &regex, &err), PERI_EINVAL);
    static char longest[PERI_REGEX_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(peri_regex_compile(longest, sizeof(longest), &regex, &err), PERI_EINVAL);
}

static void test_gives_up(void **state)
{
    struct peri_regex *regex;
    bool found;
    assert_int_equal(peri_regex_compile("^(a+)+$", 7, &regex, NULL), PERI_OK);
    assert_int_equal(peri_regex_search(regex, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 44, &found), PERI_ELIMIT);
    peri_regex_destroy(regex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
