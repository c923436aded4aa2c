/* SPDX-License-Identifier: Apache-2.0 */
#include "app/flow_view.h"

#include <stdlib.h>

#include "base/str.h"
#include "io/store_flow.h"

struct flow_rows {
    struct peri_flow_row rows[PERI_FLOW_SOURCES + 2];
    size_t count;
    bool nomem;
};

static void copy_row(void *arg, const struct peri_flow_row *row)
{
    struct flow_rows *all = arg;
    if (all->count == sizeof(all->rows) / sizeof(all->rows[0]))
        return;
    all->rows[all->count] = *row;
    all->rows[all->count].source = peri_strdup(row->source);
    all->nomem |= !all->rows[all->count].source;
    all->count++;
}

static void free_rows(struct flow_rows *all)
{
    for (size_t i = 0; i < all->count; i++)
        free((char *)(uintptr_t)all->rows[i].source);
    free(all);
}

static struct flow_rows *flow_rows(struct peri_store *store)
{
    struct flow_rows *all = calloc(1, sizeof(*all));
    if (!all)
        return NULL;
    peri_store_flow(store, copy_row, all);
    if (!all->nomem)
        return all;
    free_rows(all);
    return NULL;
}

/* Sources are named by senders: quotes, backslashes and line ends are escaped, as the text format wants it. */
static void put_label(struct peri_buf *out, const char *source)
{
    for (; *source; source++) {
        if (*source == '"' || *source == '\\')
            peri_buf_putc(out, '\\');
        if (*source == '\n')
            peri_buf_puts(out, "\\n");
        else
            peri_buf_putc(out, *source);
    }
}

static void put_sample(struct peri_buf *out, const char *name, const char *source, const char *fate, int64_t n)
{
    peri_buf_printf(out, "perigee_%s{source=\"", name);
    put_label(out, source);
    peri_buf_printf(out, fate ? "\",fate=\"%s\"} %lld\n" : "\"%s} %lld\n", fate ? fate : "", (long long)n);
}

bool peri_flow_render(struct peri_store *store, struct peri_buf *out)
{
    struct flow_rows *all = flow_rows(store);
    if (!all)
        return false;
    peri_buf_puts(out, "# HELP perigee_source_received_total Events received, by source.\n"
                       "# TYPE perigee_source_received_total counter\n");
    for (size_t i = 0; i < all->count; i++)
        put_sample(out, "source_received_total", all->rows[i].source, NULL, all->rows[i].received);
    peri_buf_puts(out, "# HELP perigee_source_events_total What became of received events, by source.\n"
                       "# TYPE perigee_source_events_total counter\n");
    for (size_t i = 0; i < all->count; i++) {
        const struct peri_flow_row *r = &all->rows[i];
        put_sample(out, "source_events_total", r->source, "matched", r->matched);
        put_sample(out, "source_events_total", r->source, "duplicate", r->duplicate);
        put_sample(out, "source_events_total", r->source, "rejected", r->rejected);
        put_sample(out, "source_events_total", r->source, "shed", r->shed);
        put_sample(out, "source_events_total", r->source, "dead", r->dead);
    }
    peri_buf_puts(out, "# HELP perigee_source_unmatched Received events that are not evaluated yet, by source.\n"
                       "# TYPE perigee_source_unmatched gauge\n");
    for (size_t i = 0; i < all->count; i++)
        put_sample(out, "source_unmatched", all->rows[i].source, NULL, all->rows[i].unmatched);
    free_rows(all);
    return true;
}
