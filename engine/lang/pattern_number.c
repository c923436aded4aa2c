/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers by value, as far as a double tells them apart. A text that says more than a double can hold is kept as text,
 * so that 9007199254740993 never equals 9007199254740992. */
#include "lang/pattern_internal.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17 /* no shortest form of a double has more */
#define TEXT_MAX 64

/* The significant digits, and the power of ten of the first one. */
struct decimal {
    char digits[DIGITS_MAX + 1];
    size_t count;
    long exponent;
    bool too_long;
};

static struct decimal decimal_read(const char *s, size_t len)
{
    struct decimal d = {.exponent = -1};
    const char *end = s + len;
    size_t zeros = 0; /* not yet known to be significant */
    bool point = false, started = false;
    for (; s < end && (*s | 0x20) != 'e'; s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        if (!isdigit((unsigned char)*s))
            continue;
        started |= *s != '0';
        if (started && !point)
            d.exponent++;
        if (!started && point)
            d.exponent--;
        if (started && *s == '0') {
            zeros++;
        } else if (started) {
            for (; zeros; zeros--) {
                if (d.count < DIGITS_MAX)
                    d.digits[d.count++] = '0';
                else
                    d.too_long = true;
            }
            if (d.count < DIGITS_MAX)
                d.digits[d.count++] = *s;
            else
                d.too_long = true;
        }
    }
    if (s < end) {
        bool minus = *++s == '-';
        long e = 0;
        for (; s < end; s++)
            if (isdigit((unsigned char)*s) && e < 100000000)
                e = e * 10 + (*s - '0');
        d.exponent += minus ? -e : e;
    }
    return d;
}

static bool same(const struct decimal *a, const struct decimal *b)
{
    return a->count == b->count && a->exponent == b->exponent && memcmp(a->digits, b->digits, a->count) == 0;
}

/* strtod and printf write the locale's point; JSON always has a dot. */
static char local_point(void)
{
    return localeconv()->decimal_point[0];
}

/* value rounded to so many digits, read as a decimal; *ret_back is what it reads back as. */
static struct decimal rounded(double value, size_t digits, double *ret_back)
{
    char text[TEXT_MAX];
    int len = snprintf(text, sizeof(text), "%.*e", (int)digits - 1, value);
    *ret_back = strtod(text, NULL);
    char *point = memchr(text, local_point(), (size_t)len);
    if (point)
        *point = '.';
    return decimal_read(text, (size_t)len);
}

/* True when the decimal is the shortest form of the double next to it. */
static bool holds(const struct decimal *d, double value)
{
    if (!d->count)
        return true;
    if (d->too_long || !isfinite(value) || value == 0)
        return false;
    if (d->count <= DBL_DIG && fabs(value) >= DBL_MIN)
        return true;
    double back;
    struct decimal r = rounded(value, d->count, &back);
    if (back != value || !same(d, &r))
        return false;
    if (d->count == 1)
        return true;
    rounded(value, d->count - 1, &back);
    return back != value;
}

struct pattern_number pattern_number_read(const char *text, size_t len)
{
    struct pattern_number n = {.text = text, .len = len};
    struct decimal d = decimal_read(text, len);
    if (d.too_long)
        return n;
    /* The digits and exponent again: bounded, whatever the text was. */
    char canonical[TEXT_MAX];
    long exponent = d.exponent > 99999 ? 99999 : d.exponent < -99999 ? -99999 : d.exponent;
    snprintf(canonical, sizeof(canonical), "%s%.*se%ld", text[0] == '-' ? "-" : "", d.count ? (int)d.count : 1,
        d.count ? d.digits : "0", d.count ? exponent - (long)d.count + 1 : 0);
    n.value = strtod(canonical, NULL);
    n.fits = holds(&d, n.value);
    return n;
}

bool pattern_number_equal(const struct pattern_number *a, const struct pattern_number *b)
{
    if (a->fits && b->fits)
        return a->value == b->value;
    return !a->fits && !b->fits && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}
