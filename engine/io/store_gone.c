/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "io/store_db.h"
#include "io/store_runs.h"
#include "io/store_watch.h"

/* What is kept for rules that are gone. A rule may come back (a folder that was moved, a file in work), so it is kept
 * for a while; without an end it would grow with every name that a rule ever had. */

#define GONE_MAX 1000 /* rows of each kind in one transaction; the next one finds the others */

struct gone {
    int64_t *wids;
    size_t wid_count, wid_cap;
    char **schedules;
    size_t schedule_count, schedule_cap;
};

static enum peri_status find_watches(
    struct peri_tx *tx, const struct peri_gone *gone, struct gone *g, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "SELECT wid,rule,(SELECT max(newest) FROM keyed INDEXED BY keyed_newest WHERE keyed.wid=watches.wid)"
        " FROM watches WHERE rule<>''",
        err);
    if (st)
        return st;
    while (g->wid_count < GONE_MAX && !(st = peri_stmt_row(&q, &row, err)) && row) {
        if (peri_stmt_get_int(&q, 2) >= gone->before_ms || gone->there(gone->ctx, peri_stmt_get_text(&q, 1)))
            continue;
        if (!peri_vec_grow(&g->wids, &g->wid_cap, g->wid_count + 1, sizeof(*g->wids))) {
            st = peri_error_nomem(err);
            break;
        }
        g->wids[g->wid_count++] = peri_stmt_get_int(&q, 0);
    }
    peri_stmt_close(&q);
    return st;
}

/* Its id is "<rule>/<trigger>", and either may hold a slash. */
static bool schedule_there(const struct peri_gone *gone, const char *id)
{
    for (const char *slash = strchr(id, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *rule = peri_strndup(id, (size_t)(slash - id));
        bool there = !rule || gone->there(gone->ctx, rule);
        free(rule);
        if (there)
            return true;
    }
    return false;
}

static enum peri_status find_schedules(
    struct peri_tx *tx, const struct peri_gone *gone, struct gone *g, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    enum peri_status st = peri_stmt_open(&q, tx->db, "SELECT id FROM schedules WHERE max(last,anchor)<?", err);
    if (st)
        return st;
    peri_stmt_int(&q, gone->before_ms);
    while (g->schedule_count < GONE_MAX && !(st = peri_stmt_row(&q, &row, err)) && row) {
        if (schedule_there(gone, peri_stmt_get_text(&q, 0)))
            continue;
        if (!peri_vec_grow(&g->schedules, &g->schedule_cap, g->schedule_count + 1, sizeof(*g->schedules))) {
            st = peri_error_nomem(err);
            break;
        }
        if ((st = peri_stmt_dup(&q, 0, &g->schedules[g->schedule_count], err)))
            break;
        g->schedule_count++;
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_forget_gone(
    struct peri_tx *tx, const struct peri_gone *gone, size_t *ret_count, struct peri_error *err)
{
    struct gone g = {0};
    enum peri_status st = find_watches(tx, gone, &g, err);
    if (!st)
        st = find_schedules(tx, gone, &g, err);
    for (size_t i = 0; !st && i < g.wid_count; i++)
        st = peri_tx_watch_give_up(tx, g.wids[i], err);
    for (size_t i = 0; !st && i < g.schedule_count; i++)
        st = peri_tx_schedule_drop(tx, g.schedules[i], err);
    if (!st)
        *ret_count = g.wid_count + g.schedule_count;
    for (size_t i = 0; i < g.schedule_count; i++)
        free(g.schedules[i]);
    free(g.schedules);
    free(g.wids);
    return st;
}
