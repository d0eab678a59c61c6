/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Very many streams of one loop: what concerns some of them does not have all of them looked at, nor many in one go.
 * The loop's hooks do nothing. ctest-wrap: milgi__stream_refill
 */
#include "../../adapters/common/loop.h"
#include "configs.h"
#include "rig.h"

#define CROWD 2000u

struct crowd {
    struct identity *root;
    struct milgi_config *config;
    struct milgi_loop loop;
    struct milgi_stream *streams;
};

static uint64_t now_ns, timer_ns;
static unsigned refills, closes, soons;
static bool again;                /* who is given room finds none */
static struct milgi_stream *last; /* who was given room */

void __real_milgi__stream_refill(struct milgi_stream *s);
void __wrap_milgi__stream_refill(struct milgi_stream *s);
void __wrap_milgi__stream_refill(struct milgi_stream *s)
{
    refills++;
    last = s;
    if (again)
        milgi_stream_await_memory(s);
}

static uint64_t monotonic(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return 1700000000;
}

static void soon(struct milgi_loop *loop)
{
    (void)loop;
    soons++;
}

static void timer(struct milgi_loop *loop, uint64_t due_ns)
{
    (void)loop;
    timer_ns = due_ns;
}

static int reading(struct milgi_stream *s, bool on)
{
    (void)s;
    (void)on;
    return 0;
}

static long writing(struct milgi_stream *s, const struct milgi_iov *iov, size_t iov_n)
{
    long len = 0;
    (void)s;
    for (size_t i = 0; i < iov_n; i++)
        len += (long)iov[i].len;
    return len;
}

static void closing(struct milgi_stream *s, bool reset)
{
    (void)s;
    (void)reset;
    closes++;
}

static size_t unsent(struct milgi_stream *s, uint64_t *ago_ms)
{
    (void)s;
    *ago_ms = 0;
    return 0;
}

static const struct milgi_loop_hooks hooks = {
    .soon = soon,
    .timer = timer,
    .read = reading,
    .write = writing,
    .close = closing,
    .unsent = unsent,
};
static const struct milgi_stream_events nobody_listens = { .on_gone = NULL };

static void crowd_open(struct crowd *c)
{
    struct milgi_stream_options options;
    milgi_stream_options_init(&options);
    options.engine.clock = (struct milgi_clock){ monotonic, wall, NULL };
    now_ns = 1;
    timer_ns = UINT64_MAX;
    refills = closes = soons = 0;
    again = false;
    *c = (struct crowd){ .root = identity_root(IDENTITY_P256, "root") };
    c->config = configs_freeze(configs_begin(MILGI_CLIENT, NULL, c->root));
    c->streams = calloc(CROWD, sizeof *c->streams);
    assert_non_null(c->streams);
    assert_int_equal(milgi__loop_init(&c->loop, &hooks, &options), 0);
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(
            milgi__stream_init(&c->streams[i], &c->loop, c->config, "server.test", &nobody_listens, NULL), 0);
    }
}

static void crowd_close(struct crowd *c)
{
    for (unsigned i = 0; i < CROWD; i++) {
        if (!c->streams[i].closing)
            milgi__stream_destroy(&c->streams[i], false);
        milgi__stream_gone(&c->streams[i]);
    }
    assert_null(c->loop.starved_first);
    assert_null(c->loop.linger_first);
    assert_int_equal(milgi_engine_free(c->loop.engine), 0);
    milgi_config_unref(c->config);
    identity_free(c->root);
    free(c->streams);
}

static void memory_comes_back(struct crowd *c)
{
    c->loop.options.engine.on_memory(c->loop.options.engine.memory_ctx, c->loop.engine);
}

static void memory_that_comes_back_is_told_to_those_who_wait_for_it(void **state)
{
    struct crowd c;
    (void)state;
    crowd_open(&c);
    memory_comes_back(&c);
    assert_int_equal(refills, 0);
    for (unsigned i = 0; i < 3; i++)
        milgi_stream_await_memory(&c.streams[i * 700]);
    milgi_stream_await_memory(&c.streams[700]);
    memory_comes_back(&c);
    assert_int_equal(refills, 3);
    memory_comes_back(&c);
    assert_int_equal(refills, 3);
    crowd_close(&c);
}

