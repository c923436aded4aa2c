/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_INTERNAL_H
#define PERI_IO_STORE_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>
#include "io/store_db.h"
#include "io/store_health.h"

/* What the files of the writing side share: store.c (queue and groups), store_open.c, store_space.c (full disk),
 * store_high.c (the mark of what was acknowledged), store_check.c (the check in the background). */

struct op;

/* Room that is held back for the way out of a full disk. */
struct space {
    char *path;         /* state/reserve */
    int64_t bytes;      /* its size; 0: none is kept */
    int64_t back_at_ns; /* while full: not before this is looked again */
    int64_t good_ns;    /* when it was good again; 0: never full yet */
    int64_t pause_ns;   /* between looks; grows when the disk is full again at once */
    struct peri_metric *reserve, *disk_free, *bytes_used, *wal, *unused;
};

struct high {
    char *path; /* state/high */
    int fd;
    int trying_fd;     /* state/trying */
    uint64_t seq, run; /* as written */
    int64_t written_ns;
};

/* The files as they were opened. */
struct files {
    char *wal; /* NULL in memory */
    dev_t device, wal_device;
    ino_t inode, wal_inode; /* 0: not seen yet */
};

/* store_heard.c: texts of rules that nothing names any more. */
enum peri_status peri_store_drop_rulesets(struct peri_db *db, struct peri_error *err) PERI_MUST_CHECK;

struct peri_store {
    struct peri_store_options options;
    struct peri_db db;
    struct peri_health *health;
    struct space space;
    struct high high;
    struct files files;
    struct peri_flow *flow;
    struct peri_store_found found;
    char *path, *lock_path;
    int lock_fd;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t wake, rounds;
    struct op *head, **tail;
    size_t queued, queued_bytes;
    bool stopping;
    unsigned upkeep_asked, upkeep_done; /* peri_store_upkeep */
    int64_t upkeep_ns;                  /* when it was done last */
    bool worked;                        /* something was written since then; store thread only */
    uint64_t next_seq, next_run;        /* of the committed state; only the store's thread */
    unsigned careful;                   /* so many groups more are run with savepoints; only the store's thread */
    bool checking;                      /* the check in the background was started */
    pthread_t checker;
    struct peri_db check_db;
    _Atomic bool check_stop;
    struct peri_metric *commits, *operations, *failures, *commit_us, *queue_depth;
};

int64_t peri_store_mono_ns(void);
enum peri_status peri_store_simple(struct peri_db *db, const char *sql, struct peri_error *err);
void peri_store_rollback(struct peri_store *store);
char *peri_store_beside(const struct peri_store *store, const char *name); /* malloc'ed path in the same folder */

/* store_open.c: everything up to the counters; the thread is not running. */
enum peri_status peri_store_prepare(struct peri_store *store, struct peri_error *err);

/* store_space.c. start: before the database is opened; drops the reserve when the disk is as good as full. */
enum peri_status peri_space_start(struct peri_store *store, struct peri_error *err);
/* The database could not be opened for want of room: true when there is more now. */
bool peri_space_give(struct peri_store *store, const struct peri_error *err);
void peri_space_full(struct peri_store *store, const struct peri_error *err); /* a group failed */
void peri_space_upkeep(struct peri_store *store, int64_t now_ns);
void peri_space_finish(struct peri_store *store);

/* store_files.c: are they still the ones that were opened? start remembers them. */
enum peri_status peri_files_start(struct peri_store *store, struct peri_error *err);
enum peri_status peri_files_check(struct peri_store *store, struct peri_error *err);

/* store_high.c. peri_high_read: false when the file says nothing. */
bool peri_high_read(int fd, uint64_t *ret_seq, uint64_t *ret_run, int64_t *ret_alive_ms);
enum peri_status peri_high_open(struct peri_store *store, struct peri_error *err);
void peri_high_upkeep(struct peri_store *store, int64_t now_ns);
bool peri_high_due(const struct peri_store *store);
void peri_high_close(struct peri_store *store);

/* store_flow.c: write before a COMMIT, done after it or its failure; due: there is something to be written. */
enum peri_status peri_flow_create(struct peri_db *db, struct peri_flow **ret, struct peri_error *err);
void peri_flow_destroy(struct peri_flow *flow);
enum peri_status peri_flow_write(struct peri_tx *tx, struct peri_error *err);
void peri_flow_done(struct peri_flow *flow, bool committed);
bool peri_flow_due(struct peri_flow *flow);
void peri_flow_upkeep(struct peri_store *store);

/* store_check.c */
enum peri_status peri_check_quick(struct peri_db *db, struct peri_error *err);
void peri_check_begin(struct peri_store *store);
void peri_check_end(struct peri_store *store);

#endif
