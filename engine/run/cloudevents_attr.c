/* SPDX-License-Identifier: Apache-2.0 */
/* Context attributes: names, types and forms (CloudEvents 1.0.2, "Context Attributes" and "Type System"). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "data/format.h"
#include "run/cloudevents_internal.h"

#define CE_NAME_MAX 100

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

/* Printable ASCII that means itself. */
static bool is_plain(const char *value, size_t len)
{
    return peri_ascii_span(value, len) == len && !memchr(value, '%', len) && !memchr(value, '"', len);
}

/* In place: the result is never longer. */
static enum peri_status percent_decode(
    const char *name, char *text, size_t len, size_t *ret_len, struct peri_error *err)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c < 0x20 || c > 0x7E)
            return peri_error_set(err, PERI_EINVAL, NULL,
                "header ce-%s: characters outside printable ASCII must be percent-encoded", name);
        if (c == '%') {
            int high = i + 2 < len ? hex(text[i + 1]) : -1, low = high >= 0 ? hex(text[i + 2]) : -1;
            if (low < 0)
                return peri_error_set(
                    err, PERI_EINVAL, NULL, "header ce-%s: '%%' must be followed by two hexadecimal digits", name);
            c = (char)(high << 4 | low);
            i += 2;
        }
        text[to++] = c;
    }
    *ret_len = to;
    return PERI_OK;
}

/* Copies the value without what quotes it. */
static enum peri_status unquote(const char *name, const char *value, char *to, size_t *ret_len, struct peri_error *err)
{
    size_t n = 0;
    if (value[0] != '"') {
        n = strlen(value);
        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
            n--;
        memcpy(to, value, n);
        *ret_len = n;
        return PERI_OK;
    }
    const char *end = quoted_end(value);
    if (!end || *skip_blanks(end + 1))
        return peri_error_set(
            err, PERI_EINVAL, NULL, "header ce-%s: the quoted value does not end where it should", name);
    for (const char *s = value + 1; s < end; s++) {
        s += *s == '\\';
        to[n++] = *s;
    }
    *ret_len = n;
    return PERI_OK;
}

enum peri_status ce_decode_header(struct ce_reader *r, const char *name, const char *value, struct peri_event_text *ret)
{
    value = skip_blanks(value);
    size_t len = strlen(value);
    if (is_plain(value, len)) { /* most of them */
        while (len > 0 && value[len - 1] == ' ')
            len--;
        *ret = (struct peri_event_text){value, len};
        return PERI_OK;
    }
    char *text = ce_room(r, len + 1);
    if (!text)
        return PERI_ENOMEM;
    enum peri_status st = unquote(name, value, text, &len, r->err);
    if (st == PERI_OK)
        st = percent_decode(name, text, len, &len, r->err);
    if (st == PERI_OK && !peri_utf8_valid(text, len, NULL))
        st = peri_error_set(r->err, PERI_EINVAL, NULL, "header ce-%s is not valid UTF-8", name);
    text[st ? 0 : len] = '\0';
    *ret = (struct peri_event_text){text, len};
    return st;
}

/* ---- checks ---- */

static bool text_allowed(const char *s, size_t len)
{
    for (size_t i = peri_ascii_span(s, len); i < len; i += peri_ascii_span(s + i, len - i)) {
        unsigned c;
        i += peri_utf8_decode(s + i, len - i, &c);
        if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE)
            return false;
    }
    return true;
}

static const struct {
    const char *name;
    size_t len;
} known[CE_KNOWN] = {
    [CE_SPECVERSION] = {"specversion", 11},
    [CE_ID] = {"id", 2},
    [CE_SOURCE] = {"source", 6},
    [CE_TYPE] = {"type", 4},
    [CE_SUBJECT] = {"subject", 7},
    [CE_TIME] = {"time", 4},
    [CE_DATASCHEMA] = {"dataschema", 10},
    [CE_DATACONTENTTYPE] = {"datacontenttype", 15},
};

/* CE_KNOWN when it is none of them. */
static enum ce_known find_known(struct peri_event_text name)
{
    enum ce_known k = CE_SPECVERSION;
    while (k < CE_KNOWN && (known[k].len != name.len || memcmp(known[k].name, name.s, name.len) != 0))
        k++;
    return k;
}

static bool source_allowed(struct peri_ce_scratch *scratch, struct peri_event_text source)
{
    if (source.len == scratch->source_len && memcmp(source.s, scratch->source, source.len) == 0)
        return true;
    if (!peri_format_uri_reference(source.s, source.len))
        return false;
    if (source.len <= sizeof(scratch->source)) {
        memcpy(scratch->source, source.s, source.len);
        scratch->source_len = source.len;
    }
    return true;
}

/* What is wrong, or NULL. */
static const char *wrong_text(
    struct ce_reader *r, struct ce_attributes *attrs, enum ce_known which, struct peri_event_text text)
{
    if (!text_allowed(text.s, text.len))
        return "must not hold control characters";
    if (which != CE_KNOWN && text.len == 0)
        return "must not be empty";
    switch (which) {
    case CE_SPECVERSION:
        return text.len == 3 && memcmp(text.s, "1.0", 3) == 0 ? NULL : "must be \"1.0\"";
    case CE_SOURCE:
        return source_allowed(r->scratch, text) ? NULL : "must be a URI-reference (RFC 3986)";
    case CE_DATASCHEMA:
        return peri_format_uri(text.s, text.len) ? NULL : "must be an absolute URI";
    case CE_TIME:
        return peri_time_parse(text.s, text.len, &attrs->time_ms)
                   ? NULL
                   : "must be a time of RFC 3339, as 2026-01-02T03:04:05Z";
    case CE_DATACONTENTTYPE:
        return peri_ce_media_type_valid(text.s) ? NULL : "must be a media type, as text/plain";
    default:
        return NULL;
    }
}

