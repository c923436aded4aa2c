/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_RULE_H
#define PERI_LANG_RULE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/error.h"
#include "data/schema.h"
#include "data/yaml.h"
#include "lang/pattern.h"
#include "lang/schedule.h"
#include "lang/template.h"
#include "lang/webhook.h"

/* A compiled rule: what rule_parse.c reads, rule_check.c proves and rule_compile.c prepares. Immutable; counted,
 * because a waiting run keeps the version it started with. */

struct peri_condition;
struct peri_step;

enum peri_trigger_kind {
    PERI_TRIGGER_EVENT,
    PERI_TRIGGER_SCHEDULE,
    PERI_TRIGGER_COUNT,    /* at_least events within within_ms */
    PERI_TRIGGER_ABSENCE,  /* no event for for_ms */
    PERI_TRIGGER_SEQUENCE, /* steps in this order within within_ms */
};

#define PERI_SEQUENCE_STEPS 16 /* of a sequence */
#define PERI_SEQUENCE_UNITS 64 /* events that they take together */

struct peri_sequence_step {
    char *event; /* exact type or glob */
    struct peri_place event_place;
    struct peri_pattern *match; /* NULL: any payload */
    bool negated;               /* must not come between the steps around it */
    int64_t count;              /* 1 and more */
    char *as;                   /* events.<as>, or NULL */
};

struct peri_trigger {
    enum peri_trigger_kind kind;
    char *id; /* given, or "t1", "t2", ... by position */
    struct peri_place place;
    char *event; /* EVENT, COUNT, ABSENCE: exact type or glob */
    struct peri_place event_place;
    struct peri_pattern *match;     /* the same; NULL: any payload */
    struct peri_webhook *webhook;   /* EVENT: its event comes in by this door; NULL: from anywhere */
    struct peri_schedule *schedule; /* SCHEDULE; else NULL */
    char *lane;                     /* SCHEDULE with overlap: the lane of its runs. Begins with PERI_TIMES_LANE */
    int64_t for_ms;                 /* ABSENCE; EVENT: 0 when it fires at once */
    int64_t within_ms, at_least;
    int64_t max_keys; /* of which it remembers something */
    char **expect;    /* ABSENCE: keys that are missed although they have never spoken */
    size_t expect_count;
    struct peri_sequence_step *steps;
    size_t step_count;
    char *spec; /* what it watches, in short: with another one it begins anew */
};

#define PERI_TIMES_LANE "$times/"

/* Does it remember anything from one event to the next? */
bool peri_trigger_watches(const struct peri_trigger *trigger);
/* The i-th event type that it hears, NULL behind the last. borrow */
const char *peri_trigger_hears(const struct peri_trigger *trigger, size_t i, struct peri_place *ret_place);
/* "event", "schedule", "count", ... */
const char *peri_trigger_kind_name(const struct peri_trigger *trigger);

enum peri_condition_kind { PERI_COND_OPERATOR, PERI_COND_EXPR, PERI_COND_ALL, PERI_COND_ANY, PERI_COND_NOT };

struct peri_condition {
    enum peri_condition_kind kind;
    struct peri_place place;
    char *path;                    /* "conditions[1].any[0]" */
    char *operator_id;             /* OPERATOR */
    struct peri_template *params;  /* OPERATOR; NULL: none */
    char *expr_text;               /* EXPR: as written, for verdicts */
    struct peri_template *expr;    /* EXPR */
    struct peri_condition **items; /* ALL, ANY; NOT has one (an implicit ALL when a list was given) */
    size_t count;
};

enum peri_step_kind {
    PERI_STEP_OPERATOR,
    PERI_STEP_DELAY,
    PERI_STEP_IF,
    PERI_STEP_CHOOSE,
    PERI_STEP_FOR_EACH,
    PERI_STEP_SET,
    PERI_STEP_EMIT,
    PERI_STEP_STOP,
    PERI_STEP_PARALLEL,
    PERI_STEP_WAIT_FOR,
    PERI_STEP_APPROVE
};

/* A list of steps. path is "actions", "actions[2].then", "on_error", ... : the durable name of a position. */
struct peri_block {
    char *path;
    struct peri_step **steps;
    size_t count;
};

struct peri_choice {
    struct peri_condition *when;
    struct peri_block *then;
};

struct peri_retry {
    int64_t initial_ms, maximum_ms; /* defaults 1 s, 5 min */
    double coefficient;             /* default 2 */
    int maximum_attempts;           /* default 8; 1: no retry */
    char **non_retryable;           /* error codes */
    size_t non_retryable_count;
};

/* What a step says about the class of its operator. */
enum peri_step_delivery {
    PERI_STEP_DELIVERY_OWN, /* nothing: as the operator declares */
    PERI_STEP_DELIVERY_ONCE,
    PERI_STEP_DELIVERY_REPEAT
};

