/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a blueprint with values where !input stood. Everything is counted before it is copied: a value that goes
 * to many places is no way to make a small file large. */
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/blueprint_internal.h"

struct expansion {
    struct rule_reader *r;
    const struct blueprint *b;
    struct blueprint_filling *f;
    bool stop;
};

struct peri_node *peri_node_make_text(
    struct peri_arena *arena, struct peri_place place, const char *text, enum peri_type type)
{
    struct peri_node *n = peri_arena_alloc(arena, sizeof(*n));
    char *copy = n ? peri_arena_strdup(arena, text) : NULL;
    if (!copy)
        return NULL;
    n->kind = PERI_NODE_SCALAR;
    n->place = place;
    n->text = copy;
    n->len = strlen(copy);
    n->type = type;
    n->plain = type != PERI_STRING;
    n->style = type == PERI_STRING ? '"' : ' ';
    return n;
}

struct peri_node *peri_node_make_map(struct peri_arena *arena, struct peri_place place, size_t room)
{
    struct peri_node *n = peri_arena_alloc(arena, sizeof(*n));
    if (!n || !(n->pairs = peri_arena_alloc(arena, (room + 1) * sizeof(*n->pairs))))
        return NULL;
    n->kind = PERI_NODE_MAP;
    n->place = place;
    return n;
}

struct peri_node *peri_node_make_list(struct peri_arena *arena, struct peri_place place, size_t room)
{
    struct peri_node *n = peri_arena_alloc(arena, sizeof(*n));
    if (!n || !(n->items = peri_arena_alloc(arena, (room + 1) * sizeof(struct peri_node *))))
        return NULL;
    n->kind = PERI_NODE_LIST;
    n->place = place;
    return n;
}

bool peri_node_put(struct peri_arena *arena, struct peri_node *map, const char *key, struct peri_node *value)
{
    struct peri_node *name = value ? peri_node_make_text(arena, value->place, key, PERI_STRING) : NULL;
    if (name)
        map->pairs[map->count++] = (struct peri_pair){name, value};
    return name != NULL;
}

static bool is_input(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && node->tag && strcmp(node->tag, "!input") == 0;
}

void peri_blueprint_refuse_inputs(struct rule_reader *r, const struct peri_node *node, const char *hint)
{
    if (is_input(node))
        peri_rule_fault(r, node->place, "input-outside", hint, "!input cannot be used here");
    for (size_t i = 0; node->kind == PERI_NODE_LIST && i < node->count; i++)
        peri_blueprint_refuse_inputs(r, node->items[i], hint);
    for (size_t i = 0; node->kind == PERI_NODE_MAP && i < node->count; i++) {
        if (is_input(node->pairs[i].key))
            peri_rule_fault(r, node->pairs[i].key->place, "input-outside", hint, "!input cannot be used here");
        peri_blueprint_refuse_inputs(r, node->pairs[i].value, hint);
    }
}

static void nomem(struct expansion *e)
{
    peri_rule_nomem(e->r);
    e->stop = true;
}

/* One more node; false when it is one too many. */
static bool count(struct expansion *e, struct peri_place place, int depth)
{
    if (e->stop)
        return false;
    if (++e->f->nodes > BLUEPRINT_NODES || depth > PERI_YAML_MAX_DEPTH) {
        peri_rule_fault(e->r, place, "too-large", "give it less, or make several rules",
            depth > PERI_YAML_MAX_DEPTH ? "the rule made of the blueprint is nested deeper than %d"
                                        : "the rule made of the blueprint has more than %d values",
            depth > PERI_YAML_MAX_DEPTH ? PERI_YAML_MAX_DEPTH : BLUEPRINT_NODES);
        e->stop = true;
    }
    return !e->stop;
}

static struct peri_node *copy(struct expansion *e, const struct peri_node *node, int depth);

/* A fresh copy to another place. */
static void move(struct expansion *e, struct peri_node *node, struct peri_place place)
{
    node->place = place;
    node->source = NULL;
    for (size_t i = 0; i < node->count && node->kind != PERI_NODE_SCALAR; i++) {
        if (node->kind == PERI_NODE_MAP) {
            struct peri_node *key = peri_arena_alloc(e->f->arena, sizeof(*key));
            if (!key) {
                nomem(e);
                return;
            }
            *key = *node->pairs[i].key;
            key->place = place;
            key->source = NULL;
            node->pairs[i].key = key;
        }
        move(e, node->kind == PERI_NODE_MAP ? node->pairs[i].value : node->items[i], place);
    }
}

/* What goes in; NULL: nothing, the place is left out. */
static struct peri_node *fill(
    struct expansion *e, const struct peri_node *hole, int depth, const struct blueprint_input **ret)
{
    const struct blueprint_input *input = peri_blueprint_find(e->b, hole->text);
    struct blueprint_filling *f = e->f;
    *ret = input;
    if (!input) { /* reported when the blueprint was checked */
        e->stop = true;
        return NULL;
    }
    const struct peri_node *value = f->values[input - e->b->inputs];
    if (!value)
        return NULL;
    if (f->hole_count == f->hole_cap) {
        size_t cap = f->hole_cap ? f->hole_cap * 2 : 16;
        struct blueprint_hole *more = peri_arena_alloc(f->arena, cap * sizeof(*more));
        if (!more) {
            nomem(e);
            return NULL;
        }
        if (f->hole_count)
            memcpy(more, f->holes, f->hole_count * sizeof(*more));
        f->holes = more;
        f->hole_cap = cap;
    }
    f->holes[f->hole_count++] = (struct blueprint_hole){hole->place, value->place, input};
    struct peri_node *made = copy(e, value, depth);
    if (made && f->samples)
        move(e, made, hole->place);
    return made;
}

