/* SPDX-License-Identifier: Apache-2.0 */
#include "app/rule_view.h"

#include "app/cli.h"
#include "base/str.h"

static struct peri_value *trigger_value(const struct peri_trigger *t)
{
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_text(v, "id", t->id) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_map_put_text(v, "kind", peri_trigger_kind_name(t));
    if (st == PERI_OK)
        st = peri_map_put_text(v, "event", t->event);
    if (st == PERI_OK && t->match)
        st = peri_map_put_bool(v, "match", true);
    if (st == PERI_OK && t->webhook)
        st = peri_map_put_text(v, "webhook", t->webhook->path);
    if (st == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

static enum peri_status put_lists(struct peri_value *v, const struct peri_rule *rule)
{
    struct peri_value *tags = peri_value_list(), *triggers = peri_value_list();
    enum peri_status st = tags && triggers ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; st == PERI_OK && i < rule->tag_count; i++)
        st = peri_list_push(tags, peri_value_str(rule->tags[i]));
    for (size_t i = 0; st == PERI_OK && i < rule->trigger_count; i++)
        st = peri_list_push(triggers, trigger_value(&rule->triggers[i]));
    if (st == PERI_OK)
        st = peri_map_put_ref(v, "tags", tags);
    if (st == PERI_OK)
        st = peri_map_put_ref(v, "triggers", triggers);
    peri_value_unref(tags);
    peri_value_unref(triggers);
    return st;
}

struct peri_value *peri_rule_value(const struct peri_rule *rule, bool enabled, bool full)
{
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_text(v, "id", rule->id) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_map_put_text(v, "name", rule->name);
    if (st == PERI_OK)
        st = peri_map_put_bool(v, "enabled", enabled);
    if (st == PERI_OK)
        st = peri_map_put_text(v, "description", rule->description);
    if (st == PERI_OK)
        st = put_lists(v, rule);
    if (st == PERI_OK)
        st = peri_map_put_int(v, "priority", rule->priority);
    if (st == PERI_OK)
        st = peri_map_put_text(v, "file", rule->place.file);
    if (st == PERI_OK)
        st = peri_map_put_int(v, "line", rule->place.line);
    if (st == PERI_OK)
        st = peri_map_put_text(v, "blueprint", rule->blueprint);
    if (st == PERI_OK && full)
        st = peri_map_put_text(v, "hash", rule->hash);
    if (st == PERI_OK && full)
        st = peri_map_put_text(v, "text", rule->text);
    if (st == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_findings_value(const struct peri_diag *diag)
{
    struct peri_value *doc = peri_value_map(), *items = peri_value_list();
    enum peri_status st = doc && items ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; st == PERI_OK && i < diag->count; i++)
        st = peri_list_push(items, peri_finding_value(&diag->items[i]));
    if (st == PERI_OK)
        st = peri_map_put_ref(doc, "items", items);
    if (st == PERI_OK)
        st = peri_map_put_int(doc, "errors", (int64_t)diag->errors);
    peri_value_unref(items);
    if (st == PERI_OK)
        return doc;
    peri_value_unref(doc);
    return NULL;
}
