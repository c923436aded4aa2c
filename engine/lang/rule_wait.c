/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that wait for something outside: an event, a person's answer. */
#include <stdlib.h>
#include <string.h>

#include "lang/glob.h"
#include "lang/rule_internal.h"
#include "lang/system_event.h"

const struct rule_key peri_rule_wait_keys[] = {
    {"event", KEY_KNOWN}, {"match", KEY_KNOWN}, {"timeout", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_rule_approve_keys[] = {
    {"prompt", KEY_KNOWN}, {"schema", KEY_KNOWN}, {"timeout", KEY_KNOWN}, {"default", KEY_KNOWN}, {NULL, KEY_END}};

struct peri_template *peri_rule_read_length(struct rule_reader *r, const struct peri_node *n, const char *what)
{
    bool number = n->kind == PERI_NODE_SCALAR && !n->tag && (n->type == PERI_INT || n->type == PERI_REAL);
    bool text = n->kind == PERI_NODE_SCALAR && !n->tag && n->type == PERI_STRING;
    int64_t ms;
    if (!number && !text) {
        (void)peri_rule_duration(r, n, what, 0, &ms); /* says what is wrong */
        return NULL;
    }
    if (number && n->text[0] == '-') {
        peri_rule_fault(r, n->place, "duration", NULL, "\"%s\" cannot be negative", what);
        return NULL;
    }
    if (text && !peri_template_is_text_dynamic(n->text, n->len) && !peri_rule_duration(r, n, what, 0, &ms))
        return NULL;
    return peri_rule_template(r, n);
}

static bool is_dynamic(const struct peri_node *node)
{
    if (node->kind == PERI_NODE_SCALAR)
        return node->type == PERI_STRING && peri_template_is_text_dynamic(node->text, node->len);
    for (size_t i = 0; i < node->count; i++)
        if (is_dynamic(node->kind == PERI_NODE_MAP ? node->pairs[i].value : node->items[i]))
            return true;
    return false;
}

/* What templates give is known only when the run waits; that alternatives stand in lists is known now. */
static void check_shape(struct rule_reader *r, const struct peri_node *map)
{
    if (!peri_rule_expect(r, map, PERI_NODE_MAP, "match"))
        return;
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_node *value = map->pairs[i].value;
        if (value->kind == PERI_NODE_MAP)
            check_shape(r, value);
        else if (value->kind != PERI_NODE_LIST)
            peri_rule_fault(r, value->place, "pattern-type", "put it in a list: [...]",
                "the alternatives of \"%.80s\" stand in a list", map->pairs[i].key->text);
    }
}

static void read_match(struct rule_reader *r, const struct peri_node *node, struct peri_step *s)
{
    size_t before = r->diag->errors;
    struct peri_pattern *pattern = NULL;
    if (is_dynamic(node))
        check_shape(r, node);
    else if (peri_pattern_compile_node(node, &pattern, r->diag) == PERI_ENOMEM)
        peri_rule_nomem(r);
    peri_pattern_destroy(pattern);
    if (r->diag->errors == before)
        s->wait_match = peri_rule_template(r, node);
}

void peri_rule_read_wait_for(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *wait = peri_node_get(map, "wait_for", NULL), *n;
    struct peri_error err;
    if (!peri_rule_expect(r, wait, PERI_NODE_MAP, "wait_for"))
        return;
    size_t wrong = peri_rule_check_keys(r, wait, peri_rule_wait_keys, "wait_for");
    n = peri_node_get(wait, "event", NULL);
    const char *event = n ? peri_rule_text(r, n, "event") : NULL;
    if (!n && wrong == 0)
        peri_rule_fault(r, wait->place, "missing-key", "wait_for: {event: order.Paid, timeout: 2h}",
            "\"wait_for\" needs \"event\"");
    if (event && peri_glob_check(event, &err) != PERI_OK)
        peri_rule_fault(r, n->place, "event-type", "for example order.Paid or order.*", "%s", err.message);
    else if (event)
        s->wait_event = peri_rule_dup(r, event);
    r->rule->awaits |= peri_system_events_named(s->wait_event);
    if ((n = peri_node_get(wait, "match", NULL)))
        read_match(r, n, s);
    if ((n = peri_node_get(wait, "timeout", NULL)))
        s->limit = peri_rule_read_length(r, n, "timeout");
}

static void read_schema(struct rule_reader *r, const struct peri_node *node, struct peri_step *s)
{
    struct peri_value *value = NULL;
    struct peri_error err = {0};
    enum peri_status st = peri_node_value(node, NULL, NULL, &value, &err);
    if (st == PERI_OK)
        st = peri_schema_compile(value, &s->schema, &err);
    if (st == PERI_ENOMEM)
        peri_rule_nomem(r);
    else if (st != PERI_OK)
        peri_rule_fault(r, node->place, "bad-schema", NULL, "\"schema\" is no JSON Schema that is understood here: %s",
            err.message);
    peri_value_unref(value);
}

/* A default that is written out has to be an answer that would be taken. */
static void check_default(struct rule_reader *r, const struct peri_node *node, const struct peri_step *s)
{
    struct peri_value *value = NULL;
    struct peri_error err;
    struct peri_schema_report report = {0};
    if (is_dynamic(node) || !s->schema)
        return;
    if (peri_node_value(node, NULL, NULL, &value, &err) != PERI_OK) {
        peri_rule_nomem(r);
        return;
    }
    if (peri_schema_check(s->schema, value, &report) == PERI_EINVAL && report.count > 0)
        peri_rule_fault(r, node->place, "bad-value", NULL, "\"default\"%s%s %s", *report.items[0].pointer ? " at " : "",
            report.items[0].pointer, report.items[0].message);
    peri_schema_report_finish(&report);
    peri_value_unref(value);
}

void peri_rule_read_approve(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *approve = peri_node_get(map, "approve", NULL), *n;
    if (!peri_rule_expect(r, approve, PERI_NODE_MAP, "approve"))
        return;
    size_t wrong = peri_rule_check_keys(r, approve, peri_rule_approve_keys, "approve");
    n = peri_node_get(approve, "prompt", NULL);
    if (!n && wrong == 0)
        peri_rule_fault(r, approve->place, "missing-key", "approve: {prompt: \"Send it to {{ event.name }}?\"}",
            "\"approve\" needs \"prompt\"");
    if (n && peri_rule_text(r, n, "prompt"))
        s->prompt = peri_rule_template(r, n);
    if ((n = peri_node_get(approve, "schema", NULL)))
        read_schema(r, n, s);
    if ((n = peri_node_get(approve, "timeout", NULL)))
        s->limit = peri_rule_read_length(r, n, "timeout");
    n = peri_node_get(approve, "default", NULL);
    if (n && !peri_node_get(approve, "timeout", NULL) && wrong == 0)
        peri_rule_fault(r, peri_rule_key_node(approve, "default")->place, "missing-key",
            "timeout: says how long to wait for an answer", "\"default\" needs \"timeout\"");
    if (n) {
        check_default(r, n, s);
        s->fallback = peri_rule_template(r, n);
    }
}
