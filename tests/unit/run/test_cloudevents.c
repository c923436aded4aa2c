/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "io/store_data.h"
#include "run/cloudevents.h"

/* A request as the tests write it: names and values in turn, ended by NULL. */
struct request {
    const char *const *headers, *const *query;
};

static const char *pair(const char *const *pairs, const char *name)
{
    for (; pairs && pairs[0]; pairs += 2)
        if (strcasecmp(pairs[0], name) == 0)
            return pairs[1];
    return NULL;
}

static const char *header(const void *req, const char *name)
{
    return pair(((const struct request *)req)->headers, name);
}

static const char *query(const void *req, const char *name)
{
    return pair(((const struct request *)req)->query, name);
}

static void each_header(const void *req, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    for (const char *const *h = ((const struct request *)req)->headers; h && h[0]; h += 2)
        fn(arg, h[0], h[1]);
}

#define MAX (64u << 10)
#define NONE ((const char *const[]){NULL})
#define H(...) ((const char *const[]){__VA_ARGS__, NULL})
#define CE "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "a.b"

static enum peri_status reading(const char *const *headers, const char *const *q, const char *body, size_t len,
    struct peri_batch *batch, bool *many, struct peri_error *err)
{
    struct request req = {headers, q};
    char *copy = malloc(len + !len); /* exactly as long as it is, for the sanitizer */
    assert_non_null(copy);
    memcpy(copy, body, len);
    struct peri_cloudevents_input in = {copy, len, header, query, each_header, &req, NULL};
    enum peri_status st = peri_cloudevents_read_input(&in, MAX, batch, many, err);
    free(copy);
    return st;
}

/* One event; the caller destroys the batch. */
static const struct peri_event *one(
    struct peri_batch **ret, const char *const *headers, const char *const *q, const char *body, size_t len)
{
    bool many = true;
    struct peri_error err = {0};
    *ret = peri_batch_create();
    if (reading(headers, q, body, len, *ret, &many, &err))
        fail_msg("%s", err.message);
    assert_false(many);
    assert_int_equal(peri_batch_events(*ret), 1);
    return peri_batch_event_at(*ret, 0);
}

/* data is stored as wanted, and extensions are these. */
static void stores(const char *const *headers, const char *body, size_t len, const char *data, const char *extensions)
{
    struct peri_batch *batch;
    const struct peri_event *e = one(&batch, headers, NONE, body, len);
    char *ext = e->extensions ? peri_json_text(e->extensions, PERI_JSON_SORTED) : NULL;
    assert_string_equal(e->data, data);
    assert_int_equal(e->data_len, strlen(data));
    assert_string_equal(ext ? ext : "", extensions);
    assert_string_equal(e->source, "/s");
    assert_string_equal(e->type, "a.b");
    assert_string_equal(e->external_id, "1");
    free(ext);
    peri_batch_destroy(batch);
}

static void refuses_body(
    const char *const *headers, const char *const *q, const char *body, size_t len, const char *code, const char *words)
{
    bool many;
    struct peri_error err = {0};
    struct peri_batch *batch = peri_batch_create();
    if (reading(headers, q, body, len, batch, &many, &err) != PERI_EINVAL)
        fail_msg("accepted, not refused with \"%s\": %.200s", words, body);
    bool other = strcmp(err.code, "media_type") == 0 || strcmp(err.code, "too_large") == 0; /* 415 and 413 */
    assert_string_equal(other ? err.code : "invalid", code);
    if (!strstr(err.message, words))
        fail_msg("%s\n does not say %s", err.message, words);
    peri_batch_destroy(batch);
}

static void refuses(const char *const *headers, const char *body, const char *words)
{
    refuses_body(headers, NONE, body, strlen(body), "invalid", words);
}

