/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_INTERNAL_H
#define PERI_LANG_RULE_INTERNAL_H

#include "base/buf.h"
#include "lang/rule.h"
#include "lang/template_internal.h"

/* Reading one rule: shared by the files rule_*.c. Every reader reports what is wrong and goes on, so that one pass
 * finds all mistakes; a rule with a finding is thrown away. Only memory failures stop (reader.failed). */

#define PERI_RULE_MAX_RULES 10000       /* in a file */
#define PERI_RULE_MAX_STEPS 1000        /* in a rule */
#define PERI_RULE_MAX_NESTING 32        /* of blocks and of conditions */
#define PERI_RULE_MAX_TEXT (256 * 1024) /* bytes of peri_rule.text */
#define PERI_RULE_MAX_NAME 200          /* bytes of a name or an id */
#define PERI_RULE_MAX_LUA (16 * 1024)   /* bytes of one inline script */
#define PERI_RULE_QUEUE_DEFAULT 1000
#define PERI_RULE_LANE_MAX 100000
#define PERI_RULE_WATCH_KEYS 100000 /* keys of which a trigger remembers something, unless it says otherwise */
#define PERI_RULE_COUNT_MAX 1000
#define PERI_RULE_EXPECT_MAX 10000
#define PERI_RULE_FOR_EACH_DEFAULT 1000
#define PERI_RULE_FOR_EACH_MAX 10000
#define PERI_RULE_PARALLEL_MAX 100 /* branches, or items at the same time */
#define PERI_BLUEPRINT_INPUTS 100  /* of one blueprint */

struct rule_names {
    const char **items;
    size_t count, cap;
};

struct peri_system_event;
struct rule_loader;
struct rule_reader {
    struct peri_diag *diag;
    const struct peri_rule_env *env; /* or NULL */
    struct peri_rule *rule;
    struct rule_loader *loader;   /* knows the ids of the file; NULL: they do not count */
    struct peri_expr_names names; /* what templates may name, at the place being read */
    struct rule_names bound;      /* by `as`, borrowed from the tree */
    struct rule_names refused;    /* unknown names already reported */
    struct rule_names ids, vars;  /* of all steps; of all `set` */
    struct rule_names heard_as;   /* events that wait_for and steps of sequences name */
    struct rule_names listed;     /* scratch of names.list */
    const char *heard[8];         /* the triggers' types, when all are exact and something may be declared of them */
    size_t heard_count;
    const struct peri_node *text_node; /* the text being compiled, and where in it the expression starts */
    size_t text_offset;
    bool in_on_error;
    bool in_conditions;    /* of the rule: there is no run yet */
    bool names_doubtful;   /* a mistake before this place may have been to bind a name: unknown ones follow from it */
    bool params_doubtful;  /* an unknown key beside the operator may have been to hold its parameters */
    bool items_doubtful;   /* a list was given up: what follows from it is no further mistake */
    bool members_doubtful; /* the same for steps.x and vars.x, anywhere in the rule */
    const struct peri_system_event *told[4]; /* when only these start the rule: what `event` holds is known */
    size_t told_count;
    const struct peri_value *inputs;                 /* what input.x is; NULL: the rule is from no blueprint */
    void (*read_input)(void *ctx, const char *name); /* told of each input.x, and of all with "*"; NULL: nobody */
    void *read_input_ctx;
    bool head_doubtful; /* so is an unknown key of the rule's head */
    size_t steps;
    int nesting;
    enum peri_status failed;
};

/* rule_names.c: what templates may name */
void peri_rule_names_init(struct rule_reader *r, const struct peri_node *rule_node);
void peri_rule_names_finish(struct rule_reader *r);
void peri_rule_names_bind(struct rule_reader *r, const char *name);
bool peri_rule_names_push(struct rule_names *names, const char *name); /* false: memory is out */
/* May a template at this place begin with the name? */
bool peri_rule_names_bound(const struct rule_reader *r, const char *name, size_t len);
bool peri_rule_names_has(const struct rule_names *names, const char *name, size_t len);
/* Letters, digits and _, not starting with a digit; not one of the roots. Reports. */
bool peri_rule_names_check(struct rule_reader *r, const struct peri_node *node, const char *what);
/* Its first half, without a finding. */
bool peri_rule_names_well_formed(const char *name);

/* rule_fields.c: warnings about fields that no declaration of the event has */
void peri_rule_fields_init(struct rule_reader *r, const struct peri_node *rule_node);
void peri_rule_fields_seen(struct rule_reader *r, const char *field, struct peri_place place);
void peri_rule_fields_match(struct rule_reader *r, const struct peri_node *trigger, const struct peri_node *match);

