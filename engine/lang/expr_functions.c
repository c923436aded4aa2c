/* SPDX-License-Identifier: Apache-2.0 */
/* The table of filters and functions, the check of their arguments, and the small ones about numbers and types. */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "lang/duration.h"
#include "lang/expr_internal.h"

static bool is_whole(const struct peri_value *v)
{
    double d = peri_value_as_real(v);
    return peri_value_is(v, PERI_INT) || (peri_value_is(v, PERI_REAL) && d == floor(d) && fabs(d) < 9e18);
}

bool peri_expr_arg_fits(char letter, const struct peri_value *v)
{
    enum peri_type t = peri_value_type(v);
    bool number = t == PERI_INT || t == PERI_REAL;
    switch (letter) {
    case 's':
        return t == PERI_STRING;
    case 'n':
        return number;
    case 'i':
        return is_whole(v);
    case 'l':
        return t == PERI_LIST;
    case 'm':
        return t == PERI_MAP;
    case 'b':
        return t == PERI_BOOL;
    case 't':
    case 'd':
        return t == PERI_STRING || number;
    case 'c':
        return t == PERI_STRING || t == PERI_LIST || t == PERI_MAP;
    default:
        return true;
    }
}

const char *peri_expr_arg_name(char letter)
{
    switch (letter) {
    case 's':
        return "a text";
    case 'n':
        return "a number";
    case 'i':
        return "a whole number";
    case 'l':
        return "a list";
    case 'm':
        return "a map";
    case 'b':
        return "true or false";
    case 't':
        return "a time (RFC 3339 text or ms)";
    case 'd':
        return "a duration such as '10m'";
    case 'c':
        return "a text, a list or a map";
    default:
        return "a value";
    }
}

size_t peri_expr_function_min_args(const struct expr_function *f)
{
    size_t n = 0;
    while (f->signature[n] && f->signature[n] != '?' && f->signature[n] != '*')
        n++;
    return n;
}

size_t peri_expr_function_max_args(const struct expr_function *f)
{
    size_t n = 0;
    for (const char *p = f->signature; *p; p++) {
        if (*p == '*')
            return SIZE_MAX;
        n += *p != '?';
    }
    return n;
}

char peri_expr_function_arg(const struct expr_function *f, size_t i)
{
    char last = 'a';
    for (const char *p = f->signature; *p; p++) {
        if (*p == '?' || *p == '*')
            continue;
        last = *p;
        if (i-- == 0)
            break;
    }
    return last;
}

enum peri_status peri_expr_call(const struct expr_call *call, struct peri_value **ret)
{
    for (size_t i = 0; i < call->count; i++) {
        char letter = peri_expr_function_arg(call->function, i), shown[PERI_EXPR_SHOW];
        if (!peri_expr_arg_fits(letter, call->args[i]))
            return peri_error_set(call->err, PERI_EINVAL, "type", "%s needs %s, not %s", call->function->name,
                peri_expr_arg_name(letter), peri_expr_show(call->args[i], shown));
    }
    return call->function->fn(call, ret);
}

const char *peri_expr_show(const struct peri_value *v, char out[PERI_EXPR_SHOW])
{
    char *text = peri_json_text(v, PERI_JSON_COMPACT);
    size_t n = text ? strlen(text) : 0, cut = n;
    if (n > 60) {
        for (cut = 57; cut > 0 && ((unsigned char)text[cut] & 0xC0) == 0x80; cut--)
            ;
    }
    if (peri_value_is(v, PERI_NULL))
        snprintf(out, PERI_EXPR_SHOW, "nil");
    else
        snprintf(out, PERI_EXPR_SHOW, "%.*s%s (%s)", (int)cut, text ? text : "", n > 60 ? "..." : "",
            peri_type_name(peri_value_type(v)));
    free(text);
    return out;
}

enum peri_status peri_expr_too_large(struct peri_error *err)
{
    return peri_error_set(err, PERI_ELIMIT, "limit.output", "the result is larger than %d KiB or %d elements",
        PERI_EXPR_MAX_RESULT / 1024, PERI_EXPR_MAX_ITEMS);
}

enum peri_status peri_expr_give(const struct expr_call *call, struct peri_value *v, struct peri_value **ret)
{
    if (!v)
        return peri_error_nomem(call->err);
    *ret = v;
    return PERI_OK;
}

enum peri_status peri_expr_take_text(const struct expr_call *call, struct peri_buf *buf, struct peri_value **ret)
{
    enum peri_status st = buf->failed == PERI_OK       ? PERI_OK
                          : buf->failed == PERI_ELIMIT ? peri_expr_too_large(call->err)
                                                       : peri_error_nomem(call->err);
    if (st == PERI_OK)
        st = peri_expr_give(call, peri_value_strn(peri_buf_text(buf), buf->len), ret);
    peri_buf_finish(buf);
    return st;
}

