/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* What one message means. Takes its references. */
void milgi__conn_dispatch(struct milgi_conn *c, struct milgi__message *message);
/* What dispatch has collected, to on_data. */
void milgi__conn_deliver(struct milgi_conn *c);
/* A record of |len| bytes that may be rejected early data is passed over, or is one too many. */
void milgi__conn_skip_early(struct milgi_conn *c, uint32_t len);
