/* SPDX-License-Identifier: Apache-2.0 */
#include "run/privacy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "lang/glob.h"

#define DEPTH_MAX 32
#define PATH_MAX_BYTES 1024

struct peri_privacy {
    struct peri_value *events, *data; /* maps of lists, or NULL */
    bool keyed;
    unsigned char key[PERI_PERSONAL_KEY];
};

static bool read_key(const char *hex, unsigned char key[PERI_PERSONAL_KEY])
{
    if (!hex || strlen(hex) < 2 * (size_t)PERI_PERSONAL_KEY)
        return false;
    for (size_t i = 0; i < PERI_PERSONAL_KEY; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        key[i] = (unsigned char)byte;
    }
    return true;
}

enum peri_status peri_privacy_create(
    const struct peri_value *marks, const char *key, struct peri_privacy **ret, struct peri_error *err)
{
    struct peri_privacy *p = calloc(1, sizeof(*p));
    if (!p)
        return peri_error_nomem(err);
    p->events = peri_value_ref(peri_map_at(marks, "events"));
    p->data = peri_value_ref(peri_map_at(marks, "data"));
    p->keyed = read_key(key, p->key);
    *ret = p;
    return PERI_OK;
}

void peri_privacy_destroy(struct peri_privacy *p)
{
    if (!p)
        return;
    peri_value_unref(p->events);
    peri_value_unref(p->data);
    free(p);
}

bool peri_privacy_is_empty(const struct peri_privacy *p)
{
    return !p || (peri_value_count(p->events) == 0 && peri_value_count(p->data) == 0);
}

struct peri_personal *peri_privacy_set(const struct peri_privacy *p, size_t max)
{
    return peri_personal_create(p && p->keyed ? p->key : NULL, max);
}

bool peri_privacy_has_data(const struct peri_privacy *p, const char *type)
{
    return p && type && peri_value_count(peri_map_at(p->data, type)) > 0;
}

const char *peri_privacy_data_type(const struct peri_privacy *p, size_t i)
{
    for (void *it = p && p->data ? peri_map_first(p->data) : NULL; it; it = peri_map_next(p->data, it))
        if (i-- == 0)
            return peri_map_key(it, NULL);
    return NULL;
}

/* --- along a path --- */

