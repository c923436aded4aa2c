/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PRIVACY_WATCH_H
#define PERI_APP_PRIVACY_WATCH_H

#include "app/service.h"
#include "run/privacy.h"

/* The running service's part in hiding personal data: it keeps the marks in the database up to date, and remembers the
 * personal values that went through it lately, which the log is looked through for. */
struct peri_privacy_watch;

/* Reads the marks that the database has. */
enum peri_status peri_privacy_watch_open(
    struct peri_service *service, struct peri_privacy_watch **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_privacy_watch_close(struct peri_privacy_watch *watch);
/* Settings or plugins may have changed. Loop thread. */
void peri_privacy_watch_update(struct peri_privacy_watch *watch);

/* For peri_pipeline_options.seen, peri_host_options.reads and the log; ctx is the watch. Any thread. */
void peri_privacy_watch_event(void *watch, const struct peri_event *event);
void peri_privacy_watch_entity(void *watch, const char *type, const struct peri_value *entity);
bool peri_privacy_watch_hide(struct peri_privacy_watch *watch, const char *text, char **ret);

#endif
