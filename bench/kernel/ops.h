/* SPDX-License-Identifier: Apache-2.0 */
/* Records of many connections: an op and a key each. */
#pragma once

#include "bench.h"

struct ops; /* with what they are made of */

struct ops *ops_new(void);
void ops_round(struct ops *ops); /* a sample of each subject */
void ops_print(const struct ops *ops);
void ops_json(const struct ops *ops, struct bench_json *json);
