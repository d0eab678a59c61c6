/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* What one message means. Takes its references. */
void milgi__conn_dispatch(struct milgi_conn *c, struct milgi__message *message);
/* What dispatch has collected, to on_data. */
void milgi__conn_deliver(struct milgi_conn *c);
