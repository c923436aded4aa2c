/* SPDX-License-Identifier: Apache-2.0 */
/* Events of libyaml to a node tree. libyaml resolves nothing and bounds little, so everything that YAML 1.2 or our caps
 * forbid is found here, in the event loop: nesting is cut before its own quadratic cost shows, and an alias adds the
 * size of what it stands for, so that a bomb is noticed by counting and never built. Places come from the character
 * index of libyaml's marks, not from its lines: it also breaks lines at U+0085, U+2028 and U+2029, which no editor
 * does. */
#include "data/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/yaml_text.h"

#define ARENA_MAX (64u << 20)
#define MAX_ANCHORS 1000
#define MAX_FINDINGS 50
#define MAX_TAG_LINES 16 /* libyaml compares each %TAG line with all before */
#define CORE_TAG "tag:yaml.org,2002:"

/* A node and what only the builder needs to know of it. */
struct built {
    struct peri_node node;
    size_t size; /* nodes in it, aliases expanded */
    int height;
};

struct anchor {
    const char *name;
    struct built *target;
    bool open; /* still being read: an alias to it would contain itself */
};

struct frame {
    struct built *built;
    void *children; /* struct peri_node ** or struct peri_pair *, copied to the arena at the end */
    size_t count, cap;
    struct peri_node *key; /* read, its value not yet */
    bool in_value, bad_key;
    size_t anchor; /* 1 + its index, or 0 */
    size_t at;     /* byte of the source where its place is */
};

struct builder {
    struct peri_yaml_text text;
    struct peri_yaml_doc *doc;
    const char *const *tags;
    struct peri_diag *diag;
    size_t errors_before;
    struct frame frames[PERI_YAML_MAX_DEPTH];
    int depth;
    int muted;               /* depth of the frame whose content was already complained about, or 0 */
    int template_line;       /* of the last unquoted template */
    struct peri_place quote; /* of the last text in quotes, if it went over several lines; else line is 0 */
    size_t quote_end;        /* character behind it */
    struct anchor *anchors;
    size_t anchor_count, anchor_cap, root_cap, nodes;
    size_t events, refused_event; /* so far; the one whose tag or alias was refused */
    struct peri_node **roots;
    bool stop;
    enum peri_status failed;
};

static void complain(
    struct builder *b, struct peri_place place, const char *code, const char *hint, const char *message)
{
    if (b->muted)
        return;
    peri_diag_add(b->diag, place, PERI_SEV_ERROR, code, hint, "%s", message);
    if (b->diag->errors - b->errors_before >= MAX_FINDINGS)
        b->stop = true;
}

static void stop_at(struct builder *b, struct peri_place place, const char *message)
{
    b->muted = 0;
    complain(b, place, "yaml-limit", NULL, message);
    b->stop = true;
}

static void no_memory(struct builder *b)
{
    b->failed = PERI_ENOMEM;
    b->stop = true;
}

static void *grab(struct builder *b, size_t size)
{
    void *p = peri_arena_alloc(b->doc->arena, size);
    if (!p)
        no_memory(b);
    return p;
}

static void fix_quotes(struct builder *b)
{
    struct frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;
    if (!b->muted)
        peri_yaml_text_fix_quotes(&b->text, b->diag, f && strchr("{[", b->text.s[f->at]));
}

