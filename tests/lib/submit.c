/* SPDX-License-Identifier: Apache-2.0 */
#include "submit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void submit_keygen(struct milgi_engine *engine, struct milgi__owner *owner, uint16_t group)
{
    struct milgi_op *op = milgi__engine_op_new(engine, false);
    assert_non_null(op);
    memset(&op->u.kex, 0, sizeof op->u.kex);
    struct milgi_chunk *chunk = milgi__chunk_alloc(milgi__engine_pool(engine), 128, 0, true);
    assert_non_null(chunk);
    op->u.kex.share = (struct milgi_slice){ chunk, chunk->data, 128 };
    op->type = MILGI_OP_KEYGEN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = group;
    op->flags |= MILGI__OP_RERUN;
    op->u.kex.seed_len = (uint16_t)milgi__kex_seed_len(group);
    memset(op->u.kex.seed, 7, op->u.kex.seed_len);
    milgi__engine_submit(engine, owner, op, 0);
}
