/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/str.h"
#include "data/json.h"
#include "data/regex.h"
#include "data/schema.h"
#include "data/semver.h"
#include "data/yaml.h"
#include "memory.h"

/* What base and data make, with each allocation refused once, also those of jansson, libyaml and PCRE2: PERI_ENOMEM (or
 * NULL, where that is how it is said), or the whole; nothing in between, nothing left behind. */

static const char text[] =
    "{\"name\":\"Ada\",\"list\":[1,2.5,true,null,\"\\u00e4\\u0000b\"],\"deep\":{\"a\":{\"b\":[{},{\"c\":\"d\"}]}},"
    "\"number\":12345678901234,\"more\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\"]}";

static enum peri_status json(void)
{
    struct peri_value *v = NULL, *same = NULL, *copy = NULL;
    char *out = NULL;
    enum peri_status st = peri_json_parse(text, strlen(text), &v, NULL);
    if (st == PERI_OK && !(copy = peri_value_copy_deep(v)))
        st = PERI_ENOMEM;
    if (st == PERI_OK && !(out = peri_json_text(copy, PERI_JSON_SORTED)))
        st = PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_json_parse_strict(out, strlen(out), &same, NULL);
    if (st == PERI_OK && !peri_value_equal(v, same))
        st = PERI_EINTERNAL;
    peri_value_unref(v);
    peri_value_unref(copy);
    peri_value_unref(same);
    free(out);
    return st;
}

static enum peri_status values(void)
{
    char want[] = "{\"a\":\"x\",\"i\":7,\"b\":true,\"l\":[\"one\",2.5],\"t\":\"2025-06-15T15:06:40.000Z\"}";
    struct peri_value *map = peri_value_map(), *list = peri_value_list();
    enum peri_status st = map && list ? PERI_OK : PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_list_push(list, peri_value_str("one"));
    if (st == PERI_OK)
        st = peri_list_push(list, peri_value_real(2.5));
    if (st == PERI_OK)
        st = peri_map_put_text(map, "t", "first");
    if (st == PERI_OK)
        st = peri_map_put_text(map, "a", "x");
    if (st == PERI_OK)
        st = peri_map_put_int(map, "i", 7);
    if (st == PERI_OK)
        st = peri_map_put_bool(map, "b", true);
    if (st == PERI_OK)
        st = peri_map_put_ref(map, "l", list);
    if (st == PERI_OK)
        st = peri_map_put_time(map, "t", 1750000000000);
    if (st == PERI_OK)
        st = peri_map_sort(map);
    char *got = st == PERI_OK ? peri_json_text(map, PERI_JSON_SORTED) : NULL;
    struct peri_value *wanted = NULL;
    if (st == PERI_OK && !got)
        st = PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_json_parse(want, strlen(want), &wanted, NULL);
    if (st == PERI_OK && !peri_value_equal(map, wanted))
        st = PERI_EINTERNAL;
    free(got);
    peri_value_unref(wanted);
    peri_value_unref(map);
    peri_value_unref(list);
    return st;
}

static const char yaml_text[] =
    "name: &n Everything\nlist: [1, 2.5, yes, !secret key]\nsame: *n\nblock: |\n  two\n  lines\n"
    "deep:\n  - {a: b, c: [d]}\n  - \"e\\u00e4\"\n";

static enum peri_status yaml(void)
{
    static const char *const tags[] = {"!secret", NULL};
    struct peri_yaml_doc *doc = NULL;
    struct peri_value *v = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_yaml_parse("t.yaml", yaml_text, strlen(yaml_text), tags, &doc, &diag);
    if (st == PERI_OK && (doc->count != 1 || diag.count > 0))
        st = PERI_EINTERNAL;
    if (st == PERI_OK)
        st = peri_node_value(peri_node_get(doc->roots[0], "deep", NULL), NULL, NULL, &v, NULL);
    if (st == PERI_OK && peri_value_count(v) != 2)
        st = PERI_EINTERNAL;
    peri_value_unref(v);
    peri_yaml_destroy(doc);
    peri_diag_finish(&diag);
    return st;
}

