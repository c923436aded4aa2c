/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lsp_blueprint.h"

#include <stdlib.h>
#include <string.h>

#include "app/blueprint_files.h"
#include "app/paths.h"
#include "base/str.h"
#include "lang/blueprint.h"

/* The path that stands in the use_blueprint around the cursor, before or behind it. */
struct search {
    const char *cursor;
    bool inside, ended;
    struct peri_lsp_piece path;
};

static void look(void *ctx, const struct peri_lsp_entry *entry)
{
    struct search *s = ctx;
    if (peri_lsp_piece_is(entry->key, "use_blueprint")) {
        s->ended = s->ended || entry->key.s > s->cursor;
        if (!s->ended)
            s->path = (struct peri_lsp_piece){0}; /* that of another rule */
        s->inside = !s->ended;
    } else if (s->inside && !s->path.s && peri_lsp_piece_is(entry->key, "path")) {
        s->path = entry->value;
    }
}

static bool level_is(const struct peri_lsp_cursor *c, size_t from_end, const char *key)
{
    return c->depth >= from_end && peri_lsp_piece_is(c->levels[c->depth - from_end].key, key);
}

static enum peri_lsp_use where_is(const struct peri_lsp_cursor *c, struct peri_lsp_piece *ret_name)
{
    *ret_name = (struct peri_lsp_piece){0};
    if (c->spot == PERI_LSP_VALUE && level_is(c, 1, "path") && level_is(c, 2, "use_blueprint"))
        return PERI_LSP_USE_PATH;
    if (c->spot == PERI_LSP_KEY && level_is(c, 1, "input") && level_is(c, 2, "use_blueprint")) {
        *ret_name = c->word;
        return PERI_LSP_USE_INPUT;
    }
    if (c->spot == PERI_LSP_VALUE && level_is(c, 2, "input") && level_is(c, 3, "use_blueprint")) {
        *ret_name = c->levels[c->depth - 1].key;
        return PERI_LSP_USE_VALUE;
    }
    return PERI_LSP_USE_NOT;
}

void peri_lsp_used_at(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_lsp_text *t,
    const struct peri_lsp_cursor *cursor, struct peri_lsp_used *ret)
{
    struct search s = {.cursor = cursor->word.s ? cursor->word.s : t->s};
    struct peri_lsp_piece name;
    struct peri_diag unused;
    struct peri_error err;
    char near[PERI_BLUEPRINT_NEAR];
    memset(ret, 0, sizeof(*ret));
    ret->where = where_is(cursor, &name);
    if (ret->where == PERI_LSP_USE_NOT)
        return;
    peri_lsp_each_entry(t, look, &s);
    char *path = s.path.len ? peri_strndup(s.path.s, s.path.len) : NULL;
    if (path && peri_blueprint_find_file(&lsp->bench->env, doc->path, path, &ret->file, near, &err) == PERI_OK) {
        peri_diag_init(&unused);
        ret->about = peri_blueprint_describe(ret->file, &lsp->bench->env, &unused);
        peri_diag_finish(&unused);
    }
    free(path);
    const struct peri_value *inputs = peri_map_at(ret->about, "inputs");
    for (size_t i = 0; i < peri_value_count(inputs) && !ret->input; i++)
        if (peri_lsp_piece_is(name, peri_map_text(peri_list_at(inputs, i), "name")))
            ret->input = peri_list_at(inputs, i);
}

void peri_lsp_used_finish(struct peri_lsp_used *used)
{
    peri_value_unref(used->about);
    free(used->file);
}

char *peri_lsp_blueprint_path(const struct peri_lsp *lsp, size_t i, bool *ret_more)
{
    const char *file = peri_rulebook_file_at(lsp->book, i);
    char *const *roots = lsp->bench->cli->config.rules;
    *ret_more = file != NULL;
    if (!file || !peri_blueprint_file_is(file))
        return NULL;
    for (; *roots; roots++) {
        size_t n = strlen(*roots);
        while (n > 1 && (*roots)[n - 1] == '/')
            n--;
        if (strncmp(*roots, file, n) == 0 && file[n] == '/')
            return peri_strdup(file + n + 1);
    }
    return NULL;
}

struct declaration {
    struct peri_lsp_piece name, found;
    bool in_head;
};

static void find_declaration(void *ctx, const struct peri_lsp_entry *entry)
{
    struct declaration *d = ctx;
    d->in_head = peri_lsp_piece_is(entry->key, "blueprint") || (d->in_head && entry->column > 0);
    if (d->in_head && !d->found.s && entry->column > 0 && entry->key.len == d->name.len &&
        memcmp(entry->key.s, d->name.s, d->name.len) == 0)
        d->found = entry->key;
}

bool peri_lsp_input_place(
    const struct peri_lsp_used *used, struct peri_lsp_piece name, char **ret_text, size_t *ret_start, size_t *ret_end)
{
    struct declaration d = {.name = name};
    size_t len = 0;
    *ret_start = *ret_end = 0;
    if (!used->file || peri_path_read(used->file, PERI_YAML_MAX_BYTES, ret_text, &len, NULL) != PERI_OK)
        return false;
    struct peri_lsp_text t = {.s = *ret_text, .len = len};
    if (name.len)
        peri_lsp_each_entry(&t, find_declaration, &d);
    if (name.len && !d.found.s) {
        free(*ret_text);
        return false;
    }
    if (d.found.s) {
        *ret_start = (size_t)(d.found.s - t.s);
        *ret_end = *ret_start + d.found.len;
    }
    return true;
}
