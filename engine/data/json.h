/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_JSON_H
#define PERI_DATA_JSON_H

#include <stddef.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/status.h"
#include "data/value.h"

#define PERI_JSON_DEPTH 64 /* deepest nesting of anything read from outside */

/* Reads one JSON text (RFC 8259, any value at the root, UTF-8, NUL escapes allowed). A repeated key keeps the last
 * value. PERI_EINVAL with "line L, column C: ..." for malformed text, nesting deeper than PERI_JSON_DEPTH, integers
 * beyond 64 bits and numbers beyond double. The caller owns *ret. */
enum peri_status peri_json_parse(
    const char *text, size_t len, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* The same, refusing repeated keys: for files that people write. */
enum peri_status peri_json_parse_strict(
    const char *text, size_t len, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* Would peri_json_parse take it? Says the same, and makes no value. */
enum peri_status peri_json_check(const char *text, size_t len, struct peri_error *err) PERI_MUST_CHECK;

enum peri_json_style { PERI_JSON_COMPACT, PERI_JSON_INDENT, PERI_JSON_SORTED /* compact, keys sorted: for hashes */ };
/* Appends v as JSON, members in insertion order, numbers in their shortest form that reads back the same. */
enum peri_status peri_json_write(
    struct peri_buf *out, const struct peri_value *v, enum peri_json_style style) PERI_MUST_CHECK;
/* The same into fresh memory; NULL when memory is out. Caller frees. */
char *peri_json_text(const struct peri_value *v, enum peri_json_style style);
/* Appends one string as a JSON string with its quotes. */
enum peri_status peri_json_write_string(struct peri_buf *out, const char *s, size_t len);

#endif
