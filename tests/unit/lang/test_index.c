/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lang/index.h"

/* Counted here instead of in rule.c, so that the test sees the references that the index holds. */
static int references;

struct peri_rule *peri_rule_ref(struct peri_rule *rule)
{
    references++;
    return rule;
}

void peri_rule_unref(struct peri_rule *rule)
{
    references--;
}

static struct peri_trigger event(const char *glob)
{
    return (struct peri_trigger){.kind = PERI_TRIGGER_EVENT, .event = (char *)(uintptr_t)glob};
}

/* The ids of the hits, with a dot and the trigger's position, separated by blanks. */
static const char *lookup(const struct peri_index *index, const char *type)
{
    static char text[512];
    struct peri_index_hit hits[16];
    size_t n = peri_index_lookup(index, type, hits, 16), at = 0;
    assert_true(n <= 16);
    assert_int_equal(peri_index_hears(index, type), n > 0);
    for (size_t cap = 0; cap <= 3; cap++)
        assert_int_equal(peri_index_few(index, type, hits, cap), n <= cap ? n : cap + 1);
    (void)peri_index_lookup(index, type, hits, 16);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s.%d", i ? " " : "", hits[i].rule->id,
            (int)(hits[i].trigger - hits[i].rule->triggers));
    return text;
}

#define RULE(name, prio, on, list)                                                                                     \
    {                                                                                                                  \
        .id = name, .enabled = on, .priority = prio, .triggers = list, .trigger_count = sizeof(list) / sizeof(list[0]) \
    }

static void test_order_and_kinds(void **state)
{
    struct peri_trigger a[] = {event("comms.CallMissed")};
    struct peri_trigger b[] = {event("comms.*"), event("comms.CallMissed")};
    struct peri_trigger c[] = {event("**"), {.kind = PERI_TRIGGER_SCHEDULE}};
    struct peri_trigger d[] = {event("comms.CallMissed"), event("comms.**")};
    struct peri_trigger e[] = {event("*.CallMissed")};
    char ida[] = "a", idb[] = "b", idc[] = "c", idd[] = "d", ide[] = "e", idf[] = "f";
    struct peri_rule rules[] = {RULE(ida, 0, true, a), RULE(idb, 5, true, b), RULE(idc, 0, true, c),
        RULE(idd, -1, true, d), RULE(ide, 5, true, e), RULE(idf, 9, false, a)};
    struct peri_rule *list[] = {&rules[0], &rules[1], &rules[2], &rules[3], &rules[4], &rules[5]};
    struct peri_index *index;
    assert_int_equal(peri_index_build(list, 6, &index), PERI_OK);
    assert_int_equal(references, 5); /* the disabled one is left out */
    assert_string_equal(lookup(index, "comms.CallMissed"), "b.0 b.1 e.0 a.0 c.0 d.0 d.1");
    assert_string_equal(lookup(index, "comms.sms.Received"), "c.0 d.1");
    assert_string_equal(lookup(index, "comms"), "c.0 d.1");
    assert_string_equal(lookup(index, "other.CallMissed"), "e.0 c.0");
    assert_string_equal(lookup(index, "nobody"), "c.0");

    struct peri_index_hit hits[2] = {{NULL, NULL}, {NULL, NULL}};
    assert_int_equal(peri_index_lookup(index, "comms.CallMissed", hits, 1), 7);
    assert_ptr_equal(hits[0].rule, &rules[1]);
    assert_null(hits[1].rule);
    peri_index_destroy(index);
    assert_int_equal(references, 0);
}

static void test_exact_type_equal_to_a_first_segment(void **state)
{
    /* The exact type "comms" and the globs under comms live in different buckets of one table. */
    struct peri_trigger a[] = {event("comms")}, b[] = {event("comms.*")};
    char ida[] = "a", idb[] = "b";
    struct peri_rule rules[] = {RULE(ida, 0, true, a), RULE(idb, 0, true, b)};
    struct peri_rule *list[] = {&rules[0], &rules[1]};
    struct peri_index *index;
    assert_int_equal(peri_index_build(list, 2, &index), PERI_OK);
    assert_string_equal(lookup(index, "comms"), "a.0");
    assert_string_equal(lookup(index, "comms.x"), "b.0");
    peri_index_destroy(index);
}

static void test_empty(void **state)
{
    struct peri_index *index;
    assert_int_equal(peri_index_build(NULL, 0, &index), PERI_OK);
    assert_string_equal(lookup(index, "a.b"), "");
    peri_index_destroy(index);
    peri_index_destroy(NULL);
}

static void test_many(void **state)
{
    enum { COUNT = 2000 };
    static struct peri_rule rules[COUNT];
    static struct peri_trigger triggers[COUNT];
    static struct peri_rule *list[COUNT];
    static char types[COUNT][24];
    for (int i = 0; i < COUNT; i++) {
        snprintf(types[i], sizeof(types[i]), "s%d.t%d", i % 7, i);
        triggers[i] = event(types[i]);
        rules[i] = (struct peri_rule){.id = types[i], .enabled = true, .triggers = &triggers[i], .trigger_count = 1};
        list[i] = &rules[i];
    }
    struct peri_index *index;
    assert_int_equal(peri_index_build(list, COUNT, &index), PERI_OK);
    for (int i = 0; i < COUNT; i++) {
        struct peri_index_hit hit;
        assert_int_equal(peri_index_lookup(index, types[i], &hit, 1), 1);
        assert_ptr_equal(hit.rule, &rules[i]);
    }
    assert_int_equal(peri_index_lookup(index, "s1.t0", NULL, 0), 0);
    peri_index_destroy(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_kinds),
        cmocka_unit_test(test_exact_type_equal_to_a_first_segment),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
