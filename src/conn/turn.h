/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

void milgi__conn_destroy(struct milgi_conn *c);

extern const struct milgi__owner_ops milgi__conn_owner_ops;
