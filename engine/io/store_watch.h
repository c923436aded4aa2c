/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_WATCH_H
#define PERI_IO_STORE_WATCH_H

#include "data/value.h"
#include "io/store.h"

/* What rules remember from one event to the next, for each key: throttles, and the state of triggers that watch over
 * time. Times are durable milliseconds (pipe_steady): they do not move when somebody sets the clock. */

/* When the rule fired last for this key; *ret_found false: never. */
enum peri_status peri_tx_throttle_get(struct peri_tx *tx, const char *rule, const char *ckey, int64_t *ret_last,
    bool *ret_found, struct peri_error *err) PERI_MUST_CHECK;
/* until: from when on the row says nothing any more. */
enum peri_status peri_tx_throttle_put(struct peri_tx *tx, const char *rule, const char *ckey, int64_t last,
    int64_t until, struct peri_error *err) PERI_MUST_CHECK;

/* The watch of a trigger; made when there is none. With another spec than before it begins anew, and what it
 * remembered is deleted in the background. */
enum peri_status peri_tx_watch(struct peri_tx *tx, const char *rule, const char *trigger, const char *spec,
    int64_t *ret_wid, struct peri_error *err) PERI_MUST_CHECK;
/* Nobody asks for it any more: pruning deletes what it remembers. */
enum peri_status peri_tx_watch_give_up(struct peri_tx *tx, int64_t wid, struct peri_error *err) PERI_MUST_CHECK;

/* What is kept for rules that are gone and has not changed since before_ms: watches are given up, schedules dropped. */
struct peri_gone {
    bool (*there)(void *ctx, const char *rule); /* on the store's thread */
    void *ctx;
    int64_t before_ms;
};
enum peri_status peri_tx_forget_gone(
    struct peri_tx *tx, const struct peri_gone *gone, size_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;

struct peri_keyed {
    int64_t wid;
    const char *ckey;
    int64_t newest;    /* time of the newest event it has heard of */
    int state;         /* what that means is up to the kind of trigger */
    int64_t due, base; /* 0: nothing is due; base: the length of that wait */
    uint64_t event;    /* seq of the event that a firing would be about */
    int64_t n;
    const char *data; /* or NULL */
};
/* Borrowed texts in *ret are owned by copies that peri_keyed_finish frees. *ret_found false: there is none. */
struct peri_keyed_row {
    struct peri_keyed row;
    char *ckey, *data;
};
enum peri_status peri_tx_keyed_get(struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_keyed_row *ret,
    bool *ret_found, struct peri_error *err) PERI_MUST_CHECK;
void peri_keyed_finish(struct peri_keyed_row *row);
/* Inserts or replaces. A new key above max_keys takes the place of the one that was quiet longest: *ret_evicted. */
enum peri_status peri_tx_keyed_put(struct peri_tx *tx, const struct peri_keyed *row, int64_t max_keys,
    bool *ret_evicted, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_keyed_drop(
    struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_error *err) PERI_MUST_CHECK;

/* No wait is longer than it was meant to be, seen from now. */
enum peri_status peri_tx_keyed_clamp(struct peri_tx *tx, int64_t now, struct peri_error *err) PERI_MUST_CHECK;
/* Waits of watches whose spec begins so and that end after `from` end later by `by`, which is added to n. Nobody could
 * hear meanwhile. */
enum peri_status peri_tx_keyed_shift(
    struct peri_tx *tx, const char *spec_prefix, int64_t from, int64_t by, struct peri_error *err) PERI_MUST_CHECK;

/* An event that a key has heard of and still remembers. */
struct peri_heard {
    int64_t ts;
    uint64_t seq;
    uint32_t steps; /* bits of the steps of a sequence that it fits */
};
enum peri_status peri_tx_win_add(struct peri_tx *tx, int64_t wid, const char *ckey, const struct peri_heard *heard,
    struct peri_error *err) PERI_MUST_CHECK;
/* All of a key, in order of (ts, seq). malloc'ed; the caller frees it, also after an error. */
enum peri_status peri_tx_win_list(struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_heard **ret,
    size_t *ret_count, struct peri_error *err) PERI_MUST_CHECK;
/* Those up to (ts, seq). */
enum peri_status peri_tx_win_forget(struct peri_tx *tx, int64_t wid, const char *ckey, const struct peri_heard *last,
    struct peri_error *err) PERI_MUST_CHECK;
/* Something was forgotten for want of room. */
enum peri_status peri_tx_watch_evicted(
    struct peri_tx *tx, int64_t wid, int64_t count, struct peri_error *err) PERI_MUST_CHECK;
/* Everything that a sliding window holds of a key. */
enum peri_status peri_tx_win_drop(
    struct peri_tx *tx, int64_t wid, const char *ckey, struct peri_error *err) PERI_MUST_CHECK;

/* Keys whose time has come, earliest first. The watch may have been given up (rule ""). Texts are valid during fn. */
enum peri_status peri_reader_keyed_due(struct peri_reader *reader, int64_t until, size_t limit,
    enum peri_status (*fn)(
        void *arg, const char *rule, const char *trigger, const char *spec, const struct peri_keyed *row),
    void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* What watches hold: [{rule, trigger, kind, keys, evicted}], by rule and trigger. */
enum peri_status peri_reader_watches(
    struct peri_reader *reader, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* INT64_MAX: none. */
enum peri_status peri_reader_keyed_next(
    struct peri_reader *reader, int64_t *ret_due, struct peri_error *err) PERI_MUST_CHECK;

#endif
