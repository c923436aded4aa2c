/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_DB_H
#define PERI_IO_STORE_DB_H

/* Inside of the store: one SQLite connection with its prepared statements. Only store*.c and its tests include this. */

#include <sqlite3.h>
#include "io/store.h"

struct peri_health;
struct peri_flow;

#define PERI_DB_FIXED 128  /* slots for statements whose text is a constant of ours; a power of two */
#define PERI_DB_DYNAMIC 24 /* statements built from a query */
#define PERI_READ_NS INT64_C(250000000)

struct peri_db {
    sqlite3 *handle;
    char *path;
    struct {
        const char *sql; /* compared by address */
        sqlite3_stmt *raw;
    } fixed[PERI_DB_FIXED];
    struct {
        char *sql;
        sqlite3_stmt *raw;
    } dynamic[PERI_DB_DYNAMIC];
    unsigned dynamic_next;
    int64_t deadline_ns;        /* CLOCK_MONOTONIC; a statement that runs longer is interrupted. 0: none */
    const _Atomic bool *stop;   /* set: interrupted at once */
    struct peri_health *health; /* hears of damage; NULL: nobody */
};

struct peri_tx {
    struct peri_db *db;
    int64_t now_ms;
    uint64_t next_seq, next_run;
    uint64_t entity_seq;    /* journal position that new entities carry; 0: that of the newest event */
    struct peri_flow *flow; /* counts of events by source; NULL: nobody counts */
    size_t flow_log;        /* entries of this group */
    char ruleset[65];       /* hash of the text that was put last in this group */
    uint64_t ruleset_last;  /* ... for runs up to this one */
    bool no_waits;          /* no run waits for an event, as of this place in the group */
};

struct peri_reader {
    struct peri_db db;
};

/* The writer's connection, for tests that set its limits while nothing is queued. */
struct peri_db *peri_store_db(struct peri_store *store);
/* Does now, and waits for, what the store's thread does once a second. For tests. */
void peri_store_upkeep(struct peri_store *store);

enum peri_db_mode { PERI_DB_WRITE, PERI_DB_READ };

/* Opens the connection and sets what does not change the file. path may be a "file:/perigee-..." name of an in-memory
 * database. On failure db is finished. */
enum peri_status peri_db_open(
    struct peri_db *db, const char *path, enum peri_db_mode mode, struct peri_error *err) PERI_MUST_CHECK;
void peri_db_finish(struct peri_db *db);
bool peri_db_is_memory(const char *path);
/* Statements without results, one or several. */
enum peri_status peri_db_exec(struct peri_db *db, const char *sql, struct peri_error *err) PERI_MUST_CHECK;
/* First column of the first row; fallback when there is none. */
enum peri_status peri_db_int(
    struct peri_db *db, const char *sql, int64_t fallback, int64_t *ret, struct peri_error *err) PERI_MUST_CHECK;
/* Turns SQLite's result code into a status and a message with the path. */
enum peri_status peri_db_error(struct peri_db *db, int rc, struct peri_error *err);

/* What was read is not what was written: tells the store and returns PERI_ECORRUPT. code may be NULL. */
enum peri_status peri_db_damage(struct peri_db *db, struct peri_error *err, const char *code, const char *fmt, ...)
    PERI_PRINTF(4, 5);

int64_t peri_db_now_ns(void); /* CLOCK_MONOTONIC */
/* A bounded read: statements that run past the deadline end with PERI_ETIMEOUT. */
void peri_db_limit(struct peri_db *db, int64_t ns);

/* One use of a prepared statement: open, bind in order, row or exec, close. Text and blobs must live until close.
 * Binding errors are kept and reported by the next call. close is safe on a zeroed or closed one. */
struct peri_stmt {
    struct peri_db *db;
    sqlite3_stmt *raw;
    int bound, rc;
    bool owned;
};
/* sql: a constant, whose address is the key. */
enum peri_status peri_stmt_open(
    struct peri_stmt *q, struct peri_db *db, const char *sql, struct peri_error *err) PERI_MUST_CHECK;
/* sql: any text; the few last ones stay prepared. */
enum peri_status peri_stmt_open_text(
    struct peri_stmt *q, struct peri_db *db, const char *sql, struct peri_error *err) PERI_MUST_CHECK;
