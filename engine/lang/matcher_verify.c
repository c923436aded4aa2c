/* SPDX-License-Identifier: Apache-2.0 */
/* A candidate on the items of an event. Without arrays and repeated keys there is at most one item at a path, and a
 * pattern is "and" and "or" of its leaves. Otherwise this is the plain evaluator (pattern_match.c; when you change one,
 * change the other) on items instead of the whole text: what no pattern asks for makes no difference to it. */
#include "lang/matcher_internal.h"

#include <string.h>

#include "base/vec.h"
#include "data/json.h"

static bool leaves_hold(struct peri_matcher_scratch *r, const struct matcher_member *member, uint32_t item)
{
    const struct peri_matcher *m = r->m;
    struct matcher_scalar scalar;
    if (!matcher_scalar_read(r, &r->items[item], &scalar))
        return false;
    for (uint32_t i = 0; i < member->leaf_count; i++)
        if (!matcher_leaf_holds(r, &m->leaves[m->refs[member->leaf_first + i]], &scalar))
            return false;
    return true;
}

/* --- at most one item a path --- */

static bool plain_member(struct peri_matcher_scratch *r, const struct matcher_member *member)
{
    if (!member->leaf_count)
        return true;
    const struct matcher_slots *slot = &r->slots[member->path];
    if (slot->stamp != r->stamp || r->items[slot->item].kind <= PERI_JSON_ARRAY)
        return member->leaves_may_miss;
    return leaves_hold(r, member, slot->item);
}

static bool plain_object(struct peri_matcher_scratch *r, uint32_t id)
{
    const struct peri_matcher *m = r->m;
    const struct matcher_object *object = &m->objects[id];
    for (uint32_t i = 0; i < object->member_count; i++) {
        const struct matcher_member *member = &m->members[object->member_first + i];
        if (!plain_member(r, member) || (member->object != MATCHER_NONE && !plain_object(r, member->object)))
            return false;
    }
    for (uint32_t i = 0; i < object->or_count; i++) {
        const struct matcher_either *either = &m->ors[object->or_first + i];
        bool any = false;
        for (uint32_t k = 0; k < either->item_count && !any; k++)
            any = plain_object(r, m->refs[either->item_first + k]);
        if (!any)
            return false;
    }
    return true;
}

/* --- the general case --- */

static uint32_t view_at(const struct peri_matcher_scratch *r, struct pattern_view view, size_t i)
{
    return view.count == 1 ? view.one : r->stack[view.base + i];
}

static bool push(struct peri_matcher_scratch *r, uint32_t item)
{
    if (!peri_vec_grow(&r->stack, &r->stack_cap, r->stack_len + 1, sizeof(*r->stack))) {
        r->nomem = true;
        return false;
    }
    r->stack[r->stack_len++] = item;
    return true;
}

/* The values at a path in all objects in view. The caller takes the stack back to where it was. */
static struct pattern_view values_of(struct peri_matcher_scratch *r, uint32_t path, struct pattern_view view)
{
    struct pattern_view found = {0, r->stack_len, 0};
    for (size_t v = 0; v < view.count; v++) {
        uint32_t object = view_at(r, view, v);
        for (uint32_t i = object + 1; i < r->items[object].end; i = r->items[i].end) {
            if (r->items[i].path != path)
                continue;
            if (found.count == 0)
                found.one = i;
            else if ((found.count == 1 && !push(r, found.one)) || !push(r, i))
                return found;
            found.count++;
        }
    }
    return found;
}

/* Is there a scalar of the path in the item or below it? */
static bool present(const struct peri_matcher_scratch *r, uint32_t at, uint32_t path)
{
    for (uint32_t i = at; i < r->items[at].end; i++)
        if (r->items[i].path == path && r->items[i].kind > PERI_JSON_ARRAY)
            return true;
    return false;
}

static bool absent(struct peri_matcher_scratch *r, const struct matcher_member *member, uint32_t at);

/* Does all of the object hold without any value in the item at? */
static bool object_absent(struct peri_matcher_scratch *r, const struct matcher_object *object, uint32_t at)
{
    const struct peri_matcher *m = r->m;
    if (!object->may_miss)
        return false;
    for (uint32_t i = 0; i < object->member_count; i++)
        if (!absent(r, &m->members[object->member_first + i], at))
            return false;
    for (uint32_t i = 0; i < object->or_count; i++) {
        const struct matcher_either *either = &m->ors[object->or_first + i];
        bool ok = false;
        for (uint32_t k = 0; k < either->item_count && !ok; k++)
            ok = object_absent(r, &m->objects[m->refs[either->item_first + k]], at);
        if (!ok)
            return false;
    }
    return true;
}

