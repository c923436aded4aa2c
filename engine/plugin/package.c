/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/package.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"
#include "base/vec.h"

#define MAX_FILES 1000
#define MAX_FILE_BYTES ((size_t)16 << 20)
#define MAX_TOTAL_BYTES ((size_t)64 << 20)
#define MAX_DEPTH 8

struct file {
    char *path; /* relative, '/' between parts */
    char *text; /* NULL unless it is kept */
    size_t len;
    char hash[65];
};

struct peri_package {
    char *dir;
    struct file *files; /* sorted by path once it is open */
    size_t count, cap;
    size_t total;
    char hash[65];
};

bool peri_package_path_ok(const char *path, char **ret_path)
{
    if (!path)
        return false;
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    if (!*path || *path == '/')
        return false;
    bool start = true;
    for (const char *p = path; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f || c == '\\')
            return false;
        if (start && (c == '.' || c == '/')) /* hidden, "..", empty */
            return false;
        start = c == '/';
    }
    if (start)
        return false;
    if (ret_path) {
        *ret_path = peri_strdup(path);
        return *ret_path != NULL;
    }
    return true;
}

static enum peri_status read_file(
    struct peri_package *pkg, int fd, const struct stat *st, struct file *f, struct peri_error *err)
{
    if ((size_t)st->st_size > MAX_FILE_BYTES || pkg->total + (size_t)st->st_size > MAX_TOTAL_BYTES)
        return peri_error_set(err, PERI_EINVAL, "package.limit",
            "%s/%s: a plugin holds at most %zu MiB in a file and %zu MiB in all", pkg->dir, f->path,
            MAX_FILE_BYTES >> 20, MAX_TOTAL_BYTES >> 20);
    struct peri_buf buf;
    peri_buf_init(&buf, MAX_FILE_BYTES);
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || peri_buf_append(&buf, chunk, (size_t)n)) {
            int why = n < 0 ? errno : EFBIG;
            peri_buf_finish(&buf);
            return peri_error_set(err, PERI_EIO, NULL, "%s/%s: %s", pkg->dir, f->path, strerror(why));
        }
    }
    peri_sha256_hex(buf.len ? buf.data : "", buf.len, f->hash);
    pkg->total += buf.len;
    if (peri_str_ends(f->path, ".lua") || peri_str_ends(f->path, ".json")) {
        f->text = peri_buf_take(&buf, &f->len);
        return f->text ? PERI_OK : peri_error_nomem(err);
    }
    peri_buf_finish(&buf);
    return PERI_OK;
}

static enum peri_status read_dir(
    struct peri_package *pkg, int fd, const char *prefix, int depth, struct peri_error *err);

/* O_NOFOLLOW closes the gap between looking and opening. */
static enum peri_status read_entry(
    struct peri_package *pkg, int dir, const char *name, const char *prefix, int depth, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    struct stat info;
    struct file f = {.path = peri_asprintf("%s%s", prefix, name)};
    int fd = -1;
    if (!f.path)
        return peri_error_nomem(err);
    /* A line end in a name would let two lists of files have one hash. */
    if (!peri_text_is_plain(name)) {
        peri_text_make_plain(f.path);
        st = peri_error_set(err, PERI_EINVAL, "package.name",
            "%s/%s: the name of a file must be text without control characters", pkg->dir, f.path);
        goto out;
    }
    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW)) {
        st = peri_error_set(err, PERI_EIO, NULL, "%s/%s: %s", pkg->dir, f.path, strerror(errno));
        goto out;
    }
    if (S_ISLNK(info.st_mode)) {
        st = peri_error_set(err, PERI_EINVAL, "package.symlink",
            "%s/%s is a symbolic link: a plugin may hold only files and folders", pkg->dir, f.path);
        goto out;
    }
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
        st = peri_error_set(
            err, PERI_EINVAL, "package.special", "%s/%s is neither a file nor a folder", pkg->dir, f.path);
        goto out;
    }
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info)) {
        st = peri_error_set(err, PERI_EIO, NULL, "%s/%s: %s", pkg->dir, f.path, strerror(errno));
        goto out;
    }
    if (S_ISDIR(info.st_mode)) {
        char *below = peri_asprintf("%s/", f.path);
        st = below ? read_dir(pkg, fd, below, depth + 1, err) : peri_error_nomem(err);
        free(below);
        goto out;
    }
    if (pkg->count >= MAX_FILES) {
        st = peri_error_set(
            err, PERI_EINVAL, "package.limit", "%s: a plugin holds at most %d files", pkg->dir, MAX_FILES);
        goto out;
    }
    if (!peri_vec_grow(&pkg->files, &pkg->cap, pkg->count + 1, sizeof(*pkg->files))) {
        st = peri_error_nomem(err);
        goto out;
    }
    st = read_file(pkg, fd, &info, &f, err);
    if (!st) {
        pkg->files[pkg->count++] = f;
        f.path = NULL;
    }
