/* SPDX-License-Identifier: Apache-2.0 */
/* From patterns to an index, in two passes: the first counts how many patterns share each condition, the second chooses
 * the access path of each pattern and copies what must be verified. Equal texts, conditions and leaves are kept once.
 */
#include "lang/matcher_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

uint32_t matcher_reserve(struct matcher_build *b, void *items, size_t *cap, uint32_t *used, size_t count, size_t size)
{
    uint32_t first = *used;
    if (count > UINT32_MAX / 2 - first || !peri_vec_grow(items, cap, first + count + 1, size)) {
        b->nomem = true;
        return MATCHER_NONE;
    }
    *used += (uint32_t)count;
    return first;
}

uint32_t *matcher_number_of(struct matcher_build *b, char kind, uint32_t x, uint32_t y, const void *bytes, size_t len)
{
    uint32_t *number = NULL;
    peri_buf_reset(&b->bytes);
    peri_buf_putc(&b->bytes, kind);
    peri_buf_append(&b->bytes, &x, sizeof(x));
    peri_buf_append(&b->bytes, &y, sizeof(y));
    if (len)
        peri_buf_append(&b->bytes, bytes, len);
    if (b->bytes.failed == PERI_OK)
        number = matcher_intern(b->intern, b->bytes.data, b->bytes.len);
    b->nomem |= !number;
    return number;
}

uint32_t matcher_text(struct matcher_build *b, const char *s, size_t len)
{
    uint32_t *at = matcher_number_of(b, 's', 0, 0, s, len);
    if (at && *at == MATCHER_NONE) {
        uint32_t first = matcher_reserve(b, &b->m->text, &b->text_cap, &b->text_count, len, 1);
        if (first == MATCHER_NONE)
            return 0;
        if (len)
            memcpy(b->m->text + first, s, len);
        *at = first;
    }
    return at ? *at : 0;
}

uint32_t matcher_path(struct matcher_build *b, uint32_t parent, const char *key, size_t len)
{
    uint32_t text = matcher_text(b, key, len);
    uint32_t *id = matcher_number_of(b, 'p', parent, 0, key, len);
    if (!id)
        return 0;
    if (*id == MATCHER_NONE) {
        uint32_t path = matcher_reserve(b, &b->m->paths, &b->path_cap, &b->path_count, 1, sizeof(*b->m->paths));
        if (path == MATCHER_NONE || !peri_vec_grow(&b->parents, &b->parent_cap, path + 1, sizeof(*b->parents))) {
            b->nomem = true;
            return 0;
        }
        b->m->paths[path] = (struct matcher_path){.key = text, .key_len = (uint32_t)len, .field = MATCHER_NONE};
        b->parents[path] = parent;
        *id = path;
    }
    return *id;
}

uint32_t matcher_field(struct matcher_build *b, uint32_t path)
{
    struct matcher_path *p = &b->m->paths[path];
    if (p->field == MATCHER_NONE) {
        p->field = matcher_reserve(b, &b->fields, &b->field_cap, &b->field_count, 1, sizeof(*b->fields));
        if (p->field == MATCHER_NONE)
            return 0;
        b->fields[p->field] = (struct matcher_new_field){.path = path};
    }
    return p->field;
}

static uint32_t copy_object(struct matcher_build *b, uint32_t path, const struct pattern_object *from);

static void copy_member(struct matcher_build *b, uint32_t at, uint32_t parent, const struct pattern_field *from)
{
    const struct pattern_node *node = from->node;
    struct matcher_member to = {.path = matcher_path(b, parent, from->key, from->key_len),
        .leaf_count = (uint32_t)node->leaf_count,
        .object = MATCHER_NONE,
        .may_miss = node->may_miss,
        .leaves_may_miss = true};
    to.leaf_first = matcher_reserve(b, &b->m->refs, &b->ref_cap, &b->ref_count, node->leaf_count, sizeof(*b->m->refs));
    for (size_t i = 0; i < node->leaf_count && !b->nomem; i++) {
        uint32_t leaf = matcher_leaf(b, node->leaves[i]);
        b->m->refs[to.leaf_first + i] = leaf;
        to.leaves_may_miss &= node->leaves[i]->may_miss;
    }
    if (node->object)
        to.object = copy_object(b, to.path, node->object);
    if (!b->nomem)
        b->m->members[at] = to;
}

