/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_NEWS_H
#define PERI_APP_NEWS_H

#include "app/rulebook.h"
#include "base/map.h"
#include "run/pipeline.h"

/* What the service tells rules and plugins about itself and its rules (lang/system_event.h). Loop thread only. */
struct peri_news {
    struct peri_map *rules;      /* id -> start of the hash, as of the last telling */
    bool waits;                  /* what was read before the start is to be told after it */
    struct peri_value *findings; /* "file:line:column: text" of errors that were told */
};

void peri_news_finish(struct peri_news *news);
/* The rules in service and the findings of their load: tells what is new. */
void peri_news_rules(struct peri_news *news, struct peri_pipeline *pipeline, const struct peri_rule_list *rules,
    const struct peri_diag *findings);
void peri_news_started(struct peri_pipeline *pipeline, int64_t started_ms);
/* True: somebody hears it, and should get the time to act. */
bool peri_news_stopping(struct peri_pipeline *pipeline, const char *reason);

#endif
