/* SPDX-License-Identifier: Apache-2.0 */
/* Events as JSON. One pass over the body says whether it is JSON, and where its quotes and brackets are (the matcher's
 * first pass); then members are found by those marks, whatever is between them, and nothing is parsed into values but
 * attributes that are no texts. */
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "data/json_scan.h"
#include "run/cloudevents_internal.h"

/* A name or text that no parser of ours would take: \u0000 in a key. So rare that the parser itself is asked. */
static bool has_nul_escape(const char *text, size_t len)
{
    const char *s = text, *end = text + len;
    while ((s = memchr(s, '\\', (size_t)(end - s))) != NULL) {
        if (end - s >= 6 && memcmp(s + 1, "u0000", 5) == 0)
            return true;
        s += end - s >= 2 ? 2 : 1;
    }
    return false;
}

enum peri_status ce_check_json(struct ce_reader *r, const char *text, size_t len)
{
    struct matcher_scan *scan = &r->scratch->scan;
    enum matcher_scan_result found = MATCHER_SCAN_OTHER;
    scan->bracket_count = 0;
    if (len <= MATCHER_SCAN_MAX)
        found = matcher_scan_document(scan, text, len);
    if (found == MATCHER_SCAN_NOMEM)
        return peri_error_nomem(r->err);
    bool plain = found == MATCHER_SCAN_OK && !scan->long_numbers;
    if (plain && !(scan->slashes && has_nul_escape(text, len)))
        return PERI_OK;
    if (found != MATCHER_SCAN_OK)
        scan->bracket_count = 0;
    return peri_json_check(text, len, r->err);
}

/* The first quote from here on, or len. */
static size_t next_quote(const struct matcher_scan *scan, size_t from)
{
    size_t word = from / 64, last = (scan->len - 1) / 64;
    uint64_t bits = scan->quotes[word] & ~UINT64_C(0) << from % 64;
    while (!bits && word < last)
        bits = scan->quotes[++word];
    return bits ? word * 64 + (size_t)__builtin_ctzll(bits) : scan->len;
}

static size_t skip_blanks(const char *text, size_t at)
{
    while (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r')
        at++;
    return at;
}

/* To behind a number or word. A bracket or comma follows in any case. */
static size_t skip_scalar(const char *text, size_t at)
{
    while (text[at] != ',' && text[at] != '}' && text[at] != ' ' && text[at] != '\n' && text[at] != '\t' &&
           text[at] != '\r')
        at++;
    return at;
}

/* What stands between two quotes. */
static enum peri_status decode(struct ce_reader *r, struct peri_event_text *text)
{
    if (!r->scratch->scan.slashes || !memchr(text->s, '\\', text->len))
        return PERI_OK;
    char *plain = ce_room(r, text->len + 1);
    if (!plain)
        return PERI_ENOMEM;
    text->len = peri_json_unescape(text->s, text->len, plain);
    text->s = plain;
    return PERI_OK;
}

static bool is(struct peri_event_text name, const char *word, size_t len)
{
    return name.len == len && memcmp(name.s, word, len) == 0;
}

static enum peri_status put_string(
    struct ce_reader *r, struct ce_parts *p, struct peri_event_text name, struct peri_event_text text)
{
    enum peri_status st = decode(r, &text);
    if (st != PERI_OK || !is(name, "data_base64", 11))
        return st ? st : ce_put_text(r, &p->attrs, name, text);
    if (p->data_base64.s)
        return peri_error_set(r->err, PERI_EINVAL, NULL, "\"data_base64\" is there twice");
    p->data_base64 = text;
    return PERI_OK;
}

static enum peri_status put_other(
    struct ce_reader *r, struct ce_parts *p, struct peri_event_text name, struct peri_event_text text)
{
    struct peri_value *v = NULL;
    if (is(text, "null", 4))
        return PERI_OK; /* is no attribute */
    if (is(name, "data_base64", 11))
        return peri_error_set(r->err, PERI_EINVAL, NULL,
            p->data_base64.s ? "\"data_base64\" is there twice" : "\"data_base64\" must be a string");
    enum peri_status st = peri_json_parse(text.s, text.len, &v, r->err);
    if (st == PERI_OK)
        st = ce_put_value(r, &p->attrs, name, v);
    peri_value_unref(v);
    return st;
}

static enum peri_status put_member(
    struct ce_reader *r, struct ce_parts *p, struct peri_event_text name, const char *value, size_t len)
{
    if (is(name, "data", 4)) {
        if (p->data.s)
            return peri_error_set(r->err, PERI_EINVAL, NULL, "\"data\" is there twice");
        p->data = (struct peri_event_text){value, len};
        return PERI_OK;
    }
    if (*value == '"')
        return put_string(r, p, name, (struct peri_event_text){value + 1, len - 2});
    return put_other(r, p, name, (struct peri_event_text){value, len});
}

enum peri_status ce_read_members(struct ce_reader *r, size_t open, struct ce_parts *p)
{
    const struct matcher_scan *scan = &r->scratch->scan;
    const char *text = scan->text;
    size_t end = scan->brackets[matcher_scan_closing(scan, open)], inner = open + 1, key;
    enum peri_status st = PERI_OK;
    for (size_t at = scan->brackets[open] + 1; st == PERI_OK && (key = next_quote(scan, at)) < end;) {
        size_t key_end = next_quote(scan, key + 1);
        struct peri_event_text name = {text + key + 1, key_end - key - 1};
        size_t value = skip_blanks(text, skip_blanks(text, key_end + 1) + 1); /* behind the colon */
        if (text[value] == '"') {
            at = next_quote(scan, value + 1) + 1;
        } else if (text[value] == '{' || text[value] == '[') {
            size_t closing = matcher_scan_closing(scan, inner);
            at = scan->brackets[closing] + 1;
            inner = closing + 1;
        } else {
            at = skip_scalar(text, value);
        }
        st = decode(r, &name);
        if (st == PERI_OK)
            st = put_member(r, p, name, text + value, at - value);
    }
    return st;
}
