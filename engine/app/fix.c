/* SPDX-License-Identifier: Apache-2.0 */
#include "app/fix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/paths.h"
#include "base/str.h"
#include "data/yaml.h"

#define MAX_CHANGES 1000

/* Byte offset of a place; columns count characters. len when the text has no such place. */
static size_t offset_of(const char *text, size_t len, int line, int column)
{
    size_t at = 0;
    for (int n = 1; n < line; n++) {
        const char *newline = memchr(text + at, '\n', len - at);
        if (!newline)
            return len;
        at = (size_t)(newline - text) + 1;
    }
    for (int n = 1; n < column && at < len && text[at] != '\n'; n++) {
        at++;
        while (at < len && ((unsigned char)text[at] & 0xC0) == 0x80)
            at++;
    }
    return at;
}

bool peri_fix_find(const struct peri_finding *f, const char *text, size_t len, size_t *ret_at, size_t *ret_len)
{
    if (!f->fix.from)
        return false;
    size_t n = strlen(f->fix.from), at = offset_of(text, len, f->fix.line, f->fix.column);
    bool quote = at < len && (text[at] == '"' || text[at] == '\'') && f->fix.from[0] != text[at];
    at += quote;
    if (len - at < n || at > len || memcmp(text + at, f->fix.from, n) != 0)
        return false;
    *ret_at = at;
    *ret_len = n;
    return true;
}

static char *replace(const char *text, size_t len, size_t at, size_t gone, const char *with, size_t *ret_len)
{
    size_t n = strlen(with);
    char *out = malloc(len - gone + n + 1);
    if (!out)
        return NULL;
    memcpy(out, text, at);
    memcpy(out + at, with, n);
    memcpy(out + at + n, text + at + gone, len - at - gone);
    *ret_len = len - gone + n;
    out[*ret_len] = '\0';
    return out;
}

static enum peri_status findings_of(
    const char *file, const char *text, size_t len, const struct peri_rule_env *env, struct peri_diag *diag)
{
    struct peri_rule_list list = {0};
    peri_diag_init(diag);
    enum peri_status st = peri_rules_load_text(file, text, len, env, &list, diag);
    peri_rule_list_finish(&list);
    return st == PERI_ENOMEM || diag->lost ? PERI_ENOMEM : PERI_OK;
}

static bool is_syntax(const struct peri_finding *f)
{
    return peri_str_starts(f->code, "yaml-");
}

static bool same(const struct peri_finding *a, const struct peri_finding *b)
{
    return a->line == b->line && peri_streq(a->code, b->code) && peri_streq(a->message, b->message);
}

/* What was mended is gone, and nothing tells that it was the wrong thing to do. More findings than before may follow: a
 * mistake hides those behind it. */
static bool is_better(const struct peri_finding *mended, const struct peri_diag *before, const struct peri_diag *after)
{
    static const char *const signs[] = {"duplicate-key", "duplicate-id", "conflicting-keys", "misplaced-key"};
    for (size_t i = 0; i < after->count; i++) {
        const struct peri_finding *f = &after->items[i];
        bool fresh = true;
        if (same(f, mended) || (is_syntax(f) && !is_syntax(mended)))
            return false;
        for (size_t k = 0; k < before->count && fresh; k++)
            fresh = !same(f, &before->items[k]);
        for (size_t k = 0; fresh && !is_syntax(mended) && k < sizeof(signs) / sizeof(signs[0]); k++)
            if (peri_streq(f->code, signs[k]))
                return false;
    }
    return true;
}

struct mending {
    const char *file;
    const struct peri_rule_env *env;
    peri_fix_told told;
    void *ctx;
    char *text;
    size_t len, count;
};

/* Tries the changes in order until one helps. */
static enum peri_status mend_one(struct mending *m, struct peri_diag *diag, bool *ret_mended)
{
    *ret_mended = false;
    for (size_t i = 0; i < diag->count; i++) {
        size_t at, gone, len;
        struct peri_diag after;
        if (!peri_fix_find(&diag->items[i], m->text, m->len, &at, &gone))
            continue;
        char *text = replace(m->text, m->len, at, gone, diag->items[i].fix.to, &len);
        enum peri_status st = text ? findings_of(m->file, text, len, m->env, &after) : PERI_ENOMEM;
        if (st) {
            free(text);
            return st;
        }
        if (!is_better(&diag->items[i], diag, &after)) {
            peri_diag_finish(&after);
            free(text);
            continue;
        }
        m->told(m->ctx, &diag->items[i]);
        free(m->text);
        m->text = text;
        m->len = len;
        m->count++;
        peri_diag_finish(diag);
        *diag = after;
        *ret_mended = true;
        return PERI_OK;
    }
    return PERI_OK;
}

enum peri_status peri_fix_rules(const char *file, const char *text, size_t len, const struct peri_rule_env *env,
    peri_fix_told told, void *ctx, char **ret, size_t *ret_len, size_t *ret_count)
{
    struct mending m = {
        .file = file, .env = env, .told = told, .ctx = ctx, .text = peri_strndup(text, len), .len = len};
    struct peri_diag diag;
    enum peri_status st = m.text ? findings_of(file, text, len, env, &diag) : PERI_ENOMEM;
    if (st) {
        free(m.text);
        return st;
    }
    for (bool mended = true; st == PERI_OK && mended && m.count < MAX_CHANGES;)
        st = mend_one(&m, &diag, &mended);
    peri_diag_finish(&diag);
    if (st) {
        free(m.text);
        return st;
    }
    *ret = m.text;
    *ret_len = m.len;
    *ret_count = m.count;
    return PERI_OK;
}

enum peri_status peri_fix_file(const char *path, const struct peri_rule_env *env, peri_fix_told told, void *ctx,
    size_t *ret_count, struct peri_error *err)
{
    char *text = NULL, *mended = NULL;
    size_t len = 0, mended_len = 0;
    *ret_count = 0;
    enum peri_status st = peri_path_read(path, PERI_YAML_MAX_BYTES, &text, &len, err);
    if (st == PERI_OK)
        st = peri_fix_rules(path, text, len, env, told, ctx, &mended, &mended_len, ret_count);
    if (st == PERI_OK && *ret_count > 0)
        st = peri_path_replace(path, mended, mended_len, err);
    free(mended);
    free(text);
    return st;
}