/* The place of a node: its mark, past an anchor. */
static struct peri_place node_place(struct builder *b, const yaml_mark_t *mark, bool anchored, bool empty)
{
    struct peri_yaml_text *t = &b->text;
    peri_yaml_text_seek(t, mark->index);
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

static struct built *new_node(struct builder *b, enum peri_node_kind kind, struct peri_place place)
{
    if (++b->nodes > PERI_YAML_MAX_NODES) {
        stop_at(b, place, "more than 100000 values in one file (aliases count with all they stand for)");
        return NULL;
    }
    struct built *built = grab(b, sizeof(*built));
    if (!built)
        return NULL;
    built->node.kind = kind;
    built->node.place = place;
    built->size = 1;
    return built;
}

static size_t add_anchor(struct builder *b, const yaml_char_t *name, struct built *target, bool open)
{
    if (!name)
        return 0;
    if (b->anchor_count >= MAX_ANCHORS) {
        stop_at(b, target->node.place, "more than 1000 anchors in one document");
        return 0;
    }
    const char *copy = peri_arena_strdup(b->doc->arena, (const char *)name);
    if (!copy || !peri_vec_grow(&b->anchors, &b->anchor_cap, b->anchor_count + 1, sizeof(*b->anchors))) {
        no_memory(b);
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
    complain(b, place, "unknown-tag", near ? hint : "a text that starts with '!' needs quotes", text);
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

static void apply_scalar_tag(struct builder *b, struct peri_node *node, const char *tag)
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
            no_memory(b);
    } else {
        refuse_tag(b, node->place, tag);
    }
}

static void check_container_tag(struct builder *b, struct peri_place place, const char *tag, bool map)
{
    if (!tag || strcmp(tag, "!") == 0 || strcmp(tag, map ? CORE_TAG "map" : CORE_TAG "seq") == 0)
        return;
    if (!listed(b->tags, tag)) {
        refuse_tag(b, place, tag);
        return;
    }
    char text[160];
    snprintf(text, sizeof(text), "%.80s stands before a name, not before a %s", tag, map ? "mapping" : "list");
    complain(b, place, "bad-tag", NULL, text);
}

/* ---- building ---- */

static struct frame *top(struct builder *b)
{
    return b->depth ? &b->frames[b->depth - 1] : NULL;
}

static bool awaits_key(const struct frame *f)
{
    return f && f->built->node.kind == PERI_NODE_MAP && !f->in_value;
}

static void check_key(struct builder *b, struct frame *f, const struct peri_node *key)
{
    char text[160];
    f->bad_key = true;
    if (key->kind != PERI_NODE_SCALAR) {
        complain(b, key->place, "bad-key", "put a text that starts with a bracket in quotes", "a key must be a text");
    } else if (key->plain && strcmp(key->text, "<<") == 0) {
        complain(b, key->place, "merge-key", "write the keys out, or use an alias for the whole value",
            "merge keys (<<) are not supported");
    } else if (key->tag && strcmp(key->tag, "!input") == 0 && key->len > 0) {
        f->bad_key = false; /* its text comes from elsewhere */
    } else if (key->tag) {
        complain(b, key->place, "bad-key", NULL, "a key cannot have a tag");
    } else if (key->plain && key->len == 0) {
        complain(b, key->place, "bad-key", NULL, "a key is missing before ':'");
    } else if (key->type != PERI_STRING) {
        snprintf(text, sizeof(text), "a key must be a text, %.40s is %s", key->text, peri_node_describe(key));
        complain(b, key->place, "bad-key", "put it in quotes", text);
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
        no_memory(b);
        return;
    }
    ((struct peri_pair *)f->children)[f->count++] = (struct peri_pair){f->key, &value->node};
}

static void add_item(struct builder *b, struct frame *f, struct built *item)
{
    if (!peri_vec_grow(&f->children, &f->cap, f->count + 1, sizeof(struct peri_node *))) {
        no_memory(b);
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
        no_memory(b);
        return;
    }
    b->roots[b->doc->count++] = &root->node;
}

/* Puts a finished node (or alias target) where the open container awaits it. */
static void place_node(struct builder *b, struct built *built)
{
    struct frame *f = top(b);
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

static void on_alias(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    peri_yaml_text_seek(&b->text, event->start_mark.index);
    struct peri_place place = peri_yaml_text_place(&b->text);
    struct anchor *a = NULL;
    for (size_t i = b->anchor_count; i > 0 && !a; i--)
        if (strcmp(b->anchors[i - 1].name, name) == 0)
            a = &b->anchors[i - 1];
    if (a && !a->open) {
        b->nodes += a->target->size;
        if (b->nodes > PERI_YAML_MAX_NODES)
            stop_at(b, place, "more than 100000 values in one file (aliases count with all they stand for)");
        else if (b->depth + a->target->height > PERI_YAML_MAX_DEPTH)
            stop_at(b, place, "nested deeper than 64 levels");
        else
            place_node(b, a->target);
        return;
    }
    char text[160];
    snprintf(text, sizeof(text), a ? "the alias *%.80s stands inside what it names" : "unknown alias *%.80s", name);
    b->refused_event = b->events;
    complain(b, place, "unknown-alias", a ? NULL : "a text that starts with '*' needs quotes", text);
    if (!a)
        fix_quotes(b);
    struct built *empty = new_node(b, PERI_NODE_SCALAR, place);
    if (!empty)
        return;
    empty->node.text = "?";
    empty->node.type = PERI_STRING;
    place_node(b, empty);
}

static char scalar_style(yaml_scalar_style_t style)
{
    static const char styles[] = {' ', ' ', '\'', '"', '|', '>'};
    return (size_t)style < sizeof(styles) ? styles[style] : ' ';
}

/* Without the blanks and line breaks that the parser counts to the end of what it read. */
static size_t trimmed(const struct peri_node *node, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", node->source[len - 1]))
        len--;
    return len;
}

/* `title: Room #5`: what was meant to be text is a comment. Comments begin with a blank or a word, hardly with a
 * number. The cursor is behind the node. */
static void warn_of_comment(struct builder *b, const struct peri_node *node)
{
    const char *s = b->text.s;
    size_t at = b->text.byte;
    while (at < b->text.len && s[at] == ' ')
        at++;
    if (b->muted || node->len == 0 || at + 1 >= b->text.len || s[at] != '#' || s[at - 1] != ' ' ||
        !isdigit((unsigned char)s[at + 1]))
        return;
    peri_yaml_text_seek_byte(&b->text, at);
    peri_diag_add(b->diag, peri_yaml_text_place(&b->text), PERI_SEV_WARNING, "comment-in-text",
        "put all of it in quotes if it belongs to the text", "what stands behind '#' is a comment");
}

static void on_scalar(struct builder *b, const yaml_event_t *event)
{
    size_t len = event->data.scalar.length;
    struct peri_place place = node_place(b, &event->start_mark, event->data.scalar.anchor != NULL, len == 0);
    size_t at = b->text.byte;
    struct built *built = new_node(b, PERI_NODE_SCALAR, place);
    char *text = built ? peri_arena_strndup(b->doc->arena, (const char *)event->data.scalar.value, len) : NULL;
    if (!text) {
        if (built)
            no_memory(b);
        return;
    }
    struct peri_node *node = &built->node;
    node->text = text;
    node->len = len;
    node->source = b->text.s + at;
    node->source_len = b->text.len - at;
    node->style = scalar_style(event->data.scalar.style);
    bool lines = event->start_mark.line != event->end_mark.line && (node->style == '"' || node->style == '\'');
    b->quote = lines ? place : (struct peri_place){0};
    b->quote_end = event->end_mark.index;
    node->plain = node->style == ' ';
    node->type = PERI_STRING;
    if (memchr(text, '\0', len))
        complain(b, place, "yaml-encoding", NULL, "a text must not hold a NUL character");
    if (event->data.scalar.tag) {
        apply_scalar_tag(b, node, (const char *)event->data.scalar.tag);
    } else if (node->plain) {
        const char *why;
        node->type = peri_yaml_plain_type(text, len, &why);
        if (why && !awaits_key(top(b)))
            complain(b, place, "bad-number", "put it in quotes if it is a text", why);
    }
    peri_yaml_text_seek(&b->text, event->end_mark.index);
    node->own_len = trimmed(node, b->text.byte - at);
    if (node->plain && !awaits_key(top(b)))
        warn_of_comment(b, node);
    add_anchor(b, event->data.scalar.anchor, built, false);
    place_node(b, built);
}

/* `key: {{ x }}` reads as a mapping whose key is a mapping: say what the author meant instead. */
static void check_template(struct builder *b, const yaml_event_t *event)
{
    struct peri_yaml_text *t = &b->text;
    if (b->muted || event->data.mapping_start.style != YAML_FLOW_MAPPING_STYLE || t->byte + 1 >= t->len ||
        t->s[t->byte] != '{' || t->s[t->byte + 1] != '{')
        return;
    complain(b, peri_yaml_text_place(t), "yaml-syntax", "write \"{{ … }}\"", "a template needs quotes");
    fix_quotes(b);
    b->template_line = t->line;
    b->muted = b->depth + 1;
}

static void on_start(struct builder *b, const yaml_event_t *event, bool map)
{
    const yaml_char_t *anchor = map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    struct peri_place place = node_place(b, &event->start_mark, anchor != NULL, false);
    if (b->depth >= PERI_YAML_MAX_DEPTH) {
        stop_at(b, place, "nested deeper than 64 levels");
        return;
    }
    if (map)
        check_template(b, event);
    check_container_tag(b, place, (const char *)tag, map);
    struct built *built = new_node(b, map ? PERI_NODE_MAP : PERI_NODE_LIST, place);
    if (!built)
        return;
    built->height = 1;
    struct frame *f = &b->frames[b->depth++];
    memset(f, 0, sizeof(*f));
    f->built = built;
    f->at = b->text.byte;
    f->anchor = add_anchor(b, anchor, built, true);
}

static int by_key(const void *a, const void *b)
{
    const struct peri_node *x = (*(struct peri_pair *const *)a)->key, *y = (*(struct peri_pair *const *)b)->key;
    int c = strcmp(x->text, y->text);
    if (c)
        return c;
    return *(struct peri_pair *const *)a < *(struct peri_pair *const *)b ? -1 : 1;
}

static void refuse_duplicate(struct builder *b, const struct peri_node *first, const struct peri_node *again)
{
    char text[200];
    snprintf(text, sizeof(text), "the key \"%.80s\" is there twice (first on line %d)", again->text, first->place.line);
    complain(b, again->place, "duplicate-key", NULL, text);
}

/* By sorting: a mapping may have many keys, and the text is not ours. */
static void check_duplicates(struct builder *b, const struct peri_node *map)
{
    if (map->count < 2)
        return;
    struct peri_pair **sorted = malloc(map->count * sizeof(*sorted));
    if (!sorted) {
        no_memory(b);
        return;
    }
    for (size_t i = 0; i < map->count; i++)
        sorted[i] = &map->pairs[i];
    qsort(sorted, map->count, sizeof(*sorted), by_key);
    for (size_t i = 1, first = 0; i < map->count && !b->stop; i++) {
        if (strcmp(sorted[i]->key->text, sorted[first]->key->text) == 0)
            refuse_duplicate(b, sorted[first]->key, sorted[i]->key);
        else
            first = i;
    }
    free(sorted);
}

/* A flow collection ends with its bracket, a block one with the last thing in it. */
static void end_source(struct builder *b, struct frame *f, const yaml_event_t *event)
{
    struct peri_node *node = &f->built->node;
    node->source = b->text.s + f->at;
    node->source_len = b->text.len - f->at;
    if (*node->source == '[' || *node->source == '{') {
        peri_yaml_text_seek(&b->text, event->end_mark.index);
        node->own_len = b->text.byte - f->at;
    } else if (node->count) {
        const struct peri_node *last =
            node->kind == PERI_NODE_MAP ? node->pairs[node->count - 1].value : node->items[node->count - 1];
        node->own_len = last->source > node->source ? (size_t)(last->source - node->source) + last->own_len : 0;
    }
}

static void on_end(struct builder *b, const yaml_event_t *event)
{
    struct frame *f = top(b);
    struct peri_node *node = &f->built->node;
    bool map = node->kind == PERI_NODE_MAP;
    size_t bytes = f->count * (map ? sizeof(struct peri_pair) : sizeof(struct peri_node *));
    void *copy = f->count ? grab(b, bytes) : NULL;
    node->count = copy ? f->count : 0;
    if (copy)
        memcpy(copy, f->children, bytes);
    if (map)
        node->pairs = copy;
    else
        node->items = copy;
    free(f->children);
    f->children = NULL;
    end_source(b, f, event);
    if (map)
        check_duplicates(b, node);
    if (f->anchor)
        b->anchors[f->anchor - 1].open = false;
    b->depth--;
    if (b->muted > b->depth)
        b->muted = 0;
    /* A template as a key was complained about as a template. */
    if (b->template_line == node->place.line && awaits_key(top(b)) && map) {
        top(b)->bad_key = top(b)->in_value = true;
        return;
    }
    if (!b->stop)
        place_node(b, f->built);
}

static void on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        b->anchor_count = 0;
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, event);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(b, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_start(b, event, false);
        break;
    case YAML_MAPPING_START_EVENT:
        on_start(b, event, true);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_end(b, event);
        break;
    case YAML_STREAM_END_EVENT:
        b->stop = true;
        break;
    default:
        break;
    }
}

