/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Use across fork(): in a child every function of an engine, a connection or a device answers MILGI_EFORK or does
 * nothing, and whatever the child calls, the parent does not notice. What may cross is the config.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "configs.h"
#include "crypto/context.h"
#include "pair.h"

#define CHILD_S 30 /* a child that hangs is ended */

struct rig {
    struct identity *root, *leaf;
    struct milgi_config *config[2];
    struct pair pair;
    struct milgi_chunk *chunk; /* of the client's engine, with a reference */
};

/* In a child no test can end: a line number is the complaint, 0 is none. */
#define CHECK(what) \
    do { \
        if (!(what)) \
            return __LINE__; \
    } while (0)

static void in_child(int (*check)(struct rig *rig), struct rig *rig)
{
    int line = 0, status = -1, fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(CHILD_S);
        line = check(rig);
        _exit(write(fds[1], &line, sizeof line) == sizeof line ? 0 : 1);
    }
    close(fds[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], &line, sizeof line), sizeof line);
    close(fds[0]);
    if (line)
        fail_msg("line %d in the child", line);
}

static void make_configs(struct rig *r)
{
    r->root = identity_root(IDENTITY_P256, "root");
    r->leaf = identity_leaf(r->root, IDENTITY_P256, "DNS:fork.test");
    r->config[MILGI_CLIENT] = configs_freeze(configs_begin(MILGI_CLIENT, NULL, r->root));
    r->config[MILGI_SERVER] = configs_freeze(configs_begin(MILGI_SERVER, r->leaf, NULL));
}

static void free_configs(struct rig *r)
{
    milgi_config_unref(r->config[MILGI_CLIENT]);
    milgi_config_unref(r->config[MILGI_SERVER]);
    identity_free(r->leaf);
    identity_free(r->root);
}

static void make_pair(struct rig *r, const char *device)
{
    pair_init(&r->pair,
        &(struct pair_setup){
            .config = { r->config[MILGI_CLIENT], r->config[MILGI_SERVER] },
            .device = { device, device },
            .server_name = "fork.test",
        });
}

/* Both sides, in real time where threads do the work, until |what| or for too long. */
static bool run_until(struct rig *r, bool (*what)(const struct rig *r))
{
    for (int tries = 0; tries < 1000; tries++) {
        pair_settle_until(&r->pair, r->pair.now_ns);
        if (what(r))
            return true;
        struct pollfd fds[2] = {
            { .fd = milgi_engine_fd(r->pair.side[0].engine), .events = POLLIN },
            { .fd = milgi_engine_fd(r->pair.side[1].engine), .events = POLLIN },
        };
        if (poll(fds, 2, 10) < 0)
            return false;
    }
    return false;
}

static bool both_established(const struct rig *r)
{
    return r->pair.side[0].established && r->pair.side[1].established;
}

static bool both_have_data(const struct rig *r)
{
    return r->pair.side[0].got.len && r->pair.side[1].got.len;
}

static void rig_init(struct rig *r, const char *device)
{
    *r = (struct rig){ 0 };
    make_configs(r);
    make_pair(r, device);
    assert_true(run_until(r, both_established));
    r->chunk = milgi_chunk_new(r->pair.side[MILGI_CLIENT].engine, 4000);
    assert_non_null(r->chunk);
    memset(milgi_chunk_data(r->chunk), 'm', 4000);
}

static void rig_fini(struct rig *r)
{
    milgi_chunk_unref(r->chunk);
    pair_fini(&r->pair);
    free_configs(r);
}

static bool is_awake(struct rig *r)
{
    struct pollfd fd = { .fd = milgi_engine_fd(r->pair.side[MILGI_CLIENT].engine), .events = POLLIN };
    return poll(&fd, 1, 0) != 0;
}

/* Data crosses both ways: nothing of what the child has done has come here. */
static void assert_unharmed(struct rig *r)
{
    for (int role = 0; role < 2; role++)
        assert_int_equal(milgi_conn_write(r->pair.side[role].conn, "still here", 10), 0);
    assert_true(run_until(r, both_have_data));
    for (int role = 0; role < 2; role++) {
        assert_int_equal(r->pair.side[role].got.len, 10);
        assert_false(r->pair.side[role].closed);
    }
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    (void)conn;
    (void)arg;
    (void)iov;
    (void)iov_n;
}

