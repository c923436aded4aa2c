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
#include "lang/expr.h"
#include "lang/hearing.h"
#include "lang/index.h"
#include "lang/rule_graph.h"
#include "lang/rule_schema.h"
#include "memory.h"

/* Reading rules, matching an event against many patterns, and evaluating, with each allocation of the program and its
 * libraries refused: PERI_ENOMEM, or the right answer; never a rule less, a match less or another value. Each of
 * thousands with PERIGEE_TEST_ALL=1, a spread of them without. */

#define RULES 24

static char *rules_text;

static int write_rules(void **state)
{
    static const char *const patterns[] = {"{name: [{prefix: Ad}]}", "{n: [{numeric: [\">\", 3]}]}",
        "{name: [{suffix: da}], n: [4]}", "{list: [{wildcard: \"*b*\"}]}", "{name: [{anything-but: [Bob]}]}",
        "{deep: {a: [{exists: true}]}}", "{name: [{equals-ignore-case: ada}]}", "{name: [Bob]}"};
    size_t size = 0;
    FILE *f = open_memstream(&rules_text, &size);
    assert_non_null(f);
    fprintf(f, "rules:\n");
    for (int i = 0; i < RULES; i++)
        fprintf(f,
            "  - name: R%d\n    trigger: {event: a.B, match: %s}\n    conditions:\n      - expr: \"{{ event.n | "
            "default(%d) > 2 and "
            "event.name | upper == 'ADA' }}\"\n    actions:\n      - set: {x: \"{{ event.name | replace('A', 'O') }} "
            "%d\"}\n"
            "      - emit: {event: a.C, data: {list: \"{{ event.list }}\"}}\n",
            i, patterns[i % 8], i, i);
    fclose(f);
    return 0;
}

static int free_rules(void **state)
{
    free(rules_text);
    return 0;
}

static const char event_text[] = "{\"name\":\"Ada\",\"n\":4,\"list\":[\"abc\",\"x\"],\"deep\":{\"a\":1}}";

struct looked {
    struct peri_value *event;
};

static const struct peri_value *look(void *ctx, const char *name, size_t len)
{
    return len == 5 && memcmp(name, "event", 5) == 0 ? ((struct looked *)ctx)->event : NULL;
}

static enum peri_status evaluate(void)
{
    static const char text[] = "event.n | default(7) > 2 and event.name | upper == 'ADA' or #event.list > 9";
    struct looked looked = {NULL};
    struct peri_expr *expr = NULL;
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    enum peri_status st = peri_json_parse(event_text, strlen(event_text), &looked.event, &err);
    if (st == PERI_OK)
        st = peri_expr_compile(text, strlen(text), NULL, &expr, NULL);
    struct peri_scope scope = {.lookup = look, .ctx = &looked, .now_ms = 1750000000000};
    if (st == PERI_OK)
        st = peri_expr_eval(expr, &scope, &v, &err);
    if (st == PERI_OK && !peri_value_as_bool(v))
        st = PERI_EINTERNAL;
    peri_value_unref(v);
    peri_value_unref(looked.event);
    peri_expr_destroy(expr);
    return st;
}

/* Seven of eight patterns match, and all rules are heard. */
static enum peri_status match(const struct peri_index *index)
{
    struct peri_hearing *hearing = NULL;
    struct peri_matcher_scratch *scratch = peri_matcher_scratch_create();
    uint32_t hits[RULES];
    size_t count = 0;
    enum peri_status st = scratch ? peri_hearing_build(index, "a.B", NULL, &hearing, NULL) : PERI_ENOMEM;
    if (st == PERI_OK && hearing->count != RULES)
        st = PERI_EINTERNAL;
    if (st == PERI_OK)
        st = peri_hearing_match(hearing, scratch, event_text, strlen(event_text), hits, &count, NULL);
    if (st == PERI_OK && count != RULES / 8 * 7)
        st = PERI_EINTERNAL;
    peri_hearing_unref(hearing);
    peri_matcher_scratch_destroy(scratch);
    return st;
}

static enum peri_status describe(const struct peri_rule_list *list)
{
    struct peri_value *graph = peri_rule_graph(list->items, list->count, NULL, 0);
    enum peri_status st = graph ? PERI_OK : PERI_ENOMEM;
    if (graph && peri_value_count(peri_map_at(graph, "rules")) != RULES)
        st = PERI_EINTERNAL;
    peri_value_unref(graph);
    return st;
}

static enum peri_status all(const char **ret_at, struct peri_diag *diag)
{
    struct peri_rule_list list = {0};
    struct peri_index *index = NULL;
    *ret_at = "load";
    enum peri_status st = peri_rules_load_text("r.yaml", rules_text, strlen(rules_text), NULL, &list, diag);
    if (st == PERI_OK && list.count != RULES)
        st = PERI_EINTERNAL;
    if (st == PERI_OK)
        *ret_at = "index", st = peri_index_build(list.items, list.count, &index);
    if (st == PERI_OK)
        *ret_at = "match", st = match(index);
    if (st == PERI_OK)
        *ret_at = "graph", st = describe(&list);
    if (st == PERI_OK)
        *ret_at = "evaluate", st = evaluate();
    peri_index_destroy(index);
    peri_rule_list_finish(&list);
    return st;
}

static long step_of(long usual)
{
    const char *every = getenv("PERIGEE_TEST_ALL");
    return every && *every ? 1 : usual;
}

static void refuse(long step, long run)
{
    long n = 1, reached = 1;
    for (bool hit = true; hit; n += step) {
        const char *at;
        struct peri_diag diag;
        peri_diag_init(&diag);
        memory_fail(n, run);
        enum peri_status st = all(&at, &diag);
        hit = memory_over();
        if (st != PERI_OK && !(hit && st == PERI_ENOMEM))
            fail_msg("%s, allocation %ld, %ld of them: %s (%s)", at, n, run, peri_status_name(st),
                diag.count ? diag.items[0].message : "nothing is told");
        peri_diag_finish(&diag);
        reached = n;
    }
    assert_true(reached > 1000);
    print_message("%ld allocations\n", reached);
}

static void test_one_allocation_fails(void **state)
{
    refuse(step_of(13), 1);
}

static void test_all_allocations_fail_from_one_on(void **state)
{
    refuse(step_of(61), 1 << 30);
}

/* The schema for editors is whole or it is not there. */
static void test_the_schema_of_rules(void **state)
{
    struct peri_value *whole = peri_rule_schema(NULL);
    assert_non_null(whole);
    long n = 1;
    for (bool hit = true; hit; n += step_of(67)) {
        memory_fail(n, 1);
        struct peri_value *v = peri_rule_schema(NULL);
        hit = memory_over();
        assert_true(!v || peri_value_equal(v, whole));
        assert_true(v || hit);
        peri_value_unref(v);
    }
    peri_value_unref(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_allocation_fails),
        cmocka_unit_test(test_all_allocations_fail_from_one_on), cmocka_unit_test(test_the_schema_of_rules)};
    return cmocka_run_group_tests(tests, write_rules, free_rules);
}
