/* SPDX-License-Identifier: Apache-2.0 */
/* An op's names and its end. */
#include "op/op.h"

#include <milgi/device.h>

#include <stdatomic.h>

const char *milgi_op_type_name(int type)
{
    static const char *const names[MILGI_OP_TYPES] = {
        [MILGI_OP_SEAL] = "SEAL",
        [MILGI_OP_OPEN] = "OPEN",
        [MILGI_OP_KEYGEN] = "KEYGEN",
        [MILGI_OP_DERIVE] = "DERIVE",
        [MILGI_OP_SIGN] = "SIGN",
        [MILGI_OP_VERIFY] = "VERIFY",
        [MILGI_OP_VERIFY_CHAIN] = "VERIFY_CHAIN",
    };
    return type >= 0 && type < MILGI_OP_TYPES ? names[type] : "unknown";
}

const char *milgi_op_status_name(int status)
{
    static const char *const names[] = {
        [MILGI_OP_PENDING] = "PENDING",
        [MILGI_OP_OK] = "OK",
        [MILGI_OP_REJECTED] = "REJECTED",
        [MILGI_OP_BROKEN] = "BROKEN",
        [MILGI_OP_CANCELLED] = "CANCELLED",
        [MILGI_OP_LOST] = "LOST",
    };
    return status >= 0 && status < (int)MILGI__COUNT(names) ? names[status] : "unknown";
}

uint64_t milgi__key_serial(void)
{
    static _Atomic uint64_t last;

    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

/* Key exchange must not make every op larger: its shares lie outside. */
_Static_assert(sizeof(struct milgi_op_kex) <= sizeof(struct milgi_op_sign), "signatures are the largest");

static void drop(struct milgi_chunk **chunk)
{
    if (*chunk)
        milgi_chunk_unref(*chunk);
    *chunk = NULL;
}

void milgi__op_clear(struct milgi_op *op)
{
    switch (op->type) {
    case MILGI_OP_SEAL:
    case MILGI_OP_OPEN:
        drop(&op->u.aead.dst_chunk);
        for (size_t i = 0; i < op->u.aead.src_n && i < MILGI_OP_SLICES; i++)
            drop(&op->u.aead.src[i].chunk);
        op->u.aead.src_n = 0;
        op->u.aead.dst = NULL;
        milgi__zero(op->u.aead.nonce, sizeof op->u.aead.nonce); /* of the first record it is the key's own IV */
        break;
    case MILGI_OP_KEYGEN:
    case MILGI_OP_DERIVE:
        drop(&op->u.kex.share.chunk);
        milgi__wipe(&op->u.kex, sizeof op->u.kex);
        break;
    case MILGI_OP_VERIFY:
        drop(&op->u.sign.blob.chunk);
        break;
    case MILGI_OP_VERIFY_CHAIN:
        drop(&op->u.chain.chain.chunk);
        break;
    default:
        break;
    }
}

struct milgi__failure milgi__op_failure(int type, int status, int device_code)
{
    bool memory = device_code == MILGI_CODE_NO_MEMORY;
    const char *detail = memory ? "not enough memory for a crypto operation" : "a crypto device failed";
    if (status == MILGI_OP_LOST)
        detail = "a crypto device did not answer in time";
    return (struct milgi__failure){
        .error = memory ? MILGI_ENOMEM : MILGI_EDEVICE,
        .alert = MILGI_ALERT_INTERNAL_ERROR,
        .op = (int8_t)type,
        .device_code = device_code,
        .detail = detail,
    };
}
