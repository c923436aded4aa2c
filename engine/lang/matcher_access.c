/* SPDX-License-Identifier: Apache-2.0 */
/* The access path of a pattern: conditions of which at least one must find a value when the pattern matches. Of several
 * fields the one that the fewest patterns share with its values; of $or the best of each alternative. */
#include "lang/matcher_build.h"

#include <string.h>

#define GRAM 4

/* How a text can be looked up. */
struct access_key {
    uint8_t kind;
    bool fold;
    bool sure; /* nothing is left to be tested */
    struct pattern_slice front, back;
};

/* --- wildcards: a text may be found by its ends or by any run of bytes inside --- */

static size_t rounded(size_t len)
{
    static const size_t steps[] = {32, 16, 8, 4};
    for (size_t i = 0; i < 4; i++)
        if (len >= steps[i])
            return steps[i];
    return len;
}

struct wildcard {
    struct matcher_build *b;
    const struct pattern_test *test;
    uint32_t path;
    bool count; /* the first pass */
    double cost;
    struct access_key best;
};

/* Few patterns share it, and few texts have it by chance. */
static double text_cost(uint32_t uses, size_t len)
{
    return uses * (1 + 32.0 / (double)(len * len));
}

static void consider(struct wildcard *w, struct access_key key)
{
    char bytes[2 * 256 + 16];
    size_t front = key.front.len, back = key.back.len, at = 0;
    /* Very long ends are told apart by a part of them only; this is an estimate. */
    size_t n = front < 256 ? front : 256, k = back < 256 ? back : 256;
    const uint32_t head[] = {key.kind, key.fold, (uint32_t)front, (uint32_t)back};
    memcpy(bytes, head, sizeof(head));
    at = sizeof(head);
    if (n)
        memcpy(bytes + at, key.front.s + front - n, n);
    if (k)
        memcpy(bytes + at + n, key.back.s, k);
    uint32_t *uses = matcher_number_of(w->b, 'w', w->path, 0, bytes, at + n + k);
    if (!uses)
        return;
    if (w->count)
        *uses = *uses == MATCHER_NONE ? 1 : *uses + 1;
    double cost = text_cost(*uses, front + back);
    if (w->cost < 0 || cost < w->cost) {
        w->cost = cost;
        w->best = key;
    }
}

static void consider_grams(struct wildcard *w, size_t size)
{
    for (size_t p = 0; p < w->test->count; p++) {
        struct pattern_slice part = w->test->parts[p];
        for (size_t i = 0; i + size <= part.len; i++)
            consider(w, (struct access_key){CLASS_GRAM, w->test->fold, false, {part.s + i, size}, {part.s, 0}});
    }
}

static struct wildcard choose_wildcard(
    struct matcher_build *b, uint32_t path, const struct pattern_test *test, bool count)
{
    struct wildcard w = {.b = b, .test = test, .path = path, .count = count, .cost = -1};
    struct pattern_slice first = test->parts[0], last = test->parts[test->count - 1];
    bool two = test->count == 2;
    size_t front = rounded(first.len), back = rounded(last.len), inner = 0;
    struct pattern_slice none = {first.s, 0};
    if (first.len)
        consider(&w, (struct access_key){CLASS_AFFIX, test->fold, two && !last.len, first, none});
    if (last.len)
        consider(&w, (struct access_key){CLASS_AFFIX, test->fold, two && !first.len, none, last});
    if (first.len && last.len)
        consider(&w, (struct access_key){CLASS_AFFIX, test->fold, two && front == first.len && back == last.len,
                         {first.s, front}, {last.s + last.len - back, back}});
    for (size_t i = 1; i + 1 < test->count; i++)
        inner = test->parts[i].len > inner ? test->parts[i].len : inner;
    if (inner)
        consider_grams(&w, inner < GRAM ? inner : GRAM);
    return w;
}

/* --- costs --- */

static void count_test(struct matcher_build *b, uint32_t path, const struct pattern_test *test)
{
    uint32_t *uses = matcher_known(b, 'u', path, test, 1);
    if (uses)
        *uses = *uses == MATCHER_NONE ? 1 : *uses + 1;
    if (test->kind == TEST_WILDCARD && test->count > 1)
        choose_wildcard(b, path, test, true);
    for (size_t i = 0; test->kind == TEST_ALL_OF && i < test->count; i++)
        count_test(b, path, &test->tests[i]);
}