static uint32_t copy_or(struct matcher_build *b, uint32_t path, const struct pattern_or *from)
{
    uint32_t first = matcher_reserve(b, &b->m->refs, &b->ref_cap, &b->ref_count, from->count, sizeof(*b->m->refs));
    for (size_t i = 0; i < from->count && !b->nomem; i++) {
        uint32_t object = copy_object(b, path, from->items[i]);
        b->m->refs[first + i] = object;
    }
    return first;
}

static uint32_t copy_object(struct matcher_build *b, uint32_t path, const struct pattern_object *from)
{
    struct peri_matcher *m = b->m;
    struct matcher_object to = {
        .member_count = (uint32_t)from->field_count, .or_count = (uint32_t)from->or_count, .may_miss = from->may_miss};
    uint32_t id = matcher_reserve(b, &m->objects, &b->object_cap, &b->object_count, 1, sizeof(*m->objects));
    to.member_first =
        matcher_reserve(b, &m->members, &b->member_cap, &b->member_count, from->field_count, sizeof(*m->members));
    to.or_first = matcher_reserve(b, &m->ors, &b->or_cap, &b->or_count, from->or_count, sizeof(*m->ors));
    for (size_t i = 0; i < from->field_count && !b->nomem; i++)
        copy_member(b, to.member_first + (uint32_t)i, path, &from->fields[i]);
    for (size_t i = 0; i < from->or_count && !b->nomem; i++) {
        uint32_t items = copy_or(b, path, from->ors[i]);
        m->ors[to.or_first + i] = (struct matcher_either){items, (uint32_t)from->ors[i]->count};
    }
    if (!b->nomem)
        m->objects[id] = to;
    return id;
}

static bool has_or(const struct pattern_object *object)
{
    for (size_t i = 0; i < object->field_count; i++)
        if (object->fields[i].node->object && has_or(object->fields[i].node->object))
            return true;
    return object->or_count > 0;
}

static void add_patterns(struct matcher_build *b, const struct peri_pattern *const *patterns, size_t count)
{
    for (size_t i = 0; i < count && !b->nomem; i++)
        if (patterns[i])
            matcher_count_uses(b, 0, patterns[i]->plan);
    for (size_t i = 0; i < count && !b->nomem; i++) {
        b->m->patterns[i].object = MATCHER_NONE;
        if (!patterns[i])
            continue;
        if (!matcher_is_direct(patterns[i]->plan))
            b->m->patterns[i].object = copy_object(b, 0, patterns[i]->plan);
        bool needs_value = matcher_add_access(b, (uint32_t)i, 0, patterns[i]->plan);
        b->m->patterns[i].anchored = needs_value && !has_or(patterns[i]->plan);
    }
}

enum peri_status peri_matcher_build(
    const struct peri_pattern *const *patterns, size_t count, struct peri_matcher **ret, struct peri_error *err)
{
    if (count >= UINT32_MAX / 4)
        return peri_error_set(err, PERI_ELIMIT, "matcher", "%zu patterns are too many", count);
    struct matcher_build b = {.m = calloc(1, sizeof(struct peri_matcher)), .intern = matcher_intern_create()};
    enum peri_status st = PERI_OK;
    peri_buf_init(&b.bytes, 1u << 30);
    b.nomem = !b.m || !b.intern || !(b.m->patterns = calloc(count + 1, sizeof(*b.m->patterns)));
    if (!b.nomem) {
        b.m->pattern_count = (uint32_t)count;
        matcher_path(&b, MATCHER_NONE, "", 0); /* the root */
        add_patterns(&b, patterns, count);
    }
    if (!b.nomem)
        matcher_finish(&b);
    if (b.nomem) {
        if (b.m)
            b.m->regex_count = b.regex_count;
        peri_matcher_destroy(b.m);
        st = peri_error_nomem(err);
    } else {
        *ret = b.m;
    }
    matcher_intern_destroy(b.intern);
    peri_buf_finish(&b.bytes);
    free(b.fields);
    free(b.parents);
    free(b.pending);
    free(b.ranges);
    return st;
}
