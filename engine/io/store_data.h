/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_DATA_H
#define PERI_IO_STORE_DATA_H

#include "io/store.h"
#include "io/store_events.h"

/* The unified model: entities of a type (contact, conversation, message, call, voicemail, task, calendar_event, email,
 * place, presence, or any other snake_case name) with free JSON fields; docs/data.md lists the usual ones. In public
 * form an entity is one flat map: its fields plus id, type, source, externalId, version, updatedAt. */

/* 1 to 64 small letters, digits and '_', beginning with a letter. */
enum peri_status peri_entity_type_check(const char *type, struct peri_error *err) PERI_MUST_CHECK;

/* Creates or merges: fields of patch replace those of the same name, null removes. Found by patch.id, else by
 * (type, patch.source, patch.externalId), else new. The id of a new one: patch.id, else made from type, source and
 * externalId (stable), else a ULID. *ret gets the stored entity (new reference; may be NULL). */
enum peri_status peri_tx_entity_put(struct peri_tx *tx, const char *type, const struct peri_value *patch,
    struct peri_value **ret, bool *ret_created, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_entity_delete(
    struct peri_tx *tx, const char *type, const char *id, bool *ret_existed, struct peri_error *err) PERI_MUST_CHECK;
/* The id that peri_tx_entity_put would use, so that a caller may refer to it before the commit. PERI_ULID_TEXT + 64
 * bytes. */
enum peri_status peri_entity_id(struct peri_reader *reader, const char *type, const struct peri_value *patch,
    int64_t now_ms, char out[128], struct peri_error *err) PERI_MUST_CHECK;

enum peri_status peri_reader_entity(struct peri_reader *reader, const char *type, const char *id,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

struct peri_query {
    const char *type;
    /* {field: value} equals; {field: [v, ...]} one of; {field: {eq, ne, gt, gte, lt, lte, in, prefix, exists,
     * contains}}. contains: the list field has this element. NULL: all. A field may be a dotted path. */
    const struct peri_value *where;
    const char *order; /* "field" or "-field", comma-separated; NULL: newest first */
    size_t limit;      /* default 100, at most 10,000 */
    size_t offset;
    uint64_t as_of; /* only entities created at or before this journal position; 0: now */
    bool count_only;
};
/* *ret_list: entities (NULL when count_only); *ret_count: matches without limit when count_only, else the list's
 * length. Bad where: PERI_EINVAL, the message names the field. At most 250 ms of reading: PERI_ETIMEOUT. */
enum peri_status peri_reader_query(struct peri_reader *reader, const struct peri_query *query,
    struct peri_value **ret_list, size_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;

/* Plugin storage. expires_ms 0: never. value NULL deletes. */
enum peri_status peri_tx_kv_set(struct peri_tx *tx, const char *plugin, const char *key, const struct peri_value *value,
    int64_t expires_ms, struct peri_error *err) PERI_MUST_CHECK;
/* Sets only when what is stored equals expected (NULL: nothing is). *ret_set says whether. */
enum peri_status peri_tx_kv_swap(struct peri_tx *tx, const char *plugin, const char *key,
    const struct peri_value *expected, const struct peri_value *value, int64_t expires_ms, int64_t now_ms,
    bool *ret_set, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_kv_get(struct peri_reader *reader, const char *plugin, const char *key, int64_t now_ms,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* How much is there, keys and values as stored. */
enum peri_status peri_reader_kv_size(struct peri_reader *reader, const char *plugin, int64_t now_ms, int64_t *ret_keys,
    int64_t *ret_bytes, struct peri_error *err) PERI_MUST_CHECK;
/* A list of keys. */
enum peri_status peri_reader_kv_list(struct peri_reader *reader, const char *plugin, const char *prefix, int64_t now_ms,
    size_t limit, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* The outbox: messages that no configured channel took. message: {channel_type, to, body, ...}; key makes a repeat a
 * no-op. Public form {id ("ob-7"), channel_type, to, subject?, body, ..., created, rule?, run?}. */
enum peri_status peri_tx_outbox_put(struct peri_tx *tx, const struct peri_value *message, const char *key,
    uint64_t *ret_id, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_outbox(struct peri_reader *reader, uint64_t before, size_t limit,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_outbox_item(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_outbox_clear(struct peri_tx *tx, uint64_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;

/* Audit trail: loads, refusals, grants, restarts. detail may be NULL. */
enum peri_status peri_tx_audit(struct peri_tx *tx, const char *actor, const char *action, const char *target,
    const struct peri_value *detail, struct peri_error *err) PERI_MUST_CHECK;

/* Newest first: {id ("au-7"), time, actor, action, target?, detail?}. */
struct peri_audit_filter {
    const char *target; /* exactly; NULL: any */
    const char *action; /* what it begins with; NULL: any */
    uint64_t before;    /* 0: newest */
    size_t limit;       /* default 50, at most 1000 */
};
enum peri_status peri_reader_audit(struct peri_reader *reader, const struct peri_audit_filter *filter,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
bool peri_audit_id_parse(const char *text, uint64_t *ret);

/* Several changes that stand or fall together, in order: what a webhook or action handler did, or one request to
 * POST /v1/events. Entities written before an event of the same batch are visible to the rules that hear it. */
struct peri_batch;
struct peri_batch *peri_batch_create(void);
void peri_batch_destroy(struct peri_batch *batch);
enum peri_status peri_batch_event(struct peri_batch *batch, struct peri_event *event);                        /* take */
enum peri_status peri_batch_entity_put(struct peri_batch *batch, const char *type, struct peri_value *patch); /* take */
enum peri_status peri_batch_entity_delete(struct peri_batch *batch, const char *type, const char *id);
enum peri_status peri_batch_kv_set(struct peri_batch *batch, const char *plugin, const char *key,
    struct peri_value *value, int64_t expires_ms);                                                         /* take */
enum peri_status peri_batch_outbox(struct peri_batch *batch, struct peri_value *message, const char *key); /* take */
/* Anything else: fn runs in its place among the changes, perhaps more than once (a transaction that is repeated). drop
 * (may be NULL) frees arg with the batch, also when this fails. */
enum peri_status peri_batch_fn(
    struct peri_batch *batch, size_t bytes, peri_store_fn fn, void *arg, void (*drop)(void *arg));
size_t peri_batch_count(const struct peri_batch *batch);
size_t peri_batch_bytes(const struct peri_batch *batch);
/* May it be applied again after a rollback (peri_store_submit_repeatable)? */
bool peri_batch_is_repeatable(const struct peri_batch *batch);
size_t peri_batch_events(const struct peri_batch *batch);
struct peri_event *peri_batch_event_at(const struct peri_batch *batch, size_t i); /* borrow; seq set after the commit */
/* Applies all of it. */
enum peri_status peri_tx_batch(struct peri_tx *tx, struct peri_batch *batch, struct peri_error *err) PERI_MUST_CHECK;

#endif