/* At most `limit` calls within a period, for all steps with the same key. */
#define PERI_RATE_LIMIT_MAX 10000
#define PERI_RATE_PERIOD_MAX_MS (366LL * 24 * 3600 * 1000)
struct peri_rate {
    int64_t limit, period_ms;
    struct peri_template *key; /* NULL: of where the call goes */
};

/* No call leaves between two times of day. */
struct peri_quiet {
    int from, to;                   /* minutes of the day; from > to: over midnight */
    struct peri_template *timezone; /* NULL: the recipient's, else zone */
    char *zone;                     /* the service's */
    bool drop;                      /* left out instead of put off */
};

struct peri_binding {
    char *name;
    struct peri_template *value;
};

struct peri_step {
    enum peri_step_kind kind;
    struct peri_place place;
    char *path;                   /* "actions[2]" */
    char *id;                     /* given, or NULL */
    char *as;                     /* name that the result is bound to, or NULL */
    struct peri_condition *guard; /* `if` on any step: skipped when it does not hold; NULL: always */
    bool continue_on_error;
    struct peri_block *on_error; /* NULL: none */
    struct peri_retry retry;
    int64_t
        timeout_ms; /* of one attempt, or of all that a container does; 0: the default, which for a container is none */
    struct peri_template *idempotency_key; /* NULL: the run's own */
    enum peri_step_delivery delivery;
    struct peri_rate *rate;   /* NULL: none */
    struct peri_quiet *quiet; /* NULL: none */
    /* OPERATOR */
    char *operator_id;
    struct peri_template *params;
    /* DELAY: renders to a duration text or a number of seconds */
    struct peri_template *delay;
    /* IF: guard is the condition of then/els and of nothing else. CHOOSE: els is its `else` */
    struct peri_block *then, *els;
    struct peri_choice *choices;
    size_t choice_count;
    /* FOR_EACH: as is bound to the item, `<as>_index` is not; max bounds the list (default 1000) */
    struct peri_template *in;
    int64_t max, parallel; /* parallel: that many items at the same time; 0: one after the other */
    struct peri_block *body;
    /* PARALLEL */
    struct peri_block **branches;
    size_t branch_count;
    /* WAIT_FOR: as is read as events.<as> */
    char *wait_event;                 /* exact type or glob */
    struct peri_template *wait_match; /* NULL: any payload */
    struct peri_template *limit;      /* WAIT_FOR, APPROVE: as of a delay; NULL: for ever */
    /* APPROVE */
    struct peri_template *prompt;
    struct peri_schema *schema;     /* of the answer; NULL: true or false */
    struct peri_template *fallback; /* the answer when none comes in time; NULL: the step fails */
    /* SET */
    struct peri_binding *bindings;
    size_t binding_count;
    /* EMIT */
    struct peri_template *emit_event, *emit_data;
    /* STOP */
    struct peri_template *reason; /* NULL: none */
};

/* How runs of one lane, that is of one rule and one rendered key, stand to each other. */
enum peri_mode {
    PERI_MODE_NONE,    /* no lanes: every run goes its own way */
    PERI_MODE_SINGLE,  /* while one is live, no other starts */
    PERI_MODE_RESTART, /* a new one cancels the old one */
    PERI_MODE_QUEUED,  /* one after the other */
    PERI_MODE_PARALLEL /* up to max at once */
};

/* What happens above max. */
enum peri_exceeded {
    PERI_EXCEEDED_QUEUE, /* PARALLEL only, and its default: the rest waits */
    PERI_EXCEEDED_DROP_NEWEST,
    PERI_EXCEEDED_DROP_OLDEST
};

/* What happens to a run whose rule is edited or removed while it is under way. Numbers are stored: never renumber. */
enum peri_on_change {
    PERI_CHANGE_FINISH,  /* it goes on with the text that it started with */
    PERI_CHANGE_RESTART, /* it is cancelled, and a new one begins with the new text */
    PERI_CHANGE_CANCEL
};

/* An event that ends the runs of a rule, of the same key when it has one. */
struct peri_cancel {
    char *event;                /* exact type or glob */
    struct peri_pattern *match; /* NULL: any payload */
};

struct peri_flow {
    struct peri_template *key; /* NULL: none, all events are of one key */
    enum peri_mode mode;
    int64_t max; /* QUEUED: live and waiting ones; PARALLEL: live ones, 0 any number */
    enum peri_exceeded exceeded;
    int64_t once_within_ms, once_after_ms; /* throttle; 0: none */
    enum peri_on_change on_change;
    struct peri_cancel *cancels;
    size_t cancel_count;
};

