/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* Puts it behind what was received and not taken up: as milgi_conn_receive(). */
int milgi__conn_stage(struct milgi_conn *c, struct milgi_slice slice);
/* Takes up, hands on and dispatches what came in; true: something moved. */
bool milgi__conn_pump_in(struct milgi_conn *c, uint64_t budget_ns, uint64_t *spent_ns);
/* What it had for the rest of a record is another's now. */
void milgi__conn_finished(struct milgi_conn *c);
/* Pause, resume, the end of the transport. */
void milgi__conn_input_state(struct milgi_conn *c);