void matcher_count_uses(struct matcher_build *b, uint32_t path, const struct pattern_object *object)
{
    for (size_t i = 0; i < object->field_count && !b->nomem; i++) {
        const struct pattern_node *node = object->fields[i].node;
        uint32_t child = matcher_path(b, path, object->fields[i].key, object->fields[i].key_len);
        for (size_t k = 0; k < node->leaf_count && !b->nomem; k++) {
            uint32_t field = matcher_field(b, child);
            if (b->nomem)
                return;
            b->fields[field].tests++;
            for (size_t t = 0; t < node->leaves[k]->count; t++) {
                b->fields[field].ranges += node->leaves[k]->tests[t].kind == TEST_NUMERIC;
                count_test(b, child, &node->leaves[k]->tests[t]);
            }
        }
        if (node->object)
            matcher_count_uses(b, child, node->object);
    }
    for (size_t i = 0; i < object->or_count; i++)
        for (size_t k = 0; k < object->ors[i]->count && !b->nomem; k++)
            matcher_count_uses(b, path, object->ors[i]->items[k]);
}

static double test_cost(struct matcher_build *b, uint32_t path, const struct pattern_test *test);

static const struct pattern_test *cheapest(
    struct matcher_build *b, uint32_t path, const struct pattern_test *all, double *ret_cost)
{
    const struct pattern_test *best = NULL;
    for (size_t i = 0; i < all->count; i++) {
        double cost = test_cost(b, path, &all->tests[i]);
        if (!best || cost < *ret_cost) {
            best = &all->tests[i];
            *ret_cost = cost;
        }
    }
    return best;
}

static double test_cost(struct matcher_build *b, uint32_t path, const struct pattern_test *test)
{
    const struct matcher_new_field *field = &b->fields[matcher_field(b, path)];
    const uint32_t *known = matcher_known(b, 'u', path, test, 1);
    uint32_t uses = known ? *known : 0;
    double cost = 0;
    switch (test->kind) {
    case TEST_PREFIX:
    case TEST_SUFFIX:
        return test->text.len ? text_cost(uses, test->text.len) : field->tests * 4.0;
    case TEST_WILDCARD:
        if (test->count == 1)
            return uses;
        cost = choose_wildcard(b, path, test, false).cost;
        return cost < 0 ? field->tests * 4.0 : cost;
    case TEST_NUMERIC:
        return 1 + field->ranges / 4.0;
    case TEST_EXISTS:
    case TEST_NONE_OF:
        return 1000 + field->tests * 4.0;
    case TEST_REGEX:
        return 1e6 + field->tests;
    case TEST_ALL_OF:
        cheapest(b, path, test, &cost);
        return cost;
    default:
        return uses;
    }
}

static double leaf_cost(struct matcher_build *b, uint32_t path, const struct pattern_leaf *leaf)
{
    double cost = leaf->may_miss ? 1e4 + b->fields[matcher_field(b, path)].tests * 8.0 : 0;
    for (size_t i = 0; i < leaf->count && !b->nomem; i++)
        cost += test_cost(b, path, &leaf->tests[i]);
    return cost;
}

/* The best part of an object: a leaf, an object below, or a $or. */
struct access {
    double cost;
    uint32_t path;
    const struct pattern_leaf *leaf;
    const struct pattern_or *either;
};

static struct access choose(struct matcher_build *b, uint32_t path, const struct pattern_object *object)
{
    struct access best = {.cost = -1};
    for (size_t i = 0; i < object->field_count && !b->nomem; i++) {
        const struct pattern_node *node = object->fields[i].node;
        uint32_t child = matcher_path(b, path, object->fields[i].key, object->fields[i].key_len);
        for (size_t k = 0; k < node->leaf_count; k++) {
            double cost = leaf_cost(b, child, node->leaves[k]);
            if (best.cost < 0 || cost < best.cost)
                best = (struct access){cost, child, node->leaves[k], NULL};
        }
        if (node->object) {
            struct access below = choose(b, child, node->object);
            if (best.cost < 0 || below.cost < best.cost)
                best = below;
        }
    }
    for (size_t i = 0; i < object->or_count && !b->nomem; i++) {
        double cost = 0;
        for (size_t k = 0; k < object->ors[i]->count; k++)
            cost += choose(b, path, object->ors[i]->items[k]).cost;
        if (best.cost < 0 || cost < best.cost)
            best = (struct access){cost, path, NULL, object->ors[i]};
    }
    return best;
}

