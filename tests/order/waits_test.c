/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection says it waits for is what it waits for, in every order. */
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned seen, choices;

static unsigned waits_of(const struct pair_side *side)
{
    return milgi_conn_waits_for(side->conn);
}

/* Nothing moves without the end of an op, of which |n| are with the devices of both. */
static unsigned look(struct play *play, unsigned n)
{
    for (int role = 0; role < 2; role++) {
        const struct pair_side *side = &play->pair.side[role];
        struct milgi_op *ops[256];
        if (!side->conn)
            continue;
        unsigned waits = waits_of(side);
        bool at_device = milgi__sim_pending(side->device[0], ops, 256) != 0;
        seen |= waits;
        if (!side->closed && play->fault == PLAY_NO_FAULT)
            assert_int_equal(waits & MILGI_WAITS_DEVICE, at_device ? MILGI_WAITS_DEVICE : 0);
        assert_int_equal(waits & ~(unsigned)(MILGI_WAITS_DEVICE | MILGI_WAITS_PEER), 0);
    }
    choices++;
    return play_random(play, n);
}

static void a_device_is_waited_for_as_long_as_it_has_something(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct play play = { .routed = UINT32_MAX,
            .choose = look,
            .random = seed * 77,
            .client_auth = seed % 2,
            .retry = seed % 4 == 3,
            .tls12 = seed % 3 == 0,
            .depth = seed % 5 ? 0 : 2 };
        play_run(&play);
        assert_true(play_went_well(&play));
        for (int role = 0; role < 2; role++)
            assert_int_equal(waits_of(&play.pair.side[role]), 0);
        play_fini(&play);
    }
    assert_int_equal(seen, MILGI_WAITS_DEVICE | MILGI_WAITS_PEER);
    assert_true(choices > 1000);
}

static void what_is_lost_or_has_failed_is_waited_for_no_more(void **state)
{
    static const enum play_fault faults[] = { PLAY_REJECT, PLAY_BREAK, PLAY_LOSE, PLAY_LOSE_EARLY, PLAY_FREE };
    (void)state;
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        for (unsigned at = 0; at < 24; at++) {
            struct play play = { .routed = UINT32_MAX, .choose = look, .random = at + 1, .fault = faults[i], .at = at };
            play_run(&play);
            for (int role = 0; role < 2; role++) {
                const struct pair_side *side = &play.pair.side[role];
                if (side->conn && side->closed)
                    assert_int_equal(waits_of(side), 0);
                if (side->conn)
                    assert_int_equal(waits_of(side) & MILGI_WAITS_DEVICE, 0);
            }
            play_fini(&play);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_waited_for_as_long_as_it_has_something),
        cmocka_unit_test(what_is_lost_or_has_failed_is_waited_for_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
