/* SPDX-License-Identifier: Apache-2.0 */
/* Files that plugins may read. The kernel resolves the name below the granted folder and refuses whatever would lead
 * out of it: "..", absolute and other symbolic links, the magic ones of /proc. A check of the name alone would lose a
 * race against whoever can write there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "plugin/host_internal.h"

static int open_below(int folder, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | (folder == AT_FDCWD ? 0 : RESOLVE_BENEATH)};
    return (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));
}

/* The granted folder itself is the operator's word: links on the way to it are followed. */
static int open_file(const char *granted, const char *path)
{
    size_t n = strlen(granted);
    while (n > 1 && granted[n - 1] == '/')
        n--;
    const char *rest = path + n;
    while (*rest == '/')
        rest++;
    if (!*rest) {
        char *whole = realpath(granted, NULL); /* a file was granted */
        int fd = whole ? open_below(AT_FDCWD, whole) : -1;
        int why = errno;
        free(whole);
        errno = why;
        return fd;
    }
    int folder = open(granted, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    if (folder < 0)
        return -1;
    fd = open_below(folder, rest);
    int why = errno;
    close(folder);
    errno = why;
    return fd;
}

static enum peri_status failure(const struct peri_job *job, const char *path, int why, struct peri_error *err)
{
    switch (why) {
    case ENOENT:
    case ENOTDIR:
        return peri_error_set(err, PERI_ENOTFOUND, "file.missing", "there is no file %.300s", path);
    case ELOOP:
    case EXDEV:
        peri_ledger_violation(job, "file.escape", path);
        return peri_error_set(
            err, PERI_EDENIED, "file.escape", "%.300s leads out of what was granted: links are not followed", path);
    case ENOSYS:
        return peri_error_set(err, PERI_ESTATE, "file.unavailable", "this kernel can not hold a name below a folder");
    default:
        return peri_error_set(err, PERI_EIO, "file.failed", "can not read %.300s: %s", path, strerror(why));
    }
}

static enum peri_status read_piece(int fd, int64_t offset, size_t max, char **ret, size_t *ret_len)
{
    char *data = malloc(max + 1);
    size_t len = 0;
    if (!data)
        return PERI_ENOMEM;
    while (len < max) {
        ssize_t n = pread(fd, data + len, max - len, (off_t)(offset + (int64_t)len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int why = errno;
            free(data);
            errno = why;
            return PERI_EIO;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    data[len] = '\0';
    *ret = data;
    *ret_len = len;
    return PERI_OK;
}

enum peri_status peri_job_file(struct peri_job *job, const char *path, int64_t offset, size_t max, char **ret,
    size_t *ret_len, int64_t *ret_size, struct peri_error *err)
{
    struct stat info;
    const char *granted = path[0] == '/' ? peri_grants_path(job->plugin->grants, path) : NULL;
    if (path[0] != '/')
        return peri_error_set(err, PERI_EINVAL, "bad_argument", "a path begins with a slash: %.300s", path);
    if (!granted)
        return peri_job_denied(job, "filesystem:read:", path, err);
    enum peri_status st = peri_job_spend(job, err);
    if (st)
        return st;
    int fd = open_file(granted, path);
    if (fd < 0)
        return failure(job, path, errno, err);
    if (fstat(fd, &info) || !S_ISREG(info.st_mode))
        st = peri_error_set(err, PERI_EINVAL, "file.kind", "%.300s is no regular file", path);
    else if ((st = read_piece(fd, offset, max, ret, ret_len)))
        st = st == PERI_ENOMEM ? peri_error_nomem(err) : failure(job, path, errno, err);
    else
        *ret_size = info.st_size;
    close(fd);
    return st;
}
