/* SPDX-License-Identifier: Apache-2.0 */
/* perigee-cell: the process of one plugin. The service starts it; by hand it is of no use. */
#include <stdio.h>

#include "base/str.h"
#include "plugin/cell.h"

#if defined(__SANITIZE_ADDRESS__)
/* What looks for leaks at the end makes threads, which the filter does not let pass; a fault stays a signal, which is
 * what the service sees of it in the builds that count. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0";
}
#endif

int main(int argc, char **argv)
{
    long long memory, parent;
    if (argc != 3 || !peri_parse_i64(argv[1], &memory) || !peri_parse_i64(argv[2], &parent) || memory < 0) {
        fputs("perigee-cell is started by perigee\n", stderr);
        return 2;
    }
    return peri_cell_main(PERI_CELL_FD, (size_t)memory, (pid_t)parent);
}
