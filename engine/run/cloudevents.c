/* SPDX-License-Identifier: Apache-2.0 */
/* The three modes of the HTTP binding and plain JSON. Data is kept as it was sent: the text of structured events is
 * checked whole once, then walked (cloudevents_json.c), so that "data" is cut out byte for byte. Attributes are slices
 * of the request until the event is made with all its texts in one block. */
#include "run/cloudevents.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/str.h"
#include "data/json.h"
#include "run/cloudevents_internal.h"

#define SCAN_KEPT (64 * 1024) /* brackets, and words of 64 bytes of text, whose room is kept for the next request */

struct peri_ce_scratch *peri_ce_scratch_create(void)
{
    return calloc(1, sizeof(struct peri_ce_scratch));
}

void peri_ce_scratch_destroy(struct peri_ce_scratch *scratch)
{
    if (!scratch)
        return;
    matcher_scan_finish(&scratch->scan);
    free(scratch);
}

char *ce_room(struct ce_reader *r, size_t size)
{
    if (!r->arena)
        r->arena = peri_arena_create(SIZE_MAX / 4);
    char *room = r->arena ? peri_arena_alloc(r->arena, size) : NULL;
    if (!room)
        (void)peri_error_nomem(r->err);
    return room;
}

/* ---- payloads ---- */

/* What is stored: a slice of the request, or a text of its own. */
struct payload {
    struct peri_event_text text;
    char *own;
};

static const struct peri_event_text null_text = {"null", 4};

