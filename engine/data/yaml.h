/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_YAML_H
#define PERI_DATA_YAML_H

#include "base/arena.h"
#include "base/diag.h"
#include "base/error.h"
#include "base/status.h"
#include "data/value.h"

/* YAML 1.2 core schema to a tree in which every node knows its file, line and column (both from 1, columns in
 * characters). Refused with a finding: duplicate keys, merge keys (<<), unknown tags, keys that are no strings, tabs
 * and the like as libyaml reports them, and whatever breaks a cap: 1 MiB of text, depth 64, 100,000 nodes after anchors
 * are expanded. yes, no, on, off, 08:30 stay strings. */

#define PERI_YAML_MAX_BYTES (1u << 20)
#define PERI_YAML_MAX_DEPTH 64
#define PERI_YAML_MAX_NODES 100000

enum peri_node_kind { PERI_NODE_SCALAR, PERI_NODE_LIST, PERI_NODE_MAP };

struct peri_node;

struct peri_pair {
    struct peri_node *key; /* always a scalar; its tag is !input or NULL */
    struct peri_node *value;
};

struct peri_node {
    enum peri_node_kind kind;
    struct peri_place place; /* first character of the node's content (of the tag, when it has one) */
    const char *tag;         /* "!secret", "!env", "!input", or NULL */
    /* scalar */
    const char *text; /* decoded, NUL-terminated */
    size_t len;
    bool plain;          /* written without quotes or block indicator: the core schema applies */
    char style;          /* ' ' plain, '\'' '"' quoted, '|' '>' block */
    enum peri_type type; /* what the core schema says it is: PERI_STRING, PERI_INT, PERI_REAL, PERI_BOOL, PERI_NULL */
    const char *source;  /* the file's text from the node's place on; NULL when there is none */
    size_t source_len;   /* up to the end of the file */
    size_t own_len;      /* up to the end of the node itself */
    /* list and map */
    struct peri_node **items;
    struct peri_pair *pairs;
    size_t count;
};

struct peri_yaml_doc {
    struct peri_arena *arena; /* owns every node and string */
    struct peri_node **roots; /* one for each document of the stream that is not empty */
    size_t count;
    const char *text; /* the source, for carets */
    size_t len;
};

/* Parses text. file is copied. Findings go to diag; PERI_EINVAL when there was any error. tags: the ones allowed here,
 * ends with NULL. On success the caller destroys *ret. */
enum peri_status peri_yaml_parse(const char *file, const char *text, size_t len, const char *const *tags,
    struct peri_yaml_doc **ret, struct peri_diag *diag) PERI_MUST_CHECK;
/* Reads the file first; a missing or unreadable file is a finding at line 0. */
enum peri_status peri_yaml_load(
    const char *path, const char *const *tags, struct peri_yaml_doc **ret, struct peri_diag *diag) PERI_MUST_CHECK;
void peri_yaml_destroy(struct peri_yaml_doc *doc);

/* The value of a key in a map node, or NULL; *ret_key (may be NULL) is the key's node. */
struct peri_node *peri_node_get(const struct peri_node *map, const char *key, struct peri_node **ret_key);
/* The plain value of a tree. Tagged scalars go through resolve_tag (may be NULL: then a tag is PERI_EINVAL with err
 * set), which returns a new reference. */
typedef enum peri_status (*peri_tag_resolver)(
    void *ctx, const struct peri_node *node, struct peri_value **ret, struct peri_error *err);
enum peri_status peri_node_value(const struct peri_node *node, peri_tag_resolver resolve_tag, void *ctx,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* The node that an RFC 6901 pointer leads to; the nearest ancestor when the path ends early. Never NULL. */
const struct peri_node *peri_node_at_pointer(const struct peri_node *root, const char *pointer);
/* The place of byte offset of a scalar's decoded text, through escapes, folding and indentation. */
struct peri_place peri_node_text_place(const struct peri_node *node, size_t offset);
/* "a mapping", "a list", "a string", "a number", "a boolean", "null": for messages. */
const char *peri_node_describe(const struct peri_node *node);

#endif