/* Trouble right behind a quote that was opened lines above: the one that should have closed it is missing there. */
static bool explain_quote(struct builder *b, size_t problem)
{
    if (!b->quote.line || problem < b->quote_end)
        return false;
    peri_yaml_text_seek(&b->text, b->quote_end);
    int line = b->text.line;
    peri_yaml_text_seek(&b->text, problem);
    if (b->text.line != line)
        return false;
    char text[96];
    snprintf(text, sizeof(text), "this quote is closed in line %d only, in the middle of a text", line);
    complain(b, b->quote, "yaml-syntax", "close it in its own line", text);
    return true;
}

static void on_error(struct builder *b, const yaml_parser_t *parser)
{
    b->stop = true;
    if (parser->error == YAML_MEMORY_ERROR || !parser->problem) { /* libyaml does not always name the first */
        b->failed = PERI_ENOMEM;
        return;
    }
    size_t at = parser->problem_mark.index;
    peri_yaml_text_seek(&b->text, at);
    if (b->muted || (b->template_line && b->template_line == b->text.line))
        return; /* follows from an unquoted template that was reported */
    if (b->refused_event && b->refused_event == b->events)
        return; /* what was refused a moment ago stands where a mapping or list should */
    if (explain_quote(b, at))
        return;
    struct frame *f = top(b);
    char open = f ? b->text.s[f->at] : ' ';
    if (b->text.byte >= b->text.len && (open == '[' || open == '{')) {
        char text[64];
        snprintf(text, sizeof(text), "this '%c' is not closed by '%c'", open, open == '[' ? ']' : '}');
        complain(b, f->built->node.place, "yaml-syntax", NULL, text);
        return;
    }
    peri_yaml_text_explain(&b->text, parser->context, parser->context ? parser->context_mark.index : at,
        parser->problem ? parser->problem : "", at, b->diag);
}