static int use_connection(struct rig *r)
{
    struct milgi_conn *conn = r->pair.side[MILGI_CLIENT].conn;
    struct milgi_engine *engine = r->pair.side[MILGI_CLIENT].engine;
    const struct milgi_slice slice = { r->chunk, milgi_chunk_data(r->chunk), 4000 };
    static const struct milgi_events events = { .on_output = on_output };
    struct milgi_decision decision = { 0, 1, MILGI_DECIDE_PEER };
    struct milgi_decision_info about;
    struct milgi_conn *other = NULL;
    uint8_t key[32];
    CHECK(milgi_conn_new(engine, r->config[MILGI_SERVER], NULL, &events, NULL, &other) == MILGI_EFORK && !other);
    CHECK(milgi_conn_receive(conn, slice) == MILGI_EFORK);
    CHECK(milgi_conn_receive_eof(conn, 0) == MILGI_EFORK);
    CHECK(milgi_conn_send(conn, slice) == MILGI_EFORK);
    CHECK(milgi_conn_write(conn, "x", 1) == MILGI_EFORK);
    CHECK(milgi_conn_shutdown(conn) == MILGI_EFORK);
    CHECK(milgi_conn_abort(conn, MILGI_ALERT_INTERNAL_ERROR) == MILGI_EFORK);
    CHECK(milgi_conn_update_keys(conn, true) == MILGI_EFORK);
    CHECK(milgi_conn_export(conn, "label", "", 0, key, sizeof key) == MILGI_EFORK);
    CHECK(milgi_decide(engine, decision, MILGI_ACCEPT, NULL) == MILGI_EFORK);
    CHECK(milgi_decision_info(engine, decision, &about) == MILGI_EFORK);
    CHECK(!milgi_conn_chunk(conn, 100));
    milgi_conn_consumed(conn, SIZE_MAX);
    milgi_conn_output_done(conn, SIZE_MAX);
    CHECK(!is_awake(r));
    return 0;
}

static void a_connection_of_another_process_takes_and_gives_nothing(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, NULL);
    in_child(use_connection, &r);
    assert_false(is_awake(&r));
    assert_unharmed(&r);
    rig_fini(&r);
}

/* What only reads tells what was true at fork(), also after a free that did nothing. */
static int free_connection(struct rig *r)
{
    struct milgi_conn *conn = r->pair.side[MILGI_CLIENT].conn;
    struct milgi_conn_info info;
    milgi_conn_free(conn);
    milgi_conn_free(conn);
    milgi_conn_info(conn, &info);
    CHECK(info.established && info.suite);
    CHECK(!milgi_conn_input_paused(conn) && !milgi_conn_output_full(conn));
    CHECK(milgi_conn_output_pending(conn) == 0 && milgi_conn_waits_for(conn) == MILGI_WAITS_PEER);
    CHECK(!is_awake(r));
    return 0;
}

static void a_connection_of_another_process_is_not_freed(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, "pool:2");
    in_child(free_connection, &r);
    assert_unharmed(&r);
    rig_fini(&r);
}

/* --- chunks ------------------------------------------------------------------------------------------------------ */

/* The parent's pool is full, so that a chunk given back would wake its engine. */
static int give_chunks_back(struct rig *r)
{
    struct milgi_slice slice = { r->chunk, milgi_chunk_data(r->chunk), 4000 }, kept;
    CHECK(milgi_slice_keep(&slice, &kept) == MILGI_EFORK);
    CHECK(!milgi_chunk_new(r->pair.side[MILGI_CLIENT].engine, 100));
    milgi_chunk_release_remote(r->chunk);
    milgi_chunk_unref(r->chunk);
    for (size_t i = 0; i < 4000; i++)
        CHECK(milgi_chunk_data(r->chunk)[i] == 'm');
    CHECK(!is_awake(r));
    return 0;
}

