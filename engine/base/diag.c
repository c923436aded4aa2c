/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"

void peri_diag_init(struct peri_diag *diag)
{
    memset(diag, 0, sizeof(*diag));
}

static void finding_finish(struct peri_finding *f)
{
    free(f->file);
    free(f->code);
    free(f->message);
    free(f->hint);
    free(f->fix.from);
    free(f->fix.to);
}

void peri_diag_finish(struct peri_diag *diag)
{
    for (size_t i = 0; i < diag->count; i++)
        finding_finish(&diag->items[i]);
    free(diag->items);
    peri_diag_init(diag);
}

void peri_diag_add(struct peri_diag *diag, struct peri_place place, enum peri_severity severity, const char *code,
    const char *hint, const char *fmt, ...)
{
    if (severity == PERI_SEV_ERROR)
        diag->errors++;
    if (!peri_vec_grow(&diag->items, &diag->cap, diag->count + 1, sizeof(*diag->items))) {
        diag->lost = true;
        return;
    }
    struct peri_finding f = {.line = place.line, .column = place.column, .severity = severity};
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&f.message, fmt, ap) < 0)
        f.message = NULL;
    else
        peri_text_make_plain(f.message); /* it quotes what strangers wrote */
    va_end(ap);
    f.file = peri_strdup(place.file ? place.file : "");
    f.code = peri_strdup(code);
    f.hint = peri_strdup(hint);
    if (!f.file || !f.code || !f.message || (hint && !f.hint)) {
        finding_finish(&f);
        diag->lost = true;
        return;
    }
    diag->items[diag->count++] = f;
}

bool peri_diag_has(const struct peri_diag *diag, struct peri_place place, const char *code)
{
    for (size_t i = diag->count; i > 0; i--) {
        const struct peri_finding *f = &diag->items[i - 1];
        if (!peri_streq(f->file, place.file ? place.file : ""))
            return false;
        if (f->line == place.line && f->column == place.column && peri_streq(f->code, code))
            return true;
    }
    return false;
}

void peri_diag_fix(struct peri_diag *diag, struct peri_place place, const char *from, const char *to)
{
    if (diag->lost || diag->count == 0 || place.line < 1 || !*from || strchr(from, '\n') || strchr(to, '\n'))
        return;
    struct peri_fix *fix = &diag->items[diag->count - 1].fix;
    free(fix->from);
    free(fix->to);
    *fix = (struct peri_fix){place.line, place.column, peri_strdup(from), peri_strdup(to)};
    if (!fix->from || !fix->to) { /* the finding stands without it */
        free(fix->from);
        free(fix->to);
        *fix = (struct peri_fix){0};
    }
}

static int compare(const struct peri_finding *a, const struct peri_finding *b)
{
    int c = strcmp(a->file, b->file);
    if (c)
        return c;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->column < b->column ? -1 : a->column > b->column;
}

void peri_diag_sort(struct peri_diag *diag)
{
    /* Insertion sort: stable, and findings arrive nearly in order. */
    for (size_t i = 1; i < diag->count; i++) {
        struct peri_finding f = diag->items[i];
        size_t k = i;
        for (; k > 0 && compare(&diag->items[k - 1], &f) > 0; k--)
            diag->items[k] = diag->items[k - 1];
        diag->items[k] = f;
    }
}

void peri_diag_move(struct peri_diag *diag, struct peri_diag *from)
{
    if (!peri_vec_grow(&diag->items, &diag->cap, diag->count + from->count, sizeof(*diag->items))) {
        diag->lost = true;
    } else if (from->count) {
        memcpy(diag->items + diag->count, from->items, from->count * sizeof(*from->items));
        diag->count += from->count;
        from->count = 0;
    }
    diag->errors += from->errors;
    diag->lost |= from->lost;
    peri_diag_finish(from);
}
