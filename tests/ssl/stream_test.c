/* SPDX-License-Identifier: Apache-2.0 */
/* Handshake, reading, writing and the end, as OpenSSL's manual has them. */
#include "duo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void each_call_of_a_handshake_says_what_it_waits_for(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    duo_connect(&d);
    int rv = SSL_connect(d.client);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_WANT_READ);
    assert_true(SSL_want_read(d.client));
    assert_int_equal(SSL_is_init_finished(d.client), 0);
    assert_true(SSL_in_init(d.client));
    int client, server;
    duo_shake(&d, &client, &server);
    assert_int_equal(client, 1);
    assert_int_equal(server, 1);
    assert_int_equal(SSL_get_error(d.client, client), SSL_ERROR_NONE);
    assert_true(SSL_is_init_finished(d.client));
    assert_string_equal(SSL_get_version(d.client), "TLSv1.3");
    assert_string_equal(SSL_get_cipher_name(d.client), "TLS_AES_256_GCM_SHA384");
    assert_int_equal(SSL_get_cipher_bits(d.client, NULL), 256);
    assert_int_equal(SSL_connect(d.client), 1);
    duo_end(&d);
}

static void who_has_said_neither_client_nor_server_cannot_begin(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(ctx);
    char byte;
    (void)state;
    ERR_clear_error();
    assert_int_equal(SSL_do_handshake(ssl), -1);
    assert_int_equal(SSL_get_error(ssl, -1), SSL_ERROR_SSL);
    assert_int_equal(next_reason(), SSL_R_CONNECTION_TYPE_NOT_SET);
    assert_int_equal(SSL_read(ssl, &byte, 1), -1);
    assert_int_equal(next_reason(), SSL_R_UNINITIALIZED);
    assert_int_equal(SSL_shutdown(ssl), -1);
    assert_int_equal(next_reason(), SSL_R_UNINITIALIZED);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void what_is_written_is_read_and_looked_at(void **state)
{
    struct duo d;
    char got[64];
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    assert_int_equal(SSL_write(d.client, "0123456789", 10), 10);
    assert_int_equal(SSL_pending(d.server), 0);
    assert_int_equal(SSL_peek(d.server, got, 4), 4);
    assert_memory_equal(got, "0123", 4);
    assert_int_equal(SSL_pending(d.server), 10);
    assert_int_equal(SSL_read(d.server, got, 3), 3);
    assert_memory_equal(got, "012", 3);
    assert_int_equal(SSL_pending(d.server), 7);
    assert_int_equal(SSL_has_pending(d.server), 1);
    size_t n;
    assert_int_equal(SSL_read_ex(d.server, got, sizeof got, &n), 1);
    assert_int_equal(n, 7);
    assert_int_equal(SSL_read_ex(d.server, got, sizeof got, &n), 0);
    assert_int_equal(SSL_get_error(d.server, 0), SSL_ERROR_WANT_READ);
    int rv = SSL_read(d.server, got, sizeof got);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(d.server, rv), SSL_ERROR_WANT_READ);
    assert_int_equal(SSL_write_ex(d.server, "back", 4, &n), 1);
    assert_int_equal(SSL_read(d.client, got, sizeof got), 4);
    duo_end(&d);
}

/* For programs that wait for the socket: what they have not read is there, not inside. */
static void one_record_is_taken_from_the_socket_at_a_time(void **state)
{
    struct duo d;
    static char block[16384];
    struct pollfd p = { .events = POLLIN };
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    p.fd = d.fd[1];
    for (int i = 0; i < 3; i++)
        assert_int_equal(SSL_write(d.client, block, 100), 100);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poll(&p, 1, 0), 1);
        assert_int_equal(SSL_read(d.server, block, sizeof block), 100);
        assert_int_equal(SSL_pending(d.server), 0);
    }
    assert_int_equal(poll(&p, 1, 0), 0);
    /* and writing takes nothing in */
    assert_int_equal(SSL_write(d.client, block, 100), 100);
    assert_int_equal(SSL_write(d.server, block, 100), 100);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(SSL_pending(d.server), 0);
    duo_end(&d);
}

