/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "run/pipeline_internal.h"
#include "run/watch.h"

/* Makes the events of perigee:watch. Any thread. */

/* {kind, key, about, reason, ...} as an extension "watch". */
static struct peri_value *describe(const struct watch_found *f)
{
    char id[PERI_ID_TEXT];
    struct peri_value *ext = peri_value_map(), *watch = f->more ? peri_value_ref(f->more) : peri_value_map();
    bool bad = !ext || !watch || peri_map_put_text(watch, "kind", f->kind) != PERI_OK ||
               peri_map_put_text(watch, "key", f->key) != PERI_OK ||
               peri_map_put_text(watch, "reason", f->text) != PERI_OK;
    if (!bad && f->about_seq)
        bad = peri_map_put_text(watch, "about", peri_event_id(f->about_seq, id)) != PERI_OK;
    bad = bad || peri_map_put_ref(ext, "watch", watch) != PERI_OK;
    peri_value_unref(watch);
    if (!bad)
        return ext;
    peri_value_unref(ext);
    return NULL;
}

/* A key may be long and hold anything. */
static char *unique_id(const struct watch_found *f)
{
    char hash[65];
    peri_sha256_hex(f->key, strlen(f->key), hash);
    return peri_asprintf(
        "%s/%s/%s/%.16s/%" PRIu64 "/%" PRId64, f->rule->id, f->trigger->id, f->kind, hash, f->about_seq, f->due);
}

struct peri_event *watch_event(const struct watch_found *f)
{
    const struct peri_event *about = f->about;
    struct peri_event *event = peri_event_create();
    char id[PERI_ID_TEXT];
    if (!event) {
        peri_value_unref(f->more);
        return NULL;
    }
    event->source = peri_strdup(PIPE_WATCH_SOURCE);
    event->type = peri_strdup(about ? about->type : "watch.Found");
    event->subject = about ? peri_strdup(about->subject) : NULL;
    event->data = about ? peri_strndup(about->data, about->data_len) : peri_strdup("null");
    event->data_len = event->data ? strlen(event->data) : 0;
    event->external_id = unique_id(f);
    event->cause = f->about_seq ? peri_strdup(peri_event_id(f->about_seq, id)) : NULL;
    event->hops = about ? about->hops : 0;
    event->target_rule = peri_strdup(f->rule->id);
    event->target_trigger = peri_strdup(f->trigger->id);
    event->extensions = describe(f);
    event->received_ms = f->now_ms;
    event->time_ms = about ? about->time_ms : event->received_ms;
    peri_value_unref(f->more);
    if (event->source && event->type && event->data && event->external_id && event->target_rule &&
        event->target_trigger && event->extensions)
        return event;
    peri_event_unref(event);
    return NULL;
}

void watch_list_ids(char text[WATCH_TEXT], const struct peri_heard *list, const size_t *places, size_t count)
{
    enum { SHOWN = 5 };
    size_t at = strlen(text);
    for (size_t i = 0; i < count && i < SHOWN && at < WATCH_TEXT; i++)
        at += (size_t)snprintf(
            text + at, WATCH_TEXT - at, "%sev-%" PRIu64, i ? ", " : "", list[places ? places[i] : i].seq);
    if (count > SHOWN && at < WATCH_TEXT)
        snprintf(text + at, WATCH_TEXT - at, " and %zu more", count - SHOWN);
}
