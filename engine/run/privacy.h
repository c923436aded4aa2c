/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_PRIVACY_H
#define PERI_RUN_PRIVACY_H

#include "base/error.h"
#include "data/personal.h"
#include "data/value.h"
#include "io/store_events.h"

/* Which fields are marked as personal:
 *   {"events": {"comms.*": ["from", "caller.name"]}, "data": {"contact": ["displayName"]}}
 * Types of events may be globs. A path goes through lists by itself: "attendees.email" is the address of each. "" is
 * all there is. The marks lie in the database (meta "privacy"), so that whoever reads it hides the same; beside them
 * the key of placeholders. Immutable. */
struct peri_privacy;

#define PERI_PRIVACY_META "privacy"
#define PERI_PRIVACY_KEY_META "privacy.key"

/* marks may be NULL: nothing is marked. key: 32 hex digits, or NULL. */
enum peri_status peri_privacy_create(
    const struct peri_value *marks, const char *key, struct peri_privacy **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_privacy_destroy(struct peri_privacy *privacy);
/* Is nothing marked? NULL: yes. */
bool peri_privacy_is_empty(const struct peri_privacy *privacy);
/* An empty set with the key of this database. max: as in peri_personal_create. NULL when memory is out. */
struct peri_personal *peri_privacy_set(const struct peri_privacy *privacy, size_t max);

/* Adds what is marked in the data of an event, or in the fields of an entity. */
void peri_privacy_event(
    const struct peri_privacy *privacy, const char *type, const struct peri_value *data, struct peri_personal *into);
void peri_privacy_entity(
    const struct peri_privacy *privacy, const char *type, const struct peri_value *entity, struct peri_personal *into);
/* Parses the payload only if something of its type is marked. */
void peri_privacy_journaled(
    const struct peri_privacy *privacy, const struct peri_event *event, struct peri_personal *into);
/* Adds what is marked in events ({type, data}) and entities ({type, id}) that lie anywhere in v. */
void peri_privacy_within(const struct peri_privacy *privacy, const struct peri_value *v, struct peri_personal *into);
/* Is something of entities of this type marked? */
bool peri_privacy_has_data(const struct peri_privacy *privacy, const char *type);
/* The types of entities of which something is marked, in order: NULL behind the last. borrow */
const char *peri_privacy_data_type(const struct peri_privacy *privacy, size_t i);
/* data with placeholders at the marked places themselves, whatever lies there; a new reference, NULL: out of memory. */
struct peri_value *peri_privacy_cover(
    const struct peri_privacy *privacy, const char *type, struct peri_value *data, struct peri_personal *set);
/* Is this field of an event of the type marked, or a part of one that is? */
bool peri_privacy_marks(const struct peri_privacy *privacy, const char *type, const char *path);

/* The marks in the schema of an event's data (`personal: true`), as paths: adds them to list. */
enum peri_status peri_privacy_of_schema(const struct peri_value *schema, struct peri_value *list) PERI_MUST_CHECK;

#endif
