/* SPDX-License-Identifier: Apache-2.0 */
#include "app/why_door.h"

#include <stdio.h>

#include "app/client.h"
#include "base/str.h"

static bool has_rule(const struct peri_value *door, const char *rule)
{
    const struct peri_value *rules = peri_map_at(door, "rules");
    for (size_t i = 0; i < peri_value_count(rules); i++)
        if (peri_streq(peri_value_text(peri_list_at(rules, i)), rule))
            return true;
    return false;
}

void peri_why_refused(struct peri_cli *cli, const char *rule)
{
    struct peri_client *client = NULL;
    struct peri_value *doc = NULL;
    struct peri_error err;
    if (peri_client_open(cli, &client, &err) != PERI_OK)
        return;
    if (peri_client_call(client, "GET", "/v1/webhooks", NULL, &doc, &err) == PERI_OK) {
        const struct peri_value *items = peri_map_at(doc, "items");
        for (size_t i = 0; i < peri_value_count(items); i++) {
            const struct peri_value *door = peri_list_at(items, i), *last = peri_map_at(door, "last_rejected");
            if (has_rule(door, rule) && last)
                fprintf(stderr, "note: its webhook %s has refused %lld calls since the start, the last at %s: %s\n",
                    peri_map_text(door, "path"), (long long)peri_map_int(door, "rejected", 0),
                    peri_map_text(last, "at"), peri_map_text(last, "reason"));
        }
    }
    peri_value_unref(doc);
    peri_client_close(client);
}
