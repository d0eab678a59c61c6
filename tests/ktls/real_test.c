/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that there is: two connections over a TCP socket each, one end of which has its records in it as far as it
 * can. Where it cannot (no module "tls") the same goes without, and what asks for more is skipped. In a kernel of our
 * own: tests/vm/inside/ktls.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "configs.h"
#include "milgi_ktls.h"

#define LONG 300000u

struct side {
    struct milgi_engine *engine;
    struct milgi_config *config;
    struct milgi_conn *conn;
    struct milgi_ktls *ktls;
    int fd;
    bool want[2];
    int taken[2];
    bool established, closed, deaf; /* deaf: reads no more */
    struct milgi_reason reason;
    struct milgi_iov out[512]; /* of on_output, not written */
    size_t out_n;
    uint8_t *got;
    size_t got_len, given;
    int alert;
};

static struct side sides[2];
static struct side *const client = &sides[MILGI_CLIENT], *const server = &sides[MILGI_SERVER];
static struct identity *root, *leaf;
static bool has_kernel, can_rekey;

/* --- what a connection tells -------------------------------------------------------------------------------------- */

static void write_out(struct side *s)
{
    size_t i = 0;
    for (; i < s->out_n; i++) {
        ssize_t n = send(s->fd, s->out[i].data, s->out[i].len, MSG_DONTWAIT | MSG_NOSIGNAL);
        size_t done = n > 0 ? (size_t)n : n < 0 && errno == EAGAIN ? 0
                                                                   : s->out[i].len;
        s->out[i].data += done;
        s->out[i].len -= done;
        milgi_conn_output_done(s->conn, done);
        if (s->out[i].len)
            break;
    }
    memmove(s->out, s->out + i, (s->out_n - i) * sizeof s->out[0]);
    s->out_n -= i;
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    struct side *s = arg;
    (void)conn;
    assert_true(s->out_n + n <= sizeof s->out / sizeof s->out[0]);
    memcpy(s->out + s->out_n, iov, n * sizeof *iov);
    s->out_n += n;
}

static void on_record(struct milgi_conn *conn, void *arg, uint8_t type, const struct milgi_iov *iov, size_t n)
{
    struct side *s = arg;
    (void)conn;
    milgi_ktls_record(s->ktls, type, iov, n);
}

static void on_keys(struct milgi_conn *conn, void *arg, int direction, const struct milgi_traffic_keys *keys)
{
    struct side *s = arg;
    (void)conn;
    milgi_ktls_keys(s->ktls, direction, keys);
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct side *s = arg;
    for (size_t i = 0; i < n; i++) {
        s->got = realloc(s->got, s->got_len + slices[i].len);
        memcpy(s->got + s->got_len, slices[i].data, slices[i].len);
        s->got_len += slices[i].len;
        milgi_conn_consumed(conn, slices[i].len);
    }
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    (void)conn;
    ((struct side *)arg)->established = true;
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    (void)conn;
    ((struct side *)arg)->alert = alert;
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct side *s = arg;
    (void)conn;
    s->closed = true;
    s->reason = *reason;
}

static const struct milgi_events events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_alert = on_alert,
    .on_closed = on_closed,
    .on_record = on_record,
    .on_keys = on_keys,
};

/* --- moving ------------------------------------------------------------------------------------------------------- */

/* One read of the socket, when the connection opens itself: not over the end of a record. */
static void receive(struct side *s)
{
    size_t rest = milgi_conn_record_rest(s->conn), size = rest ? rest : 5;
    struct milgi_chunk *chunk = milgi_conn_chunk(s->conn, size);
    ssize_t n = recv(s->fd, milgi_chunk_data(chunk), size, MSG_DONTWAIT);
    if (n <= 0)
        milgi_chunk_unref(chunk);
    if (n > 0)
        milgi_conn_receive(s->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n });
    else if (n == 0 || errno != EAGAIN)
        milgi_conn_receive_eof(s->conn, n ? errno : 0);
}

static void move(struct side *s)
{
    struct milgi_run_result result;
    do
        assert_int_equal(milgi_engine_run(s->engine, 0, &result), 0);
    while (result.next == MILGI_RUN_AGAIN);
    write_out(s);
    for (int d = 0; d < 2; d++) {
        if (s->want[d] && s->established && !s->closed) {
            s->taken[d] = milgi_ktls_take(s->ktls, (enum milgi_direction)d);
            s->want[d] = s->taken[d] == MILGI_PAUSE;
        }
    }
    milgi_ktls_flush(s->ktls);
    if (s->closed || s->deaf || milgi_conn_input_paused(s->conn))
        return;
    if (milgi_ktls_has(s->ktls, MILGI_RECEIVE))
        milgi_ktls_read(s->ktls);
    else
        receive(s);
}

