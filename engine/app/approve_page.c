/* SPDX-License-Identifier: Apache-2.0 */
#include "app/approve_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"

#define PAGE_MAX (512 * 1024)
#define FIELDS_MAX 30  /* of an object; larger ones are answered as JSON */
#define CHOICES_MAX 30 /* of an enum */

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.4rem;white-space:pre-wrap}button{font:inherit;padding:.5rem 1.2rem;margin:.3rem .5rem .3rem 0}"
    "label{display:block;margin:.8rem 0}input:not([type=checkbox]),select,textarea{font:inherit;width:100%;"
    "box-sizing:border-box;padding:.4rem}.note{color:#a00}.small{color:#666;font-size:.9rem}</style>";

static void escape(struct peri_buf *out, const char *text)
{
    for (; text && *text; text++) {
        switch (*text) {
        case '&':
            (void)peri_buf_puts(out, "&amp;");
            break;
        case '<':
            (void)peri_buf_puts(out, "&lt;");
            break;
        case '>':
            (void)peri_buf_puts(out, "&gt;");
            break;
        case '"':
            (void)peri_buf_puts(out, "&quot;");
            break;
        default:
            (void)peri_buf_putc(out, *text);
        }
    }
}

static char *take(struct peri_buf *out)
{
    char *text = out->failed ? NULL : peri_buf_take(out, NULL);
    peri_buf_finish(out);
    return text;
}

static void begin(struct peri_buf *out, const char *title)
{
    peri_buf_init(out, PAGE_MAX);
    (void)peri_buf_puts(out, head);
    (void)peri_buf_puts(out, "<title>");
    escape(out, title);
    (void)peri_buf_puts(out, "</title></head><body>");
}

char *peri_approve_note(const char *title, const char *text)
{
    struct peri_buf out;
    begin(&out, title);
    (void)peri_buf_puts(&out, "<h1>");
    escape(&out, title);
    (void)peri_buf_puts(&out, "</h1><p>");
    escape(&out, text);
    (void)peri_buf_puts(&out, "</p></body></html>");
    return take(&out);
}

/* --- what is asked --- */

static bool has_type(const struct peri_value *schema, const char *type)
{
    return peri_streq(peri_map_text(schema, "type"), type);
}

static bool is_choice(const struct peri_value *schema)
{
    size_t n = peri_value_count(peri_map_at(schema, "enum"));
    return n > 0 && n <= CHOICES_MAX;
}

static bool is_simple(const struct peri_value *schema)
{
    return is_choice(schema) || has_type(schema, "string") || has_type(schema, "boolean") ||
           has_type(schema, "number") || has_type(schema, "integer");
}

static bool is_form(const struct peri_value *schema)
{
    const struct peri_value *properties = peri_map_at(schema, "properties");
    size_t n = peri_value_count(properties);
    if (!has_type(schema, "object") || n == 0 || n > FIELDS_MAX)
        return false;
    for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it))
        if (!is_simple(peri_map_item(it)))
            return false;
    return true;
}

static bool is_required(const struct peri_value *schema, const char *name)
{
    const struct peri_value *list = peri_map_at(schema, "required");
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_value_text(peri_list_at(list, i)), name))
            return true;
    return false;
}

/* A value as JSON in an attribute. */
static void attribute(struct peri_buf *out, const struct peri_value *v)
{
    char *json = peri_json_text(v, PERI_JSON_COMPACT);
    escape(out, json ? json : "");
    free(json);
}

static void label(struct peri_buf *out, const struct peri_value *v)
{
    if (peri_value_text(v))
        escape(out, peri_value_text(v));
    else
        attribute(out, v);
}

