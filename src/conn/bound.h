/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* The most that a connection with this config holds. */
uint64_t milgi__conn_bound(const struct milgi_config *config);
/* Its parts, which are kept where they grow: bytes staged, delivered and not consumed, given and not framed. */
uint64_t milgi__staged_max(const struct milgi_config *config);
uint64_t milgi__delivered_max(const struct milgi_config *config);
uint64_t milgi__given_max(const struct milgi_config *config);
/*
 * Of CREDIT, INPUT or OUTPUT what a connection may have now: less as the engine's chunks run out, so that those whose
 * peer or application takes nothing leave some to the others, but always enough for the next record.
 */
uint64_t milgi__conn_share(const struct milgi_conn *c, enum milgi_limit which);
/* Checks of them. */
void milgi__conn_check_in(const struct milgi_conn *c);
void milgi__conn_check_given(const struct milgi_conn *c);
void milgi__conn_check_framed(const struct milgi_conn *c);
