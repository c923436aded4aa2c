/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_GRAPH_VIEW_H
#define PERI_APP_GRAPH_VIEW_H

#include "app/workbench.h"
#include "lang/rule.h"

/* The graph of rules (lang/rule_graph.h) with what the host's plugins declare. New reference; NULL when memory is out.
 */
struct peri_value *peri_graph_of(struct peri_host *host, const struct peri_rule_list *rules);
/* For people. */
void peri_graph_print(const struct peri_value *graph);
/* For Graphviz. */
void peri_graph_print_dot(const struct peri_value *graph);

#endif