/* What is wrong with a file is told, or that memory is out; a file is never right because of it. */
static enum peri_status findings(void)
{
    static const char *const wrong = "a: 1\na: 2\nb: [1\n";
    struct peri_yaml_doc *doc = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_yaml_parse("t.yaml", wrong, strlen(wrong), NULL, &doc, &diag);
    bool told = diag.errors > 0 || diag.lost;
    if (st == PERI_OK)
        peri_yaml_destroy(doc);
    peri_diag_sort(&diag);
    peri_diag_finish(&diag);
    if (st == PERI_ENOMEM)
        return st;
    return st == PERI_EINVAL && told ? PERI_OK : PERI_EINTERNAL;
}

static const char schema_text[] =
    "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\",\"pattern\":\"^A\"},"
    "\"list\":{\"type\":\"array\",\"items\":{\"type\":[\"number\",\"boolean\",\"null\",\"string\"]}},"
    "\"size\":{\"type\":\"integer\",\"minimum\":1,\"default\":3},\"kind\":{\"enum\":[\"a\",\"b\"],\"default\":\"a\"}}}";

static enum peri_status schema(void)
{
    static const char bad_text[] = "{\"name\":\"Bob\",\"list\":[{}]}";
    struct peri_value *source = NULL, *good = NULL, *bad = NULL, *filled = NULL;
    struct peri_schema *schema = NULL;
    struct peri_schema_report report = {0};
    enum peri_status st = peri_json_parse(schema_text, strlen(schema_text), &source, NULL);
    if (st == PERI_OK)
        st = peri_schema_compile(source, &schema, NULL);
    if (st == PERI_OK)
        st = peri_json_parse(text, strlen(text), &good, NULL);
    if (st == PERI_OK)
        st = peri_json_parse(bad_text, strlen(bad_text), &bad, NULL);
    if (st == PERI_OK)
        st = peri_schema_check(schema, good, NULL);
    if (st == PERI_OK) {
        st = peri_schema_check(schema, bad, &report);
        st = st == PERI_EINVAL ? PERI_OK : st == PERI_OK ? PERI_EINTERNAL : st; /* never right because of it */
    }
    if (st == PERI_OK)
        st = peri_schema_defaults(schema, good, &filled);
    if (st == PERI_OK && (peri_map_int(filled, "size", 0) != 3 || !peri_map_text(filled, "kind")))
        st = PERI_EINTERNAL;
    peri_schema_report_finish(&report);
    peri_value_unref(filled);
    peri_value_unref(bad);
    peri_value_unref(good);
    peri_schema_destroy(schema);
    peri_value_unref(source);
    return st;
}

static enum peri_status regex(void)
{
    static const char pattern[] = "(a|b)+[x-z]{2,}$";
    struct peri_regex *regex = NULL;
    bool found = false;
    enum peri_status st = peri_regex_compile(pattern, strlen(pattern), &regex, NULL);
    if (st == PERI_OK)
        st = peri_regex_search(regex, "--ababxyz", 9, &found);
    if (st == PERI_OK && !found)
        st = PERI_EINTERNAL;
    peri_regex_destroy(regex);
    return st;
}

static enum peri_status range(void)
{
    struct peri_range *range = NULL;
    enum peri_status st = peri_range_parse("^1.2 || >=3.0.0 <4 || 5.x", &range, NULL);
    if (st == PERI_OK && (!peri_range_has(range, "3.4.5") || peri_range_has(range, "4.0.0")))
        st = PERI_EINTERNAL;
    peri_range_destroy(range);
    return st;
}

static enum peri_status map(void)
{
    struct peri_map *map = peri_map_create();
    enum peri_status st = map ? PERI_OK : PERI_ENOMEM;
    size_t put = 0;
    for (size_t i = 0; st == PERI_OK && i < 40; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key %zu", i);
        if (!peri_map_set(map, key, map, NULL))
            st = PERI_ENOMEM;
        else
            put++;
    }
    if (map && peri_map_count(map) != put) /* what was refused has changed nothing */
        st = PERI_EINTERNAL;
    for (size_t i = 0; i < put; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key %zu", i);
        if (peri_map_get(map, key) != map)
            st = PERI_EINTERNAL;
    }
    peri_map_destroy(map, NULL);
    return st;
}

