/* SPDX-License-Identifier: Apache-2.0 */
/* Why an event does not match: the first field, in the order of the pattern, that does not hold by itself; if all do,
 * the field where no single element of an array has everything. Looks at each field along its whole path, so it is
 * slower than matching, and only asked for when somebody wants to know. */
#include "lang/pattern_internal.h"

#include <string.h>

#include "data/json.h"

#define ACTUAL_MAX 10     /* values listed */
#define ACTUAL_BYTES 1024 /* of an object or array shown as it is */

struct why {
    struct pattern_match *m;
    struct pattern_path path;
    struct peri_value *result;
};

/* Calls test for each scalar at the path until it returns true. */
struct visit {
    bool (*test)(struct visit *v, uint32_t item);
    struct why *why;
    const struct pattern_leaf *leaf;
    struct peri_value *values;
    size_t total;
    uint32_t other; /* the first object or empty array at the end of the path; 0: none */
};

static bool each(struct visit *v, uint32_t at, size_t step)
{
    struct pattern_match *m = v->why->m;
    const struct pattern_path *path = &v->why->path;
    const struct peri_json_item *item = &m->tape.items[at];
    bool object = item->kind == PERI_JSON_OBJECT, array = item->kind == PERI_JSON_ARRAY;
    if (step == path->count && !array && !object)
        return v->test(v, at);
    if (step == path->count && !v->other && (object || item->end == at + 1))
        v->other = at;
    if (!array && (!object || step == path->count))
        return false;
    for (uint32_t i = at + 1; i < item->end; i = m->tape.items[i].end) {
        if (object && !pattern_key_is(m, &m->tape.items[i], path->fields[step]))
            continue;
        if (each(v, i, object ? step + 1 : step))
            return true;
    }
    return false;
}

static bool holds(struct visit *v, uint32_t at)
{
    struct pattern_match *m = v->why->m;
    struct pattern_scalar scalar;
    v->total++;
    if (!pattern_scalar_read(&m->scratch, &m->tape, &m->tape.items[at], &scalar)) {
        m->nomem = true;
        return true;
    }
    bool ok = pattern_leaf_holds(v->leaf, &scalar);
    m->nomem |= scalar.nomem;
    return ok;
}

static bool collect(struct visit *v, uint32_t at)
{
    struct pattern_match *m = v->why->m;
    if (peri_list_push(v->values, peri_json_item_value(&m->tape, at)) != PERI_OK)
        m->nomem = true;
    return m->nomem || peri_value_count(v->values) >= ACTUAL_MAX;
}

/* The path as text, with last (may be NULL) behind it. */
static void put_path(struct why *w, const char *last)
{
    struct peri_buf text;
    peri_buf_init(&text, 64 * 1024);
    for (size_t i = 0; i < w->path.count; i++) {
        if (i)
            peri_buf_putc(&text, '.');
        peri_buf_append(&text, w->path.fields[i]->key, w->path.fields[i]->key_len);
    }
    if (last)
        peri_buf_printf(&text, "%s%s", w->path.count ? "." : "", last);
    if (text.failed == PERI_ELIMIT) /* keys of many kilobytes: the place is clear without the end */
        text.failed = PERI_OK;
    struct peri_value *field = peri_value_strn(peri_buf_text(&text), text.len);
    if (text.failed != PERI_OK || peri_map_put(w->result, "field", field) != PERI_OK)
        w->m->nomem = true;
    peri_buf_finish(&text);
}

static void put(struct why *w, const char *reason, struct peri_value *actual, const char *wanted)
{
    struct peri_value *asked = NULL;
    if (peri_map_put_text(w->result, "reason", reason) != PERI_OK)
        w->m->nomem = true;
    if (actual && peri_map_put(w->result, "actual", actual) != PERI_OK)
        w->m->nomem = true;
    if (wanted && (peri_json_parse(wanted, strlen(wanted), &asked, NULL) != PERI_OK ||
                      peri_map_put(w->result, "wanted", asked) != PERI_OK))
        w->m->nomem = true;
}

