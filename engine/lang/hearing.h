/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_HEARING_H
#define PERI_LANG_HEARING_H

#include <stdatomic.h>
#include "lang/index.h"
#include "lang/matcher.h"

/* What the triggers that hear one event type say to a payload, all of their patterns in one compiled matcher. Immutable
 * and counted, but for the matcher's scratch one thread at a time may match. */
struct peri_hearing {
    atomic_int refs;
    char *type;
    struct peri_index_hit *hits; /* as peri_index_lookup gives them; each rule counted */
    size_t count;
    size_t rules;                 /* how many rules they are of */
    struct peri_matcher *matcher; /* of the hits with a pattern to ask; counted by `shared` */
    atomic_int *shared;
    uint32_t *asked; /* hit of each of its patterns, rising */
    size_t asked_count;
    uint32_t *always; /* the other hits, rising */
    size_t always_count;
    char *text; /* [["<rule id>", "<rule hash>"], ...], in order: with the event it tells who does not match, and why */
    char hash[65];  /* SHA-256 of text */
    bool stored;    /* for whoever keeps the text: it is kept */
    uint64_t named; /* ... and used by events up to this one */
    int later;      /* for run/at_once.c: so many events more are not tried */
};

/* like: one of the same type from another set of rules, or NULL; what is the same is taken over. */
enum peri_status peri_hearing_build(const struct peri_index *index, const char *type, const struct peri_hearing *like,
    struct peri_hearing **ret, struct peri_error *err) PERI_MUST_CHECK;
struct peri_hearing *peri_hearing_ref(struct peri_hearing *hearing);
void peri_hearing_unref(struct peri_hearing *hearing);
/* Numbers of the hits that have no pattern or whose pattern matches, rising; ret has room for all. */
enum peri_status peri_hearing_match(const struct peri_hearing *hearing, struct peri_matcher_scratch *scratch,
    const char *json, size_t len, uint32_t *ret, size_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;
/* Is the pattern of a trigger all that decides whether it goes on? Others look at every event of their type. */
bool peri_hearing_asks(const struct peri_trigger *trigger);

#endif
