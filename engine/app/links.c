/* SPDX-License-Identifier: Apache-2.0 */
#include "app/links.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "base/id.h"
#include "base/str.h"

#define SIGNATURE 32 /* hex digits: 128 bits */

static bool from_hex(const char *text, unsigned char *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        out[i] = (unsigned char)byte;
    }
    return true;
}

static enum peri_status make_key(struct peri_links *links, const char *path, struct peri_error *err)
{
    char line[2 * sizeof(links->key) + 2];
    if (peri_random(links->key, sizeof(links->key)) != PERI_OK)
        return peri_error_set(err, PERI_EIO, NULL, "the system has no random numbers");
    for (size_t i = 0; i < sizeof(links->key); i++)
        snprintf(line + 2 * i, 3, "%02x", links->key[i]);
    memcpy(line + 2 * sizeof(links->key), "\n", 2);
    return peri_path_write_private(path, line, err);
}

enum peri_status peri_links_open(
    struct peri_links *links, const char *state_dir, const char *base, struct peri_error *err)
{
    char *path = peri_path_join(state_dir, "link.key"), *text = NULL;
    size_t len = base ? strlen(base) : 0, n = 0;
    while (len > 0 && base[len - 1] == '/')
        len--;
    memset(links, 0, sizeof(*links));
    links->base = peri_strndup(base ? base : "", len);
    if (!path || !links->base) {
        free(path);
        return peri_error_nomem(err);
    }
    enum peri_status st = peri_path_read(path, 4096, &text, &n, err);
    if (st == PERI_ENOTFOUND)
        st = make_key(links, path, err);
    else if (st == PERI_OK && (n < 2 * sizeof(links->key) || !from_hex(text, links->key, sizeof(links->key))))
        st = peri_error_set(err, PERI_EINVAL, NULL, "%s is no key: delete it, and a new one is made", path);
    free(text);
    free(path);
    return st;
}

void peri_links_finish(struct peri_links *links)
{
    free(links->base);
    memset(links, 0, sizeof(*links));
}

static void sign(const struct peri_links *links, const char *what, char out[SIGNATURE + 1])
{
    unsigned char mac[64];
    size_t len = peri_hmac("sha256", links->key, sizeof(links->key), what, strlen(what), mac);
    for (size_t i = 0; i < SIGNATURE / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", i < len ? mac[i] : 0);
}

char *peri_link_make(const struct peri_links *links, uint64_t run, const char *step, int64_t expires_ms)
{
    char signature[SIGNATURE + 1];
    char *what = peri_asprintf("%" PRIu64 "-%s-%" PRId64, run, step, expires_ms);
    if (!what)
        return NULL;
    sign(links, what, signature);
    char *link = peri_asprintf("%s/approve/%s-%s", links->base, what, signature);
    free(what);
    return link;
}

enum peri_link_state peri_link_read(
    const struct peri_links *links, const char *token, int64_t now_ms, uint64_t *ret_run, char ret_step[PERI_LINK_STEP])
{
    char signature[SIGNATURE + 1], step[PERI_LINK_STEP];
    size_t len = strlen(token);
    uint64_t run;
    int64_t expires;
    if (len < SIGNATURE + 6 || len > 200 || token[len - SIGNATURE - 1] != '-')
        return PERI_LINK_BAD;
    char *what = peri_strndup(token, len - SIGNATURE - 1);
    if (!what)
        return PERI_LINK_BAD;
    sign(links, what, signature);
    bool good = peri_equal_secret(token + len - SIGNATURE, SIGNATURE, signature, SIGNATURE) &&
                sscanf(what, "%" SCNu64 "-%64[A-Za-z0-9_]-%" SCNd64, &run, step, &expires) == 3;
    free(what);
    if (!good)
        return PERI_LINK_BAD;
    *ret_run = run;
    snprintf(ret_step, PERI_LINK_STEP, "%s", step);
    return now_ms < expires ? PERI_LINK_GOOD : PERI_LINK_EXPIRED;
}