static bool splices(const struct blueprint_input *input, const struct peri_node *value)
{
    return value && value->kind == PERI_NODE_LIST &&
           (input->kind->type == INPUT_STEPS || input->kind->type == INPUT_CONDITIONS);
}

static struct peri_node *copy_list(struct expansion *e, const struct peri_node *node, int depth)
{
    struct peri_arena *arena = e->f->arena;
    size_t room = node->count;
    for (size_t i = 0; i < node->count; i++) {
        const struct blueprint_input *input =
            is_input(node->items[i]) ? peri_blueprint_find(e->b, node->items[i]->text) : NULL;
        const struct peri_node *value = input ? e->f->values[input - e->b->inputs] : NULL;
        if (input && splices(input, value))
            room += value->count;
        if (room > BLUEPRINT_NODES)
            break;
    }
    struct peri_node *list = room > BLUEPRINT_NODES ? NULL : peri_node_make_list(arena, node->place, room);
    if (!list) {
        if (count(e, node->place, 0))
            nomem(e);
        return NULL;
    }
    for (size_t i = 0; i < node->count && !e->stop; i++) {
        const struct blueprint_input *input = NULL;
        struct peri_node *item =
            is_input(node->items[i]) ? fill(e, node->items[i], depth + 1, &input) : copy(e, node->items[i], depth + 1);
        if (input && splices(input, item)) {
            for (size_t k = 0; k < item->count; k++)
                list->items[list->count++] = item->items[k];
        } else if (item) {
            list->items[list->count++] = item;
        }
    }
    return list;
}

/* A key is a text, whatever its input holds. */
static struct peri_node *copy_key(struct expansion *e, const struct peri_node *key, int depth)
{
    const struct blueprint_input *input;
    if (!is_input(key))
        return (struct peri_node *)(uintptr_t)key;
    struct peri_node *made = fill(e, key, depth, &input);
    if (!made || (made->kind == PERI_NODE_SCALAR && made->type == PERI_STRING && !made->tag && made->len > 0))
        return made;
    peri_rule_fault(e->r, made->place, "input-type", NULL, "\"%.64s\" becomes a key here, which is a text, not %s",
        key->text, made->tag ? made->tag : peri_node_describe(made));
    e->stop = true;
    return NULL;
}

static struct peri_node *copy_map(struct expansion *e, const struct peri_node *node, int depth)
{
    struct peri_node *map = peri_node_make_map(e->f->arena, node->place, node->count);
    if (!map) {
        nomem(e);
        return NULL;
    }
    for (size_t i = 0; i < node->count && !e->stop; i++) {
        const struct blueprint_input *input;
        if (depth == 0 && strcmp(node->pairs[i].key->text, "blueprint") == 0)
            continue;
        struct peri_node *key = copy_key(e, node->pairs[i].key, depth + 1), *value = NULL;
        if (key)
            value = is_input(node->pairs[i].value) ? fill(e, node->pairs[i].value, depth + 1, &input)
                                                   : copy(e, node->pairs[i].value, depth + 1);
        if (!value)
            continue;
        if (key != node->pairs[i].key && peri_node_get(map, key->text, NULL)) {
            peri_rule_fault(e->r, key->place, "duplicate-key", "give it another name",
                "the blueprint has the key \"%.80s\" here already", key->text);
            e->stop = true;
        } else {
            map->pairs[map->count++] = (struct peri_pair){key, value};
        }
    }
    return map;
}

static struct peri_node *copy(struct expansion *e, const struct peri_node *node, int depth)
{
    if (!count(e, node->place, depth))
        return NULL;
    if (node->kind == PERI_NODE_LIST)
        return copy_list(e, node, depth);
    if (node->kind == PERI_NODE_MAP)
        return copy_map(e, node, depth);
    struct peri_node *n = peri_arena_alloc(e->f->arena, sizeof(*n));
    if (!n)
        nomem(e);
    else
        *n = *node;
    return n;
}

/* Keys that a use has of its own, and may have beside those of the blueprint. */
static bool is_own(const char *key)
{
    static const char *const own[] = {"name", "id", "description", "enabled", "tags", "priority"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(own[i], key) == 0)
            return true;
    return false;
}

struct peri_node *peri_blueprint_expand(struct rule_reader *r, const struct blueprint *b,
    struct blueprint_filling *filling, const struct peri_node *head, struct peri_place place)
{
    struct expansion e = {.r = r, .b = b, .f = filling};
    struct peri_node *body = copy(&e, b->root, 0);
    struct peri_node *map =
        body && !e.stop ? peri_node_make_map(filling->arena, place, body->count + (head ? head->count : 0) + 1) : NULL;
    if (!map) {
        if (body && !e.stop)
            nomem(&e);
        return NULL;
    }
    for (size_t i = 0; head && i < head->count; i++)
        if (is_own(head->pairs[i].key->text))
            map->pairs[map->count++] = head->pairs[i];
    for (size_t i = 0; i < body->count; i++)
        if (!peri_node_get(map, body->pairs[i].key->text, NULL))
            map->pairs[map->count++] = body->pairs[i];
    return map;
}
