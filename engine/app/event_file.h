/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_EVENT_FILE_H
#define PERI_APP_EVENT_FILE_H

#include "io/store_events.h"

/* Events from a file, for commands: a JSON object, or one a line. {type, data, time?, received?, source?, subject?,
 * id?, external_id?}; what `perigee events show --json' prints is such an object, and so is a CloudEvent. `-` is
 * standard input. */

/* One object. Without a time it is of now_ms. refs 1. */
enum peri_status peri_event_of_value(
    const struct peri_value *v, int64_t now_ms, struct peri_event **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Calls fn for each; it takes a reference of its own if it keeps the event. err names the line. */
enum peri_status peri_event_file_read(const char *path, int64_t now_ms,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err) PERI_MUST_CHECK;

#endif
