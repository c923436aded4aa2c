/* SPDX-License-Identifier: Apache-2.0 */
/* What a step says about its calls beside the parameters: may they be repeated. */
#include "lang/rule_internal.h"

void peri_rule_read_pace(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    static const char *const classes[] = {"once", "repeat", NULL};
    const struct peri_node *n = peri_node_get(map, "delivery", NULL);
    int word = n ? peri_rule_word(r, n, "delivery", classes) : -1;
    if (word >= 0)
        s->delivery = (enum peri_step_delivery)(word + PERI_STEP_DELIVERY_ONCE);
}
