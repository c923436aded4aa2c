/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_PACKAGE_H
#define PERI_PLUGIN_PACKAGE_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

/* A plugin's folder as it was read: every file is read once, hashed from that reading, and what the host runs later
 * (Lua text, the manifest) comes from memory, so that nothing can change between approval and use.
 *
 * The hash is the SHA-256 of one line for each file, sorted by path: "<sha-256 of the content>  <path>\n", so
 * `find . -type f | sed 's,^./,,' | LC_ALL=C sort | xargs sha256sum | sha256sum` in it gives the same.
 * Names that begin with a dot are left out and can not be loaded. Symbolic links, devices and the like refuse the
 * package; so do more than 1,000 files, 16 MiB in one file, 64 MiB in all, or folders nested deeper than 8. */
struct peri_package;

/* PERI_ENOTFOUND no such folder; PERI_EINVAL with code package.symlink, package.special, package.limit; PERI_EIO. */
enum peri_status peri_package_open(const char *dir, struct peri_package **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_package_destroy(struct peri_package *package);
const char *peri_package_hash(const struct peri_package *package); /* 64 hex digits */
/* The content of a .lua or .json file (other kinds are hashed, not kept); NULL when there is none. borrow. */
const char *peri_package_text(const struct peri_package *package, const char *path, size_t *ret_len);
/* True when the folder holds this file, of any kind. */
bool peri_package_has(const struct peri_package *package, const char *path);

/* Is path, as written in a manifest, inside its folder: relative, no "..", no empty or hidden part, no backslash or
 * control character? "./init.lua" is; *ret_path (caller frees; may be NULL) is the form without "./". */
bool peri_package_path_ok(const char *path, char **ret_path);

#endif