/* One field of a form; name is that of the property, or "" for the answer itself. */
static void field(struct peri_buf *out, const char *name, const struct peri_value *schema, bool required)
{
    const struct peri_value *choices = peri_map_at(schema, "enum");
    const char *title = peri_map_text(schema, "title"), *help = peri_map_text(schema, "description");
    (void)peri_buf_puts(out, "<label>");
    escape(out, title ? title : name);
    if (is_choice(schema)) {
        (void)peri_buf_puts(out, "<select name=\"f.");
        escape(out, name);
        (void)peri_buf_puts(out, "\">");
        for (size_t i = 0; i < peri_value_count(choices); i++) {
            (void)peri_buf_puts(out, "<option value=\"");
            attribute(out, peri_list_at(choices, i));
            (void)peri_buf_puts(out, "\">");
            label(out, peri_list_at(choices, i));
            (void)peri_buf_puts(out, "</option>");
        }
        (void)peri_buf_puts(out, "</select>");
    } else {
        const char *kind = has_type(schema, "boolean")   ? "type=\"checkbox\" value=\"true\""
                           : has_type(schema, "string")  ? "type=\"text\""
                           : has_type(schema, "integer") ? "type=\"number\" step=\"1\""
                                                         : "type=\"number\" step=\"any\"";
        (void)peri_buf_printf(
            out, " <input %s%s name=\"f.", kind, required && !has_type(schema, "boolean") ? " required" : "");
        escape(out, name);
        (void)peri_buf_puts(out, "\">");
    }
    if (help) {
        (void)peri_buf_puts(out, "<span class=\"small\">");
        escape(out, help);
        (void)peri_buf_puts(out, "</span>");
    }
    (void)peri_buf_puts(out, "</label>");
}

static void send_button(struct peri_buf *out)
{
    (void)peri_buf_puts(out, "<button type=\"submit\">Send</button>");
}

static void answer_button(struct peri_buf *out, const struct peri_value *value, const char *text)
{
    (void)peri_buf_puts(out, "<button type=\"submit\" name=\"answer\" value=\"");
    attribute(out, value);
    (void)peri_buf_puts(out, "\">");
    if (text)
        escape(out, text);
    else
        label(out, value);
    (void)peri_buf_puts(out, "</button>");
}

static void questions(struct peri_buf *out, const struct peri_value *schema)
{
    const struct peri_value *choices = peri_map_at(schema, "enum"), *properties = peri_map_at(schema, "properties");
    if (!schema || has_type(schema, "boolean")) {
        struct peri_value *yes = peri_value_bool(true), *no = peri_value_bool(false);
        answer_button(out, yes, "Yes");
        answer_button(out, no, "No");
        peri_value_unref(yes);
        peri_value_unref(no);
    } else if (is_choice(schema)) {
        for (size_t i = 0; i < peri_value_count(choices); i++)
            answer_button(out, peri_list_at(choices, i), NULL);
    } else if (is_simple(schema)) {
        field(out, "", schema, true);
        send_button(out);
    } else if (is_form(schema)) {
        for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it))
            field(out, peri_map_key(it, NULL), peri_map_item(it), is_required(schema, peri_map_key(it, NULL)));
        send_button(out);
    } else {
        (void)peri_buf_puts(
            out, "<label>The answer as JSON<textarea name=\"answer\" rows=\"8\" required></textarea></label>");
        send_button(out);
    }
}

char *peri_approve_page(const struct peri_value *approval, const char *note)
{
    struct peri_buf out;
    const struct peri_value *prompt = peri_map_at(approval, "prompt");
    begin(&out, "An answer is needed");
    (void)peri_buf_puts(&out, "<h1>");
    label(&out, prompt);
    (void)peri_buf_puts(&out, "</h1>");
    if (note) {
        (void)peri_buf_puts(&out, "<p class=\"note\">");
        escape(&out, note);
        (void)peri_buf_puts(&out, "</p>");
    }
    (void)peri_buf_puts(&out, "<form method=\"post\">");
    questions(&out, peri_map_at(approval, "schema"));
    (void)peri_buf_puts(&out, "</form><p class=\"small\">");
    escape(&out, peri_map_text(approval, "rule"));
    (void)peri_buf_puts(&out, ", ");
    escape(&out, peri_map_text(approval, "id"));
    if (peri_map_text(approval, "until")) {
        (void)peri_buf_puts(&out, ", until ");
        escape(&out, peri_map_text(approval, "until"));
    }
    (void)peri_buf_puts(&out, "</p></body></html>");
    return take(&out);
}

