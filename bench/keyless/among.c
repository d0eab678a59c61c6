/* SPDX-License-Identifier: Apache-2.0 */
/* How long a signature of P-256 takes while 32 of RSA-4096 are always asked for on the same connection. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "keyless.h"

#define SLOW 32u
#define PAUSE_NS 4000000u /* between quick ones */

struct asked {
    struct milgi_op op;
    uint64_t begun_ns;
};

struct asker {
    struct milgi_device *device;
    struct milgi_qp *qp;
    struct milgi_credential *credential[2];
    struct milgi_key key[2];
    void *loaded[2][MILGI_DEVICES_MAX];
    struct asked slow[SLOW], quick;
    bool quick_out;
    unsigned slow_out, slow_done, failed;
    struct bench_samples took;
};

static uint64_t monotonic_ns(void *ctx)
{
    (void)ctx;
    return uv_hrtime();
}

static void open_asker(struct asker *a, const struct papers *papers, unsigned port)
{
    static const struct milgi_clock clock = { .monotonic_ns = monotonic_ns };
    const struct bench_cert *cert[2] = { &papers->quick, &papers->slow };
    char address[32];
    memset(a, 0, sizeof *a);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    a->device = device_for(papers, address, 0);
    a->qp = a->device->ops->qp_open(a->device, &clock);
    for (unsigned i = 0; i < 2; i++) {
        if (milgi_credential_new_uri(cert[i]->cert_pem, cert[i]->cert_len, "keyless:", &a->credential[i]))
            bench_die("a credential");
        milgi_key_init(&a->key[i], a->credential[i], a->loaded[i]);
        a->loaded[i][0] = a->device->ops->key_load(a->qp, &a->key[i]);
    }
}

static void close_asker(struct asker *a)
{
    struct milgi_op *back[SLOW];
    a->device->ops->quiesce(a->qp, 0);
    while (a->device->ops->dequeue(a->qp, back, SLOW)) {
    }
    for (unsigned i = 0; i < 2; i++) {
        a->device->ops->key_free(a->qp, &a->key[i], a->loaded[i][0]);
        milgi_credential_unref(a->credential[i]);
    }
    a->device->ops->qp_close(a->qp);
    milgi_device_free(a->device);
    bench_samples_free(&a->took);
}

static void ask(struct asker *a, struct asked *asked, bool slow)
{
    struct milgi_op *op = &asked->op;
    *op = (struct milgi_op){ .type = MILGI_OP_SIGN,
        .alg = slow ? MILGI_SIG_RSA_PSS_RSAE_SHA256 : MILGI_SIG_ECDSA_SECP256R1_SHA256,
        .key = &a->key[slow] };
    op->u.sign.input_len = 32;
    asked->begun_ns = uv_hrtime();
    if (a->device->ops->enqueue(a->qp, &op, 1) != 1)
        bench_die("the device is full");
    if (slow)
        a->slow_out++;
    else
        a->quick_out = true;
}

static void take(struct asker *a, struct milgi_op *op, bool again)
{
    struct asked *asked = (struct asked *)op;
    a->failed += op->status != MILGI_OP_OK;
    if (asked == &a->quick) {
        a->quick_out = false;
        bench_samples_add(&a->took, (double)(uv_hrtime() - asked->begun_ns) / 1e6);
        return;
    }
    a->slow_out--;
    a->slow_done++;
    if (again)
        ask(a, asked, true);
}

static void turn(struct asker *a, bool slow)
{
    struct milgi_op *back[SLOW];
    struct pollfd fd = { .fd = a->device->ops->notify_fd(a->qp), .events = POLLIN };
    unsigned n;
    while ((n = a->device->ops->dequeue(a->qp, back, SLOW)) > 0)
        for (unsigned i = 0; i < n; i++)
            take(a, back[i], slow);
    if (!a->device->ops->arm(a->qp))
        poll(&fd, 1, 1);
}

static void measure(struct asker *a, bool slow, double seconds)
{
    uint64_t now = uv_hrtime(), end = now + (uint64_t)(seconds * 1e9), next = now;
    bench_samples_clear(&a->took);
    a->slow_done = a->failed = 0;
    for (unsigned i = 0; slow && i < SLOW; i++)
        ask(a, &a->slow[i], true);
    for (; now < end; now = uv_hrtime()) {
        if (!a->quick_out && now >= next) {
            ask(a, &a->quick, false);
            next = now + PAUSE_NS;
        }
        turn(a, slow);
    }
    while (a->slow_out || a->quick_out)
        turn(a, false);
}

static void line(const char *who, const char *how, const struct asker *a, double seconds)
{
    printf("%-16s %-24s %8zu %8.2f %8.2f %8.2f %10.0f %6u\n", who, how, a->took.n, bench_samples_median(&a->took),
        bench_samples_percentile(&a->took, 95), bench_samples_percentile(&a->took, 99), a->slow_done / seconds,
        a->failed);
}

static bool one(const struct options *o, const struct papers *papers, const char *who, const char *gokeyless)
{
    static struct asker a;
    struct keyserver server = { 0 };
    double seconds = 4 * o->stretch;
    keyserver_start(&server, papers, o->milgi, gokeyless);
    open_asker(&a, papers, server.port);
    measure(&a, false, seconds / 4); /* until all have what they need */
    measure(&a, false, seconds);
    line(who, "alone", &a, seconds);
    measure(&a, true, seconds);
    line(who, "among 32 of RSA-4096", &a, seconds);
    bool right = !a.failed && a.took.n > 0;
    close_asker(&a);
    keyserver_kill(&server);
    return right;
}

bool among(const struct options *o)
{
    struct papers papers;
    papers_make(&papers);
    printf("\nA signature of P-256, one every 4 ms, alone and beside slow ones on the same connection; ms\n");
    printf("%-16s %-24s %8s %8s %8s %8s %10s %6s\n", "key server", "", "done", "median", "p95", "p99", "RSA/s",
        "failed");
    bool right = one(o, &papers, "milgi keyserver", NULL);
    if (o->gokeyless)
        right = one(o, &papers, "gokeyless", o->gokeyless) && right;
    papers_free(&papers);
    return right;
}
