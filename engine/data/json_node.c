/* SPDX-License-Identifier: Apache-2.0 */
#include "data/json_scan.h"

#include <string.h>

#include "data/yaml.h"

struct build {
    const struct peri_json_tape *tape;
    struct peri_arena *arena;
    struct peri_place place; /* of offset `at`; items are visited in the order of the text, so it only moves on */
    size_t at;
};

static struct peri_place place_of(struct build *b, size_t offset)
{
    for (; b->at < offset; b->at++) {
        char c = b->tape->text[b->at];
        if (c == '\n') {
            b->place.line++;
            b->place.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            b->place.column++;
        }
    }
    return b->place;
}

static struct peri_node *scalar(struct build *b, size_t off, size_t len, bool string, bool escaped)
{
    struct peri_node *node = peri_arena_alloc(b->arena, sizeof(*node));
    char *text = peri_arena_alloc(b->arena, len + 1);
    if (!node || !text)
        return NULL;
    const char *from = b->tape->text + off;
    node->len = len;
    if (escaped)
        node->len = peri_json_unescape(from, len, text);
    else
        memcpy(text, from, len);
    node->text = text;
    node->kind = PERI_NODE_SCALAR;
    node->place = place_of(b, string ? off - 1 : off);
    node->plain = !string;
    node->style = string ? '"' : ' ';
    node->type = PERI_STRING;
    return node;
}

static size_t children(const struct peri_json_tape *tape, size_t at)
{
    size_t n = 0;
    for (size_t i = at + 1; i < tape->items[at].end; i = tape->items[i].end)
        n++;
    return n;
}

static struct peri_node *build(struct build *b, size_t at);

static struct peri_node *container(struct build *b, size_t at)
{
    const struct peri_json_item *items = b->tape->items;
    bool map = items[at].kind == PERI_JSON_OBJECT;
    size_t count = children(b->tape, at), n = 0;
    struct peri_node *node = peri_arena_alloc(b->arena, sizeof(*node));
    if (!node)
        return NULL;
    node->kind = map ? PERI_NODE_MAP : PERI_NODE_LIST;
    node->place = place_of(b, items[at].off);
    node->count = count;
    void *room = peri_arena_alloc(b->arena, (count + 1) * (map ? sizeof(*node->pairs) : sizeof(*node->items)));
    if (!room)
        return NULL;
    if (map)
        node->pairs = room;
    else
        node->items = room;
    for (size_t i = at + 1; i < items[at].end; i = items[i].end, n++) {
        if (map && !(node->pairs[n].key = scalar(b, items[i].key, items[i].key_len, true, items[i].key_escaped)))
            return NULL;
        struct peri_node *child = build(b, i);
        if (!child)
            return NULL;
        if (map)
            node->pairs[n].value = child;
        else
            node->items[n] = child;
    }
    return node;
}

static struct peri_node *build(struct build *b, size_t at)
{
    const struct peri_json_item *item = &b->tape->items[at];
    if (item->kind == PERI_JSON_OBJECT || item->kind == PERI_JSON_ARRAY)
        return container(b, at);
    struct peri_node *node = scalar(b, item->off, item->len, item->kind == PERI_JSON_STRING, item->escaped);
    if (!node)
        return NULL;
    if (item->kind == PERI_JSON_NUMBER)
        node->type = strpbrk(node->text, ".eE") ? PERI_REAL : PERI_INT;
    else if (item->kind != PERI_JSON_STRING)
        node->type = item->kind == PERI_JSON_NULL ? PERI_NULL : PERI_BOOL;
    return node;
}

enum peri_status peri_json_nodes(struct peri_arena *arena, const char *file, const char *text, size_t len,
    struct peri_node **ret, struct peri_error *err)
{
    struct peri_json_tape tape = {0};
    if (len > PERI_YAML_MAX_BYTES)
        return peri_error_set(err, PERI_EINVAL, "json", "line 1, column 1: the text is larger than 1 MiB");
    enum peri_status st = peri_json_scan(text, len, &tape, err);
    if (st == PERI_OK) {
        struct build b = {.tape = &tape, .arena = arena, .place = {file, 1, 1}};
        struct peri_node *node = build(&b, 0);
        if (node)
            *ret = node;
        else
            st = peri_error_nomem(err);
    }
    peri_json_tape_finish(&tape);
    return st;
}