typedef bool (*condition)(void);

/* Until it is so. */
static void until(condition is)
{
    for (unsigned guard = 0; !is(); guard++) {
        struct pollfd fds[2] = { { client->fd, POLLIN, 0 }, { server->fd, POLLIN, 0 } };
        move(client);
        move(server);
        assert_true(guard < 30000);
        if (!is() && guard > 20)
            poll(fds, 2, 1);
    }
}

static bool both_established(void)
{
    return client->established && server->established;
}
static bool all_taken(void)
{
    return !(client->want[0] || client->want[1] || server->want[0] || server->want[1]);
}
static bool all_arrived(void)
{
    return client->got_len >= server->given && server->got_len >= client->given;
}
static bool both_closed(void)
{
    return client->closed && server->closed;
}
static bool client_closed(void)
{
    return client->closed;
}
static bool server_heard(void)
{
    return server->alert >= 0;
}
static bool output_is_gone(void)
{
    return !milgi_conn_output_pending(client->conn) && !milgi_conn_output_pending(server->conn);
}

/* --- plays -------------------------------------------------------------------------------------------------------- */

static void socket_pair(int fd[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd[0], (struct sockaddr *)&address, len), 0);
    fd[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int i = 0; i < 2; i++) {
        fcntl(fd[i], F_SETFL, O_NONBLOCK);
        setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
}

static void begin(uint16_t version, uint16_t suite)
{
    struct milgi_ktls_options options;
    int fd[2];
    socket_pair(fd);
    milgi_ktls_options_init(&options);
    options.count_every = 4;
    options.files_do_not_change = options.expect_no_padding = true;
    for (int role = 0; role < 2; role++) {
        struct side *s = &sides[role];
        *s = (struct side){ .fd = fd[role], .alert = -1 };
        s->config = configs_begin((enum milgi_role)role, role ? leaf : NULL, role ? NULL : root);
        assert_int_equal(milgi_config_set_versions(s->config, version, version), 0);
        assert_int_equal(milgi_config_set_suites(s->config, &suite, 1), 0);
        assert_int_equal(milgi_config_set_hand_over(s->config, true), 0);
        configs_freeze(s->config);
        assert_int_equal(milgi_engine_new(NULL, &s->engine), 0);
        assert_int_equal(
            milgi_conn_new(s->engine, s->config, role ? NULL : "server.test", &events, s, &s->conn), 0);
        assert_int_equal(milgi_ktls_new(s->conn, s->fd, &options, &s->ktls), 0);
    }
    until(both_established);
}

static void begin13(void)
{
    begin(0x0304, MILGI_SUITE_AES_128_GCM_SHA256);
}

static void end(void)
{
    for (int role = 0; role < 2; role++) {
        struct side *s = &sides[role];
        milgi_ktls_free(s->ktls);
        milgi_conn_free(s->conn);
        milgi_engine_free(s->engine);
        milgi_config_unref(s->config);
        close(s->fd);
        free(s->got);
    }
}

/* 1 client sends, 2 client receives, 4 server sends, 8 server receives. */
static void hand_over(unsigned dirs)
{
    for (int role = 0; role < 2; role++) {
        sides[role].want[MILGI_SEND] = dirs >> 2 * role & 1;
        sides[role].want[MILGI_RECEIVE] = dirs >> (2 * role + 1) & 1;
    }
    unsigned wanted[2][2] = { { sides[0].want[0], sides[0].want[1] }, { sides[1].want[0], sides[1].want[1] } };
    until(all_taken);
    for (int role = 0; role < 2; role++) {
        for (int d = 0; d < 2; d++) {
            int rv = wanted[role][d] && !has_kernel ? MILGI_EUNSUPPORTED : 0;
            assert_int_equal(sides[role].taken[d], rv);
            assert_int_equal(milgi_ktls_has(sides[role].ktls, (enum milgi_direction)d), wanted[role][d] && !rv);
        }
    }
}

static void give(struct side *s, size_t bytes)
{
    uint8_t data[5000];
    while (bytes) {
        size_t len = bytes < sizeof data ? bytes : sizeof data;
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)((s->given + i) * 13 + (s->given + i) / 253);
        if (milgi_conn_output_full(s->conn)) {
            move(client);
            move(server);
            continue;
        }
        int rv = milgi_conn_write(s->conn, data, len);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        s->given += len;
        bytes -= len;
    }
}

