/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule says about its runs as a whole: key, mode, max, throttle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/glob.h"
#include "lang/rule_internal.h"
#include "lang/system_event.h"

const struct rule_key peri_rule_throttle_keys[] = {
    {"once_within", KEY_KNOWN}, {"once_after", KEY_KNOWN}, {NULL, KEY_END}};

int peri_rule_word(struct rule_reader *r, const struct peri_node *node, const char *what, const char *const *words)
{
    char hint[120] = "";
    const char *text = peri_rule_text(r, node, what);
    if (!text)
        return -1;
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    const char *near = peri_nearest(text, words);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    struct peri_buf list;
    peri_buf_init(&list, 512);
    for (int i = 0; words[i]; i++)
        (void)peri_buf_printf(&list, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
    peri_rule_fault(r, node->place, "bad-value", near ? hint : NULL, "\"%s\" must be %s, not \"%.80s\"", what,
        peri_buf_text(&list), text);
    if (near)
        peri_diag_fix(r->diag, node->place, text, near);
    peri_buf_finish(&list);
    return -1;
}

static void read_key(struct rule_reader *r, const struct peri_node *node)
{
    if (!peri_rule_text(r, node, "key"))
        return;
    r->in_conditions = true; /* there is no run yet */
    r->rule->flow.key = peri_rule_template(r, node);
    r->in_conditions = false;
    if (r->rule->flow.key && peri_template_is_constant(r->rule->flow.key))
        peri_rule_suspect_key(r, node);
}

/* max and max_exceeded say something about some modes only. */
static void misplaced(struct rule_reader *r, const struct peri_node *map, const char *key, const char *hint)
{
    const struct peri_node *node = peri_rule_key_node(map, key);
    if (node)
        peri_rule_fault(r, node->place, "misplaced-key", hint, "\"%s\" goes with mode: queued and mode: parallel", key);
}

static void read_mode(struct rule_reader *r, const struct peri_node *map)
{
    static const char *const modes[] = {"single", "restart", "queued", "parallel", NULL};
    static const char *const exceeded[] = {"drop_newest", "drop_oldest", NULL};
    struct peri_flow *flow = &r->rule->flow;
    const struct peri_node *node = peri_node_get(map, "mode", NULL), *max = peri_node_get(map, "max", NULL), *n;
    int word = node ? peri_rule_word(r, node, "mode", modes) : -1;
    if (node && word < 0)
        return;
    flow->mode = (enum peri_mode)(word + 1);
    if (!node && r->head_doubtful) /* an unknown key may have been to say it */
        return;
    bool counts = flow->mode == PERI_MODE_QUEUED || flow->mode == PERI_MODE_PARALLEL;
    if (!counts) {
        misplaced(r, map, "max", "mode: queued lets runs wait for each other, mode: parallel bounds them");
        if (!max)
            misplaced(r, map, "max_exceeded", NULL);
        return;
    }
    flow->max = flow->mode == PERI_MODE_QUEUED ? PERI_RULE_QUEUE_DEFAULT : 0;
    flow->exceeded = flow->mode == PERI_MODE_QUEUED ? PERI_EXCEEDED_DROP_NEWEST : PERI_EXCEEDED_QUEUE;
    if (max)
        (void)peri_rule_int(r, max, "max", 1, PERI_RULE_LANE_MAX, &flow->max);
    if (!(n = peri_node_get(map, "max_exceeded", NULL)))
        return;
    if (flow->mode == PERI_MODE_PARALLEL && !max)
        peri_rule_fault(r, peri_rule_key_node(map, "max_exceeded")->place, "missing-key",
            "max: is how many runs may be live at once", "\"max_exceeded\" needs \"max\"");
    else if ((word = peri_rule_word(r, n, "max_exceeded", exceeded)) >= 0)
        flow->exceeded = (enum peri_exceeded)(word + 1);
}

static void read_throttle(struct rule_reader *r, const struct peri_node *node)
{
    struct peri_flow *flow = &r->rule->flow;
    if (!peri_rule_expect(r, node, PERI_NODE_MAP, "throttle") ||
        peri_rule_check_keys(r, node, peri_rule_throttle_keys, "throttle") > 0)
        return;
    const struct peri_node *within = peri_node_get(node, "once_within", NULL),
                           *after = peri_node_get(node, "once_after", NULL);
    if (!within && !after)
        peri_rule_fault(r, node->place, "missing-key", "for example: throttle: {once_within: 12h}",
            "\"throttle\" needs \"once_within\" or \"once_after\"");
    if (within)
        (void)peri_rule_duration(r, within, "once_within", 1, &flow->once_within_ms);
    if (after)
        (void)peri_rule_duration(r, after, "once_after", 1, &flow->once_after_ms);
}

const struct rule_key peri_rule_cancel_keys[] = {{"event", KEY_KNOWN}, {"match", KEY_KNOWN}, {NULL, KEY_END}};

static void read_cancel(struct rule_reader *r, const struct peri_node *node, struct peri_cancel *cancel)
{
    struct peri_error err;
    if (!peri_rule_expect(r, node, PERI_NODE_MAP, "cancel_on"))
        return;
    size_t wrong = peri_rule_check_keys(r, node, peri_rule_cancel_keys, "cancel_on");
    const struct peri_node *n = peri_node_get(node, "event", NULL), *match = peri_node_get(node, "match", NULL);
    const char *event = n ? peri_rule_text(r, n, "event") : NULL;
    if (!n && wrong == 0)
        peri_rule_fault(
            r, node->place, "missing-key", "cancel_on: [{event: order.Cancelled}]", "\"cancel_on\" needs \"event\"");
    if (event && peri_glob_check(event, &err) != PERI_OK)
        peri_rule_fault(r, n->place, "event-type", "for example order.Cancelled or order.*", "%s", err.message);
    else if (event)
        cancel->event = peri_rule_dup(r, event);
    r->rule->awaits |= peri_system_events_named(cancel->event);
    if (match && peri_pattern_compile_node(match, &cancel->match, r->diag) == PERI_ENOMEM)
        peri_rule_nomem(r);
}

static void read_cancels(struct rule_reader *r, const struct peri_node *node)
{
    struct peri_flow *flow = &r->rule->flow;
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, "cancel_on"))
        return;
    if (node->count == 0) {
        peri_rule_fault(r, node->place, "empty-list", NULL, "\"cancel_on\" needs at least one event");
        return;
    }
    flow->cancels = calloc(node->count, sizeof(*flow->cancels));
    if (!flow->cancels) {
        peri_rule_nomem(r);
        return;
    }
    for (size_t i = 0; i < node->count; i++)
        read_cancel(r, node->items[i], &flow->cancels[flow->cancel_count++]);
}

static void read_on_change(struct rule_reader *r, const struct peri_node *node)
{
    static const char *const words[] = {"finish", "restart", "cancel", NULL};
    int word = peri_rule_word(r, node, "on_change", words);
    if (word >= 0)
        r->rule->flow.on_change = (enum peri_on_change)word;
}

void peri_rule_read_flow(struct rule_reader *r, const struct peri_node *map)
{
    const struct peri_node *n;
    if ((n = peri_node_get(map, "cancel_on", NULL)))
        read_cancels(r, n);
    if ((n = peri_node_get(map, "on_change", NULL)))
        read_on_change(r, n);
    const struct peri_node *key = peri_node_get(map, "key", NULL);
    if (key)
        read_key(r, key);
    read_mode(r, map);
    const struct peri_node *throttle = peri_node_get(map, "throttle", NULL);
    if (throttle)
        read_throttle(r, throttle);
}
