/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step tables against the state machines of RFC 8446 Appendix A, as far as they go without early data.
 *
 * A.1, the client:
 *
 *                              START <----+
 *               Send ClientHello |        | Recv HelloRetryRequest
 *                                v        |
 *                             WAIT_SH ----+
 *                                | Recv ServerHello
 *                                | K_recv = handshake
 *                                V
 *                             WAIT_EE
 *                                | Recv EncryptedExtensions
 *                       Using PSK: to WAIT_FINISHED, where no certificate is sent
 *                                v
 *                          WAIT_CERT_CR
 *                      Recv |       | Recv CertificateRequest
 *               Certificate |       v
 *                           |    WAIT_CERT
 *                           |       | Recv Certificate
 *                           v       v
 *                            WAIT_CV
 *                               | Recv CertificateVerify
 *                        WAIT_FINISHED
 *                              | Recv Finished
 *                              | [Send Certificate [+ CertificateVerify]]
 *                              | Send Finished
 *                              | K_send = K_recv = application
 *                              v
 *                          CONNECTED
 *
 * A.2, the server:
 *
 *                              START <-----+
 *               Recv ClientHello |         | Send HelloRetryRequest
 *                                v         |
 *                             RECVD_CH ----+
 *                                | Select parameters
 *                                v
 *                             NEGOTIATED
 *                                | Send ServerHello
 *                                | Send EncryptedExtensions
 *                                | [Send CertificateRequest]            without PSK
 *                                | Send Certificate + CertificateVerify without PSK
 *                                | Send Finished
 *                                | K_recv = handshake
 *                                v
 *                           WAIT_FLIGHT2
 *                       +--------+--------+
 *               No auth |                 | Client auth
 *                       |                 v
 *                       |             WAIT_CERT
 *                       |        Recv |       | Recv Certificate
 *                       |       empty |       v
 *                       | Certificate |    WAIT_CV
 *                       |             |       | Recv CertificateVerify
 *                       |             v       |
 *                       +-> WAIT_FINISHED <---+
 *                                | Recv Finished
 *                                | K_recv = application
 *                                v
 *                            CONNECTED
 *                                | [Send NewSessionTicket] (4.6.1)
 *
 * and against the message flow of RFC 5246 7.3, with what is optional left out and not:
 *
 *     ClientHello                  -------->
 *                                                      ServerHello
 *                                                     Certificate*
 *                                               CertificateStatus*
 *                                               ServerKeyExchange*
 *                                              CertificateRequest*
 *                                  <--------       ServerHelloDone
 *     Certificate*
 *     ClientKeyExchange
 *     CertificateVerify*
 *     [ChangeCipherSpec]
 *     Finished                     -------->
 *                                               [ChangeCipherSpec]
 *                                  <--------              Finished
 *
 * in which Certificate and ServerKeyExchange of the server are not optional, since there is always an ephemeral key
 * that is signed; CertificateStatus is that of RFC 6066 8, and a NewSessionTicket may stand before the server's
 * change_cipher_spec (RFC 5077 3.1). On a session:
 *
 *     ClientHello                  -------->
 *                                                      ServerHello
 *                                                NewSessionTicket*
 *                                               [ChangeCipherSpec]
 *                                  <--------              Finished
 *     [ChangeCipherSpec]
 *     Finished                     -------->
 *
 * The loop of HelloRetryRequest is taken once at most: "If a client receives a second HelloRetryRequest in the same
 * connection [...], it MUST abort the handshake" (4.1.4).
 */
#include "graph.h"

#include <string.h>

/* --- the drawings as data --------------------------------------------------------------------------------------- */

enum state {
    START,
    RECVD_CH,
    NEGOTIATED,
    WAIT_FLIGHT2,
    WAIT_SH,
    WAIT_EE,
    WAIT_CERT_CR,
    WAIT_CERT,
    WAIT_CV,
    WAIT_FINISHED,
    WAIT_FINISHED_PSK,
    /* of RFC 5246 7.3: what the client has still to hear, and the server */
    AFTER_HELLO_12,
    AFTER_EXCHANGE_12,
    HELLO_DONE_12,
    NEGOTIATED_12,
    WAIT_CERT_12,
    WAIT_EXCHANGE_12,
    WAIT_CHANGE_12,
    RESUMED_12,
    CONNECTED
};

