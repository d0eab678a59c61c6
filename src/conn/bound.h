/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* The most that a connection with this config holds. */
uint64_t milgi__conn_bound(const struct milgi_config *config);
