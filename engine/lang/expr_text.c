/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "lang/expr_internal.h"

static void text_start(struct peri_buf *buf)
{
    peri_buf_init(buf, PERI_EXPR_MAX_RESULT);
}

static const char *arg_text(const struct expr_call *call, size_t i, size_t *ret_len)
{
    return peri_value_textn(call->args[i], ret_len);
}

/* Simple case pairs of Latin, Greek and Cyrillic letters; other scripts stay as they are, and so does German sharp s.
 */
static unsigned lower_code(unsigned c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) ||
        (c >= 0x410 && c <= 0x42F))
        return c + 32;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    if ((c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14A && c <= 0x177))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
        return c + (c & 1);
    return c == 0x178 ? 0xFF : c == 0x386 ? 0x3AC : c >= 0x388 && c <= 0x38A ? c + 37 : c == 0x38C ? 0x3CC : c;
}

static unsigned upper_code(unsigned c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2) ||
        (c >= 0x430 && c <= 0x44F))
        return c - 32;
    if (c >= 0x450 && c <= 0x45F)
        return c - 80;
    if ((c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14A && c <= 0x177))
        return c & ~1u;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
        return c & 1 ? c : c - 1;
    return c == 0xFF ? 0x178 : c == 0x3AC ? 0x386 : c >= 0x3AD && c <= 0x3AF ? c - 37 : c == 0x3CC ? 0x38C : c;
}

/* Changes the case of the first limit characters. */
static enum peri_status change_case(
    const struct expr_call *call, unsigned (*change)(unsigned), size_t limit, struct peri_value **ret)
{
    size_t len = 0, at = 0;
    const char *text = arg_text(call, 0, &len);
    struct peri_buf buf;
    text_start(&buf);
    for (; at < len && limit > 0; limit--) {
        unsigned code = 0;
        char out[4];
        at += peri_utf8_decode(text + at, len - at, &code);
        (void)peri_buf_append(&buf, out, peri_utf8_encode(change(code), out));
    }
    (void)peri_buf_append(&buf, text + at, len - at);
    return peri_expr_take_text(call, &buf, ret);
}

enum peri_status peri_expr_fn_upper(const struct expr_call *call, struct peri_value **ret)
{
    return change_case(call, upper_code, (size_t)-1, ret);
}

enum peri_status peri_expr_fn_lower(const struct expr_call *call, struct peri_value **ret)
{
    return change_case(call, lower_code, (size_t)-1, ret);
}

enum peri_status peri_expr_fn_capitalize(const struct expr_call *call, struct peri_value **ret)
{
    return change_case(call, upper_code, 1, ret);
}

enum peri_status peri_expr_fn_trim(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0;
    const char *text = arg_text(call, 0, &len);
    while (len > 0 && *text && strchr(" \t\r\n", *text))
        text++, len--;
    while (len > 0 && text[len - 1] && strchr(" \t\r\n", text[len - 1]))
        len--;
    return peri_expr_give(call, peri_value_strn(text, len), ret);
}

static enum peri_status push_text(const struct expr_call *call, struct peri_value *list, const char *text, size_t len)
{
    if (peri_value_count(list) >= PERI_EXPR_MAX_ITEMS)
        return peri_expr_too_large(call->err);
    return peri_list_push(list, peri_value_strn(text, len)) == PERI_OK ? PERI_OK : peri_error_nomem(call->err);
}

/* Without a separator: at runs of white space, none of them kept. An empty separator gives the characters. */
static enum peri_status split_into(const struct expr_call *call, struct peri_value *list)
{
    size_t len = 0, sep_len = 0;
    const char *text = arg_text(call, 0, &len), *end = text + len;
    const char *sep = call->count > 1 ? arg_text(call, 1, &sep_len) : NULL;
    enum peri_status st = PERI_OK;
    if (sep && sep_len > 0) {
        for (const char *hit; st == PERI_OK && (hit = memmem(text, (size_t)(end - text), sep, sep_len));
             text = hit + sep_len)
            st = push_text(call, list, text, (size_t)(hit - text));
        return st == PERI_OK ? push_text(call, list, text, (size_t)(end - text)) : st;
    }
    while (text < end && st == PERI_OK) {
        size_t n = 0;
        unsigned code;
        if (sep) {
            n = peri_utf8_decode(text, (size_t)(end - text), &code);
        } else {
            while (text < end && *text && strchr(" \t\r\n", *text))
                text++;
            while (text + n < end && !(text[n] && strchr(" \t\r\n", text[n])))
                n++;
        }
        if (n > 0)
            st = push_text(call, list, text, n);
        text += n;
    }
    return st;
}

