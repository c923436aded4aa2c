/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_INTERNAL_H
#define PERI_LANG_MATCHER_INTERNAL_H

/* How a matcher works:
 *
 * - All fields that some pattern asks for form a tree of paths (struct matcher_path). The text is scanned once
 *   (matcher_scan.c), then only members on the tree are picked (matcher_pick.c) into a short list of items.
 * - Of each pattern one leaf is its access path: the one that the fewest other patterns share. Its alternatives are
 *   entries of the index (matcher_index.c) under keys that can be computed from a value of the event. What a value
 * finds there is a candidate.
 * - A pattern with a single leaf is decided by that. The others are verified on the items (matcher_verify.c): leaf by
 *   leaf when no array and no repeated key is in the way, else as the plain evaluator does it.
 *
 * Everything refers to everything else by position in an array: half the size of pointers. */

#include <string.h>

#include "data/json_scan.h"
#include "lang/matcher.h"
#include "lang/matcher_scan.h"
#include "lang/pattern_internal.h"

#define MATCHER_NONE UINT32_MAX

/* --- the tree of paths --- */

struct matcher_path {
    uint32_t key, key_len;             /* in the text pool */
    uint32_t child_first, child_count; /* of keys */
    uint32_t field;                    /* what is asked of values here, or MATCHER_NONE */
    uint64_t filter;                   /* a bit for the end of each key: matcher_key_hash */
    bool kept;                         /* a pattern is verified on what is here; so are the paths above */
};

/* A child, as it is looked for: by the last eight bytes before the closing quote. */
struct matcher_key {
    uint64_t tail, mask;
    uint32_t text, len;
    uint32_t path;
};

/* --- the index --- */

enum matcher_class_kind {
    CLASS_EXACT,  /* the whole text */
    CLASS_AFFIX,  /* its first `front` bytes and its last `back` */
    CLASS_GRAM,   /* any `front` bytes in a row */
    CLASS_NUMBER, /* the value, eight bytes */
    CLASS_DIGITS, /* the text of a number that no double holds */
    CLASS_CIDR4,  /* the first `front` bits */
    CLASS_CIDR6,
    CLASS_LIST /* no key: `front` says which values (enum matcher_list) */
};

enum matcher_list { LIST_ANY, LIST_TEXT, LIST_NULL, LIST_TRUE, LIST_FALSE, LIST_ABSENT, LIST_COUNT };

/* What the keys of a field have in common. Sorted by field, then fold, kind and the lengths. */
struct matcher_class {
    uint32_t field;
    uint8_t kind;
    bool fold;
    uint32_t front, back;
    uint32_t entries;               /* how many */
    uint32_t bits_first, bits_mask; /* a filter of bits_mask + 1 words: a bit for each entry; LIST has none */
};

struct matcher_entry {
    uint32_t class, key, key_len;
    uint32_t posting; /* up to that of the next entry */
};

struct matcher_slot {
    uint32_t tag, entry;
};

struct matcher_posting {
    uint32_t pattern;
    uint32_t test; /* must still hold for the value, or MATCHER_NONE */
};

/* A closed interval, sorted by low; top is the highest high of the implicit tree below, reach that of all ranges up to
 * this one (matcher_numeric.c). */
struct matcher_range {
    double low, high, top, reach;
    struct matcher_posting posting;
};

/* The lower bounds of a field's ranges, cut into cells of equal width: the first range of each cell. */
struct matcher_grid {
    double low, scale;
    uint32_t open, cells; /* ranges without a lower bound come before the first cell */
    uint32_t first;       /* of peri_matcher.cells */
};

struct matcher_field {
    uint32_t class_first, fold_first, class_end; /* of texts; those from fold_first on of the folded text */
    uint32_t number, digits;                     /* classes, or MATCHER_NONE */
    uint32_t cidr_first, cidr_end;
    uint32_t range_first, range_count;
    struct matcher_grid grid;
    uint32_t list[LIST_COUNT]; /* entries, or MATCHER_NONE */
};

/* --- the patterns, as far as they must be verified --- */

struct matcher_test {
    uint8_t kind; /* enum pattern_test_kind */
    bool fold, exists, fits;
    uint32_t at, count; /* text pool, or first and number of parts, refs or doubles */
};

struct matcher_text {
    uint32_t at, len;
};

struct matcher_leaf {
    uint32_t test_first, test_count; /* of refs */
    bool may_miss;
};

struct matcher_member {
    uint32_t path;
    uint32_t leaf_first, leaf_count; /* of refs */
    uint32_t object;                 /* or MATCHER_NONE */
    bool may_miss, leaves_may_miss;
};

struct matcher_either {
    uint32_t item_first, item_count; /* of refs */
};

struct matcher_object {
    uint32_t member_first, member_count;
    uint32_t or_first, or_count;
    bool may_miss;
};

struct matcher_pattern {
    uint32_t object; /* MATCHER_NONE: a hit in the index decides */
    bool anchored;   /* all must hold around the value that was found: no $or, and the access path needs a value */
};

struct peri_matcher {
    struct matcher_path *paths;
    struct matcher_key *keys;
    struct matcher_field *fields;
    struct matcher_class *classes;
    struct matcher_entry *entries; /* and one behind the last */
    struct matcher_slot *slots;    /* a power of two; entry + 1, 0 is free */
    struct matcher_posting *postings;
    struct matcher_range *ranges;
    uint32_t *cells;
    uint64_t *bits;
    struct matcher_test *tests;
    struct matcher_text *parts;
    struct matcher_leaf *leaves;
    struct matcher_member *members;
    struct matcher_either *ors;
    struct matcher_object *objects;
    struct matcher_pattern *patterns;
    uint32_t *refs;
    double *doubles;
    char *text;
    struct peri_regex **regexes;
    uint32_t *absent; /* fields with a LIST_ABSENT */
    uint32_t path_count, field_count, class_count, entry_count, pattern_count, range_count, regex_count, absent_count;
    uint32_t slot_mask;
    size_t bytes;
};

