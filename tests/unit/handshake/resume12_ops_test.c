/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.2 on a session: in whatever order its ops end, and however. */
#include "resume.h"

static struct loop *play(struct milgi_session *session, uint64_t pick, unsigned victim, enum milgi_op_status status)
{
    struct loop *loop = loop_with(session, client12(), server12());
    loop->later_s = session ? LIFETIME - 60 : 0;
    return resume_play(loop, pick, victim, status);
}

static void every_order_comes_to_the_same(void **state)
{
    (void)state;
    for (uint64_t pick = 0; pick < 30; pick++) {
        for (unsigned resumed = 0; resumed < 2; resumed++) {
            struct milgi_session *session = resumed ? session12() : NULL;
            struct loop *loop = play(session, pick * 2654435761u, UINT32_MAX, MILGI_OP_OK);
            assert_resumed(loop, resumed);
            assert_int_equal(tickets_of(loop), 1);
            loop_free(loop);
        }
    }
}

static void a_ticket_that_cannot_be_opened_or_sealed_costs_no_connection(void **state)
{
    (void)state;
    static const enum milgi_op_status bad[] = { MILGI_OP_REJECTED, MILGI_OP_BROKEN, MILGI_OP_CANCELLED, MILGI_OP_LOST };
    for (unsigned s = 0; s < 4; s++) {
        struct loop *loop = play(session12(), 0, 0, bad[s]); /* opening it */
        assert_resumed(loop, false);
        assert_int_equal(tickets_of(loop), 1);
        loop_free(loop);
        loop = play(session12(), 0, 1, bad[s]); /* sealing the next */
        assert_resumed(loop, true);
        const struct loop_message *ticket = loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, 0);
        assert_int_equal(ticket->len, 4 + 4 + 2); /* it was promised, and is empty */
        assert_false(milgi__hs_session_came(loop->client.hs));
        struct milgi_session *still = milgi__hs_session(loop->client.hs);
        assert_ptr_equal(still, loop->client.hs->session);
        milgi_session_unref(still);
        loop_free(loop);
        unsigned sealed = 0;
        for (unsigned victim = 0; victim < 8; victim++) {
            loop = play(NULL, 0, victim, bad[s]);
            bool open = loop->client.wait == MILGI__HS_OPEN && loop->server.wait == MILGI__HS_OPEN;
            if (open && loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, 0)->len == 10) {
                sealed++;
                assert_null(milgi__hs_session(loop->client.hs));
            }
            loop_free(loop);
        }
        assert_int_equal(sealed, 1);
    }
}

static void without_memory_or_keys_for_an_op_a_ticket_is_missing(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth < 4; nth++) {
        struct loop *loop = loop_with(session12(), client12(), server12());
        loop->later_s = LIFETIME - 60;
        loop->server.ops_left = nth;
        loop_pump(loop);
        assert_resumed(loop, nth != 1);
        loop_free(loop);
        loop = loop_with(session12(), client12(), server12());
        loop->later_s = LIFETIME - 60;
        loop->server.keys_left = nth;
        loop_pump(loop);
        if (loop->server.wait == MILGI__HS_OPEN)
            assert_open(loop);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_comes_to_the_same),
        cmocka_unit_test(a_ticket_that_cannot_be_opened_or_sealed_costs_no_connection),
        cmocka_unit_test(without_memory_or_keys_for_an_op_a_ticket_is_missing),
    };
    return cmocka_run_group_tests(tests, resume_setup, resume_teardown);
}
