/* SPDX-License-Identifier: Apache-2.0 */
/* inotify watches single directories, so a tree needs one watch for each folder. Whenever the set of folders may have
 * changed (a folder came or went, the queue overflowed, the root moved) all watches are thrown away and made again:
 * trees of rules and plugins are small, and this can not drift away from the disk as bookkeeping by path could.
 *
 * A root that is not there is waited for in the nearest folder above it that is, so that an idle process is not woken.
 * Where that can not be relied on (symbolic links on the way, no watches left), it is looked for every second. */
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
    int fd; /* -1: nothing is watched */
    struct event *event;
    char *awaited; /* the root is not there: the folders above it are watched, and this is the name to come next */
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
    free(watch->awaited);
    watch->awaited = NULL;
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

/* For a root that was not there. */
static void look_again(struct peri_watch *watch)
{
    watch_tree(watch);
    if (watch->fd >= 0 && !watch->awaited)
        changed(watch); /* it is back: whatever is in it is news */
}

static void on_retry(void *arg)
{
    struct peri_watch *watch = arg;
    watch->retry = NULL;
    look_again(watch);
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
    bool any = false, rebuild = false, came = false;
    ssize_t n;
    while ((n = read(fd, data, sizeof(data))) > 0) {
        for (const char *at = data; at < data + n;) {
            const struct inotify_event *event = (const void *)at;
            at += sizeof(*event) + event->len;
            if (event->mask & IN_IGNORED)
                continue;
            if (watch->awaited) {
                came |= event->len == 0 || strcmp(event->name, watch->awaited) == 0;
                continue;
            }
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
    if (came) {
        look_again(watch);
        return;
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

/* Takes fd. False: it is closed. */
static bool listen_to(struct peri_watch *watch, int fd)
{
    watch->event = event_new(peri_loop_base(watch->loop), fd, EV_READ | EV_PERSIST, on_inotify, watch);
    if (watch->event && event_add(watch->event, NULL) == 0) {
        watch->fd = fd;
        return true;
    }
    if (watch->event)
        event_free(watch->event);
    watch->event = NULL;
    close(fd);
    return false;
}

/* The nearest folder above path that is there: path is cut to it, and the name below it returned (a pointer into path).
 * NULL when the way there has symbolic links: they may come to lead elsewhere without a word. */
static char *nearest(char *path)
{
    char *name, *real;
    do {
        name = strrchr(path, '/');
        if (!name || name == path)
            return NULL;
        *name = '\0';
        real = realpath(path, NULL);
    } while (!real && errno == ENOENT);
    bool plain = real && strcmp(real, path) == 0;
    free(real);
    return plain ? name + 1 : NULL;
}

/* All folders on the way to the missing root, because each may be moved away. */
static bool add_way(int fd, char *folder, const char *name)
{
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int wd = inotify_add_watch(fd, folder, IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
        *slash = '/';
        if (wd < 0)
            return false;
    }
    struct stat st;
    unsigned flags = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (inotify_add_watch(fd, folder, flags) < 0)
        return false;
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool there = dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0; /* came meanwhile, or is no folder */
    if (dir >= 0)
        close(dir);
    return !there;
}

static void wait_for_root(struct peri_watch *watch)
{
    char *path = peri_strdup(watch->path);
    for (size_t n = path ? strlen(path) : 0; n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    char *name = path && path[0] == '/' ? nearest(path) : NULL;
    int fd = name ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
    if (fd >= 0 && (watch->awaited = peri_strdup(name)) && add_way(fd, path, name)) {
        if (!listen_to(watch, fd))
            fd = -1;
    } else if (fd >= 0) {
        close(fd);
        fd = -1;
    }
    free(path);
    if (fd >= 0)
        return;
    free(watch->awaited);
    watch->awaited = NULL;
    retry_later(watch);
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
    if (count > 0 && listen_to(watch, fd))
        return;
    if (count == 0 && fd >= 0)
        close(fd);
    wait_for_root(watch);
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
