/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_JSON_SCAN_H
#define PERI_DATA_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"
#include "data/value.h"
#include "data/yaml.h"

/* JSON text read end to end into a flat list of slices: no copy, number texts as written, repeated keys kept. For those
 * who need more than peri_json_parse keeps. */

enum peri_json_kind {
    PERI_JSON_OBJECT,
    PERI_JSON_ARRAY,
    PERI_JSON_STRING,
    PERI_JSON_NUMBER,
    PERI_JSON_TRUE,
    PERI_JSON_FALSE,
    PERI_JSON_NULL
};

struct peri_json_item {
    enum peri_json_kind kind;
    bool escaped, key_escaped; /* the slice holds backslashes: peri_json_unescape */
    uint32_t off, len;         /* of the value; of a string without its quotes */
    uint32_t key, key_len;     /* of a member's key, without its quotes */
    uint32_t end;              /* the item after this one and all it holds */
};

/* Zeroed before the first scan; may be used again and again. Items of an object or array follow it directly. */
struct peri_json_tape {
    const char *text; /* borrowed */
    struct peri_json_item *items;
    size_t count, cap;
};

/* The same rules and errors as peri_json_parse, but numbers may have any size. */
enum peri_status peri_json_scan(
    const char *text, size_t len, struct peri_json_tape *tape, struct peri_error *err) PERI_MUST_CHECK;
void peri_json_tape_finish(struct peri_json_tape *tape);
/* Decodes a slice without its quotes that was scanned before; out has len bytes at least. Returns the decoded size. */
size_t peri_json_unescape(const char *s, size_t len, char *out);
/* A plain value of one item; a number that peri_json_parse would refuse becomes its text. NULL when memory is out. */
struct peri_value *peri_json_item_value(const struct peri_json_tape *tape, size_t item);

/* JSON text as nodes with places, as peri_yaml_parse makes them, but repeated keys stay; at most PERI_YAML_MAX_BYTES.
 * Nodes live in arena; file (may be NULL) is borrowed. */
enum peri_status peri_json_nodes(struct peri_arena *arena, const char *file, const char *text, size_t len,
    struct peri_node **ret, struct peri_error *err) PERI_MUST_CHECK;

#endif
