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
#include "lang/matcher.h"
#include "pattern_random.h"
#include "pattern_rows.h"

/* ' stands for ". */
static char *json(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    return copy;
}

static struct peri_pattern *compile(const char *text)
{
    struct peri_error err = {0};
    struct peri_pattern *p = NULL;
    if (peri_pattern_compile_json(text, strlen(text), &p, &err) != PERI_OK)
        fail_msg("%s: %s", text, err.message);
    return p;
}

static struct peri_matcher *build(struct peri_pattern *const *patterns, size_t count)
{
    struct peri_matcher *m = NULL;
    assert_int_equal(peri_matcher_build((const struct peri_pattern *const *)patterns, count, &m, NULL), PERI_OK);
    return m;
}

static struct peri_matcher_scratch *scratch;

static size_t match(const struct peri_matcher *m, const char *event, uint32_t *hits, size_t cap)
{
    struct peri_error err = {0};
    size_t count = 0, len = strlen(event);
    char *exact = malloc(len + 1); /* its own block, so that a read beyond the end is seen */
    memcpy(exact, event, len);
    char *cut = realloc(exact, len ? len : 1);
    if (peri_matcher_match(m, scratch, cut, len, hits, cap, &count, &err) != PERI_OK)
        fail_msg("%s: %s", event, err.message);
    free(cut);
    return count;
}

/* --- the table of the language --- */

static size_t row_count(void)
{
    size_t n = 0;
    for (size_t t = 0; t < PATTERN_ROWS_COUNT; t++)
        n += pattern_all_rows[t].count;
    return n;
}

static void test_every_row_of_the_language_alone(void **state)
{
    for (size_t t = 0; t < PATTERN_ROWS_COUNT; t++) {
        for (size_t i = 0; i < pattern_all_rows[t].count; i++) {
            const struct pattern_row *row = &pattern_all_rows[t].rows[i];
            char *pattern = json(row->pattern), *event = json(row->event);
            struct peri_pattern *p = compile(pattern);
            struct peri_matcher *m = build(&p, 1);
            peri_pattern_destroy(p); /* not needed any more */
            uint32_t hit = 7;
            size_t count = match(m, event, &hit, 1);
            if (count != row->want || (count && hit != 0))
                fail_msg("%s on %s should be %s", pattern, event, row->want ? "true" : "false");
            peri_matcher_destroy(m);
            free(pattern);
            free(event);
        }
    }
}

static void test_every_row_of_the_language_beside_all_others(void **state)
{
    size_t count = row_count(), n = 0;
    struct peri_pattern **patterns = calloc(count, sizeof(struct peri_pattern *));
    const struct pattern_row **rows = calloc(count, sizeof(*rows));
    uint32_t *hits = calloc(count, sizeof(*hits));
    for (size_t t = 0; t < PATTERN_ROWS_COUNT; t++) {
        for (size_t i = 0; i < pattern_all_rows[t].count; i++) {
            char *pattern = json(pattern_all_rows[t].rows[i].pattern);
            rows[n] = &pattern_all_rows[t].rows[i];
            patterns[n++] = compile(pattern);
            free(pattern);
        }
    }
    struct peri_matcher *m = build(patterns, count);
    assert_int_equal(peri_matcher_count(m), count);
    for (size_t i = 0; i < count; i++) {
        char *event = json(rows[i]->event);
        size_t found = match(m, event, hits, count), at = 0;
        for (size_t k = 0; k < count; k++) {
            bool want = false, got = at < found && hits[at] == k;
            at += got;
            assert_int_equal(peri_pattern_match(patterns[k], event, strlen(event), &want, NULL, NULL), PERI_OK);
            if (got != want)
                fail_msg("%s on %s should be %s", rows[k]->pattern, event, want ? "true" : "false");
        }
        assert_int_equal(at, found);
        free(event);
    }
    peri_matcher_destroy(m);
    for (size_t i = 0; i < count; i++)
        peri_pattern_destroy(patterns[i]);
    free(patterns);
    free(rows);
    free(hits);
}

/* --- random patterns and events --- */

#define SET_MAX 48
#define EVENTS 12

