/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* The most that a connection with this config holds. */
uint64_t milgi__conn_bound(const struct milgi_config *config);
/* Its parts, which are kept where they grow: bytes staged, delivered and not consumed, given and not framed. */
uint64_t milgi__staged_max(const struct milgi_config *config);
uint64_t milgi__delivered_max(const struct milgi_config *config);
uint64_t milgi__given_max(const struct milgi_config *config);
/* Checks of them. */
void milgi__conn_check_in(const struct milgi_conn *c);
void milgi__conn_check_given(const struct milgi_conn *c);
void milgi__conn_check_framed(const struct milgi_conn *c);
