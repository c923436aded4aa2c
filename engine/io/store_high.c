/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include "io/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file `high`: the highest numbers that were committed, and when the service was last alive. A database whose WAL
 * was damaged, or that was put back from a copy, opens without a word and without its newest rows; this file is the
 * only witness. It is written in place, each second while the numbers change and four times a minute otherwise, and
 * synced at stop: after a power cut it may be older than the database, which says nothing, but never newer. */

#define ALIVE_NS INT64_C(15000000000)
#define TEXT_BYTES 64

bool peri_high_read(int fd, uint64_t *ret_seq, uint64_t *ret_run, int64_t *ret_alive_ms)
{
    char text[TEXT_BYTES + 1] = "";
    uint64_t seq, run;
    int64_t alive;
    if (pread(fd, text, TEXT_BYTES, 0) != TEXT_BYTES || text[TEXT_BYTES - 1] != '\n' ||
        sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNd64, &seq, &run, &alive) != 3)
        return false;
    *ret_seq = seq;
    *ret_run = run;
    *ret_alive_ms = alive;
    return true;
}

static enum peri_status open_trying(struct peri_store *store, struct peri_error *err)
{
    struct high *h = &store->high;
    uint64_t tries;
    int64_t unused;
    char *path = peri_store_beside(store, "trying");
    if (!path)
        return peri_error_nomem(err);
    h->trying_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (h->trying_fd < 0)
        peri_warn(store->options.log, "store", "%s: %s", path, strerror(errno));
    else if (peri_high_read(h->trying_fd, &store->found.trying_seq, &tries, &unused))
        store->found.tries = (int)(tries < 1000 ? tries : 1000);
    free(path);
    return PERI_OK;
}

enum peri_status peri_high_open(struct peri_store *store, struct peri_error *err)
{
    struct high *h = &store->high;
    if (!store->options.high)
        return PERI_OK;
    h->path = peri_store_beside(store, "high");
    if (!h->path)
        return peri_error_nomem(err);
    h->fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (h->fd < 0) {
        peri_warn(store->options.log, "store", "%s: %s", h->path, strerror(errno));
        return PERI_OK;
    }
    struct stat sb;
    if (!peri_high_read(h->fd, &store->found.high_seq, &h->run, &store->found.alive_ms) && fstat(h->fd, &sb) == 0 &&
        sb.st_size > 0)
        peri_warn(store->options.log, "store", "%s can not be read: it is written again", h->path);
    h->seq = store->found.high_seq;
    return open_trying(store, err);
}

void peri_store_trying(struct peri_store *store, uint64_t seq, int tries)
{
    char text[TEXT_BYTES + 1];
    snprintf(text, sizeof(text), "%020" PRIu64 " %020d %020d \n", seq, tries, 0);
    if (store->high.trying_fd >= 0 && pwrite(store->high.trying_fd, text, TEXT_BYTES, 0) != TEXT_BYTES)
        return; /* a full disk: nothing is evaluated on one */
}

bool peri_high_due(const struct peri_store *store)
{
    const struct high *h = &store->high;
    return h->fd >= 0 && (h->seq != store->next_seq - 1 || h->run != store->next_run - 1);
}

static void write_high(struct peri_store *store, int64_t now_ns)
{
    struct high *h = &store->high;
    char text[TEXT_BYTES + 1];
    uint64_t seq = store->next_seq - 1, run = store->next_run - 1;
    snprintf(text, sizeof(text), "%020" PRIu64 " %020" PRIu64 " %020" PRId64 " \n", seq, run,
        peri_clock_wall_ms(&store->options.clock));
    PERI_FAILPOINT("high.write");
    if (pwrite(h->fd, text, TEXT_BYTES, 0) != TEXT_BYTES)
        return; /* a full disk: the next second tries again */
    h->seq = seq;
    h->run = run;
    h->written_ns = now_ns;
}

void peri_high_upkeep(struct peri_store *store, int64_t now_ns)
{
    if (store->high.fd >= 0 && (peri_high_due(store) || now_ns - store->high.written_ns >= ALIVE_NS))
        write_high(store, now_ns);
}

void peri_high_close(struct peri_store *store)
{
    if (store->high.fd < 0)
        return;
    peri_store_trying(store, 0, 0); /* what was not decided at an orderly stop has done no harm */
    write_high(store, peri_store_mono_ns());
    if (fsync(store->high.fd) != 0)
        peri_warn(store->options.log, "store", "%s: %s", store->high.path, strerror(errno));
}
