/* SPDX-License-Identifier: Apache-2.0 */
#include "app/api.h"
#include "app/reload.h"
#include "app/rule_view.h"
#include "base/str.h"

static bool enabled(const struct peri_service *s, const struct peri_rule *rule)
{
    return rule->enabled && !peri_map_at(s->disabled, rule->id);
}

static void list_rules(struct peri_api_op *op)
{
    const struct peri_rule_list *rules = peri_rulebook_rules(op->service->rulebook);
    struct peri_value *doc = peri_value_map(), *items = peri_value_list();
    enum peri_status st = doc && items ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; st == PERI_OK && i < rules->count; i++)
        st = peri_list_push(items, peri_rule_value(rules->items[i], enabled(op->service, rules->items[i]), false));
    if (st == PERI_OK)
        st = peri_map_put_ref(doc, "items", items);
    peri_value_unref(items);
    if (st) {
        peri_value_unref(doc);
        doc = NULL;
    }
    peri_api_take_answer(op, 200, doc);
}

static void show_rule(struct peri_api_op *op)
{
    const struct peri_rule *rule = peri_service_rule(op->service, op->params[0]);
    if (rule)
        peri_api_take_answer(op, 200, peri_rule_value(rule, enabled(op->service, rule), true));
    else
        peri_api_problem(op, 404, "there is no rule \"%.200s\"", op->params[0]);
}

static void set_rule(struct peri_api_op *op, bool on)
{
    struct peri_error err;
    enum peri_status st = peri_service_set_rule(op->service, op->params[0], on, &err);
    if (st) {
        peri_api_error(op, st, &err);
        return;
    }
    show_rule(op);
}

static void enable_rule(struct peri_api_op *op)
{
    set_rule(op, true);
}

static void disable_rule(struct peri_api_op *op)
{
    set_rule(op, false);
}

static void list_findings(struct peri_api_op *op)
{
    peri_api_take_answer(op, 200, peri_findings_value(&op->service->findings));
}

static void reloaded(void *op)
{
    list_findings(op);
}

static void reload(struct peri_api_op *op)
{
    peri_reload(op->service->reload, reloaded, op);
}

const struct peri_api_route peri_api_rules[] = {
    {"GET", "/v1/rules", list_rules, false, false},
    {"GET", "/v1/rules/{}", show_rule, false, false},
    {"POST", "/v1/rules/{}/enable", enable_rule, false, true},
    {"POST", "/v1/rules/{}/disable", disable_rule, false, true},
    {"GET", "/v1/findings", list_findings, false, false},
    {"POST", "/v1/reload", reload, false, true},
    {0},
};