static void run(struct builder *b)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        no_memory(b);
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)b->text.s, b->text.len);
    while (!b->stop) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event)) {
            b->events++;
            on_event(b, &event);
            yaml_event_delete(&event);
        } else {
            on_error(b, &parser);
        }
    }
    yaml_parser_delete(&parser);
}

static bool check_tag_lines(struct builder *b)
{
    const struct peri_yaml_text *t = &b->text;
    int n = 0;
    for (const char *s = t->s, *end = t->s + t->len; end - s > 4;) {
        n += memcmp(s, "%TAG", 4) == 0;
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        if (!newline)
            break;
        s = newline + 1;
    }
    if (n > MAX_TAG_LINES)
        stop_at(b, (struct peri_place){t->file, 0, 0}, "more than 16 %TAG lines");
    return n <= MAX_TAG_LINES;
}

static enum peri_status build(struct builder *b)
{
    if (peri_yaml_text_check(&b->text, b->diag) && check_tag_lines(b))
        run(b);
    while (b->depth > 0)
        free(b->frames[--b->depth].children);
    free(b->anchors);
    if (!b->failed && b->doc->count) {
        b->doc->roots = grab(b, b->doc->count * sizeof(*b->roots));
        if (b->doc->roots)
            memcpy(b->doc->roots, b->roots, b->doc->count * sizeof(*b->roots));
    }
    free(b->roots);
    if (b->failed)
        return b->failed;
    return b->diag->errors > b->errors_before ? PERI_EINVAL : PERI_OK;
}