static enum peri_status buffer(void)
{
    struct peri_buf buf;
    peri_buf_init(&buf, 1 << 16);
    for (int i = 0; i < 200; i++)
        (void)peri_buf_printf(&buf, "%d %s,", i, "and some more text than fits into the first piece of memory");
    enum peri_status st = buf.failed;
    size_t len = 0;
    char *taken = st == PERI_OK ? peri_buf_take(&buf, &len) : NULL;
    if (st == PERI_OK && !taken)
        st = PERI_ENOMEM;
    if (st == PERI_OK && (strlen(taken) != len || !peri_str_ends(taken, "memory,")))
        st = PERI_EINTERNAL;
    free(taken);
    peri_buf_finish(&buf);
    return st;
}

static enum peri_status arena(void)
{
    struct peri_arena *arena = peri_arena_create(1 << 20);
    enum peri_status st = arena ? PERI_OK : PERI_ENOMEM;
    for (int i = 0; st == PERI_OK && i < 50; i++) {
        char *copy = peri_arena_strdup(arena, text);
        if (!copy || !peri_arena_alloc(arena, 3000))
            st = PERI_ENOMEM;
        else if (!peri_streq(copy, text))
            st = PERI_EINTERNAL;
    }
    peri_arena_destroy(arena);
    return st;
}

/* Counting and logging go on without what could not be had; what is shown is whole or PERI_ENOMEM. */
static enum peri_status metrics(void)
{
    struct peri_metrics *all = peri_metrics_create();
    struct peri_buf out;
    peri_buf_init(&out, 1 << 16);
    enum peri_status st = all ? PERI_OK : PERI_ENOMEM;
    struct peri_metric *one = peri_metrics_counter(all, "one_total", NULL, "One."),
                       *two = peri_metrics_gauge(all, "two", "plugin=\"x\"", "Two.");
    peri_metric_add(one, 3);
    peri_metric_set(two, 4);
    if (st == PERI_OK && (!one || !two))
        st = PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_metrics_render(all, &out);
    if (st == PERI_OK && !strstr(peri_buf_text(&out), "perigee_two{plugin=\"x\"} 4"))
        st = PERI_EINTERNAL;
    peri_buf_finish(&out);
    peri_metrics_destroy(all);
    return st;
}

static enum peri_status logging(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct peri_log *log = peri_log_create(&(struct peri_log_options){.fd = fd, .json = true});
    bool had = log != NULL;
    peri_log_write(log, PERI_LOG_ERROR, "test", "a \"record\" of %d words", 4);
    peri_log_destroy(log);
    close(fd);
    return had ? PERI_OK : PERI_ENOMEM;
}

static enum peri_status texts(void)
{
    char *a = peri_strdup(text), *b = peri_strndup(text, 5), *c = peri_asprintf("%s %d", text, 7),
         *d = peri_slug("A b");
    enum peri_status st = a && b && c && d ? PERI_OK : PERI_ENOMEM;
    if (st == PERI_OK && (!peri_streq(d, "a-b") || !peri_str_ends(c, " 7")))
        st = PERI_EINTERNAL;
    free(a);
    free(b);
    free(c);
    free(d);
    return st;
}

static const struct {
    const char *name;
    enum peri_status (*work)(void);
} works[] = {{"json", json}, {"values", values}, {"yaml", yaml}, {"findings", findings}, {"schema", schema},
    {"regex", regex}, {"range", range}, {"map", map}, {"buffer", buffer}, {"arena", arena}, {"metrics", metrics},
    {"logging", logging}, {"texts", texts}};

/* run: how many allocations fail from the n-th on. */
static void refuse(size_t i, long run)
{
    long n = 1;
    for (bool hit = true; hit; n++) {
        memory_fail(n, run);
        enum peri_status st = works[i].work();
        hit = memory_over();
        if (st != PERI_OK && !(hit && st == PERI_ENOMEM))
            fail_msg("%s, allocation %ld, %ld of them: %s", works[i].name, n, run, peri_status_name(st));
    }
    assert_true(n > 2);
    print_message("%s: %ld allocations\n", works[i].name, n - 2);
}

static void test_one_allocation_fails(void **state)
{
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
        refuse(i, 1);
}

static void test_all_allocations_fail_from_one_on(void **state)
{
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
        refuse(i, 1 << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_allocation_fails), cmocka_unit_test(test_all_allocations_fail_from_one_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
