/* SPDX-License-Identifier: Apache-2.0 */
/* The plain evaluator. A field of the pattern holds with a value of the event, or without any (exists: false). Within
 * one object the fields are independent (pattern_plan.c sees to it). In an array something must hold with a value in
 * one element, and all of it in that same element; without any value it holds only if no element has one. So each array
 * is walked once for each pattern object that meets it. */
#include "lang/pattern_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

static uint32_t view_at(const struct pattern_match *m, struct pattern_view view, size_t i)
{
    return view.count == 1 ? view.one : m->stack[view.base + i];
}

bool pattern_key_is(struct pattern_match *m, const struct peri_json_item *item, const struct pattern_field *field)
{
    const char *key = m->tape.text + item->key;
    if (!item->key_escaped)
        return item->key_len == field->key_len && memcmp(key, field->key, field->key_len) == 0;
    if (item->key_len < field->key_len || item->key_len / 6 > field->key_len)
        return false;
    char *decoded = malloc(item->key_len + 1);
    if (!decoded) {
        m->nomem = true;
        return false;
    }
    size_t len = peri_json_unescape(key, item->key_len, decoded);
    bool same = len == field->key_len && memcmp(decoded, field->key, len) == 0;
    free(decoded);
    return same;
}

static bool push(struct pattern_match *m, uint32_t item)
{
    if (!peri_vec_grow(&m->stack, &m->stack_cap, m->stack_len + 1, sizeof(*m->stack))) {
        m->nomem = true;
        return false;
    }
    m->stack[m->stack_len++] = item;
    return true;
}

/* The values under a key of all objects in view. The caller takes the stack back to where it was. */
static struct pattern_view values_of(
    struct pattern_match *m, const struct pattern_field *field, struct pattern_view view)
{
    struct pattern_view found = {0, m->stack_len, 0};
    for (size_t v = 0; v < view.count; v++) {
        uint32_t object = view_at(m, view, v);
        for (uint32_t i = object + 1; i < m->tape.items[object].end; i = m->tape.items[i].end) {
            if (!pattern_key_is(m, &m->tape.items[i], field))
                continue;
            if (found.count == 0)
                found.one = i;
            else if ((found.count == 1 && !push(m, found.one)) || !push(m, i))
                return found;
            found.count++;
        }
    }
    return found;
}

/* Is there a scalar at the rest of the path, in any element of the arrays on the way? */
bool pattern_present(struct pattern_match *m, uint32_t at, const struct pattern_path *path, size_t step)
{
    const struct peri_json_item *item = &m->tape.items[at];
    if (item->kind != PERI_JSON_ARRAY && item->kind != PERI_JSON_OBJECT)
        return step == path->count;
    if (item->kind == PERI_JSON_OBJECT && step == path->count)
        return false;
    bool object = item->kind == PERI_JSON_OBJECT;
    for (uint32_t i = at + 1; i < item->end; i = m->tape.items[i].end) {
        if (object && !pattern_key_is(m, &m->tape.items[i], path->fields[step]))
            continue;
        if (pattern_present(m, i, path, object ? step + 1 : step))
            return true;
    }
    return false;
}

static bool absent(struct pattern_match *m, const struct pattern_node *node, uint32_t at, struct pattern_path *path);

/* Does all of the object hold without any value below item at? */
static bool object_absent(
    struct pattern_match *m, const struct pattern_object *object, uint32_t at, struct pattern_path *path)
{
    if (!object->may_miss)
        return false;
    for (size_t i = 0; i < object->field_count; i++) {
        path->fields[path->count++] = &object->fields[i];
        bool ok = absent(m, object->fields[i].node, at, path);
        path->count--;
        if (!ok)
            return false;
    }
    for (size_t i = 0; i < object->or_count; i++) {
        bool ok = false;
        for (size_t k = 0; k < object->ors[i]->count && !ok; k++)
            ok = object_absent(m, object->ors[i]->items[k], at, path);
        if (!ok)
            return false;
    }
    return true;
}

static bool absent(struct pattern_match *m, const struct pattern_node *node, uint32_t at, struct pattern_path *path)
{
    if (!node->may_miss)
        return false;
    if (node->leaf_count && pattern_present(m, at, path, 0))
        return false;
    return !node->object || object_absent(m, node->object, at, path);
}

static enum pattern_outcome both(enum pattern_outcome a, enum pattern_outcome b)
{
    if (a == PATTERN_NO || b == PATTERN_NO)
        return PATTERN_NO;
    return a == PATTERN_WITH || b == PATTERN_WITH ? PATTERN_WITH : PATTERN_WITHOUT;
}

static enum pattern_outcome eval_scalar(struct pattern_match *m, const struct pattern_node *node, uint32_t at)
{
    enum pattern_outcome below = !node->object || node->object->may_miss ? PATTERN_WITHOUT : PATTERN_NO;
    struct pattern_scalar scalar;
    if (!node->leaf_count || below == PATTERN_NO)
        return below;
    if (!pattern_scalar_read(&m->scratch, &m->tape, &m->tape.items[at], &scalar)) {
        m->nomem = true;
        return PATTERN_NO;
    }
    bool ok = true;
    for (size_t i = 0; i < node->leaf_count && ok; i++)
        ok = pattern_leaf_holds(node->leaves[i], &scalar);
    m->nomem |= scalar.nomem;
    return ok ? PATTERN_WITH : PATTERN_NO;
}

static bool leaves_may_miss(const struct pattern_node *node)
{
    for (size_t i = 0; i < node->leaf_count; i++)
        if (!node->leaves[i]->may_miss)
            return false;
    return true;
}

