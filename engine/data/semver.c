/* SPDX-License-Identifier: Apache-2.0 */
/* Every comparator is brought to the plain forms <, <=, >, >= with full versions, so that matching is a loop over
 * numbers. An upper bound that stands for "the next minor" excludes the pre-releases of that next one: it carries the
 * lowest pre-release there is, "0". */
#include "data/semver.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"

#define NUMBER_MAX INT64_C(9007199254740991)
#define RANGE_MAX 512

struct version {
    int64_t part[3];
    const char *pre; /* not ended by NUL; NULL: none */
    size_t pre_len;
};

enum op { LT, LE, GT, GE };

struct comparator {
    enum op op;
    struct version version;
    size_t alternative;
};

struct peri_range {
    char *text; /* comparators point into it */
    struct comparator *items;
    size_t count, cap;
    size_t alternatives;
};

/* --- versions --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *read_number(const char *p, int64_t *ret)
{
    int64_t n = 0;
    if (!is_digit(*p) || (*p == '0' && is_digit(p[1])))
        return NULL;
    for (; is_digit(*p); p++) {
        n = n * 10 + (*p - '0');
        if (n > NUMBER_MAX)
            return NULL;
    }
    *ret = n;
    return p;
}

/* Dotted identifiers of a pre-release (numbers without leading zeros) or of build metadata. */
static const char *read_idents(const char *p, bool strict)
{
    for (;;) {
        const char *start = p;
        bool digits = true;
        for (; isalnum((unsigned char)*p) || *p == '-'; p++)
            digits = digits && is_digit(*p);
        if (p == start || (strict && digits && *start == '0' && p - start > 1))
            return NULL;
        if (*p != '.')
            return p;
        p++;
    }
}

/* What may follow the third number. */
static const char *read_tail(const char *p, struct version *v)
{
    v->pre = NULL;
    v->pre_len = 0;
    if (*p == '-') {
        v->pre = p + 1;
        p = read_idents(p + 1, true);
        v->pre_len = p ? (size_t)(p - v->pre) : 0;
    }
    if (p && *p == '+')
        p = read_idents(p + 1, false);
    return p;
}

static const char *read_version(const char *p, struct version *v)
{
    for (int i = 0; p && i < 3; i++) {
        p = read_number(p, &v->part[i]);
        if (p && i < 2)
            p = *p == '.' ? p + 1 : NULL;
    }
    return p ? read_tail(p, v) : NULL;
}

static bool parse_version(const char *text, struct version *v)
{
    const char *end = text ? read_version(text, v) : NULL;
    return end && !*end;
}

bool peri_semver_ok(const char *version)
{
    struct version v;
    return parse_version(version, &v);
}

/* Numbers before words, numbers by size (any number of digits), words byte by byte. */
static int compare_ident(const char *a, size_t an, const char *b, size_t bn)
{
    bool a_digits = strspn(a, "0123456789") >= an, b_digits = strspn(b, "0123456789") >= bn;
    if (a_digits != b_digits)
        return a_digits ? -1 : 1;
    if (a_digits && an != bn)
        return an < bn ? -1 : 1;
    int c = memcmp(a, b, an < bn ? an : bn);
    return c ? c : (an > bn) - (an < bn);
}

static size_t ident_length(const char *p, size_t left)
{
    const char *dot = memchr(p, '.', left);
    return dot ? (size_t)(dot - p) : left;
}

static int compare_pre(const struct version *a, const struct version *b)
{
    const char *p = a->pre, *q = b->pre;
    size_t pn = a->pre_len, qn = b->pre_len;
    if (!p || !q)
        return (p == NULL) - (q == NULL); /* a version without one is the newer */
    for (;;) {
        size_t an = ident_length(p, pn), bn = ident_length(q, qn);
        int c = compare_ident(p, an, q, bn);
        if (c || an == pn || bn == qn)
            return c ? c : (an < pn) - (bn < qn);
        p += an + 1;
        pn -= an + 1;
        q += bn + 1;
        qn -= bn + 1;
    }
}