/* Reads |n| bytes at the other end, in pieces, while the writer is repeated by |again|. */
static size_t drain(SSL *ssl)
{
    static char block[16384];
    size_t all = 0;
    int n;
    while ((n = SSL_read(ssl, block, sizeof block)) > 0)
        all += (size_t)n;
    return all;
}

static void a_write_that_has_not_ended_is_repeated_with_the_same_arguments(void **state)
{
    struct duo d;
    size_t len = 4u << 20, got = 0;
    char *data = calloc(1, len), *moved = calloc(1, len);
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    int rv = SSL_write(d.client, data, (int)len);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_WANT_WRITE);
    assert_true(SSL_want_write(d.client));
    SSL_set_mode(d.client, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    for (int i = 0; rv < 0 && i < 10000; i++) {
        got += drain(d.server);
        rv = SSL_write(d.client, moved, (int)len);
    }
    assert_int_equal(rv, len);
    got += drain(d.server);
    assert_int_equal(got, len);
    SSL_clear_mode(d.client, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    assert_int_equal(SSL_write(d.client, data, (int)len), -1);
    assert_int_equal(SSL_write(d.client, moved, (int)len), -1);
    assert_int_equal(SSL_get_error(d.client, -1), SSL_ERROR_SSL);
    assert_int_equal(next_reason(), SSL_R_BAD_WRITE_RETRY);
    free(data);
    free(moved);
    duo_end(&d);
}

static void partial_writes_say_how_much_was_written(void **state)
{
    struct duo d;
    size_t len = 4u << 20, sent = 0, got = 0;
    char *data = calloc(1, len);
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_mode(d.client_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
    assert_true(SSL_CTX_get_mode(d.client_ctx) & SSL_MODE_ENABLE_PARTIAL_WRITE);
    duo_open(&d);
    bool partial = false;
    for (int i = 0; sent < len && i < 10000; i++) {
        int rv = SSL_write(d.client, data + sent, (int)(len - sent));
        if (rv > 0) {
            partial = partial || (size_t)rv < len - sent;
            sent += (size_t)rv;
        } else {
            assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_WANT_WRITE);
            got += drain(d.server);
        }
    }
    got += drain(d.server);
    assert_true(partial);
    assert_int_equal(sent, len);
    assert_int_equal(got, len);
    free(data);
    duo_end(&d);
}

static void both_ends_are_shut_down_in_two_steps(void **state)
{
    struct duo d;
    char got[8];
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    assert_int_equal(SSL_read(d.client, got, 1), -1); /* takes the tickets */
    assert_int_equal(SSL_shutdown(d.client), 0);
    assert_int_equal(SSL_get_shutdown(d.client), SSL_SENT_SHUTDOWN);
    assert_int_equal(SSL_write(d.client, "x", 1), -1);
    assert_int_equal(next_reason(), SSL_R_PROTOCOL_IS_SHUTDOWN);
    int rv = SSL_shutdown(d.client);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_WANT_READ);
    rv = SSL_read(d.server, got, sizeof got);
    assert_int_equal(rv, 0);
    assert_int_equal(SSL_get_error(d.server, rv), SSL_ERROR_ZERO_RETURN);
    assert_int_equal(SSL_get_shutdown(d.server), SSL_RECEIVED_SHUTDOWN);
    /* the other half is still open */
    assert_int_equal(SSL_write(d.server, "last", 4), 4);
    assert_int_equal(SSL_read(d.client, got, sizeof got), 4);
    assert_int_equal(SSL_shutdown(d.server), 1);
    assert_int_equal(SSL_shutdown(d.client), 1);
    assert_int_equal(SSL_get_shutdown(d.client), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    duo_end(&d);
}

static void data_behind_ones_own_close_is_an_error_of_shutdown(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    assert_int_equal(SSL_write(d.server, "data", 4), 4);
    assert_int_equal(SSL_shutdown(d.client), 0);
    int rv = SSL_shutdown(d.client);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_SSL);
    assert_int_equal(next_reason(), SSL_R_APPLICATION_DATA_AFTER_CLOSE_NOTIFY);
    duo_end(&d);
}

