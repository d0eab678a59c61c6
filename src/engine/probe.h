/* SPDX-License-Identifier: Apache-2.0 */
/* An op of the engine's own whose result is known: does a device that failed work again? */
#pragma once

#include "engine/parts.h"

enum milgi__probed {
    MILGI__PROBE_SENT,
    MILGI__PROBE_REFUSED, /* it takes none now, or there is no memory for one */
    MILGI__PROBE_CANNOT   /* it takes no ops of which the engine could make one */
};

enum milgi__probed milgi__probe(struct milgi_engine *e, struct milgi__dev *d);
/* |op|, a probe that has come back, has the result that it must have. */
bool milgi__probe_passed(struct milgi_engine *e, const struct milgi_op *op);
