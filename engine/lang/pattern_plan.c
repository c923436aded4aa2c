/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree as written to the one that is evaluated.
 *
 * Conditions on different keys of one object are independent: each is looked for in a value of its own. Conditions on
 * the same key are not, as they must agree on the elements of the arrays below it. Within one mapping keys are
 * distinct, but a $or may ask for keys that stand beside it or in another $or. Such parts, and only those, are
 * multiplied out, so that in the result every condition on one key of an object stands in one place:
 *
 *     {a: A, b: B, $or: [{a: X}, {c: Y}]}  ->  {b: B, $or: [{a: A and X}, {a: A, c: Y}]}
 *
 * Everything else keeps its size. A pattern without $or is its own plan. */
#include "lang/pattern_internal.h"

#include <string.h>

/* Parts to be joined: everything in them stands for one object of the event and must hold. */
struct parts {
    const struct pattern_object **items;
    size_t count;
};

struct plan {
    struct peri_arena *arena;
    struct owner *owners; /* by key */
    size_t stamp;         /* of the join that looks at them now */
    size_t size;
    enum peri_status status;
};

/* Which member of a join asks for a key first. */
struct owner {
    size_t stamp;
    struct member *member;
};

/* A field or $or of the parts. Those that ask for the same keys are joined by parent (union-find), then chained. */
struct member {
    const struct pattern_field *field;
    struct pattern_or *either;
    struct member *parent, *next, *last;
    bool chained; /* not the first of its chain */
};

static void *get(struct plan *p, size_t size)
{
    void *room = peri_arena_alloc(p->arena, size + 1);
    if (!room && p->status == PERI_OK)
        p->status = PERI_ENOMEM;
    return room;
}

static bool grow(struct plan *p, size_t by)
{
    p->size += by;
    if (p->size > PATTERN_PLAN_MAX && p->status == PERI_OK)
        p->status = PERI_ELIMIT;
    return p->status == PERI_OK;
}

static struct member *root_of(struct member *m)
{
    while (m->parent != m)
        m = m->parent = m->parent->parent;
    return m;
}

static void own(struct plan *p, size_t key, struct member *member)
{
    struct owner *owner = &p->owners[key];
    if (owner->stamp == p->stamp)
        root_of(member)->parent = root_of(owner->member);
    else
        *owner = (struct owner){p->stamp, member};
}

static void own_all(struct plan *p, const struct pattern_object *object, struct member *member)
{
    for (size_t i = 0; i < object->field_count; i++)
        own(p, object->fields[i].id, member);
    for (size_t i = 0; i < object->or_count; i++)
        for (size_t k = 0; k < object->ors[i]->count; k++)
            own_all(p, object->ors[i]->items[k], member);
}

static struct pattern_object *join(struct plan *p, struct parts parts);

/* All members of the chain are fields with one key. */
static bool join_fields(struct plan *p, const struct member *first, struct pattern_field *ret)
{
    struct pattern_node *node = get(p, sizeof(*node));
    size_t leaves = 0, objects = 0;
    for (const struct member *m = first; m; m = m->next) {
        leaves += m->field->node->leaf_count;
        objects += m->field->node->object != NULL;
    }
    struct parts below = {get(p, objects * sizeof(*below.items)), 0};
    if (!node || !below.items || !(node->leaves = get(p, leaves * sizeof(struct pattern_leaf *))))
        return false;
    *ret = *first->field;
    ret->node = node;
    node->may_miss = true;
    for (const struct member *m = first; m; m = m->next) {
        const struct pattern_node *from = m->field->node;
        for (size_t k = 0; k < from->leaf_count; k++) {
            node->leaves[node->leaf_count++] = from->leaves[k];
            node->may_miss &= from->leaves[k]->may_miss;
        }
        if (from->object)
            below.items[below.count++] = from->object;
    }
    if (below.count) {
        node->object = join(p, below);
        if (!node->object)
            return false;
        node->may_miss &= node->object->may_miss;
    }
    return grow(p, 1);
}

