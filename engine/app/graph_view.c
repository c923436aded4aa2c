/* SPDX-License-Identifier: Apache-2.0 */
#include "app/graph_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/rule_graph.h"
#include "lang/system_event.h"

struct peri_value *peri_graph_of(struct peri_host *host, const struct peri_rule_list *rules)
{
    struct peri_value *plugins = NULL, *graph = NULL;
    struct peri_graph_source *sources = NULL;
    size_t n = 0, cap = 0;
    bool good = peri_host_plugins(host, &plugins) == PERI_OK;
    for (size_t i = 0; good && i < peri_value_count(plugins); i++) {
        const struct peri_value *p = peri_list_at(plugins, i), *events = peri_map_at(p, "events");
        for (size_t k = 0; good && k < peri_value_count(events); k++) {
            const struct peri_value *e = peri_list_at(events, k);
            if (peri_streq(peri_map_text(e, "direction"), "subscribe"))
                continue;
            good = peri_vec_grow(&sources, &cap, n + 1, sizeof(*sources));
            if (good)
                sources[n++] = (struct peri_graph_source){peri_map_text(e, "eventName"), peri_map_text(p, "id")};
        }
    }
    for (const struct peri_system_event *e = peri_system_events; good && e->type; e++) {
        good = peri_vec_grow(&sources, &cap, n + 1, sizeof(*sources));
        if (good)
            sources[n++] = (struct peri_graph_source){e->type, "perigee"};
    }
    if (good)
        graph = peri_rule_graph(rules->items, rules->count, sources, n);
    free(sources);
    peri_value_unref(plugins);
    return graph;
}

/* ---- for people ---- */

/* "a, b (rule)": both kinds of senders in one cell. */
static struct peri_value *senders(const struct peri_value *event)
{
    struct peri_value *list = peri_value_list();
    const struct peri_value *plugins = peri_map_at(event, "from_plugins"), *rules = peri_map_at(event, "from_rules");
    for (size_t i = 0; list && i < peri_value_count(plugins); i++) {
        const char *id = peri_value_text(peri_list_at(plugins, i));
        char *text = peri_streq(id, "perigee") ? peri_strdup("the service") : peri_asprintf("plugin %s", id);
        (void)!peri_list_push(list, text ? peri_value_str(text) : NULL);
        free(text);
    }
    for (size_t i = 0; list && i < peri_value_count(rules); i++)
        (void)!peri_list_push(list, peri_value_ref(peri_list_at(rules, i)));
    return list;
}

static void add_hearers(struct peri_value *list, const struct peri_value *rules, const char *how)
{
    for (size_t i = 0; list && i < peri_value_count(rules); i++) {
        char *text = peri_asprintf("%s%s", peri_value_text(peri_list_at(rules, i)), how);
        (void)!peri_list_push(list, text ? peri_value_str(text) : NULL);
        free(text);
    }
}

/* "a, b (waits), c (ends)": those that it starts, and those of which runs wait for it or end by it. */
static struct peri_value *hearers(const struct peri_value *event)
{
    struct peri_value *list = peri_value_list();
    add_hearers(list, peri_map_at(event, "heard_by"), "");
    add_hearers(list, peri_map_at(event, "awaited_by"), " (waits)");
    add_hearers(list, peri_map_at(event, "cancels"), " (ends)");
    return list;
}

static void print_events(const struct peri_value *graph)
{
    static const struct peri_column columns[] = {
        {"type", "EVENT", 0}, {"from", "FROM", 60}, {"heard_by", "HEARD BY", 0}, {0}};
    const struct peri_value *events = peri_map_at(graph, "events"), *rules = peri_map_at(graph, "rules");
    struct peri_value *rows = peri_value_list(), *timed = peri_value_list();
    for (size_t i = 0; rows && i < peri_value_count(events); i++) {
        struct peri_value *row = peri_value_copy(peri_list_at(events, i));
        if (!row || peri_map_put(row, "from", senders(row)) != PERI_OK ||
            peri_map_put(row, "heard_by", hearers(row)) != PERI_OK || peri_list_push(rows, row) != PERI_OK)
            break;
        if (peri_value_count(peri_map_at(row, "heard_by")) == 0)
            (void)!peri_map_put_text(row, "heard_by", "(nobody)");
        if (peri_value_count(peri_map_at(row, "from")) == 0)
            (void)!peri_map_put_text(row, "from", "(outside)");
    }
    for (size_t i = 0; timed && i < peri_value_count(rules); i++) {
        const struct peri_value *rule = peri_list_at(rules, i);
        if (peri_map_int(rule, "schedules", 0) > 0 && peri_map_bool(rule, "enabled", false))
            (void)!peri_list_push(timed, peri_value_ref(peri_map_at(rule, "id")));
    }
    struct peri_value *clock = peri_value_count(timed) ? peri_value_map() : NULL;
    if (clock && rows && peri_map_put_text(clock, "type", "(schedule)") == PERI_OK &&
        peri_map_put_ref(clock, "heard_by", timed) == PERI_OK)
        (void)!peri_list_push(rows, peri_value_ref(clock));
    peri_print_table(rows, columns, "no rule hears or emits anything");
    peri_value_unref(clock);
    peri_value_unref(timed);
    peri_value_unref(rows);
}

