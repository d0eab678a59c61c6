/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From network to application and back through a cryptodev nothing is copied: every byte lies in memory that the device
 * has given, and where an op was told to put it. ctest-timeout: 120
 * ctest-wrap: milgi__engine_submit
 */
#include "bed.h"

#include "base/base.h"
#include "peers.h"
#include "links_wrap.h"

/* --- memory of DPDK's --------------------------------------------------------------------------------------------- */

#define SLABS_MAX 64

static struct {
    struct milgi_device_ops ops[2];
    void *(*alloc)(struct milgi_device *device, size_t size);
    const uint8_t *slab[SLABS_MAX];
    unsigned made, n;
} memory;

static void *noted_alloc(struct milgi_device *device, size_t size)
{
    void *slab = memory.alloc(device, size);

    if (slab && memory.n < SLABS_MAX)
        memory.slab[memory.n++] = slab;
    return slab;
}

/* The device gives its memory through the test, which so knows where it is. */
static void note_slabs(struct milgi_device *device)
{
    struct milgi_device_ops *ops = &memory.ops[memory.made++];

    *ops = *device->ops;
    memory.alloc = ops->chunk_alloc;
    ops->chunk_alloc = noted_alloc;
    device->ops = ops;
}

static bool is_of_dpdk(const void *p, size_t len)
{
    const uint8_t *at = p;

    for (unsigned i = 0; i < memory.n; i++) {
        if (at >= memory.slab[i] && at + len <= memory.slab[i] + MILGI_MEMORY_SLAB)
            return true;
    }
    return false;
}

static void begin(const char *spec)
{
    memset(&memory, 0, sizeof memory);
    links_made = note_slabs;
    links_wanted = is_of_dpdk;
    links_begin(peers.config, spec, false, 2);
}

/* --- what becomes of it ------------------------------------------------------------------------------------------- */

static void check_records(bool chained)
{
    for (int i = 0; i < 2; i++) {
        struct milgi_engine_stats stats;
        milgi_engine_stats(links.side[i].engine, &stats);
        const struct milgi_device_stats *d = &stats.device[links.side[i].index];
        struct milgi_device_dpdk_stats own = bed_stats(links.side[i].device);
        links_device_did_it(&links.side[i], 2 * 8 * MIB);
        assert_int_equal(own.cryptodev_ops, d->submitted[MILGI_OP_SEAL] + d->submitted[MILGI_OP_OPEN]);
        assert_int_equal(own.software_ops, 0);
        assert_int_equal(own.segments > 0, chained);
    }
}

static void check_no_copy(const char *spec)
{
    begin(spec);
    links_transfer_in_place(8 * MIB);
    check_records(true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(bed_stats(links.side[i].device).bytes_copied, 0);
    links_end();
}

static void nothing_is_copied_with_aesni_mb(void **state)
{
    (void)state;
    check_no_copy("dpdk:vdev=crypto_aesni_mb");
}

static void nothing_is_copied_with_aesni_gcm(void **state)
{
    (void)state;
    check_no_copy("dpdk:vdev=crypto_aesni_gcm");
}

static void nothing_is_copied_with_openssl(void **state)
{
    (void)state;
    check_no_copy("dpdk:vdev=crypto_openssl");
}

static void nothing_is_copied_with_a_scheduler(void **state)
{
    (void)state;
    check_no_copy("dpdk:vdev=crypto_scheduler,mode=round-robin,workers=2");
}

/* The measure is one: where a cryptodev takes no data as it lies, what is copied is counted, each byte twice. */
static void what_is_copied_is_counted(void **state)
{
    (void)state;
    begin("dpdk:vdev=crypto_aesni_gcm,copy");
    links_transfer(8 * MIB);
    check_records(false);
    for (int i = 0; i < 2; i++)
        assert_true(bed_stats(links.side[i].device).bytes_copied >= 2 * 2 * 2 * 8 * MIB);
    links_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_copied_with_aesni_mb),
        cmocka_unit_test(nothing_is_copied_with_aesni_gcm),
        cmocka_unit_test(nothing_is_copied_with_openssl),
        cmocka_unit_test(nothing_is_copied_with_a_scheduler),
        cmocka_unit_test(what_is_copied_is_counted),
    };

    bed_begin();
    return cmocka_run_group_tests(tests, peers_begin, peers_end);
}