static void who_finds_none_again_waits_for_the_next_time(void **state)
{
    struct crowd c;
    (void)state;
    crowd_open(&c);
    again = true;
    for (unsigned i = 0; i < 10; i++)
        milgi_stream_await_memory(&c.streams[i]);
    memory_comes_back(&c);
    assert_int_equal(refills, 10);
    milgi__stream_destroy(&c.streams[4], false);
    memory_comes_back(&c);
    assert_in_range(refills, 19, 20);
    crowd_close(&c);
}

static void all_starve(struct crowd *c)
{
    for (unsigned i = 0; i < CROWD; i++)
        milgi_stream_await_memory(&c->streams[i]);
    do {
        soons = 0;
        milgi__loop_turn(&c->loop);
    } while (soons); /* until all have begun */
}

/* However many wait, a chunk that comes back has some of them try; and not always the same. */
static void of_a_crowd_that_starves_some_try_for_each_chunk(void **state)
{
    struct crowd c;
    (void)state;
    crowd_open(&c);
    all_starve(&c);
    again = true;
    for (unsigned before = 0; refills < CROWD; before = refills) {
        memory_comes_back(&c);
        milgi__loop_turn(&c.loop);
        milgi__loop_turn(&c.loop);
        assert_in_range(refills - before, 1, 64);
        assert_ptr_equal(last, &c.streams[(refills - 1) % CROWD]);
    }
    crowd_close(&c);
}

/* One chunk may be followed by more of which nobody tells, as long as nobody asks in vain. */
static void a_crowd_that_starves_is_fed_as_long_as_there_is_something(void **state)
{
    struct crowd c;
    (void)state;
    crowd_open(&c);
    all_starve(&c);
    memory_comes_back(&c);
    while (refills < CROWD) {
        unsigned before = refills;
        soons = 0;
        milgi__loop_turn(&c.loop);
        assert_in_range(refills - before, 1, 64);
        assert_true(soons || refills == CROWD);
    }
    assert_int_equal(c.loop.starved_n, 0);
    crowd_close(&c);
}

/* Who reads finds out only when something comes that there is nothing. */
static void who_finds_nothing_later_keeps_the_others_waiting(void **state)
{
    struct crowd c;
    (void)state;
    crowd_open(&c);
    all_starve(&c);
    memory_comes_back(&c);
    unsigned before = refills;
    milgi__stream_read(&c.streams[0], MILGI__NO_ROOM);
    milgi__loop_turn(&c.loop);
    assert_int_equal(refills, before);
    crowd_close(&c);
}

/* Those before them may want more than there is: after a while the others have their try, and each has one. */
static void who_was_not_reached_tries_after_a_while(void **state)
{
    struct crowd c;
    (void)state;
    crowd_open(&c);
    all_starve(&c);
    again = true;
    memory_comes_back(&c);
    milgi__loop_turn(&c.loop);
    while (refills < CROWD) {
        unsigned before = refills;
        assert_in_range(timer_ns, now_ns + 1, now_ns + 1000000000);
        now_ns = timer_ns;
        milgi__loop_timer(&c.loop);
        milgi__loop_turn(&c.loop);
        assert_in_range(refills - before, 1, 64);
    }
    assert_ptr_equal(last, &c.streams[CROWD - 1]);
    milgi__loop_turn(&c.loop);
    assert_true(timer_ns > now_ns + 1000000000); /* the engine's own, if any */
    assert_int_equal(c.loop.starved_n, CROWD);
    crowd_close(&c);
}

