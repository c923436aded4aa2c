/* SPDX-License-Identifier: Apache-2.0 */
/* What a step says about its calls beside their parameters: may they be repeated, how often and when may they leave. */
#include <stdio.h>
#include <stdlib.h>

#include "lang/foreign.h"
#include "lang/rule_internal.h"

const struct rule_key peri_rule_rate_limit_keys[] = {
    {"limit", KEY_KNOWN}, {"period", KEY_KNOWN}, {"key", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_rule_quiet_hours_keys[] = {
    {"from", KEY_KNOWN}, {"to", KEY_KNOWN}, {"timezone", KEY_KNOWN}, {"policy", KEY_KNOWN}, {NULL, KEY_END}};

static void read_delivery(struct rule_reader *r, const struct peri_node *node, struct peri_step *s)
{
    static const char *const classes[] = {"once", "repeat", NULL};
    int word = peri_rule_word(r, node, "delivery", classes);
    if (word >= 0)
        s->delivery = (enum peri_step_delivery)(word + PERI_STEP_DELIVERY_ONCE);
}

/* True with the node; else a finding that the mapping needs the key. */
static const struct peri_node *required(
    struct rule_reader *r, const struct peri_node *map, const char *key, const char *what, const char *hint)
{
    const struct peri_node *n = peri_node_get(map, key, NULL);
    if (!n)
        peri_rule_fault(r, map->place, "missing-key", hint, "\"%s\" needs \"%s\"", what, key);
    return n;
}

static void read_rate(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    static const char hint[] = "for example: rate_limit: {limit: 10, period: 1m}";
    const struct peri_node *n;
    struct peri_rate *rate = calloc(1, sizeof(*rate));
    if (!rate) {
        peri_rule_nomem(r);
        return;
    }
    s->rate = rate;
    if (!peri_rule_expect(r, map, PERI_NODE_MAP, "rate_limit") ||
        peri_rule_check_keys(r, map, peri_rule_rate_limit_keys, "rate_limit") > 0)
        return;
    if ((n = required(r, map, "limit", "rate_limit", hint)))
        (void)peri_rule_int(r, n, "limit", 1, PERI_RATE_LIMIT_MAX, &rate->limit);
    if ((n = required(r, map, "period", "rate_limit", hint)) &&
        peri_rule_duration(r, n, "period", 1, &rate->period_ms) && rate->period_ms > PERI_RATE_PERIOD_MAX_MS)
        peri_rule_fault(r, n->place, "out-of-range", NULL, "\"period\" must be at most 366 days");
    if ((n = peri_node_get(map, "key", NULL)) && peri_rule_text(r, n, "key"))
        rate->key = peri_rule_template(r, n);
}

/* "HH:MM" */
static void read_minute(struct rule_reader *r, const struct peri_node *node, const char *what, int *ret_minute)
{
    if (node->kind == PERI_NODE_SCALAR && node->type == PERI_INT && node->len <= 2 && !node->tag) {
        char hint[40];
        snprintf(hint, sizeof(hint), "write \"%s%s:00\"", node->len < 2 ? "0" : "", node->text);
        peri_rule_fault(r, node->place, "bad-value", hint, "\"%s\" must be a time of day", what);
        return;
    }
    const char *t = peri_rule_text(r, node, what);
    char clock[6], hint[40] = "write a time of day such as 22:00";
    if (!t)
        return;
    if (peri_foreign_clock(t, clock))
        snprintf(hint, sizeof(hint), "write \"%s\"", clock);
    bool good = node->len == 5 && t[2] == ':';
    for (int i = 0; good && i < 5; i++)
        good = i == 2 || (t[i] >= '0' && t[i] <= '9');
    int hour = good ? (t[0] - '0') * 10 + t[1] - '0' : 24, minute = good ? (t[3] - '0') * 10 + t[4] - '0' : 60;
    if (hour > 23 || minute > 59)
        peri_rule_fault(r, node->place, "bad-value", hint, "\"%s\" must be a time of day", what);
    else
        *ret_minute = hour * 60 + minute;
}

/* A zone that is no template is looked up now. */
static void check_zone(struct rule_reader *r, const struct peri_node *node)
{
    struct peri_tz *tz = NULL;
    struct peri_error err;
    if (peri_template_is_text_dynamic(node->text, node->len))
        return;
    enum peri_status st = peri_tz_load(r->env ? r->env->tz : NULL, node->text, &tz, &err);
    if (st == PERI_ENOMEM)
        peri_rule_nomem(r);
    else if (st != PERI_OK)
        peri_rule_fault(r, node->place, "timezone", "use a name such as Europe/Berlin or UTC", "%s", err.message);
    peri_tz_destroy(tz);
}

static void read_quiet(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    static const char *const policies[] = {"defer", "drop", NULL};
    static const char hint[] = "for example: quiet_hours: {from: \"22:00\", to: \"07:00\"}";
    const struct peri_node *n, *to;
    struct peri_quiet *quiet = calloc(1, sizeof(*quiet));
    if (!quiet) {
        peri_rule_nomem(r);
        return;
    }
    s->quiet = quiet;
    quiet->zone = peri_rule_dup(r, r->env && r->env->timezone ? r->env->timezone : "UTC");
    if (!peri_rule_expect(r, map, PERI_NODE_MAP, "quiet_hours") ||
        peri_rule_check_keys(r, map, peri_rule_quiet_hours_keys, "quiet_hours") > 0)
        return;
    quiet->from = quiet->to = -1;
    if ((n = required(r, map, "from", "quiet_hours", hint)))
        read_minute(r, n, "from", &quiet->from);
    if ((to = required(r, map, "to", "quiet_hours", hint)))
        read_minute(r, to, "to", &quiet->to);
    if (quiet->from >= 0 && quiet->from == quiet->to)
        peri_rule_fault(
            r, to->place, "bad-value", NULL, "\"from\" and \"to\" are the same time: nothing could ever leave");
    if ((n = peri_node_get(map, "policy", NULL)))
        quiet->drop = peri_rule_word(r, n, "policy", policies) == 1;
    if ((n = peri_node_get(map, "timezone", NULL)) && peri_rule_text(r, n, "timezone")) {
        check_zone(r, n);
        quiet->timezone = peri_rule_template(r, n);
    }
}

void peri_rule_read_pace(struct rule_reader *r, const struct peri_node *map, struct peri_step *s)
{
    const struct peri_node *n;
    if ((n = peri_node_get(map, "delivery", NULL)))
        read_delivery(r, n, s);
    if ((n = peri_node_get(map, "rate_limit", NULL)))
        read_rate(r, n, s);
    if ((n = peri_node_get(map, "quiet_hours", NULL)))
        read_quiet(r, n, s);
}

void peri_rule_pace_destroy(struct peri_step *s)
{
    if (s->rate)
        peri_template_destroy(s->rate->key);
    free(s->rate);
    if (s->quiet) {
        peri_template_destroy(s->quiet->timezone);
        free(s->quiet->zone);
    }
    free(s->quiet);
}
