/* SPDX-License-Identifier: Apache-2.0 */
/* What a record may be, and how many there may be under one key. */
#pragma once

#include "record/record.h"

/* Records that may ever be sealed or opened with this key, and after how many to change it. */
uint64_t milgi__limit_hard(const struct milgi__format *f, const struct milgi_key *key);
uint64_t milgi__limit_soft(const struct milgi__format *f, const struct milgi_key *key);
/* Padding of a record with |content| bytes; the same answer until a record is framed. */
uint32_t milgi__limit_padding(struct milgi__record *r, uint32_t content);
/* Whether |header| may begin a record; false: *failure. */
bool milgi__limit_header(const struct milgi__record *r, const uint8_t *header, struct milgi__failure *failure);
