/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions and leaves of patterns in the form that is verified. */
#include "lang/matcher_build.h"

#include <math.h>
#include <string.h>

static uint32_t add_double(struct matcher_build *b, double low, double high)
{
    uint32_t at = matcher_reserve(b, &b->m->doubles, &b->double_cap, &b->double_count, 2, sizeof(*b->m->doubles));
    if (at == MATCHER_NONE)
        return 0;
    b->m->doubles[at] = low;
    b->m->doubles[at + 1] = high;
    return at;
}

static void set_parts(struct matcher_build *b, const struct pattern_test *from, struct matcher_test *to)
{
    to->count = (uint32_t)from->count;
    to->at = matcher_reserve(b, &b->m->parts, &b->part_cap, &b->part_count, from->count, sizeof(*b->m->parts));
    for (size_t i = 0; i < from->count && !b->nomem; i++) {
        uint32_t text = matcher_text(b, from->parts[i].s, from->parts[i].len);
        b->m->parts[to->at + i] = (struct matcher_text){text, (uint32_t)from->parts[i].len};
    }
}

static void set_tests(struct matcher_build *b, const struct pattern_test *from, struct matcher_test *to)
{
    to->count = (uint32_t)from->count;
    to->at = matcher_reserve(b, &b->m->refs, &b->ref_cap, &b->ref_count, from->count, sizeof(*b->m->refs));
    for (size_t i = 0; i < from->count && !b->nomem; i++) {
        uint32_t test = matcher_test(b, &from->tests[i]);
        b->m->refs[to->at + i] = test;
    }
}

static void set_regex(struct matcher_build *b, const struct pattern_test *from, struct matcher_test *to)
{
    to->at = matcher_reserve(b, &b->m->regexes, &b->regex_cap, &b->regex_count, 1, sizeof(struct peri_regex *));
    if (!b->nomem)
        b->m->regexes[to->at] = peri_regex_ref(from->regex);
}

/* What the test is, as bytes: equal ones are equal tests. A regular expression is known by its address only. */
static void describe(struct peri_buf *out, const struct pattern_test *test)
{
    bool parts = test->kind == TEST_WILDCARD, tests = test->kind == TEST_NONE_OF || test->kind == TEST_ALL_OF;
    const uint32_t head[] = {test->kind, test->fold, test->exists, parts || tests ? (uint32_t)test->count : 0};
    peri_buf_append(out, head, sizeof(head));
    if (test->kind == TEST_STRING || test->kind == TEST_PREFIX || test->kind == TEST_SUFFIX) {
        peri_buf_append(out, &test->text.len, sizeof(test->text.len));
        if (test->text.len)
            peri_buf_append(out, test->text.s, test->text.len);
    }
    if (test->kind == TEST_NUMERIC) {
        const bool open[] = {test->low_open, test->high_open};
        const double bounds[] = {test->low, test->high};
        peri_buf_append(out, open, sizeof(open));
        peri_buf_append(out, bounds, sizeof(bounds));
    }
    if (test->kind == TEST_NUMBER && test->number.fits)
        peri_buf_append(out, &test->number.value, sizeof(test->number.value));
    else if (test->kind == TEST_NUMBER)
        peri_buf_append(out, test->number.text, test->number.len);
    if (test->kind == TEST_NUMBER)
        peri_buf_putc(out, test->number.fits ? 'y' : 'n');
    for (size_t i = 0; parts && i < test->count; i++) {
        peri_buf_append(out, &test->parts[i].len, sizeof(test->parts[i].len));
        peri_buf_append(out, test->parts[i].s, test->parts[i].len);
    }
    for (size_t i = 0; tests && i < test->count; i++)
        describe(out, &test->tests[i]);
    if (test->kind == TEST_CIDR) {
        peri_buf_append(out, &test->net_bytes, sizeof(test->net_bytes));
        peri_buf_append(out, &test->net_bits, sizeof(test->net_bits));
        peri_buf_append(out, test->net, sizeof(test->net));
    }
    if (test->kind == TEST_REGEX)
        peri_buf_append(out, &test->regex, sizeof(struct peri_regex *));
}

