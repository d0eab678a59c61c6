/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of clients, in either version. */
#pragma once

#include "loop.h"

/* Each kind of key, whatever the server demands: it is asked for only if it is wanted. */
void clients_with_certificates(uint16_t version);
/* None: the handshake ends in |alert| where there has to be one. */
void clients_without_certificate(uint16_t version, int alert);
