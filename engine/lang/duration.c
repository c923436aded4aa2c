/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/duration.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DURATION_MAX_MS (INT64_C(3650) * 86400000)

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {{"w", 604800000}, {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

static enum peri_status refuse(struct peri_error *err, const char *text, size_t len, const char *why)
{
    return peri_error_set(
        err, PERI_EINVAL, "duration", "\"%.*s\" is no duration: %s", (int)(len > 60 ? 60 : len), text, why);
}

/* The index of the unit that is written at s, with its length. */
static size_t unit_at(const char *s, const char *end, size_t *ret_len)
{
    size_t len = 0;
    while (s + len < end && isalpha((unsigned char)s[len]))
        len++;
    *ret_len = len;
    for (size_t i = 0; i < UNIT_COUNT; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, s, len) == 0)
            return i;
    return UNIT_COUNT;
}

enum peri_status peri_duration_parse(const char *text, size_t len, int64_t *ret_ms, struct peri_error *err)
{
    const char *s = text, *end = text + len;
    int64_t total = 0;
    size_t smallest = 0; /* units before this one are used up */
    if (!len)
        return refuse(err, text, len, "it is empty, write for example 90s, 10m, 1h30m or 2d");
    while (s < end) {
        int64_t n = 0;
        const char *digits = s;
        for (; s < end && isdigit((unsigned char)*s); s++)
            if (n <= DURATION_MAX_MS)
                n = n * 10 + (*s - '0');
        if (s == digits)
            return refuse(err, text, len, "a whole number and a unit are expected, as in 90s, 10m, 1h30m or 2d");
        size_t name_len, unit = unit_at(s, end, &name_len);
        if (unit == UNIT_COUNT)
            return refuse(err, text, len,
                name_len ? "the units are w, d, h, m, s and ms" : "a number needs a unit: w, d, h, m, s or ms");
        if (unit < smallest)
            return refuse(err, text, len, "each unit may stand once, larger units first");
        if (n > DURATION_MAX_MS / units[unit].ms || total + n * units[unit].ms > DURATION_MAX_MS)
            return refuse(err, text, len, "it is longer than 3650 days");
        total += n * units[unit].ms;
        smallest = unit + 1;
        s += name_len;
    }
    *ret_ms = total;
    return PERI_OK;
}

char *peri_duration_format(int64_t ms, char *out)
{
    const size_t cap = 48;
    size_t len = 0;
    uint64_t rest = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    if (ms < 0)
        out[len++] = '-';
    if (!rest) {
        memcpy(out, "0s", 3);
        return out;
    }
    size_t first = rest % (uint64_t)units[0].ms == 0 ? 0 : 1; /* weeks only when nothing else is needed */
    for (size_t i = first; i < UNIT_COUNT; i++) {
        uint64_t n = rest / (uint64_t)units[i].ms;
        rest %= (uint64_t)units[i].ms;
        if (n && len < cap)
            len += (size_t)snprintf(out + len, cap - len, "%llu%s", (unsigned long long)n, units[i].name);
    }
    return out;
}
