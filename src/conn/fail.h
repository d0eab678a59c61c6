/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/*
 * Records why the connection ends, and nothing else: the first failure stays, and the turn acts on it (close.c). From
 * anywhere, callbacks and other functions of the connection too.
 */
void milgi__conn_fail_with(struct milgi_conn *c, const struct milgi__failure *failure);
void milgi__conn_fail(struct milgi_conn *c, int error, int alert, const char *detail);
