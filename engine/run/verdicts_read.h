/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_VERDICTS_READ_H
#define PERI_RUN_VERDICTS_READ_H

#include "io/store_events.h"

/* The verdicts of an event (verdict.h), one for each rule that heard it. Where many rules heard it, those whose pattern
 * did not match are stored as one entry {unmatched, heard}; here each gets its verdict back, made of the stored event
 * and the rule's text as it was then. rule: only this one's, when it is stored so; NULL: all. */
enum peri_status peri_verdicts_read(struct peri_reader *reader, uint64_t seq, const char *rule,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;

#endif