static void a_crowd_that_lingers_is_closed_bit_by_bit(void **state)
{
    struct crowd c;
    (void)state;
    crowd_open(&c);
    for (unsigned i = 0; i < CROWD; i++)
        milgi__loop_linger(&c.streams[i]);
    assert_true(timer_ns < UINT64_MAX);
    now_ns = timer_ns;
    for (unsigned before = 0; closes < CROWD; before = closes) {
        assert_true(timer_ns <= now_ns);
        milgi__loop_timer(&c.loop);
        assert_in_range(closes - before, 1, 64);
    }
    crowd_close(&c);
}

/* --- little memory ------------------------------------------------------------------------------------------------ */

#define PARTS 100u
#define RECORD (5u + 16384u)

/* |len| bytes more of a record that is as long as one may be; how many there was room for. */
static size_t more_comes(struct milgi_stream *s, size_t *have, size_t len)
{
    static const uint8_t header[5] = { 22, 3, 1, 0x40, 0 };
    size_t room;
    uint8_t *to = milgi__stream_room(s, &room);
    len = room < len ? room : len;
    len = len < RECORD - *have ? len : RECORD - *have;
    if (!to) {
        milgi__stream_read(s, MILGI__NO_ROOM);
        return 0;
    }
    for (size_t i = 0; i < len; i++)
        to[i] = *have + i < sizeof header ? header[*have + i] : 255; /* no message that there is */
    *have += len;
    milgi__stream_read(s, (long)len);
    return len;
}

/* Each has begun a record, and all of them hold all there is: none could be opened, and nothing be given back. */
static void those_who_hold_parts_of_records_do_not_wait_for_each_other(void **state)
{
    struct milgi_stream_options options;
    struct configs_pair configs;
    struct milgi_loop loop = { 0 };
    static struct milgi_stream streams[PARTS];
    size_t have[PARTS] = { 0 }, got = 1;
    (void)state;
    milgi_stream_options_init(&options);
    options.engine.clock = (struct milgi_clock){ monotonic, wall, NULL };
    options.engine.memory_limit = 256u << 10;
    now_ns = 1;
    again = false;
    configs_pair_begin(&configs, IDENTITY_P256);
    assert_int_equal(milgi__loop_init(&loop, &hooks, &options), 0);
    for (unsigned i = 0; i < PARTS; i++) {
        streams[i] = (struct milgi_stream){ 0 };
        int rv = milgi__stream_init(&streams[i], &loop, configs.config[MILGI_SERVER], NULL, &nobody_listens, NULL);
        assert_int_equal(rv, 0);
    }
    while (got) {
        got = 0;
        for (unsigned i = 0; i < PARTS; i++)
            got += have[i] < RECORD - 4096 ? more_comes(&streams[i], &have[i], 4000) : 0;
    }
    unsigned left = PARTS;
    for (unsigned round = 0; left && round < 10 * PARTS; round++) {
        left = 0;
        for (unsigned i = 0; i < PARTS; i++) {
            if (have[i] < RECORD && more_comes(&streams[i], &have[i], RECORD))
                milgi__loop_turn(&loop); /* what is whole is looked at, and refused */
            left += have[i] < RECORD;
        }
        now_ns += 1000000;
    }
    assert_int_equal(left, 0);
    for (unsigned i = 0; i < PARTS; i++) {
        assert_true(streams[i].ended);
        if (!streams[i].closing)
            milgi__stream_destroy(&streams[i], false);
        milgi__stream_gone(&streams[i]);
    }
    assert_int_equal(milgi_engine_free(loop.engine), 0);
    configs_pair_end(&configs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_hold_parts_of_records_do_not_wait_for_each_other),
        cmocka_unit_test(memory_that_comes_back_is_told_to_those_who_wait_for_it),
        cmocka_unit_test(who_finds_none_again_waits_for_the_next_time),
        cmocka_unit_test(of_a_crowd_that_starves_some_try_for_each_chunk),
        cmocka_unit_test(a_crowd_that_starves_is_fed_as_long_as_there_is_something),
        cmocka_unit_test(who_finds_nothing_later_keeps_the_others_waiting),
        cmocka_unit_test(who_was_not_reached_tries_after_a_while),
        cmocka_unit_test(a_crowd_that_lingers_is_closed_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
