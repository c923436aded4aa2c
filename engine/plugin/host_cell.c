/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's eye on the processes of plugins: one that ends while nobody calls it is started again, at once the first
 * time and later and later when that goes on. A call finds out by itself. */
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/cell.h"
#include "plugin/host_internal.h"

#define AGAIN_MS 1000
#define AGAIN_MAX_MS 60000
#define QUIET_MS 300000 /* after this long, the next loss is a first one */

/* What is watched, or waits to be started again, stands in host->watched and holds a reference. */
static void stop_looking(struct peri_plugin *p)
{
    if (p->exit_io) {
        peri_io_destroy(p->exit_io);
        close(p->exit_fd);
    }
    p->exit_io = NULL;
    peri_timer_cancel(p->restart_timer);
    p->restart_timer = NULL;
}

void peri_cell_unwatch(struct peri_plugin *p)
{
    if (!p->watched)
        return;
    stop_looking(p);
    if (p->watch_prev)
        p->watch_prev->watch_next = p->watch_next;
    else
        p->host->watched = p->watch_next;
    if (p->watch_next)
        p->watch_next->watch_prev = p->watch_prev;
    p->watch_prev = p->watch_next = NULL;
    p->watched = false;
    peri_plugin_unref(p);
}

static void send_lost(void *arg)
{
    struct peri_plugin *p = arg;
    p->restart_timer = NULL;
    atomic_store(&p->lost_pid, p->watched_pid);
    if (!atomic_exchange(&p->lost_sent, true)) {
        p->lost_item = (struct peri_item){.kind = PERI_ITEM_LOST, .plugin = p};
        (void)!peri_item_send(p->host, p, &p->lost_item, false);
    }
    peri_cell_unwatch(p);
}

static int64_t pause_before(struct peri_plugin *p)
{
    int64_t now = peri_clock_mono(&p->host->options.clock).ns / 1000000, pause = AGAIN_MS;
    p->losses = p->lost_ms && now - p->lost_ms < QUIET_MS ? p->losses + 1 : 0;
    p->lost_ms = now ? now : 1;
    for (int i = 1; i < p->losses && pause < AGAIN_MAX_MS; i++)
        pause *= 2;
    return p->losses == 0 ? 0 : pause < AGAIN_MAX_MS ? pause : AGAIN_MAX_MS;
}

static void ended(void *arg, int fd, int what)
{
    struct peri_plugin *p = arg;
    stop_looking(p);
    if (p->state != PERI_PLUGIN_ACTIVE || p->host->closing)
        peri_cell_unwatch(p);
    else if (peri_loop_after(p->host->options.loop, pause_before(p), send_lost, p, &p->restart_timer))
        send_lost(p);
}

void peri_cell_watch(struct peri_plugin *p)
{
    int pid = atomic_load(&p->pid);
    peri_cell_unwatch(p);
    if (pid <= 0 || p->host->closing)
        return;
    p->exit_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (p->exit_fd < 0)
        return; /* gone already: a call will notice */
    if (peri_loop_io(p->host->options.loop, p->exit_fd, PERI_IO_READ, ended, p, &p->exit_io)) {
        p->exit_io = NULL;
        close(p->exit_fd);
        return;
    }
    p->watch_next = p->host->watched;
    if (p->watch_next)
        p->watch_next->watch_prev = p;
    p->host->watched = peri_plugin_ref(p);
    p->watched = true;
    p->watched_pid = pid;
}

enum peri_status peri_host_check_process(struct peri_error *err)
{
    return peri_cell_try(err);
}