static bool absent(struct peri_matcher_scratch *r, const struct matcher_member *member, uint32_t at)
{
    if (!member->may_miss)
        return false;
    if (member->leaf_count && present(r, at, member->path))
        return false;
    return member->object == MATCHER_NONE || object_absent(r, &r->m->objects[member->object], at);
}

static enum pattern_outcome both(enum pattern_outcome a, enum pattern_outcome b)
{
    if (a == PATTERN_NO || b == PATTERN_NO)
        return PATTERN_NO;
    return a == PATTERN_WITH || b == PATTERN_WITH ? PATTERN_WITH : PATTERN_WITHOUT;
}

static enum pattern_outcome eval(struct peri_matcher_scratch *r, uint32_t object, struct pattern_view view);

static enum pattern_outcome eval_scalar(
    struct peri_matcher_scratch *r, const struct matcher_member *member, uint32_t at)
{
    bool below = member->object == MATCHER_NONE || r->m->objects[member->object].may_miss;
    if (!below || !member->leaf_count)
        return below ? PATTERN_WITHOUT : PATTERN_NO;
    return leaves_hold(r, member, at) ? PATTERN_WITH : PATTERN_NO;
}

/* Objects are no values of the leaves. */
static enum pattern_outcome eval_objects(
    struct peri_matcher_scratch *r, const struct matcher_member *member, struct pattern_view view)
{
    if (!member->leaves_may_miss)
        return PATTERN_NO;
    return member->object == MATCHER_NONE ? PATTERN_WITHOUT : eval(r, member->object, view);
}

static enum pattern_outcome eval_value(struct peri_matcher_scratch *r, const struct matcher_member *member, uint32_t at)
{
    const struct matcher_item *item = &r->items[at];
    if (item->kind == PERI_JSON_OBJECT)
        return eval_objects(r, member, (struct pattern_view){at, 0, 1});
    if (item->kind != PERI_JSON_ARRAY)
        return eval_scalar(r, member, at);
    for (uint32_t i = at + 1; i < item->end; i = r->items[i].end)
        if (eval_value(r, member, i) == PATTERN_WITH)
            return PATTERN_WITH;
    return absent(r, member, at) ? PATTERN_WITHOUT : PATTERN_NO;
}

/* A repeated key: its objects count as one object that has all their members, everything else by itself. */
static enum pattern_outcome eval_repeated(
    struct peri_matcher_scratch *r, const struct matcher_member *member, struct pattern_view view)
{
    struct pattern_view objects = {0, r->stack_len, 0};
    bool without = true;
    for (size_t i = 0; i < view.count; i++) {
        uint32_t at = r->stack[view.base + i];
        without = without && absent(r, member, at);
        if (r->items[at].kind != PERI_JSON_OBJECT) {
            if (eval_value(r, member, at) == PATTERN_WITH)
                return PATTERN_WITH;
            continue;
        }
        objects.one = at;
        if (!push(r, at))
            return PATTERN_NO;
        objects.count++;
    }
    if (objects.count && eval_objects(r, member, objects) == PATTERN_WITH)
        return PATTERN_WITH;
    return without ? PATTERN_WITHOUT : PATTERN_NO;
}

static enum pattern_outcome eval_member(
    struct peri_matcher_scratch *r, const struct matcher_member *member, struct pattern_view view)
{
    size_t mark = r->stack_len;
    struct pattern_view values = values_of(r, member->path, view);
    enum pattern_outcome outcome;
    if (!values.count)
        outcome = member->may_miss ? PATTERN_WITHOUT : PATTERN_NO;
    else if (values.count == 1)
        outcome = eval_value(r, member, values.one);
    else
        outcome = eval_repeated(r, member, values);
    r->stack_len = mark;
    return outcome;
}

