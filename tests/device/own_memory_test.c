/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks in a device's memory, and nothing copied on the way between network, device and application: counted by the
 * library, and seen from outside (links.h). ctest-timeout: 120
 * ctest-wrap: milgi__engine_submit
 */
#include "links_wrap.h"

#include <poll.h>
#include <string.h>

#include "base/base.h"
#include "peers.h"
#include "conn/state.h"
#include "device/sim/manual.h"

static struct milgi_config *frugal[2]; /* of whose connections none holds much */

static void begin(const char *spec, unsigned n)
{
    links_begin(peers.config, spec, false, n);
}

/* --- nothing is copied ------------------------------------------------------------------------------------------ */

static void check_no_copy(const char *spec)
{
    begin(spec, 2);
    links_transfer_in_place(16 * MIB);
    links_end();
}

static void nothing_is_copied_with_a_device_that_reaches_only_its_own_memory(void **state)
{
    (void)state;
    check_no_copy("sim:latency=2us,jitter=5us,units=4,memory=own");
}

static void nothing_is_copied_with_threads_and_huge_pages(void **state)
{
    (void)state;
    check_no_copy("pool:2,memory=huge:64m");
}

static void nothing_is_copied_with_threads_and_ordinary_memory(void **state)
{
    (void)state;
    check_no_copy("pool:2");
}

static void nothing_is_copied_with_the_inline_device(void **state)
{
    (void)state;
    check_no_copy(NULL);
}

/* --- what is copied is counted, and seen ------------------------------------------------------------------------ */

static void what_is_written_is_copied_once_and_counted(void **state)
{
    (void)state;
    begin("sim:latency=2us,memory=own", 1);
    links.sending = SEND_WRITE;
    assert_int_equal(links_transfer(MIB), 2 * MIB);
    assert_int_equal(links.strayed, 2 * MIB); /* that the bytes lie elsewhere is seen too */
    assert_int_equal(links.out_of_reach, 0);
    links_end();
}

static void small_slices_of_large_chunks_are_copied_and_counted(void **state)
{
    (void)state;
    begin("sim:latency=2us,memory=own", 1);
    links.sending = SEND_CRUMBS;
    assert_int_equal(links_transfer(MIB), 2 * MIB);
    assert_int_equal(links.strayed, 2 * MIB);
    assert_int_equal(links.out_of_reach, 0);
    links_end();
}

static void what_the_network_delivers_in_crumbs_is_copied_and_counted(void **state)
{
    (void)state;
    begin("sim:latency=2us,memory=own", 1);
    links.crumbs_in = true;
    links.packet = 4000;
    assert_true(links_transfer(MIB) >= 2 * MIB);
    assert_true(links.strayed >= 2 * MIB);
    assert_int_equal(links.out_of_reach, 0);
    links_end();
}

static void a_small_slice_that_is_kept_is_copied_and_counted(void **state)
{
    (void)state;
    begin("sim:latency=2us,memory=own", 1);
    struct milgi_engine *engine = links.side[0].engine;
    struct milgi_chunk *chunk = milgi_chunk_new(engine, BLOCK);
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), 1000 }, kept;
    memset(slice.data, 1, slice.len);
    uint64_t before = links_copied();
    assert_int_equal(milgi_slice_keep(&slice, &kept), 0);
    assert_ptr_not_equal(kept.chunk, chunk);
    assert_int_equal(links_copied() - before, 1000);
    assert_true(links_reach(&links.side[0], kept.data, kept.len));
    milgi_chunk_unref(kept.chunk);
    milgi_chunk_unref(chunk);
    links_end();
}

/* --- the memory is all used ------------------------------------------------------------------------------------- */

/*
 * What the connections have been given and what waits for the network fits: the records in flight are too much. They
 * take turns, and the first of each connection goes on however little there is.
 */
static void check_exhausted(const char *spec, bool shared, unsigned n)
{
    links_begin(frugal, spec, shared, n);
    links_transfer(2 * MIB);
    assert_int_equal(links.out_of_reach, 0);
    assert_int_equal(links.strayed, 0);
    links_device_did_it(&links.side[0], 2 * MIB);
    links_device_did_it(&links.side[1], 2 * MIB);
    assert_true(links.starved > 0);
    assert_true(links.side[0].memory_calls + links.side[1].memory_calls > 0);
    links_end();
}

static void without_memory_transfers_pause_and_go_on(void **state)
{
    (void)state;
    check_exhausted("sim:latency=1ms,jitter=1ms,units=256,memory=own:4m", false, 12);
}

static void engines_that_share_a_memory_wait_for_each_other(void **state)
{
    (void)state;
    check_exhausted("sim:latency=1ms,jitter=1ms,units=256,memory=own:6m", true, 9);
}

/*
 * The application holds all that its server may use but one block, which is what the server receives at once, or sends
 * at once: for what becomes of it there is nothing but the reserve.
 */
