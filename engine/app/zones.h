/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_ZONES_H
#define PERI_APP_ZONES_H

#include "lang/tz.h"

/* The machine's time zones: lang reads no files, io knows no zones, so they meet here. */
struct peri_tz_source peri_tz_files(void);

#endif
