/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "run/watch_internal.h"

/* What a key remembers of single events. */

enum peri_status watch_add_heard(struct hearing *h, struct peri_error *err)
{
    struct peri_heard *list = realloc(h->list, (h->count + 1) * sizeof(*list));
    size_t at = h->count;
    if (!list)
        return peri_error_nomem(err);
    h->list = list;
    for (; at > 0 && list[at - 1].ts > h->event.ts; at--) /* the newest arrival comes behind those of equal time */
        list[at] = list[at - 1];
    list[at] = h->event;
    h->count++;
    return peri_tx_win_add(h->tx, h->row.wid, h->row.ckey, &h->event, err);
}

enum peri_status watch_forget_first(struct hearing *h, size_t n, struct peri_error *err)
{
    if (n == 0)
        return PERI_OK;
    enum peri_status st = peri_tx_win_forget(h->tx, h->row.wid, h->row.ckey, &h->list[n - 1], err);
    memmove(h->list, h->list + n, (h->count - n) * sizeof(*h->list));
    h->count -= n;
    return st;
}

struct peri_value *watch_ids(const struct peri_heard *list, const size_t *places, size_t count)
{
    struct peri_value *ids = peri_value_list();
    char id[PERI_ID_TEXT];
    size_t from = count > WATCH_LISTED ? count - WATCH_LISTED : 0;
    bool bad = !ids;
    for (size_t i = from; i < count && !bad; i++)
        bad = peri_list_push(ids, peri_value_str(peri_event_id(list[places ? places[i] : i].seq, id))) != PERI_OK;
    if (!bad)
        return ids;
    peri_value_unref(ids);
    return NULL;
}

struct peri_value *watch_describe(
    const struct match_tx *mt, size_t count, int64_t since, int64_t until, struct peri_value *ids)
{
    struct peri_value *more = peri_value_map();
    char text[PERI_TIME_TEXT];
    bool bad = !more || !ids || peri_map_put_int(more, "count", (int64_t)count) != PERI_OK ||
               peri_map_put_text(more, "since", match_wall(mt, since, text)) != PERI_OK ||
               peri_map_put_text(more, "until", match_wall(mt, until, text)) != PERI_OK ||
               peri_map_put_ref(more, "events", ids) != PERI_OK;
    peri_value_unref(ids);
    if (!bad)
        return more;
    peri_value_unref(more);
    return NULL;
}