static void arrives(void)
{
    until(all_arrived);
    for (int role = 0; role < 2; role++) {
        const struct side *from = &sides[role], *to = &sides[!role];
        assert_int_equal(to->got_len, from->given);
        for (size_t i = 0; i < to->got_len; i++)
            assert_int_equal(to->got[i], (uint8_t)(i * 13 + i / 253));
    }
}

static void close_both(void)
{
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    assert_int_equal(milgi_conn_shutdown(server->conn), 0);
    until(both_closed);
    assert_int_equal(client->reason.error, 0);
    assert_int_equal(server->reason.error, 0);
}

static void every_suite_goes_both_ways(void **state)
{
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
        MILGI_SUITE_CHACHA20_POLY1305_SHA256, MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256,
        MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384, MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256 };
    static const unsigned dirs[] = { 1 + 8, 2 + 4, 15 }; /* each end has the one, the other, both */
    (void)state;
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        for (size_t k = 0; k < sizeof dirs / sizeof dirs[0]; k++) {
            begin(i < 3 ? 0x0304 : 0x0303, suites[i]);
            give(client, 20000);
            give(server, 300);
            hand_over(dirs[k]);
            give(client, 50000);
            give(server, 40000);
            arrives();
            close_both();
            end();
        }
    }
}

static void one_direction_ends_and_the_other_goes_on(void **state)
{
    (void)state;
    begin13();
    hand_over(15);
    give(client, 1000);
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    until(server_heard);
    assert_int_equal(server->alert, MILGI_ALERT_CLOSE_NOTIFY);
    give(server, LONG);
    arrives();
    assert_false(client->closed || server->closed);
    assert_int_equal(milgi_conn_shutdown(server->conn), 0);
    until(both_closed);
    assert_int_equal(client->reason.error, 0);
    end();
}

