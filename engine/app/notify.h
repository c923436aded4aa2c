/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_NOTIFY_H
#define PERI_APP_NOTIFY_H

/* sd_notify(3): one datagram to $NOTIFY_SOCKET; nothing happens without it. */
void peri_notify_systemd(const char *state);

#endif