bool matcher_is_direct(const struct pattern_object *object)
{
    while (object->field_count == 1 && !object->or_count) {
        const struct pattern_node *node = object->fields[0].node;
        if (!node->object)
            return node->leaf_count == 1 && !node->may_miss;
        if (node->leaf_count)
            return false;
        object = node->object;
    }
    return false;
}

/* --- entries --- */

struct target {
    struct matcher_build *b;
    uint32_t pattern, field;
    uint32_t outer; /* the {all: [...]} around the test, which must hold in any case, or MATCHER_NONE */
    uint32_t test;  /* that, or the test itself when the key alone does not decide it */
};

static void post(const struct target *t, uint32_t class, const void *key, size_t len, uint32_t test)
{
    struct matcher_build *b = t->b;
    uint32_t text = matcher_text(b, key, len);
    uint32_t *entry = matcher_number_of(b, 'e', class, 0, key, len);
    if (!entry || b->nomem)
        return;
    if (*entry == MATCHER_NONE) {
        uint32_t id = matcher_reserve(b, &b->m->entries, &b->entry_cap, &b->entry_count, 1, sizeof(*b->m->entries));
        if (id == MATCHER_NONE)
            return;
        b->m->entries[id] = (struct matcher_entry){.class = class, .key = text, .key_len = (uint32_t)len};
        b->m->classes[class].entries++;
        *entry = id;
    }
    uint32_t id = *entry;
    uint32_t at = matcher_reserve(b, &b->pending, &b->pending_cap, &b->pending_count, 1, sizeof(*b->pending));
    if (at != MATCHER_NONE)
        b->pending[at] = (struct matcher_pending){id, {t->pattern, test}};
}

static uint32_t class_of(
    struct matcher_build *b, uint32_t field, enum matcher_class_kind kind, bool fold, size_t front, size_t back)
{
    const uint32_t bytes[] = {kind, fold, (uint32_t)front, (uint32_t)back};
    uint32_t *class = matcher_number_of(b, 'c', field, 0, bytes, sizeof(bytes));
    if (!class || *class != MATCHER_NONE)
        return class ? *class : 0;
    uint32_t id = matcher_reserve(b, &b->m->classes, &b->class_cap, &b->class_count, 1, sizeof(*b->m->classes));
    if (id == MATCHER_NONE)
        return 0;
    b->m->classes[id] = (struct matcher_class){
        .field = field, .kind = (uint8_t)kind, .fold = fold, .front = (uint32_t)front, .back = (uint32_t)back};
    return *class = id;
}

static void post_list(const struct target *t, enum matcher_list list, uint32_t test)
{
    uint32_t class = class_of(t->b, t->field, CLASS_LIST, false, list, 0);
    if (!t->b->nomem)
        post(t, class, "", 0, test);
}

static void post_key(const struct target *t, const struct access_key *key)
{
    struct matcher_build *b = t->b;
    size_t front = key->front.len, back = key->back.len;
    uint32_t class = key->kind == CLASS_EXACT ? class_of(b, t->field, CLASS_EXACT, key->fold, 0, 0)
                                              : class_of(b, t->field, key->kind, key->fold, front, back);
    struct peri_buf text;
    peri_buf_init(&text, PERI_YAML_MAX_BYTES * 4);
    peri_buf_append(&text, key->front.s, front);
    peri_buf_append(&text, key->back.s, back);
    b->nomem |= text.failed != PERI_OK;
    if (!b->nomem)
        post(t, class, peri_buf_text(&text), text.len, key->sure ? t->outer : t->test);
    peri_buf_finish(&text);
}

static void post_text(const struct target *t, const struct pattern_test *test)
{
    struct pattern_slice none = {test->text.s, 0};
    if (test->kind == TEST_STRING)
        post_key(t, &(struct access_key){CLASS_EXACT, test->fold, true, test->text, none});
    else if (!test->text.len)
        post_list(t, LIST_TEXT, t->outer);
    else if (test->kind == TEST_PREFIX)
        post_key(t, &(struct access_key){CLASS_AFFIX, test->fold, true, test->text, none});
    else
        post_key(t, &(struct access_key){CLASS_AFFIX, test->fold, true, none, test->text});
}

