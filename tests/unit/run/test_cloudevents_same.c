/* SPDX-License-Identifier: Apache-2.0 */
/* Requests with faults of all kinds: the reader takes, refuses, says and stores what a naive one does. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "lang/matcher_scan.h"
#include "run/cloudevents_naive.h"

#define ROUNDS 40000
#define LINES 12
#define TEXT_MAX 4096
#define EVENT_MAX 700

/* Lines "name: value" up to an empty one, then the body; "?name: value" is of the query. */
struct request {
    char *names[LINES], *values[LINES];
    size_t count;
    const char *body;
    size_t len;
};

static const char *find(const struct request *r, bool query, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if ((r->names[i][0] == '?') == query && strcasecmp(r->names[i] + query, name) == 0)
            return r->values[i];
    return NULL;
}

static const char *header(const void *req, const char *name)
{
    return find(req, false, name);
}

static const char *query(const void *req, const char *name)
{
    return find(req, true, name);
}

static void each_header(const void *req, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    const struct request *r = req;
    for (size_t i = 0; i < r->count; i++)
        if (r->names[i][0] != '?')
            fn(arg, r->names[i], r->values[i]);
}

/* Cuts text up. What is no line of a header belongs to the body. */
static void split(char *text, size_t len, struct request *r)
{
    char *s = text, *end = text + len;
    r->count = 0;
    while (r->count < LINES && s < end && *s != '\n') {
        char *line_end = memchr(s, '\n', (size_t)(end - s)), *colon = line_end ? strstr(s, ": ") : NULL;
        if (!colon || colon > line_end)
            break;
        *colon = *line_end = '\0';
        r->names[r->count] = s;
        r->values[r->count++] = colon + 2;
        s = line_end + 1;
    }
    s += s < end && *s == '\n';
    r->body = s;
    r->len = (size_t)(end - s);
}

static void same_text(const char *what, const char *a, const char *b)
{
    if (!peri_streq(a, b))
        fail_msg("%s: %s, the naive reader has %s", what, a ? a : "none", b ? b : "none");
}

static void same_event(const struct peri_event *a, const struct peri_event *b)
{
    char *more = a->extensions ? peri_json_text(a->extensions, PERI_JSON_COMPACT) : NULL;
    char *wanted = b->extensions ? peri_json_text(b->extensions, PERI_JSON_COMPACT) : NULL;
    same_text("id", a->external_id, b->external_id);
    same_text("source", a->source, b->source);
    same_text("type", a->type, b->type);
    same_text("subject", a->subject, b->subject);
    same_text("data", a->data, b->data);
    same_text("extensions", more, wanted);
    assert_int_equal(a->data_len, b->data_len);
    assert_int_equal(a->time_ms, b->time_ms);
    free(more);
    free(wanted);
}

/* True when it is accepted. */
static bool same(const char *text, size_t len, struct peri_ce_scratch *scratch)
{
    struct request r;
    struct peri_error err = {0}, wanted = {0};
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    split(copy, len, &r);
    char *body = malloc(r.len + !r.len); /* exactly as long as it is, for the sanitizer */
    assert_non_null(body);
    memcpy(body, r.body, r.len);
    struct peri_cloudevents_input in = {body, r.len, header, query, each_header, &r, scratch};
    struct peri_batch *a = peri_batch_create(), *b = peri_batch_create();
    bool many = false, wanted_many = false;
    enum peri_status st = peri_cloudevents_read_input(&in, EVENT_MAX, a, &many, &err);
    enum peri_status wanted_st = naive_read(&in, EVENT_MAX, b, &wanted_many, &wanted);
    if (st != wanted_st || many != wanted_many)
        fail_msg("%d (%s), the naive reader %d (%s), for %s", st, st ? err.message : "", wanted_st,
            wanted_st ? wanted.message : "", text);
    if (st) {
        same_text("message", err.message, wanted.message);
        same_text("code", err.code, wanted.code);
    }
    assert_int_equal(peri_batch_events(a), peri_batch_events(b));
    for (size_t i = 0; i < peri_batch_events(a); i++)
        same_event(peri_batch_event_at(a, i), peri_batch_event_at(b, i));
    peri_batch_destroy(a);
    peri_batch_destroy(b);
    free(body);
    free(copy);
    return st == PERI_OK;
}