enum peri_status peri_expr_append_text(struct peri_buf *buf, const struct peri_value *v)
{
    size_t len = 0;
    switch (peri_value_type(v)) {
    case PERI_NULL:
        return PERI_OK;
    case PERI_STRING: {
        const char *text = peri_value_textn(v, &len);
        return peri_buf_append(buf, text, len);
    }
    default:
        return peri_json_write(buf, v, PERI_JSON_COMPACT);
    }
}

bool peri_expr_order(const struct peri_value *a, const struct peri_value *b, int *ret)
{
    if (peri_value_is(a, PERI_INT) && peri_value_is(b, PERI_INT)) {
        int64_t x = peri_value_as_int(a), y = peri_value_as_int(b);
        *ret = (x > y) - (x < y);
        return true;
    }
    if (peri_value_is_number(a) && peri_value_is_number(b)) {
        /* on x86 a long double holds every 64-bit integer */
        long double x =
            peri_value_is(a, PERI_INT) ? (long double)peri_value_as_int(a) : (long double)peri_value_as_real(a);
        long double y =
            peri_value_is(b, PERI_INT) ? (long double)peri_value_as_int(b) : (long double)peri_value_as_real(b);
        *ret = (x > y) - (x < y);
        return true;
    }
    if (!peri_value_is(a, PERI_STRING) || !peri_value_is(b, PERI_STRING))
        return false;
    size_t n = 0, m = 0;
    const char *s = peri_value_textn(a, &n), *t = peri_value_textn(b, &m);
    int c = memcmp(s, t, n < m ? n : m);
    *ret = c ? (c > 0) - (c < 0) : (n > m) - (n < m);
    return true;
}

/* numbers */

static enum peri_status give_number(const struct expr_call *call, double d, bool whole, struct peri_value **ret)
{
    if (whole && fabs(d) < 9e18)
        return peri_expr_give(call, peri_value_int((int64_t)d), ret);
    return peri_expr_give(call, peri_value_real(d), ret);
}

static enum peri_status fn_round(const struct expr_call *call, struct peri_value **ret)
{
    int64_t digits = call->count > 1 ? peri_value_as_int(call->args[1]) : 0;
    double d = peri_value_as_real(call->args[0]);
    if (digits < 0 || digits > 15)
        return peri_error_set(call->err, PERI_EINVAL, "type", "round takes 0 to 15 digits");
    if (peri_value_is(call->args[0], PERI_INT)) {
        *ret = peri_value_ref(call->args[0]);
        return PERI_OK;
    }
    if (digits == 0)
        return give_number(call, round(d), true, ret);
    /* 2.675 is a hair below the half that a person reads: what is nearest to a half counts as one. */
    double scale = pow(10, (double)digits), scaled = d * scale;
    if (!isfinite(scaled) || fabs(scaled) > 1e15)
        return give_number(call, d, false, ret);
    double nearest = round(scaled), gap = fabs(scaled - trunc(scaled)) - 0.5;
    if (fabs(gap) <= 4 * DBL_EPSILON * fabs(scaled)) /* away from zero */
        nearest = trunc(scaled) + (d < 0 ? -1 : 1);
    return give_number(call, nearest / scale, false, ret);
}

static enum peri_status fn_floor(const struct expr_call *call, struct peri_value **ret)
{
    if (peri_value_is(call->args[0], PERI_INT))
        return peri_expr_give(call, peri_value_ref(call->args[0]), ret);
    return give_number(call, floor(peri_value_as_real(call->args[0])), true, ret);
}

static enum peri_status fn_ceil(const struct expr_call *call, struct peri_value **ret)
{
    if (peri_value_is(call->args[0], PERI_INT))
        return peri_expr_give(call, peri_value_ref(call->args[0]), ret);
    return give_number(call, ceil(peri_value_as_real(call->args[0])), true, ret);
}

static enum peri_status fn_abs(const struct expr_call *call, struct peri_value **ret)
{
    int64_t i = peri_value_as_int(call->args[0]);
    if (peri_value_is(call->args[0], PERI_INT) && i != INT64_MIN)
        return peri_expr_give(call, peri_value_int(i < 0 ? -i : i), ret);
    return give_number(call, fabs(peri_value_as_real(call->args[0])), false, ret);
}