enum peri_status peri_expr_fn_split(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? split_into(call, list) : peri_error_nomem(call->err);
    if (st == PERI_OK)
        *ret = list;
    else
        peri_value_unref(list);
    return st;
}

enum peri_status peri_expr_fn_replace(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0, old_len = 0, new_len = 0;
    const char *text = arg_text(call, 0, &len), *end = text + len;
    const char *old = arg_text(call, 1, &old_len), *new = arg_text(call, 2, &new_len), *hit;
    struct peri_buf buf;
    text_start(&buf);
    while (old_len > 0 && !buf.failed && (hit = memmem(text, (size_t)(end - text), old, old_len))) {
        (void)peri_buf_append(&buf, text, (size_t)(hit - text));
        (void)peri_buf_append(&buf, new, new_len);
        text = hit + old_len;
    }
    (void)peri_buf_append(&buf, text, (size_t)(end - text));
    return peri_expr_take_text(call, &buf, ret);
}

enum peri_status peri_expr_fn_starts_with(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0, n = 0;
    const char *text = arg_text(call, 0, &len), *start = arg_text(call, 1, &n);
    return peri_expr_give(call, peri_value_bool(n <= len && memcmp(text, start, n) == 0), ret);
}

enum peri_status peri_expr_fn_ends_with(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0, n = 0;
    const char *text = arg_text(call, 0, &len), *tail = arg_text(call, 1, &n);
    return peri_expr_give(call, peri_value_bool(n <= len && memcmp(text + len - n, tail, n) == 0), ret);
}

enum peri_status peri_expr_fn_slug(const struct expr_call *call, struct peri_value **ret)
{
    char *slug = peri_slug(peri_value_text(call->args[0]));
    enum peri_status st = peri_expr_give(call, slug ? peri_value_str(slug) : NULL, ret);
    free(slug);
    return st;
}

/* To at most n characters, the mark included when something was cut. */
enum peri_status peri_expr_fn_truncate(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0, mark_len = 3, at = 0;
    const char *text = arg_text(call, 0, &len), *mark = "\xE2\x80\xA6";
    int64_t limit = peri_value_as_int(call->args[1]);
    if (call->count > 2)
        mark = arg_text(call, 2, &mark_len);
    if (limit < 0)
        return peri_error_set(call->err, PERI_EINVAL, "type", "truncate needs a length of 0 or more");
    struct peri_buf buf;
    text_start(&buf);
    if ((int64_t)peri_utf8_length(text, len) <= limit) {
        (void)peri_buf_append(&buf, text, len);
        return peri_expr_take_text(call, &buf, ret);
    }
    int64_t keep = limit - (int64_t)peri_utf8_length(mark, mark_len);
    unsigned code;
    for (int64_t i = 0; i < (keep < 0 ? limit : keep); i++)
        at += peri_utf8_decode(text + at, len - at, &code);
    (void)peri_buf_append(&buf, text, at);
    if (keep >= 0)
        (void)peri_buf_append(&buf, mark, mark_len);
    return peri_expr_take_text(call, &buf, ret);
}

/* RFC 3986: everything but the unreserved characters is encoded. */
enum peri_status peri_expr_fn_url_encode(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0;
    const char *text = arg_text(call, 0, &len);
    struct peri_buf buf;
    text_start(&buf);
    for (size_t i = 0; i < len && !buf.failed; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("-._~", c));
        if (plain)
            (void)peri_buf_putc(&buf, (char)c);
        else
            (void)peri_buf_printf(&buf, "%%%02X", c);
    }
    return peri_expr_take_text(call, &buf, ret);
}

enum peri_status peri_expr_fn_json(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_buf buf;
    text_start(&buf);
    if (peri_json_write(&buf, call->args[0], PERI_JSON_COMPACT) != PERI_OK && !buf.failed)
        buf.failed = PERI_ENOMEM;
    return peri_expr_take_text(call, &buf, ret);
}

enum peri_status peri_expr_fn_from_json(const struct expr_call *call, struct peri_value **ret)
{
    size_t len = 0;
    const char *text = arg_text(call, 0, &len);
    struct peri_error err;
    enum peri_status st = peri_json_parse(text, len, ret, &err);
    if (st == PERI_EINVAL)
        return peri_error_set(call->err, st, "type", "from_json: %s", err.message);
    return st == PERI_OK ? st : peri_error_nomem(call->err);
}

enum peri_status peri_expr_fn_string(const struct expr_call *call, struct peri_value **ret)
{
    struct peri_buf buf;
    text_start(&buf);
    (void)peri_expr_append_text(&buf, call->args[0]);
    return peri_expr_take_text(call, &buf, ret);
}
