/* SPDX-License-Identifier: Apache-2.0 */
#include "app/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/buf.h"
#include "base/str.h"

bool peri_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool peri_path_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *peri_path_join(const char *folder, const char *name)
{
    return folder ? peri_asprintf("%s%s%s", folder, peri_str_ends(folder, "/") ? "" : "/", name) : NULL;
}

static char *home(void)
{
    const char *dir = getenv("HOME");
    if (dir && *dir)
        return peri_strdup(dir);
    struct passwd *pw = getpwuid(getuid());
    return peri_strdup(pw && pw->pw_dir ? pw->pw_dir : "/");
}

/* The first of a colon-separated list, as systemd gives it. */
static char *first_of(const char *list)
{
    return peri_strndup(list, strcspn(list, ":"));
}

static char *xdg(const char *variable, const char *fallback)
{
    const char *base = getenv(variable);
    if (base && base[0] == '/')
        return peri_path_join(base, "perigee");
    char *dir = home();
    char *path = peri_asprintf("%s/%s/perigee", dir ? dir : "", fallback);
    free(dir);
    return path;
}

char *peri_path_state(void)
{
    const char *dir = getenv("STATE_DIRECTORY");
    return dir && *dir ? first_of(dir) : xdg("XDG_STATE_HOME", ".local/state");
}

char *peri_path_config(void)
{
    const char *dir = getenv("CONFIGURATION_DIRECTORY");
    if (dir && *dir)
        return first_of(dir);
    char *own = xdg("XDG_CONFIG_HOME", ".config");
    /* A user's own folder counts before the system's; root's is the system's. */
    bool system = peri_path_is_dir("/etc/perigee") && (getuid() == 0 || !own || !peri_path_is_dir(own));
    if (!system)
        return own;
    free(own);
    return peri_strdup("/etc/perigee");
}

/* The folder above bin/, where the program lies. */
static char *prefix(void)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n < 0)
        return peri_strdup("/usr");
    exe[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(exe, '/');
        if (slash)
            *slash = '\0';
    }
    return peri_strdup(exe);
}

char *peri_path_share(void)
{
    char *root = prefix();
    char *share = peri_path_join(root, "share/perigee");
    free(root);
    return share;
}

/* build/<preset>/bin/perigee: three folders up is the source tree. */
static char *source_tree(void)
{
    char *root = prefix();
    char *marker = root ? peri_asprintf("%s/CMakeCache.txt", root) : NULL;
    char *tree = NULL;
    if (marker && peri_path_is_file(marker)) {
        char *joined = peri_path_join(root, "../..");
        tree = joined ? realpath(joined, NULL) : NULL;
        free(joined);
    }
    free(marker);
    free(root);
    return tree;
}

char *peri_path_bundled_rules(void)
{
    char *tree = source_tree();
    char *base = tree ? tree : peri_path_share();
    char *rules = peri_path_join(base, "rules");
    free(base);
    return rules;
}

char *peri_path_beside(const char *file, const char *name)
{
    if (name[0] == '/' || !file)
        return peri_strdup(name);
    if (peri_str_starts(name, "~/")) {
        char *dir = home();
        char *path = peri_path_join(dir, name + 2);
        free(dir);
        return path;
    }
    const char *slash = strrchr(file, '/');
    return slash ? peri_asprintf("%.*s/%s", (int)(slash - file), file, name) : peri_strdup(name);
}

enum peri_status peri_path_make(const char *path, struct peri_error *err)
{
    char *copy = peri_strdup(path);
    if (!copy)
        return peri_error_nomem(err);
    enum peri_status st = PERI_OK;
    for (char *p = copy + 1; st == PERI_OK; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST && !peri_path_is_dir(copy))
            st = peri_error_set(err, PERI_EIO, "folder", "cannot make the folder %s: %s", copy, strerror(errno));
        *p = was;
        if (!was)
            break;
    }
    if (st == PERI_OK && !peri_path_is_dir(path))
        st = peri_error_set(err, PERI_EIO, "folder", "%s is not a folder", path);
    free(copy);
    return st;
}

char *peri_path_uri(const char *path)
{
    struct peri_buf out;
    peri_buf_init(&out, 1 << 16);
    (void)peri_buf_puts(&out, path[0] == '/' ? "file://" : "");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        bool plain =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~/", *p);
        if (plain)
            (void)peri_buf_putc(&out, (char)*p);
        else
            (void)peri_buf_printf(&out, "%%%02X", *p);
    }
    return peri_buf_take(&out, NULL);
}

enum peri_status peri_path_read(const char *path, size_t max, char **ret, size_t *ret_len, struct peri_error *err)
{
    bool std = peri_streq(path, "-");
    FILE *f = std ? stdin : fopen(path, "rbe");
    if (!f)
        return peri_error_set(
            err, errno == ENOENT ? PERI_ENOTFOUND : PERI_EIO, NULL, "cannot read %s: %s", path, strerror(errno));
    struct peri_buf buf;
    peri_buf_init(&buf, max);
    char chunk[8192];
    size_t n;
    enum peri_status st = PERI_OK;
    while (st == PERI_OK && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        st = peri_buf_append(&buf, chunk, n);
    if (st)
        peri_error_set(err, st, NULL, "%s is larger than %zu bytes", path, max);
    else if (ferror(f))
        st = peri_error_set(err, PERI_EIO, NULL, "cannot read %s: %s", path, strerror(errno));
    if (!std)
        fclose(f);
    if (st == PERI_OK)
        *ret = peri_buf_take(&buf, ret_len);
    peri_buf_finish(&buf);
    return st;
}

static bool write_all(int fd, const char *text, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, text + done, len - done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0;
}

enum peri_status peri_path_replace(const char *path, const char *text, size_t len, struct peri_error *err)
{
    struct stat info;
    char *real = realpath(path, NULL), *fresh = real ? peri_asprintf("%s.XXXXXX", real) : NULL;
    int fd = fresh && stat(path, &info) == 0 ? mkstemp(fresh) : -1;
    bool good = fd >= 0 && fchmod(fd, info.st_mode & 07777) == 0 && write_all(fd, text, len);
    if (fd >= 0)
        good = close(fd) == 0 && good;
    good = good && rename(fresh, real) == 0;
    enum peri_status st =
        good ? PERI_OK : peri_error_set(err, PERI_EIO, "io", "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0 && !good)
        (void)unlink(fresh);
    free(fresh);
    free(real);
    return st;
}

enum peri_status peri_path_write_private(const char *path, const char *text, struct peri_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return peri_error_set(err, PERI_EIO, NULL, "cannot write %s: %s", path, strerror(why));
    }
    close(fd);
    return PERI_OK;
}