uint32_t *matcher_known(struct matcher_build *b, char kind, uint32_t x, const struct pattern_test *tests, size_t count)
{
    uint32_t *number = NULL;
    peri_buf_reset(&b->bytes);
    peri_buf_putc(&b->bytes, kind);
    peri_buf_append(&b->bytes, &x, sizeof(x));
    for (size_t i = 0; i < count; i++)
        describe(&b->bytes, &tests[i]);
    if (b->bytes.failed == PERI_OK)
        number = matcher_intern(b->intern, b->bytes.data, b->bytes.len);
    b->nomem |= !number;
    return number;
}

/* An open bound of a double is the closed bound next to it. */
void matcher_bounds(const struct pattern_test *test, double *ret_low, double *ret_high)
{
    *ret_low = test->low_open ? nextafter(test->low, INFINITY) : test->low;
    *ret_high = test->high_open ? nextafter(test->high, -INFINITY) : test->high;
}

static struct matcher_test make(struct matcher_build *b, const struct pattern_test *from)
{
    struct matcher_test to = {.kind = (uint8_t)from->kind, .fold = from->fold, .exists = from->exists};
    double low, high;
    switch (from->kind) {
    case TEST_STRING:
    case TEST_PREFIX:
    case TEST_SUFFIX:
        to.at = matcher_text(b, from->text.s, from->text.len);
        to.count = (uint32_t)from->text.len;
        break;
    case TEST_NUMBER:
        to.fits = from->number.fits;
        to.count = (uint32_t)from->number.len;
        to.at = to.fits ? add_double(b, from->number.value, from->number.value)
                        : matcher_text(b, from->number.text, from->number.len);
        break;
    case TEST_NUMERIC:
        matcher_bounds(from, &low, &high);
        to.at = add_double(b, low, high);
        break;
    case TEST_WILDCARD:
        set_parts(b, from, &to);
        break;
    case TEST_CIDR:
        to.at = matcher_text(b, (const char *)from->net, 16);
        to.count = from->net_bytes << 8 | from->net_bits;
        break;
    case TEST_REGEX:
        set_regex(b, from, &to);
        break;
    case TEST_NONE_OF:
    case TEST_ALL_OF:
        set_tests(b, from, &to);
        break;
    default:
        break;
    }
    return to;
}

uint32_t matcher_test(struct matcher_build *b, const struct pattern_test *from)
{
    uint32_t *known = matcher_known(b, 't', 0, from, 1);
    if (known && *known != MATCHER_NONE)
        return *known;
    struct matcher_test to = make(b, from);
    uint32_t id = matcher_reserve(b, &b->m->tests, &b->test_cap, &b->test_count, 1, sizeof(*b->m->tests));
    known = matcher_known(b, 't', 0, from, 1);
    if (b->nomem)
        return 0;
    b->m->tests[id] = to;
    return *known = id;
}

uint32_t matcher_leaf(struct matcher_build *b, const struct pattern_leaf *from)
{
    uint32_t *known = matcher_known(b, 'l', 0, from->tests, from->count);
    if (known && *known != MATCHER_NONE)
        return *known;
    struct matcher_leaf to = {.test_count = (uint32_t)from->count, .may_miss = from->may_miss};
    to.test_first = matcher_reserve(b, &b->m->refs, &b->ref_cap, &b->ref_count, from->count, sizeof(*b->m->refs));
    for (size_t i = 0; i < from->count && !b->nomem; i++) {
        uint32_t test = matcher_test(b, &from->tests[i]);
        b->m->refs[to.test_first + i] = test;
    }
    uint32_t id = matcher_reserve(b, &b->m->leaves, &b->leaf_cap, &b->leaf_count, 1, sizeof(*b->m->leaves));
    known = matcher_known(b, 'l', 0, from->tests, from->count);
    if (b->nomem)
        return 0;
    b->m->leaves[id] = to;
    return *known = id;
}
