/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_BLUEPRINT_INTERNAL_H
#define PERI_LANG_BLUEPRINT_INTERNAL_H

#include "base/arena.h"
#include "data/regex.h"
#include "lang/blueprint.h"
#include "lang/rule_internal.h"

/* Shared by the files blueprint_*.c: reading the declarations (read), what fits into an input (input), putting it in
 * (expand), the blueprint on its own (check), and a rule made of it (use). */

#define BLUEPRINT_NODES PERI_YAML_MAX_NODES /* of one expansion */
#define BLUEPRINT_FILE_NODES 4000000        /* of all expansions of one file */
#define BLUEPRINT_FILE_BYTES (64u << 20)    /* of their texts */
#define BLUEPRINT_ARENA (64u << 20)
#define BLUEPRINT_OPTIONS 100

struct input_kind;
struct blueprint_input {
    const struct input_kind *kind;
    const struct peri_node *key, *section; /* the name; the section's name or NULL */
    const struct peri_node *node;          /* the declaration */
    const struct peri_node *fallback;      /* `default`, or NULL */
    const struct peri_node *title, *about; /* texts, or NULL */
    bool required;                         /* false: it may be left out, and then what holds it is left out */
    bool has_min, has_max;
    double min, max; /* numbers; durations: ms; texts: bytes; lists: how many */
    const struct peri_node *min_node, *max_node, *options, *schema_node;
    struct peri_regex *pattern;
    struct peri_schema *schema;
    struct blueprint_input *items; /* of a list; NULL: anything */
    bool placed;                   /* somewhere stands !input */
    const char *read_in;           /* "" when a template reads input.x, else NULL */
};

struct blueprint {
    struct peri_yaml_doc *doc;
    struct peri_arena *arena;
    const char *file;
    const struct peri_node *root, *head;
    struct blueprint_input *inputs;
    size_t count;
    bool scripts_read_all; /* a script names input */
};

/* blueprint_read.c. Findings go to diag; a blueprint with an error is of no use. ret is to be finished in any case. */
bool peri_blueprint_is(const struct peri_node *root);
enum peri_status peri_blueprint_read(struct blueprint *b, const char *file, const struct peri_node *root,
    const struct peri_rule_env *env, struct peri_diag *diag) PERI_MUST_CHECK;
void peri_blueprint_finish(struct blueprint *b);
struct blueprint_input *peri_blueprint_find(const struct blueprint *b, const char *name);
/* The name that is near, or NULL. */
const char *peri_blueprint_near(const struct blueprint *b, const char *name);

/* blueprint_input.c */
/* The constraint keys that a type takes are bits of this. */
enum { INPUT_MIN = 1, INPUT_MAX = 2, INPUT_PATTERN = 4, INPUT_OPTIONS = 8, INPUT_ITEMS = 16, INPUT_SCHEMA = 32 };
enum input_type {
    INPUT_STRING,
    INPUT_NUMBER,
    INPUT_INTEGER,
    INPUT_BOOLEAN,
    INPUT_DURATION,
    INPUT_TIME,
    INPUT_ENUM,
    INPUT_EVENT_TYPE,
    INPUT_OPERATOR,
    INPUT_CRON,
    INPUT_TIMEZONE,
    INPUT_SECRET,
    INPUT_LIST,
    INPUT_OBJECT,
    INPUT_CONDITIONS,
    INPUT_STEPS
};
struct input_kind {
    const char *name, *what; /* "integer", "a whole number" */
    enum input_type type;
    unsigned keys;
    const char *help;
};
const struct input_kind *peri_input_kind(const char *name);
const struct input_kind *peri_input_kind_at(size_t i);
/* Does the value fit? Reports where it stands. */
bool peri_input_check(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value);
/* A template or a secret somewhere in it, or NULL. */
const struct peri_node *peri_input_dynamic(const struct peri_node *value);
/* The i-th text that stands for all of the type, NULL behind the last: nodes of the arena. Of one text of a type that
 * says nothing of the contents *ret_loose is true. */
struct peri_node *peri_input_sample(
    struct peri_arena *arena, const struct blueprint_input *input, struct peri_place place, size_t i, bool *ret_loose);

/* blueprint_expand.c */
struct blueprint_hole {
    struct peri_place at;    /* of !input */
    struct peri_place value; /* of what went in */
    const struct blueprint_input *input;
};
struct blueprint_filling {
    const struct peri_node **values; /* one for each input; NULL: left out */
    bool samples;                    /* what goes in stands where !input does */
    struct blueprint_hole *holes;    /* what was done, of the arena */
    size_t hole_count, hole_cap;
    size_t nodes;
    struct peri_arena *arena;
};
/* The blueprint's rule with the values in their places; head: the mapping whose keys come first, and whose place the
 * rule gets (NULL for none of them). NULL after a finding or without memory (r->failed). */
struct peri_node *peri_blueprint_expand(struct rule_reader *r, const struct blueprint *b,
    struct blueprint_filling *filling, const struct peri_node *head, struct peri_place place);
/* Findings for every !input below node, which is in no blueprint. */
void peri_blueprint_refuse_inputs(struct rule_reader *r, const struct peri_node *node, const char *hint);
struct peri_node *peri_node_make_text(
    struct peri_arena *arena, struct peri_place place, const char *text, enum peri_type type);
struct peri_node *peri_node_make_map(struct peri_arena *arena, struct peri_place place, size_t room);
struct peri_node *peri_node_make_list(struct peri_arena *arena, struct peri_place place, size_t room);
/* With room. */
bool peri_node_put(struct peri_arena *arena, struct peri_node *map, const char *key, struct peri_node *value);

/* blueprint_check.c: everything that can be said without a use. sound: its head has no mistake. */
void peri_blueprint_check(struct rule_reader *r, struct blueprint *b, bool sound);

/* blueprint_use.c: the blueprints of a file's rules, read once. */
struct blueprint_uses {
    struct blueprint_entry *entries;
    size_t count, cap;
    size_t nodes, bytes;
};
/* The rule; NULL after findings or without memory (r->failed). */
struct peri_rule *peri_blueprint_use(
    struct blueprint_uses *uses, struct rule_reader *r, const char *file, const struct peri_node *map);
void peri_blueprint_uses_finish(struct blueprint_uses *uses);
/* What input.x is for an expanded rule: the mapping of expanded_from as a value. NULL without memory. */
struct peri_value *peri_blueprint_values(const struct peri_node *input);

#endif
