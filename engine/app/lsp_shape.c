/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lsp_shape.h"

#include <string.h>

#include "base/str.h"

#define MAX_NESTING 24

struct expansion {
    const struct peri_value *schema;
    struct peri_lsp_piece operator_id;
    struct peri_lsp_shapes *out;
};

static void expand(struct expansion *x, const struct peri_value *s, int nesting);

static void expand_list(struct expansion *x, const struct peri_value *list, int nesting)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        expand(x, peri_list_at(list, i), nesting);
}

/* `if` asks for one operator, or for something that is not known here: then both ways are possible. */
static void expand_if(struct expansion *x, const struct peri_value *s, int nesting)
{
    const struct peri_value *condition = peri_map_at(s, "if");
    const char *wanted = peri_map_text(peri_map_at(peri_map_at(condition, "properties"), "operator"), "const");
    bool yes = !wanted || peri_lsp_piece_is(x->operator_id, wanted);
    if (condition && yes)
        expand(x, peri_map_at(s, "then"), nesting);
    if (condition && !(wanted && yes))
        expand(x, peri_map_at(s, "else"), nesting);
}

static void expand(struct expansion *x, const struct peri_value *s, int nesting)
{
    static const char prefix[] = "#/definitions/";
    if (!peri_value_is(s, PERI_MAP) || nesting > MAX_NESTING || x->out->count >= PERI_LSP_SHAPES)
        return;
    for (size_t i = 0; i < x->out->count; i++)
        if (x->out->items[i] == s)
            return;
    x->out->items[x->out->count++] = s;
    const char *ref = peri_map_text(s, "$ref");
    if (ref && peri_str_starts(ref, prefix))
        expand(x, peri_map_at(peri_map_at(x->schema, "definitions"), ref + sizeof(prefix) - 1), nesting + 1);
    expand_list(x, peri_map_at(s, "allOf"), nesting + 1);
    expand_list(x, peri_map_at(s, "anyOf"), nesting + 1);
    expand_list(x, peri_map_at(s, "oneOf"), nesting + 1);
    expand_if(x, s, nesting + 1);
}

static const struct peri_value *member_of(const struct peri_value *shape, struct peri_lsp_piece key)
{
    const struct peri_value *found = peri_map_atn(peri_map_at(shape, "properties"), key.s, key.len);
    return found ? found : peri_map_at(shape, "additionalProperties");
}

void peri_lsp_shapes_at(const struct peri_value *schema, const struct peri_lsp_cursor *cursor, size_t depth,
    struct peri_lsp_piece operator_id, struct peri_lsp_shapes *ret)
{
    struct expansion x = {schema, depth > 0 ? cursor->levels[0].operator_id : operator_id, ret};
    ret->count = 0;
    expand(&x, schema, 0);
    for (size_t i = 0; i < depth; i++) {
        struct peri_lsp_shapes next = {.count = 0};
        const struct peri_lsp_level *level = &cursor->levels[i];
        x.out = &next;
        x.operator_id = i + 1 < depth ? cursor->levels[i + 1].operator_id : operator_id;
        for (size_t k = 0; k < ret->count; k++)
            expand(&x, level->key.s ? member_of(ret->items[k], level->key) : peri_map_at(ret->items[k], "items"), 0);
        *ret = next;
    }
}

const char *peri_lsp_shapes_help(const struct peri_lsp_shapes *shapes)
{
    for (size_t i = 0; i < shapes->count; i++)
        if (peri_map_text(shapes->items[i], "description"))
            return peri_map_text(shapes->items[i], "description");
    return NULL;
}