struct random_set {
    char *texts[SET_MAX];
    struct peri_pattern *patterns[SET_MAX];
    size_t count;
};

static void make_set(struct maker *g, struct random_set *set)
{
    set->count = 1 + pick(g, pick(g, 4) ? 8 : SET_MAX);
    for (size_t i = 0; i < set->count;) {
        peri_buf_reset(g->out);
        put_pattern(g, 3);
        struct peri_error err = {0};
        if (peri_pattern_compile_json(g->out->data, g->out->len, &set->patterns[i], &err) == PERI_OK)
            set->texts[i++] = strdup(peri_buf_text(g->out));
        else if (!strstr(err.message, "empty prefix") && !strstr(err.message, "empty suffix"))
            fail_msg("%s: %s", peri_buf_text(g->out), err.message);
    }
}

static void free_set(struct random_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        peri_pattern_destroy(set->patterns[i]);
        free(set->texts[i]);
    }
}

/* Breaks a text in most cases. */
static void damage(struct maker *g)
{
    static const char bytes[] = "{}[],:\"\\0123e.-+ tfn\n\x01\xc3u";
    size_t at = g->out->len ? pick(g, (unsigned)g->out->len) : 0;
    if (!g->out->len)
        return;
    if (pick(g, 3))
        g->out->data[at] = bytes[pick(g, sizeof(bytes) - 1)];
    else
        g->out->data[g->out->len = at] = '\0';
}

/* All patterns whose bit is set are in m. */
static void compare(const struct random_set *set, const struct peri_matcher *m, uint64_t members, const char *event,
    size_t len, uint64_t seed)
{
    uint32_t hits[SET_MAX];
    size_t found = 0, at = 0;
    char *exact = malloc(len + 1), *cut;
    memcpy(exact, event, len);
    cut = realloc(exact, len ? len : 1);
    struct peri_error err = {0}, plain_err = {0};
    enum peri_status st = peri_matcher_match(m, scratch, cut, len, hits, SET_MAX, &found, &err);
    for (size_t i = 0; i < set->count; i++) {
        bool want = false;
        if (peri_pattern_match(set->patterns[i], cut, len, &want, NULL, &plain_err) != st)
            fail_msg("seed %llu: %s: %s / %s", (unsigned long long)seed, event, err.message, plain_err.message);
        if (st != PERI_OK) {
            assert_string_equal(err.message, plain_err.message);
            break;
        }
        want &= members >> i & 1;
        bool got = at < found && hits[at] == i;
        at += got;
        if (got != want)
            fail_msg("seed %llu: %s on %s should be %s", (unsigned long long)seed, set->texts[i], event,
                want ? "true" : "false");
    }
    assert_true(st != PERI_OK || at == found);
    free(cut);
}

static struct peri_matcher *build_members(const struct random_set *set, uint64_t members)
{
    struct peri_pattern *some[SET_MAX];
    for (size_t i = 0; i < set->count; i++)
        some[i] = members >> i & 1 ? set->patterns[i] : NULL;
    return build(some, set->count);
}

static size_t round_of(uint64_t seed)
{
    struct peri_buf text;
    peri_buf_init(&text, 1u << 20);
    struct maker g = {.state = seed * 0x9e3779b97f4a7c15u + 1, .out = &text};
    g.keys = 2 + (int)pick(&g, 10);
    struct random_set set;
    make_set(&g, &set);
    uint64_t all = ~UINT64_C(0), some = 0, one = UINT64_C(1) << pick(&g, (unsigned)set.count);
    for (size_t i = 0; i < set.count; i++)
        some |= (uint64_t)pick(&g, 2) << i;
    struct peri_matcher *machines[] = {build_members(&set, all), build_members(&set, some), build_members(&set, one)};
    const uint64_t members[] = {all, some, one};
    for (int e = 0; e < EVENTS; e++) {
        peri_buf_reset(&text);
        put_event(&g);
        if (pick(&g, 10) == 0)
            damage(&g);
        for (int k = 0; k < 3; k++)
            compare(&set, machines[k], members[k], peri_buf_text(&text), text.len, seed);
    }
    for (int k = 0; k < 3; k++)
        peri_matcher_destroy(machines[k]);
    size_t pairs = set.count * EVENTS;
    free_set(&set);
    peri_buf_finish(&text);
    return pairs;
}