static void chunks_of_another_process_stay_where_they_are(void **state)
{
    struct rig r;
    struct milgi_chunk *all[16384];
    size_t n = 0;
    (void)state;
    rig_init(&r, NULL);
    while (n < 16384 && (all[n] = milgi_chunk_new(r.pair.side[MILGI_CLIENT].engine, MILGI_CHUNK_MAX)))
        n++;
    assert_true(n < 16384);
    in_child(give_chunks_back, &r);
    assert_false(is_awake(&r));
    while (n)
        milgi_chunk_unref(all[--n]);
    for (size_t i = 0; i < 4000; i++)
        assert_int_equal(milgi_chunk_data(r.chunk)[i], 'm');
    assert_unharmed(&r);
    rig_fini(&r);
}

/* --- devices ----------------------------------------------------------------------------------------------------- */

static const char *spec;            /* of the device under test */
static struct milgi_device *before; /* made before fork() */
static uint8_t *shared;             /* with children */

/* Threads that are not here are not waited for. */
static int free_device(struct rig *r)
{
    (void)r;
    milgi_device_free(before);
    return 0;
}

static void a_device_of_another_process_is_not_freed(void **state)
{
    static const char *const specs[] = { "cpu", "pool:3", "sim:latency=1ms", "chaos:seed=5", "pkcs11",
        "batch:lanes=libcrypto" };
    struct milgi_engine *engine;
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        int rv = milgi_device_new(specs[i], &before, NULL);
        if (rv == MILGI_EUNSUPPORTED)
            continue; /* this build has none */
        assert_int_equal(rv, 0);
        assert_int_equal(milgi_engine_new(NULL, &engine), 0);
        in_child(free_device, NULL);
        assert_true(milgi_engine_add_device(engine, before) > 0);
        assert_int_equal(milgi_engine_free(engine), 0);
        milgi_device_free(before);
    }
}

/* --- what may cross ----------------------------------------------------------------------------------------------- */

static int serve_with_own(struct rig *r)
{
    make_pair(r, spec);
    CHECK(run_until(r, both_established));
    for (int role = 0; role < 2; role++)
        CHECK(milgi_conn_write(r->pair.side[role].conn, "abc", 3) == 0);
    CHECK(run_until(r, both_have_data));
    pair_fini(&r->pair);
    free_configs(r);
    return 0;
}

static void configs_cross_and_serve_engines_and_devices_made_afterwards(void **state)
{
    static const char *const specs[] = { NULL, "pool:2" };
    struct rig r = { 0 };
    (void)state;
    make_configs(&r);
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        spec = specs[i];
        in_child(serve_with_own, &r);
        in_child(serve_with_own, &r);
    }
    free_configs(&r);
}

/* Also in a child of a process that has engines and devices itself, and goes on using them. */
static void a_child_may_have_its_own_beside_its_parents(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, NULL);
    spec = "pool:1";
    in_child(serve_with_own, &r);
    assert_unharmed(&r);
    rig_fini(&r);
}

/* What an engine draws by default when it was the parent that drew first. */
static int draw(struct rig *r)
{
    (void)r;
    return milgi__crypto_random(NULL, shared, 32) == 0 ? 0 : __LINE__;
}

static void children_draw_different_randomness(void **state)
{
    uint8_t drawn[3][32];
    (void)state;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    assert_int_equal(milgi__crypto_random(NULL, drawn[0], 32), 0);
    for (int i = 0; i < 2; i++) {
        in_child(draw, NULL);
        memcpy(drawn[1 + i], shared, 32);
    }
    assert_int_equal(milgi__crypto_random(NULL, drawn[0], 32), 0);
    assert_memory_not_equal(drawn[0], drawn[1], 32);
    assert_memory_not_equal(drawn[0], drawn[2], 32);
    assert_memory_not_equal(drawn[1], drawn[2], 32);
    munmap(shared, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_of_another_process_takes_and_gives_nothing),
        cmocka_unit_test(a_connection_of_another_process_is_not_freed),
        cmocka_unit_test(chunks_of_another_process_stay_where_they_are),
        cmocka_unit_test(a_device_of_another_process_is_not_freed),
        cmocka_unit_test(configs_cross_and_serve_engines_and_devices_made_afterwards),
        cmocka_unit_test(a_child_may_have_its_own_beside_its_parents),
        cmocka_unit_test(children_draw_different_randomness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
