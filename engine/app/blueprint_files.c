/* SPDX-License-Identifier: Apache-2.0 */
#include "app/blueprint_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/paths.h"
#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"

#define NEAR_MAX 64 /* names that a wrong one is compared with */

/* The folder that paths are relative to: the entry itself, or what a single file lies in. Caller frees. */
static char *root_of(const char *entry)
{
    if (!peri_path_is_file(entry))
        return peri_strdup(entry);
    const char *slash = strrchr(entry, '/');
    return slash ? peri_strndup(entry, slash > entry ? (size_t)(slash - entry) : 1) : peri_strdup(".");
}

static bool holds(const char *root, const char *file)
{
    size_t n = strlen(root);
    while (n > 1 && root[n - 1] == '/')
        n--;
    return strncmp(root, file, n) == 0 && (file[n] == '/' || root[n - 1] == '/');
}

/* Every part below root, seen without following links. */
static enum peri_status walk(const char *root, const char *path, char **ret, struct peri_error *err)
{
    char *file = peri_path_join(root, path);
    struct stat info = {0};
    if (!file)
        return peri_error_nomem(err);
    size_t start = strlen(file) - strlen(path);
    for (size_t i = start; i <= start + strlen(path); i++) {
        char c = file[i];
        if (c != '/' && c != '\0')
            continue;
        file[i] = '\0';
        bool there = lstat(file, &info) == 0;
        file[i] = c;
        if (there && S_ISLNK(info.st_mode)) {
            free(file);
            return peri_error_set(err, PERI_EINVAL, NULL, "\"%.200s\" goes over a symbolic link", path);
        }
        if (!there || (c == '/' ? !S_ISDIR(info.st_mode) : !S_ISREG(info.st_mode))) {
            free(file);
            return peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no blueprint \"%.200s\"", path);
        }
    }
    *ret = file;
    return PERI_OK;
}

/* A name in the same folder that is near. */
static void look_near(const char *root, const char *path, char *near)
{
    const char *slash = strrchr(path, '/'), *names[NEAR_MAX + 1];
    int before = slash ? (int)(slash - path + 1) : 0;
    char *part = peri_strndup(path, (size_t)before), *folder = part ? peri_path_join(root, part) : NULL;
    DIR *dir = folder ? opendir(folder) : NULL;
    size_t n = 0;
    for (struct dirent *e; dir && n < NEAR_MAX && (e = readdir(dir));)
        if (e->d_name[0] != '.' && peri_str_ends(e->d_name, ".yaml") && (names[n] = peri_strdup(e->d_name)))
            n++;
    names[n] = NULL;
    const char *best = peri_nearest(path + before, names);
    if (best && !near[0])
        snprintf(near, PERI_BLUEPRINT_NEAR, "%.*s%s", before, path, best);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)names[i]);
    if (dir)
        closedir(dir);
    free(folder);
    free(part);
}

/* own: the roots that hold the rule's file; else the others. */
static enum peri_status search(const struct peri_rule_env *env, bool own, const char *from, const char *path,
    char **ret_file, char *near, struct peri_error *err)
{
    enum peri_status st = PERI_ENOTFOUND;
    for (size_t list = 0; list < 2 && st == PERI_ENOTFOUND; list++)
        for (size_t i = 0; env->folders[list] && env->folders[list][i] && st == PERI_ENOTFOUND; i++) {
            char *root = root_of(env->folders[list][i]);
            if (!root)
                return peri_error_nomem(err);
            if (holds(root, from) == own) {
                st = walk(root, path, ret_file, err);
                if (st == PERI_ENOTFOUND)
                    look_near(root, path, near);
            }
            free(root);
        }
    return st;
}

/* A file that lies in no rule folder is a rule folder's only one: what an editor has open, what --fix tries. */
static enum peri_status search_beside(const struct peri_rule_env *env, const char *from, const char *path,
    char **ret_file, char *near, struct peri_error *err)
{
    for (size_t list = 0; list < 2; list++)
        for (size_t i = 0; env->folders[list] && env->folders[list][i]; i++) {
            char *root = root_of(env->folders[list][i]);
            bool held = !root || holds(root, from);
            free(root);
            if (held)
                return PERI_ENOTFOUND;
        }
    char *root = root_of(from);
    enum peri_status st = root ? walk(root, path, ret_file, err) : peri_error_nomem(err);
    if (root && st == PERI_ENOTFOUND)
        look_near(root, path, near);
    free(root);
    return st;
}

enum peri_status peri_blueprint_find_file(const struct peri_rule_env *env, const char *from, const char *path,
    char **ret_file, char *near, struct peri_error *err)
{
    enum peri_status st = peri_blueprint_path_check(path, err);
    near[0] = '\0';
    if (st)
        return st;
    (void)peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no blueprint \"%.200s\"", path);
    st = search(env, true, from, path, ret_file, near, err);
    if (st == PERI_ENOTFOUND && peri_path_is_file(from))
        st = search_beside(env, from, path, ret_file, near, err);
    return st == PERI_ENOTFOUND ? search(env, false, from, path, ret_file, near, err) : st;
}

bool peri_blueprint_file_is(const char *file)
{
    char *text = NULL;
    size_t len = 0;
    bool found = false;
    if (!peri_path_is_file(file) || peri_path_read(file, PERI_YAML_MAX_BYTES, &text, &len, NULL) != PERI_OK)
        return false;
    for (const char *line = text; line && !found; line = strchr(line, '\n')) {
        line += *line == '\n';
        found = strncmp(line, "blueprint:", 10) == 0;
    }
    free(text);
    return found;
}

static void put(struct peri_buf *out, const char *before, const struct peri_value *v, const char *after)
{
    char *json = v && !peri_value_text(v) ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (v)
        (void)peri_buf_printf(out, "%s%s%s", before, json ? json : peri_value_text(v) ? peri_value_text(v) : "", after);
    free(json);
}

char *peri_blueprint_input_text(const struct peri_value *input)
{
    struct peri_buf out;
    const struct peri_value *fallback = peri_map_at(input, "default"), *items = peri_map_at(input, "items");
    peri_buf_init(&out, 64 * 1024);
    put(&out, "", peri_map_at(input, "type"), "");
    put(&out, " of ", items ? peri_map_at(items, "type") : NULL, "");
    put(&out, " ", peri_map_at(input, "options"), "");
    put(&out, ", at least ", peri_map_at(input, "min"), "");
    put(&out, ", at most ", peri_map_at(input, "max"), "");
    put(&out, ", matches ", peri_map_at(input, "pattern"), "");
    if (fallback)
        put(&out, ", default ", fallback, "");
    else
        (void)peri_buf_puts(&out, peri_map_bool(input, "required", false) ? ", required" : ", optional");
    char *text = out.failed ? NULL : peri_buf_take(&out, NULL);
    peri_buf_finish(&out);
    return text;
}