static enum pattern_outcome eval(struct peri_matcher_scratch *r, uint32_t id, struct pattern_view view)
{
    const struct peri_matcher *m = r->m;
    const struct matcher_object *object = &m->objects[id];
    enum pattern_outcome all = PATTERN_WITHOUT;
    for (uint32_t i = 0; i < object->member_count && all != PATTERN_NO; i++)
        all = both(all, eval_member(r, &m->members[object->member_first + i], view));
    for (uint32_t i = 0; i < object->or_count && all != PATTERN_NO; i++) {
        const struct matcher_either *either = &m->ors[object->or_first + i];
        enum pattern_outcome best = PATTERN_NO;
        for (uint32_t k = 0; k < either->item_count && best != PATTERN_WITH; k++) {
            enum pattern_outcome one = eval(r, m->refs[either->item_first + k], view);
            best = one > best ? one : best;
        }
        all = both(all, best);
    }
    return all;
}

/* --- around one value ---
 *
 * The value that led to the pattern says which element of each array is meant, so nothing else of these arrays is
 * looked at: an event with many elements and many candidates takes as long as there are values found. Objects are
 * checked from the inner to the outer. When an outer one lacks something, no value within it can do better: it is
 * skipped. */

struct level {
    const struct matcher_object *object; /* of the pattern */
    uint32_t item;                       /* of the event */
    const struct matcher_member *inner;  /* the member that leads to the value */
};

static const struct matcher_member *member_of(
    const struct peri_matcher *m, const struct matcher_object *object, uint32_t path)
{
    for (uint32_t i = 0; i < object->member_count; i++)
        if (m->members[object->member_first + i].path == path)
            return &m->members[object->member_first + i];
    return NULL;
}

/* The objects around an item, from the outermost to the one it is in. */
static size_t levels_of(
    const struct peri_matcher_scratch *r, uint32_t object, uint32_t item, struct level levels[PERI_JSON_DEPTH])
{
    const struct peri_matcher *m = r->m;
    uint32_t around[PERI_JSON_DEPTH + 1];
    size_t count = 0, depth = 0;
    for (uint32_t i = item; i != MATCHER_NONE; i = r->items[i].parent)
        if (r->items[i].kind != PERI_JSON_ARRAY)
            around[count++] = i;
    const struct matcher_object *at = &m->objects[object];
    for (; count > 1; count--, depth++) {
        const struct matcher_member *inner = member_of(m, at, r->items[around[count - 2]].path);
        levels[depth] = (struct level){at, around[count - 1], inner};
        at = inner->object == MATCHER_NONE ? NULL : &m->objects[inner->object];
    }
    return depth;
}

static bool anchored(struct peri_matcher_scratch *r, struct matcher_candidate candidate)
{
    const struct peri_matcher *m = r->m;
    struct matcher_skip *skip = &r->skips[candidate.pattern];
    struct level levels[PERI_JSON_DEPTH];
    if (skip->stamp == r->stamp && candidate.item < skip->until)
        return false;
    size_t depth = levels_of(r, m->patterns[candidate.pattern].object, candidate.item, levels), last = depth - 1;
    if (eval_scalar(r, levels[last].inner, candidate.item) != PATTERN_WITH)
        return false;
    for (; depth > 0; depth--) {
        const struct level *level = &levels[depth - 1];
        const struct matcher_object *object = level->object;
        bool ok = depth - 1 == last || level->inner->leaves_may_miss;
        for (uint32_t i = 0; i < object->member_count && ok; i++) {
            const struct matcher_member *member = &m->members[object->member_first + i];
            if (member != level->inner)
                ok = eval_member(r, member, (struct pattern_view){level->item, 0, 1}) != PATTERN_NO;
        }
        if (!ok) {
            *skip = (struct matcher_skip){r->stamp, r->items[level->item].end};
            return false;
        }
    }
    return true;
}

bool matcher_verify(struct peri_matcher_scratch *r, struct matcher_candidate candidate)
{
    const struct matcher_pattern *pattern = &r->m->patterns[candidate.pattern];
    if (r->plain)
        return plain_object(r, pattern->object);
    if (pattern->anchored && !r->repeated)
        return anchored(r, candidate);
    struct matcher_skip *skip = &r->skips[candidate.pattern];
    if (skip->stamp == r->stamp)
        return false;
    *skip = (struct matcher_skip){r->stamp, 0}; /* once is enough */
    return eval(r, pattern->object, (struct pattern_view){0, 0, 1}) != PATTERN_NO;
}