#define STRUCTURED "content-type: application/cloudevents+json\n\n"
#define BATCH "content-type: application/cloudevents-batch+json\n\n"
#define NEEDED "\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/door\",\"type\":\"a.B\""

static const char *const seeds[] = {
    STRUCTURED "{" NEEDED "}",
    STRUCTURED " { " NEEDED " , \"data\" : { \"a\" : [ 1 , {\"b\":-2.5e3} ] } , \"time\":\"2026-01-02T03:04:05Z\" } \n",
    STRUCTURED
    "{" NEEDED
    ",\"subject\":\"\\u00e9 \\\"x\\\" \\ud83d\\ude00\",\"data\":\"x\\\\\",\"more\":true,\"n\":12,\"s\":\"t\"}",
    STRUCTURED "{" NEEDED ",\"data_base64\":\"eyJhIjoxfQ==\",\"datacontenttype\":\"application/json\"}",
    STRUCTURED "{" NEEDED
               ",\"data_base64\":\"aGVsbG8=\",\"datacontenttype\":\"text/plain\",\"dataschema\":\"http://x/y\"}",
    STRUCTURED "{" NEEDED ",\"data\":{\"big\":123456789012345678901,\"l\":1234567890123456789,\"e\":1e5,\"z\":null}}",
    STRUCTURED "{" NEEDED ",\"data\":[[],{},\"\",{\"k\":{\"k\":[{}]}}],\"ext\":-2147483648}",
    BATCH "[{" NEEDED "},{" NEEDED ",\"data\":{\"a\":\"b,}]{[\\\"\"}} , {" NEEDED ",\"data\":7}]",
    BATCH "[{" NEEDED ",\"data\":[1,2,{}]},{\"data\":{\"x\":[{}]}," NEEDED ",\"data_base64\":null},{" NEEDED "}]",
    BATCH "[]",
    BATCH "[],[]",
    BATCH "[{" NEEDED "}],1",
    BATCH "[{" NEEDED "}],null",
    STRUCTURED "{" NEEDED "},\"x\"",
    BATCH "[{" NEEDED "}],[{" NEEDED "}]",
    BATCH "[{" NEEDED "}],{" NEEDED "}",
    BATCH "[{" NEEDED "}],",
    BATCH "[{" NEEDED "}]:1",
    BATCH "[{" NEEDED "}]\"x\"",
    BATCH "[{" NEEDED "},1]",
    BATCH "[{" NEEDED "}}",
    STRUCTURED "{" NEEDED "},{" NEEDED "}",
    STRUCTURED "{" NEEDED "}{" NEEDED "}",
    STRUCTURED "{" NEEDED "},\"data\":{" NEEDED "}",
    "ce-specversion: 1.0\nCe-Id: 9\nce-source: urn:x%20y\nce-type: a.B\nce-subject: \"q \\\"uoted\"  \ncontent-type: "
    "application/json\n\n{\"a\":[1,2]}",
    "ce-specversion: 1.0\nce-id: 9\nce-source: /s\nce-type: a.B\nce-time: 2026-01-02T03:04:05.5+01:00\nce-ext: %C3%A9\n"
    "content-type: text/plain; charset=utf-8\n\nhello",
    "ce-specversion: 1.0\nce-id: 9\nce-source: /s\nce-type: a.B\ncontent-type: \n\n{}",
    "?type: a.B\n?source: door\n?subject: s\n\n{\"a\":1}",
    "?type: a.B\ncontent-type: application/json\n\n",
};

/* What breaks readers, and what brings a text from one case to another. */
static const char *const words[] = {"{", "}", "[", "]", ",", ":", "\"", "\\", " ", "\n", "\\u0000", "\\ud800",
    "\\u0041", "null", "true", "1e400", "-0", "0.1", "99999999999999999999", "\"data\":", "\"id\":\"x\",",
    "\"data_base64\":\"AA==\",", "\"ext\":1,", "\"Bad\":\"x\",", "\xC3\xA9", "\xFF", "\x01", "%41", "%zz", "ce-id: 2\n",
    "ce-datacontenttype: x/y\n", "content-type: application/json\n", "\"i\\u0064\":\"y\",", "\"time\":\"never\",",
    "\"specversion\":\"0.3\",", "\"subject\":\"\",", "\"subject\":null,", "\"subject\":{\"a\":[]},",
    "1234567890123456789012345678901234567890"};

