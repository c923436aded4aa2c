/* SPDX-License-Identifier: Apache-2.0 */
/* The longest common subsequence by its table, after equal ends are cut off: texts here have at most some hundred lines
 * between them. */
#include "app/text_diff.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define CONTEXT 3
#define TABLE_MAX (4u << 20) /* cells; above it everything between the equal ends counts as changed */
#define DIFF_MAX (4u << 20)

struct lines {
    const char **at;
    size_t *len;
    size_t count;
};

/* One line of the result: ' ' both have it, '-' the old one, '+' the new one. */
struct edit {
    char kind;
    size_t old, new; /* which lines stand there */
};

static int split(const char *text, struct lines *ret)
{
    size_t n = 1;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        n++;
    ret->at = calloc(n, sizeof(*ret->at));
    ret->len = calloc(n, sizeof(*ret->len));
    if (!ret->at || !ret->len)
        return -1;
    while (*text) {
        size_t len = strcspn(text, "\n");
        ret->at[ret->count] = text;
        ret->len[ret->count++] = len;
        text += len + (text[len] == '\n');
    }
    return 0;
}

static int same(const struct lines *a, size_t i, const struct lines *b, size_t k)
{
    return a->len[i] == b->len[k] && memcmp(a->at[i], b->at[k], a->len[i]) == 0;
}

/* Of the lines [from, a_end) and [from, b_end); 0: memory is out. */
static int walk_middle(const struct lines *a, const struct lines *b, size_t from, size_t a_end, size_t b_end,
    struct edit *edits, size_t *count)
{
    size_t n = a_end - from, m = b_end - from, i = 0, k = 0;
    int32_t *table = n * m <= TABLE_MAX ? calloc((n + 1) * (m + 1), sizeof(*table)) : NULL;
    if (n * m <= TABLE_MAX && !table)
        return 0;
    for (size_t x = n; table && x-- > 0;)
        for (size_t y = m; y-- > 0;) {
            int32_t down = table[(x + 1) * (m + 1) + y], right = table[x * (m + 1) + y + 1];
            table[x * (m + 1) + y] = same(a, from + x, b, from + y) ? table[(x + 1) * (m + 1) + y + 1] + 1
                                     : down >= right                ? down
                                                                    : right;
        }
    while (i < n || k < m) {
        size_t old = from + i, new = from + k;
        if (table && i < n && k < m && same(a, old, b, new)) {
            edits[(*count)++] = (struct edit){' ', old, new};
            i++;
            k++;
        } else if (i < n && (k == m || !table || table[(i + 1) * (m + 1) + k] >= table[i * (m + 1) + k + 1])) {
            edits[(*count)++] = (struct edit){'-', old, new};
            i++;
        } else {
            edits[(*count)++] = (struct edit){'+', old, new};
            k++;
        }
    }
    free(table);
    return 1;
}

static struct edit *edits_of(const struct lines *a, const struct lines *b, size_t *ret_count)
{
    size_t from = 0, tail = 0;
    struct edit *edits = calloc(a->count + b->count + 1, sizeof(*edits));
    if (!edits)
        return NULL;
    while (from < a->count && from < b->count && same(a, from, b, from))
        from++;
    while (tail < a->count - from && tail < b->count - from && same(a, a->count - 1 - tail, b, b->count - 1 - tail))
        tail++;
    for (size_t i = 0; i < from; i++)
        edits[(*ret_count)++] = (struct edit){' ', i, i};
    if (!walk_middle(a, b, from, a->count - tail, b->count - tail, edits, ret_count)) {
        free(edits);
        return NULL;
    }
    for (size_t i = tail; i-- > 0;)
        edits[(*ret_count)++] = (struct edit){' ', a->count - 1 - i, b->count - 1 - i};
    return edits;
}

/* Lines [from, to) of the result under a head. */
static void put_hunk(struct peri_buf *out, const struct lines *a, const struct lines *b, const struct edit *edits,
    size_t from, size_t to)
{
    size_t old = 0, new = 0;
    for (size_t i = from; i < to; i++) {
        old += edits[i].kind != '+';
        new += edits[i].kind != '-';
    }
    (void)peri_buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", old ? edits[from].old + 1 : edits[from].old, old,
        new ? edits[from].new + 1 : edits[from].new, new);
    for (size_t i = from; i < to; i++) {
        const struct lines *l = edits[i].kind == '+' ? b : a;
        size_t at = edits[i].kind == '+' ? edits[i].new : edits[i].old;
        (void)peri_buf_printf(out, "%c%.*s\n", edits[i].kind, (int)l->len[at], l->at[at]);
    }
}

char *peri_text_diff(const char *old, const char *new)
{
    struct lines a = {0}, b = {0};
    struct peri_buf out;
    size_t count = 0;
    peri_buf_init(&out, DIFF_MAX);
    struct edit *edits = split(old, &a) == 0 && split(new, &b) == 0 ? edits_of(&a, &b, &count) : NULL;
    (void)peri_buf_puts(&out, "");
    for (size_t i = 0; edits && i < count;) {
        if (edits[i].kind == ' ') {
            i++;
            continue;
        }
        size_t from = i > CONTEXT ? i - CONTEXT : 0, to = i, quiet = 0;
        while (to < count && quiet <= 2 * CONTEXT) /* changes that are near share a head */
            quiet = edits[to++].kind == ' ' ? quiet + 1 : 0;
        to -= quiet > CONTEXT ? quiet - CONTEXT : 0;
        put_hunk(&out, &a, &b, edits, from, to);
        i = to;
    }
    char *text = edits && !out.failed ? peri_buf_take(&out, NULL) : NULL;
    peri_buf_finish(&out);
    free(edits);
    free(a.at);
    free(a.len);
    free(b.at);
    free(b.len);
    return text;
}
