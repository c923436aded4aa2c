/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_TASKS_H
#define PERI_IO_STORE_TASKS_H

#include "io/store.h"

/* Scheduled actions: one call of an operator, at a time. Each is a run of a rule that was made for it; what became of
 * it is what became of that run. It goes with its run. Public form {id ("task-7"), operator, params, at, key?, created,
 * run, state, error?}; state: scheduled, running, done, failed, cancelled, unknown. */
struct peri_task {
    const char *op, *params, *key; /* params: JSON; key may be NULL */
    int64_t at_ms;
    uint64_t run;
};
#define PERI_TASK_ID 32
char *peri_task_id(uint64_t id, char out[PERI_TASK_ID]);
bool peri_task_id_parse(const char *text, uint64_t *ret);

/* The task that was made with this key before; 0: none. */
enum peri_status peri_tx_task_find(
    struct peri_tx *tx, const char *key, uint64_t *ret_id, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_tx_task_put(
    struct peri_tx *tx, const struct peri_task *task, uint64_t *ret_id, struct peri_error *err) PERI_MUST_CHECK;
/* A retry took the place of the run. */
enum peri_status peri_tx_task_moved(
    struct peri_tx *tx, uint64_t from, uint64_t to, struct peri_error *err) PERI_MUST_CHECK;

struct peri_task_filter {
    const char *op, *state; /* exactly; NULL: any */
    uint64_t before;        /* ids below this; 0: any */
    size_t limit;           /* default 50, at most 1000 */
};
enum peri_status peri_reader_tasks(struct peri_reader *reader, const struct peri_task_filter *filter,
    struct peri_value **ret_list, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_reader_task(struct peri_reader *reader, uint64_t id, struct peri_value **ret, uint64_t *ret_run,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