/* The first $or of the chain, with all else in the chain joined to each of its alternatives. */
static struct pattern_or *multiply(struct plan *p, const struct member *chain)
{
    const struct pattern_or *first = NULL;
    struct pattern_or *either = get(p, sizeof(*either));
    struct pattern_object *rest = get(p, sizeof(*rest));
    size_t count = 0;
    for (const struct member *m = chain; m; m = m->next)
        count++;
    if (!either || !rest || !(rest->fields = get(p, count * sizeof(*rest->fields))) ||
        !(rest->ors = get(p, count * sizeof(struct pattern_or *))))
        return NULL;
    for (const struct member *m = chain; m; m = m->next) {
        if (m->field)
            rest->fields[rest->field_count++] = *m->field;
        else if (!first)
            first = m->either;
        else
            rest->ors[rest->or_count++] = m->either;
    }
    either->items = get(p, first->count * sizeof(struct pattern_object *));
    if (!either->items)
        return NULL;
    for (; either->count < first->count; either->count++) {
        const struct pattern_object *both[2] = {rest, first->items[either->count]};
        either->items[either->count] = join(p, (struct parts){both, 2});
        if (!either->items[either->count])
            return NULL;
        either->may_miss |= either->items[either->count]->may_miss;
    }
    return grow(p, 1) ? either : NULL;
}

/* Fields and alternatives of all parts, chained by the keys they ask for. */
static void gather(struct plan *p, const struct parts *parts, struct member *members, size_t *ret_count)
{
    size_t n = 0;
    for (size_t i = 0; i < parts->count; i++) {
        for (size_t k = 0; k < parts->items[i]->field_count; k++, n++)
            members[n] = (struct member){.field = &parts->items[i]->fields[k], .parent = &members[n]};
        for (size_t k = 0; k < parts->items[i]->or_count; k++, n++)
            members[n] = (struct member){.either = parts->items[i]->ors[k], .parent = &members[n]};
    }
    p->stamp++;
    for (size_t i = 0; i < n; i++) {
        if (members[i].field)
            own(p, members[i].field->id, &members[i]);
        for (size_t k = 0; members[i].either && k < members[i].either->count; k++)
            own_all(p, members[i].either->items[k], &members[i]);
    }
    for (size_t i = 0; i < n; i++) {
        struct member *root = root_of(&members[i]);
        members[i].chained = root->last != NULL;
        if (root->last)
            root->last->next = &members[i];
        root->last = &members[i];
    }
    *ret_count = n;
}

static bool has_or(const struct member *chain)
{
    for (; chain; chain = chain->next)
        if (chain->either)
            return true;
    return false;
}

static struct pattern_object *join(struct plan *p, struct parts parts)
{
    size_t room = 0, count;
    for (size_t i = 0; i < parts.count; i++)
        room += parts.items[i]->field_count + parts.items[i]->or_count;
    struct pattern_object *object = get(p, sizeof(*object));
    struct member *members = get(p, room * sizeof(*members));
    if (!object || !members || !(object->fields = get(p, room * sizeof(*object->fields))) ||
        !(object->ors = get(p, room * sizeof(struct pattern_or *))) || !grow(p, 1))
        return NULL;
    gather(p, &parts, members, &count);
    object->may_miss = true;
    for (size_t i = 0; i < count; i++) {
        struct member *chain = &members[i];
        if (chain->chained)
            continue;
        if (has_or(chain)) {
            struct pattern_or *product = multiply(p, chain);
            if (!product)
                return NULL;
            object->ors[object->or_count++] = product;
            object->may_miss &= product->may_miss;
        } else {
            struct pattern_field *field = &object->fields[object->field_count++];
            if (!join_fields(p, chain, field))
                return NULL;
            object->may_miss &= field->node->may_miss;
        }
    }
    return object;
}

static bool any_or(const struct pattern_object *object)
{
    if (object->or_count)
        return true;
    for (size_t i = 0; i < object->field_count; i++)
        if (object->fields[i].node->object && any_or(object->fields[i].node->object))
            return true;
    return false;
}

/* What join finds out about a tree without $or, written into that tree. */
static void mark(struct pattern_object *object)
{
    object->may_miss = true;
    for (size_t i = 0; i < object->field_count; i++) {
        struct pattern_node *node = object->fields[i].node;
        node->may_miss = true;
        for (size_t k = 0; k < node->leaf_count; k++)
            node->may_miss &= node->leaves[k]->may_miss;
        if (node->object) {
            mark(node->object);
            node->may_miss &= node->object->may_miss;
        }
        object->may_miss &= node->may_miss;
    }
}

enum peri_status pattern_plan(struct peri_pattern *pattern)
{
    if (!any_or(pattern->source)) {
        mark(pattern->source);
        pattern->plan = pattern->source;
        return PERI_OK;
    }
    struct plan p = {.arena = pattern->arena};
    const struct pattern_object *source = pattern->source;
    p.owners = get(&p, pattern->key_count * sizeof(*p.owners));
    if (p.owners)
        pattern->plan = join(&p, (struct parts){&source, 1});
    return p.status;
}
