/* SPDX-License-Identifier: Apache-2.0 */
#include "app/codes.h"

#include <stdlib.h>

#include "base/str.h"

static const struct peri_code *const tables[] = {
    peri_codes_file, peri_codes_rule, peri_codes_blueprint, peri_codes_pattern, peri_codes_plugin};
#define TABLE_COUNT (sizeof(tables) / sizeof(tables[0]))

const struct peri_code *peri_code_at(size_t i)
{
    for (size_t t = 0; t < TABLE_COUNT; t++)
        for (const struct peri_code *c = tables[t]; c->code; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

const struct peri_code *peri_code_find(const char *code)
{
    const struct peri_code *c;
    for (size_t i = 0; (c = peri_code_at(i)); i++)
        if (peri_streq(c->code, code))
            return c;
    return NULL;
}

const char *peri_code_nearest(const char *code)
{
    const char *near = NULL;
    size_t n = 0;
    while (peri_code_at(n))
        n++;
    const char **names = calloc(n + 1, sizeof(*names));
    for (size_t i = 0; names && i < n; i++)
        names[i] = peri_code_at(i)->code;
    if (names)
        near = peri_nearest(code, names);
    free(names);
    return near;
}

const char *peri_example_name(enum peri_example example)
{
    static const char *const names[] = {NULL, "rule", "file", "config", "manifest", "lua", "shell"};
    return names[example];
}
