/* SPDX-License-Identifier: Apache-2.0 */
/* jansson in, jansson out, with two things it lacks: a depth check before its recursive reader runs, and the shortest
 * form of doubles (jansson has one precision a dump: 15 digits lose bits, 17 print 0.1 as 0.10000000000000001). */
#include "data/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json_plain.h"
#include "data/value_memory.h"

/* Nesting is counted on the bytes, strings skipped: cheap, and it bounds every recursion that follows. A NUL byte is
 * looked for here too: behind a number jansson swallows it. */
static enum peri_status check_bytes(const char *text, size_t len, struct peri_error *err)
{
    int depth = 0, line = 1;
    size_t line_start = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '\0')
            return peri_error_set(
                err, PERI_EINVAL, "json.syntax", "line %d, column %zu: a NUL byte", line, i - line_start + 1);
        if (c == '"') {
            for (i++; i < len && text[i] != '"'; i++)
                if (text[i] == '\\')
                    i++;
        } else if (c == '[' || c == '{') {
            if (++depth > PERI_JSON_DEPTH)
                return peri_error_set(err, PERI_EINVAL, "json.depth",
                    "line %d, column %zu: nested deeper than %d levels", line, i - line_start + 1, PERI_JSON_DEPTH);
        } else if (c == ']' || c == '}') {
            depth--;
        } else if (c == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    return PERI_OK;
}

/* ---- values of a text that peri_json_is_plain ---- */

/* jansson reads a byte at a time through a callback and keeps a copy of each token; what has been checked is made into
 * the same values three times as fast. What the check has seen is not looked at again. NULL: memory is out. */

static const char *skip_blanks(const char *s)
{
    while (*s == ' ' || *s == '\n' || *s == '\t' || *s == '\r')
        s++;
    return s;
}

static json_t *make_value(const char **at, const char *end);

/* Behind the opening quote. */
static json_t *make_string(const char **at, const char *end)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *s = *at, *quote = memchr(s, '"', (size_t)(end - s));
    if (!memchr(s, '\\', (size_t)(quote - s))) {
        *at = quote + 1;
        return json_stringn_nocheck(s, (size_t)(quote - s));
    }
    while (quote[-1] == '\\') { /* rough: ends at this quote or a later one */
        const char *slash = quote;
        while (slash > s && slash[-1] == '\\')
            slash--;
        if ((quote - slash) % 2 == 0)
            break;
        quote = memchr(quote + 1, '"', (size_t)(end - quote - 1));
    }
    char *text = malloc(quote > s ? (size_t)(quote - s) : 1), *out = text;
    for (; text && s < quote; s++) {
        if (*s != '\\') {
            *out++ = *s;
            continue;
        }
        const char *known = strchr(from, *++s);
        *out++ = known ? to[known - from] : *s;
    }
    json_t *made = text ? json_stringn_nocheck(text, (size_t)(out - text)) : NULL;
    free(text);
    *at = quote + 1;
    return made;
}

static json_t *make_number(const char **at, const char *end)
{
    char text[PERI_JSON_PLAIN_NUMBER];
    const char *s = *at;
    bool minus = *s == '-', real = false;
    json_int_t n = 0;
    for (s += minus; s < end && ((*s >= '0' && *s <= '9') || *s == '.'); s++) {
        real = real || *s == '.';
        n = real ? n : n * 10 + (*s - '0');
    }
    size_t len = (size_t)(s - *at);
    if (real) {
        memcpy(text, *at, len);
        text[len] = '\0';
    }
    *at = s;
    return real ? json_real(strtod(text, NULL)) : json_integer(minus ? -n : n);
}

/* Behind the opening bracket. */
static json_t *make_list(const char **at, const char *end)
{
    json_t *list = json_array();
    *at = skip_blanks(*at);
    for (bool more = **at != ']'; list && more;) {
        if (json_array_append_new(list, make_value(at, end)) != 0) {
            json_decref(list);
            return NULL;
        }
        *at = skip_blanks(*at);
        more = **at == ',';
        *at += more;
    }
    ++*at;
    return list;
}

