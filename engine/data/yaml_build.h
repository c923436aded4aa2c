/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_YAML_BUILD_H
#define PERI_DATA_YAML_BUILD_H

#include "data/yaml.h"
#include "data/yaml_text.h"

/* Internal to the YAML reader: the tree as it grows, and findings about what is in it. yaml.c hands it the events. */

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

/* A finding, unless the content of this frame was complained about already. Enough of them stop the reading. */
void build_complain(
    struct builder *b, struct peri_place place, const char *code, const char *hint, const char *message);
/* A limit was reached: the last finding. */
void build_stop_at(struct builder *b, struct peri_place place, const char *message);
void build_no_memory(struct builder *b);
/* Of the document's arena; NULL when memory is out, which stops the reading. */
void *build_grab(struct builder *b, size_t size);
/* The change for the finding just added: quotes around the text at the cursor. */
void build_fix_quotes(struct builder *b);
/* The place of a node: its first character, past an anchor. */
struct peri_place build_place_of(struct builder *b, size_t index, bool anchored, bool empty);
/* NULL: a limit, or no memory. */
struct built *build_node(struct builder *b, enum peri_node_kind kind, struct peri_place place);
/* 1 + its index; 0 when there is none. name may be NULL. */
size_t build_anchor(struct builder *b, const char *name, struct built *target, bool open);
void build_scalar_tag(struct builder *b, struct peri_node *node, const char *tag);
/* tag may be NULL. */
void build_check_tag(struct builder *b, struct peri_place place, const char *tag, bool map);
/* The innermost open list or mapping; NULL at the root. */
struct frame *build_top(struct builder *b);
bool build_awaits_key(const struct frame *f);
/* Puts a finished node (or alias target) where the open container awaits it. */
void build_place(struct builder *b, struct built *built);

#endif
