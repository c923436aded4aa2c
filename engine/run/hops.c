/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/store_runs.h"
#include "run/match_internal.h"

/* The way of an event back to the outside: the run that emitted it, the event of that run, and so on. */

#define PATH_MAX_BYTES 8192

struct step {
    char *type, *rule; /* rule: of the run that emitted it; NULL: it came from outside, or nobody knows any more */
    uint64_t run;
};

static enum peri_status take_run(void *arg, const struct peri_run_row *row)
{
    struct peri_run_row *copy = arg;
    copy->event = row->event;
    copy->rule = peri_strdup(row->rule);
    return copy->rule ? PERI_OK : PERI_ENOMEM;
}

/* Fills in who emitted it, and returns the event before it: a new reference, NULL at the end of the way. */
static struct peri_event *step_back(struct peri_pipeline *p, const char *cause, struct step *step)
{
    struct peri_run_row row = {0};
    struct peri_event *before = NULL;
    if (!cause || !peri_run_id_parse(cause, &step->run) ||
        peri_reader_run_row(p->reader, step->run, take_run, &row, NULL) != PERI_OK) {
        free((char *)(uintptr_t)row.rule);
        return NULL;
    }
    step->rule = (char *)(uintptr_t)row.rule;
    return peri_reader_event(p->reader, row.event, &before, NULL) == PERI_OK ? before : NULL;
}

char *match_path(struct peri_pipeline *p, const struct peri_event *event)
{
    struct step steps[PIPE_HOPS_MAX + 1] = {{0}};
    struct peri_event *at = peri_event_ref((struct peri_event *)(uintptr_t)event);
    struct peri_buf out;
    size_t n = 0;
    while (at && n < sizeof(steps) / sizeof(steps[0])) {
        struct step *step = &steps[n++];
        step->type = peri_strdup(at->type);
        struct peri_event *before = step_back(p, at->cause, step);
        peri_event_unref(at);
        at = before;
    }
    peri_event_unref(at);
    peri_buf_init(&out, PATH_MAX_BYTES);
    for (size_t i = n; i-- > 0;) {
        if (steps[i].rule)
            (void)peri_buf_printf(
                &out, "%srule %s (run-%" PRIu64 ") -> ", i + 1 < n ? " -> " : "", steps[i].rule, steps[i].run);
        else
            (void)peri_buf_puts(&out, i + 1 < n ? " -> " : "");
        (void)peri_buf_puts(&out, steps[i].type ? steps[i].type : "?");
        free(steps[i].type);
        free(steps[i].rule);
    }
    char *text = peri_buf_take(&out, NULL);
    peri_buf_finish(&out);
    return text;
}
