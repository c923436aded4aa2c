/* SPDX-License-Identifier: Apache-2.0 */
/* Events of libyaml to a node tree. libyaml resolves nothing and bounds little, so everything that YAML 1.2 or our caps
 * forbid is found here, in the event loop: nesting is cut before its own quadratic cost shows, and an alias adds the
 * size of what it stands for, so that a bomb is noticed by counting and never built. Places come from the character
 * index of libyaml's marks, not from its lines: it also breaks lines at U+0085, U+2028 and U+2029, which no editor
 * does. */
#include "data/yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/yaml_build.h"

#define ARENA_MAX (64u << 20)
#define MAX_TAG_LINES 16 /* libyaml compares each %TAG line with all before */

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
            build_stop_at(b, place, "more than 100000 values in one file (aliases count with all they stand for)");
        else if (b->depth + a->target->height > PERI_YAML_MAX_DEPTH)
            build_stop_at(b, place, "nested deeper than 64 levels");
        else
            build_place(b, a->target);
        return;
    }
    char text[160];
    snprintf(text, sizeof(text), a ? "the alias *%.80s stands inside what it names" : "unknown alias *%.80s", name);
    b->refused_event = b->events;
    build_complain(b, place, "unknown-alias", a ? NULL : "a text that starts with '*' needs quotes", text);
    if (!a)
        build_fix_quotes(b);
    struct built *empty = build_node(b, PERI_NODE_SCALAR, place);
    if (!empty)
        return;
    empty->node.text = "?";
    empty->node.type = PERI_STRING;
    build_place(b, empty);
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
    struct peri_place place = build_place_of(b, event->start_mark.index, event->data.scalar.anchor != NULL, len == 0);
    size_t at = b->text.byte;
    struct built *built = build_node(b, PERI_NODE_SCALAR, place);
    char *text = built ? peri_arena_strndup(b->doc->arena, (const char *)event->data.scalar.value, len) : NULL;
    if (!text) {
        if (built)
            build_no_memory(b);
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
        build_complain(b, place, "yaml-encoding", NULL, "a text must not hold a NUL character");
    if (event->data.scalar.tag) {
        build_scalar_tag(b, node, (const char *)event->data.scalar.tag);
    } else if (node->plain) {
        const char *why;
        node->type = peri_yaml_plain_type(text, len, &why);
        if (why && !build_awaits_key(build_top(b)))
            build_complain(b, place, "bad-number", "put it in quotes if it is a text", why);
    }
    peri_yaml_text_seek(&b->text, event->end_mark.index);
    node->own_len = trimmed(node, b->text.byte - at);
    if (node->plain && !build_awaits_key(build_top(b)))
        warn_of_comment(b, node);
    build_anchor(b, (const char *)event->data.scalar.anchor, built, false);
    build_place(b, built);
}

/* `key: {{ x }}` reads as a mapping whose key is a mapping: say what the author meant instead. */
static void check_template(struct builder *b, const yaml_event_t *event)
{
    struct peri_yaml_text *t = &b->text;
    if (b->muted || event->data.mapping_start.style != YAML_FLOW_MAPPING_STYLE || t->byte + 1 >= t->len ||
        t->s[t->byte] != '{' || t->s[t->byte + 1] != '{')
        return;
    build_complain(b, peri_yaml_text_place(t), "yaml-syntax", "write \"{{ … }}\"", "a template needs quotes");
    build_fix_quotes(b);
    b->template_line = t->line;
    b->muted = b->depth + 1;
}

static void on_start(struct builder *b, const yaml_event_t *event, bool map)
{
    const char *anchor = (const char *)(map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor);
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    struct peri_place place = build_place_of(b, event->start_mark.index, anchor != NULL, false);
    if (b->depth >= PERI_YAML_MAX_DEPTH) {
        build_stop_at(b, place, "nested deeper than 64 levels");
        return;
    }
    if (map)
        check_template(b, event);
    build_check_tag(b, place, (const char *)tag, map);
    struct built *built = build_node(b, map ? PERI_NODE_MAP : PERI_NODE_LIST, place);
    if (!built)
        return;
    built->height = 1;
    struct frame *f = &b->frames[b->depth++];
    memset(f, 0, sizeof(*f));
    f->built = built;
    f->at = b->text.byte;
    f->anchor = build_anchor(b, anchor, built, true);
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
    build_complain(b, again->place, "duplicate-key", NULL, text);
}

/* By sorting: a mapping may have many keys, and the text is not ours. */
static void check_duplicates(struct builder *b, const struct peri_node *map)
{
    if (map->count < 2)
        return;
    struct peri_pair **sorted = malloc(map->count * sizeof(*sorted));
    if (!sorted) {
        build_no_memory(b);
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
    struct frame *f = build_top(b);
    struct peri_node *node = &f->built->node;
    bool map = node->kind == PERI_NODE_MAP;
    size_t bytes = f->count * (map ? sizeof(struct peri_pair) : sizeof(struct peri_node *));
    void *copy = f->count ? build_grab(b, bytes) : NULL;
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
    if (b->template_line == node->place.line && build_awaits_key(build_top(b)) && map) {
        build_top(b)->bad_key = build_top(b)->in_value = true;
        return;
    }
    if (!b->stop)
        build_place(b, f->built);
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
    build_complain(b, b->quote, "yaml-syntax", "close it in its own line", text);
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
    struct frame *f = build_top(b);
    char open = f ? b->text.s[f->at] : ' ';
    if (b->text.byte >= b->text.len && (open == '[' || open == '{')) {
        char text[64];
        snprintf(text, sizeof(text), "this '%c' is not closed by '%c'", open, open == '[' ? ']' : '}');
        build_complain(b, f->built->node.place, "yaml-syntax", NULL, text);
        return;
    }
    peri_yaml_text_explain(&b->text, parser->context, parser->context ? parser->context_mark.index : at,
        parser->problem ? parser->problem : "", at, b->diag);
}

static void run(struct builder *b)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        build_no_memory(b);
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
        build_stop_at(b, (struct peri_place){t->file, 0, 0}, "more than 16 %TAG lines");
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
        b->doc->roots = build_grab(b, b->doc->count * sizeof(*b->roots));
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

void peri_yaml_destroy(struct peri_yaml_doc *doc)
{
    if (doc)
        peri_arena_destroy(doc->arena);
}
