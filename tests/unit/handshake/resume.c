/* SPDX-License-Identifier: Apache-2.0 */
#include "resume.h"

#include <time.h>

struct milgi_ticket_keys *resume_keys;

int resume_setup(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    MUST(milgi_ticket_keys_new(secret, LIFETIME, (int64_t)time(NULL) - 10 * LIFETIME, &resume_keys));
    return fixture_setup(state);
}

int resume_teardown(void **state)
{
    milgi_ticket_keys_unref(resume_keys);
    return fixture_teardown(state);
}

struct milgi_config *ticket_config(void)
{
    struct milgi_config *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_ticket_keys(server, resume_keys));
    return server;
}

/* --- what most of them do --------------------------------------------------------------------------------------- */

/* The session of the i-th ticket that the server has sent; NULL: there is none. */
struct milgi_session *session_in(struct loop *loop, unsigned i)
{
    const struct loop_message *m = loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, i);
    struct milgi_session *base = milgi__hs_session(loop->client.hs), *session = NULL;
    if (m && base)
        session = milgi__session_of_ticket(loop->cx, base,
            (struct milgi__bytes){ m->data + MILGI__MSG_HEADER, m->len - MILGI__MSG_HEADER },
            (int64_t)time(NULL) + loop->later_s);
    milgi_session_unref(base);
    return session;
}

unsigned tickets_of(struct loop *loop)
{
    unsigned n = 0;
    while (loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, n))
        n++;
    return n;
}

/* A session of a full handshake of these configs, which are given up. */
struct milgi_session *session_of(struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_of(client, server);
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_pump(loop);
    assert_open(loop);
    assert_false(milgi__hs_result(loop->client.hs)->resumed);
    struct milgi_session *session = session_in(loop, 0);
    assert_non_null(session);
    loop_free(loop);
    return session;
}

struct milgi_session *usual_session(void)
{
    return session_of(client_config(), ticket_config());
}

/* A loop whose client is given |session|, which is given up. */
struct loop *loop_with(struct milgi_session *session, struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_of(client, server);
    milgi__hs_resume(loop->client.hs, session, true);
    milgi_session_unref(session);
    return loop;
}

struct loop *resume_play(struct loop *loop, uint64_t pick, unsigned victim, enum milgi_op_status status)
{
    unsigned finished = 0;
    loop->queued = true;
    for (;;) {
        loop_pump(loop);
        unsigned n = loop->client.ops_n + loop->server.ops_n;
        if (n == 0)
            return loop;
        unsigned i = (unsigned)(pick % n);
        pick /= n;
        struct loop_end *end = i < loop->client.ops_n ? &loop->client : &loop->server;
        bool hit = finished++ == victim;
        loop_finish(end, end == &loop->client ? i : i - loop->client.ops_n, hit ? status : MILGI_OP_OK);
    }
}

/* Open, and on a session or not: both ends say the same, and so does the wire. */
void assert_resumed(struct loop *loop, bool resumed)
{
    assert_open(loop);
    assert_int_equal(milgi__hs_result(loop->client.hs)->resumed, resumed);
    assert_int_equal(milgi__hs_result(loop->server.hs)->resumed, resumed);
    assert_int_equal(!loop_sent(&loop->server, MILGI__MSG_CERTIFICATE, 0), resumed);
    bool tls13 = milgi__hs_result(loop->server.hs)->version == MILGI_TLS_1_3;
    unsigned proof = tls13 ? MILGI__MSG_CERTIFICATE_VERIFY : MILGI__MSG_SERVER_KEY_EXCHANGE;
    assert_int_equal(!loop_sent(&loop->server, proof, 0), resumed);
}

void resume_run(struct milgi_session *session, struct milgi_config *client, struct milgi_config *server, bool resumed)
{
    struct loop *loop = loop_with(session, client, server);
    loop_pump(loop);
    assert_resumed(loop, resumed);
    loop_free(loop);
}

void offer_any(struct loop *loop, struct milgi_session *session)
{
    if (session->f.version == MILGI_TLS_1_2)
        loop->client.hs->offer12 = session;
    else
        loop->client.hs->offer[loop->client.hs->offers_n++] = session;
}

/* The client offers it in any case: what the server makes of it. */
void offer(struct milgi_config *client, struct milgi_config *server, struct milgi_session *session,
    int64_t later_s, bool resumed)
{
    struct loop *loop = loop_of(client, server);
    loop->later_s = later_s;
    milgi__hs_resume(loop->client.hs, NULL, true);
    offer_any(loop, session);
    loop_pump(loop);
    assert_resumed(loop, resumed);
    loop_free(loop);
}

/* --- in TLS 1.2 ------------------------------------------------------------------------------------------------- */

struct milgi_config *client12(void)
{
    struct milgi_config *config = client_config();
    MUST(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_2));
    return config;
}

struct milgi_config *server12(void)
{
    struct milgi_config *config = ticket_config();
    MUST(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_2));
    return config;
}

/* What a full handshake of these configs, which are given up, leaves behind. */
struct milgi_session *session_by(struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_with(NULL, client, server);
    loop_pump(loop);
    assert_resumed(loop, false);
    assert_int_equal(tickets_of(loop), 1);
    struct milgi_session *session = milgi__hs_session(loop->client.hs);
    assert_non_null(session);
    loop_free(loop);
    return session;
}

struct milgi_session *session12(void)
{
    return session_by(client12(), server12());
}