static void the_first_record_goes_on_however_little_there_is(void **state)
{
    (void)state;
    struct milgi_chunk *held[128], *block;
    unsigned n = 0;
    links_begin(frugal, "sim:latency=1ms,memory=own:4m", false, 1);
    links_establish();
    struct milgi_engine *engine = links.side[MILGI_SERVER].engine;
    while (n < 64 && (held[n] = milgi_chunk_new(engine, BLOCK)))
        n++;
    while (n > 0 && !(block = milgi_chunk_new(engine, BLOCK)))
        milgi_chunk_unref(held[--n]);
    assert_true(n > 40);
    while (n < 128 && (held[n] = milgi_chunk_new(engine, 4 * KIB)))
        n++;
    milgi_chunk_unref(block);
    /* Whole records: one that is begun would need another block. */
    links.packet = 3 * (size_t)(MILGI__RECORD_HEADER + MILGI__PLAINTEXT_MAX + 1 + MILGI__TAG);
    for (unsigned i = 0; i < 2; i++) {
        links.end[i].to_send = MIB;
        links_run_until(links_all_got);
    }
    assert_int_equal(links.wrong, 0);
    links_device_did_it(&links.side[MILGI_SERVER], MIB);
    while (n > 0)
        milgi_chunk_unref(held[--n]);
    links_end();
}

/* All of the memory is somebody else's for a while, again and again. */
static unsigned take_all(struct milgi_device *device, void **slab, unsigned max)
{
    unsigned n = 0;
    while (n < max && (slab[n] = device->ops->chunk_alloc(device, MILGI_MEMORY_SLAB)))
        n++;
    return n;
}

static void pass_time(void)
{
    uint64_t deadline_ns;
    if (!links_run(&deadline_ns) && deadline_ns != UINT64_MAX)
        links.now_ns = deadline_ns;
}

static void memory_that_others_take_is_waited_for(void **state)
{
    (void)state;
    void *slab[8];
    links_begin(frugal, "sim:latency=2us,memory=own:16m", true, 4);
    struct milgi_device *device = links.side[0].device;
    links_establish();
    for (unsigned round = 0; round < 4; round++) {
        unsigned n = 0, calls = links.side[0].memory_calls;
        /* What nobody uses goes back after a while. */
        for (unsigned i = 0; i < 1000 && n < 8; i++) {
            n += take_all(device, slab + n, 8 - n);
            pass_time();
        }
        assert_int_equal(n, 8);
        for (unsigned i = 0; i < links.ends_n; i++)
            links.end[i].to_send += MIB / 4;
        size_t starved = links.starved;
        links_move(true);
        assert_true(links.starved > starved);
        while (n > 0)
            device->ops->chunk_free(device, slab[--n], MILGI_MEMORY_SLAB);
        /* Nobody tells the engine: it looks by itself, before long. */
        struct pollfd fd = { .fd = milgi_engine_fd(links.side[0].engine), .events = POLLIN };
        assert_int_equal(poll(&fd, 1, 0), 1);
        uint64_t start_ns = links.now_ns;
        for (unsigned i = 0; i < 1000 && links.side[0].memory_calls == calls; i++)
            pass_time();
        assert_true(links.side[0].memory_calls > calls);
        assert_true(links.now_ns - start_ns <= 200000000);
        links_run_until(links_all_got);
    }
    assert_int_equal(links.wrong, 0);
    links_end();
}

/* --- whose memory it is ----------------------------------------------------------------------------------------- */

static struct milgi_engine *engine_of(void)
{
    struct milgi_engine *engine = NULL;
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    return engine;
}

static int add(struct milgi_engine *engine, struct milgi_device *device)
{
    int index = milgi_engine_add_device(engine, device);
    assert_true(index > 0);
    return index;
}

static int answer_inside;

static void use_inside(void *arg)
{
    answer_inside = milgi_engine_use_memory(arg, 0);
}

