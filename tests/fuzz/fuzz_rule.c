/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a rule file: no crash, findings with places; a rule that was accepted reads back from its own text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "lang/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct peri_schema *schema;

static bool facts(void *ctx, const char *id, struct peri_operator_facts *ret)
{
    bool condition = strcmp(id, "c.x") == 0;
    *ret = (struct peri_operator_facts){.is_condition = condition, .is_action = !condition, .params = schema};
    return condition || strcmp(id, "a.x") == 0;
}

static const char *const *ids(void *ctx)
{
    static const char *const all[] = {"c.x", "a.x", NULL};
    return all;
}

static void make_schema(void)
{
    static const char text[] = "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":1},\"s\":{"
                               "\"type\":\"string\",\"pattern\":\"^x\"},"
                               "\"e\":{\"enum\":[\"a\",\"b\"]},\"o\":{\"type\":\"object\",\"properties\":{\"k\":{"
                               "\"type\":\"boolean\"}},\"additionalProperties\":false},"
                               "\"l\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1}},"
                               "\"required\":[\"n\"],\"additionalProperties\":false}";
    struct peri_value *v = NULL;
    if (peri_json_parse(text, strlen(text), &v, NULL) != PERI_OK || peri_schema_compile(v, &schema, NULL) != PERI_OK)
        abort();
    peri_value_unref(v);
}

static void check_rule(const struct peri_rule *rule, const struct peri_rule_env *env)
{
    struct peri_rule *again = NULL;
    struct peri_error err = {0};
    if (!rule->id || !rule->name || !rule->actions || rule->trigger_count == 0 || !rule->text)
        abort();
    if (peri_rule_from_text(rule->text, strlen(rule->text), env, &again, &err) != PERI_OK)
        abort();
    if (strcmp(again->text, rule->text) != 0 || strcmp(again->id, rule->id) != 0)
        abort();
    if (peri_rule_block(again, "actions") != again->actions)
        abort();
    peri_rule_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peri_rule_env env = {.operator_facts = facts, .operator_ids = ids, .timezone = "UTC"};
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    if (!schema)
        make_schema();
    peri_diag_init(&diag);
    enum peri_status st = peri_rules_load_text("f", (const char *)data, size, &env, &list, &diag);
    if ((st == PERI_OK) != (diag.errors == 0))
        abort();
    for (size_t i = 0; i < diag.count; i++)
        if (diag.items[i].line < 0 || diag.items[i].column < 0 || !diag.items[i].code[0] || !diag.items[i].message[0])
            abort();
    for (size_t i = 0; i < list.count; i++)
        check_rule(list.items[i], &env);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return 0;
}
