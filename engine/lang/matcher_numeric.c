/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers: reading them fast, and which of many ranges hold one. The ranges of a field are sorted by their lower bound.
 * A grid of as many cells as there are ranges says where among them a value is, and each range knows how far those up
 * to it reach. Where they do not overlap that is enough; else the middle one is the root of a tree whose halves are its
 * branches, and each knows the highest upper bound below it, so that branches that end below the value are not entered.
 */
#include "lang/matcher_internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    ranges[0].reach = ranges[0].high;
    for (size_t i = 1; i < count; i++)
        ranges[i].reach = ranges[i].high > ranges[i - 1].reach ? ranges[i].high : ranges[i - 1].reach;
}

static void find_in_tree(const struct matcher_range *ranges, size_t count, double value,
    void (*found)(struct peri_matcher_scratch *r, struct matcher_scalar *scalar, struct matcher_posting posting),
    struct peri_matcher_scratch *r, struct matcher_scalar *scalar)
{
    while (count) {
        size_t middle = count / 2;
        const struct matcher_range *at = &ranges[middle];
        if (at->top < value)
            return;
        find_in_tree(ranges, middle, value, found, r, scalar);
        if (at->low > value)
            return;
        if (at->high >= value)
            found(r, scalar, at->posting);
        ranges += middle + 1;
        count -= middle + 1;
    }
}

/* The cell of a number that is not below the grid's first; never falling. */
static size_t cell_of(const struct matcher_grid *grid, double value)
{
    double cell = (value - grid->low) * grid->scale;
    return cell < grid->cells ? (size_t)cell : grid->cells - 1;
}

size_t matcher_grid_set(struct matcher_grid *grid, const struct matcher_range *ranges, size_t count, uint32_t *starts)
{
    size_t open = 0, cells = 1; /* open: without a lower bound */
    while (open < count && ranges[open].low == -INFINITY)
        open++;
    while (cells * 2 <= count - open)
        cells *= 2;
    grid->open = (uint32_t)open;
    grid->cells = (uint32_t)cells;
    if (open == count)
        return 0;
    double wide = ranges[count - 1].low - ranges[open].low, scale = (double)cells / wide;
    grid->low = ranges[open].low;
    grid->scale = wide > 0 && wide <= DBL_MAX && scale <= DBL_MAX ? scale : 0; /* 0: all in the first cell */
    for (size_t cell = 0, i = open; cell <= cells; cell++) {
        while (i < count && cell_of(grid, ranges[i].low) < cell)
            i++;
        starts[cell] = (uint32_t)i;
    }
    return cells + 1;
}

void matcher_ranges_find(const struct matcher_grid *grid, const uint32_t *starts, const struct matcher_range *ranges,
    size_t count, double value,
    void (*found)(struct peri_matcher_scratch *r, struct matcher_scalar *scalar, struct matcher_posting posting),
    struct peri_matcher_scratch *r, struct matcher_scalar *scalar)
{
    size_t begun = grid->open; /* how many begin at the value or below */
    if (begun < count && value >= grid->low) {
        size_t cell = cell_of(grid, value), left = starts[cell + 1] - starts[cell];
        begun = starts[cell];
        for (; left > 1; left -= left / 2) /* without a branch that nobody could foretell */
            begun += left / 2 & (0 - (size_t)(ranges[begun + left / 2 - 1].low <= value));
        begun += left && ranges[begun].low <= value;
    }
    if (!begun || ranges[begun - 1].reach < value)
        return;
    if (begun == 1 || ranges[begun - 2].reach < value)
        found(r, scalar, ranges[begun - 1].posting);
    else
        find_in_tree(ranges, count, value, found, r, scalar);
}

/* Each is exact. */
static const double tens[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};

/* Powers of five up to the 22nd are below 2^52. */
static uint64_t power_of_five(unsigned n)
{
    static const uint64_t few[] = {1, 5, 25, 125, 625, 3125, 15625, 78125};
    uint64_t power = few[n & 7];
    for (; n >= 8; n -= 8)
        power *= 390625;
    return power;
}

/* 16 or 17 significant digits (the last one not 0) over a power of ten from 1 to 19: the double next to the
 * decimal, and whether the decimal is the shortest one that reads back as it. With the double m * 2^e all is compared
 * as whole numbers of 128 bits, in units in which half the distance to the next double is 5^power. False when that
 * does not decide it: ties, powers of two, sizes beyond 128 bits. */
