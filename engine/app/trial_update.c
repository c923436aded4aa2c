/* SPDX-License-Identifier: Apache-2.0 */
#include "app/trial_update.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"

#define TEXT_MAX (1 << 20)
#define LINE_WIDTH 100

/* ---- values as flow YAML ---- */

static bool is_plain(const char *text, size_t len)
{
    static const char *const others[] = {
        "true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL", NULL};
    if (len == 0 || !isalpha((unsigned char)text[0]) || strlen(text) != len)
        return false;
    for (const char *const *o = others; *o; o++)
        if (strcmp(*o, text) == 0)
            return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("_.-", text[i]) &&
            !(text[i] == ' ' && i + 1 < len && isalnum((unsigned char)text[i + 1])))
            return false;
    return true;
}

static void write_string(struct peri_buf *out, const char *text, size_t len)
{
    if (is_plain(text, len))
        (void)peri_buf_append(out, text, len);
    else
        (void)peri_json_write_string(out, text, len);
}

static void write_flow(struct peri_buf *out, const struct peri_value *v)
{
    const char *sep = "";
    if (peri_value_is(v, PERI_MAP)) {
        (void)peri_buf_putc(out, '{');
        for (void *it = peri_map_first(v); it; it = peri_map_next(v, it), sep = ", ") {
            size_t len = 0;
            const char *key = peri_map_key(it, &len);
            (void)peri_buf_puts(out, sep);
            write_string(out, key, len);
            (void)peri_buf_puts(out, ": ");
            write_flow(out, peri_map_item(it));
        }
        (void)peri_buf_putc(out, '}');
    } else if (peri_value_is(v, PERI_LIST)) {
        (void)peri_buf_putc(out, '[');
        for (size_t i = 0; i < peri_value_count(v); i++, sep = ", ") {
            (void)peri_buf_puts(out, sep);
            write_flow(out, peri_list_at(v, i));
        }
        (void)peri_buf_putc(out, ']');
    } else if (peri_value_is(v, PERI_STRING)) {
        size_t len = 0;
        const char *text = peri_value_textn(v, &len);
        write_string(out, text, len);
    } else {
        (void)!peri_json_write(out, v, PERI_JSON_COMPACT); /* out keeps what fails */
    }
}

/* A long list has a line for each item. */
static void write_value(struct peri_buf *out, const struct peri_value *v, int column)
{
    size_t before = out->len;
    write_flow(out, v);
    if (!peri_value_is(v, PERI_LIST) || out->len - before + (size_t)column < LINE_WIDTH || out->failed)
        return;
    out->len = before;
    (void)peri_buf_putc(out, '[');
    for (size_t i = 0; i < peri_value_count(v); i++) {
        (void)peri_buf_printf(out, "%s\n%*s", i ? "," : "", column + 1, "");
        write_flow(out, peri_list_at(v, i));
    }
    (void)peri_buf_putc(out, ']');
}

/* ---- edits ---- */

void peri_trial_edits_add(struct peri_trial_edits *edits, const struct peri_node *node, const struct peri_value *value)
{
    struct peri_value *nothing = value ? NULL : peri_value_null();
    struct peri_buf out;
    size_t at = node->source ? (size_t)(node->source - edits->doc->text) : 0;
    if (!node->source || (node->own_len == 0 && node->len > 0) || node->tag || at > edits->doc->len) {
        edits->refused++;
        peri_value_unref(nothing);
        return;
    }
    peri_buf_init(&out, TEXT_MAX);
    write_value(&out, value ? value : nothing, node->place.column);
    peri_value_unref(nothing);
    char *text = peri_buf_take(&out, NULL);
    /* The later look wins: a step may be reached by one test only, so there is one. */
    if (text && peri_vec_grow(&edits->items, &edits->cap, edits->count + 1, sizeof(*edits->items))) {
        edits->items[edits->count++] =
            (struct peri_trial_edit){.at = at, .len = node->own_len, .text = text, .line = node->place.line};
        return;
    }
    free(text);
    edits->nomem = true;
}

static int by_place(const void *a, const void *b)
{
    const struct peri_trial_edit *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->len < y->len ? 1 : x->len > y->len ? -1 : 0; /* the larger one first */
}

/* Sorted, those inside another gone. */
static void sort_edits(struct peri_trial_edits *edits)
{
    size_t kept = 0, end = 0;
    if (edits->count)
        qsort(edits->items, edits->count, sizeof(*edits->items), by_place);
    for (size_t i = 0; i < edits->count; i++) {
        struct peri_trial_edit *e = &edits->items[i];
        if (kept && e->at < end) {
            free(e->text);
            continue;
        }
        end = e->at + e->len;
        edits->items[kept++] = *e;
    }
    edits->count = kept;
}

static void show(const struct peri_trial_edits *edits, const char *path)
{
    for (size_t i = 0; i < edits->count; i++) {
        const struct peri_trial_edit *e = &edits->items[i];
        printf("%s:%d:\n- %.*s\n+ %s\n", path, e->line, (int)e->len, edits->doc->text + e->at, e->text);
    }
}

static bool ask(const struct peri_trial_edits *edits, const char *path)
{
    char answer[16] = "";
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "perigee: not written: --yes writes without a question\n");
        return false;
    }
    printf("Write %zu expectation%s to %s? [y/N] ", edits->count, &"s"[edits->count == 1], path);
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static enum peri_status write_file(const struct peri_trial_edits *edits, const char *path, struct peri_error *err)
{
    const char *text = edits->doc->text;
    struct peri_buf out;
    size_t at = 0;
    peri_buf_init(&out, PERI_YAML_MAX_BYTES);
    for (size_t i = 0; i < edits->count; i++) {
        const struct peri_trial_edit *e = &edits->items[i];
        (void)peri_buf_append(&out, text + at, e->at - at);
        if (e->len == 0 && e->at > 0 && text[e->at - 1] == ':')
            (void)peri_buf_putc(&out, ' ');
        (void)peri_buf_puts(&out, e->text);
        at = e->at + e->len;
    }
    (void)peri_buf_append(&out, text + at, edits->doc->len - at);
    enum peri_status st = out.failed ? peri_error_set(err, out.failed, NULL, "%s would be too large", path)
                                     : peri_path_replace(path, out.data, out.len, err);
    peri_buf_finish(&out);
    return st;
}

enum peri_status peri_trial_edits_apply(
    struct peri_trial_edits *edits, const char *path, bool yes, bool *ret_written, struct peri_error *err)
{
    *ret_written = false;
    if (edits->nomem)
        return peri_error_nomem(err);
    if (edits->refused)
        fprintf(stderr, "perigee: %s: %zu expectation%s cannot be written where %s (an alias, or a tag)\n", path,
            edits->refused, &"s"[edits->refused == 1], edits -> refused == 1 ? "it stands" : "they stand");
    if (edits->count == 0)
        return PERI_OK;
    sort_edits(edits);
    show(edits, path);
    if (!yes && !ask(edits, path))
        return PERI_OK;
    enum peri_status st = write_file(edits, path, err);
    *ret_written = st == PERI_OK;
    return st;
}

void peri_trial_edits_finish(struct peri_trial_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++)
        free(edits->items[i].text);
    free(edits->items);
    memset(edits, 0, sizeof(*edits));
}