/* --- an event --- */

struct matcher_item {
    uint32_t path; /* elements of an array have the path of the array */
    uint32_t off, len;
    uint32_t end;    /* the item after this one and all it holds */
    uint32_t parent; /* the array or object it stands in */
    uint8_t kind;    /* enum peri_json_kind */
    bool escaped;
};

/* A scalar in the forms that tests and the index want; what is derived is made when it is first asked for. */
struct matcher_scalar {
    const char *s; /* decoded */
    uint32_t len;
    uint8_t kind;
    bool has_number;
    const char *folded; /* NULL until asked for */
    size_t folded_len;
    struct pattern_number number;
};

struct matcher_slots {
    uint32_t stamp, item;          /* the item at a path in this event */
    uint32_t member_stamp, object; /* the object that had a member of this path last */
};

struct matcher_candidate {
    uint32_t pattern, item; /* the value that was found */
};

struct matcher_skip {
    uint32_t stamp, until; /* no value before this item can be part of a match */
};

struct peri_matcher_scratch {
    const struct peri_matcher *m;
    struct matcher_scan scan;
    size_t bracket_at; /* the next bracket to be met */
    uint32_t stamp;    /* of this event */
    struct matcher_slots *slots;
    size_t slot_cap;
    uint32_t *marks; /* by pattern: found in this event */
    size_t mark_cap;
    struct matcher_item *items;
    size_t item_count, item_cap;
    struct matcher_skip *skips; /* by pattern */
    size_t skip_cap;
    struct matcher_candidate *candidates;
    size_t candidate_count, candidate_cap;
    uint32_t *hits;
    size_t hit_count, hit_cap;
    uint32_t *stack; /* of matcher_verify.c */
    size_t stack_len, stack_cap;
    char *decoded, *folded;
    size_t decoded_cap, folded_cap;
    bool plain;    /* no array and no repeated key among the items */
    bool repeated; /* a repeated key */
    bool nomem;
    struct peri_json_tape tape; /* what the fast scan does not take */
};

/* matcher_hash.h has the hash of keys. */

/* matcher_intern.c: byte strings -> numbers, while building. */
struct matcher_intern;
struct matcher_intern *matcher_intern_create(void);
void matcher_intern_destroy(struct matcher_intern *intern);
/* The place of the number that belongs to the bytes, MATCHER_NONE at first; NULL when memory is out. Valid until the
 * next call. */
uint32_t *matcher_intern(struct matcher_intern *intern, const void *bytes, size_t len);

/* matcher_numeric.c */
void matcher_ranges_sort(struct matcher_range *ranges, size_t count);
/* Of sorted ranges. starts gets one number more than there are cells, at most count + 1; returns how many. */
size_t matcher_grid_set(struct matcher_grid *grid, const struct matcher_range *ranges, size_t count, uint32_t *starts);
/* Calls found for each range that holds the value. */
void matcher_ranges_find(const struct matcher_grid *grid, const uint32_t *starts, const struct matcher_range *ranges,
    size_t count, double value,
    void (*found)(struct peri_matcher_scratch *r, struct matcher_scalar *scalar, struct matcher_posting posting),
    struct peri_matcher_scratch *r, struct matcher_scalar *scalar);
/* The number of a JSON number text, as pattern_number_read has it, but faster without an exponent. */
struct pattern_number matcher_number_read(const char *text, size_t len);
/* Is it below low or above high? Most numbers are, and that is sooner known than their exact value. If it is not known,
 * false and the number. */
bool matcher_number_outside(const char *text, size_t len, double low, double high, struct pattern_number *ret);

/* matcher_test.c */
bool matcher_scalar_read(struct peri_matcher_scratch *r, const struct matcher_item *item, struct matcher_scalar *ret);
bool matcher_scalar_fold(struct peri_matcher_scratch *r, struct matcher_scalar *scalar);
const struct pattern_number *matcher_scalar_number(struct matcher_scalar *scalar);
/* The address in the text of a scalar: 4 or 16 bytes, 0 when it is none. */
size_t matcher_scalar_address(const struct matcher_scalar *scalar, unsigned char ret[16]);
bool matcher_test_holds(struct peri_matcher_scratch *r, uint32_t test, struct matcher_scalar *scalar);
bool matcher_leaf_holds(struct peri_matcher_scratch *r, const struct matcher_leaf *leaf, struct matcher_scalar *scalar);

/* matcher_index.c: candidates by one scalar of the event, and by the fields that are not in it. */
void matcher_find(struct peri_matcher_scratch *r, const struct matcher_field *field, struct matcher_scalar *scalar);
void matcher_find_absent(struct peri_matcher_scratch *r);
/* The key's entry, MATCHER_NONE when there is none. The key is the two slices together. */
uint32_t matcher_entry_find(
    const struct peri_matcher *m, uint32_t class, uint64_t hash, struct pattern_slice front, struct pattern_slice back);

/* A number below 64 of the last two bytes before the closing quote of a key; of one byte with the quote before it.
 * Those of an empty key are not known. */
static inline unsigned matcher_key_hash(const char *end)
{
    uint16_t two;
    memcpy(&two, end - 2, 2);
    return (two + (two >> 5)) & 63u;
}

/* matcher_pick.c: the items of the scanned text, each scalar looked up on the way. */
void matcher_pick(struct peri_matcher_scratch *r);
void matcher_pick_tape(struct peri_matcher_scratch *r);

/* matcher_verify.c */
bool matcher_verify(struct peri_matcher_scratch *r, struct matcher_candidate candidate);

#endif
