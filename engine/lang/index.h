/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_INDEX_H
#define PERI_LANG_INDEX_H

#include "lang/rule.h"

/* Which (rule, trigger) pairs hear an event type. Data only: built aside and swapped whole on reload; reading needs no
 * lock. Holds a reference to every rule. */
struct peri_index;

struct peri_index_hit {
    const struct peri_rule *rule;
    const struct peri_trigger *trigger;
};

/* Disabled rules are left out. Rules must have distinct ids. */
enum peri_status peri_index_build(
    struct peri_rule *const *rules, size_t count, struct peri_index **ret) PERI_MUST_CHECK;
/* The same with disabled ones. */
enum peri_status peri_index_build_all(
    struct peri_rule *const *rules, size_t count, struct peri_index **ret) PERI_MUST_CHECK;
void peri_index_destroy(struct peri_index *index);
/* Writes up to cap hits (by rule priority falling, then load order) and returns how many there are. A rule with several
 * matching triggers gives several hits. */
size_t peri_index_lookup(const struct peri_index *index, const char *type, struct peri_index_hit *hits, size_t cap);
/* The same for who wants few: looks no further when there are more than cap, and returns cap + 1 then. */
size_t peri_index_few(const struct peri_index *index, const char *type, struct peri_index_hit *hits, size_t cap);
/* Is there any? */
bool peri_index_hears(const struct peri_index *index, const char *type);

#endif