static void test_binary(void **state)
{
    stores(H(CE, "Content-Type", "application/json"), "{ \"a\" : 1.50 }", 14, "{ \"a\" : 1.50 }", "");
    stores(H("CE-SpecVersion", "1.0", "Ce-Id", "1", "cE-source", "/s", "CE-TYPE", "a.b"), "", 0, "null", "");
    stores(H(CE, "content-type", "application/vnd.x+json; charset=utf-8"), "[]", 2, "[]",
        "{\"datacontenttype\":\"application/vnd.x+json; charset=utf-8\"}");
    stores(H(CE, "content-type", "text/plain"), "h\xC3\xA9\n", 4, "\"h\xC3\xA9\\n\"",
        "{\"datacontenttype\":\"text/plain\"}");
    stores(H(CE, "content-type", "text/plain"), "h\xE9", 2, "{\"data_base64\":\"aOk=\"}",
        "{\"datacontenttype\":\"text/plain\"}");
    stores(H(CE, "content-type", "image/png"), "\0\1\2", 3, "{\"data_base64\":\"AAEC\"}",
        "{\"datacontenttype\":\"image/png\"}");
    stores(H(CE), "{}", 2, "{\"data_base64\":\"e30=\"}", "");
    stores(H(CE, "ce-dataschema", "http://x/y", "ce-traceid", "7", "ce-subject", "s"), "", 0, "null",
        "{\"dataschema\":\"http://x/y\",\"traceid\":\"7\"}");
}

static void test_binary_fields(void **state)
{
    struct peri_batch *batch;
    char text[PERI_TIME_TEXT];
    const struct peri_event *e = one(&batch,
        H(CE, "ce-time", "2026-01-02T03:04:05.5+01:00", "ce-subject", "Euro%20%E2%82%ac %F0%9f%98%80 100%25"), NONE, "",
        0);
    assert_string_equal(e->subject, "Euro \xE2\x82\xAC \xF0\x9F\x98\x80 100%");
    assert_string_equal(peri_time_format(e->time_ms, text), "2026-01-02T02:04:05.500Z");
    peri_batch_destroy(batch);
    e = one(&batch, H(CE, "ce-subject", "\"a \\\"b\\\\ %41%2541\" "), NONE, "", 0);
    assert_string_equal(e->subject, "a \"b\\ A%41");
    assert_int_equal(e->time_ms, 0);
    assert_int_equal(e->hops, 0);
    peri_batch_destroy(batch);
}

static void test_binary_refusals(void **state)
{
    refuses(H("ce-id", "1", "ce-source", "/s", "ce-type", "t"), "", "\"specversion\" is missing");
    refuses(H("ce-specversion", "0.3", "ce-id", "1", "ce-source", "/s", "ce-type", "t"), "",
        "\"specversion\" must be \"1.0\"");
    refuses(H("ce-specversion", "1.0", "ce-id", "", "ce-source", "/s", "ce-type", "t"), "", "\"id\" must not be empty");
    refuses(H("ce-specversion", "1.0", "ce-id", "1", "ce-source", "a b", "ce-type", "t"), "",
        "\"source\" must be a URI-reference");
    refuses(H("ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s"), "", "\"type\" is missing");
    refuses(H(CE, "ce-id", "2"), "", "\"id\" is there twice");
    refuses(H(CE, "ce-time", "yesterday"), "", "\"time\" must be a time of RFC 3339");
    refuses(H(CE, "ce-time", "2026-02-30T00:00:00Z"), "", "\"time\"");
    refuses(H(CE, "ce-dataschema", "/x"), "", "\"dataschema\" must be an absolute URI");
    refuses(H(CE, "ce-subject", ""), "", "\"subject\" must not be empty");
    refuses(H(CE, "ce-datacontenttype", "text/plain"), "", "use Content-Type");
    refuses(H(CE, "ce-data", "x"), "", "no name of an attribute");
    refuses(H(CE, "ce-my_ext", "x"), "", "no name of an attribute");
    refuses(H(CE, "ce-", "x"), "", "no name of an attribute");
    refuses(H(CE, "ce-ext", "100%"), "", "hexadecimal");
    refuses(H(CE, "ce-ext", "%4"), "", "hexadecimal");
    refuses(H(CE, "ce-ext", "%C3"), "", "UTF-8");
    refuses(H(CE, "ce-ext", "%ED%A0%80"), "", "UTF-8");
    refuses(H(CE, "ce-ext", "\xC3\xA4"), "", "percent-encoded");
    refuses(H(CE, "ce-ext", "a%0Ab"), "", "control characters");
    refuses(H(CE, "ce-ext", "a%00b"), "", "control characters");
    refuses(H(CE, "ce-ext", "%C2%85"), "", "control characters");
    refuses(H(CE, "ce-ext", "%EF%BF%BF"), "", "control characters");
    refuses(H(CE, "ce-ext", "\"abc"), "", "quoted");
    refuses(H(CE, "ce-ext", "\"abc\"d"), "", "quoted");
    refuses(H(CE, "ce-ext", "\"abc\\\""), "", "quoted");
    refuses(H(CE, "Content-Type", "json"), "{}", "Content-Type is no media type");
    refuses(H(CE, "Content-Type", "a/b; c"), "{}", "Content-Type is no media type");
    refuses(H(CE, "Content-Type", "a/b", "content-type", "a/c"), "{}", "more than one Content-Type");
    refuses(H(CE, "Content-Type", "application/json"), "{", "not the JSON");
    refuses(H(CE, "Content-Type", "x/y+json"), "\"\xFF\"", "not the JSON");
}

