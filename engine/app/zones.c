/* SPDX-License-Identifier: Apache-2.0 */
#include "app/zones.h"

#include "io/tzfiles.h"

struct peri_tz_source peri_tz_files(void)
{
    return (struct peri_tz_source){peri_tzfiles_read, NULL};
}
