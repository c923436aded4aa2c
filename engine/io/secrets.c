/* SPDX-License-Identifier: Apache-2.0 */
/* One file a secret. A value is replaced by renaming a finished file over the old one, so that a crash leaves either.
 * What is read is kept in memory only by the caller. systemd's credentials are read-only and win, so that a unit file
 * can override what is stored. Symbolic links are not followed inside our own folder. */
#include "io/secrets.h"
#include "io/secrets_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"

#define MAX_NAME 100
#define KNOWN_MIN 6 /* shorter ones would be found in innocent texts */
#define KNOWN_MAX 1000
#define PASSING_MAX 10
#define MAX_VALUE (64u << 10)

/* A value that was given out. */
struct known {
    char *name, *value;
    size_t len;
};

struct peri_secrets {
    char *folder;
    char *credentials;    /* or NULL */
    pthread_mutex_t lock; /* of known */
    struct known *known;
    size_t known_count, known_cap;
    struct peri_map *lent; /* name -> value; NULL: none. Filled before other threads ask */
};

void peri_secret_free(char *value, size_t len)
{
    if (value)
        explicit_bzero(value, len);
    free(value);
}

static enum peri_status check_name(const char *name, struct peri_error *err)
{
    size_t len = strlen(name);
    bool ok = len > 0 && len <= MAX_NAME && name[0] != '.';
    for (size_t i = 0; ok && i < len; i++)
        ok = (unsigned char)name[i] < 0x80 && (isalnum((unsigned char)name[i]) || strchr("_-.", name[i]));
    if (ok)
        return PERI_OK;
    return peri_error_set(err, PERI_EINVAL, "secret_name",
        "a secret's name has letters, digits, '_', '-' and '.', at most 100, and does not start with a dot");
}

/* folder (take; may be NULL) */
static enum peri_status open_in(
    char *folder, const char *credentials, struct peri_secrets **ret, struct peri_error *err)
{
    struct peri_secrets *secrets = folder ? calloc(1, sizeof(*secrets)) : NULL;
    if (!secrets) {
        free(folder);
        return peri_error_nomem(err);
    }
    pthread_mutex_init(&secrets->lock, NULL);
    secrets->folder = folder;
    secrets->credentials = credentials && credentials[0] ? peri_strdup(credentials) : NULL;
    if (credentials && credentials[0] && !secrets->credentials) {
        peri_secrets_destroy(secrets);
        return peri_error_nomem(err);
    }
    *ret = secrets;
    return PERI_OK;
}

enum peri_status peri_secrets_open(const char *state_dir, struct peri_secrets **ret, struct peri_error *err)
{
    return open_in(peri_asprintf("%s/secrets", state_dir), getenv("CREDENTIALS_DIRECTORY"), ret, err);
}

enum peri_status peri_secrets_open_folder(const char *folder, struct peri_secrets **ret, struct peri_error *err)
{
    return open_in(peri_strdup(folder), NULL, ret, err);
}

void peri_secrets_destroy(struct peri_secrets *secrets)
{
    if (!secrets)
        return;
    for (size_t i = 0; i < secrets->known_count; i++) {
        peri_secret_free(secrets->known[i].value, secrets->known[i].len);
        free(secrets->known[i].name);
    }
    free(secrets->known);
    pthread_mutex_destroy(&secrets->lock);
    peri_map_destroy(secrets->lent, free);
    free(secrets->folder);
    free(secrets->credentials);
    free(secrets);
}

static enum peri_status io_error(struct peri_error *err, const char *what, const char *path)
{
    return peri_error_set(err, errno == ENOSPC || errno == EDQUOT ? PERI_EFULL : PERI_EIO, NULL, "cannot %s %s: %s",
        what, path, strerror(errno));
}