/*
 * Messages as letters: Hello of the client, of the Server, Extensions, Request, Certificate, Verify, Finished,
 * Ticket; of TLS 1.2 certificate stAtus, server Key exchange, Done, client key eXchange, chanGe_cipher_spec. Capitals
 * are sent, small ones received, with the level of the read key behind them.
 */
struct edge {
    enum state from, to;
    const char *messages;
    bool retry;
};

static const struct edge client[] = {
    { START, WAIT_SH, "H", false },
    { WAIT_SH, START, "s0", true },
    { WAIT_SH, WAIT_EE, "s0", false },
    { WAIT_EE, WAIT_CERT_CR, "e2", false },
    { WAIT_EE, WAIT_FINISHED_PSK, "e2", false },
    { WAIT_FINISHED_PSK, CONNECTED, "f2F", false },
    { WAIT_CERT_CR, WAIT_CV, "c2", false },
    { WAIT_CERT_CR, WAIT_CERT, "r2", false },
    { WAIT_CERT, WAIT_CV, "c2", false },
    { WAIT_CV, WAIT_FINISHED, "v2", false },
    { WAIT_FINISHED, CONNECTED, "f2F", false },
    { WAIT_FINISHED, CONNECTED, "f2CF", false },
    { WAIT_FINISHED, CONNECTED, "f2CVF", false },
    { WAIT_SH, AFTER_HELLO_12, "s0c0k0", false },
    { WAIT_SH, AFTER_HELLO_12, "s0c0a0k0", false },
    { AFTER_HELLO_12, AFTER_EXCHANGE_12, "", false },
    { AFTER_HELLO_12, AFTER_EXCHANGE_12, "r0", false },
    { AFTER_EXCHANGE_12, HELLO_DONE_12, "d0X", false },
    { AFTER_EXCHANGE_12, HELLO_DONE_12, "d0CX", false },
    { AFTER_EXCHANGE_12, HELLO_DONE_12, "d0CXV", false },
    { HELLO_DONE_12, CONNECTED, "GFg0f3", false },
    { HELLO_DONE_12, CONNECTED, "GFt0g0f3", false },
    { WAIT_SH, RESUMED_12, "s0", false },
    { RESUMED_12, CONNECTED, "g0f3GF", false },
    { RESUMED_12, CONNECTED, "t0g0f3GF", false },
    { CONNECTED, CONNECTED, NULL, false },
};

static const struct edge server[] = {
    { START, RECVD_CH, "h0", false },
    { RECVD_CH, START, "S", true },
    { RECVD_CH, NEGOTIATED, "", false },
    { NEGOTIATED, WAIT_FLIGHT2, "SECVF", false },
    { NEGOTIATED, WAIT_FLIGHT2, "SERCVF", false },
    { NEGOTIATED, WAIT_FINISHED, "SEF", false },
    { WAIT_FLIGHT2, WAIT_FINISHED, "", false },
    { WAIT_FLIGHT2, WAIT_CERT, "", false },
    { WAIT_CERT, WAIT_FINISHED, "c2", false },
    { WAIT_CERT, WAIT_CV, "c2", false },
    { WAIT_CV, WAIT_FINISHED, "v2", false },
    { WAIT_FINISHED, CONNECTED, "f2", false },
    { WAIT_FINISHED, CONNECTED, "f2T", false },
    { RECVD_CH, NEGOTIATED_12, "SC", false },
    { RECVD_CH, NEGOTIATED_12, "SCA", false },
    { NEGOTIATED_12, WAIT_EXCHANGE_12, "KD", false },
    { NEGOTIATED_12, WAIT_EXCHANGE_12, "KRD", false },
    { NEGOTIATED_12, WAIT_CERT_12, "KD", false },
    { NEGOTIATED_12, WAIT_CERT_12, "KRD", false },
    { WAIT_CERT_12, WAIT_EXCHANGE_12, "c0", false },
    { WAIT_EXCHANGE_12, WAIT_CHANGE_12, "x0", false },
    { WAIT_CERT_12, WAIT_CHANGE_12, "c0x0v0", false },
    { WAIT_CHANGE_12, CONNECTED, "g0f3GF", false },
    { WAIT_CHANGE_12, CONNECTED, "g0f3TGF", false },
    { RECVD_CH, RESUMED_12, "S", false },
    { RESUMED_12, CONNECTED, "GFg0f3", false },
    { RESUMED_12, CONNECTED, "TGFg0f3", false },
    { CONNECTED, CONNECTED, NULL, false },
};

