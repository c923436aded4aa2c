/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a YAML file: no crash, no hang; findings inside the text; a tree that was accepted can be used. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_findings(const struct peri_diag *diag, const char *text, size_t len)
{
    int lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n' || text[i] == '\r';
    for (size_t i = 0; i < diag->count; i++)
        if (diag->items[i].line > lines || diag->items[i].column < (diag->items[i].line > 0))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const tags[] = {"!secret", "!env", "!input", NULL};
    struct peri_yaml_doc *doc = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_yaml_parse("f", (const char *)data, size, tags, &doc, &diag);
    if ((st == PERI_OK) != (diag.errors == 0))
        abort();
    check_findings(&diag, (const char *)data, size);
    for (size_t i = 0; st == PERI_OK && i < doc->count; i++) {
        struct peri_value *v = NULL;
        struct peri_error err;
        if (peri_node_value(doc->roots[i], NULL, NULL, &v, &err) == PERI_OK)
            peri_value_unref(v);
        (void)peri_node_describe(peri_node_at_pointer(doc->roots[i], "/a/0/b"));
    }
    if (st == PERI_OK)
        peri_yaml_destroy(doc);
    peri_diag_finish(&diag);
    return 0;
}