static enum peri_status take_buf(struct payload *ret, struct peri_buf *b, struct peri_error *err)
{
    enum peri_status st = b->failed;
    ret->own = st ? NULL : peri_buf_take(b, &ret->text.len);
    peri_buf_finish(b);
    ret->text.s = ret->own;
    return ret->own ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status set_base64(struct payload *ret, const char *bytes, size_t len, struct peri_error *err)
{
    struct peri_buf b;
    peri_buf_init(&b, 256u << 20);
    peri_buf_puts(&b, "{\"data_base64\":\"");
    peri_base64_encode(&b, bytes, len);
    peri_buf_puts(&b, "\"}");
    return take_buf(ret, &b, err);
}

static enum peri_status set_text(struct payload *ret, const char *text, size_t len, struct peri_error *err)
{
    struct peri_buf b;
    peri_buf_init(&b, 256u << 20);
    peri_json_write_string(&b, text, len);
    return take_buf(ret, &b, err);
}

static enum peri_status check_data(struct ce_reader *r, const char *text, size_t len)
{
    enum peri_status st = r->walking ? peri_json_check(text, len, r->err) : ce_check_json(r, text, len);
    if (st)
        peri_error_prefix(r->err, "the data is not the JSON it is declared to be");
    return st;
}

/* Bytes of a declared media type (NULL: none) to the JSON text that is stored. */
static enum peri_status set_bytes(
    struct ce_reader *r, const char *media_type, const char *bytes, size_t len, struct payload *ret)
{
    if (r->json || (media_type && peri_ce_media_type_json(media_type))) {
        ret->text = (struct peri_event_text){bytes, len};
        return check_data(r, bytes, len);
    }
    while (media_type && (*media_type == ' ' || *media_type == '\t'))
        media_type++;
    if (media_type && strncasecmp(media_type, "text/", 5) == 0 && peri_utf8_valid(bytes, len, NULL))
        return set_text(ret, bytes, len, r->err);
    return set_base64(ret, bytes, len, r->err);
}

/* ---- finishing one event ---- */

static enum peri_status too_large(struct ce_reader *r, size_t size)
{
    return peri_error_set(
        r->err, PERI_EINVAL, "too_large", "the event has %zu bytes, at most %zu are allowed", size, r->max);
}

static enum peri_status add_event(struct ce_reader *r, struct ce_attributes *attrs, const struct payload *data)
{
    struct peri_event *event = ce_make_event(attrs, &data->text);
    return !event || peri_batch_event(r->batch, event) ? peri_error_nomem(r->err) : PERI_OK;
}

/* ---- binary ---- */

struct header_walk {
    struct ce_reader *r;
    struct ce_attributes attrs;
    int content_types;
    enum peri_status st;
};

static bool is_ce_header(const char *name)
{
    return (name[0] | 0x20) == 'c' && (name[1] | 0x20) == 'e' && name[2] == '-';
}

static void on_header(void *arg, const char *name, const char *value)
{
    struct header_walk *w = arg;
    if (!is_ce_header(name)) {
        w->content_types += strcasecmp(name, "content-type") == 0;
        return;
    }
    if (w->st)
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
    struct peri_event_text text = {0};
    w->st = ce_decode_header(w->r, attribute, value, &text);
    if (w->st == PERI_OK)
        w->st = ce_put_text(w->r, &w->attrs, (struct peri_event_text){attribute, len + (name[3 + len] != '\0')}, text);
}

static enum peri_status put_content_type(struct ce_reader *r, struct ce_attributes *attrs, const char *content_type)
{
    static const struct peri_event_text name = {"datacontenttype", 15};
    struct peri_event_text text = {content_type, strlen(content_type)};
    struct peri_ce_scratch *scratch = r->scratch;
    if (*content_type && strcmp(content_type, scratch->json_type) == 0) { /* is the one of most events */
        attrs->known[CE_DATACONTENTTYPE] = text;
        attrs->size += name.len + text.len;
        r->json = true;
        return PERI_OK;
    }
    if (!peri_utf8_valid(content_type, text.len, NULL) || !peri_ce_media_type_valid(content_type))
        return peri_error_set(r->err, PERI_EINVAL, NULL, "Content-Type is no media type");
    enum peri_status st = ce_put_text(r, attrs, name, text);
    r->json = st == PERI_OK && peri_ce_media_type_is(content_type, "application/json");
    if (r->json && text.len < sizeof(scratch->json_type))
        memcpy(scratch->json_type, content_type, text.len + 1);
    return st;
}

static enum peri_status read_binary(struct ce_reader *r, const char *content_type)
{
    struct header_walk w = {.r = r};
    struct payload data = {.text = null_text};
    r->in->each_header(r->in->req, on_header, &w);
    enum peri_status st = w.st;
    if (st == PERI_OK && w.content_types > 1)
        st = peri_error_set(r->err, PERI_EINVAL, NULL, "more than one Content-Type");
    if (st == PERI_OK && content_type)
        st = put_content_type(r, &w.attrs, content_type);
    if (st == PERI_OK)
        st = ce_attributes_check(&w.attrs, r->err);
    size_t size = r->in->len + w.attrs.size;
    if (st == PERI_OK && size > r->max)
        st = too_large(r, size);
    if (st == PERI_OK && r->in->len)
        st = set_bytes(r, content_type, r->in->body, r->in->len, &data);
    if (st == PERI_OK)
        st = add_event(r, &w.attrs, &data);
    free(data.own);
    ce_attributes_finish(&w.attrs);
    return st;
}

/* ---- structured ---- */

static enum peri_status set_structured_data(struct ce_reader *r, const struct ce_parts *p, struct payload *ret)
{
    if (!p->data_base64.s) {
        ret->text = p->data.s ? p->data : null_text;
        return PERI_OK;
    }
    if (p->data.s)
        return peri_error_set(r->err, PERI_EINVAL, NULL, "\"data\" and \"data_base64\" exclude each other");
    size_t len;
    char *bytes = NULL;
    enum peri_status st = peri_base64_decode(p->data_base64.s, p->data_base64.len, &bytes, &len);
    if (st)
        return st == PERI_ENOMEM ? peri_error_nomem(r->err)
                                 : peri_error_set(r->err, st, NULL, "\"data_base64\" is not valid base64");
    st = set_bytes(r, p->attrs.known[CE_DATACONTENTTYPE].s, bytes, len, ret);
    if (st == PERI_OK && !ret->own) /* JSON: it is these bytes */
        ret->own = bytes;
    else
        free(bytes);
    return st;
}

/* The event whose bracket is number open of the scan. */
static enum peri_status read_structured_event(struct ce_reader *r, size_t open)
{
    struct ce_parts p = {0};
    struct payload data = {0};
    enum peri_status st = ce_read_members(r, open, &p);
    if (st == PERI_OK)
        st = ce_attributes_check(&p.attrs, r->err);
    if (st == PERI_OK) {
        size_t size = p.attrs.size + p.data.len + p.data_base64.len / 4 * 3;
        st = size > r->max ? too_large(r, size) : set_structured_data(r, &p, &data);
    }
    if (st == PERI_OK)
        st = add_event(r, &p.attrs, &data);
    free(data.own);
    ce_attributes_finish(&p.attrs);
    return st;
}

static const char *skip_space(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n'))
        s++;
    return s;
}

static enum peri_status not_an_object(struct ce_reader *r)
{
    return peri_error_set(r->err, PERI_EINVAL, NULL, "an event must be a JSON object");
}

/* The elements of the outermost array. */
static enum peri_status read_batch(struct ce_reader *r)
{
    const struct matcher_scan *scan = &r->scratch->scan;
    const char *text = scan->text, *end = text + scan->len;
    const char *s = skip_space(text + scan->brackets[0] + 1, end);
    size_t open = 1;
    for (size_t i = 1; *s != ']'; i++) {
        enum peri_status st = *s == '{' ? read_structured_event(r, open) : not_an_object(r);
        if (st) {
            peri_error_prefix(r->err, "event %zu of the batch", i);
            return st;
        }
        size_t closing = matcher_scan_closing(scan, open);
        s = skip_space(text + scan->brackets[closing] + 1, end);
        if (*s == ',')
            s = skip_space(s + 1, end);
        open = closing + 1;
    }
    return PERI_OK;
}

static enum peri_status read_structured(struct ce_reader *r, bool many)
{
    enum peri_status st = ce_check_json(r, r->in->body, r->in->len); /* the text is JSON from here on */
    if (st) {
        peri_error_prefix(r->err, "the body is not valid JSON");
        return st;
    }
    const struct matcher_scan *scan = &r->scratch->scan;
    char first = scan->bracket_count ? scan->text[scan->brackets[0]] : '\0'; /* none: the body is no container */
    r->walking = true;
    if (!many)
        return first == '{' ? read_structured_event(r, 0) : not_an_object(r);
    if (first != '[')
        return peri_error_set(r->err, PERI_EINVAL, NULL, "a batch must be a JSON array");
    return read_batch(r);
}

/* ---- plain JSON ---- */

static enum peri_status put_query(
    struct ce_reader *r, struct ce_attributes *attrs, const char *name, const char *fallback)
{
    const char *text = r->in->query(r->in->req, name);
    if (!text)
        text = fallback;
    if (!text)
        return PERI_OK;
    size_t len = strlen(text);
    if (!peri_utf8_valid(text, len, NULL))
        return peri_error_set(r->err, PERI_EINVAL, NULL, "?%s= is not valid UTF-8", name);
    return ce_put_text(r, attrs, (struct peri_event_text){name, strlen(name)}, (struct peri_event_text){text, len});
}

/* Whatever a plain client says about JSON: nothing, or what curl says when it is told nothing. */
static bool plain_type(const char *content_type)
{
    return !content_type || peri_ce_media_type_json(content_type) ||
           peri_ce_media_type_is(content_type, "text/plain") ||
           peri_ce_media_type_is(content_type, "application/x-www-form-urlencoded");
}

static enum peri_status put_plain(struct ce_reader *r, struct ce_attributes *attrs)
{
    static const char *const names[] = {"type", "source", "id", "subject", "time", NULL};
    enum peri_status st = PERI_OK;
    for (int i = 0; st == PERI_OK && names[i]; i++)
        st = put_query(r, attrs, names[i], strcmp(names[i], "source") == 0 ? "api" : NULL);
    return st;
}

/* Only here may an event be without an id: then no duplicate is recognised. */
static enum peri_status read_plain(struct ce_reader *r, const char *content_type)
{
    if (!plain_type(content_type))
        return peri_error_set(
            r->err, PERI_EINVAL, "media_type", "with ?type= the body must be JSON (application/json)");
    struct ce_attributes attrs = {0};
    struct payload data = {.text = null_text};
    enum peri_status st = put_plain(r, &attrs);
    size_t size =
        r->in->len + attrs.size + sizeof("specversion1.0") - 1 + (attrs.known[CE_ID].s ? 0 : sizeof("id-") - 1);
    if (st == PERI_OK && size > r->max)
        st = too_large(r, size);
    if (st == PERI_OK && r->in->len) {
        data.text = (struct peri_event_text){r->in->body, r->in->len};
        st = check_data(r, r->in->body, r->in->len);
    }
    if (st == PERI_OK)
        st = add_event(r, &attrs, &data);
    ce_attributes_finish(&attrs);
    return st;
}

/* ---- choosing ---- */

static void note_ce_header(void *arg, const char *name, const char *value)
{
    if (is_ce_header(name))
        *(bool *)arg = true;
}

static enum peri_status read_any(struct ce_reader *r, bool *ret_batch_mode)
{
    static const char prefix[] = "application/cloudevents";
    const struct peri_cloudevents_input *in = r->in;
    const char *content_type = in->header(in->req, "content-type");
    while (content_type && (*content_type == ' ' || *content_type == '\t'))
        content_type++;
    if (content_type && strncasecmp(content_type, prefix, strlen(prefix)) == 0) {
        *ret_batch_mode = peri_ce_media_type_is(content_type, "application/cloudevents-batch+json");
        if (!*ret_batch_mode && !peri_ce_media_type_is(content_type, "application/cloudevents+json"))
            return peri_error_set(r->err, PERI_EINVAL, "media_type",
                "events are taken as application/cloudevents+json or application/cloudevents-batch+json");
        return read_structured(r, *ret_batch_mode);
    }
    bool binary = false;
    in->each_header(in->req, note_ce_header, &binary);
    if (binary)
        return read_binary(r, content_type);
    if (in->query(in->req, "type"))
        return read_plain(r, content_type);
    return peri_error_set(r->err, PERI_EINVAL, NULL,
        "no event: send ce- headers, Content-Type application/cloudevents+json, or JSON with ?type=");
}

enum peri_status peri_cloudevents_read_input(const struct peri_cloudevents_input *in, size_t max_event_bytes,
    struct peri_batch *batch, bool *ret_batch_mode, struct peri_error *err)
{
    struct peri_ce_scratch *scratch = in->scratch ? in->scratch : peri_ce_scratch_create();
    struct ce_reader r = {.in = in, .max = max_event_bytes, .batch = batch, .err = err, .scratch = scratch};
    *ret_batch_mode = false;
    if (!scratch)
        return peri_error_nomem(err);
    enum peri_status st = read_any(&r, ret_batch_mode);
    peri_arena_destroy(r.arena);
    if (scratch != in->scratch)
        peri_ce_scratch_destroy(scratch);
    else if (scratch->scan.block_cap > SCAN_KEPT || scratch->scan.bracket_cap > SCAN_KEPT)
        matcher_scan_finish(&scratch->scan);
    return st;
}

/* ---- the server's requests ---- */

static const char *http_header(const void *req, const char *name)
{
    return peri_http_header(req, name);
}

static const char *http_query(const void *req, const char *name)
{
    return peri_http_query(req, name);
}

static void http_each_header(const void *req, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    peri_http_each_header(req, fn, arg);
}

enum peri_status peri_cloudevents_read(const struct peri_http_request *req, struct peri_ce_scratch *scratch,
    size_t max_event_bytes, struct peri_batch *batch, bool *ret_batch_mode, struct peri_error *err)
{
    struct peri_cloudevents_input in = {
        .header = http_header, .query = http_query, .each_header = http_each_header, .req = req, .scratch = scratch};
    in.body = peri_http_body(req, &in.len);
    return peri_cloudevents_read_input(&in, max_event_bytes, batch, ret_batch_mode, err);
}
