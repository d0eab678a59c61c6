/* SPDX-License-Identifier: Apache-2.0 */
/* See alone.h. */
#include "alone.h"

struct milgi_device *device;
struct rig rig;

void alone_begin(const char *spec, bool virtual_time)
{
    const char *why = "";
    if (milgi_device_new(spec, &device, &why))
        fail_msg("%s: %s", spec, why);
    assert_fine(rig_open(&rig, device, virtual_time, 5));
}

void alone_end(void)
{
    if (!device)
        return;
    rig_close(&rig);
    milgi_device_free(device);
    device = NULL;
}

int alone_teardown(void **state)
{
    (void)state;
    alone_end();
    return 0;
}

unsigned alone_put(struct job *job)
{
    struct milgi_op *op = &job->op;
    return rig.ops->enqueue(rig.qp, &op, 1);
}

struct job *alone_get(void)
{
    struct milgi_op *op = NULL;
    if (rig.ops->dequeue(rig.qp, &op, 1) == 0)
        return NULL;
    assert_false(job_of(op)->back);
    job_of(op)->back = true;
    return job_of(op);
}

void alone_enqueue(struct job *const *jobs, unsigned n)
{
    assert_fine(rig_enqueue(&rig, jobs, n));
}

void alone_finish(struct job *const *jobs, unsigned n)
{
    assert_fine(rig_finish(&rig, jobs, n));
    for (unsigned i = 0; i < n; i++)
        job_free(jobs[i]);
}

struct job *alone_job(enum milgi__row row, bool bad, uint16_t rsa)
{
    switch (row) {
    case MILGI__ROW_X25519_KEYGEN: return job_keygen(&rig, MILGI_GROUP_X25519);
    case MILGI__ROW_X25519_DERIVE: return job_derive(&rig, MILGI_GROUP_X25519, bad ? SHARE_OFF_CURVE : SHARE_GOOD);
    case MILGI__ROW_P256_SIGN: return job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    case MILGI__ROW_P256_VERIFY: return job_verify(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, bad);
    case MILGI__ROW_P384_SIGN: return job_sign(&rig, RIG_P384, MILGI_SIG_ECDSA_SECP384R1_SHA384);
    case MILGI__ROW_ED25519_SIGN: return job_sign(&rig, RIG_ED25519, MILGI_SIG_ED25519);
    default: return job_sign(&rig, RIG_RSA, rsa);
    }
}