/* rule_suspect.c: warnings about what loads and means something else than it seems to */
/* Texts of steps that are sent or kept (sent: node is within one). */
void peri_rule_suspect_texts(struct rule_reader *r, const struct peri_node *node, bool sent);
void peri_rule_suspect_match(struct rule_reader *r, const struct peri_node *match);
void peri_rule_suspect_key(struct rule_reader *r, const struct peri_node *node);
void peri_rule_suspect_member(struct rule_reader *r, const char *root, const char *field, struct peri_place place);
/* offset: into the expression that is being compiled. */
void peri_rule_suspect_expression(struct rule_reader *r, size_t offset, const char *hint, const char *message);

/* rule_read.c: fields of mappings */
enum key_kind { KEY_KNOWN, KEY_END };
struct rule_key {
    const char *name;
    enum key_kind kind;
};
/* Each in the file that reads the mapping; ended by KEY_END. */
extern const struct rule_key peri_rule_head_keys[], peri_rule_trigger_keys[], peri_rule_schedule_keys[],
    peri_rule_condition_keys[], peri_rule_step_keys[], peri_rule_for_each_keys[], peri_rule_choice_keys[],
    peri_rule_emit_keys[], peri_rule_retry_keys[], peri_rule_throttle_keys[], peri_rule_wait_keys[],
    peri_rule_approve_keys[], peri_rule_cancel_keys[], peri_rule_rate_limit_keys[], peri_rule_quiet_hours_keys[],
    peri_rule_count_keys[], peri_rule_absence_keys[], peri_rule_sequence_keys[], peri_rule_sequence_step_keys[],
    peri_rule_webhook_keys[], peri_rule_webhook_token_keys[], peri_rule_webhook_signature_keys[], peri_rule_sun_keys[],
    peri_blueprint_use_keys[], peri_blueprint_head_keys[], peri_blueprint_input_keys[], peri_blueprint_section_keys[];
void peri_rule_nomem(struct rule_reader *r);
/* Adds an error finding. */
void peri_rule_fault(struct rule_reader *r, struct peri_place place, const char *code, const char *hint,
    const char *fmt, ...) PERI_PRINTF(5, 6);
/* Change for the finding just added: quotes around a plain text, or away from around it. */
void peri_rule_fix_quotes(struct rule_reader *r, const struct peri_node *node);
void peri_rule_fix_unquote(struct rule_reader *r, const struct peri_node *node);
/* Reports unknown keys; the number of keys reported. */
size_t peri_rule_check_keys(
    struct rule_reader *r, const struct peri_node *map, const struct rule_key *table, const char *what);
void peri_rule_unknown_key(
    struct rule_reader *r, const struct peri_node *key, const struct rule_key *table, const char *what);
const struct rule_key *peri_rule_find_key(const struct rule_key *table, const char *name);
/* The key's node when the map has it, else NULL. */
const struct peri_node *peri_rule_key_node(const struct peri_node *map, const char *key);
bool peri_rule_expect(struct rule_reader *r, const struct peri_node *node, enum peri_node_kind kind, const char *what);
void peri_rule_wrong_type(struct rule_reader *r, const struct peri_node *node, const char *what, const char *wanted);
/* "what" names the field in messages. The text is borrowed from the tree; NULL when wrong. */
const char *peri_rule_text(struct rule_reader *r, const struct peri_node *node, const char *what);
bool peri_rule_bool(struct rule_reader *r, const struct peri_node *node, const char *what, bool *ret);
bool peri_rule_int(
    struct rule_reader *r, const struct peri_node *node, const char *what, int64_t min, int64_t max, int64_t *ret);
bool peri_rule_duration(
    struct rule_reader *r, const struct peri_node *node, const char *what, int64_t min_ms, int64_t *ret_ms);
char *peri_rule_dup(struct rule_reader *r, const char *text);
char *peri_rule_path(struct rule_reader *r, const char *fmt, ...) PERI_PRINTF(2, 3);
/* The place with the file name that the rule owns. */
struct peri_place peri_rule_place(const struct rule_reader *r, const struct peri_node *node);
/* Compiles with the names known here; NULL when wrong. */
struct peri_template *peri_rule_template(struct rule_reader *r, const struct peri_node *node);

/* rule_parse.c: a rule from its tree, which has no !input left. NULL with findings, or when memory is out
 * (r->failed). file: of the rule; other: where the rest of its tree comes from, or NULL. */
struct peri_rule *peri_rule_read_tree(
    struct rule_reader *r, const char *file, const char *other, const struct peri_node *map) PERI_MUST_CHECK;

