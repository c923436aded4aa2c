/* SPDX-License-Identifier: Apache-2.0 */
/* Relationships: who may run beside whom, and who is loaded before whom. "Goes before" is a graph over everything that
 * waits to be loaded; priorities only decide among those that nothing holds back. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "plugin/host_internal.h"

#define PATH_MAX_BYTES 600

static bool waits(const struct peri_plugin *p)
{
    return p->state == PERI_PLUGIN_LOADING && !p->sent;
}

static bool under_way(const struct peri_plugin *p)
{
    return p->state == PERI_PLUGIN_LOADING || p->state == PERI_PLUGIN_READY;
}

/* The version that will be there: a new one that is being loaded, else the one that is. */
static struct peri_plugin *expected(struct peri_host *host, const char *id, const struct peri_plugin *asking)
{
    struct peri_plugin *found = NULL;
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_plugin *p = host->plugins[i];
        if (p == asking || strcmp(p->id, id))
            continue;
        if (p->candidate && under_way(p))
            return p;
        if (!p->candidate)
            found = p;
    }
    return found;
}

static bool in_range(const struct peri_relation *rel, const struct peri_plugin *p)
{
    return !rel->range || (p->manifest && peri_range_has(rel->range, p->manifest->version));
}

static const char *range_of(const struct peri_relation *rel)
{
    return rel->range ? peri_range_text(rel->range) : "*";
}

/* --- may it run? --- */

static enum peri_status check_required(
    struct peri_host *host, const struct peri_plugin *p, const struct peri_relation *rel, struct peri_error *err)
{
    const struct peri_plugin *other = expected(host, rel->id, p);
    if (!other)
        return peri_error_set(err, PERI_ESTATE, "relationship.missing",
            "it requires the plugin %s %s, which is not there; put it into a folder of plugin_path and approve it",
            rel->id, range_of(rel));
    if (!in_range(rel, other))
        return peri_error_set(err, PERI_ESTATE, "relationship.version",
            "it requires %s %s, but %s is there; install a version in that range", rel->id, range_of(rel),
            other->manifest ? other->manifest->version : "a broken one");
    if (!under_way(other) && other->state != PERI_PLUGIN_ACTIVE)
        return peri_error_set(err, PERI_ESTATE, "relationship.inactive",
            "it requires the plugin %s, which is %s; see `perigee plugins show %s`", rel->id,
            peri_plugin_state_name(other->state), rel->id);
    return PERI_OK;
}

enum peri_status peri_plugin_relations(struct peri_host *host, const struct peri_plugin *p, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; !st && p->manifest && i < p->manifest->relation_count; i++) {
        const struct peri_relation *rel = &p->manifest->relations[i];
        const struct peri_plugin *other = expected(host, rel->id, p);
        bool runs = other && (under_way(other) || other->state == PERI_PLUGIN_ACTIVE);
        if (rel->kind == PERI_RELATION_REQUIRES)
            st = check_required(host, p, rel, err);
        else if (rel->kind == PERI_RELATION_OPTIONAL && runs && !in_range(rel, other))
            st = peri_error_set(err, PERI_ESTATE, "relationship.version",
                "it works with %s %s, but %s is there; install a version in that range, or disable that plugin",
                rel->id, range_of(rel), other->manifest->version);
        else if (rel->kind == PERI_RELATION_CONFLICTS && runs && in_range(rel, other))
            st = peri_error_set(err, PERI_ESTATE, "relationship.conflict",
                "it can not run beside %s %s; disable one of the two: `perigee plugins disable %s`", rel->id,
                other->manifest->version, rel->id);
    }
    return st;
}

/* --- in which order? --- */

struct edge {
    size_t from, to; /* from is loaded before to */
};

struct graph {
    struct peri_plugin **nodes; /* what waits; borrowed */
    size_t count;
    struct edge *edges;
    size_t edge_count, edge_cap;
};

static size_t node_of(const struct graph *g, const struct peri_plugin *p)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->nodes[i] == p)
            return i;
    return g->count;
}

static bool add_edges(struct peri_host *host, struct graph *g, size_t node)
{
    const struct peri_manifest *m = g->nodes[node]->manifest;
    for (size_t i = 0; i < m->relation_count; i++) {
        const struct peri_relation *rel = &m->relations[i];
        const struct peri_plugin *other = expected(host, rel->id, g->nodes[node]);
        size_t k = other ? node_of(g, other) : g->count;
        if (k == g->count || rel->kind == PERI_RELATION_CONFLICTS || !in_range(rel, other))
            continue;
        if (!peri_vec_grow(&g->edges, &g->edge_cap, g->edge_count + 1, sizeof(*g->edges)))
            return false;
        g->edges[g->edge_count++] = rel->kind == PERI_RELATION_BEFORE ? (struct edge){node, k} : (struct edge){k, node};
    }
    return true;
}

static bool build(struct peri_host *host, struct graph *g)
{
    *g = (struct graph){.nodes = calloc(host->plugin_count + 1, sizeof(*g->nodes))};
    if (!g->nodes)
        return false;
    for (size_t i = 0; i < host->plugin_count; i++)
        if (waits(host->plugins[i]))
            g->nodes[g->count++] = host->plugins[i];
    for (size_t i = 0; i < g->count; i++)
        if (!add_edges(host, g, i))
            return false;
    return true;
}

