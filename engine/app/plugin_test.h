/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PLUGIN_TEST_H
#define PERI_APP_PLUGIN_TEST_H

#include "app/cli.h"

/* perigee plugins test DIR: the specs of a package by busted, which drive the host of this process through lua/testkit
 * (spec_talk.h), then the examples of its examples.json. spec: this file and nothing else; NULL: DIR's own. isolation
 * (may be NULL): "process" has specs load plugins into processes of their own. Returns the exit code. */
int peri_plugin_test(struct peri_cli *cli, const char *dir, const char *spec, const char *isolation);

#endif
