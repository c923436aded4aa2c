/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_SCHEMA_INTERNAL_H
#define PERI_DATA_SCHEMA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "data/format.h"
#include "data/regex.h"
#include "data/schema.h"

/* Internal to schema*.c: the compiled form. Everything lives in the schema's arena, values and texts in its source. */

#define PERI_SCHEMA_NUMBER (1u << 7) /* "number": PERI_INT and PERI_REAL; bit PERI_INT alone is "integer" */

enum peri_schema_bound { PERI_BOUND_PROPERTIES, PERI_BOUND_ITEMS, PERI_BOUND_LENGTH, PERI_BOUND_COUNT };
enum peri_schema_limit { PERI_LIMIT_MIN, PERI_LIMIT_MAX, PERI_LIMIT_ABOVE, PERI_LIMIT_BELOW, PERI_LIMIT_COUNT };

struct peri_schema_property {
    const char *key;
    size_t key_len;
    struct peri_schema_node *schema;
};

struct peri_schema_regex { /* all of a schema, to free them */
    struct peri_schema_regex *next;
    struct peri_regex *regex;
};

struct peri_schema_node {
    bool never;     /* the schema `false` */
    unsigned types; /* 1 << enum peri_type, PERI_SCHEMA_NUMBER; 0: any */
    struct peri_schema_property *properties;
    size_t property_count;
    const struct peri_value *property_map; /* to look names up */
    struct peri_schema_node *additional, *items;
    const struct peri_value *required, *one_of, *constant, *fallback;
    bool unique;
    int64_t least[PERI_BOUND_COUNT], most[PERI_BOUND_COUNT]; /* -1: none */
    const struct peri_value *limits[PERI_LIMIT_COUNT], *multiple_of;
    const char *pattern, *format_name;
    const struct peri_regex *regex;
    peri_format_fn format;
};

struct peri_schema {
    struct peri_arena *arena;
    struct peri_value *source;
    struct peri_schema_node *root;
    struct peri_schema_regex *regexes;
};

/* Appends "/name" to a JSON Pointer; returns the length that peri_schema_leave goes back to. */
size_t peri_schema_enter(struct peri_buf *path, const char *name, size_t len);
void peri_schema_leave(struct peri_buf *path, size_t before);
/* The map {"$secret": "name"}, which stands for a text from the secret store. */
bool peri_schema_is_secret(const struct peri_value *v);

#endif
