/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdatomic.h>
#include "base/str.h"
#include "io/store_internal.h"

/* Is the structure of the database whole? After an unclean stop; a large one while the service runs already, on a
 * connection of its own. */

enum peri_status peri_check_quick(struct peri_db *db, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open_text(&q, db, "PRAGMA quick_check(1)", err);
    if (!st)
        st = peri_stmt_row(&q, &row, err);
    const char *text = !st && row ? peri_stmt_get_text(&q, 0) : NULL;
    if (!st && !peri_streq(text, "ok"))
        st = peri_db_damage(db, err, NULL, "%s is damaged: %s", db->path, text ? text : "no answer");
    peri_stmt_close(&q);
    return st;
}

static void *check_thread(void *arg)
{
    struct peri_store *store = arg;
    struct peri_error err;
    sigset_t all;
    sigfillset(&all); /* signals are for the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    enum peri_status st = peri_db_open(&store->check_db, store->path, PERI_DB_READ, &err);
    if (!st) {
        store->check_db.stop = &store->check_stop;
        store->check_db.health = store->health;
        st = peri_check_quick(&store->check_db, &err);
        peri_db_finish(&store->check_db);
    }
    if (!st)
        peri_info(store->options.log, "store", "%s: the check found nothing", store->path);
    else if (st != PERI_ECORRUPT && !atomic_load(&store->check_stop))
        peri_warn(store->options.log, "store", "the check could not be ended: %s", err.message);
    return NULL;
}

void peri_check_begin(struct peri_store *store)
{
    store->checking = pthread_create(&store->checker, NULL, check_thread, store) == 0;
    if (!store->checking)
        peri_warn(store->options.log, "store", "no thread for the check of the database");
}

void peri_check_end(struct peri_store *store)
{
    if (!store->checking)
        return;
    atomic_store(&store->check_stop, true);
    pthread_join(store->checker, NULL);
    store->checking = false;
}
