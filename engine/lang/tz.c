/* SPDX-License-Identifier: Apache-2.0 */
/* TZif files (RFC 9636): a table of instants at which the offset changes, and for later years a POSIX TZ rule. */
#include "lang/tz.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "lang/tz_rule.h"

#define NAME_MAX_BYTES 64
#define TIMES_MAX 20000
#define TYPES_MAX 256
#define DAY 86400

struct change {
    int64_t at; /* seconds since 1970 UTC */
    unsigned type;
};

struct peri_tz {
    char *name;
    struct change *changes;
    size_t change_count;
    struct peri_tz_type *types; /* the first one holds before all changes */
    size_t type_count;
    bool has_rule; /* for all instants from the last change on */
    struct peri_tz_rule rule;
};

/* -- reading -- */

struct reader {
    const unsigned char *at, *end;
};

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct header {
    unsigned char version;
    size_t isut, isstd, leaps, times, types, chars;
};

static bool read_header(struct reader *r, struct header *h)
{
    if (r->end - r->at < 44 || memcmp(r->at, "TZif", 4) != 0)
        return false;
    const unsigned char *p = r->at + 20;
    *h = (struct header){r->at[4], be32(p), be32(p + 4), be32(p + 8), be32(p + 12), be32(p + 16), be32(p + 20)};
    r->at += 44;
    return h->times <= TIMES_MAX && h->types >= 1 && h->types <= TYPES_MAX && h->chars <= 4096 && h->leaps <= 4096 &&
           h->isut <= h->types && h->isstd <= h->types;
}

static size_t block_size(const struct header *h, size_t time_size)
{
    return h->times * (time_size + 1) + h->types * 6 + h->chars + h->leaps * (time_size + 4) + h->isstd + h->isut;
}

static bool read_types(struct peri_tz *tz, const unsigned char *types, const char *chars, size_t char_count)
{
    for (size_t i = 0; i < tz->type_count; i++, types += 6) {
        struct peri_tz_type *t = &tz->types[i];
        t->offset = (int32_t)be32(types);
        t->dst = types[4] != 0;
        if (types[5] >= char_count || t->offset < -100 * 3600 || t->offset > 100 * 3600)
            return false;
        for (size_t k = types[5], n = 0; k < char_count && chars[k] && n + 1 < sizeof(t->abbrev); k++)
            t->abbrev[n++] = chars[k];
    }
    return true;
}

/* The data block behind a header; times have time_size bytes. */
static bool read_block(struct reader *r, const struct header *h, size_t time_size, struct peri_tz *tz)
{
    if ((size_t)(r->end - r->at) < block_size(h, time_size) || h->leaps)
        return false; /* zones that count leap seconds ("right/...") do not fit POSIX time */
    const unsigned char *times = r->at, *indexes = times + h->times * time_size, *types = indexes + h->times;
    tz->changes = calloc(h->times + 1, sizeof(*tz->changes));
    tz->types = calloc(h->types, sizeof(*tz->types));
    if (!tz->changes || !tz->types)
        return false;
    tz->type_count = h->types;
    for (size_t i = 0; i < h->times; i++) {
        int64_t at = time_size == 8 ? be64(times + i * 8) : (int32_t)be32(times + i * 4);
        if (indexes[i] >= h->types || (i && at <= tz->changes[i - 1].at))
            return false;
        tz->changes[i] = (struct change){at, indexes[i]};
    }
    tz->change_count = h->times;
    r->at += block_size(h, time_size);
    return read_types(tz, types, (const char *)types + h->types * 6, h->chars);
}

static bool read_footer(struct reader *r, struct peri_tz *tz)
{
    if (r->at == r->end || *r->at++ != '\n')
        return false;
    const unsigned char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (!newline)
        return false;
    if (newline == r->at)
        return true; /* no rule: the last type stays */
    tz->has_rule = true;
    return peri_tz_rule_parse((const char *)r->at, (size_t)(newline - r->at), &tz->rule);
}