/* Lists on the way are gone through; what lies at its end goes to into. */
static void add_at(const struct peri_value *v, const char *path, struct peri_personal *into, int depth)
{
    if (!v || depth > DEPTH_MAX)
        return;
    if (!*path) {
        peri_personal_add(into, v);
        return;
    }
    for (size_t i = 0; peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        add_at(peri_list_at(v, i), path, into, depth + 1);
    size_t len = strcspn(path, ".");
    if (peri_value_is(v, PERI_MAP))
        add_at(peri_map_atn(v, path, len), path + len + (path[len] == '.'), into, depth + 1);
}

static void add_all(const struct peri_value *paths, const struct peri_value *v, struct peri_personal *into)
{
    for (size_t i = 0; i < peri_value_count(paths); i++) {
        const char *path = peri_value_text(peri_list_at(paths, i));
        if (path)
            add_at(v, path, into, 0);
    }
}

void peri_privacy_event(
    const struct peri_privacy *p, const char *type, const struct peri_value *data, struct peri_personal *into)
{
    for (void *it = p && p->events && type ? peri_map_first(p->events) : NULL; it; it = peri_map_next(p->events, it))
        if (peri_glob_match(peri_map_key(it, NULL), type))
            add_all(peri_map_item(it), data, into);
}

void peri_privacy_entity(
    const struct peri_privacy *p, const char *type, const struct peri_value *entity, struct peri_personal *into)
{
    if (peri_privacy_has_data(p, type))
        add_all(peri_map_at(p->data, type), entity, into);
}

static bool heard(const struct peri_privacy *p, const char *type)
{
    for (void *it = p->events ? peri_map_first(p->events) : NULL; it; it = peri_map_next(p->events, it))
        if (peri_glob_match(peri_map_key(it, NULL), type))
            return true;
    return false;
}

void peri_privacy_journaled(const struct peri_privacy *p, const struct peri_event *event, struct peri_personal *into)
{
    struct peri_value *v = NULL;
    if (!p || !event || !heard(p, event->type) || peri_event_value(event, &v, NULL) != PERI_OK)
        return;
    peri_privacy_event(p, event->type, peri_map_at(v, "data"), into);
    peri_value_unref(v);
}

static void within(const struct peri_privacy *p, const struct peri_value *v, struct peri_personal *into, int depth)
{
    if (depth > DEPTH_MAX)
        return;
    for (size_t i = 0; peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        within(p, peri_list_at(v, i), into, depth + 1);
    if (!peri_value_is(v, PERI_MAP))
        return;
    const char *type = peri_map_text(v, "type");
    if (type && peri_map_at(v, "data"))
        peri_privacy_event(p, type, peri_map_at(v, "data"), into);
    if (type && peri_map_at(v, "id"))
        peri_privacy_entity(p, type, v, into);
    for (void *it = peri_map_first(v); it; it = peri_map_next(v, it))
        within(p, peri_map_item(it), into, depth + 1);
}

void peri_privacy_within(const struct peri_privacy *p, const struct peri_value *v, struct peri_personal *into)
{
    if (!peri_privacy_is_empty(p))
        within(p, v, into, 0);
}

bool peri_privacy_marks(const struct peri_privacy *p, const char *type, const char *path)
{
    for (void *it = p && p->events && type ? peri_map_first(p->events) : NULL; it; it = peri_map_next(p->events, it)) {
        if (!peri_glob_match(peri_map_key(it, NULL), type))
            continue;
        const struct peri_value *paths = peri_map_item(it);
        for (size_t i = 0; i < peri_value_count(paths); i++) {
            const char *marked = peri_value_text(peri_list_at(paths, i));
            size_t len = marked ? strlen(marked) : 0;
            if (marked && (len == 0 || (strncmp(path, marked, len) == 0 && (!path[len] || path[len] == '.'))))
                return true;
        }
    }
    return false;
}

/* --- placeholders at the places themselves --- */

static struct peri_value *cover_at(struct peri_value *v, const char *path, struct peri_personal *set, int depth);

static struct peri_value *cover_list(struct peri_value *v, const char *path, struct peri_personal *set, int depth)
{
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && i < peri_value_count(v); i++) {
        if (peri_list_push(list, cover_at(peri_list_at(v, i), path, set, depth + 1)) == PERI_OK)
            continue;
        peri_value_unref(list);
        return NULL;
    }
    return list;
}

static struct peri_value *cover_at(struct peri_value *v, const char *path, struct peri_personal *set, int depth)
{
    char mark[PERI_PERSONAL_MARK];
    if (depth > DEPTH_MAX || peri_value_is(v, PERI_NULL))
        return peri_value_ref(v);
    if (!*path && !peri_value_is(v, PERI_MAP) && !peri_value_is(v, PERI_LIST)) {
        peri_personal_mark(set, v, mark);
        return peri_value_str(mark);
    }
    if (!*path)
        return peri_value_str("[personal]");
    if (peri_value_is(v, PERI_LIST))
        return cover_list(v, path, set, depth);
    size_t len = strcspn(path, ".");
    struct peri_value *member = peri_value_is(v, PERI_MAP) ? peri_map_atn(v, path, len) : NULL;
    if (!member)
        return peri_value_ref(v);
    struct peri_value *copy = peri_value_copy(v);
    struct peri_value *covered = cover_at(member, path + len + (path[len] == '.'), set, depth + 1);
    if (copy && peri_map_putn(copy, path, len, covered) == PERI_OK)
        return copy;
    peri_value_unref(copy);
    return NULL;
}

struct peri_value *peri_privacy_cover(
    const struct peri_privacy *p, const char *type, struct peri_value *data, struct peri_personal *set)
{
    struct peri_value *now = peri_value_ref(data);
    for (void *it = p && p->events && type ? peri_map_first(p->events) : NULL; it; it = peri_map_next(p->events, it)) {
        const struct peri_value *paths = peri_map_item(it);
        for (size_t i = 0; peri_glob_match(peri_map_key(it, NULL), type) && i < peri_value_count(paths); i++) {
            const char *path = peri_value_text(peri_list_at(paths, i));
            struct peri_value *next = now && path ? cover_at(now, path, set, 0) : peri_value_ref(now);
            peri_value_unref(now);
            now = next;
        }
    }
    return now;
}

/* --- schemas --- */

static enum peri_status read_schema(
    const struct peri_value *schema, struct peri_buf *path, struct peri_value *list, int depth)
{
    if (depth > DEPTH_MAX || !peri_value_is(schema, PERI_MAP))
        return PERI_OK;
    if (peri_map_bool(schema, "personal", false)) {
        struct peri_value *text = peri_value_str(peri_buf_text(path));
        return peri_list_push(list, text);
    }
    const struct peri_value *properties = peri_map_at(schema, "properties");
    for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it)) {
        size_t len = path->len;
        enum peri_status st = peri_buf_printf(path, "%s%s", len ? "." : "", peri_map_key(it, NULL));
        if (st == PERI_OK)
            st = read_schema(peri_map_item(it), path, list, depth + 1);
        if (st)
            return st;
        path->len = len;
        path->data[len] = '\0';
    }
    return read_schema(peri_map_at(schema, "items"), path, list, depth + 1);
}

enum peri_status peri_privacy_of_schema(const struct peri_value *schema, struct peri_value *list)
{
    struct peri_buf path;
    peri_buf_init(&path, PATH_MAX_BYTES);
    enum peri_status st = read_schema(schema, &path, list, 0);
    peri_buf_finish(&path);
    return st;
}
