/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_RUN_CLOUDEVENTS_NAIVE_H
#define TEST_RUN_CLOUDEVENTS_NAIVE_H

/* CloudEvents read the simple way: every attribute is made into a value, the text is walked byte by byte. What the
 * service's reader is compared with. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/format.h"
#include "data/json.h"
#include "io/store_data.h"
#include "run/cloudevents.h"

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

static const char *skip_tabs(const char *s)
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

static bool naive_media_type_valid(const char *text)
{
    const char *s = skip_token(skip_tabs(text)), *sub;
    if (s == skip_tabs(text) || *s != '/')
        return false;
    sub = s + 1;
    s = skip_token(sub);
    if (s == sub)
        return false;
    for (s = skip_tabs(s); *s == ';'; s = skip_tabs(s)) {
        s = skip_tabs(s + 1);
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

static bool naive_media_type_is(const char *text, const char *name)
{
    text = skip_tabs(text);
    return media_length(text) == strlen(name) && strncasecmp(text, name, strlen(name)) == 0;
}

static bool naive_media_type_json(const char *text)
{
    text = skip_tabs(text);
    size_t n = media_length(text);
    return naive_media_type_is(text, "application/json") || naive_media_type_is(text, "text/json") ||
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
    if (!end || *skip_tabs(end + 1))
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

static enum peri_status naive_decode_header(
    const char *name, const char *value, struct peri_value **ret, struct peri_error *err)
{
    struct peri_buf b;
    peri_buf_init(&b, 1 << 20);
    value = skip_tabs(value);
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
    return naive_media_type_valid(s) ? NULL : "must be a media type, as text/plain";
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

static enum peri_status naive_put_attribute(
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

static size_t naive_attributes_size(const struct peri_value *attrs)
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
                    naive_media_type_is(peri_value_text(peri_map_item(it)), "application/json");
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

static enum peri_status naive_fill_event(
    const struct peri_value *attrs, struct peri_event *event, struct peri_error *err)
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

struct reader {
    const struct peri_cloudevents_input *in;
    size_t max;
    struct peri_batch *batch;
    struct peri_error *err;
};

/* ---- payloads ---- */

