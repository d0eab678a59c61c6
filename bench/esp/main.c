/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What examples/esp does between its sockets: datagrams get a header and go through the device "dpdk" by its functions
 * alone, in bursts; without sockets, a window and keys in files.
 *
 *   bench_esp DEVICE BURST MS SIZE...     for each size a line: SIZE and nanoseconds for each datagram
 *
 * All of them have to be the cryptodev's, and nothing is to be copied: else there is no result.
 */
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include <milgi/device_dpdk.h>
#include <milgi/milgi.h>

#include "bench.h"

#define ROOM 2048u
#define PACKETS (MILGI_MEMORY_SLAB / (2 * ROOM))
#define ICV 16u
#define BURST_MAX 256u
#define TURNS 64u /* between looks at the clock */

struct header {
    uint32_t spi, seq, iv[2];
};

struct packet {
    struct milgi_op op;
    uint8_t *data, *made;
};

static struct milgi_device *device;
static struct milgi_qp *qp;
static struct milgi_key key = { .serial = 1, .alg = MILGI_SUITE_AES_128_GCM_SHA256, .raw_len = 16, .raw = { 1, 2, 3 } };
static struct packet packets[PACKETS], *unused[PACKETS];
static unsigned unused_n;
static uint32_t last_seq;

static uint64_t clock_ns(void *ctx)
{
    (void)ctx;
    return bench_now_ns();
}

/* |len| bytes behind the room for the header, with trailer. */
static struct milgi_op *seal(struct packet *p, uint32_t len)
{
    static const uint8_t salt[4] = { 9, 9, 9, 9 };
    struct milgi_op_aead *aead = &p->op.u.aead;
    uint32_t seq = htonl(++last_seq);

    *(struct header *)(void *)p->made = (struct header){ 7, seq, { 0, seq } };
    p->data[sizeof(struct header) + len - 2] = 0;
    p->data[sizeof(struct header) + len - 1] = 61;
    /* The rest is as it was made, all zeros. */
    p->op.type = MILGI_OP_SEAL;
    p->op.status = MILGI_OP_PENDING;
    p->op.alg = key.alg;
    p->op.key = &key;
    aead->src_n = 1;
    aead->src[0] = (struct milgi_slice){ NULL, p->data + sizeof(struct header), len };
    aead->dst = p->made + sizeof(struct header);
    aead->dst_len = len + ICV;
    aead->aad_len = 8;
    memcpy(aead->nonce, salt, 4);
    memcpy(aead->nonce + 4, p->made + 8, 8);
    memcpy(aead->aad, p->made, 8);
    return &p->op;
}

static unsigned take(unsigned burst)
{
    struct milgi_op *ops[BURST_MAX];

    unsigned n = device->ops->dequeue(qp, ops, burst);
    for (unsigned i = 0; i < n; i++) {
        if (ops[i]->status != MILGI_OP_OK)
            bench_die("an op failed: %d", (int)ops[i]->device_code);
        unused[unused_n++] = (struct packet *)(void *)ops[i];
    }
    return n;
}

/* As many in as have room, as many out as are done. */
static uint64_t turn(uint32_t len, unsigned burst)
{
    struct milgi_op *ops[BURST_MAX];
    unsigned n;

    for (n = 0; n < burst && unused_n > 0; n++)
        ops[n] = seal(unused[--unused_n], len);
    unsigned taken = n > 0 ? device->ops->enqueue(qp, ops, n) : 0;
    while (n > taken)
        unused[unused_n++] = (struct packet *)(void *)ops[--n];
    return take(burst);
}

static double measure(uint32_t len, unsigned burst, uint64_t ns)
{
    uint64_t begun_ns = bench_now_ns(), took_ns = 0, n = 0;

    while (took_ns < ns) {
        for (unsigned i = 0; i < TURNS; i++)
            n += turn(len, burst);
        took_ns = bench_now_ns() - begun_ns;
    }
    (void)device->ops->quiesce(qp, UINT64_MAX);
    while (unused_n < PACKETS)
        take(burst);
    return (double)took_ns / (double)n;
}

static void open_device(const char *spec)
{
    static const struct milgi_clock clock = { .monotonic_ns = clock_ns };
    const char *why;

    if (milgi_device_add_module(&milgi_device_dpdk) != 0 || milgi_device_new(spec, &device, &why) != 0)
        bench_die("%s", why);
    uint8_t *memory = device->ops->chunk_alloc(device, MILGI_MEMORY_SLAB);
    qp = device->ops->qp_open(device, &clock);
    if (!memory || !qp)
        bench_die("%s: no memory, or no queue pair", spec);
    memset(memory, 0x5a, MILGI_MEMORY_SLAB);
    for (; unused_n < PACKETS; unused_n++) {
        unused[unused_n] = &packets[unused_n];
        packets[unused_n].data = memory + (size_t)unused_n * 2 * ROOM;
        packets[unused_n].made = packets[unused_n].data + ROOM;
    }
}

int main(int argc, char **argv)
{
    struct milgi_device_dpdk_stats stats;

    if (argc < 5)
        bench_die("usage: bench_esp DEVICE BURST MS SIZE...");
    open_device(argv[1]);
    (void)bench_pin(-1);
    unsigned burst = (unsigned)strtoul(argv[2], NULL, 10);
    uint64_t ns = strtoull(argv[3], NULL, 10) * 1000000;
    if (burst == 0 || burst > BURST_MAX)
        bench_die("a burst is 1 to %u", BURST_MAX);
    for (int i = 4; i < argc; i++) {
        uint32_t len = (uint32_t)strtoul(argv[i], NULL, 10);
        if (len < 4 || len % 4 != 0 || len > ROOM - sizeof(struct header) - ICV)
            bench_die("%s: a size is a multiple of four, up to a datagram's", argv[i]);
        (void)measure(len, burst, ns / 4); /* to begin with */
        printf("%u %.2f\n", len, measure(len, burst, ns));
    }
    milgi_device_dpdk_stats(device, &stats);
    if (stats.software_ops != 0 || stats.bytes_copied != 0 || stats.cryptodev_ops == 0)
        bench_die("not all of it was the cryptodev's");
    return 0;
}
