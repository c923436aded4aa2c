/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/rule_graph.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"
#include "lang/index.h"
#include "lang/rule_warn.h"

#define NOBODY SIZE_MAX
#define MAX_HITS 4096

/* Rule a emits what rule b hears. */
struct edge {
    size_t to;
    const char *type;
    bool waits; /* in a run that is under way: it starts none */
};

struct node {
    const struct peri_rule *rule;
    struct peri_value *waits; /* types and globs that its runs wait for */
    struct edge *edges;
    size_t edge_count, edge_cap;
    bool reached, in_cycle;
    size_t from;    /* while searching: the rule before, NOBODY: not seen */
    const char *by; /* ... and the event between them */
    bool by_wait;
};

struct graph {
    struct node *nodes;
    size_t count;
    struct peri_index *index;
    struct peri_map *ids;      /* rule id -> its number + 1 */
    struct peri_value *events; /* type -> entry */
    size_t *queue;
    size_t now; /* the rule whose steps are walked */
    struct peri_value *emits, *computed;
    struct peri_index_hit *hits;
    bool nomem;
};

static void check(struct graph *g, enum peri_status st)
{
    g->nomem = g->nomem || st != PERI_OK;
}

static size_t number_of(const struct graph *g, const char *id)
{
    return (size_t)(uintptr_t)peri_map_get(g->ids, id) - 1;
}

static struct peri_value *put_list(struct graph *g, struct peri_value *map, const char *key)
{
    check(g, peri_map_put(map, key, peri_value_list()));
    return peri_map_at(map, key);
}

static struct peri_value *event_of(struct graph *g, const char *type)
{
    struct peri_value *e = peri_map_at(g->events, type);
    if (e)
        return e;
    e = peri_value_map();
    check(g, e ? peri_map_put(g->events, type, e) : PERI_ENOMEM);
    if (g->nomem)
        return NULL;
    check(g, peri_map_put_text(e, "type", type));
    (void)put_list(g, e, "from_plugins");
    (void)put_list(g, e, "from_rules");
    (void)put_list(g, e, "heard_by");
    (void)put_list(g, e, "awaited_by");
    (void)put_list(g, e, "cancels");
    return e;
}

/* Adds text once. */
static void add_text(struct graph *g, struct peri_value *list, const char *text)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_value_text(peri_list_at(list, i)), text))
            return;
    check(g, list ? peri_list_push(list, peri_value_str(text)) : PERI_ENOMEM);
}

/* ---- who hears a type ---- */

typedef void (*heard_fn)(struct graph *g, size_t hearer, void *arg);

static void each_hearer(struct graph *g, const char *type, heard_fn fn, void *arg)
{
    if (peri_glob_is_exact(type)) {
        size_t n = peri_index_lookup(g->index, type, g->hits, MAX_HITS);
        for (size_t i = 0; i < n && i < MAX_HITS; i++)
            fn(g, number_of(g, g->hits[i].rule->id), arg);
        return;
    }
    for (size_t i = 0; i < g->count; i++)
        for (size_t k = 0; g->nodes[i].rule->enabled && k < g->nodes[i].rule->trigger_count; k++) {
            const char *heard;
            for (size_t t = 0; (heard = peri_trigger_hears(&g->nodes[i].rule->triggers[k], t, NULL)) != NULL; t++)
                if (peri_glob_match(type, heard) || peri_streq(heard, type))
                    fn(g, i, arg);
        }
}

/* ---- sources ---- */

struct hearing {
    const char *type, *source;
};

static void heard_from_outside(struct graph *g, size_t hearer, void *arg)
{
    const struct hearing *h = arg;
    struct peri_value *e = event_of(g, h->type);
    add_text(g, peri_map_at(e, "from_plugins"), h->source);
    add_text(g, peri_map_at(e, "heard_by"), g->nodes[hearer].rule->id);
    g->nodes[hearer].reached = true;
}

static void add_edge(struct graph *g, size_t hearer, const struct peri_value *event, bool waits)
{
    struct node *from = &g->nodes[g->now];
    if (!event || !peri_vec_grow(&from->edges, &from->edge_cap, from->edge_count + 1, sizeof(*from->edges)))
        g->nomem = true;
    else
        from->edges[from->edge_count++] = (struct edge){hearer, peri_map_text(event, "type"), waits};
}

