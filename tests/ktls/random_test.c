/* SPDX-License-Identifier: Apache-2.0 */
/* Anything in any order: sizes, keys, full sockets; directions that the kernel has at once, later or never. */
#include <errno.h>
#include <stdlib.h>

#include "kernel.h"

#define SEEDS 60
#define STEPS 40

static uint64_t state_of_luck;

static unsigned below(unsigned n)
{
    state_of_luck = state_of_luck * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state_of_luck >> 33) % n;
}

static void step(struct end *e)
{
    static const unsigned sizes[] = { 1, 100, 5000, 17000, 60000 };
    switch (below(10)) {
    case 0:
        if (e->key[MILGI_SEND].version != 0x0303) {
            int rv = milgi_conn_update_keys(e->side->conn, below(2));
            assert_true(rv == 0 || rv == MILGI_EUNSUPPORTED);
        }
        break;
    case 1:
        e->room = below(40000);
        break;
    case 2:
        e->send_most = below(3) ? 1 + below(9000) : 0;
        break;
    case 3:
        e->send_error = below(2) ? -EAGAIN : -ENOBUFS;
        e->send_errors = below(4);
        break;
    case 4:
        e->read_most = below(3) ? 1 + below(5000) : 0;
        break;
    case 5:
        for (int d = 0; d < 2; d++)
            e->want[d] = e->want[d] || (!milgi_ktls_has(e->ktls, (enum milgi_direction)d) && below(3) == 0);
        break;
    case 6:
        milgi_conn_consumed(e->side->conn, SIZE_MAX);
        e->side->keep_credit = below(4) == 0;
        break;
    default:
        if (!milgi_conn_output_full(e->side->conn))
            play_send(e, sizes[below(5)]);
    }
}

static void nothing_is_lost_whatever_happens_in_whatever_order(void **state)
{
    unsigned taken = 0;
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        state_of_luck = seed * 77 + 1;
        play_begin(&(struct play){ .version = below(4) ? 0x0304 : 0x0303, .count_every = 1 + below(8) });
        play_settle();
        for (unsigned i = 0; i < STEPS; i++) {
            step(&ends[below(2)]);
            if (below(2))
                play_settle();
            else
                pair_run(ends[below(2)].side, NULL);
        }
        for (int role = 0; role < 2; role++) {
            ends[role].room = SIZE_MAX;
            ends[role].send_errors = 0;
            ends[role].side->keep_credit = false;
        }
        for (unsigned i = 0; i < 50; i++) {
            milgi_conn_consumed(client->side->conn, SIZE_MAX);
            milgi_conn_consumed(server->side->conn, SIZE_MAX);
            play_settle();
        }
        play_check();
        for (int role = 0; role < 2; role++)
            for (int d = 0; d < 2; d++)
                taken += milgi_ktls_has(ends[role].ktls, (enum milgi_direction)d);
        play_close();
        play_end();
    }
    assert_true(taken > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_whatever_happens_in_whatever_order),
    };
    return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
