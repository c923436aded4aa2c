/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_SPEC_TALK_H
#define PERI_APP_SPEC_TALK_H

#include <stdio.h>
#include "app/cli.h"

/* Serves the specs that run in another process: reads a JSON object a line from in, answers with one on out, until in
 * ends. lua/testkit/host.lua is the other side, engine/doc/host.md has the requests. dir is an empty folder of the
 * caller's for packages that a spec makes up. */
void peri_spec_talk(FILE *in, FILE *out, const char *dir);

#endif
