/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_GRANTS_H
#define PERI_PLUGIN_GRANTS_H

#include "plugin/policy.h"

/* How policy.c builds what policy.h's questions are asked of. */
struct peri_grants *peri_grants_create(void);
/* A checked permission; {config.KEY} hosts are looked up in config (may be NULL: then they grant nothing) and count as
 * named by the operator when they stand in given too: a default is the plugin author's word. */
enum peri_status peri_grants_add(struct peri_grants *grants, const char *permission, const struct peri_value *config,
    const struct peri_value *given) PERI_MUST_CHECK;
/* text: host, host:port, [v6]:port or a URL. named: by the operator. Malformed text adds nothing. */
enum peri_status peri_grants_add_host(struct peri_grants *grants, const char *text, bool named) PERI_MUST_CHECK;
/* Do both grant the same, in the same order? */
bool peri_grants_equal(const struct peri_grants *a, const struct peri_grants *b);
/* Host and port of a URL or "host[:port]" text; *ret_port 0 when there is none and the scheme has no default. Host in
 * lower case, without brackets, malloc'ed. False when malformed. */
bool peri_host_of(const char *text, char **ret_host, int *ret_port);

#endif
