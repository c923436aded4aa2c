/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PATHS_H
#define PERI_APP_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

/* Where things lie: the source tree when the program runs from its build folder, else the installed share folder; state
 * and configuration as systemd and the XDG base directory specification say. All results are malloc'ed. */

/* The program that runs, whatever has become of its file since. */
#define PERI_PATH_SELF "/proc/self/exe"

/* Folder with operators/, connectors/, channels/, policy.yaml. */
char *peri_path_share(void);
/* The default rule folder that comes with the program: rules/ of the source tree, or of the share folder. */
char *peri_path_bundled_rules(void);
/* $STATE_DIRECTORY, else $XDG_STATE_HOME/perigee, else ~/.local/state/perigee. */
char *peri_path_state(void);
/* $CONFIGURATION_DIRECTORY; else for root /etc/perigee when it exists; else $XDG_CONFIG_HOME/perigee when it exists,
 * then /etc/perigee when that exists. */
char *peri_path_config(void);
char *peri_path_join(const char *folder, const char *name);
/* name relative to the folder of file, unless it is absolute or starts with ~/. */
char *peri_path_beside(const char *file, const char *name);
bool peri_path_is_dir(const char *path);
bool peri_path_is_file(const char *path);
/* Makes the folder and its parents, mode 0700 for those that are new. */
enum peri_status peri_path_make(const char *path, struct peri_error *err) PERI_MUST_CHECK;
/* A path as a file URI, or as a relative reference: everything that has a meaning in URIs is percent-encoded. */
char *peri_path_uri(const char *path);
/* Reads a whole file of at most max bytes; malloc'ed, NUL-terminated. path "-" is standard input. */
enum peri_status peri_path_read(
    const char *path, size_t max, char **ret, size_t *ret_len, struct peri_error *err) PERI_MUST_CHECK;

/* A new file, or all of an old one, that only its owner may read. */
enum peri_status peri_path_write_private(const char *path, const char *text, struct peri_error *err) PERI_MUST_CHECK;
/* Puts text in place of the file, which keeps its mode; a link stays one. Whoever reads it sees the old text or the new
 * one. */
enum peri_status peri_path_replace(
    const char *path, const char *text, size_t len, struct peri_error *err) PERI_MUST_CHECK;

#endif