/* The number that a whole decimal text stands for; NULL when it is none. */
static struct peri_value *number_of_text(const char *text, size_t len)
{
    char copy[64], *end = NULL;
    while (len > 0 && isspace((unsigned char)*text))
        text++, len--;
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    if (len == 0 || len >= sizeof(copy) || strspn(text, "+-.0123456789eE") < len)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    long long i = 0;
    if (peri_parse_i64(copy[0] == '+' ? copy + 1 : copy, &i))
        return peri_value_int(i);
    double d = strtod(copy, &end);
    return end && *end == '\0' && end != copy ? peri_value_real(d) : NULL;
}

static enum peri_status fn_number(const struct expr_call *call, struct peri_value **ret)
{
    const struct peri_value *v = call->args[0];
    struct peri_value *made = NULL;
    if (peri_value_is_number(v)) {
        made = peri_value_ref(v);
    } else if (peri_value_is(v, PERI_STRING)) {
        size_t len = 0;
        const char *text = peri_value_textn(v, &len);
        made = number_of_text(text, len);
    }
    if (!made) {
        char shown[PERI_EXPR_SHOW];
        return peri_error_set(
            call->err, PERI_EINVAL, "type", "%s cannot read %s", call->function->name, peri_expr_show(v, shown));
    }
    if (call->function->name[0] == 'i' && peri_value_is(made, PERI_REAL)) { /* int: cut towards zero */
        double d = trunc(peri_value_as_real(made));
        peri_value_unref(made);
        if (fabs(d) >= 9e18)
            return peri_error_set(call->err, PERI_EINVAL, "type", "int: the number has more than 64 bits");
        made = peri_value_int((int64_t)d);
    }
    return peri_expr_give(call, made, ret);
}

