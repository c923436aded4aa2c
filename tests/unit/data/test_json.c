/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"

static void round_trip(const char *text, enum peri_json_style style, const char *wanted)
{
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (peri_json_parse(text, strlen(text), &v, &err))
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(peri_json_check(text, strlen(text), &err), PERI_OK);
    char *out = peri_json_text(v, style);
    assert_string_equal(out, wanted);
    free(out);
    peri_value_unref(v);
}

static void keeps(const char *text)
{
    round_trip(text, PERI_JSON_COMPACT, text);
}

static void refuses_n(const char *text, size_t len, const char *where)
{
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (peri_json_parse(text, len, &v, &err) != PERI_EINVAL)
        fail_msg("accepted: %.60s", text);
    if (strncmp(err.message, where, strlen(where)) != 0)
        fail_msg("%.60s: %s, not %s", text, err.message, where);
    assert_null(v);
    struct peri_error again = {0};
    assert_int_equal(peri_json_check(text, len, &again), PERI_EINVAL);
    assert_string_equal(again.message, err.message);
}

static void refuses(const char *text, const char *where)
{
    refuses_n(text, strlen(text), where);
}

static void test_values_survive(void **state)
{
    keeps("null");
    keeps("true");
    keeps("\"x\"");
    keeps("{\"b\":1,\"a\":[1,2.5,\"\xC3\xA9\",{}],\"c\":{}}");
    keeps("\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u0000\"");
    round_trip("\"\\u00e9\\ud83d\\ude00\\/\"", PERI_JSON_COMPACT, "\"\xC3\xA9\xF0\x9F\x98\x80/\"");
    round_trip(" [ 1 , 2 ] \n", PERI_JSON_COMPACT, "[1,2]");
}

static void test_numbers_in_shortest_form(void **state)
{
    keeps("[0.1,0.3,1e+100,1.7976931348623157e+308,2.2250738585072014e-308,0.1234567890123456]");
    keeps("[9223372036854775807,-9223372036854775808,0]");
    keeps("[1.0,-0.0,100.0]"); /* a real stays a real */
    round_trip("[1E2,1.50,0.30000000000000004]", PERI_JSON_COMPACT, "[100.0,1.5,0.30000000000000004]");
}

static void test_styles(void **state)
{
    round_trip("{\"b\":[1,{}],\"a\":{\"z\":1,\"y\":2}}", PERI_JSON_SORTED, "{\"a\":{\"y\":2,\"z\":1},\"b\":[1,{}]}");
    round_trip("{\"b\":[1,[]],\"a\":{}}", PERI_JSON_INDENT, "{\n  \"b\": [\n    1,\n    []\n  ],\n  \"a\": {}\n}");
}

static void test_malformed(void **state)
{
    refuses("", "line 1, column 1: ");
    refuses("{\"a\":1,}", "line 1, column 8: ");
    refuses("[1,\n2,\n x]", "line 3, column 2: ");
    refuses("[1] 2", "line 1, column 5: ");
    refuses("{a:1}", "line 1, column 2: ");
    refuses("'a'", "line 1, column 1: ");
    refuses("[01]", "line 1, column ");
    refuses("nul", "line 1, column ");
    refuses("NaN", "line 1, column ");
    refuses("\"\xFF\"", "line 1, column ");
    refuses("\"\\ud800\"", "line 1, column ");
    refuses("\"a\nb\"", "line 1, column ");
    refuses("9223372036854775808", "line 1, column ");
    refuses("1e400", "line 1, column ");
    refuses_n("[1]\0", 4, "line 1, column 4: a NUL byte");
    refuses_n("{\n\"a\":4\0}", 9, "line 2, column 6: a NUL byte");
    refuses_n("[\"a\0\"]", 6, "line 1, column ");
}

static void test_depth(void **state)
{
    char text[200];
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    text[128] = '\0';
    keeps(text);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    text[130] = '\0';
    refuses(text, "line 1, column 65: nested deeper than 64 levels");
    char *deep = malloc(1000001);
    assert_non_null(deep);
    memset(deep, '{', 1000000);
    deep[1000000] = '\0';
    refuses(deep, "line 1, column 65: nested deeper");
    free(deep);
    keeps("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""); /* brackets in a text do
                                                                                                not count */
}

/* Texts that are nearly right: whatever is changed in them, the check says what the parser says, and what is made
 * without the library is what it makes. */
static void test_the_ways_to_read_agree(void **state)
{
    static const char *const texts[] = {
        "{\"a\":[1,-2.5,\"x\\n\",{\"b\":null}],\"c\":true,\"d\":\"\\u00e9\\ud83d\\ude00\"}",
        "[[],{},[{}],[[1]],\"\xC3\xA9\",0,-0,10e2,123456789012345678,12345678901234567890]",
        " { \"k\" : \"v\" , \"l\\u0000\" : false } ", "\"\\u0000\"", "{\"a\":\"\xED\xA0\x80\"}", "[1,2,]",
        "{\"a\":1,}"};
    static const char instead[] = "\"\\{}[],:0-.eutn \x01\x80\xC3";
    char text[160];
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        size_t len = strlen(texts[t]);
        for (size_t at = 0; at <= len; at++) {
            for (size_t with = 0; with < sizeof(instead); with++) {
                struct peri_value *v = NULL;
                struct peri_error one = {0}, two = {0};
                memcpy(text, texts[t], len);
                if (at < len)
                    text[at] = instead[with];
                enum peri_status st = peri_json_parse(text, len, &v, &one);
                assert_int_equal(peri_json_check(text, len, &two), st);
                struct peri_value *strict = NULL; /* always made by the library */
                if (peri_json_parse_strict(text, len, &strict, &two) == PERI_OK)
                    assert_true(peri_value_equal(v, strict));
                peri_value_unref(strict);
                peri_value_unref(v);
                if (with == 0 && at < len && peri_json_parse(text, at, &v, &one) == PERI_OK) {
                    assert_int_equal(peri_json_check(text, at, &two), PERI_OK);
                    peri_value_unref(v);
                }
            }
        }
    }
}

