/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "lang/duration.h"
#include "lang/expr_internal.h"

#define TIME_MIN (-62135596800000) /* year 1 */
#define TIME_MAX 253402300799999   /* end of year 9999 */

enum peri_status peri_expr_time(const struct peri_value *v, int64_t *ret_ms, struct peri_error *err)
{
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    int64_t ms = 0;
    bool good = text ? peri_time_parse(text, len, &ms) : peri_value_is_number(v);
    if (good && !text) {
        double d = peri_value_as_real(v);
        good = d >= (double)TIME_MIN && d <= (double)TIME_MAX;
        ms = good ? (int64_t)floor(d) : 0;
    }
    if (!good) {
        char shown[PERI_EXPR_SHOW];
        return peri_error_set(
            err, PERI_EINVAL, "type", "%s is no time such as 2026-01-31T12:00:00Z", peri_expr_show(v, shown));
    }
    *ret_ms = ms;
    return PERI_OK;
}

static enum peri_status give_time(const struct expr_call *call, int64_t ms, struct peri_value **ret)
{
    char text[PERI_TIME_TEXT];
    if (ms < TIME_MIN || ms > TIME_MAX)
        return peri_error_set(
            call->err, PERI_EINVAL, "type", "%s: the time is outside the years 1 to 9999", call->function->name);
    return peri_expr_give(call, peri_value_str(peri_time_format(ms, text)), ret);
}

/* A text such as "10m", also with a sign in front, or a number of ms. */
static enum peri_status duration_of(const struct expr_call *call, const struct peri_value *v, int64_t *ret_ms)
{
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    if (!text) {
        double d = peri_value_as_real(v);
        if (fabs(d) > 1e15)
            return peri_error_set(call->err, PERI_EINVAL, "type", "%s: the duration is too long", call->function->name);
        *ret_ms = (int64_t)d;
        return PERI_OK;
    }
    bool negative = len > 0 && *text == '-';
    size_t sign = negative || (len > 0 && *text == '+') ? 1 : 0;
    struct peri_error err;
    int64_t ms = 0;
    if (peri_duration_parse(text + sign, len - sign, &ms, &err) != PERI_OK)
        return peri_error_set(call->err, PERI_EINVAL, "type", "%s: %s", call->function->name, err.message);
    *ret_ms = negative ? -ms : ms;
    return PERI_OK;
}

enum peri_status peri_expr_fn_duration(const struct expr_call *call, struct peri_value **ret)
{
    int64_t ms = 0;
    enum peri_status st = duration_of(call, call->args[0], &ms);
    return st == PERI_OK ? peri_expr_give(call, peri_value_int(ms), ret) : st;
}

enum peri_status peri_expr_fn_format_duration(const struct expr_call *call, struct peri_value **ret)
{
    char text[64];
    double d = peri_value_as_real(call->args[0]);
    if (fabs(d) > 1e15)
        return peri_error_set(call->err, PERI_EINVAL, "type", "format_duration: the duration is too long");
    int64_t ms = (int64_t)d;
    text[0] = '-';
    peri_duration_format(ms < 0 ? -ms : ms, text + 1);
    return peri_expr_give(call, peri_value_str(ms < 0 ? text : text + 1), ret);
}

enum peri_status peri_expr_fn_add(const struct expr_call *call, struct peri_value **ret)
{
    int64_t ms = 0, more = 0;
    enum peri_status st = peri_expr_time(call->args[0], &ms, call->err);
    if (st == PERI_OK)
        st = duration_of(call, call->args[1], &more);
    return st == PERI_OK ? give_time(call, ms + more, ret) : st;
}

enum peri_status peri_expr_fn_time(const struct expr_call *call, struct peri_value **ret)
{
    int64_t ms = 0;
    enum peri_status st = peri_expr_time(call->args[0], &ms, call->err);
    return st == PERI_OK ? give_time(call, ms, ret) : st;
}

enum peri_status peri_expr_fn_timestamp(const struct expr_call *call, struct peri_value **ret)
{
    int64_t ms = 0;
    enum peri_status st = peri_expr_time(call->args[0], &ms, call->err);
    return st == PERI_OK ? peri_expr_give(call, peri_value_int(ms), ret) : st;
}

static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {"January", "February", "March", "April", "May", "June", "July", "August",
    "September", "October", "November", "December"};

static void put_offset(struct peri_buf *out, int32_t offset, bool colon)
{
    int32_t minutes = (offset < 0 ? -offset : offset) / 60;
    (void)peri_buf_printf(
        out, "%c%02d%s%02d", offset < 0 ? '-' : '+', (int)(minutes / 60), colon ? ":" : "", (int)(minutes % 60));
}

static unsigned day_of_year(const struct peri_local *t)
{
    return (unsigned)(peri_days_from_civil(t->year, t->month, t->day) - peri_days_from_civil(t->year, 1, 1)) + 1;
}

/* ISO 8601: the week belongs to the year that its Thursday is in. */
static unsigned iso_week(const struct peri_local *t, int64_t *ret_year)
{
    int64_t days = peri_days_from_civil(t->year, t->month, t->day);
    int64_t thursday = days - (int64_t)((t->weekday + 6) % 7) + 3;
    unsigned month, day;
    peri_civil_from_days(thursday, ret_year, &month, &day);
    return (unsigned)((thursday - peri_days_from_civil(*ret_year, 1, 1)) / 7) + 1;
}

/* pad: '0', ' ' or 0 for none. */
static void put_number(struct peri_buf *out, long long n, int width, char pad)
{
    if (pad == 0)
        (void)peri_buf_printf(out, "%lld", n);
    else if (pad == ' ')
        (void)peri_buf_printf(out, "%*lld", width, n);
    else
        (void)peri_buf_printf(out, "%0*lld", width, n);
}