static bool read_long(uint64_t decimal, unsigned power, double *ret_value, bool *ret_fits)
{
    typedef unsigned __int128 wide;
    double value = (double)decimal / tens[power]; /* at most two doubles off */
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint64_t m = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    int shift = 1075 - (int)(bits >> 52) - (int)power + 1;
    if (shift < 2 || shift > 66)
        return false;
    const wide half = power_of_five(power), step = half * 2, exact = (wide)decimal << shift;
    wide there = step * m;
    for (; there > exact + half; m--)
        there -= step;
    for (; exact > there + half; m++)
        there += step;
    wide off = there > exact ? there - exact : exact - there;
    const wide unit = (wide)1 << shift, ten = unit * 10; /* of the decimal's last digit, and of the one before */
    if (m <= UINT64_C(1) << 52 || m >= UINT64_C(1) << 53 || off == half || off * 2 == unit)
        return false;
    uint64_t whole = (uint64_t)(there >> shift); /* of the last digit */
    wide down = there - (wide)(whole - whole % 10) * unit, up = ten - down;
    wide shorter = down < up ? down : up; /* how far the nearest decimal with a digit less is */
    if (shorter == half)
        return false;
    bits = (bits & ~((UINT64_C(1) << 52) - 1)) | (m & ((UINT64_C(1) << 52) - 1));
    memcpy(ret_value, &bits, sizeof(bits));
    *ret_fits = off * 2 < unit && shorter > half;
    return true;
}

/* Eight digits at once: neighbours become numbers of two digits, these of four, these of eight. False when one of the
 * bytes is no digit. After D. Lemire, "Quickly parsing eight digits" (2018). */
static bool eight_digits(const char *s, uint64_t *value)
{
    uint64_t w;
    memcpy(&w, s, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    w ^= UINT64_C(0x3030303030303030);
    if ((w | (w + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080))
        return false;
    w = w * 10 + (w >> 8);
    w = ((w & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
            (w >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
        32;
    *value = *value * 100000000 + w;
    return true;
}

/* The digits from s on; returns where they end. */
static const char *read_digits(const char *s, const char *end, uint64_t *value)
{
    while (end - s >= 8 && eight_digits(s, value))
        s += 8;
    for (; s < end && (unsigned char)(*s - '0') <= 9; s++)
        *value = *value * 10 + (unsigned char)(*s - '0');
    return s;
}

#define TEN_TO_15 UINT64_C(1000000000000000)
#define TEN_TO_17 UINT64_C(100000000000000000)

/* A number without an exponent whose digits fit into 64 bits: value / 10^power. */
struct short_number {
    uint64_t value;
    unsigned power;
    bool minus;
};

static bool read_short(const char *text, size_t len, struct short_number *ret)
{
    const char *s = text, *end = text + len;
    bool point;
    *ret = (struct short_number){.minus = *s == '-'};
    s = read_digits(s + ret->minus, end, &ret->value);
    point = s < end && *s == '.';
    if (point) {
        const char *fraction = s + 1;
        s = read_digits(fraction, end, &ret->value);
        ret->power = (unsigned)(s - fraction);
    }
    return s == end && len <= 19u + ret->minus + point;
}

/* Up to 15 significant digits and a power of ten that a double holds exactly: one multiplication or division rounds
 * right, and the text is the shortest form of the result. So is a whole number below 2^53. */
static struct pattern_number from_short(struct short_number d, const char *text, size_t len)
{
    struct pattern_number n = {text, len, 0, true};
    for (; d.power && d.value >= TEN_TO_15 && d.value % 10 == 0; d.power--)
        d.value /= 10;
    if (!d.power && d.value <= UINT64_C(1) << 53)
        n.value = (double)d.value;
    else if (d.value < TEN_TO_15)
        n.value = (double)d.value / tens[d.power];
    else if (d.value >= TEN_TO_17 && d.value % 10)
        n.fits = false;
    else if (d.value >= TEN_TO_17 || !d.power || !read_long(d.value, d.power, &n.value, &n.fits))
        return pattern_number_read(text, len);
    n.value = d.minus ? -n.value : n.value;
    return n;
}

struct pattern_number matcher_number_read(const char *text, size_t len)
{
    struct short_number d;
    return read_short(text, len, &d) ? from_short(d, text, len) : pattern_number_read(text, len);
}

bool matcher_number_outside(const char *text, size_t len, double low, double high, struct pattern_number *ret)
{
    struct short_number d;
    if (!read_short(text, len, &d)) {
        *ret = pattern_number_read(text, len);
        return false;
    }
    if (!d.power && d.value <= UINT64_C(1) << 53) {
        double value = d.minus ? -(double)d.value : (double)d.value;
        *ret = (struct pattern_number){text, len, value, true};
        return value < low || value > high;
    }
    double near = (double)d.value / tens[d.power]; /* two roundings: less than this away from the value */
    double off = near * 4 * DBL_EPSILON;
    near = d.minus ? -near : near;
    if (near + off < low || near - off > high)
        return true;
    *ret = from_short(d, text, len);
    return false;
}