/* Objects are no values of the leaves. */
static enum pattern_outcome eval_objects(
    struct pattern_match *m, const struct pattern_node *node, struct pattern_view view)
{
    if (!leaves_may_miss(node))
        return PATTERN_NO;
    return node->object ? pattern_eval(m, node->object, view) : PATTERN_WITHOUT;
}

static enum pattern_outcome eval_value(struct pattern_match *m, const struct pattern_node *node, uint32_t at)
{
    const struct peri_json_item *item = &m->tape.items[at];
    if (item->kind == PERI_JSON_OBJECT)
        return eval_objects(m, node, (struct pattern_view){at, 0, 1});
    if (item->kind != PERI_JSON_ARRAY)
        return eval_scalar(m, node, at);
    for (uint32_t i = at + 1; i < item->end; i = m->tape.items[i].end)
        if (eval_value(m, node, i) == PATTERN_WITH)
            return PATTERN_WITH;
    struct pattern_path path = {.count = 0};
    return absent(m, node, at, &path) ? PATTERN_WITHOUT : PATTERN_NO;
}

/* A repeated key: its objects count as one object that has all their members, everything else by itself. */
static enum pattern_outcome eval_repeated(
    struct pattern_match *m, const struct pattern_node *node, struct pattern_view view)
{
    struct pattern_view objects = {0, m->stack_len, 0};
    bool without = true;
    for (size_t i = 0; i < view.count; i++) {
        uint32_t at = m->stack[view.base + i];
        struct pattern_path path = {.count = 0};
        without = without && absent(m, node, at, &path);
        if (m->tape.items[at].kind != PERI_JSON_OBJECT) {
            if (eval_value(m, node, at) == PATTERN_WITH)
                return PATTERN_WITH;
            continue;
        }
        objects.one = at;
        if (!push(m, at))
            return PATTERN_NO;
        objects.count++;
    }
    if (objects.count && eval_objects(m, node, objects) == PATTERN_WITH)
        return PATTERN_WITH;
    return without ? PATTERN_WITHOUT : PATTERN_NO;
}

enum pattern_outcome pattern_eval_field(
    struct pattern_match *m, const struct pattern_field *field, struct pattern_view view)
{
    size_t mark = m->stack_len;
    struct pattern_view values = values_of(m, field, view);
    enum pattern_outcome outcome;
    if (!values.count)
        outcome = field->node->may_miss ? PATTERN_WITHOUT : PATTERN_NO;
    else if (values.count == 1)
        outcome = eval_value(m, field->node, values.one);
    else
        outcome = eval_repeated(m, field->node, values);
    m->stack_len = mark;
    return outcome;
}

enum pattern_outcome pattern_eval(
    struct pattern_match *m, const struct pattern_object *object, struct pattern_view view)
{
    enum pattern_outcome all = PATTERN_WITHOUT;
    for (size_t i = 0; i < object->field_count && all != PATTERN_NO; i++)
        all = both(all, pattern_eval_field(m, &object->fields[i], view));
    for (size_t i = 0; i < object->or_count && all != PATTERN_NO; i++) {
        enum pattern_outcome best = PATTERN_NO;
        for (size_t k = 0; k < object->ors[i]->count && best != PATTERN_WITH; k++) {
            enum pattern_outcome one = pattern_eval(m, object->ors[i]->items[k], view);
            best = one > best ? one : best;
        }
        all = both(all, best);
    }
    return all;
}

struct peri_pattern_event {
    struct pattern_match m;
};

static enum peri_status match(const struct peri_pattern *pattern, struct pattern_match *m, bool *ret_matches,
    struct peri_value **ret_why, struct peri_error *err)
{
    struct peri_value *why = NULL;
    m->nomem = false;
    m->stack_len = 0;
    bool matches = m->tape.items[0].kind == PERI_JSON_OBJECT &&
                   pattern_eval(m, pattern->plan, (struct pattern_view){0, 0, 1}) != PATTERN_NO;
    if (!matches && ret_why && !m->nomem)
        m->nomem = !(why = pattern_why(m, pattern));
    if (m->nomem) {
        peri_value_unref(why);
        return peri_error_nomem(err);
    }
    *ret_matches = matches;
    if (ret_why)
        *ret_why = why;
    return PERI_OK;
}

static void finish(struct pattern_match *m)
{
    peri_json_tape_finish(&m->tape);
    free(m->stack);
    free(m->scratch.text);
    free(m->scratch.folded);
}

enum peri_status peri_pattern_match(const struct peri_pattern *pattern, const char *json, size_t len, bool *ret_matches,
    struct peri_value **ret_why, struct peri_error *err)
{
    struct pattern_match m = {0};
    enum peri_status st = peri_json_scan(json, len, &m.tape, err);
    if (st == PERI_OK)
        st = match(pattern, &m, ret_matches, ret_why, err);
    finish(&m);
    return st;
}

enum peri_status peri_pattern_event_read(
    const char *json, size_t len, struct peri_pattern_event **ret, struct peri_error *err)
{
    struct peri_pattern_event *event = calloc(1, sizeof(*event));
    if (!event)
        return peri_error_nomem(err);
    enum peri_status st = peri_json_scan(json, len, &event->m.tape, err);
    if (st == PERI_OK)
        *ret = event;
    else
        peri_pattern_event_destroy(event);
    return st;
}

void peri_pattern_event_destroy(struct peri_pattern_event *event)
{
    if (!event)
        return;
    finish(&event->m);
    free(event);
}

enum peri_status peri_pattern_match_event(const struct peri_pattern *pattern, struct peri_pattern_event *event,
    bool *ret_matches, struct peri_value **ret_why, struct peri_error *err)
{
    return match(pattern, &event->m, ret_matches, ret_why, err);
}
