/* SPDX-License-Identifier: Apache-2.0 */
#include "data/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Everything of a regular file, one byte more than the cap at most. */
static char *read_file(const char *path, size_t *ret_len, char *why, size_t why_size)
{
    char *data = NULL;
    size_t len = 0, max = PERI_YAML_MAX_BYTES + 1;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0 || fstat(fd, &st) < 0) {
        snprintf(why, why_size, "%s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        snprintf(why, why_size, "%s", S_ISDIR(st.st_mode) ? "it is a folder" : "it is no regular file");
    } else if (!(data = malloc(max))) {
        snprintf(why, why_size, "out of memory");
    } else {
        ssize_t n = 1;
        while (len < max && (n = read(fd, data + len, max - len)) != 0) {
            if (n > 0)
                len += (size_t)n;
            else if (errno != EINTR)
                break;
        }
        if (n < 0) {
            snprintf(why, why_size, "%s", strerror(errno));
            free(data);
            data = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    *ret_len = len;
    return data;
}

enum peri_status peri_yaml_load(
    const char *path, const char *const *tags, struct peri_yaml_doc **ret, struct peri_diag *diag)
{
    char why[128] = "";
    size_t len;
    char *text = read_file(path, &len, why, sizeof(why));
    if (!text) {
        peri_diag_add(
            diag, (struct peri_place){path, 0, 0}, PERI_SEV_ERROR, "unreadable", NULL, "cannot read the file: %s", why);
        return PERI_EINVAL;
    }
    enum peri_status st = peri_yaml_parse(path, text, len, tags, ret, diag);
    free(text);
    return st;
}