static void heard_from_rule(struct graph *g, size_t hearer, void *arg)
{
    const struct hearing *h = arg;
    struct peri_value *e = event_of(g, h->type);
    add_text(g, peri_map_at(e, "heard_by"), g->nodes[hearer].rule->id);
    add_edge(g, hearer, e, false);
}

/* ---- who hears a type in a run that is under way ---- */

static bool same_type(const char *heard, const char *sent)
{
    return peri_streq(heard, sent) || peri_glob_match(heard, sent) || peri_glob_match(sent, heard);
}

static void hear_in_runs(struct graph *g, const char *type)
{
    for (size_t i = 0; i < g->count && !g->nomem; i++) {
        const struct node *n = &g->nodes[i];
        struct peri_value *e = event_of(g, type);
        bool waits = false;
        for (size_t k = 0; n->rule->enabled && k < peri_value_count(n->waits); k++)
            waits = waits || same_type(peri_value_text(peri_list_at(n->waits, k)), type);
        if (waits) {
            add_text(g, peri_map_at(e, "awaited_by"), n->rule->id);
            add_edge(g, i, e, true);
        }
        for (size_t k = 0; n->rule->enabled && k < n->rule->flow.cancel_count; k++)
            if (same_type(n->rule->flow.cancels[k].event, type))
                add_text(g, peri_map_at(e, "cancels"), n->rule->id);
    }
}

static void note_wait(const struct peri_step *s, void *arg)
{
    struct graph *g = arg;
    if (s->kind == PERI_STEP_WAIT_FOR && s->wait_event)
        add_text(g, g->nodes[g->now].waits, s->wait_event);
}

static void note_waits(struct graph *g)
{
    for (g->now = 0; g->now < g->count && !g->nomem; g->now++) {
        struct node *n = &g->nodes[g->now];
        n->waits = peri_value_list();
        g->nomem = !n->waits;
        if (n->waits)
            peri_rule_each_step(n->rule, note_wait, g);
    }
}

static void read_step(const struct peri_step *s, void *arg)
{
    struct graph *g = arg;
    const struct peri_rule *rule = g->nodes[g->now].rule;
    if (s->kind != PERI_STEP_EMIT)
        return;
    char *type = peri_step_emits(s);
    if (!type) {
        add_text(g, g->computed, s->path);
        return;
    }
    bool again = false;
    for (size_t i = 0; i < peri_value_count(g->emits); i++)
        again = again || peri_streq(peri_value_text(peri_list_at(g->emits, i)), type);
    add_text(g, g->emits, type);
    if (rule->enabled && !again) {
        struct peri_value *e = event_of(g, type);
        add_text(g, peri_map_at(e, "from_rules"), rule->id);
        each_hearer(g, type, heard_from_rule, &(struct hearing){type, rule->id});
        hear_in_runs(g, type);
    }
    free(type);
}

static void read_rules(struct graph *g, struct peri_value *list)
{
    for (g->now = 0; g->now < g->count && !g->nomem; g->now++) {
        const struct peri_rule *rule = g->nodes[g->now].rule;
        struct peri_value *v = peri_value_map();
        check(g, peri_list_push(list, v));
        if (g->nomem)
            return;
        check(g, peri_map_put_text(v, "id", rule->id));
        check(g, peri_map_put_text(v, "name", rule->name));
        check(g, peri_map_put_bool(v, "enabled", rule->enabled));
        struct peri_value *hears = put_list(g, v, "hears");
        int64_t schedules = 0;
        for (size_t k = 0; k < rule->trigger_count; k++) {
            const char *heard;
            schedules += rule->triggers[k].kind == PERI_TRIGGER_SCHEDULE;
            for (size_t t = 0; (heard = peri_trigger_hears(&rule->triggers[k], t, NULL)) != NULL; t++)
                add_text(g, hears, heard);
        }
        check(g, peri_map_put_ref(v, "waits_for", g->nodes[g->now].waits));
        struct peri_value *cancelled = put_list(g, v, "cancelled_by");
        for (size_t k = 0; k < rule->flow.cancel_count; k++)
            add_text(g, cancelled, rule->flow.cancels[k].event);
        check(g, peri_map_put_int(v, "schedules", schedules));
        g->nodes[g->now].reached = g->nodes[g->now].reached || (rule->enabled && schedules > 0);
        g->emits = put_list(g, v, "emits");
        g->computed = put_list(g, v, "emits_computed");
        peri_rule_each_step(rule, read_step, g);
    }
}