static bool read_all(struct peri_tz *tz, const unsigned char *data, size_t len)
{
    struct reader r = {data, data + len};
    struct header h;
    if (!read_header(&r, &h))
        return false;
    if (h.version < '2')
        return read_block(&r, &h, 4, tz);
    if ((size_t)(r.end - r.at) < block_size(&h, 4))
        return false;
    r.at += block_size(&h, 4);
    return read_header(&r, &h) && read_block(&r, &h, 8, tz) && read_footer(&r, tz);
}

static struct peri_tz *create(const char *name)
{
    struct peri_tz *tz = calloc(1, sizeof(*tz));
    if (!tz)
        return NULL;
    tz->name = peri_strdup(name);
    if (tz->name)
        return tz;
    free(tz);
    return NULL;
}

enum peri_status peri_tz_parse(
    const char *name, const unsigned char *data, size_t len, struct peri_tz **ret, struct peri_error *err)
{
    struct peri_tz *tz = create(name);
    if (!tz)
        return peri_error_nomem(err);
    if (!read_all(tz, data, len)) {
        peri_tz_destroy(tz);
        return peri_error_set(err, PERI_ECORRUPT, "timezone", "the file of the time zone \"%s\" is not one", name);
    }
    *ret = tz;
    return PERI_OK;
}

static bool name_valid(const char *name)
{
    size_t len = strlen(name);
    if (!len || len > NAME_MAX_BYTES || strstr(name, "..") || strstr(name, "//") || name[0] == '/' ||
        name[len - 1] == '/')
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-+/", *c))
            return false;
    /* Not zones of the world: copies with and without leap seconds, and whatever the machine has. */
    return !peri_str_starts(name, "right/") && !peri_str_starts(name, "posix/") && strcmp(name, "localtime") != 0 &&
           strcmp(name, "posixrules") != 0;
}

static enum peri_status load_utc(struct peri_tz **ret, struct peri_error *err)
{
    struct peri_tz *tz = create("UTC");
    if (!tz || !(tz->types = calloc(1, sizeof(*tz->types)))) {
        peri_tz_destroy(tz);
        return peri_error_nomem(err);
    }
    tz->type_count = 1;
    memcpy(tz->types[0].abbrev, "UTC", 4);
    *ret = tz;
    return PERI_OK;
}

enum peri_status peri_tz_load(
    const struct peri_tz_source *source, const char *name, struct peri_tz **ret, struct peri_error *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    if (strcmp(name, "UTC") == 0)
        return load_utc(ret, err);
    if (!name_valid(name))
        return peri_error_set(err, PERI_ENOTFOUND, "timezone",
            "unknown time zone \"%.80s\", a name such as Europe/Berlin or UTC is expected", name);
    if (!source)
        return peri_error_set(
            err, PERI_ENOTFOUND, "timezone", "unknown time zone \"%s\", only UTC is known here", name);
    enum peri_status st = source->read(source->ctx, name, &data, &len, err);
    if (st == PERI_OK)
        st = peri_tz_parse(name, data, len, ret, err);
    free(data);
    if (st == PERI_ENOTFOUND)
        return peri_error_set(err, PERI_ENOTFOUND, "timezone", "unknown time zone \"%s\"", name);
    return st;
}

void peri_tz_destroy(struct peri_tz *tz)
{
    if (!tz)
        return;
    free(tz->name);
    free(tz->changes);
    free(tz->types);
    free(tz);
}

const char *peri_tz_name(const struct peri_tz *tz)
{
    return tz->name;
}

/* -- asking -- */

