/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connections that have nothing to do hold: keys and state; no buffer, no op, no object of libcrypto.
 * ctest-wrap: milgi__crypto_new
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/context.h"
#include "heap.h"
#include "inside.h"
#include "pair.h"
#include "peers.h"

#define FIRST 32
#define MORE 32
#define STATE_MAX 2560 /* bytes of one connection */

/* --- libcrypto's own memory --------------------------------------------------------------------------------------- */

static long blocks;

static void *count_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    void *p = size ? malloc(size) : NULL;
    blocks += p != NULL;
    return p;
}

static void *count_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (!p)
        return count_malloc(size, file, line);
    return realloc(p, size);
}

static void count_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    blocks -= p != NULL;
    free(p);
}

static struct milgi__crypto *shared[8];
static unsigned shared_n;

struct milgi__crypto *__real_milgi__crypto_new(void);
struct milgi__crypto *__wrap_milgi__crypto_new(void);
struct milgi__crypto *__wrap_milgi__crypto_new(void)
{
    assert_true(shared_n < sizeof shared / sizeof shared[0]);
    return shared[shared_n++] = __real_milgi__crypto_new();
}

/* --- connections on one engine ------------------------------------------------------------------------------------ */

/* The pair's own are the first; more of them are made here, of the same configs, back to back on the same engines. */
static struct pair pair;
static struct milgi_conn *more[2][FIRST + MORE];

static void into_the_other(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct milgi_conn **to = arg;
    for (size_t i = 0; i < iov_n; i++) {
        struct milgi_engine *engine = pair.side[to >= more[1]].engine;
        struct milgi_chunk *chunk = milgi_chunk_new(engine, iov[i].len);
        assert_non_null(chunk);
        memcpy(milgi_chunk_data(chunk), iov[i].data, iov[i].len);
        assert_true(milgi_conn_receive(
                        *to, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)iov[i].len }) >= 0);
        milgi_conn_output_done(conn, iov[i].len);
    }
}

static const struct milgi_events events = { .on_output = into_the_other };

static void one_more(unsigned i)
{
    for (unsigned role = 0; role < 2; role++)
        assert_int_equal(milgi_conn_new(pair.side[role].engine, peers.config[role],
                             role == MILGI_CLIENT ? "server.test" : NULL, &events, &more[1 - role][i], &more[role][i]),
            0);
    pair_settle(&pair);
    for (unsigned role = 0; role < 2; role++) {
        struct milgi_conn_info info;
        milgi_conn_info(more[role][i], &info);
        assert_true(info.established);
        assert_int_equal(milgi_conn_write(more[role][i], "some bytes", 10), 0);
    }
    pair_settle(&pair);
}

/* Long enough for all that is kept for a while to go. */
static void grow_cold(void)
{
    for (unsigned i = 0; i < 20; i++) {
        pair.now_ns += 1000000000;
        pair_settle(&pair);
    }
    /* The contexts that all connections of an engine share, a fixed number of them, are nobody's own. */
    for (unsigned i = 0; i < shared_n; i++)
        milgi__crypto_idle(shared[i]);
}

static void an_idle_connection_holds_keys_and_state_only(void **state)
{
    struct milgi_engine_stats stats;
    (void)state;
    struct pair_setup setup = {
        .config = { peers.config[0], peers.config[1] }, .server_name = "server.test", .seed = 2
    };
    shared_n = 0; /* those that live as long as the engines come now */
    pair_init(&pair, &setup);
    pair_settle(&pair);
    assert_true(pair.side[0].established && pair.side[1].established);
    for (unsigned i = 0; i < FIRST; i++)
        one_more(i); /* the engines' tables are made */
    grow_cold();
    long before_blocks = blocks;
    assert_true(before_blocks > 0); /* they are counted */
    size_t before_heap = heap_used();
    for (unsigned i = FIRST; i < FIRST + MORE; i++)
        one_more(i);
    grow_cold();
    assert_int_equal(blocks, before_blocks);
    for (unsigned role = 0; role < 2; role++) {
        milgi_engine_stats(pair.side[role].engine, &stats);
        assert_int_equal(stats.conns, 1 + FIRST + MORE);
        assert_int_equal(stats.memory, 0);
        assert_int_equal(stats.ops_alive, 0);
    }
    size_t each = (heap_used() - before_heap) / (2 * MORE);
    print_message("%zu bytes each\n", each);
    assert_true(each < STATE_MAX);
    /* And they are as alive as before. */
    assert_int_equal(milgi_conn_write(more[0][7], "again", 5), 0);
    pair_settle(&pair);
    struct milgi_conn_info info;
    milgi_conn_info(more[1][7], &info);
    assert_int_equal(info.bytes_in, 15);
    for (unsigned role = 0; role < 2; role++)
        for (unsigned i = 0; i < FIRST + MORE; i++)
            milgi_conn_free(more[role][i]);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_holds_keys_and_state_only),
    };
    if (!inside_set_memory(count_malloc, count_realloc, count_free))
        return 1;
    return cmocka_run_group_tests(tests, peers_begin, peers_end);
}