void peri_stmt_int(struct peri_stmt *q, int64_t v);
void peri_stmt_real(struct peri_stmt *q, double v);
void peri_stmt_text(struct peri_stmt *q, const char *s); /* NULL binds NULL */
void peri_stmt_textn(struct peri_stmt *q, const char *s, size_t len);
void peri_stmt_blob(struct peri_stmt *q, const void *p, size_t len);
enum peri_status peri_stmt_row(struct peri_stmt *q, bool *ret_row, struct peri_error *err) PERI_MUST_CHECK;
/* Runs to the end and closes. */
enum peri_status peri_stmt_exec(struct peri_stmt *q, struct peri_error *err) PERI_MUST_CHECK;
void peri_stmt_close(struct peri_stmt *q);
int64_t peri_stmt_get_int(struct peri_stmt *q, int column);
const char *peri_stmt_get_text(struct peri_stmt *q, int column); /* borrow until the next row; NULL for NULL */
const void *peri_stmt_get_blob(struct peri_stmt *q, int column); /* the same */
size_t peri_stmt_get_bytes(struct peri_stmt *q, int column);
/* A fresh copy; PERI_ENOMEM. *ret is NULL for NULL. */
enum peri_status peri_stmt_dup(struct peri_stmt *q, int column, char **ret, struct peri_error *err) PERI_MUST_CHECK;
/* The column's JSON text as a value; NULL column gives NULL. Damage: PERI_ECORRUPT. */
enum peri_status peri_stmt_json(
    struct peri_stmt *q, int column, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Rows that the last statement changed. */
int64_t peri_db_changes(struct peri_db *db);

/* store_flow.c, in the transaction that stores an event or ends it. */
enum peri_flow_stored { PERI_FLOW_OPEN, PERI_FLOW_TWICE, PERI_FLOW_ENDED };
enum peri_status peri_flow_stored(
    struct peri_tx *tx, const char *source, enum peri_flow_stored as, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_flow_ended(
    struct peri_tx *tx, const char *source, bool dead, struct peri_error *err) PERI_MUST_CHECK;
void peri_flow_wipe(struct peri_flow *flow);

/* Schema. A step brings a database from version n to n+1. */
#define PERI_DB_APPLICATION 0x50455249        /* "PERI" */
extern const char *const peri_schema_steps[]; /* NULL-ended; the number of steps is the current version */
/* Checks what is there without changing it: *ret_version 0 for an empty database. PERI_ECORRUPT: no database of ours;
 * PERI_ESTATE: made by a newer perigee. */
enum peri_status peri_schema_inspect(
    struct peri_db *db, int newest, int *ret_version, struct peri_error *err) PERI_MUST_CHECK;
/* Runs the steps that are missing, each in a transaction. An existing database is copied to "<path>.v<version>.bak"
 * before. */
enum peri_status peri_schema_migrate(
    struct peri_db *db, const char *const *steps, int version, struct peri_error *err) PERI_MUST_CHECK;
int peri_schema_newest(const char *const *steps);

/* Small facts, shared by both sides. *ret NULL when absent; malloc'ed. */
enum peri_status peri_db_meta_get(
    struct peri_db *db, const char *key, char **ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_db_meta_int(
    struct peri_db *db, const char *key, int64_t fallback, int64_t *ret, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_db_meta_set(
    struct peri_db *db, const char *key, const char *value, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_db_meta_set_int(
    struct peri_db *db, const char *key, int64_t value, struct peri_error *err) PERI_MUST_CHECK;

/* store_dedupe.c: events that their senders repeat, recognised by source and the sender's id. */
#define PERI_DEDUPE_KEY 131 /* bytes of a key at most */
/* *ret_first: the seq of the event that has this pair already, or 0 and the pair is taken for seq. */
enum peri_status peri_dedupe_take(struct peri_tx *tx, const char *source, const char *external_id, uint64_t seq,
    uint64_t *ret_first, struct peri_error *err) PERI_MUST_CHECK;
/* How many events from the first one on may be taken as a run: of one source, with ids that ascend. */
struct peri_event;
size_t peri_dedupe_run(struct peri_event *const *events, size_t count);
/* The pairs of such n events are taken for seq and the numbers behind it, if nobody has one of them or one that lies
 * between them: *ret_taken. Otherwise nothing is. The events are to be stored under these numbers at once. */
enum peri_status peri_dedupe_take_run(struct peri_tx *tx, struct peri_event *const *events, size_t n, uint64_t seq,
    bool *ret_taken, struct peri_error *err) PERI_MUST_CHECK;
/* The pair is taken for seq, if nobody has it. */
enum peri_status peri_dedupe_put(struct peri_db *db, const char *source, const char *external_id, int64_t seq,
    struct peri_error *err) PERI_MUST_CHECK;
/* The event seq, which is there, is not recognised any more, nor will be any other up to forgotten_to. *ret_gone: that
 * took a row away. */
enum peri_status peri_dedupe_forget(struct peri_tx *tx, const char *source, const char *external_id, int64_t seq,
    int64_t forgotten_to, bool *ret_gone, struct peri_error *err) PERI_MUST_CHECK;
/* Makes dedupe_key(source, id) known to a connection. An SQLite result code. */
int peri_dedupe_register(sqlite3 *handle);
/* Checksum of what an attempt sent and got; either may be NULL. */
uint32_t peri_step_crc(const char *params, const char *result);

/* Entities: a stored row, and what a patch or a query must look like. */
struct peri_entity {
    int64_t rid, version, updated;
    char *id, *source, *external_id;
    struct peri_value *attrs;
};
/* Columns of peri_entity_load, in its order. */
#define PERI_ENTITY_COLUMNS "rid,id,source,external_id,attrs,version,updated"
enum peri_status peri_entity_load(struct peri_stmt *q, struct peri_entity *ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_entity_finish(struct peri_entity *entity);
enum peri_status peri_entity_value(const struct peri_entity *entity, const char *type, struct peri_value **ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* Texts that are RFC 3339 times in the one stored form, at any depth. New reference. */
enum peri_status peri_entity_normalise(
    const struct peri_value *v, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
struct peri_query;
/* What SQLite would do for the query, a step a line; malloc'ed. For tests and `doctor`. */
enum peri_status peri_query_plan(
    struct peri_reader *reader, const struct peri_query *query, char **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Rows of entity_terms for what the entity's list fields hold; those that are there already stay. */
enum peri_status peri_entity_terms_add(struct peri_tx *tx, const char *type, const struct peri_value *attrs,
    int64_t rid, struct peri_error *err) PERI_MUST_CHECK;
/* Is the field a list whose elements are kept in entity_terms? */
bool peri_entity_has_terms(const char *type, const char *field);

/* store_prune.c: carries out a DELETE with two parameters, a bound and at most *rows; *rows is what is left of them,
 * *more whether there may be more to delete. */
enum peri_status peri_tx_prune_page(struct peri_tx *tx, const char *sql, int64_t before, int64_t *rows, bool *more,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
