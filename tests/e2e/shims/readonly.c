/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* To be loaded before everything else (LD_PRELOAD): while the file $READONLY_FLAG exists, the folder $READONLY_FOLDER
 * is on a disk that has turned read-only, as ext4 does after a fault. The kernel does not let a test do that to a disk
 * that is written to. */

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open64(const char *path, int flags, ...);
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);
int ftruncate64(int fd, off64_t len);

static bool inside(const char *path)
{
    const char *flag = getenv("READONLY_FLAG"), *folder = getenv("READONLY_FOLDER");
    if (!flag || !folder || !path || strncmp(path, folder, strlen(folder)) != 0 || access(flag, F_OK) != 0)
        return false;
    errno = EROFS;
    return true;
}

static bool inside_fd(int fd)
{
    char link[64], path[PATH_MAX];
    int kept = errno;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    errno = kept;
    if (n <= 0 || path[0] != '/')
        return false;
    path[n] = '\0';
    return inside(path);
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return (flags & O_ACCMODE) != O_RDONLY && inside(path) ? -1 : NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return (flags & O_ACCMODE) != O_RDONLY && inside(path) ? -1 : NEXT(open64)(path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t len)
{
    return inside_fd(fd) ? -1 : NEXT(write)(fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return inside_fd(fd) ? -1 : NEXT(pwrite)(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return inside_fd(fd) ? -1 : NEXT(pwrite64)(fd, data, len, at);
}

int ftruncate(int fd, off_t len)
{
    return inside_fd(fd) ? -1 : NEXT(ftruncate)(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    return inside_fd(fd) ? -1 : NEXT(ftruncate64)(fd, len);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    return inside_fd(fd) ? EROFS : NEXT(posix_fallocate)(fd, at, len);
}

int unlink(const char *path)
{
    return inside(path) ? -1 : NEXT(unlink)(path);
}

int rename(const char *from, const char *to)
{
    return inside(to) ? -1 : NEXT(rename)(from, to);
}
