/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_CLIENT_H
#define PERI_APP_CLIENT_H

#include "app/cli.h"

/* The running service, as commands see it: JSON over its HTTP API, one request after another. */
struct peri_client;

/* Finds address and token from the configuration and the state folder. Does not connect yet. */
enum peri_status peri_client_open(
    struct peri_cli *cli, struct peri_client **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_client_close(struct peri_client *client);

/* Sends a request; body may be NULL. PERI_EIO "unavailable": the service does not answer. A problem answer becomes its
 * status (PERI_ENOTFOUND for 404, PERI_EINVAL for other 4xx, PERI_EBUSY for 429 and 503) and err->message its detail.
 * *ret may be NULL for an empty answer. */
enum peri_status peri_client_call(struct peri_client *client, const char *method, const char *path,
    const struct peri_value *body, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* True when the service answers at all. */
bool peri_client_alive(struct peri_client *client);
/* Appends text percent-encoded (RFC 3986 unreserved characters stay). */
struct peri_buf;
void peri_url_encode(struct peri_buf *out, const char *text);
/* Exit code and message for a failed call. */
int peri_client_fail(struct peri_cli *cli, const struct peri_error *err);

#endif