static void post_wildcard(const struct target *t, uint32_t path, const struct pattern_test *test)
{
    if (test->count == 1) {
        post_key(t, &(struct access_key){CLASS_EXACT, test->fold, true, test->parts[0], {test->parts[0].s, 0}});
        return;
    }
    struct wildcard w = choose_wildcard(t->b, path, test, false);
    if (w.cost < 0) /* no piece has a byte: a star alone */
        post_list(t, LIST_TEXT, t->outer);
    else
        post_key(t, &w.best);
}

static void post_number(const struct target *t, const struct pattern_test *test)
{
    struct matcher_build *b = t->b;
    double value = test->number.value == 0 ? 0 : test->number.value; /* no negative zero */
    uint32_t class = class_of(b, t->field, test->number.fits ? CLASS_NUMBER : CLASS_DIGITS, false, 0, 0);
    if (b->nomem)
        return;
    if (test->number.fits)
        post(t, class, &value, sizeof(value), t->outer);
    else
        post(t, class, test->number.text, test->number.len, t->outer);
}

static void post_range(const struct target *t, const struct pattern_test *test)
{
    struct matcher_build *b = t->b;
    struct matcher_range range = {.posting = {t->pattern, t->outer}};
    matcher_bounds(test, &range.low, &range.high);
    uint32_t at = matcher_reserve(b, &b->ranges, &b->range_cap, &b->range_count, 1, sizeof(*b->ranges));
    if (at != MATCHER_NONE)
        b->ranges[at] = (struct matcher_pending_range){t->field, range};
}

static void post_cidr(const struct target *t, const struct pattern_test *test)
{
    unsigned char net[16];
    size_t whole = test->net_bits / 8, rest = test->net_bits % 8;
    uint32_t class =
        class_of(t->b, t->field, test->net_bytes == 4 ? CLASS_CIDR4 : CLASS_CIDR6, false, test->net_bits, 0);
    memcpy(net, test->net, sizeof(net));
    if (rest)
        net[whole++] &= (unsigned char)(0xff00 >> rest);
    if (!t->b->nomem)
        post(t, class, net, whole, t->outer);
}

static void post_test(struct target t, uint32_t path, const struct pattern_test *test)
{
    double cost;
    bool checked = test->kind == TEST_REGEX || test->kind == TEST_NONE_OF || test->kind == TEST_ALL_OF ||
                   (test->kind == TEST_WILDCARD && test->count > 1);
    t.test = t.outer == MATCHER_NONE && checked ? matcher_test(t.b, test) : t.outer;
    switch (test->kind) {
    case TEST_NULL:
        post_list(&t, LIST_NULL, t.test);
        break;
    case TEST_TRUE:
        post_list(&t, LIST_TRUE, t.test);
        break;
    case TEST_FALSE:
        post_list(&t, LIST_FALSE, t.test);
        break;
    case TEST_STRING:
    case TEST_PREFIX:
    case TEST_SUFFIX:
        post_text(&t, test);
        break;
    case TEST_WILDCARD:
        post_wildcard(&t, path, test);
        break;
    case TEST_NUMBER:
        post_number(&t, test);
        break;
    case TEST_NUMERIC:
        post_range(&t, test);
        break;
    case TEST_CIDR:
        post_cidr(&t, test);
        break;
    case TEST_REGEX:
        post_list(&t, LIST_TEXT, t.test);
        break;
    case TEST_ALL_OF:
        t.outer = t.test;
        post_test(t, path, cheapest(t.b, path, test, &cost));
        break;
    case TEST_EXISTS:
        post_list(&t, test->exists ? LIST_ANY : LIST_ABSENT, t.outer);
        break;
    default: /* TEST_NONE_OF */
        post_list(&t, LIST_ANY, t.test);
    }
}

bool matcher_add_access(struct matcher_build *b, uint32_t pattern, uint32_t path, const struct pattern_object *object)
{
    struct access best = choose(b, path, object);
    bool needs_value = true;
    if (b->nomem)
        return false;
    for (size_t i = 0; best.either && i < best.either->count; i++)
        needs_value &= matcher_add_access(b, pattern, best.path, best.either->items[i]);
    if (best.either)
        return needs_value;
    struct target t = {b, pattern, matcher_field(b, best.path), MATCHER_NONE, MATCHER_NONE};
    for (size_t i = 0; i < best.leaf->count && !b->nomem; i++)
        post_test(t, best.path, &best.leaf->tests[i]);
    return !best.leaf->may_miss;
}