static json_t *make_map(const char **at, const char *end)
{
    json_t *map = json_object();
    *at = skip_blanks(*at);
    for (bool more = **at != '}'; map && more;) {
        const char *key = skip_blanks(*at) + 1, *quote = memchr(key, '"', (size_t)(end - key));
        *at = skip_blanks(quote + 1) + 1; /* the colon */
        if (json_object_setn_new_nocheck(map, key, (size_t)(quote - key), make_value(at, end)) != 0) {
            json_decref(map);
            return NULL;
        }
        *at = skip_blanks(*at);
        more = **at == ',';
        *at += more;
    }
    ++*at;
    return map;
}

/* Recursion ends at PERI_JSON_DEPTH, which the check has counted. */
static json_t *make_value(const char **at, const char *end)
{
    const char *s = *at = skip_blanks(*at);
    switch (*s) {
    case '{':
    case '[':
        ++*at;
        return *s == '{' ? make_map(at, end) : make_list(at, end);
    case '"':
        ++*at;
        return make_string(at, end);
    case 't':
        *at += 4;
        return json_true();
    case 'f':
        *at += 5;
        return json_false();
    case 'n':
        *at += 4;
        return json_null();
    default:
        return make_number(at, end);
    }
}

static enum peri_status parse(
    const char *text, size_t len, size_t flags, struct peri_value **ret, struct peri_error *err)
{
    enum peri_status st = check_bytes(text, len, err);
    if (st)
        return st;
    json_error_t why;
    unsigned long refused = peri_value_refused();
    json_t *j = json_loadb(text, len, flags | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (peri_value_refused() != refused) { /* wrong, or incomplete, or neither */
        json_decref(j);
        return peri_error_nomem(err);
    }
    if (!j) {
        return peri_error_set(err, PERI_EINVAL, "json.syntax", "line %d, column %d: %s", why.line > 0 ? why.line : 1,
            why.column > 0 ? why.column : 1, why.text);
    }
    *ret = (struct peri_value *)j;
    return PERI_OK;
}

enum peri_status peri_json_parse(const char *text, size_t len, struct peri_value **ret, struct peri_error *err)
{
    if (!peri_json_is_plain(text, len))
        return parse(text, len, 0, ret, err);
    unsigned long refused = peri_value_refused();
    json_t *j = make_value(&text, text + len);
    if (!j || peri_value_refused() != refused) { /* jansson may make something of what it has */
        json_decref(j);
        return peri_error_nomem(err);
    }
    *ret = (struct peri_value *)j;
    return PERI_OK;
}

enum peri_status peri_json_parse_strict(const char *text, size_t len, struct peri_value **ret, struct peri_error *err)
{
    return parse(text, len, JSON_REJECT_DUPLICATES, ret, err);
}

/* Nothing in it has to be escaped; eight bytes at a time. */
static bool is_plain_text(const char *s, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    for (; len >= 8; s += 8, len -= 8) {
        uint64_t x, quotes, slashes;
        memcpy(&x, s, sizeof(x));
        quotes = x ^ ones * '"';
        slashes = x ^ ones * '\\';
        /* Each is never wrong about "none": a byte above may be taken for one after a hit below it. */
        if ((((x - ones * 0x20) & ~x) | ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)) & highs)
            return false;
    }
    for (; len > 0; s++, len--)
        if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\')
            return false;
    return true;
}

enum peri_status peri_json_write_string(struct peri_buf *out, const char *s, size_t len)
{
    if (is_plain_text(s, len) && peri_buf_reserve(out, len + 2) == PERI_OK) {
        char *to = out->data + out->len;
        *to++ = '"';
        if (len)
            memcpy(to, s, len);
        to[len] = '"';
        to[len + 1] = '\0';
        out->len += len + 2;
        return PERI_OK;
    }
    peri_buf_putc(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        peri_buf_append(out, s + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\')
            peri_buf_printf(out, "\\%c", c);
        else if (c == '\n')
            peri_buf_puts(out, "\\n");
        else if (c == '\t')
            peri_buf_puts(out, "\\t");
        else if (c == '\r')
            peri_buf_puts(out, "\\r");
        else
            peri_buf_printf(out, "\\u%04x", c);
    }
    peri_buf_append(out, s + from, len - from);
    return peri_buf_putc(out, '"');
}

static void write_int(struct peri_buf *out, int64_t n)
{
    if (n < 0)
        (void)peri_buf_putc(out, '-');
    (void)peri_buf_put_uint(out, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

static enum peri_status write_real(struct peri_buf *out, double r)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, r);
        if (strtod(text, NULL) == r)
            break;
    }
    peri_buf_puts(out, text);
    return strpbrk(text, ".eE") ? out->failed : peri_buf_puts(out, ".0"); /* a real stays a real */
}