/* PERI_TEST_PAIRS: how many pairs of pattern and event; PERI_TEST_SEED: where to begin. */
static void test_random_sets_answer_like_the_plain_evaluator(void **state)
{
    const char *more = getenv("PERI_TEST_PAIRS"), *from = getenv("PERI_TEST_SEED");
    size_t want = more ? strtoul(more, NULL, 10) : 50000, pairs = 0;
    uint64_t seed = from ? strtoul(from, NULL, 10) : 1;
    while (pairs < want)
        pairs += round_of(seed++);
}

/* --- what is not a property of single events --- */

static void test_what_is_not_json_is_refused(void **state)
{
    static const char *const events[] = {"", " ", "{", "{'a':1", "{'a':1}}", "{'a':1} x", "{'a':1,}", "{'a' 1}",
        "{a:1}", "{'a':01}", "{'a':1.}", "{'a':.5}", "{'a':+1}", "{'a':1e}", "{'a':-}", "{'a':'x}", "{'a':'\\x'}",
        "{'a':'\\u12'}", "{'a':'\\ud800'}", "{'a':'\\udc00\\ud800'}", "{'a':'\t'}", "{'a':tru}", "{'a':truex}", "[1,]",
        "[1 2]", "{'a':1}\xff", "{'a':'\xc3'}", "{'a':NaN}", "{'a':'\xed\xa0\x80'}", "// x\n{}", "{'a':1}{'b':2}",
        "{'a':1]}", "{'a':[1}", "{'a':[}", "{'a':{]}", "{,}", "{'a',}", "{'a':}", "{:1}", "{'a':1:2}", "{'a' 'b':1}",
        "{'a':'b' 'c'}", "{'a':1 'b':2}", "{'a':[1,,2]}", "{'a':[,1]}", "{'a':['b':1]}", "{'a':{'b'}}", "{'a':nul}",
        "{'a':true false}", "{'a':1.5.5}", "{'a':1e5e5}", "{'a':1e5.5}", "{'a':--1}", "{'a':1-1}", "{'a':00}",
        "{'a':-01}", "{'a':'\\'}", "{'a'\x01:1}", "{\v}", "{'a':1}\f", "]{}", "}", "{}}", "{}{", "{},", "{}:", "{}'",
        "{}1", "{},{}", "{'a':1} , {'a':1}", "{'a':[]},{'a':{}}"};
    struct peri_pattern *p = compile("{\"a\":[1]}");
    struct peri_matcher *m = build(&p, 1);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        for (size_t shift = 0; shift < 70; shift++) { /* over every border of a block */
            char *text = json(events[i]), padded[400];
            size_t len = (size_t)snprintf(padded, sizeof(padded), "%*s%s", (int)shift, "", text), count;
            struct peri_error err = {0}, want = {0};
            struct peri_json_tape tape = {0};
            assert_int_equal(peri_json_scan(padded, len, &tape, &want), PERI_EINVAL);
            if (peri_matcher_match(m, scratch, padded, len, NULL, 0, &count, &err) != PERI_EINVAL)
                fail_msg("accepted %s", padded);
            assert_string_equal(err.message, want.message);
            peri_json_tape_finish(&tape);
            free(text);
        }
    }
    peri_matcher_destroy(m);
    peri_pattern_destroy(p);
}

static void test_depth_is_bounded(void **state)
{
    struct peri_pattern *p = compile("{\"a\":[1]}");
    struct peri_matcher *m = build(&p, 1);
    for (size_t levels = 63; levels <= 64; levels++) {
        char text[300] = "{\"a\":";
        size_t count;
        memset(text + 5, '[', levels);
        text[5 + levels] = '1';
        memset(text + 6 + levels, ']', levels);
        text[6 + 2 * levels] = '}';
        enum peri_status st = peri_matcher_match(m, scratch, text, 7 + 2 * levels, NULL, 0, &count, NULL);
        assert_int_equal(st, levels == 63 ? PERI_OK : PERI_EINVAL);
        assert_true(levels == 64 || count == 1);
    }
    peri_matcher_destroy(m);
    peri_pattern_destroy(p);
}

