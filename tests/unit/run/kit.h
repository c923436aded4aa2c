/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_RUN_KIT_H
#define PERI_TESTS_RUN_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "lang/rule.h"

static inline struct peri_rule *kit_rule(const char *yaml)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_rules_load_text("test.yaml", yaml, strlen(yaml), NULL, &list, &diag);
    for (size_t i = 0; i < diag.count; i++)
        print_error(
            "%s:%d:%d: %s\n", diag.items[i].file, diag.items[i].line, diag.items[i].column, diag.items[i].message);
    assert_int_equal(st, PERI_OK);
    assert_int_equal(list.count, 1);
    struct peri_rule *rule = peri_rule_ref(list.items[0]);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return rule;
}

static inline struct peri_value *kit_json(const char *text)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(text, strlen(text), &v, NULL), PERI_OK);
    return v;
}

static inline void kit_assert_json(const struct peri_value *v, const char *want)
{
    struct peri_value *w = kit_json(want);
    if (!peri_value_equal(v, w)) {
        char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
        print_error("is   %s\nnot  %s\n", text ? text : "NULL", want);
        free(text);
        fail();
    }
    peri_value_unref(w);
}

#endif