/* --- sets of walks ---------------------------------------------------------------------------------------------- */

struct walks {
    char text[256][64];
    size_t n;
};

static void add(struct walks *walks, const char *text)
{
    for (size_t i = 0; i < walks->n; i++) {
        if (strcmp(walks->text[i], text) == 0)
            return;
    }
    assert_true(walks->n < 256);
    snprintf(walks->text[walks->n++], 64, "%s", text);
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void walk_drawing(
    struct walks *walks, const struct edge *edges, enum state at, bool retried, const char *before)
{
    if (at == CONNECTED) {
        add(walks, before);
        return;
    }
    for (const struct edge *e = edges; e->messages; e++) {
        char text[64];
        bool tls12 = e->to == AFTER_HELLO_12 || e->to == NEGOTIATED_12 || e->to == RESUMED_12;
        if (e->from != at || ((e->retry || tls12) && retried))
            continue;
        snprintf(text, sizeof text, "%s%s", before, e->messages);
        walk_drawing(walks, edges, e->to, retried || e->retry, text);
    }
}

static char letter(int type, bool sent)
{
    static const struct {
        int type;
        char letter;
    } letters[] = { { 1, 'h' }, { 2, 's' }, { 4, 't' }, { 8, 'e' }, { 13, 'r' }, { 11, 'c' }, { 15, 'v' },
        { 20, 'f' }, { 12, 'k' }, { 14, 'd' }, { 16, 'x' }, { 22, 'a' }, { 255, 'g' } };
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        if (letters[i].type == type)
            return (char)(letters[i].letter - (sent ? 32 : 0));
    }
    fail_msg("message %d", type);
    return '?';
}

static void walk_table(struct walks *walks, const struct graph *graph, size_t at, const char *before);

/* The messages of a row in all ways, then its successors. */
static void walk_sends(
    struct walks *walks, const struct graph *graph, size_t at, unsigned i, const char *before)
{
    const struct milgi__hs_row_info *row = &graph->row[at];
    if (i == 4 || row->sends[i] == 0) {
        for (size_t to = GRAPH_OPEN; to < graph->n; to++) {
            if (graph_leads(graph, at, to))
                walk_table(walks, graph, to, before);
        }
        return;
    }
    char text[64];
    snprintf(text, sizeof text, "%s%c", before, letter(row->sends[i], true));
    walk_sends(walks, graph, at, i + 1, text);
    if ((row->sends_maybe >> i & 1) != 0)
        walk_sends(walks, graph, at, i + 1, before);
}

static void walk_table(struct walks *walks, const struct graph *graph, size_t at, const char *before)
{
    const struct milgi__hs_row_info *row = &graph->row[at];
    char text[64];
    if (at == GRAPH_OPEN) {
        add(walks, before);
        return;
    }
    if (row->otherwise >= 0)
        walk_table(walks, graph, (size_t)row->otherwise, before);
    if (row->message >= 0 && !row->peeks)
        snprintf(text, sizeof text, "%s%c%d", before, letter(row->message, false), row->read_level);
    else
        snprintf(text, sizeof text, "%s", before);
    walk_sends(walks, graph, at, 0, text);
}

static void assert_same_walks(enum milgi_role role, const struct edge *edges)
{
    static struct walks drawn, ours;
    struct graph graph;
    drawn.n = ours.n = 0;
    graph_load(&graph, role);
    walk_drawing(&drawn, edges, START, false, "");
    for (size_t i = GRAPH_START; i < graph.n; i++) {
        if (graph.row[i].first)
            walk_table(&ours, &graph, i, "");
    }
    qsort(drawn.text, drawn.n, sizeof drawn.text[0], compare);
    qsort(ours.text, ours.n, sizeof ours.text[0], compare);
    for (size_t i = 0; i < drawn.n && i < ours.n; i++)
        assert_string_equal(ours.text[i], drawn.text[i]);
    assert_int_equal(ours.n, drawn.n);
    assert_true(ours.n >= 12);
}