static void in_the_handshake_there_is_nothing_to_shut_down(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    duo_connect(&d);
    assert_int_equal(SSL_connect(d.client), -1);
    assert_int_equal(SSL_shutdown(d.client), -1);
    assert_int_equal(next_reason(), SSL_R_SHUTDOWN_WHILE_IN_INIT);
    duo_end(&d);
}

static void quiet_shutdown_says_nothing(void **state)
{
    struct duo d;
    char byte;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_quiet_shutdown(d.client_ctx, 1);
    duo_open(&d);
    assert_int_equal(SSL_shutdown(d.client), 1);
    assert_int_equal(SSL_get_shutdown(d.client), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    int rv = SSL_read(d.server, &byte, 1);
    assert_int_equal(SSL_get_error(d.server, rv), SSL_ERROR_WANT_READ);
    duo_end(&d);
}

static void an_end_without_close_notify_is_an_error_unless_it_is_ignored(void **state)
{
    struct duo d;
    char got[8];
    (void)state;
    for (int ignored = 0; ignored < 2; ignored++) {
        duo_begin(&d);
        if (ignored)
            SSL_CTX_set_options(d.server_ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
        duo_open(&d);
        assert_int_equal(SSL_write(d.client, "said", 4), 4);
        shutdown(d.fd[0], SHUT_WR);
        assert_int_equal(SSL_read(d.server, got, sizeof got), 4);
        int rv = SSL_read(d.server, got, sizeof got);
        assert_true(rv <= 0);
        assert_int_equal(SSL_get_error(d.server, rv), ignored ? SSL_ERROR_ZERO_RETURN : SSL_ERROR_SSL);
        if (!ignored)
            assert_int_equal(next_reason(), SSL_R_UNEXPECTED_EOF_WHILE_READING);
        duo_end(&d);
    }
}

static void a_socket_that_fails_is_an_error_of_the_system(void **state)
{
    struct duo d;
    static char block[1 << 20];
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    close(d.fd[1]);
    d.fd[1] = -1;
    errno = 0;
    int rv = SSL_write(d.client, block, sizeof block);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_SYSCALL);
    assert_int_equal(errno, EPIPE);
    duo_end(&d);
}

/* Redis takes an errno of EINTR for the result of a call that was successful. */
static void an_errno_of_before_is_not_left_to_be_found(void **state)
{
    struct duo d;
    char got[8];
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    errno = EINTR;
    assert_int_equal(SSL_write(d.client, "hello", 5), 5);
    assert_int_not_equal(errno, EINTR);
    errno = EINTR;
    assert_int_equal(SSL_read(d.server, got, 2), 2);
    assert_int_not_equal(errno, EINTR);
    errno = EINTR;
    assert_int_equal(SSL_read(d.server, got, 8), 3);
    assert_int_not_equal(errno, EINTR);
    errno = EINTR;
    assert_int_equal(SSL_read(d.server, got, 8), -1);
    assert_int_not_equal(errno, EINTR);
    duo_end(&d);
}

static int shake_with(const char *text, size_t len, bool client)
{
    struct duo d;
    char answer[4096];
    duo_begin(&d);
    duo_connect(&d);
    SSL *ssl = client ? d.client : d.server;
    int peer = d.fd[client];
    if (client)
        assert_int_equal(SSL_connect(ssl), -1);
    while (recv(peer, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(write(peer, text, len), len);
    int rv = client ? SSL_connect(ssl) : SSL_accept(ssl);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(ssl, rv), SSL_ERROR_SSL);
    assert_int_equal(ERR_GET_LIB(ERR_peek_error()), ERR_LIB_SSL);
    int reason = next_reason();
    bool is_tls = reason != SSL_R_WRONG_VERSION_NUMBER && reason != SSL_R_HTTP_REQUEST;
    /* an alert is no answer to what is not TLS */
    assert_int_equal(recv(peer, answer, sizeof answer, MSG_DONTWAIT) > 0, is_tls);
    duo_end(&d);
    return reason;
}

static void what_is_not_tls_is_not_answered(void **state)
{
    (void)state;
    static const char garbage[] = "GARBAGE AND MORE OF IT\r\n\r\n";
    static const char get[] = "GET / HTTP/1.1\r\nHost: somebody\r\n\r\n";
    static const char mail[] = "220 a server of mail, say\r\n", data[] = "\x17\x03\x01\x00\x05hello";
    assert_int_equal(shake_with(garbage, sizeof garbage - 1, false), SSL_R_WRONG_VERSION_NUMBER);
    assert_int_equal(shake_with(get, sizeof get - 1, false), SSL_R_HTTP_REQUEST);
    assert_int_equal(shake_with(mail, sizeof mail - 1, true), SSL_R_WRONG_VERSION_NUMBER);
    assert_int_not_equal(shake_with(data, sizeof data - 1, false), SSL_R_WRONG_VERSION_NUMBER);
}

static void a_handshake_that_is_cut_is_an_error(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    duo_connect(&d);
    assert_int_equal(SSL_connect(d.client), -1);
    shutdown(d.fd[1], SHUT_WR);
    int rv = SSL_connect(d.client);
    assert_true(rv <= 0);
    assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_SSL);
    assert_int_equal(next_reason(), SSL_R_UNEXPECTED_EOF_WHILE_READING);
    duo_end(&d);
}

static void one_ssl_is_used_again_after_it_was_cleared(void **state)
{
    struct duo d;
    char got[8];
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    for (int i = 0; i < 3; i++) {
        SSL_shutdown(d.client);
        assert_int_equal(SSL_clear(d.client), 1);
        SSL *kept = d.client;
        d.client = NULL;
        duo_close(&d);
        duo_connect(&d);
        SSL_free(d.client);
        d.client = kept;
        assert_int_equal(SSL_set_fd(d.client, d.fd[0]), 1);
        int client, server;
        duo_shake(&d, &client, &server);
        assert_int_equal(client, 1);
        assert_int_equal(server, 1);
        assert_int_equal(SSL_write(d.client, "again", 5), 5);
        assert_int_equal(SSL_read(d.server, got, sizeof got), 5);
    }
    duo_end(&d);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* SSL_set_bio() takes a reference to what it changes; what goes is freed, and closes its descriptor. */
static void bios_are_freed_when_they_go_and_not_when_they_stay(void **state)
{
    struct duo d;
    int fd[4];
    BIO *bio[4];
    char byte;
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    for (int i = 0; i < 4; i++) {
        fd[i] = dup(d.fd[0]);
        bio[i] = BIO_new_socket(fd[i], BIO_CLOSE);
    }
    SSL_set_bio(d.client, bio[0], bio[0]);
    SSL_set_bio(d.client, bio[0], bio[1]);
    assert_true(is_open(fd[0]) && is_open(fd[1]));
    assert_ptr_equal(SSL_get_rbio(d.client), bio[0]);
    assert_int_equal(SSL_write(d.client, "x", 1), 1);
    assert_int_equal(SSL_read(d.server, &byte, 1), 1);
    assert_int_equal(SSL_read(d.client, &byte, 1), -1);
    assert_int_equal(SSL_get_error(d.client, -1), SSL_ERROR_WANT_READ);
    SSL_set_bio(d.client, bio[0], bio[2]);
    assert_true(is_open(fd[0]) && !is_open(fd[1]) && is_open(fd[2]));
    SSL_set_bio(d.client, bio[3], bio[2]);
    assert_true(!is_open(fd[0]) && is_open(fd[2]) && is_open(fd[3]));
    SSL_set_bio(d.client, bio[3], bio[3]);
    assert_true(!is_open(fd[2]) && is_open(fd[3]));
    SSL_set_bio(d.client, NULL, NULL);
    assert_false(is_open(fd[3]));
    assert_true(SSL_read(d.client, &byte, 1) <= 0);
    assert_int_equal(SSL_get_error(d.client, -1), SSL_ERROR_SSL);
    duo_end(&d);
}

static void make_waiting(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void *answer(void *arg)
{
    SSL *ssl = arg;
    static char block[1 << 16];
    size_t n = 0;
    int rv = SSL_accept(ssl);
    while (rv == 1 && n < 1 << 20) {
        int got = SSL_read(ssl, block, sizeof block);
        if (got <= 0)
            return "reading failed";
        n += (size_t)got;
    }
    if (rv != 1)
        return "no handshake";
    return SSL_write(ssl, "done", 4) == 4 ? NULL : "writing failed";
}

/* Another thread than the one that has made the SSL. */
static void descriptors_that_wait_are_waited_for(void **state)
{
    struct duo d;
    char *data = calloc(1, 1 << 20), got[8];
    pthread_t thread;
    void *wrong;
    (void)state;
    duo_begin(&d);
    duo_connect(&d);
    make_waiting(d.fd[0]);
    make_waiting(d.fd[1]);
    assert_int_equal(pthread_create(&thread, NULL, answer, d.server), 0);
    assert_int_equal(SSL_connect(d.client), 1);
    assert_int_equal(SSL_write(d.client, data, 1 << 20), 1 << 20);
    assert_int_equal(SSL_read(d.client, got, sizeof got), 4);
    pthread_join(thread, &wrong);
    if (wrong)
        fail_msg("%s", (const char *)wrong);
    free(data);
    duo_end(&d);
}

static void a_socket_that_waits_only_for_a_while_is_heeded(void **state)
{
    struct duo d;
    char byte;
    struct timeval soon = { 0, 20000 };
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    make_waiting(d.fd[0]);
    assert_int_equal(setsockopt(d.fd[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    int rv = SSL_read(d.client, &byte, 1);
    assert_int_equal(rv, -1);
    assert_int_equal(SSL_get_error(d.client, rv), SSL_ERROR_WANT_READ);
    assert_int_equal(SSL_write(d.server, "x", 1), 1);
    assert_int_equal(SSL_read(d.client, &byte, 1), 1);
    duo_end(&d);
}

static void a_read_of_nothing_and_a_negative_length(void **state)
{
    struct duo d;
    char byte;
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    assert_int_equal(SSL_read(d.client, &byte, -1), -1);
    assert_int_equal(next_reason(), SSL_R_BAD_LENGTH);
    assert_int_equal(SSL_write(d.client, &byte, -1), -1);
    assert_int_equal(next_reason(), SSL_R_BAD_LENGTH);
    duo_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_of_a_handshake_says_what_it_waits_for),
        cmocka_unit_test(who_has_said_neither_client_nor_server_cannot_begin),
        cmocka_unit_test(what_is_written_is_read_and_looked_at),
        cmocka_unit_test(one_record_is_taken_from_the_socket_at_a_time),
        cmocka_unit_test(a_write_that_has_not_ended_is_repeated_with_the_same_arguments),
        cmocka_unit_test(partial_writes_say_how_much_was_written),
        cmocka_unit_test(both_ends_are_shut_down_in_two_steps),
        cmocka_unit_test(data_behind_ones_own_close_is_an_error_of_shutdown),
        cmocka_unit_test(in_the_handshake_there_is_nothing_to_shut_down),
        cmocka_unit_test(quiet_shutdown_says_nothing),
        cmocka_unit_test(an_end_without_close_notify_is_an_error_unless_it_is_ignored),
        cmocka_unit_test(a_socket_that_fails_is_an_error_of_the_system),
        cmocka_unit_test(an_errno_of_before_is_not_left_to_be_found),
        cmocka_unit_test(what_is_not_tls_is_not_answered),
        cmocka_unit_test(a_handshake_that_is_cut_is_an_error),
        cmocka_unit_test(one_ssl_is_used_again_after_it_was_cleared),
        cmocka_unit_test(bios_are_freed_when_they_go_and_not_when_they_stay),
        cmocka_unit_test(descriptors_that_wait_are_waited_for),
        cmocka_unit_test(a_socket_that_waits_only_for_a_while_is_heeded),
        cmocka_unit_test(a_read_of_nothing_and_a_negative_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