static int compare(const struct version *a, const struct version *b)
{
    for (int i = 0; i < 3; i++)
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i] ? -1 : 1;
    return compare_pre(a, b);
}

int peri_semver_compare(const char *a, const char *b)
{
    struct version va, vb;
    return parse_version(a, &va) && parse_version(b, &vb) ? compare(&va, &vb) : 0;
}

/* --- ranges --- */

/* A version that may end early: given is the number of parts that are numbers. */
struct partial {
    struct version version;
    int given;
};

static bool is_wild(char c)
{
    return c == 'x' || c == 'X' || c == '*';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip(const char *p)
{
    while (is_blank(*p))
        p++;
    return p;
}

static const char *read_partial(const char *p, struct partial *ret)
{
    bool wild = false;
    *ret = (struct partial){0};
    if (*p == 'v')
        p++;
    for (int i = 0; i < 3; i++) {
        int64_t n = 0;
        if (is_wild(*p)) {
            wild = true;
            p++;
        } else {
            p = wild ? NULL : read_number(p, &n);
            if (!p)
                return NULL;
            ret->version.part[i] = n;
            ret->given = i + 1;
        }
        if (i == 2 || *p != '.')
            break;
        p++;
    }
    struct version tail = ret->version;
    p = read_tail(p, &tail);
    if (ret->given == 3)
        ret->version = tail;
    return p;
}

static bool add(struct peri_range *r, enum op op, struct version v)
{
    if (!peri_vec_grow(&r->items, &r->cap, r->count + 1, sizeof(*r->items)))
        return false;
    r->items[r->count++] = (struct comparator){op, v, r->alternatives};
    return true;
}

/* The first version that has part i raised, and with it the pre-releases of that version, are out. */
static bool add_below(struct peri_range *r, const struct version *from, int i)
{
    struct version v = {.pre = "0", .pre_len = 1};
    for (int k = 0; k <= i; k++)
        v.part[k] = from->part[k];
    v.part[i]++;
    return add(r, LT, v);
}

static bool add_from(struct peri_range *r, const struct version *v)
{
    return add(r, GE, *v);
}

static bool add_nothing(struct peri_range *r)
{
    return add(r, LT, (struct version){.pre = "0", .pre_len = 1});
}

static bool add_caret(struct peri_range *r, const struct partial *p)
{
    const struct version *v = &p->version;
    int i = v->part[0] > 0 || p->given == 1 ? 0 : v->part[1] > 0 || p->given == 2 ? 1 : 2;
    return add_from(r, v) && add_below(r, v, i);
}

static bool add_tilde(struct peri_range *r, const struct partial *p)
{
    return add_from(r, &p->version) && add_below(r, &p->version, p->given == 1 ? 0 : 1);
}

static bool add_equal(struct peri_range *r, const struct partial *p)
{
    if (p->given == 3)
        return add(r, GE, p->version) && add(r, LE, p->version);
    return add_from(r, &p->version) && add_below(r, &p->version, p->given - 1);
}

static bool add_less(struct peri_range *r, const struct partial *p, bool or_equal)
{
    struct version v = p->version;
    if (p->given == 3)
        return add(r, or_equal ? LE : LT, v);
    if (or_equal)
        return add_below(r, &v, p->given - 1);
    v.pre = "0";
    v.pre_len = 1;
    return add(r, LT, v);
}

static bool add_more(struct peri_range *r, const struct partial *p, bool or_equal)
{
    struct version v = p->version;
    if (p->given == 3)
        return add(r, or_equal ? GE : GT, v);
    if (!or_equal)
        v.part[p->given - 1]++;
    return add(r, GE, v);
}

static bool add_comparator(struct peri_range *r, char op, bool or_equal, const struct partial *p)
{
    if (p->given == 0) /* every version; nothing is below or above all of them */
        return (op == '<' || op == '>') && !or_equal ? add_nothing(r) : true;
    switch (op) {
    case '^':
        return add_caret(r, p);
    case '~':
        return add_tilde(r, p);
    case '<':
        return add_less(r, p, or_equal);
    case '>':
        return add_more(r, p, or_equal);
    default:
        return add_equal(r, p);
    }
}

static enum peri_status bad(const char *text, const char *at, struct peri_error *err)
{
    return peri_error_set(err, PERI_EINVAL, "bad-range",
        *at ? "\"%s\" is not a range of versions: it makes no sense from \"%.20s\" on" : "\"%s\" ends too early", text,
        at);
}

/* One comparator, or (alone in its alternative) both ends of a span. *p is moved behind it. */
static enum peri_status read_comparator(struct peri_range *r, const char **p, bool first, struct peri_error *err)
{
    const char *s = *p, *start = s, *end;
    struct partial low, high;
    char op = strchr("^~<>=", *s) && *s ? *s++ : '\0';
    bool or_equal = (op == '<' || op == '>') && *s == '=';
    s = skip(s + (or_equal || (op == '~' && *s == '>')));
    end = read_partial(s, &low);
    if (!end || !(is_blank(*end) || *end == '|' || *end == '\0'))
        return bad(r->text, end ? end : *s ? s : start, err);
    const char *dash = skip(end);
    if (op || !first || *dash != '-' || dash == end || !is_blank(dash[1])) {
        *p = end;
        return add_comparator(r, op, or_equal, &low) ? PERI_OK : peri_error_nomem(err);
    }
    s = skip(dash + 1);
    end = read_partial(s, &high);
    if (end)
        end = skip(end);
    if (!end || !(*end == '|' || *end == '\0'))
        return bad(r->text, end ? end : s, err);
    *p = end;
    bool ok = low.given == 0 || add_more(r, &low, true);
    if (ok && high.given)
        ok = add_less(r, &high, true);
    return ok ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status read_range(struct peri_range *r, struct peri_error *err)
{
    const char *p = r->text;
    for (;;) {
        bool first = true;
        for (p = skip(p); *p && *p != '|'; p = skip(p), first = false) {
            enum peri_status st = read_comparator(r, &p, first, err);
            if (st)
                return st;
        }
        r->alternatives++;
        if (!*p)
            return PERI_OK;
        if (p[1] != '|')
            return bad(r->text, p, err);
        p += 2;
    }
}

enum peri_status peri_range_parse(const char *text, struct peri_range **ret, struct peri_error *err)
{
    if (strlen(text) > RANGE_MAX)
        return peri_error_set(err, PERI_EINVAL, "bad-range", "a range of versions has at most %d bytes", RANGE_MAX);
    struct peri_range *r = calloc(1, sizeof(*r));
    if (!r)
        return peri_error_nomem(err);
    r->text = peri_strdup(text);
    enum peri_status st = r->text ? read_range(r, err) : peri_error_nomem(err);
    if (st)
        peri_range_destroy(r);
    else
        *ret = r;
    return st;
}

void peri_range_destroy(struct peri_range *range)
{
    if (!range)
        return;
    free(range->text);
    free(range->items);
    free(range);
}

const char *peri_range_text(const struct peri_range *range)
{
    return range->text;
}

static bool holds(const struct comparator *c, const struct version *v)
{
    int order = compare(v, &c->version);
    switch (c->op) {
    case LT:
        return order < 0;
    case LE:
        return order <= 0;
    case GT:
        return order > 0;
    case GE:
        return order >= 0;
    }
    return false;
}

static bool in_alternative(const struct peri_range *r, size_t alternative, const struct version *v)
{
    bool named = v->pre == NULL;
    for (size_t i = 0; i < r->count; i++) {
        const struct comparator *c = &r->items[i];
        if (c->alternative != alternative)
            continue;
        if (!holds(c, v))
            return false;
        named = named || (c->version.pre && !memcmp(c->version.part, v->part, sizeof(v->part)));
    }
    return named;
}

bool peri_range_has(const struct peri_range *range, const char *version)
{
    struct version v;
    if (!parse_version(version, &v))
        return false;
    for (size_t i = 0; i < range->alternatives; i++)
        if (in_alternative(range, i, &v))
            return true;
    return false;
}
