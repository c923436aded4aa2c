/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_GRAPH_H
#define PERI_LANG_RULE_GRAPH_H

#include "lang/rule.h"

/* Somebody who is known to send events of a type (or glob). */
struct peri_graph_source {
    const char *type, *name;
};

/* Which rule sends what which rule hears. New reference; NULL when memory is out.
 *
 * {rules: [{id, name, enabled, hears: [type or glob], waits_for: [type or glob], cancelled_by: [type or glob],
 *           schedules: n, emits: [type], emits_computed: [text], reached}],
 *  events: [{type, from_plugins: [name], from_rules: [id], heard_by: [id], awaited_by: [id], cancels: [id]}]
 *           by type; only those that a rule hears, waits for or emits
 *  cycles: [[{rule, event, waits?}, ...]]   each rule emits the event that the next hears, the last one's goes to the
 *           first; waits: that one waits for it in a run. The shortest through every rule that lies on one
 *  unreached: [id]}   rules that no plugin, schedule or reached rule is known to start
 *
 * Disabled rules are listed but neither hear nor emit. Types that a template makes are unknown: emits_computed. */
struct peri_value *peri_rule_graph(
    struct peri_rule *const *rules, size_t count, const struct peri_graph_source *sources, size_t source_count);

#endif
