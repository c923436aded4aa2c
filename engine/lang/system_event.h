/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_SYSTEM_EVENT_H
#define PERI_LANG_SYSTEM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The events that the service tells about itself: their types and what their data holds. They become part of the
 * journal only when a rule or plugin hears them. */

struct peri_system_event {
    const char *type;
    const char *fields; /* names of the members of its data, blanks between; "?" behind one that may be absent */
    const char *about;  /* one line for people */
};

extern const struct peri_system_event peri_system_events[]; /* ends with type NULL */

/* NULL: no event of this service's own. */
const struct peri_system_event *peri_system_event_find(const char *type);
/* Which of them a type or glob names, one bit each in the order of the list. A glob that begins with a star means the
 * world outside: none. */
uint32_t peri_system_events_named(const char *glob);
/* May data of this type have such a member? */
bool peri_system_event_has(const struct peri_system_event *event, const char *field);

#endif
