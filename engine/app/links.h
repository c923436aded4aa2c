/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LINKS_H
#define PERI_APP_LINKS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

/* Addresses that let whoever has one answer one question of one run, until they expire. The signature is an HMAC with a
 * key of the state folder (file "link.key"); without it nothing can be changed or made up. */

#define PERI_LINK_LIFE_MS (30LL * 24 * 3600 * 1000)
#define PERI_LINK_STEP 65 /* bytes of a step's id with its NUL */

struct peri_links {
    unsigned char key[32];
    char *base; /* http.public_url or the service's own address, without a slash at the end */
};

/* Reads or makes the key. */
enum peri_status peri_links_open(
    struct peri_links *links, const char *state_dir, const char *base, struct peri_error *err) PERI_MUST_CHECK;
void peri_links_finish(struct peri_links *links);
/* The whole address; step is an id or a number. malloc'ed, NULL when memory is out. */
char *peri_link_make(const struct peri_links *links, uint64_t run, const char *step, int64_t expires_ms);

enum peri_link_state { PERI_LINK_GOOD, PERI_LINK_EXPIRED, PERI_LINK_BAD };
enum peri_link_state peri_link_read(const struct peri_links *links, const char *token, int64_t now_ms,
    uint64_t *ret_run, char ret_step[PERI_LINK_STEP]);

#endif
