/* SPDX-License-Identifier: Apache-2.0 */
/* One scalar of an event against tests. When you change this, change pattern_test.c: they must answer alike. */
#include "lang/matcher_internal.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/vec.h"
#include "data/casefold.h"

static bool room(struct peri_matcher_scratch *r, char **text, size_t *cap, size_t need)
{
    if (need <= *cap || peri_vec_grow(text, cap, need, 1))
        return true;
    r->nomem = true;
    return false;
}

bool matcher_scalar_read(struct peri_matcher_scratch *r, const struct matcher_item *item, struct matcher_scalar *ret)
{
    ret->s = r->scan.text + item->off;
    ret->len = item->len;
    ret->kind = item->kind;
    ret->has_number = false;
    ret->folded = NULL;
    if (!item->escaped)
        return true;
    if (!room(r, &r->decoded, &r->decoded_cap, item->len))
        return false;
    ret->len = (uint32_t)peri_json_unescape(ret->s, item->len, r->decoded);
    ret->s = r->decoded;
    return true;
}

bool matcher_scalar_fold(struct peri_matcher_scratch *r, struct matcher_scalar *scalar)
{
    if (scalar->folded)
        return true;
    if (!room(r, &r->folded, &r->folded_cap, PERI_FOLD_ROOM(scalar->len)))
        return false;
    size_t i = 0;
    for (; i < scalar->len && !(scalar->s[i] & 0x80); i++) {
        char c = scalar->s[i];
        r->folded[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    scalar->folded_len = i < scalar->len ? peri_fold(scalar->s, scalar->len, r->folded) : i;
    scalar->folded = r->folded;
    return true;
}

const struct pattern_number *matcher_scalar_number(struct matcher_scalar *scalar)
{
    if (!scalar->has_number)
        scalar->number = matcher_number_read(scalar->s, scalar->len);
    scalar->has_number = true;
    return &scalar->number;
}

size_t matcher_scalar_address(const struct matcher_scalar *scalar, unsigned char ret[16])
{
    char text[INET6_ADDRSTRLEN];
    if (!scalar->len || scalar->len >= sizeof(text) || memchr(scalar->s, '\0', scalar->len))
        return 0;
    memcpy(text, scalar->s, scalar->len);
    text[scalar->len] = '\0';
    if (memchr(text, ':', scalar->len))
        return inet_pton(AF_INET6, text, ret) == 1 ? 16 : 0;
    return inet_pton(AF_INET, text, ret) == 1 ? 4 : 0;
}

static bool starts(struct pattern_slice s, struct pattern_slice part)
{
    return s.len >= part.len && memcmp(s.s, part.s, part.len) == 0;
}

static bool ends(struct pattern_slice s, struct pattern_slice part)
{
    return s.len >= part.len && memcmp(s.s + s.len - part.len, part.s, part.len) == 0;
}

static struct pattern_slice part_of(const struct peri_matcher *m, uint32_t i)
{
    return (struct pattern_slice){m->text + m->parts[i].at, m->parts[i].len};
}

/* The first and last piece are fixed to the ends; each other one is taken where it occurs first. */
static bool wildcard(const struct peri_matcher *m, const struct matcher_test *test, struct pattern_slice s)
{
    struct pattern_slice first = part_of(m, test->at), last = part_of(m, test->at + test->count - 1);
    if (test->count == 1)
        return s.len == first.len && starts(s, first);
    if (!starts(s, first))
        return false;
    s.s += first.len;
    s.len -= first.len;
    if (!ends(s, last))
        return false;
    s.len -= last.len;
    for (uint32_t i = 1; i + 1 < test->count; i++) {
        struct pattern_slice part = part_of(m, test->at + i);
        const char *at = memmem(s.s, s.len, part.s, part.len);
        if (!at)
            return false;
        s.len -= (size_t)(at - s.s) + part.len;
        s.s = at + part.len;
    }
    return true;
}

static bool in_net(const struct peri_matcher *m, const struct matcher_test *test, const struct matcher_scalar *scalar)
{
    unsigned char address[16];
    const unsigned char *net = (const unsigned char *)m->text + test->at;
    unsigned bits = test->count & 0xff, whole = bits / 8, rest = bits % 8;
    if (matcher_scalar_address(scalar, address) != test->count >> 8 || memcmp(address, net, whole) != 0)
        return false;
    return !rest || (address[whole] ^ net[whole]) >> (8 - rest) == 0;
}

static bool text_holds(struct peri_matcher_scratch *r, const struct matcher_test *test, struct matcher_scalar *scalar)
{
    const struct peri_matcher *m = r->m;
    struct pattern_slice text = {m->text + test->at, test->count}, s = {scalar->s, scalar->len};
    bool found = false;
    if (scalar->kind != PERI_JSON_STRING || (test->fold && !matcher_scalar_fold(r, scalar)))
        return false;
    if (test->fold)
        s = (struct pattern_slice){scalar->folded, scalar->folded_len};
    switch (test->kind) {
    case TEST_STRING:
        return s.len == text.len && memcmp(s.s, text.s, s.len) == 0;
    case TEST_PREFIX:
        return starts(s, text);
    case TEST_SUFFIX:
        return ends(s, text);
    case TEST_WILDCARD:
        return wildcard(m, test, s);
    case TEST_CIDR:
        return in_net(m, test, scalar);
    default: /* TEST_REGEX; a search that gives up finds nothing */
        return peri_regex_search(m->regexes[test->at], s.s, s.len, &found) == PERI_OK && found;
    }
}

static bool number_holds(const struct peri_matcher *m, const struct matcher_test *test, struct matcher_scalar *scalar)
{
    if (scalar->kind != PERI_JSON_NUMBER)
        return false;
    const struct pattern_number *n = matcher_scalar_number(scalar);
    if (test->kind == TEST_NUMBER && !test->fits)
        return !n->fits && n->len == test->count && memcmp(n->text, m->text + test->at, n->len) == 0;
    if (!n->fits)
        return false;
    const double *d = &m->doubles[test->at]; /* of a range: closed bounds */
    return test->kind == TEST_NUMBER ? n->value == d[0] : n->value >= d[0] && n->value <= d[1];
}

bool matcher_test_holds(struct peri_matcher_scratch *r, uint32_t id, struct matcher_scalar *scalar)
{
    const struct matcher_test *test = &r->m->tests[id];
    switch (test->kind) {
    case TEST_NULL:
        return scalar->kind == PERI_JSON_NULL;
    case TEST_TRUE:
        return scalar->kind == PERI_JSON_TRUE;
    case TEST_FALSE:
        return scalar->kind == PERI_JSON_FALSE;
    case TEST_NUMBER:
    case TEST_NUMERIC:
        return number_holds(r->m, test, scalar);
    case TEST_EXISTS:
        return test->exists;
    case TEST_NONE_OF:
        for (uint32_t i = 0; i < test->count; i++)
            if (matcher_test_holds(r, r->m->refs[test->at + i], scalar))
                return false;
        return true;
    case TEST_ALL_OF:
        for (uint32_t i = 0; i < test->count; i++)
            if (!matcher_test_holds(r, r->m->refs[test->at + i], scalar))
                return false;
        return true;
    default:
        return text_holds(r, test, scalar);
    }
}

bool matcher_leaf_holds(struct peri_matcher_scratch *r, const struct matcher_leaf *leaf, struct matcher_scalar *scalar)
{
    for (uint32_t i = 0; i < leaf->test_count; i++)
        if (matcher_test_holds(r, r->m->refs[leaf->test_first + i], scalar))
            return true;
    return false;
}