#define EVENT(rest) "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a.b\"" rest "}"
#define STRUCTURED H("content-type", "application/cloudevents+json; charset=UTF-8")

static void stores_event(const char *event, const char *data, const char *extensions)
{
    stores(STRUCTURED, event, strlen(event), data, extensions);
    stores(H("content-type", "Application/CloudEvents+JSON", "ce-id", "ignored", "ce-specversion", "9"), event,
        strlen(event), data, extensions);
}

static void test_structured(void **state)
{
    stores_event(EVENT(""), "null", "");
    stores_event(EVENT(",\"data\":null"), "null", "");
    stores_event(EVENT(", \"data\" : { \"b\":1.50, \"a\" : [ 1 ,\"}]\\\"\" ] } , \"n\":1"),
        "{ \"b\":1.50, \"a\" : [ 1 ,\"}]\\\"\" ] }", "{\"n\":1}");
    stores_event(EVENT(",\"d\\u0061ta\":3"), "3", "");
    stores_event("\n " EVENT(",\"data\":-1.5e3\n"), "-1.5e3", "");
    stores_event(EVENT(",\"data\":\"{}\",\"datacontenttype\":\"application/json\""), "\"{}\"", "");
    stores_event(EVENT(",\"data_base64\":\"AAEC\""), "{\"data_base64\":\"AAEC\"}", "");
    stores_event(EVENT(",\"data_base64\":\"eyJhIjogMX0=\",\"datacontenttype\":\"application/json\""), "{\"a\": 1}", "");
    stores_event(EVENT(",\"datacontenttype\":\"text/plain\",\"data_base64\":\"aGk=\""), "\"hi\"",
        "{\"datacontenttype\":\"text/plain\"}");
    stores_event(EVENT(",\"x\":null,\"b\":true,\"i\":-2147483648,\"s\":\"\",\"subject\":null"), "null",
        "{\"b\":true,\"i\":-2147483648,\"s\":\"\"}");
}

static void test_structured_refusals(void **state)
{
    refuses(STRUCTURED, "", "not valid JSON");
    refuses(STRUCTURED, "{", "not valid JSON");
    refuses(STRUCTURED, "[]", "an event must be a JSON object");
    refuses(STRUCTURED, "{}", "\"specversion\" is missing");
    refuses(STRUCTURED, EVENT(",\"id\":\"2\""), "\"id\" is there twice");
    refuses(STRUCTURED, EVENT(",\"data\":1,\"data\":2"), "\"data\" is there twice");
    refuses(STRUCTURED, EVENT(",\"data\":1,\"data_base64\":\"AAEC\""), "exclude each other");
    refuses(STRUCTURED, EVENT(",\"data_base64\":\"A\""), "not valid base64");
    refuses(STRUCTURED, EVENT(",\"data_base64\":5"), "must be a string");
    refuses(STRUCTURED, EVENT(",\"datacontenttype\":\"application/json\",\"data_base64\":\"AAEC\""), "not the JSON");
    refuses(STRUCTURED, EVENT(",\"ext\":{}"), "must be a string, a boolean or a 32-bit integer");
    refuses(STRUCTURED, EVENT(",\"ext\":1.5"), "32-bit integer");
    refuses(STRUCTURED, EVENT(",\"ext\":2147483648"), "32-bit integer");
    refuses(STRUCTURED, EVENT(",\"Ext\":\"a\""), "no name of an attribute");
    refuses(STRUCTURED, EVENT(",\"e\\u0000\":\"a\""), "not valid JSON");
    refuses(STRUCTURED, EVENT(",\"subject\":5"), "\"subject\" must be a string");
    refuses(STRUCTURED, EVENT(",\"subject\":\"a\\u0007\""), "control characters");
    refuses(STRUCTURED, EVENT(",\"datacontenttype\":\"x\""), "media type");
    refuses(STRUCTURED, EVENT("} {"), "not valid JSON");
    refuses_body(
        H("content-type", "application/cloudevents+avro"), NONE, "x", 1, "media_type", "application/cloudevents+json");
    refuses_body(
        H("content-type", "application/cloudevents"), NONE, "x", 1, "media_type", "application/cloudevents+json");
}