#define COUNT(list) (sizeof(list) / sizeof(list[0]))

static uint64_t seed = 88172645463325252u;

static size_t below(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed >> 11) % n;
}

/* Puts `add` bytes in the place of `drop`. */
static void splice(char *text, size_t *len, size_t at, size_t drop, const char *add, size_t add_len)
{
    if (*len - drop + add_len >= TEXT_MAX)
        return;
    memmove(text + at + add_len, text + at + drop, *len - at - drop);
    memcpy(text + at, add, add_len);
    *len += add_len - drop;
}

static void mutate(char *text, size_t *len)
{
    char piece[64];
    size_t at = below(*len + 1), left = *len - at, n = below(left < 20 ? left + 1 : 20);
    const char *word = words[below(COUNT(words))];
    switch (below(5)) {
    case 0:
        splice(text, len, at, 0, word, strlen(word));
        break;
    case 1:
        splice(text, len, at, n, word, strlen(word));
        break;
    case 2:
        splice(text, len, at, n, "", 0);
        break;
    case 3:
        memcpy(piece, text + at, n);
        splice(text, len, below(*len + 1), 0, piece, n);
        break;
    default:
        piece[0] = (char)below(256);
        splice(text, len, at, left > 0, piece, 1);
    }
}

/* Whatever the processor can do: the same is found. */
static void same_on_all(const char *text, size_t len)
{
    struct matcher_scan scan = {0};
    enum matcher_scan_result result = matcher_scan_document(&scan, text, len);
    bool numbers = scan.long_numbers;
    const char *kernel;
    for (size_t i = 0; (kernel = matcher_scan_kernel(i)) != NULL; i++) {
        if (matcher_scan_document_with(kernel, &scan, text, len) != result)
            fail_msg("%s differs: %s", kernel, text);
        if (result == MATCHER_SCAN_OK && scan.long_numbers != numbers)
            fail_msg("%s does not see the same numbers: %s", kernel, text);
    }
    matcher_scan_finish(&scan);
}

static void test_mutated(void **state)
{
    static char text[TEXT_MAX + 1];
    struct peri_ce_scratch *scratch = peri_ce_scratch_create();
    size_t accepted = 0;
    assert_non_null(scratch);
    for (size_t round = 0; round < ROUNDS; round++) {
        const char *from = seeds[below(COUNT(seeds))];
        size_t len = strlen(from);
        memcpy(text, from, len);
        for (size_t n = below(4); n > 0; n--)
            mutate(text, &len);
        text[len] = '\0';
        accepted += same(text, len, round % 2 ? scratch : NULL);
        const char *body = strstr(text, "\n\n");
        if (body && round % 8 == 0)
            same_on_all(body + 2, len - (size_t)(body + 2 - text));
    }
    peri_ce_scratch_destroy(scratch);
    assert_in_range(accepted, ROUNDS / 10, ROUNDS * 9 / 10); /* both sides are looked at */
}

static void test_seeds(void **state)
{
    for (size_t i = 0; i < COUNT(seeds); i++)
        (void)same(seeds[i], strlen(seeds[i]), NULL);
}

/* Names, texts and numbers where a block of 64 bytes ends, and texts that end with one. */
static void test_blocks(void **state)
{
    char text[1024];
    struct peri_ce_scratch *scratch = peri_ce_scratch_create();
    assert_non_null(scratch);
    for (int pad = 0; pad < 300; pad++) {
        int n = snprintf(text, sizeof(text),
            BATCH "[%*s{" NEEDED ",\"data\":{\"n\":12345678901234567,\"s\":\"\\\"\"}},{" NEEDED ",\"data\":%s}]", pad,
            "", pad % 2 ? "1234567890123456789012" : "[{},123456789012345678]");
        (void)same(text, (size_t)n, scratch);
        n = snprintf(text, sizeof(text), STRUCTURED "{" NEEDED ",\"subject\":\"%0*d\"}", pad + 1, 0);
        assert_true(same(text, (size_t)n, scratch));
        n = snprintf(text, sizeof(text), "{\"a\":%*s%.*s}", pad, "", 17 + pad % 4, "123456789012345678901");
        same_on_all(text, (size_t)n);
    }
    peri_ce_scratch_destroy(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