/* rule_flow.c: key, mode, throttle and what else says when runs may start and go on */
void peri_rule_read_flow(struct rule_reader *r, const struct peri_node *map);

/* One of words (NULL-ended); -1 with a finding when it is none of them. */
int peri_rule_word(struct rule_reader *r, const struct peri_node *node, const char *what, const char *const *words);

/* rule_pace.c: when and how often the calls of a step may leave */
void peri_rule_read_pace(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
void peri_rule_pace_destroy(struct peri_step *s);

/* rule_trigger.c, rule_condition.c, rule_step.c */
void peri_rule_read_triggers(struct rule_reader *r, const struct peri_node *map);
/* An event type or glob; NULL when wrong. */
char *peri_rule_read_type(struct rule_reader *r, const struct peri_node *node, const char *what);
void peri_rule_read_match(struct rule_reader *r, const struct peri_node *map, struct peri_pattern **ret);

/* What schedules and the sun have in common: catch_up, jitter, overlap. */
bool peri_rule_read_times(struct rule_reader *r, const struct peri_node *map, struct peri_trigger *t);
/* rule_sun.c */
void peri_rule_read_sun(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t);

/* rule_webhook.c */
void peri_rule_read_webhook(struct rule_reader *r, const struct peri_node *map, struct peri_trigger *t);

/* rule_watch.c: triggers that watch over time. rule: the mapping of the rule; map: of the trigger. */
/* keys_good: no key is unknown. */
void peri_rule_read_for(struct rule_reader *r, const struct peri_node *map, bool keys_good, struct peri_trigger *t);
void peri_rule_read_count(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t);
void peri_rule_read_absence(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t);
void peri_rule_read_sequence(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t);
/* max_keys, and what decides whether it is still the same watch. */
void peri_rule_finish_watch(
    struct rule_reader *r, const struct peri_node *rule, const struct peri_node *map, struct peri_trigger *t);
/* path is copied. NULL when wrong. */
struct peri_condition *peri_rule_read_condition(struct rule_reader *r, const struct peri_node *node, const char *path);
/* The ALL of a rule's list; NULL when it is empty or wrong. */
struct peri_condition *peri_rule_read_conditions(
    struct rule_reader *r, const struct peri_node *node, const char *path, bool has_actions);
/* NULL when wrong. */
struct peri_block *peri_rule_read_block(
    struct rule_reader *r, const struct peri_node *node, const char *path, const char *what);

/* rule_wait.c: steps that wait for something outside. */
void peri_rule_read_wait_for(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
void peri_rule_read_approve(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
/* A duration, a number of seconds, or a template of either; NULL when wrong. */
struct peri_template *peri_rule_read_length(struct rule_reader *r, const struct peri_node *node, const char *what);

/* The key that makes the i-th kind of step, NULL behind the last; *ret_own: the keys that go with it alone. */
const char *peri_rule_step_kind(size_t i, const char *const **ret_own);
bool peri_rule_is_step_key(const char *key);
/* Has it a key that only steps have? */
bool peri_rule_looks_like_step(const struct peri_node *map);

/* rule_check.c: the operator of a condition or step and its parameters. params: a mapping; NULL when there is none;
 * what is no mapping is left alone. */
void peri_rule_check_operator(
    struct rule_reader *r, const struct peri_node *id, const struct peri_node *params, bool as_condition);

/* rule_lua.c: the parameters of a call of "lua" from the text of a script; NULL when wrong. path is the place's. */
struct peri_template *peri_rule_read_lua(
    struct rule_reader *r, const struct peri_node *node, const char *path, bool as_condition);

/* rule_compile.c */
/* One change to a tree while it is written: see rule_mutate.c. */
enum rule_edit_how { RULE_EDIT_DROP, RULE_EDIT_NEGATE, RULE_EDIT_ALWAYS, RULE_EDIT_REPLACE };
struct rule_edit {
    const struct peri_node *node; /* below the node that is written */
    enum rule_edit_how how;
    const char *text; /* REPLACE: what stands there instead, */
    bool number;      /* as it is, not as a text */
};
/* As one line of flow YAML; edit may be NULL. What goes wrong is kept by out. */
void peri_rule_write_node(struct peri_buf *out, const struct peri_node *node, const struct rule_edit *edit);
/* Fills rule.text and rule.hash. */
void peri_rule_write_text(struct rule_reader *r, const struct peri_node *node);

/* rule.c */
struct peri_rule *peri_rule_create(void);
void peri_condition_destroy(struct peri_condition *condition);
void peri_block_destroy(struct peri_block *block);
void peri_step_destroy(struct peri_step *step);

#endif
