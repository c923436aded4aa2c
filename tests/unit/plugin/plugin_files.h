/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TEST_PLUGIN_FILES_H
#define PERI_TEST_PLUGIN_FILES_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of a test's own. */
struct files {
    char dir[64];
};

static inline void files_init(struct files *f)
{
    snprintf(f->dir, sizeof(f->dir), "/tmp/perigee-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
}

static inline int files_remove(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    return remove(path);
}

static inline void files_finish(struct files *f)
{
    nftw(f->dir, files_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes dir/path, making folders. Returns a static buffer with the whole path. */
static inline const char *files_put(struct files *f, const char *path, const char *text)
{
    static char whole[512];
    snprintf(whole, sizeof(whole), "%s/%s", f->dir, path);
    for (char *p = strchr(whole + strlen(f->dir) + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(whole, 0700);
        *p = '/';
    }
    FILE *out = fopen(whole, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    return whole;
}

#endif