static void the_client_goes_the_ways_of_appendix_a_1(void **state)
{
    (void)state;
    assert_same_walks(MILGI_CLIENT, client);
}

static void the_server_goes_the_ways_of_appendix_a_2(void **state)
{
    (void)state;
    assert_same_walks(MILGI_SERVER, server);
}

/* --- the tables in themselves ----------------------------------------------------------------------------------- */

static const enum milgi_role roles[] = { MILGI_CLIENT, MILGI_SERVER };

static void reach(const struct graph *graph, size_t at, bool *reached)
{
    if (reached[at])
        return;
    reached[at] = true;
    for (size_t to = 0; to < graph->n; to++) {
        if (graph_leads(graph, at, to))
            reach(graph, to, reached);
    }
}

static void reach_all(const struct graph *graph, bool *reached)
{
    for (size_t i = GRAPH_START; i < graph->n; i++) {
        if (graph->row[i].first)
            reach(graph, i, reached);
    }
}

static void every_row_is_reached_and_leads_to_the_end(void **state)
{
    (void)state;
    for (unsigned r = 0; r < 2; r++) {
        struct graph graph;
        graph_load(&graph, roles[r]);
        bool from_start[GRAPH_ROWS] = { false };
        reach_all(&graph, from_start);
        for (size_t i = GRAPH_OPEN; i < graph.n; i++) {
            assert_non_null(graph.row[i].name);
            if (!from_start[i])
                fail_msg("%s is never reached", graph.row[i].name);
            bool from_here[GRAPH_ROWS] = { false };
            reach(&graph, i, from_here);
            if (!from_here[GRAPH_OPEN])
                fail_msg("%s does not lead to the end", graph.row[i].name);
        }
        for (size_t i = 0; i < graph.n; i++)
            assert_int_equal(graph.row[i].next >> graph.n, 0);
    }
}

/* Rows go forward only: there is no loop, so that every walk ends and no step runs twice. */
static void no_row_leads_back(void **state)
{
    (void)state;
    for (unsigned r = 0; r < 2; r++) {
        struct graph graph;
        graph_load(&graph, roles[r]);
        for (size_t i = GRAPH_START; i < graph.n; i++) {
            for (size_t to = GRAPH_START; to <= i; to++)
                assert_false(graph_leads(&graph, i, to));
        }
    }
}

/* Calls |test| for each row on each way with what was started before it. */
static void each_way(const struct graph *graph, size_t at, uint32_t started, bool hello, bool finished,
    void (*test)(const struct graph *graph, size_t at, uint32_t started, bool hello, bool finished))
{
    const struct milgi__hs_row_info *row = &graph->row[at];
    test(graph, at, started, hello, finished);
    hello = hello || (row->message == 1 && !row->peeks) || row->sends[0] == 1;
    finished = finished || row->message == 20;
    for (size_t to = GRAPH_OPEN; to < graph->n; to++) {
        if (graph_leads(graph, at, to))
            each_way(graph, to, started | row->starts, hello, finished, test);
    }
}

static uint32_t slot_named(const char *name)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        if (strcmp(milgi__hs_slot_name(slot), name) == 0)
            return 1u << slot;
    }
    fail_msg("no slot %s", name);
    return 0;
}

static void needs_were_started(const struct graph *graph, size_t at, uint32_t started, bool hello, bool finished)
{
    (void)hello;
    (void)finished;
    uint32_t missing = graph->row[at].needs & ~started;
    /* A client sends a certificate only if one was asked for: the step chooses, and the driver watches it. */
    if (strncmp(graph->row[at].name, "send_certificate", 16) == 0)
        missing &= ~slot_named("credential");
    if (missing != 0)
        fail_msg("%s needs what was never started", graph->row[at].name);
}

