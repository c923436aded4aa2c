/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json_scan.h"
#include "lang/matcher_scan.h"
#include "pattern_random.h"

/* Whatever the processor can do, each way to scan a text must find it right or wrong as the plain reader does, and find
 * the same quotes, colons and containers in it. */

static size_t right, wrong, brackets;

static bool bit(const uint64_t *bits, size_t at)
{
    return bits[at / 64] >> at % 64 & 1;
}

/* The containers of the tape, in order, are those of the list. */
static void check_containers(const struct matcher_scan *scan, const struct peri_json_tape *tape)
{
    size_t at = 0, containers = 0;
    for (size_t i = 0; i < tape->count; i++) {
        const struct peri_json_item *item = &tape->items[i];
        if (item->kind > PERI_JSON_ARRAY)
            continue;
        while (at < scan->bracket_count && scan->brackets[at] < item->off)
            at++; /* one that closes */
        assert_int_equal(scan->brackets[at], item->off);
        assert_int_equal(scan->brackets[matcher_scan_closing(scan, at)], item->off + item->len - 1);
        containers++;
        at++;
    }
    assert_int_equal(scan->bracket_count, 2 * containers);
    brackets += 2 * containers;
}

static void check_strings(const struct matcher_scan *scan, const struct peri_json_tape *tape)
{
    size_t quotes = 0, colons = 0;
    for (size_t i = 0; i < tape->count; i++) {
        const struct peri_json_item *item = &tape->items[i];
        if (item->kind == PERI_JSON_STRING) {
            assert_true(bit(scan->quotes, item->off - 1) && bit(scan->quotes, item->off + item->len));
            quotes += 2;
        }
        if (item->key) {
            assert_true(bit(scan->quotes, item->key - 1) && bit(scan->quotes, item->key + item->key_len));
            quotes += 2;
            colons++;
        }
    }
    for (size_t i = 0; i < scan->len; i++) {
        quotes -= bit(scan->quotes, i);
        colons -= bit(scan->colons, i);
    }
    assert_int_equal(quotes, 0);
    assert_int_equal(colons, 0);
}

static void check(const char *text, size_t len)
{
    static struct matcher_scan scan;
    struct peri_json_tape tape = {0};
    char *exact = malloc(len + 1), *cut; /* its own block, so that a read beyond the end is seen */
    memcpy(exact, text, len);
    cut = realloc(exact, len ? len : 1);
    bool object = peri_json_scan(cut, len, &tape, NULL) == PERI_OK && tape.items[0].kind == PERI_JSON_OBJECT;
    for (size_t i = 0; matcher_scan_kernel(i); i++) {
        const char *kernel = matcher_scan_kernel(i);
        if ((matcher_scan_with(kernel, &scan, cut, len) == MATCHER_SCAN_OK) != object)
            fail_msg("%s should be %s: %.*s", kernel, object ? "right" : "wrong", (int)len, text);
        if (object) {
            check_containers(&scan, &tape);
            check_strings(&scan, &tape);
        }
        if (object && matcher_scan_document_with(kernel, &scan, cut, len) != MATCHER_SCAN_OK)
            fail_msg("%s should be right as a document: %.*s", kernel, (int)len, text);
        matcher_scan_finish(&scan); /* the next one may not find what this one left */
    }
    *(object ? &right : &wrong) += 1;
    peri_json_tape_finish(&tape);
    free(cut);
}

/* Every way to break one byte of it, and every place where it may stand in a step. */
static void check_around(struct maker *g, const char *text, size_t len)
{
    static const char bytes[] = "{}[],:\"\\0123eE.-+ tfnul\n\x01\xc3\x80/";
    char copy[4096];
    if (len + 600 > sizeof(copy))
        return;
    for (int i = 0; i < 6; i++) {
        size_t shift = pick(g, 2) ? 0 : pick(g, 600);
        memset(copy, ' ', shift);
        memcpy(copy + shift, text, len);
        check(copy, shift + len);
        copy[shift + pick(g, (unsigned)len)] = bytes[pick(g, sizeof(bytes) - 1)];
        check(copy, shift + len);
        check(copy, shift + pick(g, (unsigned)len));
    }
}

static void test_random_events_and_patterns(void **state)
{
    struct peri_buf text;
    peri_buf_init(&text, 1u << 20);
    for (uint64_t seed = 1; seed <= 250; seed++) {
        struct maker g = {.state = seed * 0x9e3779b97f4a7c15u + 1, .out = &text};
        g.keys = 2 + (int)pick(&g, 10);
        peri_buf_reset(&text);
        put_event(&g);
        check_around(&g, peri_buf_text(&text), text.len);
        peri_buf_reset(&text);
        put_pattern(&g, 3); /* JSON as well */
        check_around(&g, peri_buf_text(&text), text.len);
    }
    peri_buf_finish(&text);
    assert_true(right > 500 && wrong > 500);
}

