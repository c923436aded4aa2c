/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_WEBHOOK_H
#define PERI_LANG_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a trigger `webhook` says of the door: who may come in, and what of a request becomes the event. Its event is of
 * the type "webhook.<path>", with dots for the slashes, so the rest of the rule is that of any event. */

#define PERI_WEBHOOK_PATH_MAX 200
#define PERI_WEBHOOK_HEADERS 16
#define PERI_WEBHOOK_BYTES (64 * 1024) /* max_bytes where the trigger says nothing */
#define PERI_WEBHOOK_BYTES_MAX (1024 * 1024)
#define PERI_WEBHOOK_TOLERANCE_MS 300000

enum peri_webhook_proof {
    PERI_WEBHOOK_OPEN,   /* none: whoever knows the address */
    PERI_WEBHOOK_TOKEN,  /* the secret itself, in a header or the query */
    PERI_WEBHOOK_HMAC,   /* a signature of the body */
    PERI_WEBHOOK_STRIPE, /* of "<time>.<body>", time and signatures in one header */
    PERI_WEBHOOK_SLACK   /* of "v0:<time>:<body>", the time in a header of its own */
};

struct peri_webhook {
    char *path;       /* "doorbell", "github/push" */
    unsigned methods; /* bits by the order of peri_webhook_method_at */
    enum peri_webhook_proof proof;
    char *secret;         /* its name; NULL: none */
    char *header, *query; /* where the proof stands; both NULL: Authorization: Bearer */
    char *prefix;         /* before the signature, or NULL */
    bool sha1, base64;
    int64_t tolerance_ms; /* how old a signed time may be */
    bool local_only;
    char *headers[PERI_WEBHOOK_HEADERS]; /* that the event gets, in lower case */
    size_t header_count;
    char *delivery_id; /* the header that tells repeats, or NULL */
    int64_t max_bytes;
    char spec[65]; /* of all that is above but path: rules that share a path agree in it */
};

/* "GET", "POST", ...; NULL behind the last. */
const char *peri_webhook_method_at(size_t i);
void peri_webhook_destroy(struct peri_webhook *webhook);

#endif
