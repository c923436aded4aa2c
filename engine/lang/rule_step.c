/* SPDX-License-Identifier: Apache-2.0 */
/* Steps and the blocks they stand in. One table says which key makes a step of which kind, and which keys go with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/duration.h"
#include "lang/glob.h"
#include "lang/rule_internal.h"

/* Everything a step may say, whatever its kind. */
const struct rule_key peri_rule_step_keys[] = {{"operator", KEY_KNOWN}, {"params", KEY_KNOWN}, {"delay", KEY_KNOWN},
    {"if", KEY_KNOWN}, {"then", KEY_KNOWN}, {"else", KEY_KNOWN}, {"choose", KEY_KNOWN}, {"for_each", KEY_KNOWN},
    {"do", KEY_KNOWN}, {"set", KEY_KNOWN}, {"emit", KEY_KNOWN}, {"stop", KEY_KNOWN}, {"id", KEY_KNOWN},
    {"as", KEY_KNOWN}, {"timeout", KEY_KNOWN}, {"retry", KEY_KNOWN}, {"idempotency_key", KEY_KNOWN},
    {"continue_on_error", KEY_KNOWN}, {"on_error", KEY_KNOWN}, {"lua", KEY_KNOWN}, {"parallel", KEY_KNOWN},
    {"wait_for", KEY_KNOWN}, {"approve", KEY_KNOWN}, {"rate_limit", KEY_KNOWN}, {"quiet_hours", KEY_KNOWN},
    {"delivery", KEY_KNOWN}, {NULL, KEY_END}};