struct writer {
    struct peri_buf *out;
    enum peri_json_style style;
};

static void indent(struct writer *w, int level)
{
    if (w->style != PERI_JSON_INDENT)
        return;
    peri_buf_putc(w->out, '\n');
    for (int i = 0; i < level; i++)
        peri_buf_puts(w->out, "  ");
}

static void write_value(struct writer *w, const struct peri_value *v, int level);

static void write_list(struct writer *w, const struct peri_value *v, int level)
{
    size_t n = peri_value_count(v);
    peri_buf_putc(w->out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            peri_buf_putc(w->out, ',');
        indent(w, level + 1);
        write_value(w, peri_list_at(v, i), level + 1);
    }
    if (n)
        indent(w, level);
    peri_buf_putc(w->out, ']');
}

static void write_member(struct writer *w, void *it, bool first, int level)
{
    size_t len;
    const char *key = peri_map_key(it, &len);
    if (!first)
        peri_buf_putc(w->out, ',');
    indent(w, level + 1);
    peri_json_write_string(w->out, key, len);
    peri_buf_putc(w->out, ':');
    if (w->style == PERI_JSON_INDENT)
        peri_buf_putc(w->out, ' ');
    write_value(w, peri_map_item(it), level + 1);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(peri_map_key(*(void *const *)a, NULL), peri_map_key(*(void *const *)b, NULL));
}

static void write_map(struct writer *w, const struct peri_value *v, int level)
{
    size_t n = peri_value_count(v), i = 0;
    void **items = NULL;
    peri_buf_putc(w->out, '{');
    if (w->style == PERI_JSON_SORTED && n > 1) {
        items = malloc(n * sizeof(*items));
        if (!items) {
            w->out->failed = PERI_ENOMEM;
            return;
        }
        for (void *it = peri_map_first(v); it; it = peri_map_next(v, it))
            items[i++] = it;
        qsort(items, n, sizeof(*items), by_key);
        for (i = 0; i < n; i++)
            write_member(w, items[i], i == 0, level);
        free(items);
    } else {
        for (void *it = peri_map_first(v); it; it = peri_map_next(v, it))
            write_member(w, it, i++ == 0, level);
    }
    if (n)
        indent(w, level);
    peri_buf_putc(w->out, '}');
}

static void write_value(struct writer *w, const struct peri_value *v, int level)
{
    size_t len;
    const char *s;
    if (level > 10 * PERI_JSON_DEPTH) {
        w->out->failed = PERI_ELIMIT;
        return;
    }
    switch (peri_value_type(v)) {
    case PERI_NULL:
        peri_buf_puts(w->out, "null");
        break;
    case PERI_BOOL:
        peri_buf_puts(w->out, peri_value_as_bool(v) ? "true" : "false");
        break;
    case PERI_INT:
        write_int(w->out, peri_value_as_int(v));
        break;
    case PERI_REAL:
        write_real(w->out, peri_value_as_real(v));
        break;
    case PERI_STRING:
        s = peri_value_textn(v, &len);
        peri_json_write_string(w->out, s, len);
        break;
    case PERI_LIST:
        write_list(w, v, level);
        break;
    case PERI_MAP:
        write_map(w, v, level);
        break;
    }
}

enum peri_status peri_json_write(struct peri_buf *out, const struct peri_value *v, enum peri_json_style style)
{
    struct writer w = {out, style};
    write_value(&w, v, 0);
    return out->failed;
}

#define TEXT_BYTES 512

char *peri_json_text(const struct peri_value *v, enum peri_json_style style)
{
    struct peri_buf out;
    size_t len;
    peri_buf_init(&out, 256u << 20);
    (void)peri_buf_reserve(&out, TEXT_BYTES - 1); /* a text that grows from nothing is copied again and again */
    if (peri_json_write(&out, v, style)) {
        peri_buf_finish(&out);
        return NULL;
    }
    bool loose = out.cap > 2 * out.len;
    char *text = peri_buf_take(&out, &len), *fit = loose && text ? realloc(text, len + 1) : NULL;
    return fit ? fit : text;
}
