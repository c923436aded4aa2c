/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_STATUS_H
#define PERI_BASE_STATUS_H

/* What every function that can fail returns. Ignoring it warns. */
enum peri_status {
    PERI_OK = 0,
    PERI_ENOMEM,    /* out of memory, or a stated cap of a buffer reached */
    PERI_EINVAL,    /* input from outside is malformed; the error says where and why */
    PERI_ENOTFOUND, /* the named thing does not exist */
    PERI_EEXIST,    /* it exists already */
    PERI_EIO,       /* the operating system, the network or the store failed */
    PERI_ELIMIT,    /* a limit was reached: size, depth, budget, queue */
    PERI_EDENIED,   /* policy says no */
    PERI_ETIMEOUT,  /* the deadline passed */
    PERI_EBUSY,     /* a bounded queue is full, or a lock is held: try again later */
    PERI_EFULL,     /* no space left on the device */
    PERI_ECORRUPT,  /* stored data is damaged */
    PERI_ESTATE,    /* not allowed in the present state */
    PERI_EINTERNAL  /* our own mistake: logged, counted, survived */
};

#define PERI_MUST_CHECK __attribute__((warn_unused_result))
#define PERI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* A stable lower-case name: "ok", "invalid", "not_found", ... Never NULL. */
const char *peri_status_name(enum peri_status status);

#endif