out:
    if (fd >= 0)
        close(fd);
    free(f.path);
    return st;
}

static enum peri_status read_dir(
    struct peri_package *pkg, int fd, const char *prefix, int depth, struct peri_error *err)
{
    if (depth > MAX_DEPTH)
        return peri_error_set(
            err, PERI_EINVAL, "package.limit", "%s: folders nested deeper than %d", pkg->dir, MAX_DEPTH);
    int own = dup(fd);
    DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (!dir) {
        if (own >= 0)
            close(own);
        return peri_error_set(err, PERI_EIO, NULL, "%s/%s: %s", pkg->dir, prefix, strerror(errno));
    }
    enum peri_status st = PERI_OK;
    struct dirent *entry;
    while (!st && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            st = read_entry(pkg, fd, entry->d_name, prefix, depth, err);
    closedir(dir);
    return st;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static enum peri_status seal(struct peri_package *pkg, struct peri_error *err)
{
    struct peri_buf lines;
    peri_buf_init(&lines, (size_t)8 << 20);
    if (pkg->count)
        qsort(pkg->files, pkg->count, sizeof(*pkg->files), by_path);
    for (size_t i = 0; i < pkg->count; i++)
        peri_buf_printf(&lines, "%s  %s\n", pkg->files[i].hash, pkg->files[i].path);
    enum peri_status st = lines.failed;
    if (!st)
        peri_sha256_hex(peri_buf_text(&lines), lines.len, pkg->hash);
    peri_buf_finish(&lines);
    return st ? peri_error_nomem(err) : PERI_OK;
}

enum peri_status peri_package_open(const char *dir, struct peri_package **ret, struct peri_error *err)
{
    struct peri_package *pkg = calloc(1, sizeof(*pkg));
    if (!pkg || !(pkg->dir = peri_strdup(dir))) {
        free(pkg);
        return peri_error_nomem(err);
    }
    size_t n = strlen(pkg->dir);
    while (n > 1 && pkg->dir[n - 1] == '/')
        pkg->dir[--n] = '\0';
    enum peri_status st;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        st = peri_error_set(
            err, errno == ENOENT || errno == ENOTDIR ? PERI_ENOTFOUND : PERI_EIO, NULL, "%s: %s", dir, strerror(errno));
        goto out;
    }
    st = read_dir(pkg, fd, "", 0, err);
    close(fd);
    if (!st)
        st = seal(pkg, err);
out:
    if (st)
        peri_package_destroy(pkg);
    else
        *ret = pkg;
    return st;
}

void peri_package_destroy(struct peri_package *package)
{
    if (!package)
        return;
    for (size_t i = 0; i < package->count; i++) {
        free(package->files[i].path);
        free(package->files[i].text);
    }
    free(package->files);
    free(package->dir);
    free(package);
}

const char *peri_package_hash(const struct peri_package *package)
{
    return package->hash;
}

static const struct file *find(const struct peri_package *package, const char *path)
{
    for (size_t i = 0; i < package->count; i++)
        if (!strcmp(package->files[i].path, path))
            return &package->files[i];
    return NULL;
}

const char *peri_package_text(const struct peri_package *package, const char *path, size_t *ret_len)
{
    const struct file *f = find(package, path);
    if (!f || !f->text)
        return NULL;
    if (ret_len)
        *ret_len = f->len;
    return f->text;
}

bool peri_package_has(const struct peri_package *package, const char *path)
{
    return find(package, path) != NULL;
}
