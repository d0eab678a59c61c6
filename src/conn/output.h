/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* Frames, seals and collects what was given; true: something moved. */
bool milgi__conn_pump_out(struct milgi_conn *c, uint64_t *spent_ns);
/* Application data may flow; false: it waits for room. */
bool milgi__conn_release_held(struct milgi_conn *c);
/* What is finished, to on_output. */
void milgi__conn_flush(struct milgi_conn *c);
