/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_BUILD_H
#define PERI_LANG_MATCHER_BUILD_H

#include "base/buf.h"
#include "lang/matcher_internal.h"

/* While a matcher is made: how full its arrays are, and what belongs to which bytes. Shared by the matcher_build*.c
 * files. Only `nomem` tells of failure; it is looked at where it matters. */

struct matcher_pending { /* a posting and the entry it belongs to */
    uint32_t entry;
    struct matcher_posting posting;
};

struct matcher_pending_range {
    uint32_t field;
    struct matcher_range range;
};

struct matcher_new_field {
    uint32_t path;
    uint32_t tests; /* how many leaves ask for its values */
    uint32_t ranges;
};

struct matcher_build {
    struct peri_matcher *m;
    struct matcher_intern *intern;
    struct peri_buf bytes; /* of what is being interned */
    uint32_t path_count, field_count, class_count, entry_count, test_count, part_count, leaf_count, member_count,
        or_count, object_count, ref_count, double_count, text_count, regex_count, absent_count, pending_count,
        range_count, cell_count;
    size_t path_cap, field_cap, class_cap, entry_cap, test_cap, part_cap, leaf_cap, member_cap, or_cap, object_cap,
        ref_cap, double_cap, text_cap, regex_cap, absent_cap, pending_cap, range_cap, parent_cap;
    struct matcher_new_field *fields;
    uint32_t *parents; /* by path */
    struct matcher_pending *pending;
    struct matcher_pending_range *ranges;
    bool nomem;
};

/* Room for count more in an array of the builder or matcher; the first is returned. */
uint32_t matcher_reserve(struct matcher_build *b, void *items, size_t *cap, uint32_t *used, size_t count, size_t size);
/* The text in the pool, once. */
uint32_t matcher_text(struct matcher_build *b, const char *s, size_t len);
/* The number that belongs to kind, two numbers and bytes; valid until the next call. NULL when memory is out. */
uint32_t *matcher_number_of(struct matcher_build *b, char kind, uint32_t x, uint32_t y, const void *bytes, size_t len);
uint32_t matcher_path(struct matcher_build *b, uint32_t parent, const char *key, size_t len);
/* The field of a path. */
uint32_t matcher_field(struct matcher_build *b, uint32_t path);

/* matcher_build_test.c. The number that belongs to kind, x and the tests; valid until the next call. */
uint32_t *matcher_known(struct matcher_build *b, char kind, uint32_t x, const struct pattern_test *tests, size_t count);
void matcher_bounds(const struct pattern_test *test, double *ret_low, double *ret_high);
uint32_t matcher_test(struct matcher_build *b, const struct pattern_test *test);
uint32_t matcher_leaf(struct matcher_build *b, const struct pattern_leaf *leaf);

/* matcher_access.c: the access path of a pattern. */
void matcher_count_uses(struct matcher_build *b, uint32_t path, const struct pattern_object *object);
/* False when it may match without any value there. */
bool matcher_add_access(struct matcher_build *b, uint32_t pattern, uint32_t path, const struct pattern_object *object);
/* A single leaf: what is found in the index matches. */
bool matcher_is_direct(const struct pattern_object *object);

/* matcher_finish.c: sorts and packs. */
void matcher_finish(struct matcher_build *b);

#endif