static struct peri_yaml_doc *new_doc(const char *text, size_t len)
{
    struct peri_arena *arena = peri_arena_create(ARENA_MAX);
    struct peri_yaml_doc *doc = arena ? peri_arena_alloc(arena, sizeof(*doc)) : NULL;
    char *copy = doc ? peri_arena_strndup(arena, text, len) : NULL;
    if (!copy) {
        peri_arena_destroy(arena);
        return NULL;
    }
    *doc = (struct peri_yaml_doc){.arena = arena, .text = copy, .len = len};
    return doc;
}

enum peri_status peri_yaml_parse(const char *file, const char *text, size_t len, const char *const *tags,
    struct peri_yaml_doc **ret, struct peri_diag *diag)
{
    if (len > PERI_YAML_MAX_BYTES) {
        peri_diag_add(
            diag, (struct peri_place){file, 0, 0}, PERI_SEV_ERROR, "yaml-limit", NULL, "the file is larger than 1 MiB");
        return PERI_EINVAL;
    }
    struct builder *b = calloc(1, sizeof(*b));
    struct peri_yaml_doc *doc = b ? new_doc(text, len) : NULL;
    const char *name = doc ? peri_arena_strdup(doc->arena, file) : NULL;
    enum peri_status st = PERI_ENOMEM;
    if (name) {
        b->doc = doc;
        b->tags = tags;
        b->diag = diag;
        b->errors_before = diag->errors;
        peri_yaml_text_init(&b->text, name, doc->text, len);
        st = build(b);
    }
    free(b);
    if (st) {
        peri_yaml_destroy(doc);
        return st;
    }
    *ret = doc;
    return PERI_OK;
}