static void test_batch(void **state)
{
    static const char *const type[] = {"content-type", "application/cloudevents-batch+json", NULL};
    const char *body = " [ " EVENT(",\"data\":[1, 2]") " ,\n" EVENT("") "]\n";
    bool many = false;
    struct peri_error err = {0};
    struct peri_batch *batch = peri_batch_create();
    assert_int_equal(reading(type, NONE, body, strlen(body), batch, &many, &err), PERI_OK);
    assert_true(many);
    assert_int_equal(peri_batch_events(batch), 2);
    assert_string_equal(peri_batch_event_at(batch, 0)->data, "[1, 2]");
    assert_string_equal(peri_batch_event_at(batch, 1)->data, "null");
    peri_batch_destroy(batch);
    batch = peri_batch_create();
    assert_int_equal(reading(type, NONE, "[]", 2, batch, &many, &err), PERI_OK);
    assert_true(many);
    assert_int_equal(peri_batch_events(batch), 0);
    peri_batch_destroy(batch);
    refuses(type, "[" EVENT("") ",{\"id\":\"1\"}]", "event 2 of the batch: attribute \"specversion\" is missing");
    refuses(type, "[1]", "event 1 of the batch: an event must be a JSON object");
    refuses(type, EVENT(""), "a batch must be a JSON array");
}

static void test_plain(void **state)
{
    struct peri_batch *batch;
    const struct peri_event *e = one(&batch, NONE, H("type", "door.Opened"), "{\"a\": 1}", 8);
    assert_string_equal(e->type, "door.Opened");
    assert_string_equal(e->source, "api");
    assert_null(e->external_id);
    assert_string_equal(e->data, "{\"a\": 1}");
    assert_null(e->extensions);
    peri_batch_destroy(batch);
    e = one(&batch, H("content-type", "application/json"),
        H("type", "t", "source", "/phone", "id", "7", "subject", "s", "time", "2026-01-02T03:04:05Z"), "", 0);
    assert_string_equal(e->source, "/phone");
    assert_string_equal(e->external_id, "7");
    assert_string_equal(e->subject, "s");
    assert_int_equal(e->time_ms, 1767323045000);
    assert_string_equal(e->data, "null");
    peri_batch_destroy(batch);
    refuses_body(NONE, NONE, "{}", 2, "invalid", "no event");
    refuses_body(NONE, H("type", ""), "{}", 2, "invalid", "\"type\" must not be empty");
    refuses_body(NONE, H("type", "t", "id", ""), "{}", 2, "invalid", "\"id\" must not be empty");
    refuses_body(NONE, H("type", "a\xFF"), "{}", 2, "invalid", "UTF-8");
    refuses_body(NONE, H("type", "t"), "{a:1}", 5, "invalid", "not the JSON");
    refuses_body(H("content-type", "application/xml"), H("type", "t"), "<a/>", 4, "media_type", "must be JSON");
}

static void test_hostile(void **state)
{
    struct peri_buf b;
    struct peri_batch *batch;
    peri_buf_init(&b, 4u << 20);
    for (int i = 0; i < 10000; i++)
        peri_buf_putc(&b, '[');
    refuses_body(NONE, H("type", "t"), b.data, b.len, "invalid", "nested deeper");
    refuses_body(STRUCTURED, NONE, b.data, b.len, "invalid", "nested deeper");
    peri_buf_reset(&b);
    while (b.len < MAX)
        peri_buf_puts(&b, "[1],");
    b.data[0] = '"';
    b.data[b.len - 1] = '"';
    refuses_body(NONE, H("type", "t"), b.data, b.len, "too_large", "at most 65536 are allowed");
    refuses_body(H(CE), NONE, b.data, b.len, "too_large", "at most 65536");
    /* An event of 64 KiB in all must pass. */
    peri_buf_reset(&b);
    peri_buf_puts(&b, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a.b\",\"data\":\"");
    while (b.len < MAX - 2)
        peri_buf_putc(&b, 'x');
    peri_buf_puts(&b, "\"}");
    one(&batch, STRUCTURED, NONE, b.data, b.len);
    peri_batch_destroy(batch);
    peri_buf_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_binary_fields),
        cmocka_unit_test(test_binary_refusals),
        cmocka_unit_test(test_structured),
        cmocka_unit_test(test_structured_refusals),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
