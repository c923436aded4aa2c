/* SPDX-License-Identifier: Apache-2.0 */
/* One scalar of an event against the alternatives of a leaf. */
#include "lang/pattern_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "data/casefold.h"

static bool room(char **text, size_t *cap, size_t need)
{
    if (need <= *cap)
        return true;
    char *grown = realloc(*text, need);
    if (!grown)
        return false;
    *text = grown;
    *cap = need;
    return true;
}

bool pattern_scalar_read(struct pattern_scratch *scratch, const struct peri_json_tape *tape,
    const struct peri_json_item *item, struct pattern_scalar *ret)
{
    *ret = (struct pattern_scalar){.tape = tape, .item = item, .scratch = scratch};
    if (item->kind != PERI_JSON_STRING)
        return true;
    ret->text = (struct pattern_slice){tape->text + item->off, item->len};
    if (!item->escaped)
        return true;
    if (!room(&scratch->text, &scratch->text_cap, item->len))
        return false;
    ret->text.len = peri_json_unescape(ret->text.s, item->len, scratch->text);
    ret->text.s = scratch->text;
    return true;
}

/* The text of the scalar in the form that a test compares. */
static bool text_of(struct pattern_scalar *scalar, bool fold, struct pattern_slice *ret)
{
    if (scalar->item->kind != PERI_JSON_STRING)
        return false;
    if (fold && !scalar->folded.s) {
        struct pattern_scratch *scratch = scalar->scratch;
        if (!room(&scratch->folded, &scratch->folded_cap, PERI_FOLD_ROOM(scalar->text.len))) {
            scalar->nomem = true;
            return false;
        }
        scalar->folded.len = peri_fold(scalar->text.s, scalar->text.len, scratch->folded);
        scalar->folded.s = scratch->folded;
    }
    *ret = fold ? scalar->folded : scalar->text;
    return true;
}

static const struct pattern_number *number_of(struct pattern_scalar *scalar)
{
    if (scalar->item->kind != PERI_JSON_NUMBER)
        return NULL;
    if (!scalar->number.text)
        scalar->number = pattern_number_read(scalar->tape->text + scalar->item->off, scalar->item->len);
    return &scalar->number;
}

static bool starts(struct pattern_slice s, struct pattern_slice part)
{
    return s.len >= part.len && memcmp(s.s, part.s, part.len) == 0;
}

static bool ends(struct pattern_slice s, struct pattern_slice part)
{
    return s.len >= part.len && memcmp(s.s + s.len - part.len, part.s, part.len) == 0;
}

/* The first and last piece are fixed to the ends; each other one is taken where it occurs first. */
static bool wildcard(const struct pattern_test *test, struct pattern_slice s)
{
    struct pattern_slice first = test->parts[0], last = test->parts[test->count - 1];
    if (test->count == 1)
        return s.len == first.len && starts(s, first);
    if (!starts(s, first))
        return false;
    s.s += first.len;
    s.len -= first.len;
    if (!ends(s, last))
        return false;
    s.len -= last.len;
    for (size_t i = 1; i + 1 < test->count; i++) {
        const char *at = memmem(s.s, s.len, test->parts[i].s, test->parts[i].len);
        if (!at)
            return false;
        s.len -= (size_t)(at - s.s) + test->parts[i].len;
        s.s = at + test->parts[i].len;
    }
    return true;
}

static bool in_net(const struct pattern_test *test, struct pattern_slice s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (s.len >= sizeof(text) || memchr(s.s, '\0', s.len))
        return false;
    memcpy(text, s.s, s.len);
    text[s.len] = '\0';
    if (inet_pton(test->net_bytes == 4 ? AF_INET : AF_INET6, text, address) != 1)
        return false;
    unsigned whole = test->net_bits / 8, rest = test->net_bits % 8;
    if (memcmp(address, test->net, whole) != 0)
        return false;
    return !rest || (address[whole] ^ test->net[whole]) >> (8 - rest) == 0;
}

static bool in_range(const struct pattern_test *test, const struct pattern_number *n)
{
    if (!n || !n->fits)
        return false;
    return (test->low_open ? n->value > test->low : n->value >= test->low) &&
           (test->high_open ? n->value < test->high : n->value <= test->high);
}

static bool text_holds(const struct pattern_test *test, struct pattern_scalar *scalar)
{
    struct pattern_slice s;
    bool found = false;
    if (!text_of(scalar, test->fold, &s))
        return false;
    switch (test->kind) {
    case TEST_STRING:
        return s.len == test->text.len && starts(s, test->text);
    case TEST_PREFIX:
        return starts(s, test->text);
    case TEST_SUFFIX:
        return ends(s, test->text);
    case TEST_WILDCARD:
        return wildcard(test, s);
    case TEST_CIDR:
        return in_net(test, s);
    default: /* TEST_REGEX; a search that gives up finds nothing */
        return peri_regex_search(test->regex, s.s, s.len, &found) == PERI_OK && found;
    }
}

static bool test_holds(const struct pattern_test *test, struct pattern_scalar *scalar)
{
    const struct pattern_number *n;
    switch (test->kind) {
    case TEST_NULL:
        return scalar->item->kind == PERI_JSON_NULL;
    case TEST_TRUE:
        return scalar->item->kind == PERI_JSON_TRUE;
    case TEST_FALSE:
        return scalar->item->kind == PERI_JSON_FALSE;
    case TEST_NUMBER:
        n = number_of(scalar);
        return n && pattern_number_equal(n, &test->number);
    case TEST_NUMERIC:
        return in_range(test, number_of(scalar));
    case TEST_EXISTS:
        return test->exists;
    case TEST_NONE_OF:
        for (size_t i = 0; i < test->count; i++)
            if (test_holds(&test->tests[i], scalar))
                return false;
        return true;
    case TEST_ALL_OF:
        for (size_t i = 0; i < test->count; i++)
            if (!test_holds(&test->tests[i], scalar))
                return false;
        return true;
    default:
        return text_holds(test, scalar);
    }
}

bool pattern_leaf_holds(const struct pattern_leaf *leaf, struct pattern_scalar *scalar)
{
    for (size_t i = 0; i < leaf->count; i++)
        if (test_holds(&leaf->tests[i], scalar))
            return true;
    return false;
}