static void memory_is_chosen_while_no_chunk_is_alive(void **state)
{
    (void)state;
    struct milgi_engine *engine = engine_of(), *other = engine_of();
    struct milgi_device *plain = links_device("sim"), *own = links_device("sim:memory=own:2m");
    unsigned no_memory = (unsigned)add(engine, plain), with = (unsigned)add(engine, own);
    unsigned elsewhere = (unsigned)add(other, own);
    struct milgi_run_result result;
    assert_int_equal(milgi_engine_use_memory(engine, 3), MILGI_EINVAL);
    assert_int_equal(milgi_engine_use_memory(engine, no_memory), MILGI_EINVAL);
    assert_int_equal(milgi_engine_use_memory(engine, 0), 0);
    assert_int_equal(milgi_engine_post(engine, use_inside, engine), 0);
    assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
    assert_int_equal(answer_inside, MILGI_EREENTRY);

    struct milgi_chunk *chunk = milgi_chunk_new(engine, 100);
    assert_false(milgi__sim_reaches(own, milgi_chunk_data(chunk), 100));
    assert_int_equal(milgi_engine_use_memory(engine, with), MILGI_EBUSY);
    milgi_chunk_unref(chunk);
    assert_int_equal(milgi_engine_use_memory(engine, with), 0);
    assert_int_equal(milgi_engine_use_memory(other, elsewhere), MILGI_ENOMEM);
    chunk = milgi_chunk_new(engine, 100);
    assert_true(milgi__sim_reaches(own, milgi_chunk_data(chunk), 100));
    assert_int_equal(milgi_engine_use_memory(engine, 0), MILGI_EBUSY);
    milgi_chunk_unref(chunk);
    assert_int_equal(milgi_engine_use_memory(engine, 0), 0);
    assert_int_equal(milgi_engine_use_memory(other, elsewhere), 0);
    assert_int_equal(milgi_engine_free(engine), 0);
    assert_int_equal(milgi_engine_free(other), 0);
    milgi_device_free(plain);
    milgi_device_free(own);
}

static void a_chunk_outlives_the_engine_in_the_memory_of_its_device(void **state)
{
    (void)state;
    struct milgi_engine *engine = engine_of();
    struct milgi_device *device = links_device("sim:memory=own:2m");
    assert_int_equal(milgi_engine_use_memory(engine, (unsigned)add(engine, device)), 0);
    struct milgi_chunk *chunk = milgi_chunk_new(engine, BLOCK);
    memset(milgi_chunk_data(chunk), 0x5e, BLOCK);
    assert_int_equal(milgi_engine_free(engine), 0);
    assert_int_equal(milgi_chunk_data(chunk)[BLOCK - 1], 0x5e);
    milgi_chunk_unref(chunk);
    milgi_device_free(device);
}

/* A device that reaches only its own memory, in an engine whose chunks lie elsewhere. */
static void what_a_device_cannot_reach_goes_elsewhere(void **state)
{
    (void)state;
    begin(NULL, 1);
    struct milgi_device *device = links_device("sim:latency=2us,memory=own:2m");
    unsigned index = (unsigned)add(links.side[0].engine, device);
    assert_int_equal(milgi_engine_route(links.side[0].engine, UINT32_MAX, index, 1), 0);
    links_transfer(MIB);
    struct milgi_engine_stats stats;
    milgi_engine_stats(links.side[0].engine, &stats);
    const uint64_t *submitted = stats.device[index].submitted;
    assert_int_equal(submitted[MILGI_OP_SEAL] + submitted[MILGI_OP_OPEN], 0);
    assert_int_equal(submitted[MILGI_OP_VERIFY] + submitted[MILGI_OP_VERIFY_CHAIN], 0);
    assert_int_equal(submitted[MILGI_OP_KEYGEN] + submitted[MILGI_OP_DERIVE], 0);
    assert_int_equal(stats.device[index].broken, 0);
    links_end();
    milgi_device_free(device);
}

static int setup(void **state)
{
    peers_begin(state);
    frugal[MILGI_SERVER] = configs_begin(MILGI_SERVER, peers.leaf, NULL);
    frugal[MILGI_CLIENT] = configs_begin(MILGI_CLIENT, NULL, peers.root);
    for (int role = 0; role < 2; role++) {
        assert_int_equal(milgi_config_set_limit(frugal[role], MILGI_LIMIT_OUTPUT, BLOCK), 0);
        configs_freeze(frugal[role]);
    }
    return 0;
}

static int teardown(void **state)
{
    for (int role = 0; role < 2; role++)
        milgi_config_unref(frugal[role]);
    peers_end(state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_copied_with_a_device_that_reaches_only_its_own_memory),
        cmocka_unit_test(nothing_is_copied_with_threads_and_huge_pages),
        cmocka_unit_test(nothing_is_copied_with_threads_and_ordinary_memory),
        cmocka_unit_test(nothing_is_copied_with_the_inline_device),
        cmocka_unit_test(what_is_written_is_copied_once_and_counted),
        cmocka_unit_test(small_slices_of_large_chunks_are_copied_and_counted),
        cmocka_unit_test(what_the_network_delivers_in_crumbs_is_copied_and_counted),
        cmocka_unit_test(a_small_slice_that_is_kept_is_copied_and_counted),
        cmocka_unit_test(without_memory_transfers_pause_and_go_on),
        cmocka_unit_test(engines_that_share_a_memory_wait_for_each_other),
        cmocka_unit_test(the_first_record_goes_on_however_little_there_is),
        cmocka_unit_test(memory_that_others_take_is_waited_for),
        cmocka_unit_test(memory_is_chosen_while_no_chunk_is_alive),
        cmocka_unit_test(a_chunk_outlives_the_engine_in_the_memory_of_its_device),
        cmocka_unit_test(what_a_device_cannot_reach_goes_elsewhere),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