static const struct peri_value *find_rule(const struct peri_value *graph, const char *id)
{
    const struct peri_value *rules = peri_map_at(graph, "rules");
    for (size_t i = 0; i < peri_value_count(rules); i++)
        if (peri_streq(peri_map_text(peri_list_at(rules, i), "id"), id))
            return peri_list_at(rules, i);
    return NULL;
}

static void print_joined(const struct peri_value *list)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        printf("%s%s", i ? ", " : "", peri_value_text(peri_list_at(list, i)));
}

void peri_graph_print(const struct peri_value *graph)
{
    const struct peri_value *rules = peri_map_at(graph, "rules"), *cycles = peri_map_at(graph, "cycles"),
                            *unreached = peri_map_at(graph, "unreached");
    print_events(graph);
    if (peri_value_count(cycles))
        puts("\nCycles:");
    for (size_t i = 0; i < peri_value_count(cycles); i++) {
        const struct peri_value *cycle = peri_list_at(cycles, i);
        printf("  ");
        for (size_t k = 0; k < peri_value_count(cycle); k++)
            printf("%s -(%s%s)-> ", peri_map_text(peri_list_at(cycle, k), "rule"),
                peri_map_text(peri_list_at(cycle, k), "event"),
                peri_map_bool(peri_list_at(cycle, k), "waits", false) ? ", waited for" : "");
        puts(peri_map_text(peri_list_at(cycle, 0), "rule"));
    }
    if (peri_value_count(unreached))
        puts("\nNo plugin, schedule or other rule is known to start these; their events may come from outside:");
    for (size_t i = 0; i < peri_value_count(unreached); i++) {
        const char *id = peri_value_text(peri_list_at(unreached, i));
        printf("  %s hears ", id);
        print_joined(peri_map_at(find_rule(graph, id), "hears"));
        putchar('\n');
    }
    for (size_t i = 0; i < peri_value_count(rules); i++) {
        const struct peri_value *computed = peri_map_at(peri_list_at(rules, i), "emits_computed");
        if (peri_value_count(computed) == 0)
            continue;
        printf("\n%s emits types that a template makes, which are not in this graph: ",
            peri_map_text(peri_list_at(rules, i), "id"));
        print_joined(computed);
        putchar('\n');
    }
}

/* ---- for Graphviz ---- */

/* kind NULL: what people read. */
static void dot_id(const char *kind, const char *name)
{
    printf("\"%s%s", kind ? kind : "", kind ? ":" : "");
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            putchar('\\');
        putchar(*name);
    }
    putchar('"');
}

static void dot_node(const char *kind, const char *name, const char *shape, const char *more)
{
    printf("  ");
    dot_id(kind, name);
    printf(" [shape=%s, label=", shape);
    dot_id(NULL, name);
    printf("%s];\n", more);
}

static void dot_edges(const char *from_kind, const struct peri_value *from, const char *to_kind,
    const struct peri_value *to, const char *more)
{
    for (size_t i = 0; i < peri_value_count(from); i++)
        for (size_t k = 0; k < peri_value_count(to); k++) {
            printf("  ");
            dot_id(from_kind, peri_value_text(peri_list_at(from, i)));
            printf(" -> ");
            dot_id(to_kind, peri_value_text(peri_list_at(to, k)));
            printf("%s;\n", more);
        }
}

static struct peri_value *one(const char *text)
{
    struct peri_value *list = peri_value_list();
    if (list)
        (void)!peri_list_push(list, peri_value_str(text));
    return list;
}

void peri_graph_print_dot(const struct peri_value *graph)
{
    const struct peri_value *rules = peri_map_at(graph, "rules"), *events = peri_map_at(graph, "events");
    puts("digraph rules {\n  rankdir=LR;");
    for (size_t i = 0; i < peri_value_count(rules); i++) {
        const struct peri_value *rule = peri_list_at(rules, i);
        bool enabled = peri_map_bool(rule, "enabled", false);
        dot_node("rule", peri_map_text(rule, "id"), "box",
            !enabled                                ? ", style=dashed"
            : peri_map_bool(rule, "reached", false) ? ""
                                                    : ", color=gray");
        if (!enabled || peri_map_int(rule, "schedules", 0) == 0)
            continue;
        printf("  \"schedule\" [shape=plaintext];\n  \"schedule\" -> ");
        dot_id("rule", peri_map_text(rule, "id"));
        puts(";");
    }
    for (size_t i = 0; i < peri_value_count(events); i++) {
        const struct peri_value *event = peri_list_at(events, i), *plugins = peri_map_at(event, "from_plugins");
        struct peri_value *type = one(peri_map_text(event, "type"));
        dot_node("event", peri_map_text(event, "type"), "ellipse", "");
        for (size_t k = 0; k < peri_value_count(plugins); k++)
            dot_node("plugin", peri_value_text(peri_list_at(plugins, k)), "component", "");
        dot_edges("plugin", plugins, "event", type, "");
        dot_edges("rule", peri_map_at(event, "from_rules"), "event", type, "");
        dot_edges("event", type, "rule", peri_map_at(event, "heard_by"), "");
        dot_edges("event", type, "rule", peri_map_at(event, "awaited_by"), " [style=dashed, label=\"waits\"]");
        dot_edges("event", type, "rule", peri_map_at(event, "cancels"), " [style=dotted, label=\"ends\"]");
        peri_value_unref(type);
    }
    puts("}");
}
