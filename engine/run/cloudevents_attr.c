/* SPDX-License-Identifier: Apache-2.0 */
/* Context attributes: names, types and forms (CloudEvents 1.0.2, "Context Attributes" and "Type System"). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/format.h"
#include "run/cloudevents_internal.h"

static bool is_token(char c)
{
    return c > 0 && (isalnum((unsigned char)c) || strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_token(const char *s)
{
    while (is_token(*s))
        s++;
    return s;
}

static const char *skip_blanks(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* The closing quote of a quoted string whose opening one is at s, or NULL. */
static const char *quoted_end(const char *s)
{
    for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && !*++s)
            return NULL;
    return *s ? s : NULL;
}

bool peri_ce_media_type_valid(const char *text)
{
    const char *s = skip_token(skip_blanks(text)), *sub;
    if (s == skip_blanks(text) || *s != '/')
        return false;
    sub = s + 1;
    s = skip_token(sub);
    if (s == sub)
        return false;
    for (s = skip_blanks(s); *s == ';'; s = skip_blanks(s)) {
        s = skip_blanks(s + 1);
        const char *name = s;
        s = skip_token(s);
        if (s == name)
            continue; /* an empty parameter is allowed */
        if (*s++ != '=')
            return false;
        const char *value = s;
        s = *s == '"' ? quoted_end(s) : skip_token(s);
        if (!s || s == value)
            return false;
        s += *s == '"';
    }
    return *s == '\0';
}

static size_t media_length(const char *text)
{
    size_t n = strcspn(text, ";");
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    return n;
}

bool peri_ce_media_type_is(const char *text, const char *name)
{
    text = skip_blanks(text);
    return media_length(text) == strlen(name) && strncasecmp(text, name, strlen(name)) == 0;
}

bool peri_ce_media_type_json(const char *text)
{
    text = skip_blanks(text);
    size_t n = media_length(text);
    return peri_ce_media_type_is(text, "application/json") || peri_ce_media_type_is(text, "text/json") ||
           (n > 5 && strncasecmp(text + n - 5, "+json", 5) == 0);
}

/* ---- header values ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum peri_status unquote(const char *name, const char *value, struct peri_buf *out, struct peri_error *err)
{
    if (value[0] != '"') {
        size_t n = strlen(value);
        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
            n--;
        return peri_buf_append(out, value, n);
    }
    const char *end = quoted_end(value);
    if (!end || *skip_blanks(end + 1))
        return peri_error_set(
            err, PERI_EINVAL, NULL, "header ce-%s: the quoted value does not end where it should", name);
    for (const char *s = value + 1; s < end; s++) {
        s += *s == '\\';
        peri_buf_putc(out, *s);
    }
    return out->failed;
}

/* In place: the result is never longer. */
static enum peri_status percent_decode(const char *name, struct peri_buf *b, struct peri_error *err)
{
    size_t to = 0;
    for (size_t i = 0; i < b->len; i++) {
        char c = b->data[i];
        if (c < 0x20 || c > 0x7E)
            return peri_error_set(err, PERI_EINVAL, NULL,
                "header ce-%s: characters outside printable ASCII must be percent-encoded", name);
        if (c == '%') {
            int high = i + 2 < b->len ? hex(b->data[i + 1]) : -1, low = high >= 0 ? hex(b->data[i + 2]) : -1;
            if (low < 0)
                return peri_error_set(
                    err, PERI_EINVAL, NULL, "header ce-%s: '%%' must be followed by two hexadecimal digits", name);
            c = (char)(high << 4 | low);
            i += 2;
        }
        b->data[to++] = c;
    }
    b->len = to;
    return PERI_OK;
}

enum peri_status peri_ce_decode_header(
    const char *name, const char *value, struct peri_value **ret, struct peri_error *err)
{
    struct peri_buf b;
    peri_buf_init(&b, 1 << 20);
    value = skip_blanks(value);
    enum peri_status st = unquote(name, value, &b, err);
    if (st == PERI_OK)
        st = percent_decode(name, &b, err);
    if (st == PERI_OK && !peri_utf8_valid(peri_buf_text(&b), b.len, NULL))
        st = peri_error_set(err, PERI_EINVAL, NULL, "header ce-%s is not valid UTF-8", name);
    if (st == PERI_OK && !(*ret = peri_value_strn(peri_buf_text(&b), b.len)))
        st = PERI_ENOMEM;
    peri_buf_finish(&b);
    return st == PERI_ENOMEM ? peri_error_nomem(err) : st;
}

/* ---- checks ---- */

static bool text_allowed(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned c;
        i += peri_utf8_decode(s + i, len - i, &c);
        if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE)
            return false;
    }
    return true;
}

static const char *wrong_version(const char *s, size_t len)
{
    return strcmp(s, "1.0") == 0 ? NULL : "must be \"1.0\"";
}

static const char *wrong_reference(const char *s, size_t len)
{
    return peri_format_uri_reference(s, len) ? NULL : "must be a URI-reference (RFC 3986)";
}

