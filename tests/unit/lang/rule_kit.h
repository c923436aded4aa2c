/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TESTS_RULE_KIT_H
#define PERI_TESTS_RULE_KIT_H

#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "lang/rule.h"

/* A handful of operators with schemas, as the plugin host would describe them. Include after cmocka.h. */
static const struct kit_operator {
    const char *id;
    bool condition;
    const char *params;
} kit_operators[] = {
    {"comms.missedCalls", true,
        "{\"type\":\"object\",\"properties\":{\"contactId\":{\"type\":\"string\"},\"count\":{\"type\":\"integer\","
        "\"minimum\":1},"
        "\"window\":{\"type\":\"string\"}},\"required\":[\"count\"],\"additionalProperties\":false}"},
    {"contact.HasTag", true,
        "{\"type\":\"object\",\"properties\":{\"tag\":{\"type\":\"string\",\"minLength\":1},\"contactId\":{\"type\":"
        "\"string\"}},"
        "\"required\":[\"tag\"],\"additionalProperties\":false}"},
    {"location.IsUserAtPlace", true,
        "{\"type\":\"object\",\"properties\":{\"placeType\":{\"enum\":[\"home\",\"work\"]},\"placeId\":{\"type\":"
        "\"string\"}},"
        "\"additionalProperties\":false,\"minProperties\":1}"},
    {"comms.sendEmail", false,
        "{\"type\":\"object\",\"properties\":{\"to\":{\"type\":\"string\"},\"subject\":{\"type\":\"string\"},"
        "\"body\":{\"type\":\"string\"},\"cc\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
        "\"options\":{\"type\":\"object\",\"properties\":{\"html\":{\"type\":\"boolean\"}},\"additionalProperties\":"
        "false}},"
        "\"required\":[\"to\",\"subject\",\"body\"],\"additionalProperties\":false}"},
    {"comms.sendSms", false,
        "{\"type\":\"object\",\"properties\":{\"to\":{\"type\":\"string\",\"description\":\"contact id or number\"},"
        "\"body\":{\"type\":\"string\"}},\"required\":[\"to\",\"body\"],\"additionalProperties\":false}"},
    {"core.log", false, "{\"type\":\"object\",\"properties\":{\"message\":{}},\"required\":[\"message\"]}"},
};
#define KIT_COUNT (sizeof(kit_operators) / sizeof(kit_operators[0]))

struct kit {
    struct peri_schema *schemas[KIT_COUNT];
    const char *ids[KIT_COUNT + 1];
    struct peri_rule_env env;
};

static inline bool kit_facts(void *ctx, const char *id, struct peri_operator_facts *ret)
{
    struct kit *kit = ctx;
    for (size_t i = 0; i < KIT_COUNT; i++) {
        if (strcmp(kit_operators[i].id, id) != 0)
            continue;
        *ret = (struct peri_operator_facts){
            kit_operators[i].condition, !kit_operators[i].condition, kit->schemas[i], NULL};
        return true;
    }
    return false;
}

static inline const char *const *kit_ids(void *ctx)
{
    return ((struct kit *)ctx)->ids;
}

/* Lua that is bad says so. */
static inline enum peri_status kit_check_lua(const char *text, size_t len, int *ret_line, struct peri_error *err)
{
    const char *bad = strstr(text, "bad");
    *ret_line = 1;
    for (const char *p = text; bad && p < bad; p++)
        *ret_line += *p == '\n';
    return bad ? peri_error_set(err, PERI_EINVAL, NULL, "something expected near 'bad'") : PERI_OK;
}

static inline void kit_init(struct kit *kit)
{
    memset(kit, 0, sizeof(*kit));
    for (size_t i = 0; i < KIT_COUNT; i++) {
        struct peri_value *v = NULL;
        if (peri_json_parse(kit_operators[i].params, strlen(kit_operators[i].params), &v, NULL) != PERI_OK ||
            peri_schema_compile(v, &kit->schemas[i], NULL) != PERI_OK)
            abort();
        peri_value_unref(v);
        kit->ids[i] = kit_operators[i].id;
    }
    kit->env = (struct peri_rule_env){.operator_facts = kit_facts,
        .operator_ids = kit_ids,
        .ctx = kit,
        .timezone = "UTC",
        .check_lua = kit_check_lua};
}

static inline void kit_finish(struct kit *kit)
{
    for (size_t i = 0; i < KIT_COUNT; i++)
        peri_schema_destroy(kit->schemas[i]);
}

#endif
