/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tzfiles.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define FILE_MAX (1 << 20) /* the largest zone has a few kilobytes */

const char *peri_tzfiles_folder(const void *ctx)
{
    const char *dir = ctx ? ctx : getenv("TZDIR");
    return dir && *dir ? dir : "/usr/share/zoneinfo";
}

static bool name_safe(const char *name)
{
    if (!*name || *name == '/' || strstr(name, "..") || strlen(name) > 255)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("_-+/", *name))
            return false;
    return true;
}

static enum peri_status read_all(int fd, unsigned char **ret_data, size_t *ret_len, struct peri_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return peri_error_set(err, PERI_ENOTFOUND, "timezone", "not a file");
    if (info.st_size > FILE_MAX)
        return peri_error_set(err, PERI_ECORRUPT, "timezone", "the file is too large for a time zone");
    size_t size = (size_t)info.st_size, len = 0;
    unsigned char *data = malloc(size + 1);
    if (!data)
        return peri_error_nomem(err);
    while (len < size) {
        ssize_t n = read(fd, data + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    *ret_data = data;
    *ret_len = len;
    return PERI_OK;
}

enum peri_status peri_tzfiles_read(
    void *ctx, const char *name, unsigned char **ret_data, size_t *ret_len, struct peri_error *err)
{
    if (!name_safe(name))
        return peri_error_set(err, PERI_ENOTFOUND, "timezone", "\"%.80s\" is no name of a time zone", name);
    char *path = peri_asprintf("%s/%s", peri_tzfiles_folder(ctx), name);
    if (!path)
        return peri_error_nomem(err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum peri_status st;
    if (fd >= 0) {
        st = read_all(fd, ret_data, ret_len, err);
        close(fd);
    } else if (errno == ENOENT || errno == ENOTDIR) {
        st = peri_error_set(err, PERI_ENOTFOUND, "timezone", "there is no %s", path);
    } else {
        st = peri_error_set(err, PERI_EIO, "timezone", "%s: %s", path, strerror(errno));
    }
    free(path);
    return st;
}
