/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_VALUE_H
#define PERI_DATA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* A JSON value: null, boolean, 64-bit integer, double, UTF-8 string, list, map with insertion order. Counted
 * references, counted atomically; a value is mutable only until it is shared: from then on nobody changes it, so any
 * thread may read it. (Underneath is jansson's json_t; only value.c and json.c know.)
 *
 * "borrow": valid as long as the container is. "take": the callee owns the reference from now on, also on failure. */
struct peri_value;

enum peri_type { PERI_NULL, PERI_BOOL, PERI_INT, PERI_REAL, PERI_STRING, PERI_LIST, PERI_MAP };

/* From now on values come from peri_pool_alloc. While there is one thread. */
void peri_value_pool(void);
struct peri_value *peri_value_null(void);
struct peri_value *peri_value_bool(bool b);
struct peri_value *peri_value_int(int64_t i);
struct peri_value *peri_value_real(double r);     /* NULL for NaN and infinities: JSON has none */
struct peri_value *peri_value_str(const char *s); /* NULL when not valid UTF-8 or memory is out */
struct peri_value *peri_value_strn(const char *s, size_t len);
struct peri_value *peri_value_list(void);
struct peri_value *peri_value_map(void);
struct peri_value *peri_value_ref(const struct peri_value *v); /* NULL gives NULL */
void peri_value_unref(struct peri_value *v);                   /* NULL is fine */

enum peri_type peri_value_type(const struct peri_value *v); /* NULL counts as PERI_NULL */
const char *peri_type_name(
    enum peri_type type); /* "null", "boolean", "integer", "number", "string", "array", "object" */
bool peri_value_is(const struct peri_value *v, enum peri_type type);
bool peri_value_is_number(const struct peri_value *v);
bool peri_value_as_bool(const struct peri_value *v);     /* false unless boolean true */
int64_t peri_value_as_int(const struct peri_value *v);   /* integers, and reals cut to range; else 0 */
double peri_value_as_real(const struct peri_value *v);   /* numbers; else 0 */
const char *peri_value_text(const struct peri_value *v); /* borrow; NULL unless a string. May hold NULs: see _textn */
const char *peri_value_textn(const struct peri_value *v, size_t *ret_len);

size_t peri_value_count(const struct peri_value *v); /* elements of a list, members of a map; else 0 */
struct peri_value *peri_list_at(const struct peri_value *list, size_t i);          /* borrow or NULL */
enum peri_status peri_list_push(struct peri_value *list, struct peri_value *item); /* take; NULL item: PERI_ENOMEM */
struct peri_value *peri_map_at(const struct peri_value *map, const char *key); /* borrow or NULL; also for non-maps */
struct peri_value *peri_map_atn(const struct peri_value *map, const char *key, size_t len);
enum peri_status peri_map_put(struct peri_value *map, const char *key, struct peri_value *item);              /* take */
enum peri_status peri_map_putn(struct peri_value *map, const char *key, size_t len, struct peri_value *item); /* take */
void peri_map_drop(struct peri_value *map, const char *key);
/* The same members in the order of their keys: for maps whose own order means nothing. */
enum peri_status peri_map_sort(struct peri_value *map) PERI_MUST_CHECK;

/* Shorthands that read a member of a map. */
const char *peri_map_text(const struct peri_value *map, const char *key); /* NULL when absent or no string */
bool peri_map_bool(const struct peri_value *map, const char *key, bool fallback);
int64_t peri_map_int(const struct peri_value *map, const char *key, int64_t fallback);
/* ... and that write one. A NULL text writes nothing. */
enum peri_status peri_map_put_text(struct peri_value *map, const char *key, const char *text);
enum peri_status peri_map_put_int(struct peri_value *map, const char *key, int64_t i);
enum peri_status peri_map_put_bool(struct peri_value *map, const char *key, bool b);
enum peri_status peri_map_put_ref(
    struct peri_value *map, const char *key, const struct peri_value *item); /* adds a reference */
/* RFC 3339 text of ms. */
enum peri_status peri_map_put_time(struct peri_value *map, const char *key, int64_t ms);

/* for (it = peri_map_first(m); it; it = peri_map_next(m, it)) */
void *peri_map_first(const struct peri_value *map);
void *peri_map_next(const struct peri_value *map, void *it);
const char *peri_map_key(void *it, size_t *ret_len); /* ret_len may be NULL */
struct peri_value *peri_map_item(void *it);          /* borrow */

/* Deep equality; numbers by value (1 == 1.0), maps in any order. */
bool peri_value_equal(const struct peri_value *a, const struct peri_value *b);
/* A copy that may be changed: shallow shares the members, deep shares nothing. */
struct peri_value *peri_value_copy(const struct peri_value *v);
struct peri_value *peri_value_copy_deep(const struct peri_value *v);

#endif