struct peri_rule {
    char *id, *name, *description;
    bool enabled;
    char **tags;
    size_t tag_count;
    int priority;
    int64_t timeout_ms; /* of a run; 0: none */
    struct peri_flow flow;
    _Atomic(struct peri_value *) about; /* what run/scope.c makes of it, once; or NULL */
    unsigned char found;                /* what run/at_once.c has found out about it; 0: nothing yet */
    uint32_t awaits;         /* system events that its wait_for and cancel_on name: see peri_system_events_named */
    struct peri_place place; /* of the rule's mapping; file is owned by the rule */
    char *blueprint;         /* the path that its use_blueprint names, or NULL */
    char *blueprint_file;    /* where that was read, for places; NULL for a stored rule */
    struct peri_trigger *triggers;
    size_t trigger_count;
    bool scripted;                    /* has lua: scripts, whose errors name the lines of its file: stays as it is */
    bool slim;                        /* the next three are left out: see peri_rule_slim */
    struct peri_condition *condition; /* the ALL of `conditions`, or NULL */
    struct peri_block *actions;
    struct peri_block *on_error; /* NULL: none */
    char hash[65];               /* SHA-256 of text */
    char *text;                  /* the rule's tree as one line of flow YAML (JSON, plus tags), comments and layout
                                    gone: what waiting runs go on with after a restart (peri_rule_from_text) */
};

/* What the checker must know of operators; filled by the plugin host. */
struct peri_operator_facts {
    bool is_condition, is_action;
    const struct peri_schema *params; /* NULL: anything goes. borrow */
    const char *description;          /* may be NULL. borrow */
};

/* Does a field exist in the data of an event, as far as its declarations go? */
enum peri_field_known {
    PERI_FIELD_OPEN, /* nobody has declared what the data holds, or it may hold more */
    PERI_FIELD_THERE,
    PERI_FIELD_NOWHERE
};
#define PERI_FIELD_NEAR 80

struct peri_rule_env {
    /* False when there is no such operator. */
    bool (*operator_facts)(void *ctx, const char *id, struct peri_operator_facts *ret);
    /* All operator ids, NULL-ended, for "did you mean"; valid until the next call. */
    const char *const *(*operator_ids)(void *ctx);
    void *ctx;
    const struct peri_tz_source *tz;
    const char *timezone; /* default zone of schedules */
    bool has_location;    /* of the sun, where a trigger names none */
    double latitude, longitude;
    bool stored; /* the rule was loaded before: what it took from here may be gone */
    /* The file of the blueprint that a rule in the file `from` names as path, to be freed. PERI_EINVAL: not such a
     * path; PERI_ENOTFOUND; err says why, near (a buffer of 256) what was meant or "". NULL: there are no blueprints.
     */
    enum peri_status (*find_blueprint)(const struct peri_rule_env *env, const char *from, const char *path,
        char **ret_file, char *near, struct peri_error *err);
    const char *const *folders[2]; /* for find_blueprint: the rule folders, NULL-ended; each list may be NULL */
    void *find_ctx;                /* for those who put their own find_blueprint here */
    /* near gets the field that was meant, or "". NULL: nothing is declared. */
    enum peri_field_known (*event_field)(void *ctx, const char *type, const char *field, char near[PERI_FIELD_NEAR]);
    /* Compiles an inline script without running it: PERI_EINVAL, what is wrong with it and *ret_line (from 1). NULL:
     * scripts are not checked. */
    enum peri_status (*check_lua)(const char *text, size_t len, int *ret_line, struct peri_error *err);
};

/* The operator that `lua:` calls; no plugin can offer it. */
#define PERI_RULE_LUA "lua"

/* Of thousands of rules most do nothing most of the time: a slim one has what it takes to be heard, and its text. For a
 * rule that nobody else refers to yet; one with scripts stays as it is. */
void peri_rule_slim(struct peri_rule *rule);

/* Do its runs have a lane, even if that says nothing about who may start? */
bool peri_rule_has_lane(const struct peri_rule *rule);
struct peri_rule *peri_rule_ref(struct peri_rule *rule);
void peri_rule_unref(struct peri_rule *rule);

struct peri_rule_list {
    struct peri_rule **items; /* each one reference */
    size_t count, cap;
};
void peri_rule_list_finish(struct peri_rule_list *list);

/* Reads one file: one rule, a list under `rules:`, or several documents. Appends the rules without errors to list;
 * every finding goes to diag. PERI_EINVAL when there was an error. env may be NULL: then operators are not checked. */
enum peri_status peri_rules_load_file(const char *path, const struct peri_rule_env *env, struct peri_rule_list *list,
    struct peri_diag *diag) PERI_MUST_CHECK;
enum peri_status peri_rules_load_text(const char *file, const char *text, size_t len, const struct peri_rule_env *env,
    struct peri_rule_list *list, struct peri_diag *diag) PERI_MUST_CHECK;
/* Rebuilds a rule from its stored text (peri_rule.text). Operators are not checked again. */
enum peri_status peri_rule_from_text(const char *text, size_t len, const struct peri_rule_env *env,
    struct peri_rule **ret, struct peri_error *err) PERI_MUST_CHECK;

/* The block that a path names, or NULL. borrow. */
const struct peri_block *peri_rule_block(const struct peri_rule *rule, const char *path);

#endif
