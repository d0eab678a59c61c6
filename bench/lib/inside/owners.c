/* SPDX-License-Identifier: Apache-2.0 */
#include "inside/owners.h"

#include <stdlib.h>

struct bench_member {
    struct milgi__owner owner;
    struct bench_owners *all;
};

static void op_done(struct milgi__owner *owner, struct milgi_op *op)
{
    struct bench_owners *all = MILGI__ENTRY(owner, struct bench_member, owner)->all;

    if (op->status != MILGI_OP_OK)
        bench_die("%s came back %s (%d)", milgi_op_type_name(op->type), milgi_op_status_name(op->status),
            (int)op->device_code);
    if (all->look)
        all->look(all->arg, op);
    all->done++;
}

static uint64_t turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    (void)owner;
    (void)budget_ns;
    *more = false;
    return 0;
}

static void nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static const struct milgi__owner_ops member_ops = {
    .turn = turn,
    .op_done = op_done,
    .flush = nothing,
    .timeout = nothing,
    .idle = nothing,
    .drop = nothing,
};

void bench_must(int result, const char *what)
{
    if (result < 0)
        bench_die("%s: %s", what, milgi_error_text(result));
}

void bench_owners_attach(struct bench_owners *owners, struct milgi_engine *engine, unsigned n)
{
    owners->engine = engine;
    owners->members = calloc(n, sizeof *owners->members);
    if (!owners->members)
        bench_die("out of memory");
    owners->n = n;
    for (unsigned i = 0; i < n; i++) {
        owners->members[i] = (struct bench_member){ .owner.ops = &member_ops, .all = owners };
        bench_must(milgi__engine_attach(engine, &owners->members[i].owner), "attach");
    }
}

void bench_owners_detach(struct bench_owners *owners)
{
    for (unsigned i = 0; i < owners->n; i++)
        milgi__engine_detach(owners->engine, &owners->members[i].owner);
    free(owners->members);
    owners->members = NULL;
    owners->n = 0;
}

struct milgi__owner *bench_owner(struct bench_owners *owners, unsigned i)
{
    return &owners->members[i].owner;
}

struct milgi_op *bench_op_new(struct milgi_engine *engine)
{
    struct milgi_op *op = milgi__engine_op_new(engine, false);

    if (!op)
        bench_die("no op");
    return op;
}
