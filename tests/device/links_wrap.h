/* SPDX-License-Identifier: Apache-2.0 */
/* For a test's one file, which says ctest-wrap: milgi__engine_submit: links.h is told of every op. */
#pragma once

#include "links.h"

void __real_milgi__engine_submit(
    struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot);
void __wrap_milgi__engine_submit(
    struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot);

void __wrap_milgi__engine_submit(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot)
{
    links_submitted(owner, op);
    __real_milgi__engine_submit(e, owner, op, slot);
}
