/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_CIRCUIT_H
#define PERI_RUN_CIRCUIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "data/value.h"
#include "io/store_pace.h"

/* A circuit breaker for each destination (a channel's account, a host). Only destinations that have failed lately are
 * remembered.
 *
 *   closed     calls go; PERI_CIRCUIT_FAILURES failures in a row open it
 *   open       no call goes until `until`; then
 *   half open  one call goes, the probe: it closes the circuit, or opens it for twice as long
 *
 * Pure: times are arguments, what is to be stored is told. */
struct peri_circuits;

#define PERI_CIRCUIT_FAILURES 10
#define PERI_CIRCUIT_FIRST_MS (30 * 1000LL)
#define PERI_CIRCUIT_LAST_MS (600 * 1000LL)
#define PERI_CIRCUIT_PROBE_MS (60 * 1000LL) /* a probe that is never heard of again holds up others so long */
#define PERI_CIRCUIT_DESTINATIONS 10000
#define PERI_CIRCUIT_WAITERS 100000 /* woken at once when a circuit closes; others wake by themselves */
#define PERI_CIRCUIT_NAME 160

struct peri_circuits *peri_circuits_create(void);
void peri_circuits_destroy(struct peri_circuits *c);

enum peri_status peri_circuits_restore(struct peri_circuits *c, const struct peri_circuit_stored *row) PERI_MUST_CHECK;

/* May a call go? Otherwise *ret_until_ms says when to ask again, and why is filled. take: the caller goes at once, and
 * is the probe if one is due. */
bool peri_circuits_admit(struct peri_circuits *c, const char *destination, bool take, int64_t now_ms,
    int64_t *ret_until_ms, struct peri_error *why);
/* All times are durable ms. What is shown is that plus offset_ms, as last said here. */
void peri_circuits_clock(struct peri_circuits *c, int64_t offset_ms);
/* A run sleeps because of it, until wake_ms. */
void peri_circuits_wait(struct peri_circuits *c, const char *destination, uint64_t run, int64_t wake_ms);

enum peri_circuit_change { PERI_CIRCUIT_SAME, PERI_CIRCUIT_OPENED, PERI_CIRCUIT_CLOSED };
/* How a call has ended: error NULL is success, which closes a circuit. OPENED: *ret_row is to be stored (valid until
 * the next call). CLOSED: its row is to go, and each run that waits is told to woken. */
enum peri_circuit_change peri_circuits_result(struct peri_circuits *c, const char *destination,
    const struct peri_error *error, int64_t now_ms, struct peri_circuit_stored *ret_row,
    void (*woken)(void *arg, uint64_t run, int64_t wake_ms), void *arg);
/* Says a failure something about the destination, and not about the call or about us? */
bool peri_circuit_counts(const struct peri_error *error);

size_t peri_circuits_open(const struct peri_circuits *c);
/* [{destination, state: "open"|"half_open"|"closed", failures, opened?, until?, waiting?, error?}]. New reference. */
struct peri_value *peri_circuits_value(const struct peri_circuits *c, int64_t now_ms);

#endif
