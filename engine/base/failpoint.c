/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"

#ifdef PERIGEE_FAILPOINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void peri_failpoint(const char *name)
{
    static _Atomic long long passed;
    const char *wanted = getenv("PERIGEE_FAILPOINT"), *at = wanted ? strchr(wanted, '@') : NULL;
    size_t len = at ? (size_t)(at - wanted) : wanted ? strlen(wanted) : 0;
    long long turn = 1;
    if (!wanted || strlen(name) != len || memcmp(name, wanted, len) != 0 || (at && !peri_parse_i64(at + 1, &turn)))
        return;
    if (atomic_fetch_add(&passed, 1) + 1 >= turn)
        raise(SIGKILL);
}

#endif
