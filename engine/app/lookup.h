/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LOOKUP_H
#define PERI_APP_LOOKUP_H

#include "base/error.h"
#include "data/value.h"
#include "io/loop.h"
#include "io/store.h"

/* One thread with one read-only connection that answers the API's questions, so that the loop never waits for the disk.
 */
struct peri_lookup;

/* Runs on the lookup thread; fills *ret. */
typedef enum peri_status (*peri_lookup_fn)(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err);
/* Runs on the loop; value is borrowed. Frees arg. */
typedef void (*peri_lookup_done)(
    void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err);

enum peri_status peri_lookup_create(
    struct peri_loop *loop, struct peri_store *store, struct peri_lookup **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Waits for the question under way; the others end with PERI_ESTATE on the loop's next turn, or not at all when it has
 * ended. */
void peri_lookup_destroy(struct peri_lookup *lookup);
/* PERI_EBUSY when 256 questions wait already. */
enum peri_status peri_lookup_ask(
    struct peri_lookup *lookup, peri_lookup_fn fn, peri_lookup_done done, void *arg) PERI_MUST_CHECK;

#endif