/* --- what is answered --- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes len bytes of a form in place. False: not a text. */
static bool decode(char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 1 < len ? hex(text[i + 1]) : -1, low = i + 2 < len ? hex(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            return false;
        text[n++] = c;
    }
    text[n] = '\0';
    return true;
}

/* {name: text} of all fields; NULL: it is no form, or memory is out. */
static struct peri_value *read_fields(const char *body, size_t len)
{
    struct peri_value *map = peri_value_map();
    bool good = map != NULL;
    for (size_t at = 0; good && at < len;) {
        const char *amp = memchr(body + at, '&', len - at);
        size_t end = amp ? (size_t)(amp - body) : len;
        const char *equals = memchr(body + at, '=', end - at);
        size_t name_len = equals ? (size_t)(equals - body) - at : end - at;
        char *name = peri_strndup(body + at, name_len);
        char *value = equals ? peri_strndup(equals + 1, end - at - name_len - 1) : peri_strdup("");
        good = name && value && decode(name, name_len) && decode(value, equals ? end - at - name_len - 1 : 0) &&
               peri_map_put_text(map, name, value) == PERI_OK;
        free(name);
        free(value);
        at = end + 1;
    }
    if (good)
        return map;
    peri_value_unref(map);
    return NULL;
}

/* NULL: the text is none of that. */
static struct peri_value *field_value(const char *text, const struct peri_value *schema)
{
    struct peri_value *v = NULL;
    bool json = is_choice(schema) || !has_type(schema, "string");
    if (!json)
        return peri_value_str(text);
    return peri_json_parse(text, strlen(text), &v, NULL) == PERI_OK ? v : NULL;
}

static enum peri_status read_object(
    const struct peri_value *fields, const struct peri_value *schema, struct peri_value **ret, struct peri_error *err)
{
    const struct peri_value *properties = peri_map_at(schema, "properties");
    struct peri_value *object = peri_value_map();
    enum peri_status st = object ? PERI_OK : peri_error_nomem(err);
    for (void *it = peri_map_first(properties); it && st == PERI_OK; it = peri_map_next(properties, it)) {
        const char *name = peri_map_key(it, NULL);
        const struct peri_value *property = peri_map_item(it);
        char *key = peri_asprintf("f.%s", name);
        const char *text = key ? peri_map_text(fields, key) : NULL;
        struct peri_value *v = NULL;
        free(key);
        if (has_type(property, "boolean") && !is_choice(property))
            v = peri_value_bool(text != NULL);
        else if (!text || (!*text && !is_required(schema, name)))
            continue; /* left empty */
        else if (!(v = field_value(text, property)))
            st = peri_error_set(err, PERI_EINVAL, "answer", "%s: \"%.100s\" cannot be understood", name, text);
        if (v && peri_map_put(object, name, v) != PERI_OK)
            st = peri_error_nomem(err);
    }
    if (st == PERI_OK)
        *ret = object;
    else
        peri_value_unref(object);
    return st;
}

enum peri_status peri_approve_form(const char *body, size_t len, const struct peri_value *schema,
    struct peri_value **ret_answer, struct peri_error *err)
{
    struct peri_value *fields = read_fields(body, len);
    const char *answer = peri_map_text(fields, "answer"), *only = peri_map_text(fields, "f.");
    enum peri_status st = PERI_OK;
    if (!fields)
        st = peri_error_set(err, PERI_EINVAL, "answer", "this is no form");
    else if (answer && peri_json_parse(answer, strlen(answer), ret_answer, err) != PERI_OK)
        st = peri_error_set(err, PERI_EINVAL, "answer", "the answer is no JSON");
    else if (!answer && only && is_simple(schema) && !(*ret_answer = field_value(only, schema)))
        st = peri_error_set(err, PERI_EINVAL, "answer", "\"%.100s\" cannot be understood", only);
    else if (!answer && !only && is_form(schema))
        st = read_object(fields, schema, ret_answer, err);
    else if (!answer && !only)
        st = peri_error_set(err, PERI_EINVAL, "answer", "there is no answer in it");
    peri_value_unref(fields);
    return st;
}