/* What is heard, but sent by nobody that is known. */
static void add_unsent(struct graph *g, const struct peri_rule *rule, const char *heard, const char *how)
{
    bool sent = peri_map_at(g->events, heard) != NULL;
    for (void *it = peri_glob_is_exact(heard) ? NULL : peri_map_first(g->events); it && !sent;
         it = peri_map_next(g->events, it))
        sent = peri_glob_match(heard, peri_map_key(it, NULL));
    struct peri_value *e = sent ? peri_map_at(g->events, heard) : event_of(g, heard);
    if (e)
        add_text(g, peri_map_at(e, how), rule->id);
}

/* By runs. */
static void add_unsent_in_runs(struct graph *g, const struct node *n, bool exact)
{
    for (size_t k = 0; n->rule->enabled && k < peri_value_count(n->waits); k++) {
        const char *heard = peri_value_text(peri_list_at(n->waits, k));
        if (peri_glob_is_exact(heard) == exact)
            add_unsent(g, n->rule, heard, "awaited_by");
    }
    for (size_t k = 0; n->rule->enabled && k < n->rule->flow.cancel_count; k++)
        if (peri_glob_is_exact(n->rule->flow.cancels[k].event) == exact)
            add_unsent(g, n->rule, n->rule->flow.cancels[k].event, "cancels");
}

static void add_all_unsent(struct graph *g)
{
    for (int globs = 0; globs < 2; globs++) /* a glob is sent when one of the types is */
        for (size_t i = 0; i < g->count && !g->nomem; i++) {
            const struct peri_rule *rule = g->nodes[i].rule;
            for (size_t k = 0; rule->enabled && k < rule->trigger_count; k++) {
                const char *heard;
                for (size_t t = 0; (heard = peri_trigger_hears(&rule->triggers[k], t, NULL)) != NULL; t++)
                    if (peri_glob_is_exact(heard) != (globs == 1))
                        add_unsent(g, rule, heard, "heard_by");
            }
            add_unsent_in_runs(g, &g->nodes[i], globs == 0);
        }
}

/* ---- reach and cycles ---- */

static void spread(struct graph *g)
{
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < g->count; i++)
        if (g->nodes[i].reached)
            g->queue[tail++] = i;
    while (head < tail) {
        const struct node *n = &g->nodes[g->queue[head++]];
        for (size_t k = 0; k < n->edge_count; k++) {
            struct node *to = &g->nodes[n->edges[k].to];
            if (n->edges[k].waits)
                continue;
            if (!to->reached)
                g->queue[tail++] = n->edges[k].to;
            to->reached = true;
        }
    }
}

/* The shortest way from start back to it: breadth first. False when there is none. */
static bool find_cycle(struct graph *g, size_t start)
{
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < g->count; i++)
        g->nodes[i].from = NOBODY;
    g->queue[tail++] = start;
    while (head < tail) {
        size_t at = g->queue[head++];
        for (size_t k = 0; k < g->nodes[at].edge_count; k++) {
            const struct edge *e = &g->nodes[at].edges[k];
            struct node *to = &g->nodes[e->to];
            if (to->from != NOBODY)
                continue;
            to->from = at;
            to->by = e->type;
            to->by_wait = e->waits;
            if (e->to == start)
                return true;
            g->queue[tail++] = e->to;
        }
    }
    return false;
}

/* Written from start on: the chain of `from` runs backwards. */
static void put_cycle(struct graph *g, size_t start, struct peri_value *cycles)
{
    size_t length = 0;
    for (size_t at = start; length == 0 || at != start; at = g->nodes[at].from)
        g->queue[length++] = at;
    struct peri_value *cycle = peri_value_list();
    check(g, peri_list_push(cycles, cycle));
    for (size_t i = 0; i < length && !g->nomem; i++) {
        size_t at = i == 0 ? start : g->queue[length - i], next = i + 1 == length ? start : g->queue[length - i - 1];
        struct peri_value *step = peri_value_map();
        check(g, peri_list_push(cycle, step));
        check(g, step ? peri_map_put_text(step, "rule", g->nodes[at].rule->id) : PERI_ENOMEM);
        check(g, step ? peri_map_put_text(step, "event", g->nodes[next].by) : PERI_ENOMEM);
        if (g->nodes[next].by_wait)
            check(g, step ? peri_map_put_bool(step, "waits", true) : PERI_ENOMEM);
        g->nodes[at].in_cycle = true;
    }
}

