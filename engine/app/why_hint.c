/* SPDX-License-Identifier: Apache-2.0 */
#include "app/why_hint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "data/json.h"

#define FIELDS_SHOWN 12
#define NAME_MAX 60

/* A map's fields, NULL-ended. */
struct fields {
    const char *items[FIELDS_SHOWN + 1];
    size_t count, more;
};

static void read_fields(const struct peri_value *map, struct fields *ret)
{
    *ret = (struct fields){.count = 0};
    for (void *it = peri_map_first(map); it; it = peri_map_next(map, it)) {
        const char *key = peri_map_key(it, NULL);
        if (ret->count < FIELDS_SHOWN && strlen(key) < NAME_MAX)
            ret->items[ret->count++] = key;
        else
            ret->more++;
    }
}

static void list_fields(const char *what, const struct peri_value *map, char *out, size_t size)
{
    struct fields fields;
    read_fields(map, &fields);
    size_t at = (size_t)snprintf(out, size, "%s %s", what, fields.count ? "has:" : "is empty");
    for (size_t i = 0; i < fields.count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s %s", i ? "," : "", fields.items[i]);
    if (fields.more && at < size)
        snprintf(out + at, size - at, " and %zu more", fields.more);
}

/* path ("a.b.c") in data: *ret_at is the last value on the way, *ret_rest the part that is missing; NULL: none is. */
static void follow(
    const struct peri_value *data, const char *path, const struct peri_value **ret_at, const char **ret_rest)
{
    char key[NAME_MAX];
    *ret_at = data;
    *ret_rest = path;
    while (*ret_rest) {
        size_t n = strcspn(*ret_rest, ".[");
        snprintf(key, sizeof(key), "%.*s", n < sizeof(key) ? (int)n : 0, *ret_rest);
        const struct peri_value *next = peri_value_is(*ret_at, PERI_MAP) ? peri_map_at(*ret_at, key) : NULL;
        if (!next)
            return;
        *ret_at = next;
        *ret_rest = (*ret_rest)[n] == '.' ? *ret_rest + n + 1 : NULL;
    }
}

/* event.x.y of an expression is missing. */
static bool hint_missing(const struct peri_value *data, const char *path, char *out, size_t size)
{
    static const char *const covers[] = {"data", "payload", "body", NULL};
    const struct peri_value *at;
    const char *rest;
    char from[200];
    struct fields fields;
    follow(data, path, &at, &rest);
    if (!rest)
        return false;
    snprintf(from, sizeof(from), "event%s%.*s", rest > path ? "." : "",
        rest > path && rest - path < 180 ? (int)(rest - path) - 1 : 0, path);
    if ((strcmp(rest, "length") == 0 || strcmp(rest, "size") == 0) && !peri_value_is(at, PERI_MAP)) {
        snprintf(out, size, "write #%s", from);
        return true;
    }
    if (!peri_value_is(at, PERI_MAP)) {
        snprintf(out, size, "%s is no mapping", from);
        return true;
    }
    for (size_t i = 0; rest == path && covers[i]; i++)
        if (strcmp(covers[i], path) == 0) {
            list_fields("event is the payload itself: it", data, out, size);
            return true;
        }
    read_fields(at, &fields);
    fields.items[fields.count] = NULL;
    const char *near = peri_nearest(rest, fields.items);
    if (near)
        snprintf(out, size, "did you mean %s.%s?", from, near);
    else
        list_fields(from, at, out, size);
    return true;
}

/* A field of a pattern is missing: is it there, deeper, by a name with dots? */
static bool hint_field(const struct peri_value *data, const char *field, char *out, size_t size)
{
    const struct peri_value *at;
    const char *rest, *dot = strchr(field, '.');
    struct fields fields;
    follow(data, field, &at, &rest);
    if (!rest && dot) {
        snprintf(out, size, "a field of a field is a mapping in a mapping: %.*s: {%.100s: [...]}", (int)(dot - field),
            field, dot + 1);
        return true;
    }
    if (!rest || !peri_value_is(at, PERI_MAP))
        return false;
    read_fields(at, &fields);
    fields.items[fields.count] = NULL;
    const char *near = peri_nearest(rest, fields.items);
    if (near)
        snprintf(out, size, "did you mean %.*s%s?", (int)(rest - field), field, near);
    else
        list_fields(rest == field ? "the event" : "it", at, out, size);
    return true;
}

static bool looks_equal(const struct peri_value *a, const struct peri_value *b)
{
    char *number = peri_json_text(a, PERI_JSON_COMPACT);
    bool equal = number && peri_streq(number, peri_value_text(b));
    free(number);
    return equal;
}

/* The value is nearly one of those that were wanted. */
static bool hint_value(const struct peri_value *actual, const struct peri_value *wanted, char *out, size_t size)
{
    for (size_t i = 0; i < peri_value_count(wanted); i++) {
        const struct peri_value *w = peri_list_at(wanted, i);
        const char *text = peri_value_text(actual), *other = peri_value_text(w), *hint = NULL;
        bool number = text && text[0] && strspn(text, "-+.0123456789eE") == strlen(text);
        if (text && !other && !peri_value_is(w, PERI_MAP) && looks_equal(w, actual))
            hint = "the event has it as a text: write it in quotes";
        else if (!text && other && looks_equal(actual, w))
            hint = "the event has no text there: write it without quotes";
        else if (number && peri_map_at(w, "numeric"))
            hint = "the event has a number as a text: compare in a condition, event.x | number > 5";
        else if (text && other && strcasecmp(text, other) == 0)
            hint = "only the letter case differs: write {equals-ignore-case: ...}";
        if (hint) {
            snprintf(out, size, "%s", hint);
            return true;
        }
    }
    return false;
}

bool peri_why_hint(const struct peri_value *verdict, const struct peri_value *data, char *out, size_t size)
{
    const char *reason = peri_map_text(verdict, "reason"), *at = peri_map_text(verdict, "at");
    const struct peri_value *detail = peri_map_at(verdict, "detail");
    const char *field = peri_map_text(detail, "field");
    if (!peri_value_is(data, PERI_MAP) || !reason)
        return false;
    if (peri_str_starts(reason, "missing event."))
        return hint_missing(data, reason + strlen("missing event."), out, size);
    if (peri_streq(at, "match") && field && !peri_map_at(detail, "actual"))
        return hint_field(data, field, out, size);
    if (peri_streq(at, "match") && field)
        return hint_value(peri_map_at(detail, "actual"), peri_map_at(detail, "wanted"), out, size);
    if (peri_str_starts(reason, "cannot compare ") && strstr(reason, "(string)") &&
        (strstr(reason, "(integer)") || strstr(reason, "(number)"))) {
        snprintf(out, size, "a text becomes a number with | number");
        return true;
    }
    return false;
}
