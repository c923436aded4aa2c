/* SPDX-License-Identifier: Apache-2.0 */
/* jansson in, jansson out, with two things it lacks: a depth check before its recursive reader runs, and the shortest
 * form of doubles (jansson has one precision a dump: 15 digits lose bits, 17 print 0.1 as 0.10000000000000001). */
#include "data/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    return parse(text, len, 0, ret, err);
}

enum peri_status peri_json_parse_strict(const char *text, size_t len, struct peri_value **ret, struct peri_error *err)
{
    return parse(text, len, JSON_REJECT_DUPLICATES, ret, err);
}

enum peri_status peri_json_write_string(struct peri_buf *out, const char *s, size_t len)
{
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
    peri_buf_puts(w->out, w->style == PERI_JSON_INDENT ? ": " : ":");
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
        peri_buf_printf(w->out, "%lld", (long long)peri_value_as_int(v));
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

char *peri_json_text(const struct peri_value *v, enum peri_json_style style)
{
    struct peri_buf out;
    peri_buf_init(&out, 256u << 20);
    if (peri_json_write(&out, v, style)) {
        peri_buf_finish(&out);
        return NULL;
    }
    return peri_buf_take(&out, NULL);
}