/* Everything of a regular file, one byte more than the cap at most. */
static char *read_file(const char *path, size_t *ret_len, char *why, size_t why_size)
{
    char *data = NULL;
    size_t len = 0, max = PERI_YAML_MAX_BYTES + 1;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0 || fstat(fd, &st) < 0) {
        snprintf(why, why_size, "%s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        snprintf(why, why_size, "%s", S_ISDIR(st.st_mode) ? "it is a folder" : "it is no regular file");
    } else if (!(data = malloc(max))) {
        snprintf(why, why_size, "out of memory");
    } else {
        ssize_t n = 1;
        while (len < max && (n = read(fd, data + len, max - len)) != 0) {
            if (n > 0)
                len += (size_t)n;
            else if (errno != EINTR)
                break;
        }
        if (n < 0) {
            snprintf(why, why_size, "%s", strerror(errno));
            free(data);
            data = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    *ret_len = len;
    return data;
}

enum peri_status peri_yaml_load(
    const char *path, const char *const *tags, struct peri_yaml_doc **ret, struct peri_diag *diag)
{
    char why[128] = "";
    size_t len;
    char *text = read_file(path, &len, why, sizeof(why));
    if (!text) {
        peri_diag_add(
            diag, (struct peri_place){path, 0, 0}, PERI_SEV_ERROR, "unreadable", NULL, "cannot read the file: %s", why);
        return PERI_EINVAL;
    }
    enum peri_status st = peri_yaml_parse(path, text, len, tags, ret, diag);
    free(text);
    return st;
}

void peri_yaml_destroy(struct peri_yaml_doc *doc)
{
    if (doc)
        peri_arena_destroy(doc->arena);
}