/* One conversion; false when it is unknown. bare: "%-d", no padding. */
static bool put_field(struct peri_buf *out, char c, bool bare, const struct peri_local *t, int64_t ms)
{
    char zero = bare ? 0 : '0', blank = bare ? 0 : ' ';
    unsigned hour12 = t->hour % 12 == 0 ? 12 : t->hour % 12;
    int64_t week_year;
    unsigned week = iso_week(t, &week_year);
    switch (c) {
    case 'Y':
        put_number(out, t->year, 4, zero);
        return true;
    case 'y':
        put_number(out, t->year % 100, 2, zero);
        return true;
    case 'm':
        put_number(out, t->month, 2, zero);
        return true;
    case 'd':
        put_number(out, t->day, 2, zero);
        return true;
    case 'e':
        put_number(out, t->day, 2, blank);
        return true;
    case 'H':
        put_number(out, t->hour, 2, zero);
        return true;
    case 'k':
        put_number(out, t->hour, 2, blank);
        return true;
    case 'I':
        put_number(out, hour12, 2, zero);
        return true;
    case 'l':
        put_number(out, hour12, 2, blank);
        return true;
    case 'M':
        put_number(out, t->minute, 2, zero);
        return true;
    case 'S':
        put_number(out, t->second, 2, zero);
        return true;
    case 'L':
        put_number(out, ((ms % 1000) + 1000) % 1000, 3, '0');
        return true;
    case 'j':
        put_number(out, day_of_year(t), 3, zero);
        return true;
    case 'u':
        put_number(out, t->weekday == 0 ? 7 : t->weekday, 1, 0);
        return true;
    case 'w':
        put_number(out, t->weekday, 1, 0);
        return true;
    case 'V':
        put_number(out, week, 2, zero);
        return true;
    case 'G':
        put_number(out, week_year, 4, zero);
        return true;
    case 's':
        put_number(out, (ms - ((ms % 1000) + 1000) % 1000) / 1000, 1, 0);
        return true;
    case 'p':
        (void)peri_buf_puts(out, t->hour < 12 ? "AM" : "PM");
        return true;
    case 'A':
        (void)peri_buf_puts(out, day_names[t->weekday % 7]);
        return true;
    case 'a':
        (void)peri_buf_append(out, day_names[t->weekday % 7], 3);
        return true;
    case 'B':
        (void)peri_buf_puts(out, month_names[(t->month - 1) % 12]);
        return true;
    case 'b':
        (void)peri_buf_append(out, month_names[(t->month - 1) % 12], 3);
        return true;
    case 'z':
        put_offset(out, t->offset, false);
        return true;
    case 'Z':
        (void)peri_buf_puts(out, t->abbrev);
        return true;
    case 'F':
        (void)peri_buf_printf(out, "%04lld-%02u-%02u", (long long)t->year, t->month, t->day);
        return true;
    case 'T':
        (void)peri_buf_printf(out, "%02u:%02u:%02u", t->hour, t->minute, t->second);
        return true;
    case 'R':
        (void)peri_buf_printf(out, "%02u:%02u", t->hour, t->minute);
        return true;
    case 'n':
        (void)peri_buf_putc(out, '\n');
        return true;
    case 't':
        (void)peri_buf_putc(out, '\t');
        return true;
    case '%':
        (void)peri_buf_putc(out, '%');
        return true;
    default:
        return false;
    }
}

static enum peri_status put_format(
    const struct expr_call *call, struct peri_buf *out, const struct peri_local *t, int64_t ms)
{
    size_t len = 0;
    const char *format = peri_value_textn(call->args[1], &len);
    for (size_t i = 0; i < len; i++) {
        if (format[i] != '%') {
            (void)peri_buf_putc(out, format[i]);
            continue;
        }
        bool bare = i + 1 < len && format[i + 1] == '-';
        i += bare ? 2 : 1;
        if (i < len && format[i] == ':' && i + 1 < len && format[i + 1] == 'z' && !bare) {
            put_offset(out, t->offset, true);
            i++;
        } else if (i >= len || !put_field(out, format[i], bare, t, ms)) {
            return peri_error_set(call->err, PERI_EINVAL, "filter-args", "date: unknown conversion %%%.*s",
                i < len ? 1 : 0, i < len ? format + i : "");
        }
    }
    return PERI_OK;
}

/* date(time, format [, zone]): UTC without a zone. */
enum peri_status peri_expr_fn_date(const struct expr_call *call, struct peri_value **ret)
{
    int64_t ms = 0;
    struct peri_tz *tz = NULL;
    struct peri_error err;
    const char *zone = call->count > 2 ? peri_value_text(call->args[2]) : "UTC";
    enum peri_status st = peri_expr_time(call->args[0], &ms, call->err);
    if (st != PERI_OK)
        return st;
    st = peri_tz_load(call->scope->tz, zone, &tz, &err);
    if (st != PERI_OK) /* never PERI_ENOTFOUND: that is for missing paths */
        return st == PERI_ENOMEM ? peri_error_nomem(call->err)
                                 : peri_error_set(call->err, PERI_EINVAL, "timezone", "date: %s", err.message);
    struct peri_local local;
    struct peri_buf buf;
    peri_tz_local(tz, ms, &local);
    peri_tz_destroy(tz);
    peri_buf_init(&buf, PERI_EXPR_MAX_RESULT);
    st = put_format(call, &buf, &local, ms);
    if (st == PERI_OK)
        return peri_expr_take_text(call, &buf, ret);
    peri_buf_finish(&buf);
    return st;
}
