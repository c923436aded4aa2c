/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_PATTERN_INTERNAL_H
#define PERI_LANG_PATTERN_INTERNAL_H

/* A compiled pattern, shared by the pattern_*.c files. Everything lives in the pattern's arena, except what the lists
 * of peri_pattern name.
 *
 * There are two trees. `source` is as written: reports walk it. `plan` is what is evaluated: in it no key of an object
 * occurs twice among its fields and its alternatives ($or), because conditions on one key may look through the same
 * array and must then agree on the element (pattern_plan.c). Without $or both are one tree. */

#include "base/arena.h"
#include "data/json_scan.h"
#include "data/regex.h"
#include "lang/pattern.h"

#define PATTERN_DEPTH 64        /* nesting of objects in a pattern */
#define PATTERN_PLAN_MAX 100000 /* objects and fields of a plan */
#define PATTERN_MEMORY (64u << 20)

struct pattern_number {
    const char *text; /* as written */
    size_t len;
    double value;
    bool fits; /* a double holds it: its shortest decimal form is this number */
};

struct pattern_slice {
    const char *s;
    size_t len;
};

enum pattern_test_kind {
    TEST_NULL,
    TEST_TRUE,
    TEST_FALSE,
    TEST_STRING,
    TEST_NUMBER,
    TEST_PREFIX,
    TEST_SUFFIX,
    TEST_WILDCARD,
    TEST_NUMERIC,
    TEST_EXISTS,
    TEST_CIDR,
    TEST_REGEX,
    TEST_NONE_OF, /* anything-but */
    TEST_ALL_OF
};

/* One alternative of a leaf. */
struct pattern_test {
    enum pattern_test_kind kind;
    bool fold;                /* text tests: folded on both sides */
    bool exists;              /* EXISTS */
    bool low_open, high_open; /* NUMERIC: the bound itself does not count */
    union {                   /* by kind: there is one of these for each alternative of each rule */
        struct {
            double low, high; /* NUMERIC */
        };
        struct pattern_slice text; /* STRING, PREFIX, SUFFIX */
        struct pattern_number number;
        struct {
            union {
                struct pattern_slice *parts; /* WILDCARD: the pieces between stars */
                struct pattern_test *tests;  /* NONE_OF, ALL_OF */
            };
            size_t count; /* of parts or tests */
        };
        struct {
            unsigned char net[16]; /* CIDR */
            unsigned net_bytes, net_bits;
        };
        struct peri_regex *regex;
    };
};

struct pattern_leaf {
    struct pattern_test *tests;
    size_t count;
    bool may_miss;      /* {exists: false} is among them */
    const char *wanted; /* what is asked, as JSON, for reports */
};

struct pattern_object;

/* What is asked of the value under one key. */
struct pattern_node {
    struct pattern_leaf **leaves; /* all must hold, for the same scalar */
    size_t leaf_count;
    struct pattern_object *object; /* NULL: nothing is asked about members */
    bool may_miss;                 /* can hold without any value */
};

struct pattern_field {
    const char *key;
    size_t key_len;
    size_t id; /* equal keys have equal ids */
    struct pattern_node *node;
};

struct pattern_or {
    struct pattern_object **items;
    size_t count;
    bool may_miss;      /* plan only: of any alternative */
    const char *wanted; /* source only: what is asked, as JSON */
    size_t position;    /* source only: how many fields stand before it */
};

struct pattern_object {
    struct pattern_field *fields;
    size_t field_count;
    struct pattern_or **ors;
    size_t or_count;
    bool may_miss;
};

struct pattern_regex {
    struct peri_regex *regex;
    struct pattern_regex *next;
};

struct peri_pattern {
    struct peri_arena *arena;
    struct pattern_object *source, *plan;
    size_t key_count;
    struct pattern_regex *regexes;
};

/* pattern_number.c. text is a JSON number that lives as long as the result. */
struct pattern_number pattern_number_read(const char *text, size_t len);
bool pattern_number_equal(const struct pattern_number *a, const struct pattern_number *b);

/* pattern_test.c: a scalar of the event, and memory for what is derived from it. */
struct pattern_scratch {
    char *text, *folded;
    size_t text_cap, folded_cap;
};

struct pattern_scalar {
    const struct peri_json_tape *tape;
    const struct peri_json_item *item;
    struct pattern_scratch *scratch;
    struct pattern_slice text;    /* decoded, for strings */
    struct pattern_slice folded;  /* s is NULL until asked for */
    struct pattern_number number; /* text is NULL until asked for */
    bool nomem;
};

/* False when memory is out. The scalar is valid until the next one is read with the same scratch. */
bool pattern_scalar_read(struct pattern_scratch *scratch, const struct peri_json_tape *tape,
    const struct peri_json_item *item, struct pattern_scalar *ret);
bool pattern_leaf_holds(const struct pattern_leaf *leaf, struct pattern_scalar *scalar);

/* pattern_operator.c: compiles one {operator: argument}; findings go to the diag. */
struct pattern_compile {
    struct peri_pattern *pattern;
    struct peri_diag *diag;
    bool nomem;
};

void *pattern_alloc(struct pattern_compile *c, size_t size);
void pattern_find_fault(struct pattern_compile *c, const struct peri_node *node, const char *code, const char *hint,
    const char *fmt, ...) PERI_PRINTF(5, 6);
/* Any alternative of a leaf: a scalar or an operator. */
bool pattern_compile_test(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret);
/* A JSON number text of what YAML's core schema also allows: +1, .5, 5., 0x1f, 0o17. */
bool pattern_number_text(struct pattern_compile *c, const struct peri_node *node, char **ret);
bool pattern_is_operator(const char *name);

/* pattern_plan.c. PERI_ELIMIT when it grows beyond PATTERN_PLAN_MAX. */
enum peri_status pattern_plan(struct peri_pattern *pattern);

/* pattern_match.c */
enum pattern_outcome { PATTERN_NO, PATTERN_WITHOUT, PATTERN_WITH }; /* holds with or without any value of the event */

struct pattern_view { /* the objects or values that one path leads to */
    uint32_t one;
    size_t base, count; /* count > 1: stack[base ...] */
};

struct pattern_match {
    struct peri_json_tape tape;
    struct pattern_scratch scratch;
    uint32_t *stack;
    size_t stack_len, stack_cap;
    bool nomem;
};

struct pattern_path {
    const struct pattern_field *fields[PATTERN_DEPTH];
    size_t count;
};

enum pattern_outcome pattern_eval(
    struct pattern_match *m, const struct pattern_object *object, struct pattern_view view);
enum pattern_outcome pattern_eval_field(
    struct pattern_match *m, const struct pattern_field *field, struct pattern_view view);
bool pattern_key_is(struct pattern_match *m, const struct peri_json_item *item, const struct pattern_field *field);
bool pattern_present(struct pattern_match *m, uint32_t item, const struct pattern_path *path, size_t at);

/* pattern_why.c: new reference, NULL when memory is out. */
struct peri_value *pattern_why(struct pattern_match *m, const struct peri_pattern *pattern);

#endif
