/* SPDX-License-Identifier: Apache-2.0 */
/* What scripts/check-instructions has valgrind count, beside the steps of bench/lib. */
#pragma once

#include "../asynchrony/asynchrony.h"

/* BATCH ops, |n| times. */
void profiled_ops(struct ops *ops, unsigned n);
/* When it returns, valgrind writes down what it has counted so far, and begins anew. */
void row_end(void);