/* How many changes are not after t. */
static size_t changes_until(const struct peri_tz *tz, int64_t t)
{
    size_t low = 0, high = tz->change_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (tz->changes[mid].at <= t)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static const struct peri_tz_type *type_at(const struct peri_tz *tz, int64_t t)
{
    size_t n = changes_until(tz, t);
    if (n == tz->change_count && tz->has_rule)
        return peri_tz_rule_type(&tz->rule, t);
    return &tz->types[n ? tz->changes[n - 1].type : 0];
}

/* Instants beyond these years are taken for their ends, so that no sum overflows. */
static int64_t seconds_of(int64_t ms)
{
    const int64_t limit = INT64_C(8000000000000);
    int64_t t = ms / 1000 - (ms % 1000 < 0);
    return t > limit ? limit : t < -limit ? -limit : t;
}

bool peri_tz_next_change(const struct peri_tz *tz, int64_t after, int64_t *ret)
{
    size_t n = changes_until(tz, after);
    if (n < tz->change_count) {
        *ret = tz->changes[n].at;
        return true;
    }
    return tz->has_rule && peri_tz_rule_next(&tz->rule, after, ret);
}

int32_t peri_tz_offset(const struct peri_tz *tz, int64_t t)
{
    return type_at(tz, t)->offset;
}

void peri_tz_local(const struct peri_tz *tz, int64_t utc_ms, struct peri_local *ret)
{
    int64_t t = seconds_of(utc_ms);
    const struct peri_tz_type *type = type_at(tz, t);
    int64_t local = t + type->offset, days = local / DAY - (local % DAY < 0), rest = local - days * DAY;
    *ret = (struct peri_local){.hour = (unsigned)(rest / 3600),
        .minute = (unsigned)(rest / 60 % 60),
        .second = (unsigned)(rest % 60),
        .weekday = peri_weekday(days),
        .offset = type->offset,
        .dst = type->dst};
    peri_civil_from_days(days, &ret->year, &ret->month, &ret->day);
    memcpy(ret->abbrev, type->abbrev, sizeof(ret->abbrev));
}

int peri_tz_instants(const struct peri_tz *tz, int64_t year, unsigned month, unsigned day, unsigned hour,
    unsigned minute, unsigned second, int64_t ret_ms[2])
{
    int64_t local = peri_days_from_civil(year, month, day) * DAY + (int64_t)hour * 3600 + (int64_t)minute * 60 + second;
    /* Offsets stay within a bit more than a day (Samoa skipped one), so the answer lies between these instants. */
    int64_t from = local - 2 * DAY, end = local + 2 * DAY, gap = end;
    int found = 0;
    while (from < end && found < 2) {
        int64_t next, offset = peri_tz_offset(tz, from), t = local - offset;
        if (!peri_tz_next_change(tz, from, &next))
            next = INT64_MAX;
        if (t >= from && t < next)
            ret_ms[found++] = t * 1000;
        else if (next < end && t >= next && local - peri_tz_offset(tz, next) < next && next < gap)
            gap = next;
        from = next;
    }
    if (!found)
        ret_ms[0] = gap * 1000;
    return found;
}

bool peri_tz_parse_local(const struct peri_tz *tz, const char *text, int64_t *ret_ms)
{
    char rfc[40];
    size_t len = strlen(text);
    int64_t as_utc = 0, instants[2], year;
    unsigned month, day;
    if ((len != 16 && len != 19) || (text[10] != 'T' && text[10] != ' '))
        return false;
    snprintf(rfc, sizeof(rfc), "%.10sT%s%sZ", text, text + 11, len == 16 ? ":00" : "");
    if (!peri_time_parse(rfc, strlen(rfc), &as_utc))
        return false;
    int64_t days = as_utc / 86400000 - (as_utc % 86400000 < 0), rest = (as_utc - days * 86400000) / 1000;
    peri_civil_from_days(days, &year, &month, &day);
    (void)peri_tz_instants(
        tz, year, month, day, (unsigned)(rest / 3600), (unsigned)(rest / 60 % 60), (unsigned)(rest % 60), instants);
    *ret_ms = instants[0];
    return true;
}