static void an_abort_is_told(void **state)
{
    (void)state;
    begin13();
    hand_over(15);
    give(server, 10000);
    arrives();
    assert_int_equal(milgi_conn_abort(server->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
    until(both_closed);
    assert_int_equal(client->reason.error, MILGI_EALERT);
    assert_int_equal(client->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    end();
}

/* What is not TLS, or too long, or forged: the server writes it past its connection. */
static void a_record_that_is_wrong_is_refused(void **state)
{
    static const struct {
        uint8_t header[5];
        int alert;
    } cases[] = {
        { { 23, 3, 3, 0, 40 }, MILGI_ALERT_BAD_RECORD_MAC },
        { { 23, 3, 3, 0x7f, 0xff }, MILGI_ALERT_RECORD_OVERFLOW },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t record[200] = { 0 };
        begin13();
        hand_over(3);
        give(server, 3000);
        until(output_is_gone);
        memcpy(record, cases[i].header, 5);
        assert_int_equal(send(server->fd, record, sizeof record, MSG_NOSIGNAL), sizeof record);
        until(both_closed);
        assert_int_equal(client->got_len, 3000);
        assert_int_equal(client->reason.alert, cases[i].alert);
        assert_false(client->reason.alert_from_peer);
        assert_int_equal(server->reason.alert, cases[i].alert);
        assert_true(server->reason.alert_from_peer);
        end();
    }
}

static void an_end_without_a_word_is_no_end(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        begin13();
        hand_over(15);
        give(server, 3000);
        arrives();
        until(output_is_gone);
        server->deaf = true;
        struct linger reset = { 1, 0 };
        uint8_t part[3] = { 23, 3, 3 };
        if (how == 1 && has_kernel) {
            /* Inside of a record: what the kernel seals is whole, so the rest of a socket without TLS. */
            end();
            begin13();
            hand_over(3);
            assert_int_equal(send(server->fd, part, sizeof part, MSG_NOSIGNAL), sizeof part);
            server->deaf = true;
        }
        if (how == 2)
            setsockopt(server->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        shutdown(server->fd, how == 2 ? SHUT_RD : SHUT_WR);
        if (how == 2) {
            close(server->fd);
            server->fd = socket(AF_INET, SOCK_STREAM, 0);
            server->closed = true;
        }
        until(client_closed);
        assert_int_equal(client->reason.error, how == 2 ? MILGI_ETRANSPORT : MILGI_ETRUNCATED);
        if (how == 2)
            assert_int_equal(client->reason.device_code, ECONNRESET);
        end();
    }
}

static void files_are_sent_by_the_kernel(void **state)
{
    (void)state;
    if (!has_kernel)
        skip();
    int file = memfd_create("file", 0);
    uint8_t *bytes = malloc(LONG);
    for (size_t i = 0; i < LONG; i++)
        bytes[i] = (uint8_t)(i * 13 + i / 253);
    assert_int_equal(write(file, bytes, LONG), LONG);
    free(bytes);
    begin13();
    hand_over(15);
    int64_t at = 0;
    size_t moved;
    while (server->given < LONG) {
        int rv = milgi_ktls_sendfile(server->ktls, file, &at, LONG, &moved);
        assert_true(rv == MILGI_PAUSE || (!rv && moved > 0));
        server->given += moved;
        move(client);
        move(server);
    }
    assert_int_equal(milgi_ktls_sendfile(server->ktls, file, &at, LONG, &moved), 0);
    assert_int_equal(moved, 0);
    arrives();
    close_both();
    end();
    close(file);
}

static void keys_change_in_mid_transfer(void **state)
{
    (void)state;
    if (has_kernel && !can_rekey)
        skip();
    for (unsigned dirs = 1; dirs < 16; dirs += 7) { /* 1, 8, 15 */
        begin13();
        hand_over(dirs);
        for (unsigned k = 0; k < 4; k++) {
            give(client, LONG / 4);
            give(server, LONG / 4);
            assert_int_equal(milgi_conn_update_keys(sides[k % 2].conn, k < 2), 0);
            arrives();
            until(output_is_gone);
        }
        close_both();
        struct milgi_conn_info info;
        milgi_conn_info(client->conn, &info);
        assert_int_equal(info.key_updates_in, 3);
        assert_int_equal(info.key_updates_out, 3);
        end();
    }
}

static void a_key_that_cannot_change_ends_the_connection(void **state)
{
    (void)state;
    if (!has_kernel || can_rekey)
        skip();
    begin13();
    hand_over(3);
    assert_int_equal(milgi_conn_update_keys(client->conn, false), MILGI_EUNSUPPORTED);
    give(server, 3000);
    until(output_is_gone);
    assert_int_equal(milgi_conn_update_keys(server->conn, false), 0);
    until(both_closed);
    assert_int_equal(client->got_len, 3000);
    assert_int_equal(client->reason.error, MILGI_EUNSUPPORTED);
    assert_int_equal(server->reason.error, MILGI_EALERT);
    assert_int_equal(server->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    end();
}

/* What the kernel is asked for is the number of its records, in every cipher. */
static void the_kernels_records_are_counted(void **state)
{
    (void)state;
    if (!has_kernel)
        skip();
    begin13();
    hand_over(15);
    give(client, LONG);
    give(server, LONG);
    arrives();
    struct milgi_conn_info info;
    char text[4096];
    milgi_conn_dump(client->conn, text, sizeof text);
    for (unsigned d = 0; d < 2; d++) {
        unsigned long long epoch, records = 0;
        const char *line = strstr(text, d ? "write key: handed over" : "read key: handed over");
        assert_non_null(line);
        assert_int_equal(sscanf(strchr(line, ','), ", epoch %llu, %llu records", &epoch, &records), 2);
        assert_in_range(records, LONG / 16384 - 8, 1000);
    }
    milgi_conn_info(client->conn, &info);
    assert_int_equal(info.bytes_in, LONG);
    end();
}

static int setup(void **state)
{
    (void)state;
    root = identity_root(IDENTITY_P256, "root");
    leaf = identity_leaf(root, IDENTITY_P256, "DNS:server.test");
    begin13();
    has_kernel = milgi_ktls_take(client->ktls, MILGI_SEND) == 0;
    can_rekey = has_kernel && milgi_ktls_rekeys(client->ktls, MILGI_SEND);
    end();
    print_message("# the kernel %s\n",
        can_rekey        ? "has TLS, and can change keys"
            : has_kernel ? "has TLS, and cannot change keys"
                         : "has no TLS");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free(leaf);
    identity_free(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_goes_both_ways),
        cmocka_unit_test(one_direction_ends_and_the_other_goes_on),
        cmocka_unit_test(an_abort_is_told),
        cmocka_unit_test(a_record_that_is_wrong_is_refused),
        cmocka_unit_test(an_end_without_a_word_is_no_end),
        cmocka_unit_test(files_are_sent_by_the_kernel),
        cmocka_unit_test(keys_change_in_mid_transfer),
        cmocka_unit_test(a_key_that_cannot_change_ends_the_connection),
        cmocka_unit_test(the_kernels_records_are_counted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