static void drop(struct graph *g)
{
    free(g->nodes);
    free(g->edges);
}

/* Ranks all that can be ordered; what is left in `left` is on a cycle, or behind one. */
static size_t rank_all(struct graph *g, bool *left)
{
    size_t ranked = 0;
    for (size_t i = 0; i < g->count; i++)
        left[i] = true;
    for (;;) {
        size_t best = g->count;
        for (size_t i = 0; i < g->count; i++) {
            bool free_now =
                left[i] && (best == g->count || g->nodes[i]->manifest->priority < g->nodes[best]->manifest->priority);
            for (size_t e = 0; free_now && e < g->edge_count; e++)
                free_now = g->edges[e].to != i || !left[g->edges[e].from];
            if (free_now)
                best = i;
        }
        if (best == g->count)
            return g->count - ranked;
        g->nodes[best]->rank = ranked++;
        left[best] = false;
    }
}

/* Among what is left everything has something before it that is left too: walking that way must come round. */
static size_t walk_back(const struct graph *g, const bool *left, size_t node)
{
    for (size_t e = 0; e < g->edge_count; e++)
        if (g->edges[e].to == node && left[g->edges[e].from])
            return g->edges[e].from;
    return g->count;
}

static void block(struct peri_host *host, struct peri_plugin *p, const struct peri_error *err,
    void (*fn)(struct peri_host *host, struct peri_plugin *blocked))
{
    peri_plugin_to(p, PERI_PLUGIN_BLOCKED);
    p->error = *err;
    fn(host, p);
}

static void block_cycle(struct peri_host *host, const struct graph *g, const bool *left,
    void (*fn)(struct peri_host *host, struct peri_plugin *blocked))
{
    size_t at = 0;
    struct peri_buf path;
    while (!left[at])
        at++;
    for (size_t i = 0; i < g->count; i++) /* from behind a cycle onto it */
        at = walk_back(g, left, at);
    size_t start = at;
    for (size_t i = walk_back(g, left, at); i != at; i = walk_back(g, left, i))
        start = i < start ? i : start;
    at = start;
    peri_buf_init(&path, PATH_MAX_BYTES);
    do {
        peri_buf_printf(&path, "%s -> ", g->nodes[at]->id);
        at = walk_back(g, left, at);
    } while (at != start);
    peri_buf_puts(&path, g->nodes[start]->id);
    struct peri_error err = {0};
    peri_error_set(&err, PERI_ESTATE, "relationship.cycle",
        "each waits for the next: %s; remove one of these relationships", path.failed ? "..." : peri_buf_text(&path));
    peri_buf_finish(&path);
    do {
        struct peri_plugin *p = g->nodes[at];
        at = walk_back(g, left, at);
        block(host, p, &err, fn);
    } while (at != start);
}

/* True when somebody was blocked: that may be the reason for the next. */
static bool block_some(struct peri_host *host, void (*fn)(struct peri_host *host, struct peri_plugin *blocked))
{
    bool any = false;
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_error err = {0};
        if (waits(host->plugins[i]) && peri_plugin_relations(host, host->plugins[i], &err)) {
            block(host, host->plugins[i], &err, fn);
            any = true;
        }
    }
    return any;
}

void peri_host_order(struct peri_host *host, void (*fn)(struct peri_host *host, struct peri_plugin *blocked))
{
    bool again = true;
    while (again) {
        struct graph g;
        while (block_some(host, fn))
            ;
        bool *left = calloc(host->plugin_count + 1, sizeof(*left));
        again = build(host, &g) && left && rank_all(&g, left) > 0;
        if (again)
            block_cycle(host, &g, left, fn);
        free(left);
        drop(&g);
    }
}

/* Does something that p is loaded after still wait or run its init? */
static bool held_back(struct peri_host *host, const struct peri_plugin *p)
{
    for (size_t i = 0; i < host->plugin_count; i++) {
        const struct peri_plugin *other = host->plugins[i];
        if (other == p || !under_way(other) || !other->manifest)
            continue;
        for (size_t k = 0; k < p->manifest->relation_count; k++) {
            const struct peri_relation *rel = &p->manifest->relations[k];
            if (rel->kind != PERI_RELATION_BEFORE && rel->kind != PERI_RELATION_CONFLICTS &&
                !strcmp(rel->id, other->id) && in_range(rel, other))
                return true;
        }
        for (size_t k = 0; k < other->manifest->relation_count; k++) {
            const struct peri_relation *rel = &other->manifest->relations[k];
            if (rel->kind == PERI_RELATION_BEFORE && !strcmp(rel->id, p->id) && in_range(rel, p))
                return true;
        }
    }
    return false;
}

struct peri_plugin *peri_host_next(
    struct peri_host *host, void (*fn)(struct peri_host *host, struct peri_plugin *blocked))
{
    for (;;) {
        struct peri_plugin *best = NULL;
        struct peri_error err = {0};
        for (size_t i = 0; i < host->plugin_count; i++) {
            struct peri_plugin *p = host->plugins[i];
            if (waits(p) && (!best || p->rank < best->rank) && !held_back(host, p))
                best = p;
        }
        if (!best || !peri_plugin_relations(host, best, &err))
            return best;
        block(host, best, &err, fn);
    }
}
