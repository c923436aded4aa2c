/* SPDX-License-Identifier: Apache-2.0 */
/* Cron expressions: parsing. The search for the next instant is in cron_next.c. */
#include "lang/cron.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define TEXT_MAX 512

static const char *const months[] = {
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct field {
    const char *name;
    unsigned min, max, star_max; /* star_max: 7 is Sunday again and not part of a star */
    const char *const *names;    /* the first one stands for min */
} fields[] = {
    {"minute", 0, 59, 59, NULL},
    {"hour", 0, 23, 23, NULL},
    {"day of month", 1, 31, 31, NULL},
    {"month", 1, 12, 12, months},
    {"day of week", 0, 7, 6, weekdays},
};

#define FIELD_COUNT 5

struct parse {
    const char *text, *at, *end; /* end: of the field */
    const struct field *field;
    int *ret_column;
    struct peri_error *err;
};

static enum peri_status refuse(struct parse *p, const char *at, const char *fmt, ...) PERI_PRINTF(3, 4);

static enum peri_status refuse(struct parse *p, const char *at, const char *fmt, ...)
{
    char message[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    int column = 1;
    for (const char *c = p->text; c < at; c++)
        column += (*c & 0xc0) != 0x80;
    if (p->ret_column)
        *p->ret_column = column;
    if (p->field)
        return peri_error_set(p->err, PERI_EINVAL, "cron", "%s: %s", p->field->name, message);
    return peri_error_set(p->err, PERI_EINVAL, "cron", "%s", message);
}

/* What to say about a character or word that is none of ours. */
static enum peri_status refuse_word(struct parse *p)
{
    static const char foreign[] = "LlWw#?~Hh";
    const char *at = p->at;
    size_t len = 0;
    while (at + len < p->end && (isalpha((unsigned char)at[len]) || (at[len] & 0x80)))
        len++;
    if (at == p->end || *at == ',')
        return refuse(p, at, "an item of the list is empty");
    if (len <= 1 && strchr(foreign, *at))
        return refuse(p, at, "\"%c\" belongs to another kind of cron and means nothing here", *at);
    if (len && p->field->names)
        return refuse(p, at, "unknown name \"%.*s\", the names are the first three letters in English",
            (int)(len > 40 ? 40 : len), at);
    if (len)
        return refuse(p, at, "a number from %u to %u is expected, not \"%.*s\"", p->field->min, p->field->max,
            (int)(len > 40 ? 40 : len), at);
    if ((unsigned char)*at < 0x20)
        return refuse(p, at, *at == '\n' || *at == '\r' ? "unexpected line break" : "unexpected control character");
    return refuse(p, at, "unexpected \"%c\"", *at);
}

static bool digits(struct parse *p, unsigned *ret)
{
    const char *start = p->at;
    unsigned n = 0;
    for (; p->at < p->end && isdigit((unsigned char)*p->at); p->at++)
        n = n > 99999 ? n : n * 10 + (unsigned)(*p->at - '0');
    *ret = n;
    return p->at > start;
}

static enum peri_status value(struct parse *p, unsigned *ret)
{
    const char *start = p->at;
    if (digits(p, ret)) {
        if (*ret < p->field->min || *ret > p->field->max)
            return refuse(p, start, "%.*s is out of range, from %u to %u is allowed",
                (int)(p->at - start > 20 ? 20 : p->at - start), start, p->field->min, p->field->max);
        return PERI_OK;
    }
    size_t len = 0;
    while (start + len < p->end && isalpha((unsigned char)start[len]))
        len++;
    for (unsigned i = 0; p->field->names && p->field->names[i]; i++) {
        if (len == 3 && strncasecmp(start, p->field->names[i], 3) == 0) {
            p->at += 3;
            *ret = p->field->min + i;
            return PERI_OK;
        }
    }
    return refuse_word(p);
}

/* "*", "a" or "a-b", then perhaps "/n". */
static enum peri_status item(struct parse *p, uint64_t *bits)
{
    const char *start = p->at;
    unsigned low = p->field->min, high = p->field->star_max, step = 1;
    bool range = true;
    enum peri_status st;
    if (p->at < p->end && *p->at == '*') {
        p->at++;
    } else {
        if ((st = value(p, &low)) != PERI_OK)
            return st;
        high = low;
        range = p->at < p->end && *p->at == '-';
        if (range) {
            p->at++;
            if ((st = value(p, &high)) != PERI_OK)
                return st;
        }
        if (low > high)
            return refuse(p, start, "the range %.*s runs backwards%s", (int)(p->at - start > 40 ? 40 : p->at - start),
                start, p->field->names == weekdays && high == 0 ? ", at the end of a range Sunday is 7" : "");
    }
    if (p->at < p->end && *p->at == '/') {
        const char *slash = p->at++;
        if (!digits(p, &step))
            return p->at < p->end && *p->at != ',' ? refuse_word(p)
                                                   : refuse(p, slash, "a number is missing after the slash");
        if (!step)
            return refuse(p, slash + 1, "a step of 0 never gets on");
        if (!range)
            return refuse(p, slash, "a step needs a range, write %u-%u/%u", low, p->field->star_max, step);
    }
    if (p->at < p->end && *p->at != ',')
        return refuse_word(p);
    for (unsigned i = low; i <= high; i += step)
        *bits |= UINT64_C(1) << i;
    return PERI_OK;
}

static enum peri_status parse_field(struct parse *p, uint64_t *bits)
{
    for (;;) {
        enum peri_status st = item(p, bits);
        if (st != PERI_OK || p->at == p->end)
            return st;
        p->at++; /* the comma */
    }
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static enum peri_status parse_nickname(struct parse *p, size_t len, struct peri_cron *ret)
{
    static const struct {
        const char *name, *text;
    } nicknames[] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"}, {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}};
    for (size_t i = 0; i < sizeof(nicknames) / sizeof(nicknames[0]); i++)
        if (strlen(nicknames[i].name) == len && memcmp(nicknames[i].name, p->at, len) == 0)
            return peri_cron_parse(nicknames[i].text, ret, NULL, p->err);
    return refuse(p, p->at,
        "unknown nickname \"%.*s\", here: @yearly @annually @monthly @weekly @daily @midnight @hourly",
        (int)(len > 40 ? 40 : len), p->at);
}

enum peri_status peri_cron_parse(const char *text, struct peri_cron *ret, int *ret_column, struct peri_error *err)
{
    struct parse p = {.text = text, .at = text, .ret_column = ret_column, .err = err};
    uint64_t bits[FIELD_COUNT] = {0};
    bool star[FIELD_COUNT], bare[FIELD_COUNT];
    size_t len = strlen(text);
    if (len > TEXT_MAX)
        return refuse(&p, text, "the expression has more than %d characters", TEXT_MAX);
    const char *end = text + len;
    while (p.at < end && blank(*p.at))
        p.at++;
    while (end > p.at && blank(end[-1]))
        end--;
    if (p.at < end && *p.at == '@')
        return parse_nickname(&p, (size_t)(end - p.at), ret);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (p.at == end)
            return refuse(
                &p, p.at, "five fields are expected (minute, hour, day of month, month, day of week), here are %zu", i);
        p.end = p.at;
        while (p.end < end && !blank(*p.end))
            p.end++;
        star[i] = *p.at == '*';
        bare[i] = star[i] && p.end == p.at + 1;
        p.field = &fields[i];
        enum peri_status st = parse_field(&p, &bits[i]);
        if (st != PERI_OK)
            return st;
        p.field = NULL;
        while (p.at < end && blank(*p.at))
            p.at++;
    }
    if (p.at < end)
        return refuse(&p, p.at, "something follows the five fields (minute, hour, day of month, month, day of week)");
    *ret = (struct peri_cron){.minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint32_t)bits[3],
        .weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f),
        .any_day = bare[2],
        .any_weekday = bare[4],
        .follows_wall = star[0] || star[1]};
    return PERI_OK;
}

bool peri_dst_parse(const char *text, enum peri_dst *ret)
{
    static const char *const names[] = {"once", "skip", "both"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum peri_dst)i;
            return true;
        }
    }
    return false;
}