static void test_repeated_keys(void **state)
{
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    round_trip("{\"a\":1,\"b\":2,\"a\":3}", PERI_JSON_SORTED, "{\"a\":3,\"b\":2}");
    assert_int_equal(peri_json_parse_strict("{\"a\":1,\"a\":3}", 13, &v, &err), PERI_EINVAL);
    assert_int_equal(peri_json_parse_strict("{\"a\":1,\"b\":3}", 13, &v, &err), PERI_OK);
    peri_value_unref(v);
}

/* What a writer says that looks at one byte after the other. */
static size_t naive_string(const char *s, size_t len, char *out)
{
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *named = c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : c == '"' ? "\\\"" : "\\\\";
        bool is_named = c == '\n' || c == '\t' || c == '\r' || c == '"' || c == '\\';
        if (is_named)
            n += (size_t)snprintf(out + n, 3, "%s", named);
        else if (c < 0x20)
            n += (size_t)snprintf(out + n, 7, "\\u%04x", c);
        else
            out[n++] = (char)c;
    }
    out[n++] = '"';
    return n;
}

/* Each byte at each place of strings of each length, alone and with another one behind it; and buffers that hold just
 * that, or one byte less. */
static void test_strings_are_written_as_byte_by_byte(void **state)
{
    char text[40], wanted[200];
    for (size_t len = 0; len <= 20; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(text, 'a' + (int)(at % 3), sizeof(text));
                text[at] = (char)c;
                text[(at + 3) % len] = (char)(c % 2 ? 0xC3 : c);
                size_t n = naive_string(text, len, wanted);
                struct peri_buf b;
                peri_buf_init(&b, n);
                assert_int_equal(peri_json_write_string(&b, text, len), PERI_OK);
                assert_int_equal(b.len, n);
                assert_memory_equal(b.data, wanted, n);
                peri_buf_finish(&b);
                peri_buf_init(&b, n - 1);
                assert_int_equal(peri_json_write_string(&b, text, len), PERI_ELIMIT);
                peri_buf_finish(&b);
            }
        }
    }
}

static void test_buffer_cap(void **state)
{
    struct peri_value *v = peri_value_str("a long enough text");
    struct peri_buf b;
    peri_buf_init(&b, 8);
    assert_int_equal(peri_json_write(&b, v, PERI_JSON_COMPACT), PERI_ELIMIT);
    peri_buf_finish(&b);
    peri_value_unref(v);
}

/* Wherever in a text it stands, and whatever stands beside it. */
static void test_what_has_to_be_escaped_is(void **state)
{
    static const struct {
        const char *in, *out;
    } marks[] = {{"\"", "\\\""}, {"\\", "\\\\"}, {"\n", "\\n"}, {"\t", "\\t"}, {"\r", "\\r"}, {"\x01", "\\u0001"},
        {"\x1f", "\\u001f"}, {" ", " "}, {"!", "!"}, {"#", "#"}, {"[", "["}, {"]", "]"}, {"\x7f", "\x7f"},
        {"\xc3\xa9", "\xc3\xa9"}, {"\xe2\x82\xac", "\xe2\x82\xac"}, {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}};
    for (size_t m = 0; m < sizeof(marks) / sizeof(marks[0]); m++)
        for (int len = 0; len < 24; len++)
            for (int at = 0; at <= len; at++) {
                static const char filler[] = "abcdefghijklmnopqrstuvwxyz";
                char text[64], want[64];
                snprintf(text, sizeof(text), "%.*s%s%.*s", at, filler, marks[m].in, len - at, filler);
                snprintf(want, sizeof(want), "\"%.*s%s%.*s\"", at, filler, marks[m].out, len - at, filler);
                struct peri_value *v = peri_value_str(text);
                char *got = peri_json_text(v, PERI_JSON_COMPACT);
                assert_string_equal(got, want);
                free(got);
                peri_value_unref(v);
            }
    struct peri_value *empty = peri_value_str("");
    char *got = peri_json_text(empty, PERI_JSON_COMPACT);
    assert_string_equal(got, "\"\"");
    free(got);
    peri_value_unref(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_survive),
        cmocka_unit_test(test_numbers_in_shortest_form),
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_the_ways_to_read_agree),
        cmocka_unit_test(test_repeated_keys),
        cmocka_unit_test(test_strings_are_written_as_byte_by_byte),
        cmocka_unit_test(test_buffer_cap),
        cmocka_unit_test(test_what_has_to_be_escaped_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