static const char *wrong_uri(const char *s, size_t len)
{
    return peri_format_uri(s, len) ? NULL : "must be an absolute URI";
}

static const char *wrong_time(const char *s, size_t len)
{
    int64_t ms;
    return peri_time_parse(s, len, &ms) ? NULL : "must be a time of RFC 3339, as 2026-01-02T03:04:05Z";
}

static const char *wrong_media_type(const char *s, size_t len)
{
    return peri_ce_media_type_valid(s) ? NULL : "must be a media type, as text/plain";
}

static const struct known {
    const char *name;
    const char *(*wrong)(const char *s, size_t len); /* what is wrong, or NULL */
} known[] = {
    {"specversion", wrong_version},
    {"id", NULL},
    {"source", wrong_reference},
    {"type", NULL},
    {"subject", NULL},
    {"time", wrong_time},
    {"dataschema", wrong_uri},
    {"datacontenttype", wrong_media_type},
};

static const struct known *find_known(const char *name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

static enum peri_status check_attribute(const char *name, const struct peri_value *value, struct peri_error *err)
{
    const struct known *k = find_known(name);
    size_t len = 0;
    const char *text = peri_value_textn(value, &len), *wrong = NULL;
    if (text && !text_allowed(text, len))
        wrong = "must not hold control characters";
    else if (k && !text)
        wrong = "must be a string";
    else if (k && len == 0)
        wrong = "must not be empty";
    else if (k && k->wrong)
        wrong = k->wrong(text, len);
    else if (!text && !peri_value_is(value, PERI_BOOL) &&
             (!peri_value_is(value, PERI_INT) || peri_value_as_int(value) != (int32_t)peri_value_as_int(value)))
        wrong = "must be a string, a boolean or a 32-bit integer";
    return wrong ? peri_error_set(err, PERI_EINVAL, NULL, "attribute \"%s\" %s", name, wrong) : PERI_OK;
}

enum peri_status peri_ce_put_attribute(
    struct peri_value *attrs, const char *name, size_t len, const struct peri_value *value, struct peri_error *err)
{
    bool ok = len > 0 && len <= 100;
    for (size_t i = 0; ok && i < len; i++)
        ok = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');
    if (!ok || strcmp(name, "data") == 0)
        return peri_error_set(
            err, PERI_EINVAL, NULL, "\"%.100s\" is no name of an attribute: lower-case letters and digits only", name);
    if (peri_map_at(attrs, name))
        return peri_error_set(err, PERI_EINVAL, NULL, "attribute \"%s\" is there twice", name);
    enum peri_status st = check_attribute(name, value, err);
    if (st == PERI_OK && peri_map_put_ref(attrs, name, value))
        st = peri_error_nomem(err);
    return st;
}

size_t peri_ce_attributes_size(const struct peri_value *attrs)
{
    size_t size = 0, len;
    for (void *it = peri_map_first(attrs); it; it = peri_map_next(attrs, it)) {
        (void)peri_map_key(it, &len);
        size += len;
        (void)peri_value_textn(peri_map_item(it), &len);
        size += len;
    }
    return size;
}

/* ---- to an event ---- */

static bool copy_text(const struct peri_value *attrs, const char *name, char **ret)
{
    const char *text = peri_map_text(attrs, name);
    *ret = text ? peri_strdup(text) : NULL;
    return !text || *ret;
}

/* What has no field of its own. */
static enum peri_status fill_extensions(const struct peri_value *attrs, struct peri_event *event)
{
    static const char *const own[] = {"specversion", "id", "source", "type", "subject", "time", NULL};
    for (void *it = peri_map_first(attrs); it; it = peri_map_next(attrs, it)) {
        const char *name = peri_map_key(it, NULL);
        bool skip = strcmp(name, "datacontenttype") == 0 &&
                    peri_ce_media_type_is(peri_value_text(peri_map_item(it)), "application/json");
        for (int i = 0; own[i]; i++)
            skip |= strcmp(own[i], name) == 0;
        if (skip)
            continue;
        if (!event->extensions && !(event->extensions = peri_value_map()))
            return PERI_ENOMEM;
        if (peri_map_put_ref(event->extensions, name, peri_map_item(it)))
            return PERI_ENOMEM;
    }
    return PERI_OK;
}

enum peri_status peri_ce_fill_event(const struct peri_value *attrs, struct peri_event *event, struct peri_error *err)
{
    static const char *const required[] = {"specversion", "id", "source", "type", NULL};
    for (int i = 0; required[i]; i++)
        if (!peri_map_at(attrs, required[i]))
            return peri_error_set(err, PERI_EINVAL, NULL, "attribute \"%s\" is missing", required[i]);
    const char *time = peri_map_text(attrs, "time");
    if (time && !peri_time_parse(time, strlen(time), &event->time_ms))
        event->time_ms = 0;
    if (!copy_text(attrs, "id", &event->external_id) || !copy_text(attrs, "source", &event->source) ||
        !copy_text(attrs, "type", &event->type) || !copy_text(attrs, "subject", &event->subject) ||
        fill_extensions(attrs, event))
        return peri_error_nomem(err);
    return PERI_OK;
}
