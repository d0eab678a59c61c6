/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of signatures before a device that is not always there for them (signers.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "keyserver/keyserver.h"

static struct milgi_qp {
    int unused;
} qp;
static unsigned refusals; /* so often it takes nothing */
static struct milgi_op *has[4];
static unsigned has_n, answered_n;
static struct keyserver server;
static struct signer signer;
static struct key key;

void client_answer(struct job *job)
{
    assert_int_equal(job->op.status, MILGI_OP_OK);
    answered_n++;
    job_free(job);
}

static struct milgi_qp *open_qp(struct milgi_device *device, const struct milgi_clock *clock)
{
    (void)device;
    (void)clock;
    return &qp;
}

static void close_qp(struct milgi_qp *closed)
{
    (void)closed;
}

static unsigned enqueue(struct milgi_qp *to, struct milgi_op *const *ops, unsigned n)
{
    (void)to;
    if (refusals && refusals--)
        return 0;
    assert_true(n == 1 && has_n < 4);
    has[has_n++] = ops[0];
    return 1;
}

static unsigned dequeue(struct milgi_qp *of, struct milgi_op **ops, unsigned n)
{
    (void)of;
    if (!n || !has_n)
        return 0;
    ops[0] = has[--has_n];
    ops[0]->status = MILGI_OP_OK;
    return 1;
}

static void destroy(struct milgi_device *device)
{
    (void)device;
}

static const struct milgi_device_ops ops = {
    .name = "shy", .qp_open = open_qp, .qp_close = close_qp, .enqueue = enqueue, .dequeue = dequeue, .destroy = destroy
};

static struct milgi_device device = {
    .ops = &ops,
    .caps = { .flags = MILGI_CAP_HASHED,
        .ops = MILGI_OP_BIT(MILGI_OP_SIGN),
        .parallelism = 1,
        .max_in_flight = 2,
        .best_batch = 1 },
};

static void submit(void)
{
    static struct client *const somebody = (struct client *)&qp;
    struct job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    job->key = &key;
    job->client = somebody;
    job->held = sizeof *job;
    server.held += job->held;
    key.refs++;
    signer_submit(&signer, job);
}

/* And has nothing under way by whose end it would be looked at again. */
static void a_device_that_takes_nothing_for_a_moment_is_looked_at_again(void **state)
{
    (void)state;
    uv_loop_init(&server.loop);
    assert_true(signer_open(&signer, &server, &device));
    key.refs = 1;
    key.signer = &signer;
    key.cost_ns = 1;
    refusals = 5;
    for (unsigned i = 0; i < 3; i++)
        submit();
    const uv_handle_t *soon = (uv_handle_t *)&signer.soon, *again = (uv_handle_t *)&signer.again;
    while (answered_n < 3 && (uv_is_active(soon) || uv_is_active(again)))
        uv_run(&server.loop, UV_RUN_ONCE);
    assert_int_equal(answered_n, 3);
    assert_int_equal(refusals, 0);
    assert_int_equal(server.held, 0);
    assert_int_equal(key.refs, 1);
    uv_run(&server.loop, UV_RUN_NOWAIT);
    assert_false(uv_is_active(again)); /* and then no more */
    signer_stop(&signer);
    uv_run(&server.loop, UV_RUN_DEFAULT);
    signer_close(&signer);
    signer_free(&signer);
    assert_int_equal(uv_loop_close(&server.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_takes_nothing_for_a_moment_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
