/* SPDX-License-Identifier: Apache-2.0 */
/* Tells whoever supervises the process (systemd's Type=notify) how it is. */
#pragma once

/*
 * Sends |state|, such as "READY=1", to the socket that the environment's NOTIFY_SOCKET names. Without one, or when
 * nobody listens there, it does nothing: a service must not fail because nobody watches it. Never waits.
 */
void app_notify(const char *state);
/* That a reload has begun, and when; "READY=1" says that it is over, whatever came of it. */
void app_notify_reloading(void);