static enum peri_status fn_bool(const struct expr_call *call, struct peri_value **ret)
{
    const struct peri_value *v = call->args[0];
    const char *text = peri_value_text(v);
    bool holds;
    if (text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        holds = text[0] == 't';
    else if (peri_value_is_number(v))
        holds = peri_value_as_real(v) != 0;
    else if (peri_value_is(v, PERI_BOOL) || peri_value_is(v, PERI_NULL))
        holds = peri_truthy(v);
    else {
        char shown[PERI_EXPR_SHOW];
        return peri_error_set(call->err, PERI_EINVAL, "type", "bool cannot read %s", peri_expr_show(v, shown));
    }
    return peri_expr_give(call, peri_value_bool(holds), ret);
}

static enum peri_status fn_type(const struct expr_call *call, struct peri_value **ret)
{
    return peri_expr_give(call, peri_value_str(peri_type_name(peri_value_type(call->args[0]))), ret);
}

/* min and max of a list, or of all arguments. */
static enum peri_status fn_extreme(const struct expr_call *call, struct peri_value **ret)
{
    int wanted = strcmp(call->function->name, "min") == 0 ? -1 : 1, order = 0;
    bool list = call->count == 1 && peri_value_is(call->args[0], PERI_LIST);
    size_t n = list ? peri_value_count(call->args[0]) : call->count;
    struct peri_value *best = NULL;
    for (size_t i = 0; i < n; i++) {
        struct peri_value *v = list ? peri_list_at(call->args[0], i) : call->args[i];
        if (!peri_expr_order(v, best ? best : v, &order)) {
            char left[PERI_EXPR_SHOW], right[PERI_EXPR_SHOW];
            return peri_error_set(call->err, PERI_EINVAL, "type", "%s cannot compare %s with %s", call->function->name,
                peri_expr_show(best ? best : v, left), peri_expr_show(v, right));
        }
        if (!best || order == wanted)
            best = v;
    }
    return peri_expr_give(call, best ? peri_value_ref(best) : peri_value_null(), ret);
}

static enum peri_status fn_sum(const struct expr_call *call, struct peri_value **ret)
{
    long long whole = 0;
    double real = 0;
    bool exact = true;
    size_t n = peri_value_count(call->args[0]);
    for (size_t i = 0; i < n; i++) {
        struct peri_value *v = peri_list_at(call->args[0], i);
        if (!peri_value_is_number(v)) {
            char shown[PERI_EXPR_SHOW];
            return peri_error_set(
                call->err, PERI_EINVAL, "type", "sum needs numbers, not %s", peri_expr_show(v, shown));
        }
        exact = exact && peri_value_is(v, PERI_INT) && !__builtin_add_overflow(whole, peri_value_as_int(v), &whole);
        real += peri_value_as_real(v);
    }
    if (exact)
        return peri_expr_give(call, peri_value_int(whole), ret);
    if (!isfinite(real))
        return peri_error_set(call->err, PERI_EINVAL, "arithmetic", "the result is no finite number");
    return peri_expr_give(call, peri_value_real(real), ret);
}

static enum peri_status fn_in(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_value *swapped[2] = {call->args[1], call->args[0]};
    struct expr_call turned = *call;
    turned.args = swapped;
    return peri_expr_fn_contains(&turned, ret);
}

/* When you change this table, change the one in docs/rules.md. */
static const struct expr_function functions[] = {
    {"abs", "n", fn_abs, false},
    {"add", "td", peri_expr_fn_add, false},
    {"bool", "a", fn_bool, false},
    {"capitalize", "s", peri_expr_fn_capitalize, false},
    {"ceil", "n", fn_ceil, false},
    {"contains", "ca", peri_expr_fn_contains, false},
    {"date", "ts?s", peri_expr_fn_date, false},
    {"default", "aa", NULL, false},
    {"duration", "d", peri_expr_fn_duration, false},
    {"ends_with", "ss", peri_expr_fn_ends_with, false},
    {"first", "c", peri_expr_fn_first, false},
    {"floor", "n", fn_floor, false},
    {"format_duration", "n", peri_expr_fn_format_duration, false},
    {"from_json", "s", peri_expr_fn_from_json, false},
    {"if", "aa?a", NULL, true},
    {"in", "ac", fn_in, false},
    {"int", "a", fn_number, false},
    {"join", "l?s", peri_expr_fn_join, false},
    {"json", "a", peri_expr_fn_json, false},
    {"keys", "m", peri_expr_fn_keys, false},
    {"last", "c", peri_expr_fn_last, false},
    {"len", "c", peri_expr_fn_length, false},
    {"length", "c", peri_expr_fn_length, false},
    {"lower", "s", peri_expr_fn_lower, false},
    {"map", "ls", peri_expr_fn_map, false},
    {"max", "a*", fn_extreme, false},
    {"min", "a*", fn_extreme, false},
    {"number", "a", fn_number, false},
    {"replace", "sss", peri_expr_fn_replace, false},
    {"reverse", "c", peri_expr_fn_reverse, false},
    {"round", "n?i", fn_round, false},
    {"slice", "ci?i", peri_expr_fn_slice, false},
    {"slug", "s", peri_expr_fn_slug, false},
    {"sort", "l?s", peri_expr_fn_sort, false},
    {"split", "s?s", peri_expr_fn_split, false},
    {"starts_with", "ss", peri_expr_fn_starts_with, false},
    {"string", "a", peri_expr_fn_string, false},
    {"sum", "l", fn_sum, false},
    {"time", "t", peri_expr_fn_time, false},
    {"timestamp", "t", peri_expr_fn_timestamp, false},
    {"trim", "s", peri_expr_fn_trim, false},
    {"truncate", "si?s", peri_expr_fn_truncate, false},
    {"type", "a", fn_type, false},
    {"unique", "l", peri_expr_fn_unique, false},
    {"upper", "s", peri_expr_fn_upper, false},
    {"url_encode", "s", peri_expr_fn_url_encode, false},
    {"values", "m", peri_expr_fn_values, false},
    {"where", "ls?a", peri_expr_fn_where, false},
};

#define FUNCTION_COUNT (sizeof(functions) / sizeof(functions[0]))

const struct expr_function *peri_expr_function(const char *name)
{
    for (size_t i = 0; i < FUNCTION_COUNT; i++)
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    return NULL;
}

void peri_expr_function_usage(const char *name, struct peri_buf *out)
{
    const struct expr_function *f = peri_expr_function(name);
    if (!f)
        return;
    size_t least = peri_expr_function_min_args(f), most = peri_expr_function_max_args(f);
    (void)peri_buf_printf(out, "%s(", name);
    for (size_t i = 0; i < most && i < least + 2; i++)
        (void)peri_buf_printf(out, "%s%s%s", i ? ", " : "", i >= least ? "optional " : "",
            peri_expr_arg_name(peri_expr_function_arg(f, i)));
    (void)peri_buf_puts(out, most > least + 2 ? ", ...)" : ")");
}

const char *const *peri_expr_function_names(void)
{
    static const char *const names[] = {"abs", "add", "bool", "capitalize", "ceil", "contains", "date", "default",
        "duration", "ends_with", "first", "floor", "format_duration", "from_json", "if", "in", "int", "join", "json",
        "keys", "last", "len", "length", "lower", "map", "max", "min", "number", "replace", "reverse", "round", "slice",
        "slug", "sort", "split", "starts_with", "string", "sum", "time", "timestamp", "trim", "truncate", "type",
        "unique", "upper", "url_encode", "values", "where", NULL};
    _Static_assert(sizeof(names) / sizeof(names[0]) == FUNCTION_COUNT + 1, "one name a function");
    return names;
}
