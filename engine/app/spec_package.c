/* SPDX-License-Identifier: Apache-2.0 */
#include "app/spec_package.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/paths.h"
#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"

#define FILE_MAX ((size_t)64 << 20) /* a shared object with all its symbols */
#define DEPTH_MAX 8
#define POLICY_MAX 65536

static enum peri_status write_file(const char *path, const char *text, size_t len, struct peri_error *err)
{
    (void)unlink(path); /* a copy may be read-only */
    FILE *out = fopen(path, "we");
    bool good = out && fwrite(text, 1, len, out) == len;
    if (out)
        good = fclose(out) == 0 && good;
    return good ? PERI_OK : peri_error_set(err, PERI_EIO, "spec", "cannot write %s: %s", path, strerror(errno));
}

/* Specs are no part of what they test. */
static bool is_left_out(const char *name, int depth)
{
    return name[0] == '.' || (depth == 0 && (peri_streq(name, "spec") || peri_streq(name, "build")));
}

static enum peri_status copy_folder(const char *from, const char *to, int depth, struct peri_error *err)
{
    if (mkdir(to, 0700) && errno != EEXIST)
        return peri_error_set(err, PERI_EIO, "spec", "cannot make %s: %s", to, strerror(errno));
    DIR *dir = depth < DEPTH_MAX ? opendir(from) : NULL;
    if (!dir)
        return peri_error_set(err, PERI_EIO, "spec", "cannot read %s: %s", from, strerror(errno));
    enum peri_status st = PERI_OK;
    struct dirent *entry;
    while (!st && (entry = readdir(dir))) {
        if (is_left_out(entry->d_name, depth))
            continue;
        char *source = peri_path_join(from, entry->d_name), *target = peri_path_join(to, entry->d_name), *text = NULL;
        size_t len;
        if (!source || !target)
            st = peri_error_nomem(err);
        else if (peri_path_is_dir(source))
            st = copy_folder(source, target, depth + 1, err);
        else if (!(st = peri_path_read(source, FILE_MAX, &text, &len, err)))
            st = write_file(target, text, len, err);
        free(source);
        free(target);
        free(text);
    }
    closedir(dir);
    return st;
}

static enum peri_status put_file(const char *folder, const char *name, const char *text, struct peri_error *err)
{
    const char *slash = strrchr(name, '/');
    char *path = peri_path_join(folder, name), *parent = NULL;
    enum peri_status st = path ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK && (name[0] == '/' || strstr(name, "..") || !text))
        st = peri_error_set(err, PERI_EINVAL, "spec", "files: \"%s\" is no name of a file in a package", name);
    if (st == PERI_OK && slash) {
        parent = peri_asprintf("%s/%.*s", folder, (int)(slash - name), name);
        st = parent ? peri_path_make(parent, err) : peri_error_nomem(err);
    }
    if (st == PERI_OK)
        st = write_file(path, text, strlen(text), err);
    free(parent);
    free(path);
    return st;
}

/* The members of more replace those of plugin.json. */
static enum peri_status change_manifest(const char *folder, const struct peri_value *more, struct peri_error *err)
{
    struct peri_value *manifest = NULL;
    char *path = peri_path_join(folder, "plugin.json"), *text = NULL;
    size_t len = 0;
    enum peri_status st = path ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK && peri_path_is_file(path)) {
        st = peri_path_read(path, FILE_MAX, &text, &len, err);
        if (st == PERI_OK)
            st = peri_json_parse(text, len, &manifest, err);
    } else if (st == PERI_OK && !(manifest = peri_value_map())) {
        st = peri_error_nomem(err);
    }
    for (void *it = peri_map_first(more); st == PERI_OK && it; it = peri_map_next(more, it))
        if (peri_map_put_ref(manifest, peri_map_key(it, NULL), peri_map_item(it)))
            st = peri_error_nomem(err);
    free(text);
    text = st == PERI_OK ? peri_json_text(manifest, PERI_JSON_INDENT) : NULL;
    if (st == PERI_OK)
        st = text ? write_file(path, text, strlen(text), err) : peri_error_nomem(err);
    free(text);
    free(path);
    peri_value_unref(manifest);
    return st;
}

enum peri_status peri_spec_package(
    const struct peri_value *given, const char *dir, int number, char **ret_folder, struct peri_error *err)
{
    const char *folder = peri_map_text(given, "folder");
    const struct peri_value *files = peri_map_at(given, "files"), *manifest = peri_map_at(given, "manifest");
    if (folder && !files && !manifest) {
        *ret_folder = realpath(folder, NULL);
        return *ret_folder ? PERI_OK : peri_error_set(err, PERI_ENOTFOUND, "spec", "there is no folder %s", folder);
    }
    char *made = peri_asprintf("%s/%d", dir, number);
    enum peri_status st = made ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK && folder)
        st = copy_folder(folder, made, 0, err);
    else if (st == PERI_OK)
        st = peri_path_make(made, err);
    for (void *it = peri_map_first(files); st == PERI_OK && it; it = peri_map_next(files, it))
        st = put_file(made, peri_map_key(it, NULL), peri_value_text(peri_map_item(it)), err);
    if (st == PERI_OK && manifest)
        st = change_manifest(made, manifest, err);
    if (st)
        free(made);
    else
        *ret_folder = made;
    return st;
}

enum peri_status peri_spec_policy(
    const struct peri_value *ids, const char *dir, int number, char **ret_file, struct peri_error *err)
{
    struct peri_buf out;
    peri_buf_init(&out, POLICY_MAX);
    (void)peri_buf_puts(&out, "plugins:\n");
    for (size_t i = 0; i < peri_value_count(ids); i++)
        (void)peri_buf_printf(&out, "  %s: {isolation: process}\n", peri_value_text(peri_list_at(ids, i)));
    char *path = peri_asprintf("%s/policy-%d.yaml", dir, number);
    enum peri_status st = path && !out.failed ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK)
        st = peri_path_write_private(path, peri_buf_text(&out), err);
    peri_buf_finish(&out);
    if (st)
        free(path);
    else
        *ret_file = path;
    return st;
}

enum peri_status peri_spec_folder_make(char **ret, struct peri_error *err)
{
    const char *tmp = getenv("TMPDIR");
    char *path = peri_asprintf("%s/perigee-spec-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!path)
        return peri_error_nomem(err);
    if (!mkdtemp(path)) {
        enum peri_status st = peri_error_set(err, PERI_EIO, "spec", "cannot make %s: %s", path, strerror(errno));
        free(path);
        return st;
    }
    *ret = path;
    return PERI_OK;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)!remove(path);
    return 0;
}

void peri_spec_folder_remove(char *path)
{
    if (path)
        (void)!nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(path);
}