/* A leaf that no value holds for. */
static void report_leaf(struct why *w, const struct pattern_leaf *leaf, const struct visit *seen)
{
    put_path(w, NULL);
    if (!seen->total && !seen->other) {
        put(w, "the field is missing", NULL, leaf->wanted);
        return;
    }
    if (!seen->total) {
        const struct peri_json_item *item = &w->m->tape.items[seen->other];
        put(w,
            item->kind == PERI_JSON_OBJECT ? "the field holds an object, not a value" : "the field holds an empty list",
            item->len <= ACTUAL_BYTES ? peri_json_item_value(&w->m->tape, seen->other) : NULL, leaf->wanted);
        return;
    }
    struct visit v = {.test = collect, .why = w, .values = peri_value_list()};
    if (!v.values) {
        w->m->nomem = true;
        return;
    }
    each(&v, 0, 0);
    struct peri_value *actual = v.values;
    if (seen->total == 1 && !w->m->nomem) {
        actual = peri_value_ref(peri_list_at(v.values, 0));
        peri_value_unref(v.values);
    }
    bool only_absence = leaf->may_miss && leaf->count == 1;
    put(w,
        only_absence       ? "the field is there"
        : seen->total == 1 ? "the value differs"
                           : "no value of the list fits",
        actual, leaf->wanted);
}

static bool leaf_alone(struct why *w, const struct pattern_leaf *leaf, bool report)
{
    struct visit v = {.test = holds, .why = w, .leaf = leaf};
    if (each(&v, 0, 0) || (leaf->may_miss && !v.total))
        return true;
    if (report)
        report_leaf(w, leaf, &v);
    return false;
}

/* Does each field hold by itself? If not and report is asked for, the first one that does not is in the result. */
static bool object_alone(struct why *w, const struct pattern_object *object, bool report);

static bool or_alone(struct why *w, const struct pattern_or *either, bool report)
{
    for (size_t i = 0; i < either->count; i++)
        if (object_alone(w, either->items[i], false))
            return true;
    if (report) {
        put_path(w, "$or");
        put(w, "none of the alternatives fits", NULL, either->wanted);
    }
    return false;
}

static bool object_alone(struct why *w, const struct pattern_object *object, bool report)
{
    for (size_t i = 0; i <= object->field_count; i++) {
        if (object->or_count && object->ors[0]->position == i && !or_alone(w, object->ors[0], report))
            return false;
        if (i == object->field_count)
            break;
        const struct pattern_node *node = object->fields[i].node;
        w->path.fields[w->path.count++] = &object->fields[i];
        bool ok = node->leaf_count ? leaf_alone(w, node->leaves[0], report) : object_alone(w, node->object, report);
        w->path.count--;
        if (!ok)
            return false;
    }
    return true;
}

/* Goes down to where the fields hold one by one but not together. */
static void report_together(struct why *w, const struct pattern_object *object)
{
    struct pattern_view view = {0, 0, 1};
    for (size_t i = 0; object && i < object->field_count; i++) {
        const struct pattern_field *field = &object->fields[i];
        if (pattern_eval_field(w->m, field, view) != PATTERN_NO)
            continue;
        w->path.fields[w->path.count++] = field;
        uint32_t only = 0, count = 0;
        for (uint32_t k = view.one + 1; k < w->m->tape.items[view.one].end; k = w->m->tape.items[k].end) {
            if (pattern_key_is(w->m, &w->m->tape.items[k], field)) {
                only = k;
                count++;
            }
        }
        if (count != 1 || w->m->tape.items[only].kind != PERI_JSON_OBJECT)
            break;
        view.one = only;
        object = field->node->object;
        i = (size_t)-1;
    }
    put_path(w, w->path.count ? NULL : "$or");
    put(w, "no single element of the list has all that is asked for", NULL, NULL);
}

struct peri_value *pattern_why(struct pattern_match *m, const struct peri_pattern *pattern)
{
    struct why w = {.m = m, .result = peri_value_map()};
    if (!w.result)
        return NULL;
    if (m->tape.items[0].kind != PERI_JSON_OBJECT) {
        put_path(&w, NULL);
        put(&w, "the event is no object", NULL, NULL);
    } else if (object_alone(&w, pattern->source, true)) {
        report_together(&w, pattern->plan);
    }
    if (!m->nomem)
        return w.result;
    peri_value_unref(w.result);
    return NULL;
}
