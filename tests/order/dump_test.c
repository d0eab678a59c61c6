/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as text: at every moment of its life, whole and cut. */
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MOST 4096

static char text[MOST];

static const char *dump(const struct milgi_conn *conn)
{
    size_t len = milgi_conn_dump(conn, text, sizeof text);
    assert_true(len < sizeof text);
    assert_int_equal(strlen(text), len);
    assert_int_equal(milgi_conn_dump(conn, NULL, 0), len);
    return text;
}

/* What is seen at some moment of a play; each op that is about to end is one. */
static bool derive, sign, chain, message;

static unsigned look(struct play *play, unsigned n)
{
    for (int role = 0; role < 2; role++) {
        const struct pair_side *side = &play->pair.side[role];
        const char *seen = side->conn ? dump(side->conn) : "";
        derive |= role == MILGI_SERVER && strstr(seen, "waits for ops or decisions") && strstr(seen, "needs derive\n");
        sign |= role == MILGI_SERVER && strstr(seen, "op ") && strstr(seen, "SIGN, in device 1\n");
        chain |= role == MILGI_CLIENT && strstr(seen, "needs chain\n");
        message |= strstr(seen, "waits for a message\n    message of type ") != NULL;
    }
    return play_random(play, n);
}

static void what_a_handshake_waits_for_is_shown(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct play play = { .routed = UINT32_MAX, .choose = look, .random = seed * 77 };
        play_run(&play);
        assert_true(play_went_well(&play));
        play_fini(&play);
    }
    assert_true(derive && sign && chain && message);
}

static void keys_and_the_end_are_shown(void **state)
{
    (void)state;
    struct play play = { 0 };
    play_run(&play);
    const char *seen = dump(play.pair.side[MILGI_SERVER].conn);
    struct milgi_conn_info info;
    char line[64];
    milgi_conn_info(play.pair.side[MILGI_SERVER].conn, &info);
    snprintf(line, sizeof line, "read key: epoch %u,", 3 + info.key_updates_in);
    assert_non_null(strstr(seen, ": server, closed\n"));
    assert_non_null(strstr(seen, "negotiated: TLS_AES_128_GCM_SHA256, x25519\n"));
    const char *key = strstr(seen, line);
    assert_non_null(key);
    assert_non_null(strstr(key, "; wiped\n"));
    assert_null(strstr(seen, "failed"));
    play_fini(&play);
}

static void a_failure_is_shown(void **state)
{
    (void)state;
    struct play play = { .flaw = PLAY_SERVER_UNTRUSTED };
    play_run(&play);
    const char *seen = dump(play.pair.side[MILGI_CLIENT].conn);
    assert_non_null(strstr(seen, "failed: MILGI_EVERIFY, "));
    assert_non_null(strstr(seen, "alert unknown_ca, ours\n"));
    assert_non_null(strstr(seen, "op VERIFY_CHAIN\n"));
    seen = dump(play.pair.side[MILGI_SERVER].conn);
    assert_non_null(strstr(seen, "alert unknown_ca, the peer's\n"));
    play_fini(&play);
}

static void a_text_that_is_cut_ends_behind_a_line(void **state)
{
    (void)state;
    struct play play = { .handshake_only = true };
    play_run(&play);
    const struct milgi_conn *conn = play.pair.side[MILGI_CLIENT].conn;
    size_t len = milgi_conn_dump(conn, NULL, 0);
    char whole[MOST], cut[MOST];
    milgi_conn_dump(conn, whole, sizeof whole);
    for (size_t size = 1; size <= len + 1; size++) {
        memset(cut, 'x', sizeof cut);
        assert_int_equal(milgi_conn_dump(conn, cut, size), len);
        size_t got = strlen(cut);
        assert_true(got < size);
        assert_true(got == 0 || cut[got - 1] == '\n');
        assert_memory_equal(cut, whole, got);
        assert_int_equal(cut[size], 'x');
    }
    assert_string_equal(cut, whole);
    play_fini(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_handshake_waits_for_is_shown),
        cmocka_unit_test(keys_and_the_end_are_shown),
        cmocka_unit_test(a_failure_is_shown),
        cmocka_unit_test(a_text_that_is_cut_ends_behind_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