static void finish_rules(struct graph *g, struct peri_value *doc)
{
    struct peri_value *rules = peri_map_at(doc, "rules"), *cycles = put_list(g, doc, "cycles"),
                      *unreached = put_list(g, doc, "unreached");
    spread(g);
    for (size_t i = 0; i < g->count && !g->nomem; i++) {
        check(g, peri_map_put_bool(peri_list_at(rules, i), "reached", g->nodes[i].reached));
        if (g->nodes[i].rule->enabled && !g->nodes[i].reached)
            add_text(g, unreached, g->nodes[i].rule->id);
        if (!g->nodes[i].in_cycle && g->nodes[i].edge_count && find_cycle(g, i))
            put_cycle(g, i, cycles);
    }
}

/* ---- the whole ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_events(struct graph *g, struct peri_value *doc)
{
    struct peri_value *list = put_list(g, doc, "events");
    size_t n = 0, count = peri_value_count(g->events);
    const char **types = calloc(count + 1, sizeof(*types));
    if (!types) {
        g->nomem = true;
        return;
    }
    for (void *it = peri_map_first(g->events); it; it = peri_map_next(g->events, it))
        types[n++] = peri_map_key(it, NULL);
    if (n > 1)
        qsort(types, n, sizeof(*types), by_text);
    for (size_t i = 0; i < n; i++)
        check(g, peri_list_push(list, peri_value_ref(peri_map_at(g->events, types[i]))));
    free(types);
}

static bool prepare(struct graph *g, struct peri_rule *const *rules, size_t count)
{
    g->nodes = calloc(count + 1, sizeof(*g->nodes));
    g->queue = calloc(count + 1, sizeof(*g->queue));
    g->hits = calloc(MAX_HITS, sizeof(*g->hits));
    g->ids = peri_map_create();
    g->events = peri_value_map();
    if (!g->nodes || !g->queue || !g->hits || !g->ids || !g->events ||
        peri_index_build(rules, count, &g->index) != PERI_OK)
        return false;
    for (size_t i = 0; i < count; i++) {
        g->nodes[i].rule = rules[i];
        if (!peri_map_set(g->ids, rules[i]->id, (void *)(uintptr_t)(i + 1), NULL))
            return false;
    }
    g->count = count;
    return true;
}

struct peri_value *peri_rule_graph(
    struct peri_rule *const *rules, size_t count, const struct peri_graph_source *sources, size_t source_count)
{
    struct graph g = {0};
    struct peri_value *doc = peri_value_map();
    g.nomem = !doc || !prepare(&g, rules, count);
    if (!g.nomem)
        note_waits(&g);
    for (size_t i = 0; i < source_count && !g.nomem; i++)
        each_hearer(&g, sources[i].type, heard_from_outside, &(struct hearing){sources[i].type, sources[i].name});
    if (!g.nomem)
        read_rules(&g, put_list(&g, doc, "rules"));
    /* A declared type that no rule hears may still be one that a rule emits. */
    for (size_t i = 0; i < source_count && !g.nomem; i++) {
        struct peri_value *e = peri_map_at(g.events, sources[i].type);
        if (e)
            add_text(&g, peri_map_at(e, "from_plugins"), sources[i].name);
    }
    add_all_unsent(&g);
    if (!g.nomem)
        put_events(&g, doc);
    if (!g.nomem)
        finish_rules(&g, doc);
    for (size_t i = 0; i < g.count; i++) {
        free(g.nodes[i].edges);
        peri_value_unref(g.nodes[i].waits);
    }
    free(g.nodes);
    free(g.queue);
    free(g.hits);
    peri_map_destroy(g.ids, NULL);
    peri_value_unref(g.events);
    peri_index_destroy(g.index);
    if (!g.nomem)
        return doc;
    peri_value_unref(doc);
    return NULL;
}
