/* SPDX-License-Identifier: Apache-2.0 */
#include "data/yaml_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"

#define MAX_ANCHORS 1000
#define MAX_FINDINGS 50
#define CORE_TAG "tag:yaml.org,2002:"

void build_complain(struct builder *b, struct peri_place place, const char *code, const char *hint, const char *message)
{
    if (b->muted)
        return;
    peri_diag_add(b->diag, place, PERI_SEV_ERROR, code, hint, "%s", message);
    if (b->diag->errors - b->errors_before >= MAX_FINDINGS)
        b->stop = true;
}

void build_stop_at(struct builder *b, struct peri_place place, const char *message)
{
    b->muted = 0;
    build_complain(b, place, "yaml-limit", NULL, message);
    b->stop = true;
}

void build_no_memory(struct builder *b)
{
    b->failed = PERI_ENOMEM;
    b->stop = true;
}

void *build_grab(struct builder *b, size_t size)
{
    void *p = peri_arena_alloc(b->doc->arena, size);
    if (!p)
        build_no_memory(b);
    return p;
}

void build_fix_quotes(struct builder *b)
{
    struct frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;
    if (!b->muted)
        peri_yaml_text_fix_quotes(&b->text, b->diag, f && strchr("{[", b->text.s[f->at]));
}

/* The place of a node: its mark, past an anchor. */
struct peri_place build_place_of(struct builder *b, size_t index, bool anchored, bool empty)
{
    struct peri_yaml_text *t = &b->text;
    peri_yaml_text_seek(t, index);
    if (!anchored || empty || t->byte >= t->len || t->s[t->byte] != '&')
        return peri_yaml_text_place(t);
    size_t i = t->byte;
    while (i < t->len && !strchr(" \t\r\n", t->s[i]))
        i++;
    for (;;) {
        while (i < t->len && strchr(" \t\r\n", t->s[i]))
            i++;
        if (i >= t->len || t->s[i] != '#')
            break;
        while (i < t->len && t->s[i] != '\n' && t->s[i] != '\r')
            i++;
    }
    peri_yaml_text_seek_byte(t, i);
    return peri_yaml_text_place(t);
}

struct built *build_node(struct builder *b, enum peri_node_kind kind, struct peri_place place)
{
    if (++b->nodes > PERI_YAML_MAX_NODES) {
        build_stop_at(b, place, "more than 100000 values in one file (aliases count with all they stand for)");
        return NULL;
    }
    struct built *built = build_grab(b, sizeof(*built));
    if (!built)
        return NULL;
    built->node.kind = kind;
    built->node.place = place;
    built->size = 1;
    return built;
}

size_t build_anchor(struct builder *b, const char *name, struct built *target, bool open)
{
    if (!name)
        return 0;
    if (b->anchor_count >= MAX_ANCHORS) {
        build_stop_at(b, target->node.place, "more than 1000 anchors in one document");
        return 0;
    }
    const char *copy = peri_arena_strdup(b->doc->arena, name);
    if (!copy || !peri_vec_grow(&b->anchors, &b->anchor_cap, b->anchor_count + 1, sizeof(*b->anchors))) {
        build_no_memory(b);
        return 0;
    }
    b->anchors[b->anchor_count++] = (struct anchor){copy, target, open};
    return b->anchor_count;
}

/* ---- tags ---- */

static bool listed(const char *const *tags, const char *tag)
{
    for (; tags && *tags; tags++)
        if (strcmp(*tags, tag) == 0)
            return true;
    return false;
}

static void refuse_tag(struct builder *b, struct peri_place place, const char *tag)
{
    char text[160], hint[160];
    bool core = peri_str_starts(tag, CORE_TAG);
    const char *near = b->tags && !core ? peri_nearest(tag, b->tags) : NULL;
    snprintf(text, sizeof(text), "unknown tag %s%.80s", core ? "!!" : "", core ? tag + strlen(CORE_TAG) : tag);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    b->refused_event = b->events;
    build_complain(b, place, "unknown-tag", near ? hint : "a text that starts with '!' needs quotes", text);
    if (near && !b->muted)
        peri_diag_fix(b->diag, place, tag, near);
}

/* One of the core schema's own tags on a scalar: !!str makes a text of anything, the others must agree with the text.
 */
static bool apply_core_tag(struct peri_node *node, const char *name)
{
    static const struct {
        const char *name;
        enum peri_type type;
    } types[] = {{"int", PERI_INT}, {"float", PERI_REAL}, {"bool", PERI_BOOL}, {"null", PERI_NULL}};
    const char *why;
    if (strcmp(name, "str") == 0)
        return true;
    enum peri_type type = peri_yaml_plain_type(node->text, node->len, &why);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(name, types[i].name) == 0 && !why &&
            (type == types[i].type || (type == PERI_INT && types[i].type == PERI_REAL))) {
            node->type = types[i].type;
            return true;
        }
    }
    return false;
}

