/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void utf8(const char *s, size_t len, bool valid, size_t offset)
{
    size_t at = 99;
    char *copy = malloc(len + !len); /* exactly as long as it is, for the sanitizer */
    assert_non_null(copy);
    memcpy(copy, s, len);
    assert_int_equal(peri_utf8_valid(copy, len, &at), valid);
    if (!valid)
        assert_int_equal(at, offset);
    free(copy);
}

static void test_utf8(void **state)
{
    utf8("", 0, true, 0);
    utf8("a\0b", 3, true, 0);
    utf8("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF", 13, true, 0);
    utf8("ab\xFF", 3, false, 2);
    utf8("\xC0\x80", 2, false, 0);         /* overlong */
    utf8("\xE0\x80\x80", 3, false, 0);     /* overlong */
    utf8("\xED\xA0\x80", 3, false, 0);     /* surrogate */
    utf8("\xF4\x90\x80\x80", 4, false, 0); /* above U+10FFFF */
    utf8("a\xE2\x82", 3, false, 1);        /* cut */
    utf8("\x80", 1, false, 0);
    assert_int_equal(peri_utf8_length("a\xC3\xA9\xF0\x9F\x98\x80", 7), 3);
}

static void test_utf8_codes(void **state)
{
    static const unsigned codes[] = {0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        char text[4];
        unsigned code = 1;
        size_t n = peri_utf8_encode(codes[i], text);
        assert_int_equal(peri_utf8_decode(text, n, &code), n);
        assert_int_equal(code, codes[i]);
    }
}

static void slug(const char *text, const char *wanted)
{
    char *s = peri_slug(text);
    assert_string_equal(s, wanted);
    free(s);
}

static void test_slug(void **state)
{
    slug("VIP Missed Call Follow-up", "vip-missed-call-follow-up");
    slug("  a -- b!  ", "a-b");
    slug("\xC3\x9C"
         "ber 9",
        "\xC3\x9C"
        "ber-9");
    slug("!!!", "");
}

static void test_nearest(void **state)
{
    static const char *const keys[] = {"id", "trigger", "when", "steps", "conditions", NULL};
    assert_string_equal(peri_nearest("tigger", keys), "trigger");
    assert_string_equal(peri_nearest("trigegr", keys), "trigger"); /* swapped letters are one step */
    assert_string_equal(peri_nearest("Condition", keys), "conditions");
    assert_null(peri_nearest("frequency", keys));
    assert_null(peri_nearest("", keys));
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    longest[299] = '\0';
    assert_null(peri_nearest(longest, keys));
}

static void test_parse_i64(void **state)
{
    long long v = 5;
    assert_true(peri_parse_i64("-9223372036854775808", &v));
    assert_true(v == INT64_MIN);
    assert_true(peri_parse_i64("+7", &v));
    assert_int_equal(v, 7);
    assert_false(peri_parse_i64("9223372036854775808", &v));
    assert_false(peri_parse_i64("", &v));
    assert_false(peri_parse_i64(" 1", &v));
    assert_false(peri_parse_i64("1 ", &v));
    assert_false(peri_parse_i64("-", &v));
    assert_false(peri_parse_i64("0x1", &v));
    assert_int_equal(v, 7);
}

static void test_small_ones(void **state)
{
    char *s = peri_strndup("abcdef", 3), *f = peri_asprintf("%s-%d", "x", 5);
    assert_string_equal(s, "abc");
    assert_string_equal(f, "x-5");
    free(s);
    free(f);
    assert_null(peri_strdup(NULL));
    assert_true(peri_streq(NULL, NULL));
    assert_false(peri_streq("a", NULL));
    assert_true(peri_str_starts("abc", "ab"));
    assert_false(peri_str_starts("a", "ab"));
    assert_true(peri_str_ends("abc", "bc"));
    assert_false(peri_str_ends("c", "bc"));
    assert_true(peri_equal_secret("abc", 3, "abc", 3));
    assert_false(peri_equal_secret("abc", 3, "abd", 3));
    assert_false(peri_equal_secret("abc", 3, "abcd", 4));
    assert_true(peri_equal_secret("", 0, "", 0));
}

static void what_steers_a_terminal_is_told(void **state)
{
    static const char *const bad[] = {"a\nb", "\033[2J", "\x7f",
        "\xc2\x9b"
        "31m",
        "\xe2\x80\xae"
        "gpj.exe",
        "\xe2\x81\xa6x", "\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char copy[32];
        assert_false(peri_text_is_plain(bad[i]));
        snprintf(copy, sizeof(copy), "%s", bad[i]);
        peri_text_make_plain(copy);
        assert_true(peri_text_is_plain(copy));
        assert_int_equal(strlen(copy), strlen(bad[i]));
    }
    assert_true(peri_text_is_plain(""));
    assert_true(peri_text_is_plain("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80 [x]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_steers_a_terminal_is_told),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_codes),
        cmocka_unit_test(test_slug),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_parse_i64),
        cmocka_unit_test(test_small_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
