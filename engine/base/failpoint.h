/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_FAILPOINT_H
#define PERI_BASE_FAILPOINT_H

/* Named places around everything that is written. A build for tests (PERIGEE_FAILPOINTS, in the presets dev and clang)
 * ends there by SIGKILL when the environment says so:
 *
 *     PERIGEE_FAILPOINT=t2.rows      at the first passage
 *     PERIGEE_FAILPOINT=t2.rows@7    at the seventh
 *
 * In other builds nothing of it is there. tests/e2e/chaos.py finds the names in the sources. */
#ifdef PERIGEE_FAILPOINTS
void peri_failpoint(const char *name);
#define PERI_FAILPOINT(name) peri_failpoint(name)
#else
#define PERI_FAILPOINT(name) ((void)0)
#endif

#endif