/* Tokens as they come: mostly nonsense, but each pair of neighbours in objects and in arrays. */
static void put_tokens(struct maker *g)
{
    static const char *const tokens[] = {"{", "}", "[", "]", ",", ":", "\"a\"", "1", "-0.5e+3", "true", "null", "false",
        " ", "\n", "\"\\\\\"", "\"\\\"\"", "\"{[:,\"", "{}", "[]", "\"k\":", "\"k\" : ", ",\"k\":", "[1]", ", "};
    static const char *const behind[] = {",{}", "{}", " , {\"k\":[]}", ",", ":", "1", "\"a\"", " ", ",[]", "\n"};
    unsigned count = pick(g, 12);
    put(g, pick(g, 2) ? "{\"k\":[" : "{\"k\":{\"l\":");
    for (unsigned i = 0; i < count; i++)
        put(g, PICK(g, tokens));
    put(g, pick(g, 2) ? "]}" : "}}");
    if (pick(g, 8) == 0)
        put(g, PICK(g, behind));
}

static void test_random_tokens(void **state)
{
    struct peri_buf text;
    peri_buf_init(&text, 1u << 20);
    struct maker g = {.state = 88172645463325252u, .out = &text};
    right = wrong = 0;
    for (int i = 0; i < 12000; i++) {
        peri_buf_reset(&text);
        for (unsigned blanks = pick(&g, 4) ? 0 : pick(&g, 520); blanks; blanks--)
            put(&g, " ");
        put_tokens(&g);
        check(peri_buf_text(&text), text.len);
    }
    peri_buf_finish(&text);
    assert_true(right > 100 && wrong > 1000);
}

/* A value with many brackets, deep or broad, with and without something between them. */
static void put_nested(struct maker *g, unsigned depth)
{
    unsigned kind = depth ? pick(g, 6) : 5, count = pick(g, 5);
    if (kind == 5) {
        put_scalar(g);
        return;
    }
    bool object = kind & 1;
    put(g, object ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
        put(g, i ? "," : "");
        if (object)
            put(g, pick(g, 3) ? "\"k\":" : "\n\"a key\" : ");
        put_nested(g, depth - 1);
        put(g, pick(g, 5) ? "" : " ");
    }
    put(g, object ? "}" : "]");
}

static void test_many_brackets(void **state)
{
    struct peri_buf text;
    peri_buf_init(&text, 1u << 20);
    struct maker g = {.state = 1181783497276652981u, .out = &text};
    right = wrong = brackets = 0;
    for (int i = 0; i < 250; i++) {
        peri_buf_reset(&text);
        put(&g, "{\"k\":");
        put_nested(&g, 3 + pick(&g, 20));
        put(&g, "}");
        check_around(&g, peri_buf_text(&text), text.len);
    }
    assert_true(right > 500 && wrong > 500 && brackets > 20 * right);
    for (size_t levels = 60; levels <= 66; levels++) { /* alone, and behind what fills a part of the list */
        for (size_t before = 0; before < 70; before += 23) {
            peri_buf_reset(&text);
            put(&g, "{\"k\":[");
            for (size_t i = 0; i < before; i++)
                put(&g, "[],");
            for (size_t i = 0; i < levels; i++)
                put(&g, i % 3 ? "[" : "{\"k\":");
            put(&g, "0");
            for (size_t i = levels; i-- > 0;)
                put(&g, i % 3 ? "]" : "}");
            put(&g, "]}");
            check(peri_buf_text(&text), text.len);
        }
    }
    peri_buf_finish(&text);
}

/* Numbers, words and escapes at every place of a step: what they need of the next step is there. */
static void test_what_goes_on_in_the_next_step(void **state)
{
    static const char *const values[] = {"-12.50e+10", "1e5e5", "1.2.3", "1.5e3.1", "0012", "-01", "1.", "1.e5", "12e",
        "1e+", "true", "false", "null", "tru", "truee", "nulll", "falsee", "fals", "n", "t1", "1t", "\"\\u00e9\\\\\"",
        "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\u12\"", "\"\xc3\xa9\"", "\"\xc3\"", "-", "e5", "+1", "1E-05", "100"};
    char text[1200];
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (size_t shift = 0; shift < 530; shift += shift < 40 || shift > 480 ? 1 : 13) {
            size_t len = (size_t)snprintf(text, sizeof(text), "%*s{\"k\":%s}", (int)shift, "", values[i]);
            check(text, len);
            len = (size_t)snprintf(text, sizeof(text), "{\"%0*d\":[%s,%s]}", (int)shift + 1, 0, values[i], values[0]);
            check(text, len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_events_and_patterns),
        cmocka_unit_test(test_random_tokens),
        cmocka_unit_test(test_many_brackets),
        cmocka_unit_test(test_what_goes_on_in_the_next_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
