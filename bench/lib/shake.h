/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of handshakes, as a config of Milgi agrees on them. */
#pragma once

#include "ends.h"

struct milgi_config;

/* Versions, suites and groups; |suite| is for those of TLS 1.3. */
void milgi_shake(struct milgi_config *config, enum shake shake, uint16_t suite);
/* Whether its libcrypto has what this kind wants. */
bool milgi_shakes(enum shake shake);