static enum peri_status refuse(struct ce_reader *r, struct peri_event_text name, const char *wrong)
{
    return peri_error_set(r->err, PERI_EINVAL, NULL, "attribute \"%.*s\" %s", (int)name.len, name.s, wrong);
}

/* A name that may be given, for the first time. *ret_key gets it with an end when it is none of the known ones. */
static enum peri_status check_name(struct ce_reader *r, const struct ce_attributes *attrs, struct peri_event_text name,
    enum ce_known which, char ret_key[CE_NAME_MAX + 1])
{
    if (which != CE_KNOWN)
        return attrs->known[which].s ? refuse(r, name, "is there twice") : PERI_OK;
    bool ok = name.len > 0 && name.len <= CE_NAME_MAX;
    for (size_t i = 0; ok && i < name.len; i++)
        ok = (name.s[i] >= 'a' && name.s[i] <= 'z') || (name.s[i] >= '0' && name.s[i] <= '9');
    if (!ok || (name.len == 4 && memcmp(name.s, "data", 4) == 0))
        return peri_error_set(r->err, PERI_EINVAL, NULL,
            "\"%.*s\" is no name of an attribute: lower-case letters and digits only",
            name.len < 100 ? (int)name.len : 100, name.s);
    memcpy(ret_key, name.s, name.len);
    ret_key[name.len] = '\0';
    return attrs->more && peri_map_at(attrs->more, ret_key) ? refuse(r, name, "is there twice") : PERI_OK;
}

/* take value */
static enum peri_status put_more(
    struct ce_reader *r, struct ce_attributes *attrs, const char *key, struct peri_value *value)
{
    bool ok = value && (attrs->more || (attrs->more = peri_value_map())) &&
              peri_map_put_ref(attrs->more, key, value) == PERI_OK;
    peri_value_unref(value);
    return ok ? PERI_OK : peri_error_nomem(r->err);
}

enum peri_status ce_put_text(
    struct ce_reader *r, struct ce_attributes *attrs, struct peri_event_text name, struct peri_event_text text)
{
    char key[CE_NAME_MAX + 1];
    enum ce_known which = find_known(name);
    enum peri_status st = check_name(r, attrs, name, which, key);
    if (st != PERI_OK)
        return st;
    if (which == CE_DATACONTENTTYPE) { /* is read to its end */
        char *copy = ce_room(r, text.len + 1);
        if (!copy)
            return PERI_ENOMEM;
        memcpy(copy, text.s, text.len);
        copy[text.len] = '\0';
        text.s = copy;
    }
    const char *wrong = wrong_text(r, attrs, which, text);
    if (wrong)
        return refuse(r, name, wrong);
    attrs->size += name.len + text.len;
    if (which != CE_KNOWN)
        attrs->known[which] = text;
    if (which == CE_KNOWN)
        return put_more(r, attrs, key, peri_value_strn(text.s, text.len));
    if (which == CE_DATASCHEMA || (which == CE_DATACONTENTTYPE && !peri_ce_media_type_is(text.s, "application/json")))
        return put_more(r, attrs, known[which].name, peri_value_strn(text.s, text.len));
    return PERI_OK;
}

enum peri_status ce_put_value(
    struct ce_reader *r, struct ce_attributes *attrs, struct peri_event_text name, const struct peri_value *value)
{
    char key[CE_NAME_MAX + 1];
    enum ce_known which = find_known(name);
    enum peri_status st = check_name(r, attrs, name, which, key);
    if (st != PERI_OK)
        return st;
    if (which != CE_KNOWN)
        return refuse(r, name, "must be a string");
    if (!peri_value_is(value, PERI_BOOL) &&
        (!peri_value_is(value, PERI_INT) || peri_value_as_int(value) != (int32_t)peri_value_as_int(value)))
        return refuse(r, name, "must be a string, a boolean or a 32-bit integer");
    attrs->size += name.len;
    return put_more(r, attrs, key, peri_value_ref((struct peri_value *)(uintptr_t)value));
}

/* ---- to an event ---- */

void ce_attributes_finish(struct ce_attributes *attrs)
{
    peri_value_unref(attrs->more);
    attrs->more = NULL;
}

enum peri_status ce_attributes_check(const struct ce_attributes *attrs, struct peri_error *err)
{
    for (enum ce_known k = CE_SPECVERSION; k <= CE_TYPE; k++)
        if (!attrs->known[k].s)
            return peri_error_set(err, PERI_EINVAL, NULL, "attribute \"%s\" is missing", known[k].name);
    return PERI_OK;
}

struct peri_event *ce_make_event(struct ce_attributes *attrs, const struct peri_event_text *data)
{
    struct peri_event_texts texts = {.source = attrs->known[CE_SOURCE],
        .type = attrs->known[CE_TYPE],
        .external_id = attrs->known[CE_ID],
        .subject = attrs->known[CE_SUBJECT],
        .data = *data};
    struct peri_event *event = peri_event_create_of(&texts);
    if (!event)
        return NULL;
    event->time_ms = attrs->time_ms;
    event->extensions = attrs->more;
    attrs->more = NULL;
    return event;
}
