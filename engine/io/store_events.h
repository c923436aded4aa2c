/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_EVENTS_H
#define PERI_IO_STORE_EVENTS_H

#include "io/store.h"

/* The journal. */

enum peri_event_state { PERI_EVENT_JOURNALED = 0, PERI_EVENT_MATCHED = 1, PERI_EVENT_DEAD = 2 };

/* An event on its way through the service, counted (atomic), immutable once journaled. */
struct peri_event {
    _Atomic int refs;
    uint64_t seq;        /* journal position; 0 before it is stored. The public id is "ev-<seq>" */
    char *source, *type; /* never empty */
    char *external_id;   /* the sender's id, or NULL: then no duplicate is recognised */
    char *subject;       /* or NULL */
    int64_t time_ms;     /* when it happened, by the sender; else received_ms */
    int64_t received_ms;
    char *data; /* payload as JSON text, "null" when there is none */
    size_t data_len;
    int hops;           /* rules between the outside and this event */
    char *cause;        /* "run-12" that emitted it, or NULL */
    uint64_t replay_of; /* seq of the event that this repeats, or 0 */
    char *target_rule;  /* only this rule hears it (schedules, replay of one rule), or NULL */
    char *target_trigger;
    struct peri_value *extensions; /* other CloudEvents attributes, or NULL */
    bool duplicate;                /* set by the store: (source, external_id) was known; seq is the first one's */
    bool unheard;                  /* nothing is to be evaluated: it is stored as matched */
    bool damaged; /* set by peri_reader_unmatched: the stored payload fails its checksum; data is "null" */
    size_t own;   /* bytes behind this that hold texts of the event; texts elsewhere are malloc'ed */
};

/* refs 1, all zero; NULL when memory is out. */
struct peri_event *peri_event_create(void);
/* The same with copies of these texts, all in one block of memory; s NULL: none. */
struct peri_event_text {
    const char *s;
    size_t len;
};
struct peri_event_texts {
    struct peri_event_text source, type, external_id, subject, data;
};
struct peri_event *peri_event_create_of(const struct peri_event_texts *texts);
/* Puts text (malloc'ed, or NULL) in the place of one of the event's texts. take text */
void peri_event_put_text(struct peri_event *event, char **field, char *text);
struct peri_event *peri_event_ref(struct peri_event *event);
void peri_event_unref(struct peri_event *event);
/* The public form: {id, source, type, time, received, subject?, external_id?, hops, cause?, replay_of?, data}. data is
 * parsed. New reference. */
enum peri_status peri_event_value(
    const struct peri_event *event, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;

/* "ev-12" <-> 12, "run-7" <-> 7. */
#define PERI_ID_TEXT 32
char *peri_event_id(uint64_t seq, char out[PERI_ID_TEXT]);
char *peri_run_id(uint64_t id, char out[PERI_ID_TEXT]);
bool peri_event_id_parse(const char *text, uint64_t *ret);
bool peri_run_id_parse(const char *text, uint64_t *ret);

/* T1: dedupe row and event row; sets event->seq and ->duplicate. */
enum peri_status peri_tx_event_insert(
    struct peri_tx *tx, struct peri_event *event, struct peri_error *err) PERI_MUST_CHECK;
/* The same for each of them, in this order. */
enum peri_status peri_tx_events_insert(
    struct peri_tx *tx, struct peri_event *const *events, size_t count, struct peri_error *err) PERI_MUST_CHECK;
/* Journaled -> state; verdicts is JSON text (see run/verdict.h) or NULL. PERI_ESTATE when it is not journaled (any
 * more). */
enum peri_status peri_tx_event_done(struct peri_tx *tx, uint64_t seq, enum peri_event_state state, const char *verdicts,
    struct peri_error *err) PERI_MUST_CHECK;
/* The same for who knows its source. */
enum peri_status peri_tx_event_done_of(struct peri_tx *tx, uint64_t seq, const char *source,
    enum peri_event_state state, const char *verdicts, struct peri_error *err) PERI_MUST_CHECK;

/* One event as it is stored; *ret NULL: there is none (any more). */
enum peri_status peri_tx_event(
    struct peri_tx *tx, uint64_t seq, struct peri_event **ret, struct peri_error *err) PERI_MUST_CHECK;
/* It stays journaled, with these verdicts so far instead of those before. PERI_ESTATE as above. */
enum peri_status peri_tx_event_partly(
    struct peri_tx *tx, uint64_t seq, const char *verdicts, struct peri_error *err) PERI_MUST_CHECK;
/* Is it still journaled? *ret_verdicts: the text of its verdicts so far, or NULL; malloc'ed. */
enum peri_status peri_tx_event_open(
    struct peri_tx *tx, uint64_t seq, bool *ret_open, char **ret_verdicts, struct peri_error *err) PERI_MUST_CHECK;

/* Unmatched events in order, those above after_seq, at most limit: fn takes a reference of its own if it keeps the
 * event. A status of fn other than PERI_OK ends it and is returned. A damaged event is handed over marked, so that it
 * can be declared dead; peri_reader_event and peri_reader_event_value answer PERI_ECORRUPT for it. */
enum peri_status peri_reader_unmatched(struct peri_reader *reader, uint64_t after_seq, size_t limit,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err) PERI_MUST_CHECK;
/* The same for every event, whatever its state. */
enum peri_status peri_reader_journal(struct peri_reader *reader, uint64_t after_seq, size_t limit,
    enum peri_status (*fn)(void *arg, struct peri_event *event), void *arg, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_event(
    struct peri_reader *reader, uint64_t seq, struct peri_event **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Public form plus "state" ("journaled", "matched", "dead"). verdicts: the stored list, [] when none. */
struct peri_event_filter {
    const char *type; /* exact or glob, NULL any */
    const char *source;
    uint64_t before; /* seq below this; 0: newest */
    uint64_t after;  /* seq above this, ascending order then; 0: not used */
    size_t limit;    /* default 50, at most 1000 */
    /* Rare events in a long journal: when looking for them takes longer than a read may, the list ends early, and this
     * is where to go on (before or after it); 0: it is complete. NULL: looks as long as it takes, in short reads. */
    uint64_t *ret_next;
};
enum peri_status peri_reader_events(struct peri_reader *reader, const struct peri_event_filter *filter,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_event_value(
    struct peri_reader *reader, uint64_t seq, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_verdicts(
    struct peri_reader *reader, uint64_t seq, struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;

#endif