static void what_a_row_needs_was_started_on_every_way_to_it(void **state)
{
    (void)state;
    for (unsigned r = 0; r < 2; r++) {
        struct graph graph;
        graph_load(&graph, roles[r]);
        for (size_t i = GRAPH_START; i < graph.n; i++) {
            if (graph.row[i].first)
                each_way(&graph, i, 0, false, false, needs_were_started);
        }
    }
}

static void ccs_fits(const struct graph *graph, size_t at, uint32_t started, bool hello, bool finished)
{
    (void)started;
    /* In TLS 1.2 it has its place. */
    bool dropped = hello && !finished && !strstr(graph->row[at].name, "12");
    if (graph->row[at].takes_ccs != dropped)
        fail_msg("%s", graph->row[at].name);
}

/*= RFC8446 5: "at any time after the first ClientHello message has been sent or received and before the peer's
 *= Finished message has been received" */
static void ccs_is_taken_between_the_hello_and_the_peers_finished(void **state)
{
    (void)state;
    for (unsigned r = 0; r < 2; r++) {
        struct graph graph;
        graph_load(&graph, roles[r]);
        for (size_t i = GRAPH_START; i < graph.n; i++) {
            if (graph.row[i].first)
                each_way(&graph, i, 0, false, false, ccs_fits);
        }
    }
}

/* Each way to the end passes one row that needs all that authenticates the peer, or a named exception. */
static void no_way_leads_around_the_barrier(void **state)
{
    (void)state;
    static const char *const exceptions[] = { "authenticated_any", "authenticated_empty", "anonymous", "resumed",
        "authenticated_any12", "authenticated_empty12", "anonymous12", "resumed12" };
    for (unsigned r = 0; r < 2; r++) {
        struct graph graph;
        graph_load(&graph, roles[r]);
        uint32_t all = slot_named("chain") | slot_named("verify") | slot_named("peer");
        unsigned barriers = 0;
        for (size_t i = GRAPH_START; i < graph.n; i++) {
            bool barrier = (graph.row[i].needs & all) == all;
            for (unsigned k = 0; k < 8; k++)
                barrier = barrier || strcmp(graph.row[i].name, exceptions[k]) == 0;
            barriers += (graph.row[i].needs & all) == all;
            bool behind = strstr(graph.row[i].name, "_ticket") || strstr(graph.row[i].name, "_session12") ||
                strcmp(graph.row[i].name, "send_finished12") == 0;
            if (barrier)
                graph.row[i].next = 0;
            else if (!behind) /* nothing is read under the application's keys before it, but a Finished of TLS 1.2 */
                assert_true(graph.row[i].read_level < MILGI__LEVEL_APP || graph.row[i].message == 20 ||
                    strncmp(graph.row[i].name, "judge", 5) == 0);
        }
        bool reached[GRAPH_ROWS] = { false };
        reach_all(&graph, reached);
        assert_false(reached[GRAPH_OPEN]);
        assert_int_equal(barriers, 2);
    }
}

static void a_message_before_a_change_of_read_keys_ends_its_flight(void **state)
{
    (void)state;
    for (unsigned r = 0; r < 2; r++) {
        struct graph graph;
        graph_load(&graph, roles[r]);
        for (size_t i = GRAPH_START; i < graph.n; i++) {
            for (size_t to = GRAPH_OPEN; to < graph.n; to++) {
                bool changes = graph_leads(&graph, i, to) && graph.row[to].read_level != graph.row[i].read_level;
                if (changes && !graph.row[i].flight_ends)
                    fail_msg("%s", graph.row[i].name);
                if (graph_leads(&graph, i, to))
                    assert_true(graph.row[to].read_level >= graph.row[i].read_level &&
                        graph.row[to].write_level >= graph.row[i].write_level);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_goes_the_ways_of_appendix_a_1),
        cmocka_unit_test(the_server_goes_the_ways_of_appendix_a_2),
        cmocka_unit_test(every_row_is_reached_and_leads_to_the_end),
        cmocka_unit_test(no_row_leads_back),
        cmocka_unit_test(what_a_row_needs_was_started_on_every_way_to_it),
        cmocka_unit_test(ccs_is_taken_between_the_hello_and_the_peers_finished),
        cmocka_unit_test(no_way_leads_around_the_barrier),
        cmocka_unit_test(a_message_before_a_change_of_read_keys_ends_its_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
