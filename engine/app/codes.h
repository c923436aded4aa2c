/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_CODES_H
#define PERI_APP_CODES_H

#include <stddef.h>

/* What every code of a finding means: `perigee check --explain CODE`. A lint test compares the tables (codes_*.c) with
 * the codes that the sources use, an end-to-end test runs the examples. */

/* What an example is written in. */
enum peri_example {
    PERI_EXAMPLE_NONE,
    PERI_EXAMPLE_RULE,     /* keys of a rule; name, trigger and actions may be left out */
    PERI_EXAMPLE_FILE,     /* a rule file as it is */
    PERI_EXAMPLE_CONFIG,   /* perigee.yaml */
    PERI_EXAMPLE_MANIFEST, /* members of plugin.json */
    PERI_EXAMPLE_LUA,      /* of a plugin */
    PERI_EXAMPLE_SHELL
};

struct peri_code {
    const char *code, *title, *text;
    enum peri_example example;
    const char *before, *after; /* NULL with PERI_EXAMPLE_NONE */
};

/* The tables, each ended by an empty entry. */
extern const struct peri_code peri_codes_file[], peri_codes_rule[], peri_codes_blueprint[], peri_codes_pattern[], peri_codes_plugin[];

/* NULL when there is none. */
const struct peri_code *peri_code_find(const char *code);
/* The code that was meant, or NULL. */
const char *peri_code_nearest(const char *code);
/* All, in the order of the tables; NULL behind the last. */
const struct peri_code *peri_code_at(size_t i);
/* "rule", "file", "config", ... or NULL for none. */
const char *peri_example_name(enum peri_example example);

#endif