void build_scalar_tag(struct builder *b, struct peri_node *node, const char *tag)
{
    node->type = PERI_STRING;
    node->plain = false;
    if (strcmp(tag, "!") == 0)
        return;
    if (peri_str_starts(tag, CORE_TAG)) {
        if (!apply_core_tag(node, tag + strlen(CORE_TAG)))
            refuse_tag(b, node->place, tag);
    } else if (listed(b->tags, tag)) {
        node->tag = peri_arena_strdup(b->doc->arena, tag);
        if (!node->tag)
            build_no_memory(b);
    } else {
        refuse_tag(b, node->place, tag);
    }
}

void build_check_tag(struct builder *b, struct peri_place place, const char *tag, bool map)
{
    if (!tag || strcmp(tag, "!") == 0 || strcmp(tag, map ? CORE_TAG "map" : CORE_TAG "seq") == 0)
        return;
    if (!listed(b->tags, tag)) {
        refuse_tag(b, place, tag);
        return;
    }
    char text[160];
    snprintf(text, sizeof(text), "%.80s stands before a name, not before a %s", tag, map ? "mapping" : "list");
    build_complain(b, place, "bad-tag", NULL, text);
}

/* ---- building ---- */

struct frame *build_top(struct builder *b)
{
    return b->depth ? &b->frames[b->depth - 1] : NULL;
}

bool build_awaits_key(const struct frame *f)
{
    return f && f->built->node.kind == PERI_NODE_MAP && !f->in_value;
}

static void check_key(struct builder *b, struct frame *f, const struct peri_node *key)
{
    char text[160];
    f->bad_key = true;
    if (key->kind != PERI_NODE_SCALAR) {
        build_complain(
            b, key->place, "bad-key", "put a text that starts with a bracket in quotes", "a key must be a text");
    } else if (key->plain && strcmp(key->text, "<<") == 0) {
        build_complain(b, key->place, "merge-key", "write the keys out, or use an alias for the whole value",
            "merge keys (<<) are not supported");
    } else if (key->tag && strcmp(key->tag, "!input") == 0 && key->len > 0) {
        f->bad_key = false; /* its text comes from elsewhere */
    } else if (key->tag) {
        build_complain(b, key->place, "bad-key", NULL, "a key cannot have a tag");
    } else if (key->plain && key->len == 0) {
        build_complain(b, key->place, "bad-key", NULL, "a key is missing before ':'");
    } else if (key->type != PERI_STRING) {
        snprintf(text, sizeof(text), "a key must be a text, %.40s is %s", key->text, peri_node_describe(key));
        build_complain(b, key->place, "bad-key", "put it in quotes", text);
        char quoted[160];
        int n = snprintf(quoted, sizeof(quoted), "\"%s\"", key->text);
        if (!b->muted && n > 0 && (size_t)n < sizeof(quoted) && !strpbrk(key->text, "\"\\"))
            peri_diag_fix(b->diag, key->place, key->text, quoted);
    } else {
        f->bad_key = false;
    }
}

static void add_pair(struct builder *b, struct frame *f, struct built *value)
{
    if (!peri_vec_grow(&f->children, &f->cap, f->count + 1, sizeof(struct peri_pair))) {
        build_no_memory(b);
        return;
    }
    ((struct peri_pair *)f->children)[f->count++] = (struct peri_pair){f->key, &value->node};
}

static void add_item(struct builder *b, struct frame *f, struct built *item)
{
    if (!peri_vec_grow(&f->children, &f->cap, f->count + 1, sizeof(struct peri_node *))) {
        build_no_memory(b);
        return;
    }
    ((struct peri_node **)f->children)[f->count++] = &item->node;
}

static void add_root(struct builder *b, struct built *root)
{
    const struct peri_node *n = &root->node;
    if (n->kind == PERI_NODE_SCALAR && n->plain && n->len == 0)
        return; /* an empty document */
    if (!peri_vec_grow(&b->roots, &b->root_cap, b->doc->count + 1, sizeof(*b->roots))) {
        build_no_memory(b);
        return;
    }
    b->roots[b->doc->count++] = &root->node;
}

/* Puts a finished node (or alias target) where the open container awaits it. */
void build_place(struct builder *b, struct built *built)
{
    struct frame *f = build_top(b);
    if (!f) {
        add_root(b, built);
        return;
    }
    f->built->size += built->size;
    if (f->built->height < built->height + 1)
        f->built->height = built->height + 1;
    if (f->built->node.kind == PERI_NODE_LIST) {
        add_item(b, f, built);
    } else if (!f->in_value) {
        check_key(b, f, &built->node);
        f->key = &built->node;
        f->in_value = true;
    } else {
        if (!f->bad_key)
            add_pair(b, f, built);
        f->in_value = false;
    }
}