static void test_hits_are_rising_and_counted_beyond_the_room(void **state)
{
    struct peri_pattern *patterns[100];
    uint32_t hits[100];
    for (size_t i = 0; i < 100; i++)
        patterns[i] = compile(i % 2 ? "{\"a\":[1],\"b\":[{\"exists\":true}]}" : "{\"b\":[{\"numeric\":[\">\",1]}]}");
    struct peri_matcher *m = build(patterns, 100);
    assert_int_equal(match(m, "{\"a\":1,\"b\":2}", hits, 100), 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(hits[i], i);
    memset(hits, 0xff, sizeof(hits));
    assert_int_equal(match(m, "{\"a\":1,\"b\":2}", hits, 3), 100);
    assert_int_equal(hits[2], 2);
    assert_int_equal(hits[3], UINT32_MAX);
    assert_int_equal(match(m, "{\"a\":1,\"b\":0}", hits, 100), 50);
    assert_int_equal(match(m, "{}", NULL, 0), 0);
    peri_matcher_destroy(m);
    for (size_t i = 0; i < 100; i++)
        peri_pattern_destroy(patterns[i]);
}

static void test_a_matcher_without_patterns(void **state)
{
    struct peri_matcher *m = build(NULL, 0);
    size_t count = 1;
    assert_int_equal(match(m, "{\"a\":[1,{\"b\":2}]}", NULL, 0), 0);
    assert_int_equal(peri_matcher_match(m, scratch, "{", 1, NULL, 0, &count, NULL), PERI_EINVAL);
    peri_matcher_destroy(m);
    peri_matcher_destroy(NULL);
    peri_matcher_scratch_destroy(NULL);
}

/* The time of these would be minutes if it grew with the square, or with the number of patterns. */
static void test_large_events_and_many_patterns(void **state)
{
    enum { ELEMENTS = 30000, PATTERNS = 3000 };
    struct peri_pattern **patterns = calloc(PATTERNS, sizeof(struct peri_pattern *));
    for (int i = 0; i < PATTERNS; i++) {
        char text[200];
        snprintf(text, sizeof(text),
            i % 3 ? "{\"o\":{\"p\":[%d],\"q\":[\"v%d\"]}}" : "{\"o\":{\"r\":[{\"prefix\":\"%d-%d\"}]}}", i, i + 1);
        patterns[i] = compile(text);
    }
    struct peri_matcher *m = build(patterns, PATTERNS);
    assert_true(peri_matcher_bytes(m) < PATTERNS * 400);
    struct peri_buf b;
    peri_buf_init(&b, 64u << 20);
    peri_buf_puts(&b, "{\"o\":[");
    for (int i = 0; i < ELEMENTS; i++)
        peri_buf_printf(&b, "%s{\"p\":%d,\"q\":\"v%d\",\"r\":\"%d-x\"}", i ? "," : "", i, i, i);
    peri_buf_puts(&b, "]}");
    uint32_t hits[4];
    assert_int_equal(match(m, peri_buf_text(&b), hits, 4), 0);
    b.len -= 2;
    peri_buf_puts(&b, ",{\"p\":7,\"q\":\"v8\"}]}");
    assert_int_equal(match(m, peri_buf_text(&b), hits, 4), 1);
    assert_int_equal(hits[0], 7);
    peri_buf_finish(&b);
    peri_matcher_destroy(m);
    for (int i = 0; i < PATTERNS; i++)
        peri_pattern_destroy(patterns[i]);
    free(patterns);
}

static int set_up(void **state)
{
    scratch = peri_matcher_scratch_create();
    return scratch ? 0 : -1;
}

static int tear_down(void **state)
{
    peri_matcher_scratch_destroy(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_of_the_language_alone),
        cmocka_unit_test(test_every_row_of_the_language_beside_all_others),
        cmocka_unit_test(test_random_sets_answer_like_the_plain_evaluator),
        cmocka_unit_test(test_what_is_not_json_is_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_hits_are_rising_and_counted_beyond_the_room),
        cmocka_unit_test(test_a_matcher_without_patterns),
        cmocka_unit_test(test_large_events_and_many_patterns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