static enum peri_status take_buf(struct peri_event *event, struct peri_buf *b, struct peri_error *err)
{
    enum peri_status st = b->failed;
    event->data = st ? NULL : peri_buf_take(b, &event->data_len);
    peri_buf_finish(b);
    return event->data ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status set_json(struct peri_event *event, const char *text, size_t len, struct peri_error *err)
{
    event->data = peri_strndup(text, len);
    event->data_len = len;
    return event->data ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status set_base64(struct peri_event *event, const char *bytes, size_t len, struct peri_error *err)
{
    struct peri_buf b;
    peri_buf_init(&b, 256u << 20);
    peri_buf_puts(&b, "{\"data_base64\":\"");
    peri_base64_encode(&b, bytes, len);
    peri_buf_puts(&b, "\"}");
    return take_buf(event, &b, err);
}

static enum peri_status set_text(struct peri_event *event, const char *text, size_t len, struct peri_error *err)
{
    struct peri_buf b;
    peri_buf_init(&b, 256u << 20);
    peri_json_write_string(&b, text, len);
    return take_buf(event, &b, err);
}

static enum peri_status check_json(const char *text, size_t len, struct peri_error *err)
{
    enum peri_status st = peri_json_check(text, len, err);
    if (st)
        peri_error_prefix(err, "the data is not the JSON it is declared to be");
    return st;
}

/* Bytes of a declared media type (NULL: none) to the JSON text that is stored. */
static enum peri_status set_bytes(
    struct peri_event *event, const char *media_type, const char *bytes, size_t len, struct peri_error *err)
{
    if (media_type && naive_media_type_json(media_type)) {
        enum peri_status st = check_json(bytes, len, err);
        return st ? st : set_json(event, bytes, len, err);
    }
    while (media_type && (*media_type == ' ' || *media_type == '\t'))
        media_type++;
    if (media_type && strncasecmp(media_type, "text/", 5) == 0 && peri_utf8_valid(bytes, len, NULL))
        return set_text(event, bytes, len, err);
    return set_base64(event, bytes, len, err);
}

/* ---- finishing one event ---- */

static enum peri_status too_large(struct reader *r, size_t size)
{
    return peri_error_set(
        r->err, PERI_EINVAL, "too_large", "the event has %zu bytes, at most %zu are allowed", size, r->max);
}

/* Takes event. */
static enum peri_status add_event(struct reader *r, struct peri_event *event)
{
    return peri_batch_event(r->batch, event) ? peri_error_nomem(r->err) : PERI_OK;
}

/* ---- binary ---- */

struct header_walk {
    struct reader *r;
    struct peri_value *attrs;
    int content_types;
    enum peri_status st;
};

static void on_header(void *arg, const char *name, const char *value)
{
    struct header_walk *w = arg;
    w->content_types += strcasecmp(name, "content-type") == 0;
    if (w->st || strncasecmp(name, "ce-", 3) != 0)
        return;
    char attribute[101];
    size_t len = strnlen(name + 3, sizeof(attribute) - 1);
    for (size_t i = 0; i < len; i++)
        attribute[i] = (char)tolower((unsigned char)name[3 + i]);
    attribute[len] = '\0';
    if (strcmp(attribute, "datacontenttype") == 0) {
        w->st = peri_error_set(w->r->err, PERI_EINVAL, NULL, "ce-datacontenttype is not allowed: use Content-Type");
        return;
    }
    struct peri_value *v = NULL;
    w->st = naive_decode_header(attribute, value, &v, w->r->err);
    if (w->st == PERI_OK)
        w->st = naive_put_attribute(w->attrs, attribute, strlen(name + 3), v, w->r->err);
    peri_value_unref(v);
}

static enum peri_status put_content_type(struct reader *r, struct peri_value *attrs, const char *content_type)
{
    struct peri_value *v =
        peri_utf8_valid(content_type, strlen(content_type), NULL) ? peri_value_str(content_type) : NULL;
    if (!v || !naive_media_type_valid(content_type)) {
        peri_value_unref(v);
        return peri_error_set(r->err, PERI_EINVAL, NULL, "Content-Type is no media type");
    }
    enum peri_status st = naive_put_attribute(attrs, "datacontenttype", strlen("datacontenttype"), v, r->err);
    peri_value_unref(v);
    return st;
}

static enum peri_status read_binary(struct reader *r, const char *content_type)
{
    struct peri_event *event = peri_event_create();
    struct header_walk w = {.r = r, .attrs = peri_value_map()};
    enum peri_status st = event && w.attrs ? PERI_OK : peri_error_nomem(r->err);
    if (st == PERI_OK) {
        r->in->each_header(r->in->req, on_header, &w);
        st = w.st;
    }
    if (st == PERI_OK && w.content_types > 1)
        st = peri_error_set(r->err, PERI_EINVAL, NULL, "more than one Content-Type");
    if (st == PERI_OK && content_type)
        st = put_content_type(r, w.attrs, content_type);
    if (st == PERI_OK)
        st = naive_fill_event(w.attrs, event, r->err);
    size_t size = r->in->len + (w.attrs ? naive_attributes_size(w.attrs) : 0);
    if (st == PERI_OK && size > r->max)
        st = too_large(r, size);
    if (st == PERI_OK)
        st = r->in->len ? set_bytes(event, content_type, r->in->body, r->in->len, r->err)
                        : set_json(event, "null", 4, r->err);
    peri_value_unref(w.attrs);
    if (st) {
        peri_event_unref(event);
        return st;
    }
    return add_event(r, event);
}

/* ---- structured ---- */

static const char *skip_space(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n'))
        s++;
    return s;
}

/* These two walk text that the JSON parser has accepted; the ends are checked all the same. */
static const char *skip_string(const char *s, const char *end)
{
    for (const char *from = ++s; (s = memchr(s, '"', (size_t)(end - s))) != NULL; s++) {
        size_t slashes = 0;
        while (s - slashes > from && s[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return s + 1;
    }
    return end;
}

static const char *skip_value(const char *s, const char *end)
{
    int depth = 0;
    while (s < end) {
        if (*s == '"') {
            s = skip_string(s, end);
        } else if (*s == '{' || *s == '[') {
            depth++;
            s++;
        } else if (*s == '}' || *s == ']') {
            if (depth == 0)
                return s;
            depth--;
            s++;
        } else if (depth == 0 && (*s == ',' || *s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')) {
            return s;
        } else {
            s++;
            continue;
        }
        if (depth == 0)
            return s;
    }
    return end;
}

struct slice {
    const char *s;
    size_t len;
};

/* The parts of one JSON event. */
struct parts {
    struct peri_value *attrs;
    struct slice data;
    struct peri_value *data_base64; /* NULL when absent */
    bool has_data;
};

/* The value of text that the parser has accepted. Texts without escapes are most of them. */
static enum peri_status read_value(struct slice text, struct peri_value **ret, struct peri_error *err)
{
    if (text.len < 2 || text.s[0] != '"' || memchr(text.s, '\\', text.len))
        return peri_json_parse(text.s, text.len, ret, err);
    *ret = peri_value_strn(text.s + 1, text.len - 2);
    return *ret ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status put_member(struct reader *r, struct parts *p, const char *key, size_t len, struct slice text)
{
    if (strcmp(key, "data") == 0 && len == 4) {
        if (p->has_data)
            return peri_error_set(r->err, PERI_EINVAL, NULL, "\"data\" is there twice");
        p->has_data = true;
        p->data = text;
        return PERI_OK;
    }
    struct peri_value *v = NULL;
    enum peri_status st = read_value(text, &v, r->err);
    if (st)
        return st;
    if (peri_value_is(v, PERI_NULL)) {
        peri_value_unref(v);
        return PERI_OK;
    }
    if (strcmp(key, "data_base64") == 0 && len == strlen("data_base64")) {
        if (!p->data_base64 && peri_value_is(v, PERI_STRING)) {
            p->data_base64 = v;
            return PERI_OK;
        }
        st = peri_error_set(r->err, PERI_EINVAL, NULL,
            p->data_base64 ? "\"data_base64\" is there twice" : "\"data_base64\" must be a string");
    } else {
        st = naive_put_attribute(p->attrs, key, len, v, r->err);
    }
    peri_value_unref(v);
    return st;
}

#define NAME_PLAIN 64 /* longer names, and those with escapes, are made into values */

static enum peri_status read_members(struct reader *r, struct slice text, struct parts *p)
{
    const char *end = text.s + text.len, *s = skip_space(text.s + 1, end);
    enum peri_status st = PERI_OK;
    while (st == PERI_OK && s < end && *s == '"') {
        const char *key_end = skip_string(s, end);
        struct peri_value *name = NULL;
        char plain[NAME_PLAIN];
        size_t len = (size_t)(key_end - s) - 2;
        const char *key = plain;
        if (len < sizeof(plain) && !memchr(s, '\\', len + 1)) {
            memcpy(plain, s + 1, len);
            plain[len] = '\0';
        } else {
            st = peri_json_parse(s, (size_t)(key_end - s), &name, r->err);
            if (st)
                break;
            key = peri_value_textn(name, &len);
        }
        s = skip_space(key_end, end);
        s = skip_space(s + (s < end), end); /* the colon */
        const char *value_end = skip_value(s, end);
        st = put_member(r, p, key, len, (struct slice){s, (size_t)(value_end - s)});
        peri_value_unref(name);
        s = skip_space(value_end, end);
        s = skip_space(s + (s < end), end); /* the comma or the end */
    }
    return st;
}

static enum peri_status set_structured_data(struct reader *r, struct parts *p, struct peri_event *event)
{
    if (!p->data_base64)
        return p->has_data ? set_json(event, p->data.s, p->data.len, r->err) : set_json(event, "null", 4, r->err);
    if (p->has_data)
        return peri_error_set(r->err, PERI_EINVAL, NULL, "\"data\" and \"data_base64\" exclude each other");
    size_t len, text_len;
    char *bytes = NULL;
    const char *text = peri_value_textn(p->data_base64, &text_len);
    enum peri_status st = peri_base64_decode(text, text_len, &bytes, &len);
    if (st)
        return st == PERI_ENOMEM ? peri_error_nomem(r->err)
                                 : peri_error_set(r->err, st, NULL, "\"data_base64\" is not valid base64");
    st = set_bytes(event, peri_map_text(p->attrs, "datacontenttype"), bytes, len, r->err);
    free(bytes);
    return st;
}

static enum peri_status read_structured_event(struct reader *r, struct slice text)
{
    if (text.len == 0 || text.s[0] != '{')
        return peri_error_set(r->err, PERI_EINVAL, NULL, "an event must be a JSON object");
    struct parts p = {.attrs = peri_value_map()};
    struct peri_event *event = peri_event_create();
    enum peri_status st = p.attrs && event ? read_members(r, text, &p) : peri_error_nomem(r->err);
    if (st == PERI_OK)
        st = naive_fill_event(p.attrs, event, r->err);
    if (st == PERI_OK) {
        size_t encoded = 0;
        (void)peri_value_textn(p.data_base64, &encoded);
        size_t size = naive_attributes_size(p.attrs) + p.data.len + encoded / 4 * 3;
        st = size > r->max ? too_large(r, size) : set_structured_data(r, &p, event);
    }
    peri_value_unref(p.attrs);
    peri_value_unref(p.data_base64);
    if (st) {
        peri_event_unref(event);
        return st;
    }
    return add_event(r, event);
}

static enum peri_status read_structured(struct reader *r, bool many)
{
    const char *end = r->in->body + r->in->len, *s = skip_space(r->in->body, end);
    enum peri_status st = peri_json_check(r->in->body, r->in->len, r->err); /* the text is JSON from here on */
    if (st) {
        peri_error_prefix(r->err, "the body is not valid JSON");
        return st;
    }
    if (!many)
        return read_structured_event(r, (struct slice){s, (size_t)(end - s)});
    if (*s != '[')
        return peri_error_set(r->err, PERI_EINVAL, NULL, "a batch must be a JSON array");
    s = skip_space(s + 1, end);
    for (size_t i = 1; s < end && *s != ']'; i++) {
        const char *event_end = skip_value(s, end);
        st = read_structured_event(r, (struct slice){s, (size_t)(event_end - s)});
        if (st) {
            peri_error_prefix(r->err, "event %zu of the batch", i);
            return st;
        }
        s = skip_space(event_end, end);
        if (s < end && *s == ',')
            s = skip_space(s + 1, end);
    }
    return PERI_OK;
}

/* ---- plain JSON ---- */

static enum peri_status put_query(struct reader *r, struct peri_value *attrs, const char *name, const char *fallback)
{
    const char *text = r->in->query(r->in->req, name);
    if (!text)
        text = fallback;
    if (!text)
        return PERI_OK;
    if (!peri_utf8_valid(text, strlen(text), NULL))
        return peri_error_set(r->err, PERI_EINVAL, NULL, "?%s= is not valid UTF-8", name);
    struct peri_value *v = peri_value_str(text);
    enum peri_status st = v ? naive_put_attribute(attrs, name, strlen(name), v, r->err) : peri_error_nomem(r->err);
    peri_value_unref(v);
    return st;
}

/* Whatever a plain client says about JSON: nothing, or what curl says when it is told nothing. */
static bool plain_type(const char *content_type)
{
    return !content_type || naive_media_type_json(content_type) || naive_media_type_is(content_type, "text/plain") ||
           naive_media_type_is(content_type, "application/x-www-form-urlencoded");
}

static enum peri_status fill_plain(struct reader *r, struct peri_value *attrs, struct peri_event *event)
{
    static const char *const names[] = {"type", "source", "id", "subject", "time", NULL};
    enum peri_status st = PERI_OK;
    for (int i = 0; st == PERI_OK && names[i]; i++)
        st = put_query(r, attrs, names[i], strcmp(names[i], "source") == 0 ? "api" : NULL);
    if (st)
        return st;
    bool has_id = peri_map_at(attrs, "id") != NULL;
    if (peri_map_put_text(attrs, "specversion", "1.0") || (!has_id && peri_map_put_text(attrs, "id", "-")))
        return peri_error_nomem(r->err);
    st = naive_fill_event(attrs, event, r->err);
    if (!has_id) { /* only here may an event be without: then no duplicate is recognised */
        free(event->external_id);
        event->external_id = NULL;
    }
    return st;
}

static enum peri_status read_plain(struct reader *r, const char *content_type)
{
    if (!plain_type(content_type))
        return peri_error_set(
            r->err, PERI_EINVAL, "media_type", "with ?type= the body must be JSON (application/json)");
    struct peri_event *event = peri_event_create();
    struct peri_value *attrs = peri_value_map();
    enum peri_status st = event && attrs ? fill_plain(r, attrs, event) : peri_error_nomem(r->err);
    size_t size = r->in->len + (attrs ? naive_attributes_size(attrs) : 0);
    if (st == PERI_OK && size > r->max)
        st = too_large(r, size);
    if (st == PERI_OK && r->in->len)
        st = check_json(r->in->body, r->in->len, r->err);
    if (st == PERI_OK)
        st = r->in->len ? set_json(event, r->in->body, r->in->len, r->err) : set_json(event, "null", 4, r->err);
    peri_value_unref(attrs);
    if (st) {
        peri_event_unref(event);
        return st;
    }
    return add_event(r, event);
}

/* ---- choosing ---- */

static void note_ce_header(void *arg, const char *name, const char *value)
{
    if (strncasecmp(name, "ce-", 3) == 0)
        *(bool *)arg = true;
}

static enum peri_status naive_read(const struct peri_cloudevents_input *in, size_t max_event_bytes,
    struct peri_batch *batch, bool *ret_batch_mode, struct peri_error *err)
{
    static const char prefix[] = "application/cloudevents";
    struct reader r = {in, max_event_bytes, batch, err};
    const char *content_type = in->header(in->req, "content-type");
    while (content_type && (*content_type == ' ' || *content_type == '\t'))
        content_type++;
    *ret_batch_mode = false;
    if (content_type && strncasecmp(content_type, prefix, strlen(prefix)) == 0) {
        *ret_batch_mode = naive_media_type_is(content_type, "application/cloudevents-batch+json");
        if (!*ret_batch_mode && !naive_media_type_is(content_type, "application/cloudevents+json"))
            return peri_error_set(err, PERI_EINVAL, "media_type",
                "events are taken as application/cloudevents+json or application/cloudevents-batch+json");
        return read_structured(&r, *ret_batch_mode);
    }
    bool binary = false;
    in->each_header(in->req, note_ce_header, &binary);
    if (binary)
        return read_binary(&r, content_type);
    if (in->query(in->req, "type"))
        return read_plain(&r, content_type);
    return peri_error_set(err, PERI_EINVAL, NULL,
        "no event: send ce- headers, Content-Type application/cloudevents+json, or JSON with ?type=");
}

#endif
