/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence numbers beyond each width that one might have been kept in: what the liar seals and opens by the letter of
 * the RFC is opened and sealed by the victim, both ways.
 */
#include "conn/records.h"
#include "conn/state.h"
#include "fixture.h"

/* Both ends are that far already, in both directions. */
static void jump(struct liar *liar, uint64_t seq)
{
    struct milgi__record *rec = &liar->victim->conn->transport->rec;
    rec->in.seq = liar->write.seq = seq;
    rec->out.seq = liar->read.seq = seq;
}

static void talk_across(enum milgi_role role, uint16_t suite, uint64_t seq, const char *device)
{
    struct place place = { .role = role };
    struct liar_setup setup = setup_of(&place);
    struct liar liar;
    setup.suite = suite;
    setup.device = device;
    liar_init(&liar, &setup);
    liar_handshake(&liar);
    jump(&liar, seq - 3);
    for (unsigned i = 0; i < 6; i++) {
        liar_record(&liar, LIAR_DATA, "in", 2, 0);
        MUST(milgi_conn_write(liar.victim->conn, "out", 3));
        liar_listen(&liar);
    }
    if (liar.victim->closed)
        fail_msg("%s at %llx: %s", milgi_suite_name(suite), (unsigned long long)seq, liar_end(&liar));
    assert_false(liar.deaf);
    assert_int_equal(liar.victim->got.len, 6 * 2);
    assert_int_equal(liar.got.len, 6 * 3);
    assert_int_equal(liar.write.seq, seq + 3);
    liar_fini(&liar);
}

/*= RFC8446 5.3: "The 64-bit record sequence number is encoded in network byte order and padded to the left with zeros
 *= to iv_length." */
static void records_are_numbered_in_64_bits(void **state)
{
    (void)state;
    static const uint16_t gcm[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384 };
    static const unsigned widths[] = { 8, 16, 24, 31, 32, 40, 48, 56, 63 };
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" };
    for (enum milgi_role role = 0; role < 2; role++) {
        for (size_t d = 0; d < MILGI__COUNT(devices); d++) {
            for (size_t i = 0; i < MILGI__COUNT(gcm); i++) { /* its keys last for 2^24.5 records */
                for (size_t w = 0; w < 3; w++)
                    talk_across(role, gcm[i], UINT64_C(1) << widths[w], devices[d]);
            }
            for (size_t w = 0; w < MILGI__COUNT(widths); w++)
                talk_across(role, MILGI_SUITE_CHACHA20_POLY1305_SHA256, UINT64_C(1) << widths[w], devices[d]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_numbered_in_64_bits),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
