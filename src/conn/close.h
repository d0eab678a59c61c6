/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* Acts on a failure: drops what is not framed, queues the alert. Once. */
void milgi__conn_settle(struct milgi_conn *c);
/* close_notify when its time has come; on_closed when all is over. */
void milgi__conn_close_state(struct milgi_conn *c);
void milgi__conn_destroy(struct milgi_conn *c);
