/* SPDX-License-Identifier: Apache-2.0 */
/* inotify watches single directories, so a tree needs one watch for each folder. Whenever the set of folders may have
 * changed (a folder came or went, the queue overflowed, the root moved) all watches are thrown away and made again:
 * trees of rules and plugins are small, and this can not drift away from the disk as bookkeeping by path could. */
#include "io/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/buf.h"
#include "base/str.h"

#define WATCH_DEPTH_MAX 16
#define WATCH_COUNT_MAX 4096
#define WATCH_RETRY_MS 1000
#define WATCH_MASK                                                                                                     \
    (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB)

struct peri_watch {
    struct peri_loop *loop;
    char *path;
    int64_t debounce_ms;
    void (*fn)(void *arg);
    void *arg;
    int fd; /* -1 while the root is not there */
    struct event *event;
    struct peri_timer *quiet; /* set while a change waits for quiet */
    struct peri_timer *retry;
};

static void watch_tree(struct peri_watch *watch);

static void unwatch(struct peri_watch *watch)
{
    if (watch->event)
        event_free(watch->event);
    watch->event = NULL;
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

static void on_quiet(void *arg)
{
    struct peri_watch *watch = arg;
    watch->quiet = NULL;
    watch->fn(watch->arg); /* may destroy the watch */
}

static void changed(struct peri_watch *watch)
{
    peri_timer_cancel(watch->quiet);
    watch->quiet = NULL;
    /* Without memory for a timer the change is told at the next one. */
    if (peri_loop_after(watch->loop, watch->debounce_ms, on_quiet, watch, &watch->quiet) != PERI_OK)
        watch->quiet = NULL;
}

static void on_retry(void *arg)
{
    struct peri_watch *watch = arg;
    watch->retry = NULL;
    watch_tree(watch);
    if (watch->fd >= 0)
        changed(watch); /* it is back: whatever is in it is news */
}

static void retry_later(struct peri_watch *watch)
{
    if (!watch->retry && peri_loop_after(watch->loop, WATCH_RETRY_MS, on_retry, watch, &watch->retry) != PERI_OK)
        watch->retry = NULL;
}

static void on_inotify(evutil_socket_t fd, short what, void *arg)
{
    struct peri_watch *watch = arg;
    _Alignas(struct inotify_event) char data[8192];
    bool any = false, rebuild = false;
    ssize_t n;
    while ((n = read(fd, data, sizeof(data))) > 0) {
        for (const char *at = data; at < data + n;) {
            const struct inotify_event *event = (const void *)at;
            at += sizeof(*event) + event->len;
            if (event->mask & IN_IGNORED)
                continue;
            /* IN_CREATE of a file is an empty file yet: its close-write follows. */
            if ((event->mask & (IN_CREATE | IN_ISDIR)) == IN_CREATE)
                continue;
            any = true;
            if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
                rebuild = true;
            if (event->mask & IN_ISDIR && event->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO))
                rebuild = true;
        }
    }
    if (rebuild)
        watch_tree(watch);
    if (any)
        changed(watch);
}

/* Adds the folder first and reads it then, so that a folder made meanwhile is seen by one or the other. */
static void add_folder(int fd, struct peri_buf *path, int depth, int *count)
{
    unsigned flags = WATCH_MASK | (depth > 0 ? IN_DONT_FOLLOW | IN_ONLYDIR : 0);
    if (*count >= WATCH_COUNT_MAX || inotify_add_watch(fd, peri_buf_text(path), flags) < 0)
        return;
    ++*count;
    DIR *dir = depth < WATCH_DEPTH_MAX ? opendir(peri_buf_text(path)) : NULL;
    if (!dir)
        return;
    size_t len = path->len;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        /* Folders that begin with a dot (.git) hold nothing of ours. */
        if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
            continue;
        struct stat st;
        if (entry->d_type == DT_UNKNOWN &&
            (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)))
            continue;
        if (peri_buf_putc(path, '/') == PERI_OK && peri_buf_puts(path, entry->d_name) == PERI_OK)
            add_folder(fd, path, depth + 1, count);
        path->failed = PERI_OK;
        path->len = len;
        path->data[len] = '\0';
    }
    closedir(dir);
}

static void watch_tree(struct peri_watch *watch)
{
    unwatch(watch);
    int count = 0, fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct peri_buf path;
    peri_buf_init(&path, 4096);
    if (fd >= 0 && peri_buf_puts(&path, watch->path) == PERI_OK)
        add_folder(fd, &path, 0, &count);
    peri_buf_finish(&path);
    if (count > 0)
        watch->event = event_new(peri_loop_base(watch->loop), fd, EV_READ | EV_PERSIST, on_inotify, watch);
    if (watch->event && event_add(watch->event, NULL) == 0) {
        watch->fd = fd;
        return;
    }
    if (watch->event)
        event_free(watch->event);
    watch->event = NULL;
    if (fd >= 0)
        close(fd);
    retry_later(watch);
}

enum peri_status peri_loop_watch(struct peri_loop *loop, const char *path, int64_t debounce_ms, void (*fn)(void *arg),
    void *arg, struct peri_watch **ret)
{
    struct peri_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return PERI_ENOMEM;
    *watch = (struct peri_watch){.loop = loop, .debounce_ms = debounce_ms, .fn = fn, .arg = arg, .fd = -1};
    watch->path = peri_strdup(path);
    if (!watch->path) {
        free(watch);
        return PERI_ENOMEM;
    }
    watch_tree(watch);
    *ret = watch;
    return PERI_OK;
}

void peri_watch_destroy(struct peri_watch *watch)
{
    if (!watch)
        return;
    unwatch(watch);
    peri_timer_cancel(watch->quiet);
    peri_timer_cancel(watch->retry);
    free(watch->path);
    free(watch);
}