static enum peri_status make_folder(const struct peri_secrets *secrets, struct peri_error *err)
{
    struct stat st;
    if (mkdir(secrets->folder, 0700) < 0 && errno != EEXIST)
        return io_error(err, "create", secrets->folder);
    if (lstat(secrets->folder, &st) < 0)
        return io_error(err, "read", secrets->folder);
    if (!S_ISDIR(st.st_mode))
        return peri_error_set(err, PERI_EIO, NULL, "%s is no folder", secrets->folder);
    if ((st.st_mode & 077) && chmod(secrets->folder, 0700) < 0)
        return io_error(err, "protect", secrets->folder);
    return PERI_OK;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

enum peri_status peri_secrets_lend(
    struct peri_secrets *secrets, const char *name, const char *value, struct peri_error *err)
{
    char *copy = NULL;
    enum peri_status st = check_name(name, err);
    if (st)
        return st;
    void *old = NULL;
    if (!secrets->lent)
        secrets->lent = peri_map_create();
    if (!secrets->lent || !(copy = peri_strdup(value)) || !peri_map_set(secrets->lent, name, copy, &old)) {
        free(copy);
        return peri_error_nomem(err);
    }
    free(old);
    return PERI_OK;
}

enum peri_status peri_secrets_set(
    struct peri_secrets *secrets, const char *name, const char *value, size_t len, struct peri_error *err)
{
    unsigned char random[8];
    char *path = NULL, *temp = NULL;
    enum peri_status st = check_name(name, err);
    if (st == PERI_OK && len > MAX_VALUE)
        st = peri_error_set(err, PERI_ELIMIT, NULL, "a secret has at most %u bytes", MAX_VALUE);
    if (st == PERI_OK)
        st = make_folder(secrets, err);
    if (st)
        return st;
    if (peri_random(random, sizeof(random)))
        return peri_error_set(err, PERI_EIO, NULL, "no random bytes");
    unsigned long long tag;
    memcpy(&tag, random, sizeof(tag));
    path = peri_asprintf("%s/%s", secrets->folder, name);
    temp = peri_asprintf("%s/.new-%016llx", secrets->folder, tag);
    if (!path || !temp) {
        free(path);
        free(temp);
        return peri_error_nomem(err);
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        st = io_error(err, "create", temp);
        goto out;
    }
    bool written = fchmod(fd, 0600) == 0 && write_all(fd, value, len) && fsync(fd) == 0;
    if (close(fd) < 0 || !written || rename(temp, path) < 0 || !sync_folder(secrets->folder)) {
        st = io_error(err, "write", path);
        unlink(temp);
    }
out:
    free(path);
    free(temp);
    return st;
}

/* PERI_ENOTFOUND without text when there is no such file. */
static enum peri_status read_value(
    const char *folder, const char *name, int flags, char **ret, size_t *ret_len, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    struct stat info;
    char *value = NULL, *path = peri_asprintf("%s/%s", folder, name);
    if (!path)
        return peri_error_nomem(err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    if (fd < 0) {
        st = errno == ENOENT ? PERI_ENOTFOUND : io_error(err, "read", path);
    } else if (fstat(fd, &info) < 0) {
        st = io_error(err, "read", path);
    } else if (!S_ISREG(info.st_mode)) {
        st = peri_error_set(err, PERI_EIO, NULL, "%s is no regular file", path);
    } else if (!(value = malloc(MAX_VALUE + 2))) {
        st = peri_error_nomem(err);
    } else {
        size_t len = 0;
        ssize_t n = 1;
        while (len <= MAX_VALUE && ((n = read(fd, value + len, MAX_VALUE + 1 - len)) > 0 || (n < 0 && errno == EINTR)))
            len += n > 0 ? (size_t)n : 0;
        if (n < 0)
            st = io_error(err, "read", path);
        else if (len > MAX_VALUE)
            st = peri_error_set(err, PERI_ELIMIT, NULL, "%s has more than %u bytes", path, MAX_VALUE);
        value[len] = '\0';
        *ret_len = len;
    }
    if (fd >= 0)
        close(fd);
    free(path);
    if (st) {
        peri_secret_free(value, value ? MAX_VALUE + 2 : 0);
        return st;
    }
    *ret = value;
    return PERI_OK;
}

/* Memory that is out only makes this line of defence thinner. */
void peri_secrets_remember(struct peri_secrets *secrets, const char *name, const char *value, size_t len)
{
    if (len < KNOWN_MIN)
        return;
    pthread_mutex_lock(&secrets->lock);
    for (size_t i = 0; i < secrets->known_count; i++) {
        if (secrets->known[i].len == len && memcmp(secrets->known[i].value, value, len) == 0) {
            pthread_mutex_unlock(&secrets->lock);
            return;
        }
    }
    char *copy = malloc(len + 1), *id = peri_strdup(name);
    if (copy && id && secrets->known_count < KNOWN_MAX &&
        peri_vec_grow(&secrets->known, &secrets->known_cap, secrets->known_count + 1, sizeof(*secrets->known))) {
        memcpy(copy, value, len + 1);
        secrets->known[secrets->known_count++] = (struct known){id, copy, len};
    } else {
        free(copy);
        free(id);
    }
    pthread_mutex_unlock(&secrets->lock);
}

/* The oldest value of a name that has enough of them makes room; the name stays, as others may be looking at it. False:
 * there is room. */
static bool replace_oldest(struct peri_secrets *secrets, const char *name, char *value, size_t len)
{
    size_t n = 0, first = 0;
    for (size_t i = secrets->known_count; i-- > 0;) {
        if (!peri_streq(secrets->known[i].name, name))
            continue;
        first = i;
        n++;
    }
    if (n < PASSING_MAX)
        return false;
    struct known moved = {secrets->known[first].name, value, len};
    peri_secret_free(secrets->known[first].value, secrets->known[first].len);
    memmove(&secrets->known[first], &secrets->known[first + 1],
        (secrets->known_count - first - 1) * sizeof(*secrets->known));
    secrets->known[secrets->known_count - 1] = moved;
    return true;
}

void peri_secrets_passing(struct peri_secrets *secrets, const char *name, const char *value)
{
    size_t len = strlen(value);
    char *copy = len < KNOWN_MIN ? NULL : peri_strdup(value);
    bool known = false;
    if (!copy)
        return;
    pthread_mutex_lock(&secrets->lock);
    for (size_t i = 0; !known && i < secrets->known_count; i++)
        known = secrets->known[i].len == len && memcmp(secrets->known[i].value, value, len) == 0;
    bool placed = known || replace_oldest(secrets, name, copy, len);
    pthread_mutex_unlock(&secrets->lock);
    if (!placed)
        peri_secrets_remember(secrets, name, value, len);
    if (known || !placed)
        peri_secret_free(copy, len);
}

enum peri_status peri_secrets_get(
    struct peri_secrets *secrets, const char *name, char **ret_value, size_t *ret_len, struct peri_error *err)
{
    size_t len = 0;
    enum peri_status st = check_name(name, err);
    if (st)
        return st;
    char *raw = NULL;
    st = PERI_ENOTFOUND;
    const char *lent = secrets->lent ? peri_map_get(secrets->lent, name) : NULL;
    if (lent) {
        len = strlen(lent);
        st = (raw = peri_strdup(lent)) ? PERI_OK : peri_error_nomem(err);
    }
    if (st == PERI_ENOTFOUND && secrets->credentials) /* systemd may link there */
        st = read_value(secrets->credentials, name, 0, &raw, &len, err);
    if (st == PERI_ENOTFOUND)
        st = read_value(secrets->folder, name, O_NOFOLLOW, &raw, &len, err);
    if (st == PERI_ENOTFOUND)
        return peri_error_set(
            err, st, "secret_missing", "there is no secret \"%s\" (perigee secrets set %s)", name, name);
    if (st)
        return st;
    char *value = malloc(len + 1);
    if (value)
        memcpy(value, raw, len + 1);
    peri_secret_free(raw, len);
    if (!value)
        return peri_error_nomem(err);
    peri_secrets_remember(secrets, name, value, len);
    *ret_value = value;
    *ret_len = len;
    return PERI_OK;
}

enum peri_status peri_secrets_remove(struct peri_secrets *secrets, const char *name, struct peri_error *err)
{
    enum peri_status st = check_name(name, err);
    if (st)
        return st;
    char *path = peri_asprintf("%s/%s", secrets->folder, name);
    if (!path)
        return peri_error_nomem(err);
    if (unlink(path) < 0)
        st = errno == ENOENT
                 ? peri_error_set(err, PERI_ENOTFOUND, "secret_missing", "there is no stored secret \"%s\"", name)
                 : io_error(err, "remove", path);
    else if (!sync_folder(secrets->folder))
        st = io_error(err, "write", secrets->folder);
    free(path);
    return st;
}

struct names {
    char **items;
    size_t count, cap;
};

static enum peri_status add_names(struct names *names, const char *folder, struct peri_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? PERI_OK : io_error(err, "read", folder);
    enum peri_status st = PERI_OK;
    struct dirent *entry;
    while (st == PERI_OK && (entry = readdir(dir))) {
        if (check_name(entry->d_name, NULL))
            continue;
        char *copy = peri_strdup(entry->d_name);
        if (!copy || !peri_vec_grow(&names->items, &names->cap, names->count + 2, sizeof(*names->items))) {
            free(copy);
            st = peri_error_nomem(err);
            break;
        }
        names->items[names->count++] = copy;
    }
    closedir(dir);
    return st;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void peri_secrets_free_names(char **names)
{
    for (size_t i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
}

enum peri_status peri_secrets_names(struct peri_secrets *secrets, char ***ret_names, struct peri_error *err)
{
    struct names names = {0};
    if (!peri_vec_grow(&names.items, &names.cap, 1, sizeof(*names.items)))
        return peri_error_nomem(err);
    enum peri_status st = add_names(&names, secrets->folder, err);
    if (st == PERI_OK && secrets->credentials)
        st = add_names(&names, secrets->credentials, err);
    names.items[names.count] = NULL;
    if (st) {
        peri_secrets_free_names(names.items);
        return st;
    }
    qsort(names.items, names.count, sizeof(*names.items), by_text);
    size_t kept = 0;
    for (size_t i = 0; i < names.count; i++) {
        if (kept && strcmp(names.items[kept - 1], names.items[i]) == 0)
            free(names.items[i]);
        else
            names.items[kept++] = names.items[i];
    }
    names.items[kept] = NULL;
    *ret_names = names.items;
    return PERI_OK;
}

const char *peri_secrets_find(
    struct peri_secrets *secrets, const char *text, size_t len, size_t *ret_at, size_t *ret_len)
{
    const char *name = NULL;
    pthread_mutex_lock(&secrets->lock);
    for (size_t i = 0; i < secrets->known_count; i++) {
        const struct known *k = &secrets->known[i];
        const char *at = memmem(text, len, k->value, k->len);
        if (at && (!name || (size_t)(at - text) < *ret_at)) {
            name = k->name;
            *ret_at = (size_t)(at - text);
            *ret_len = k->len;
        }
    }
    pthread_mutex_unlock(&secrets->lock);
    return name;
}
