/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_FLOW_H
#define PERI_IO_STORE_FLOW_H

#include "io/store.h"

/* What became of the events of each source:
 *
 *     received = matched + unmatched + duplicate + rejected + shed + dead
 *
 * The counts of stored events are part of the transaction that stores or ends them, so a kill takes back both sides or
 * neither. `unmatched` is not kept: it is counted from the journal, and so the equation can be wrong when an event is.
 * Refused events leave no row; they are noted, and written with the next group.
 *
 * At most PERI_FLOW_SOURCES sources have counts of their own, first come; all further ones share PERI_FLOW_OTHER, as
 * do names above PERI_FLOW_NAME bytes. The events of all rules are one source, "perigee:rule". */
#define PERI_FLOW_SOURCES 256
#define PERI_FLOW_NAME 200
#define PERI_FLOW_OTHER "(other)"
#define PERI_FLOW_UNKNOWN "(unknown)" /* refused before anybody could tell whose it is */

struct peri_flow_row {
    const char *source;
    int64_t received, matched, unmatched, duplicate, rejected, shed, dead;
};

/* Is everything that was received accounted for? */
bool peri_flow_balanced(const struct peri_flow_row *row);

enum peri_flow_refusal { PERI_FLOW_REJECTED, PERI_FLOW_SHED };
/* n events of source were received and refused: malformed, or for want of room. Any thread. */
void peri_store_flow_refused(struct peri_store *store, const char *source, enum peri_flow_refusal refusal, int64_t n);
/* Every source, as of one instant. fn must not call the store. Any thread. */
void peri_store_flow(struct peri_store *store, void (*fn)(void *arg, const struct peri_flow_row *row), void *arg);

/* The same from the database: [{source, received, matched, unmatched, duplicate, rejected, shed, dead, balanced}], by
 * name. Both sides are read in one transaction. */
enum peri_status peri_reader_flow(
    struct peri_reader *reader, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

#endif
