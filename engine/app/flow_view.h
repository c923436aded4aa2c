/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_FLOW_VIEW_H
#define PERI_APP_FLOW_VIEW_H

#include "base/buf.h"
#include "io/store.h"

/* What became of the events of each source, as Prometheus text. These are the only metrics whose label comes from
 * senders: the store bounds how many there are. False: memory is out. */
bool peri_flow_render(struct peri_store *store, struct peri_buf *out);

#endif
