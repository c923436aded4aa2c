/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers: reading them fast, and which of many ranges hold one. The ranges of a field are sorted by their lower bound;
 * the middle one is the root of a tree whose halves are its branches, and each knows the highest upper bound below it,
 * so that branches that end below the value are not entered. */
#include "lang/matcher_internal.h"

#include <stdlib.h>

static int by_low(const void *a, const void *b)
{
    const struct matcher_range *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    return x->posting.pattern < y->posting.pattern ? -1 : x->posting.pattern > y->posting.pattern;
}

static double set_top(struct matcher_range *ranges, size_t count)
{
    size_t middle = count / 2;
    double top = ranges[middle].high;
    if (middle > 0) {
        double left = set_top(ranges, middle);
        top = left > top ? left : top;
    }
    if (middle + 1 < count) {
        double right = set_top(ranges + middle + 1, count - middle - 1);
        top = right > top ? right : top;
    }
    return ranges[middle].top = top;
}

void matcher_ranges_sort(struct matcher_range *ranges, size_t count)
{
    if (!count)
        return;
    qsort(ranges, count, sizeof(*ranges), by_low);
    set_top(ranges, count);
}

void matcher_ranges_find(const struct matcher_range *ranges, size_t count, double value,
    void (*found)(struct peri_matcher_scratch *r, struct matcher_scalar *scalar, struct matcher_posting posting),
    struct peri_matcher_scratch *r, struct matcher_scalar *scalar)
{
    while (count) {
        size_t middle = count / 2;
        const struct matcher_range *at = &ranges[middle];
        if (at->top < value)
            return;
        matcher_ranges_find(ranges, middle, value, found, r, scalar);
        if (at->low > value)
            return;
        if (at->high >= value)
            found(r, scalar, at->posting);
        ranges += middle + 1;
        count -= middle + 1;
    }
}

/* Up to 15 significant digits and a power of ten that a double holds exactly: one multiplication or division rounds
 * right, and the text is the shortest form of the result. */
struct pattern_number matcher_number_read(const char *text, size_t len)
{
    static const double tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *s = text, *end = text + len;
    uint64_t value = 0;
    int digits = 0, exponent = 0, zeros = 0;
    bool point = false;
    s += *s == '-';
    for (; s < end; s++) {
        unsigned digit = (unsigned)(unsigned char)*s - '0';
        if (digit > 9) {
            if (*s != '.')
                return pattern_number_read(text, len);
            point = true;
            continue;
        }
        exponent -= point;
        if (!digit) {
            zeros += value != 0;
            continue;
        }
        digits += zeros + 1;
        if (digits > 15)
            return pattern_number_read(text, len);
        for (; zeros; zeros--)
            value *= 10;
        value = value * 10 + digit;
    }
    exponent += zeros;
    if (value && (exponent < -22 || exponent > 22))
        return pattern_number_read(text, len);
    double d = (double)value;
    d = !value ? 0 : exponent < 0 ? d / tens[-exponent] : d * tens[exponent];
    return (struct pattern_number){text, len, text[0] == '-' ? -d : d, true};
}