const struct rule_key peri_rule_for_each_keys[] = {
    {"in", KEY_KNOWN}, {"as", KEY_KNOWN}, {"max", KEY_KNOWN}, {"parallel", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_rule_emit_keys[] = {{"event", KEY_KNOWN}, {"data", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_rule_choice_keys[] = {{"if", KEY_KNOWN}, {"do", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_rule_retry_keys[] = {{"initial_interval", KEY_KNOWN}, {"backoff_coefficient", KEY_KNOWN},
    {"maximum_interval", KEY_KNOWN}, {"maximum_attempts", KEY_KNOWN}, {"non_retryable", KEY_KNOWN}, {NULL, KEY_END}};

static void read_operator(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_lua(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_delay(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_if(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_choose(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_for_each(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_parallel(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_set(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_emit(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
static void read_stop(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);

/* own: keys beside the common ones. */
static const struct step_kind {
    const char *key;
    enum peri_step_kind kind;
    const char *own[9];
    void (*read)(struct rule_reader *r, const struct peri_node *map, struct peri_step *s);
} kinds[] = {
    {"operator", PERI_STEP_OPERATOR,
        {"params", "as", "timeout", "retry", "idempotency_key", "delivery", "rate_limit", "quiet_hours"},
        read_operator},
    {"lua", PERI_STEP_OPERATOR, {"as", "timeout"}, read_lua},
    {"delay", PERI_STEP_DELAY, {NULL}, read_delay},
    {"choose", PERI_STEP_CHOOSE, {"else", "timeout"}, read_choose},
    {"for_each", PERI_STEP_FOR_EACH, {"do", "timeout"}, read_for_each},
    {"parallel", PERI_STEP_PARALLEL, {"timeout"}, read_parallel},
    {"wait_for", PERI_STEP_WAIT_FOR, {"as", "timeout"}, peri_rule_read_wait_for},
    {"approve", PERI_STEP_APPROVE, {"as", "timeout"}, peri_rule_read_approve},
    {"set", PERI_STEP_SET, {NULL}, read_set},
    {"emit", PERI_STEP_EMIT, {NULL}, read_emit},
    {"stop", PERI_STEP_STOP, {NULL}, read_stop},
    {"then", PERI_STEP_IF, {"else", "timeout"}, read_if},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static const char *const common[] = {"id", "if", "continue_on_error", "on_error"};

const char *peri_rule_step_kind(size_t i, const char *const **ret_own)
{
    if (i >= KIND_COUNT)
        return NULL;
    *ret_own = kinds[i].own;
    return kinds[i].key;
}

bool peri_rule_is_step_key(const char *key)
{
    return peri_rule_find_key(peri_rule_step_keys, key) != NULL;
}

bool peri_rule_looks_like_step(const struct peri_node *map)
{
    for (size_t i = 0; map->kind == PERI_NODE_MAP && i < map->count; i++) {
        const char *key = map->pairs[i].key->text;
        if (peri_rule_is_step_key(key) && strcmp(key, "operator") != 0 && strcmp(key, "params") != 0)
            return true;
    }
    return false;
}

/* ---- which kind ---- */

static bool comes_before(const struct peri_node *a, const struct peri_node *b)
{
    return a->place.line < b->place.line || (a->place.line == b->place.line && a->place.column < b->place.column);
}

static void no_kind(struct rule_reader *r, const struct peri_node *map)
{
    const struct peri_node *key;
    if ((key = peri_rule_key_node(map, "if")))
        peri_rule_fault(
            r, key->place, "missing-key", "then: holds the steps for when it is true", "\"if\" needs \"then\"");
    else if ((key = peri_rule_key_node(map, "params")))
        peri_rule_fault(
            r, key->place, "missing-key", "name the action: operator: comms.sendSms", "\"params\" needs \"operator\"");
    else if ((key = peri_rule_key_node(map, "do")))
        peri_rule_fault(
            r, key->place, "missing-key", "for_each: {in: \"{{ a list }}\", as: item}", "\"do\" needs \"for_each\"");
    else if ((key = peri_rule_key_node(map, "else")) || (key = peri_rule_key_node(map, "then")))
        peri_rule_fault(r, key->place, "missing-key", "it belongs to the step with if: write it below, without '- '",
            "\"%s\" needs \"if\"", key->text);
    else
        peri_rule_fault(r, map->place, "missing-key", NULL,
            "a step needs one of operator, lua, delay, if, choose, for_each, parallel, wait_for, approve, set, emit, "
            "stop");
}

/* NULL, with a finding, when the step is of no kind or of two. */
static const struct step_kind *find_kind(struct rule_reader *r, const struct peri_node *map, bool keys_good)
{
    const struct step_kind *kind = NULL;
    const struct peri_node *first = NULL;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct peri_node *key = peri_rule_key_node(map, kinds[i].key);
        if (key && kind) {
            peri_rule_fault(r, (comes_before(first, key) ? key : first)->place, "conflicting-keys",
                "make them two steps", "a step does one thing, but this has both \"%s\" and \"%s\"", first->text,
                key->text);
            return NULL;
        }
        if (key) {
            kind = &kinds[i];
            first = key;
        }
    }
    if (!kind)
        no_kind(r, map);
    else if (kind->kind == PERI_STEP_IF && !peri_rule_key_node(map, "if")) {
        if (keys_good)
            peri_rule_fault(r, first->place, "missing-key", NULL, "\"then\" needs \"if\"");
        return NULL;
    }
    return kind;
}

static bool goes_with(const struct step_kind *kind, const char *key)
{
    if (strcmp(kind->key, key) == 0)
        return true;
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        if (strcmp(common[i], key) == 0)
            return true;
    for (size_t i = 0; i < sizeof(kind->own) / sizeof(kind->own[0]) && kind->own[i]; i++)
        if (strcmp(kind->own[i], key) == 0)
            return true;
    return false;
}

static void check_misplaced(struct rule_reader *r, const struct peri_node *map, const struct step_kind *kind)
{
    const char *name = kind->kind == PERI_STEP_IF ? "if" : kind->key;
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_node *key = map->pairs[i].key;
        if (!goes_with(kind, key->text))
            peri_rule_fault(r, key->place, "misplaced-key", NULL, "\"%s\" does not go with a step of the kind \"%s\"",
                key->text, name);
    }
}

/* ---- what goes with every step ---- */

static void read_retry(struct rule_reader *r, const struct peri_node *node, struct peri_retry *retry)
{
    const struct peri_node *n;
    int64_t attempts = 0;
    if (!peri_rule_expect(r, node, PERI_NODE_MAP, "retry"))
        return;
    (void)peri_rule_check_keys(r, node, peri_rule_retry_keys, "retry");
    if ((n = peri_node_get(node, "initial_interval", NULL)))
        (void)peri_rule_duration(r, n, "initial_interval", 1, &retry->initial_ms);
    if ((n = peri_node_get(node, "maximum_interval", NULL)))
        (void)peri_rule_duration(r, n, "maximum_interval", 1, &retry->maximum_ms);
    if ((n = peri_node_get(node, "maximum_attempts", NULL)) &&
        peri_rule_int(r, n, "maximum_attempts", 1, 1000, &attempts))
        retry->maximum_attempts = (int)attempts;
    if ((n = peri_node_get(node, "backoff_coefficient", NULL))) {
        bool number = n->kind == PERI_NODE_SCALAR && !n->tag && (n->type == PERI_INT || n->type == PERI_REAL);
        double d = number ? strtod(n->text, NULL) : 0;
        if (!number)
            peri_rule_wrong_type(r, n, "backoff_coefficient", "a number");
        else if (d < 1 || d > 100)
            peri_rule_fault(
                r, n->place, "out-of-range", NULL, "\"backoff_coefficient\" must be 1 to 100, is %s", n->text);
        else
            retry->coefficient = d;
    }
    n = peri_node_get(node, "non_retryable", NULL);
    if (!n || !peri_rule_expect(r, n, PERI_NODE_LIST, "non_retryable"))
        return;
    retry->non_retryable = calloc(n->count + 1, sizeof(char *));
    if (!retry->non_retryable) {
        peri_rule_nomem(r);
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        const char *code = peri_rule_text(r, n->items[i], "non_retryable");
        if (code)
            retry->non_retryable[retry->non_retryable_count++] = peri_rule_dup(r, code);
    }
}

/* A block below the step, its names forgotten afterwards when it may not have run as a whole. */
static struct peri_block *read_below(
    struct rule_reader *r, const struct peri_node *node, const char *key, const struct peri_step *s)
{
    char *path = peri_rule_path(r, "%s.%s", s->path, key);
    struct peri_block *block = path ? peri_rule_read_block(r, node, path, key) : NULL;
    free(path);
    return block;
}

static void read_on_error(struct rule_reader *r, const struct peri_node *node, struct peri_step *s)
{
    bool outer = r->in_on_error;
    size_t bound = r->bound.count;
    r->in_on_error = true;
    s->on_error = read_below(r, node, "on_error", s);
    r->in_on_error = outer;
    r->bound.count = bound;
}

static void read_id(struct rule_reader *r, const struct peri_node *node, struct peri_step *s)
{
    const char *id = peri_rule_text(r, node, "id");
    if (!id || !peri_rule_names_check(r, node, "the id of a step"))
        return;
    size_t same = 0;
    for (size_t i = 0; i < r->ids.count; i++)
        same += strcmp(r->ids.items[i], id) == 0 && r->ids.items[i] != node->text;
    bool first = true;
    for (size_t i = 0; i < r->ids.count && first; i++) {
        if (r->ids.items[i] == node->text)
            break;
        first = strcmp(r->ids.items[i], id) != 0;
    }
    if (same > 0 && !first)
        peri_rule_fault(
            r, node->place, "duplicate-id", "give it another id", "another step of this rule has the id \"%s\"", id);
    s->id = peri_rule_dup(r, id);
}

static void read_common(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *n;
    if ((n = peri_node_get(map, "id", NULL)))
        read_id(r, n, s);
    if ((n = peri_node_get(map, "if", NULL))) {
        char *path = peri_rule_path(r, "%s.if", s->path);
        s->guard = path ? peri_rule_read_condition(r, n, path) : NULL;
        free(path);
    }
    if ((n = peri_node_get(map, "continue_on_error", NULL)))
        (void)peri_rule_bool(r, n, "continue_on_error", &s->continue_on_error);
    if ((n = peri_node_get(map, "timeout", NULL)))
        (void)peri_rule_duration(r, n, "timeout", 1, &s->timeout_ms);
}

/* ---- the kinds ---- */

static void read_operator(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *id = peri_node_get(map, "operator", NULL), *params = peri_node_get(map, "params", NULL), *n;
    const char *name = peri_rule_text(r, id, "operator");
    bool good = !params || peri_rule_expect(r, params, PERI_NODE_MAP, "params");
    if (name) {
        s->operator_id = peri_rule_dup(r, name);
        peri_rule_check_operator(r, id, params, false);
    }
    if (params && good)
        s->params = peri_rule_template(r, params);
    if ((n = peri_node_get(map, "retry", NULL)))
        read_retry(r, n, &s->retry);
    if ((n = peri_node_get(map, "idempotency_key", NULL)) && peri_rule_text(r, n, "idempotency_key"))
        s->idempotency_key = peri_rule_template(r, n);
    peri_rule_read_pace(r, map, s);
}

static void read_lua(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    char *where = peri_rule_path(r, "%s.lua", s->path);
    s->operator_id = peri_rule_dup(r, PERI_RULE_LUA);
    s->params = where ? peri_rule_read_lua(r, peri_node_get(map, "lua", NULL), where, false) : NULL;
    free(where);
}

static void read_delay(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    s->delay = peri_rule_read_length(r, peri_node_get(map, "delay", NULL), "delay");
}

static void read_if(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *els = peri_node_get(map, "else", NULL);
    s->then = read_below(r, peri_node_get(map, "then", NULL), "then", s);
    if (els)
        s->els = read_below(r, els, "else", s);
}

static void read_choice(struct rule_reader *r, const struct peri_node *node, struct peri_step *s, size_t i)
{
    struct peri_choice *choice = &s->choices[s->choice_count++];
    if (!peri_rule_expect(r, node, PERI_NODE_MAP, "choose") ||
        peri_rule_check_keys(r, node, peri_rule_choice_keys, "a choice") > 0)
        return;
    const struct peri_node *when = peri_node_get(node, "if", NULL), *body = peri_node_get(node, "do", NULL);
    if (!when || !body) {
        peri_rule_fault(r, node->place, "missing-key", "- choose: [{if: \"{{ … }}\", do: […]}]",
            "a choice needs \"%s\"", when ? "do" : "if");
        return;
    }
    char *path = peri_rule_path(r, "%s.choose[%zu].if", s->path, i), key[40];
    choice->when = path ? peri_rule_read_condition(r, when, path) : NULL;
    free(path);
    snprintf(key, sizeof(key), "choose[%zu].do", i);
    choice->then = read_below(r, body, key, s);
}

static void read_choose(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *list = peri_node_get(map, "choose", NULL), *els = peri_node_get(map, "else", NULL);
    if (!peri_rule_expect(r, list, PERI_NODE_LIST, "choose"))
        return;
    if (list->count == 0) {
        peri_rule_fault(r, list->place, "empty-list", NULL, "\"choose\" needs at least one choice");
        return;
    }
    s->choices = calloc(list->count, sizeof(*s->choices));
    if (!s->choices) {
        peri_rule_nomem(r);
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        read_choice(r, list->items[i], s, i);
    if (els)
        s->els = read_below(r, els, "else", s);
}

/* The item's name; NULL when wrong. */
static const char *read_item_name(struct rule_reader *r, const struct peri_node *loop, bool keys_good)
{
    const struct peri_node *as = peri_node_get(loop, "as", NULL);
    if (!as && !keys_good)
        return NULL;
    if (!as) {
        peri_rule_fault(
            r, loop->place, "missing-key", "as: names the item for the steps in do:", "\"for_each\" needs \"as\"");
        return NULL;
    }
    const char *name = peri_rule_text(r, as, "as");
    if (!name || !peri_rule_names_check(r, as, "a name"))
        return NULL;
    if (peri_rule_names_has(&r->bound, name, strlen(name))) {
        peri_rule_fault(r, as->place, "duplicate-name", "choose another name", "\"%s\" is bound already", name);
        return NULL;
    }
    return name;
}

static void read_for_each(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *loop = peri_node_get(map, "for_each", NULL), *body = peri_node_get(map, "do", NULL), *n;
    s->max = PERI_RULE_FOR_EACH_DEFAULT;
    if (!peri_rule_expect(r, loop, PERI_NODE_MAP, "for_each"))
        return;
    bool keys_good = peri_rule_check_keys(r, loop, peri_rule_for_each_keys, "for_each") == 0;
    n = peri_node_get(loop, "in", NULL);
    if (!n && !keys_good)
        s->in = NULL; /* the unknown key may be it */
    else if (!n)
        peri_rule_fault(r, loop->place, "missing-key", "in: is the list: {in: \"{{ event.items }}\", as: item}",
            "\"for_each\" needs \"in\"");
    else if (n->kind == PERI_NODE_MAP ||
             (n->kind == PERI_NODE_SCALAR &&
                 (n->type != PERI_STRING || !peri_template_is_text_dynamic(n->text, n->len))))
        peri_rule_wrong_type(r, n, "in", "a list or a template that gives one");
    else
        s->in = peri_rule_template(r, n);
    if ((n = peri_node_get(loop, "max", NULL)))
        (void)peri_rule_int(r, n, "max", 1, PERI_RULE_FOR_EACH_MAX, &s->max);
    if ((n = peri_node_get(loop, "parallel", NULL)))
        (void)peri_rule_int(r, n, "parallel", 1, PERI_RULE_PARALLEL_MAX, &s->parallel);
    const char *name = read_item_name(r, loop, keys_good);
    if (!body && r->params_doubtful)
        return;
    if (!body) {
        const struct peri_node *key = peri_rule_key_node(map, "for_each");
        peri_rule_fault(r, key->place, "missing-key", "do: stands beside for_each and holds the steps",
            "\"for_each\" needs \"do\"");
        return;
    }
    size_t bound = r->bound.count;
    bool doubtful = r->names_doubtful;
    if (name) {
        s->as = peri_rule_dup(r, name);
        peri_rule_names_bind(r, name);
    } else {
        r->names_doubtful = true;
    }
    s->body = read_below(r, body, "do", s);
    r->bound.count = bound;
    r->names_doubtful = doubtful;
}

/* A branch is a list of steps, or one step alone. */
static struct peri_block *read_branch(struct rule_reader *r, const struct peri_node *node, const char *path)
{
    struct peri_node *const one[] = {(struct peri_node *)(uintptr_t)node};
    struct peri_node alone = {
        .kind = PERI_NODE_LIST, .place = node->place, .items = (struct peri_node **)(uintptr_t)one};
    alone.count = 1;
    return peri_rule_read_block(r, node->kind == PERI_NODE_MAP ? &alone : node, path, "a branch of parallel");
}

/* What one branch binds is no name in the others, but one behind them. */
static void read_parallel(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *list = peri_node_get(map, "parallel", NULL);
    struct rule_names later = {0};
    if (!peri_rule_expect(r, list, PERI_NODE_LIST, "parallel"))
        return;
    if (list->count == 0 || list->count > PERI_RULE_PARALLEL_MAX) {
        peri_rule_fault(r, list->place, list->count ? "too-many" : "empty-list",
            "parallel: [{operator: a}, [{operator: b}, {operator: c}]]",
            list->count ? "\"parallel\" has more than %d branches" : "\"parallel\" needs at least one branch",
            PERI_RULE_PARALLEL_MAX);
        return;
    }
    s->branches = calloc(list->count, sizeof(struct peri_block *));
    if (!s->branches) {
        peri_rule_nomem(r);
        return;
    }
    for (size_t i = 0; i < list->count && r->failed == PERI_OK; i++) {
        size_t bound = r->bound.count;
        char *path = peri_rule_path(r, "%s.parallel[%zu]", s->path, i);
        struct peri_block *block = path ? read_branch(r, list->items[i], path) : NULL;
        free(path);
        if (block)
            s->branches[s->branch_count++] = block;
        for (size_t k = bound; k < r->bound.count; k++)
            if (!peri_rule_names_push(&later, r->bound.items[k]))
                peri_rule_nomem(r);
        r->bound.count = bound;
    }
    for (size_t k = 0; k < later.count; k++)
        peri_rule_names_bind(r, later.items[k]);
    free(later.items);
}

static void read_set(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *set = peri_node_get(map, "set", NULL);
    if (!peri_rule_expect(r, set, PERI_NODE_MAP, "set"))
        return;
    if (set->count == 0) {
        peri_rule_fault(r, set->place, "empty-list", "set: {name: value}", "\"set\" names nothing");
        return;
    }
    s->bindings = calloc(set->count, sizeof(*s->bindings));
    if (!s->bindings) {
        peri_rule_nomem(r);
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        struct peri_binding *b = &s->bindings[s->binding_count++];
        if (peri_rule_names_check(r, set->pairs[i].key, "a variable"))
            b->name = peri_rule_dup(r, set->pairs[i].key->text);
        b->value = peri_rule_template(r, set->pairs[i].value);
    }
}

static void read_emit(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *emit = peri_node_get(map, "emit", NULL);
    if (!peri_rule_expect(r, emit, PERI_NODE_MAP, "emit"))
        return;
    size_t wrong = peri_rule_check_keys(r, emit, peri_rule_emit_keys, "emit");
    const struct peri_node *event = peri_node_get(emit, "event", NULL), *data = peri_node_get(emit, "data", NULL);
    if (!event && wrong == 0)
        peri_rule_fault(
            r, emit->place, "missing-key", "emit: {event: my.Event, data: {…}}", "\"emit\" needs \"event\"");
    if (event && peri_rule_text(r, event, "event")) {
        struct peri_error err;
        if (!peri_template_is_text_dynamic(event->text, event->len) &&
            peri_event_type_check(event->text, &err) != PERI_OK)
            peri_rule_fault(r, event->place, "event-type", NULL, "%s", err.message);
        else
            s->emit_event = peri_rule_template(r, event);
    }
    if (data)
        s->emit_data = peri_rule_template(r, data);
}

static void read_stop(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *n = peri_node_get(map, "stop", NULL);
    bool yes =
        n->kind == PERI_NODE_SCALAR && !n->tag && n->type == PERI_BOOL && (n->text[0] == 't' || n->text[0] == 'T');
    if (yes)
        return;
    if (n->kind != PERI_NODE_SCALAR || n->tag || n->type != PERI_STRING) {
        peri_rule_fault(r, n->place, "wrong-type", "leave the step out if it is not wanted",
            "\"stop\" must be true or a reason, is %s", n->type == PERI_BOOL ? n->text : peri_node_describe(n));
        return;
    }
    s->reason = peri_rule_template(r, n);
}

/* ---- a step and a block ---- */

static void bind_result(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *as = peri_node_get(map, "as", NULL);
    bool heard = s->kind == PERI_STEP_WAIT_FOR;
    if (!as || (s->kind != PERI_STEP_OPERATOR && s->kind != PERI_STEP_APPROVE && !heard))
        return;
    if (peri_rule_text(r, as, "as") && peri_rule_names_check(r, as, "a name")) {
        s->as = peri_rule_dup(r, as->text);
        if (!heard)
            peri_rule_names_bind(r, as->text);
    } else {
        r->names_doubtful = true;
    }
}

static void read_step(struct rule_reader *r, const struct peri_node *node, struct peri_step *s)
{
    if (!peri_rule_expect(r, node, PERI_NODE_MAP, "a step"))
        return;
    const struct peri_node *loop = peri_node_get(node, "for_each", NULL);
    if (loop && peri_node_get(node, "in", NULL) && !peri_rule_expect(r, loop, PERI_NODE_MAP, "for_each")) {
        r->names_doubtful = true; /* what is in it stands beside it */
        return;
    }
    if (++r->steps == PERI_RULE_MAX_STEPS + 1)
        peri_rule_fault(r, node->place, "too-many", NULL, "more than %d steps in one rule", PERI_RULE_MAX_STEPS);
    bool keys_good = peri_rule_check_keys(r, node, peri_rule_step_keys, "a step") == 0;
    bool has_kind = false;
    r->names_doubtful = r->names_doubtful || !keys_good;
    r->params_doubtful = !keys_good;
    for (size_t i = 0; i < KIND_COUNT; i++)
        has_kind = has_kind || peri_rule_key_node(node, kinds[i].key);
    if (!keys_good && !has_kind)
        return; /* the unknown key was to be the kind */
    const struct step_kind *kind = find_kind(r, node, keys_good);
    if (!kind) {
        r->names_doubtful = r->names_doubtful || peri_rule_key_node(node, "as");
        return;
    }
    s->kind = kind->kind;
    if (keys_good)
        check_misplaced(r, node, kind);
    read_common(r, node, s);
    kind->read(r, node, s);
    const struct peri_node *on_error = peri_node_get(node, "on_error", NULL);
    if (on_error)
        read_on_error(r, on_error, s);
    bind_result(r, node, s);
}

static struct peri_step *create_step(struct rule_reader *r, const struct peri_node *node, const char *block, size_t i)
{
    struct peri_step *s = calloc(1, sizeof(*s));
    if (!s) {
        peri_rule_nomem(r);
        return NULL;
    }
    s->place = peri_rule_place(r, node);
    s->path = peri_rule_path(r, "%s[%zu]", block, i);
    s->retry = (struct peri_retry){.initial_ms = 1000, .maximum_ms = 300000, .coefficient = 2, .maximum_attempts = 8};
    if (s->path)
        return s;
    peri_step_destroy(s);
    return NULL;
}

struct peri_block *peri_rule_read_block(
    struct rule_reader *r, const struct peri_node *node, const char *path, const char *what)
{
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, what))
        return NULL;
    if (node->count == 0) {
        peri_rule_fault(r, node->place, "empty-list", NULL, "\"%s\" needs at least one step", what);
        return NULL;
    }
    if (r->nesting >= PERI_RULE_MAX_NESTING) {
        peri_rule_fault(r, node->place, "too-deep", NULL, "more than %d levels of nesting", PERI_RULE_MAX_NESTING);
        return NULL;
    }
    struct peri_block *block = calloc(1, sizeof(*block));
    if (block) {
        block->path = peri_rule_dup(r, path);
        block->steps = calloc(node->count, sizeof(struct peri_step *));
    }
    if (!block || !block->path || !block->steps) {
        peri_rule_nomem(r);
        peri_block_destroy(block);
        return NULL;
    }
    r->nesting++;
    for (size_t i = 0; i < node->count && r->steps <= PERI_RULE_MAX_STEPS && r->failed == PERI_OK; i++) {
        struct peri_step *s = create_step(r, node->items[i], path, i);
        if (!s)
            break;
        block->steps[block->count++] = s;
        read_step(r, node->items[i], s);
    }
    r->nesting--;
    return block;
}
