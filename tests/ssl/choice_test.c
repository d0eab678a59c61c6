/* SPDX-License-Identifier: Apache-2.0 */
/* What is agreed on: versions, cipher suites, groups, protocols, names, sessions; and what is called on the way. */
#include "duo.h"

#include <fcntl.h>
#include <openssl/decoder.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void versions_are_bounded_from_both_sides(void **state)
{
    static const struct {
        int min, max, server_max;
        const char *version; /* NULL: none in common */
    } cases[] = {
        { 0, 0, 0, "TLSv1.3" },
        { 0, TLS1_2_VERSION, 0, "TLSv1.2" },
        { 0, 0, TLS1_2_VERSION, "TLSv1.2" },
        { TLS1_VERSION, 0, TLS1_2_VERSION, "TLSv1.2" },
        { TLS1_3_VERSION, 0, 0, "TLSv1.3" },
        { TLS1_3_VERSION, 0, TLS1_2_VERSION, NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct duo d;
        int client, server;
        duo_begin(&d);
        assert_int_equal(SSL_CTX_set_min_proto_version(d.client_ctx, cases[i].min), 1);
        assert_int_equal(SSL_CTX_set_max_proto_version(d.client_ctx, cases[i].max), 1);
        assert_int_equal(SSL_CTX_get_max_proto_version(d.client_ctx), cases[i].max);
        assert_int_equal(SSL_CTX_set_max_proto_version(d.server_ctx, cases[i].server_max), 1);
        duo_connect(&d);
        duo_shake(&d, &client, &server);
        assert_int_equal(client == 1 && server == 1, cases[i].version != NULL);
        if (cases[i].version) {
            assert_string_equal(SSL_get_version(d.client), cases[i].version);
            assert_string_equal(SSL_get_version(d.server), cases[i].version);
            assert_string_equal(SSL_CIPHER_get_version(SSL_get_current_cipher(d.client)), cases[i].version);
        } else {
            assert_int_equal(d.server_reason, SSL_R_UNSUPPORTED_PROTOCOL);
            assert_int_equal(d.client_reason, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
        }
        duo_end(&d);
    }
}

static void options_switch_versions_off(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_options(d.client_ctx, SSL_OP_NO_TLSv1_3);
    assert_true(SSL_CTX_get_options(d.client_ctx) & SSL_OP_NO_TLSv1_3);
    duo_open(&d);
    assert_string_equal(SSL_get_version(d.client), "TLSv1.2");
    duo_end(&d);
}

static void cipher_lists_speak_openssls_language(void **state)
{
    static const struct {
        const char *list, *chosen; /* NULL: it is an error */
    } cases[] = {
        { "HIGH:!aNULL:!RC4:!MD5:!SRP:!PSK", "ECDHE-ECDSA-AES256-GCM-SHA384" },
        { "DEFAULT", "ECDHE-ECDSA-AES256-GCM-SHA384" },
        { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { "ECDHE+AESGCM:!AES256", "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { "ECDHE+CHACHA20:ECDHE+AESGCM", "ECDHE-ECDSA-CHACHA20-POLY1305" },
        { "ECDHE+AESGCM:+AES256", "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { "ECDHE+AESGCM:-AES256:ECDHE+AES256", "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305" },
        { "DHE-RSA-AES256-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:RC4", "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { "nonsense", NULL },
        { "!ALL", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct duo d;
        duo_begin(&d);
        SSL_CTX_set_max_proto_version(d.client_ctx, TLS1_2_VERSION);
        SSL_CTX_set_options(d.server_ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
        int rv = SSL_CTX_set_cipher_list(d.server_ctx, cases[i].list);
        assert_int_equal(rv, cases[i].chosen != NULL);
        if (cases[i].chosen) {
            duo_open(&d);
            assert_string_equal(SSL_get_cipher(d.client), cases[i].chosen);
        } else {
            assert_int_equal(next_reason(), SSL_R_NO_CIPHER_MATCH);
        }
        duo_end(&d);
    }
}

static void suites_of_tls_1_3_are_set_apart(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    assert_int_equal(SSL_CTX_set_ciphersuites(d.client_ctx, "TLS_CHACHA20_POLY1305_SHA256"), 1);
    duo_open(&d);
    assert_string_equal(SSL_get_cipher(d.client), "TLS_CHACHA20_POLY1305_SHA256");
    duo_end(&d);
    duo_begin(&d);
    assert_int_equal(SSL_CTX_set_ciphersuites(d.client_ctx, "TLS_CHACHA20_POLY1305_SHA256"), 1);
    assert_int_equal(SSL_CTX_set_ciphersuites(d.server_ctx, "TLS_AES_128_GCM_SHA256"), 1);
    SSL_CTX_set_min_proto_version(d.client_ctx, TLS1_3_VERSION);
    duo_connect(&d);
    duo_shake(&d, &client, &server);
    assert_int_equal(server, -1);
    assert_int_equal(d.server_reason, SSL_R_NO_SHARED_CIPHER);
    assert_int_equal(d.client_reason, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
    duo_end(&d);
}

static void groups_are_named(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    assert_int_equal(SSL_CTX_set1_groups_list(d.client_ctx, "P-384:X25519"), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(d.server_ctx, "X25519"), 1);
    duo_open(&d);
    duo_end(&d);
    duo_begin(&d);
    assert_int_equal(SSL_CTX_set1_groups_list(d.client_ctx, "no-such-group"), 0);
    duo_end(&d);
}

static int choose(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
    void *arg)
{
    const char *ours = arg;
    unsigned char *chosen;
    (void)ssl;
    int rv = SSL_select_next_proto(&chosen, out_len, (const unsigned char *)ours, (unsigned)strlen(ours), in, in_len);
    *out = chosen;
    return rv == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : ours[1] == '?' ? SSL_TLSEXT_ERR_NOACK
                                                                             : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void a_server_chooses_the_protocol(void **state)
{
    static const struct {
        const char *ours, *chosen;
        bool opens;
    } cases[] = { { "\x02h2\x08http/1.1", "h2", true }, { "\x03xyz", "", false }, { "\x01?", "", true } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct duo d;
        int client, server;
        const unsigned char *data;
        unsigned len;
        duo_begin(&d);
        SSL_CTX_set_alpn_select_cb(d.server_ctx, choose, (void *)(uintptr_t)cases[i].ours);
        assert_int_equal(SSL_CTX_set_alpn_protos(d.client_ctx, (const unsigned char *)"\x08http/1.1\x02h2", 12), 0);
        duo_connect(&d);
        duo_shake(&d, &client, &server);
        assert_int_equal(client == 1, cases[i].opens);
        if (cases[i].opens) {
            SSL_get0_alpn_selected(d.client, &data, &len);
            assert_int_equal(len, strlen(cases[i].chosen));
            assert_memory_equal(len ? (const char *)data : "", cases[i].chosen, len);
            SSL_get0_alpn_selected(d.server, &data, &len);
            assert_int_equal(len, strlen(cases[i].chosen));
        } else {
            assert_int_equal(d.client_reason, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
        }
        duo_end(&d);
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x09short", 6), 1);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

static SSL_CTX *other_ctx;
static int by_name(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)arg;
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    if (strcmp(name, "bad.test") == 0) {
        *alert = 112;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (strcmp(name, "other.test") == 0)
        SSL_set_SSL_CTX(ssl, other_ctx);
    return SSL_TLSEXT_ERR_OK;
}

static void a_server_changes_its_context_by_the_name(void **state)
{
    static const char *const names[] = { NULL, "shim.test", "other.test", "bad.test" };
    char text[64];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct duo d;
        int client, server;
        duo_begin(&d);
        other_ctx = SSL_CTX_new(TLS_server_method());
        assert_int_equal(SSL_CTX_use_certificate_file(other_ctx, file("other.pem"), SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(other_ctx, file("other.key"), SSL_FILETYPE_PEM), 1);
        SSL_CTX_set_tlsext_servername_callback(d.server_ctx, by_name);
        SSL_CTX_set_tlsext_servername_arg(d.server_ctx, NULL);
        duo_connect(&d);
        SSL_set_options(d.server, SSL_OP_NO_RENEGOTIATION); /* settings of its own make no difference */
        if (names[i])
            assert_int_equal(SSL_set_tlsext_host_name(d.client, names[i]), 1);
        duo_shake(&d, &client, &server);
        if (i == 3) {
            assert_int_equal(client, -1);
            assert_int_equal(d.client_reason, SSL_R_TLSV1_UNRECOGNIZED_NAME);
        } else {
            X509 *x = SSL_get1_peer_certificate(d.client);
            X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof text);
            X509_free(x);
            assert_string_equal(text, i == 2 ? "other.test" : "shim.test");
            const char *name = SSL_get_servername(d.server, TLSEXT_NAMETYPE_host_name);
            if (names[i])
                assert_string_equal(name, names[i]);
            else
                assert_null(name);
        }
        duo_end(&d);
        SSL_CTX_free(other_ctx);
    }
}

static int lines;
static void log_line(const SSL *ssl, const char *line)
{
    lines += SSL_get_ex_data(ssl, 0) == &lines && strchr(line, ' ') != NULL;
}

static void the_key_log_says_whose_line_it_is(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
        for (int server = 0; server < 2; server++) {
            struct duo d;
            int of_client, of_server;
            duo_begin(&d);
            lines = 0;
            SSL_CTX_set_max_proto_version(d.client_ctx, version);
            SSL_CTX_set_keylog_callback(server ? d.server_ctx : d.client_ctx, log_line);
            duo_connect(&d);
            SSL_set_app_data(server ? d.server : d.client, &lines);
            duo_shake(&d, &of_client, &of_server);
            assert_int_equal(of_client, 1);
            assert_true(lines >= (version == TLS1_2_VERSION ? 1 : 4));
            duo_end(&d);
        }
}

/* What is called is what the context says when it is called, not when the handshake began. */
static void callbacks_may_come_and_go_while_a_handshake_is_under_way(void **state)
{
    (void)state;
    for (int comes = 0; comes < 2; comes++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct duo d;
            const unsigned char *data;
            unsigned len;
            duo_begin(&d);
            lines = 0;
            SSL_CTX_set_max_proto_version(d.client_ctx, version);
            assert_int_equal(SSL_CTX_set_alpn_protos(d.client_ctx, (const unsigned char *)"\x02h2", 3), 0);
            other_ctx = SSL_CTX_new(TLS_server_method());
            assert_int_equal(SSL_CTX_use_certificate_file(other_ctx, file("other.pem"), SSL_FILETYPE_PEM), 1);
            assert_int_equal(SSL_CTX_use_PrivateKey_file(other_ctx, file("other.key"), SSL_FILETYPE_PEM), 1);
            SSL_CTX_set_alpn_select_cb(other_ctx, choose, (void *)(uintptr_t) "\x02h2");
            SSL_CTX_set_keylog_callback(d.server_ctx, comes ? NULL : log_line);
            for (int step = 0; step < 2; step++) {
                bool there = comes == step;
                int (*name)(SSL *, int *, void *) = there ? by_name : NULL;
                SSL_CTX_set_tlsext_servername_callback(d.server_ctx, name);
                SSL_CTX_set_alpn_select_cb(d.server_ctx, there ? choose : NULL, (void *)(uintptr_t) "\x02h2");
                if (step == 0) {
                    duo_connect(&d);
                    assert_int_equal(SSL_set_tlsext_host_name(d.client, "other.test"), 1);
                    assert_int_equal(SSL_accept(d.server), -1);
                }
            }
            SSL_CTX_set_keylog_callback(d.server_ctx, NULL);
            int client, server;
            duo_shake(&d, &client, &server);
            assert_int_equal(client, 1);
            assert_int_equal(server, 1);
            assert_int_equal(lines, 0);
            SSL_get0_alpn_selected(d.client, &data, &len);
            assert_int_equal(len, comes ? 2 : 0);
            assert_int_equal(SSL_get_SSL_CTX(d.server) == other_ctx, comes);
            duo_end(&d);
            SSL_CTX_free(other_ctx);
        }
}

static void a_server_that_is_cleared_has_forgotten_the_name(void **state)
{
    struct duo d;
    int client, server, fd[2];
    (void)state;
    duo_begin(&d);
    duo_connect(&d);
    assert_int_equal(SSL_set_tlsext_host_name(d.client, "shim.test"), 1);
    duo_shake(&d, &client, &server);
    assert_string_equal(SSL_get_servername(d.server, TLSEXT_NAMETYPE_host_name), "shim.test");
    SSL_free(d.client);
    assert_int_equal(SSL_clear(d.server), 1);
    memcpy(fd, d.fd, sizeof fd);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, d.fd), 0);
    d.client = SSL_new(d.client_ctx);
    assert_int_equal(SSL_set_fd(d.client, d.fd[0]), 1);
    assert_int_equal(SSL_set_fd(d.server, d.fd[1]), 1);
    close(fd[0]);
    close(fd[1]);
    duo_shake(&d, &client, &server);
    assert_int_equal(server, 1);
    assert_null(SSL_get_servername(d.server, TLSEXT_NAMETYPE_host_name));
    duo_end(&d);
}

static void a_session_is_resumed(void **state)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    char byte;
    (void)state;
    for (int v = 0; v < 2; v++)
        for (int tickets = 0; tickets < 2; tickets++) {
            struct duo d;
            duo_begin(&d);
            SSL_CTX_set_max_proto_version(d.client_ctx, versions[v]);
            SSL_CTX_set_session_cache_mode(d.server_ctx, SSL_SESS_CACHE_OFF);
            SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
            SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL);
            if (!tickets) {
                SSL_CTX_set_options(d.server_ctx, SSL_OP_NO_TICKET);
                SSL_CTX_set_num_tickets(d.server_ctx, 0);
            }
            duo_connect(&d);
            assert_int_equal(SSL_set1_host(d.client, "shim.test"), 1);
            assert_int_equal(SSL_set_tlsext_host_name(d.client, "shim.test"), 1);
            int client, server;
            duo_shake(&d, &client, &server);
            assert_int_equal(client, 1);
            assert_int_equal(SSL_session_reused(d.client), 0);
            assert_int_equal(SSL_read(d.client, &byte, 1), -1);
            SSL_SESSION *session = SSL_get1_session(d.client);
            assert_non_null(session);
            assert_int_equal(SSL_SESSION_is_resumable(session), tickets);
            SSL_shutdown(d.client);
            duo_close(&d);
            duo_connect(&d);
            assert_int_equal(SSL_set1_host(d.client, "shim.test"), 1);
            assert_int_equal(SSL_set_tlsext_host_name(d.client, "shim.test"), 1);
            assert_int_equal(SSL_set_session(d.client, session), 1);
            SSL_SESSION_free(session);
            duo_shake(&d, &client, &server);
            assert_int_equal(client, 1);
            assert_int_equal(server, 1);
            assert_int_equal(SSL_session_reused(d.client), tickets);
            assert_int_equal(SSL_session_reused(d.server), tickets);
            assert_int_equal(SSL_get_verify_result(d.client), X509_V_OK);
            X509 *x = SSL_get1_peer_certificate(d.client);
            assert_non_null(x);
            X509_free(x);
            duo_end(&d);
        }
}

/* A child that serves one connection and says its word. */
static pid_t serve_in_child(struct duo *d)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    fcntl(d->fd[1], F_SETFL, fcntl(d->fd[1], F_GETFL) & ~O_NONBLOCK);
    bool ok = SSL_accept(d->server) == 1 && SSL_write(d->server, "word", 4) == 4;
    _exit(ok ? 0 : 1);
}

/* A server that forks: its tickets are sealed with what its context had before. */
static void whoever_was_forked_resumes_what_another_has_begun(void **state)
{
    SSL_SESSION *session = NULL;
    char got[8];
    int status;
    (void)state;
    struct duo d;
    duo_begin(&d);
    for (int child = 0; child < 3; child++) {
        duo_connect(&d);
        SSL_set_session(d.client, session);
        SSL_SESSION_free(session);
        pid_t pid = serve_in_child(&d);
        close(d.fd[1]);
        d.fd[1] = -1;
        fcntl(d.fd[0], F_SETFL, fcntl(d.fd[0], F_GETFL) & ~O_NONBLOCK);
        assert_int_equal(SSL_connect(d.client), 1);
        assert_int_equal(SSL_read(d.client, got, sizeof got), 4);
        assert_int_equal(SSL_session_reused(d.client), child != 0);
        session = SSL_get1_session(d.client);
        SSL_shutdown(d.client);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        duo_close(&d);
    }
    SSL_SESSION_free(session);
    duo_end(&d);
}

static int sessions_n;
static int new_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    assert_int_equal(SSL_SESSION_is_resumable(session), 1);
    sessions_n++;
    return 0;
}

static void a_client_is_told_of_each_session(void **state)
{
    struct duo d;
    char byte;
    (void)state;
    duo_begin(&d);
    sessions_n = 0;
    SSL_CTX_set_session_cache_mode(d.client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(d.client_ctx, new_session);
    duo_open(&d);
    assert_int_equal(SSL_read(d.client, &byte, 1), -1);
    assert_int_equal(sessions_n, 2);
    duo_end(&d);
}

static int starts, ends, alerts;
static void info(const SSL *ssl, int where, int value)
{
    (void)ssl;
    starts += (where & SSL_CB_HANDSHAKE_START) != 0;
    ends += (where & SSL_CB_HANDSHAKE_DONE) != 0;
    if (where == SSL_CB_READ_ALERT && strcmp(SSL_alert_type_string_long(value), "fatal") == 0)
        alerts++;
}

static void a_program_is_told_how_it_goes(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    starts = ends = alerts = 0;
    SSL_CTX_set_info_callback(d.client_ctx, info);
    duo_open(&d);
    assert_true(starts >= 1);
    assert_true(ends >= 1);
    assert_int_equal(alerts, 0);
    duo_close(&d);
    SSL_CTX_set_min_proto_version(d.client_ctx, TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(d.server_ctx, TLS1_2_VERSION);
    duo_connect(&d);
    duo_shake(&d, &client, &server);
    assert_int_equal(alerts, 1);
    duo_end(&d);
}

static void keying_material_is_the_same_at_both_ends(void **state)
{
    struct duo d;
    unsigned char a[32], b[32];
    static const unsigned char c[] = "c";
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    assert_int_equal(SSL_export_keying_material(d.client, a, 32, "EXPERIMENTAL", 12, c, 1, 1), 1);
    assert_int_equal(SSL_export_keying_material(d.server, b, 32, "EXPERIMENTAL", 12, c, 1, 1), 1);
    assert_memory_equal(a, b, 32);
    assert_int_equal(SSL_export_keying_material(d.server, b, 32, "EXPERIMENTAL", 12, NULL, 0, 0), 1);
    assert_memory_not_equal(a, b, 32);
    duo_end(&d);
}

static void the_error_queue_is_first_in_first_out(void **state)
{
    char text[256];
    const char *data;
    int flags;
    (void)state;
    ERR_clear_error();
    assert_int_equal(ERR_get_error(), 0);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, "nonsense"), 0);
    assert_null(SSL_CTX_new(NULL));
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_CIPHER_MATCH);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NULL_SSL_METHOD_PASSED);
    assert_int_equal(ERR_GET_LIB(ERR_peek_error()), ERR_LIB_SSL);
    ERR_error_string_n(ERR_peek_error(), text, sizeof text);
    assert_string_equal(text, "error:0A0000B9:SSL routines::no cipher match");
    assert_string_equal(ERR_reason_error_string(ERR_peek_error()), "no cipher match");
    assert_string_equal(ERR_lib_error_string(ERR_peek_error()), "SSL routines");
    assert_int_equal(ERR_GET_REASON(ERR_get_error_all(NULL, NULL, NULL, &data, &flags)), SSL_R_NO_CIPHER_MATCH);
    assert_non_null(data);
    assert_int_equal(next_reason(), SSL_R_NULL_SSL_METHOD_PASSED);
    assert_int_equal(ERR_get_error(), 0);
    for (int i = 0; i < 40; i++)
        SSL_CTX_new(NULL);
    int n = 0;
    while (ERR_get_error())
        n++;
    assert_true(n >= 15 && n <= 16);
    SSL_CTX_free(ctx);
}

static void what_programs_hang_on_is_kept(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(ctx);
    int a = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL), x = 0;
    (void)state;
    assert_true(a > 0);
    assert_int_equal(SSL_set_ex_data(ssl, a, &x), 1);
    SSL_set_app_data(ssl, &a);
    assert_ptr_equal(SSL_get_ex_data(ssl, a), &x);
    assert_ptr_equal(SSL_get_app_data(ssl), &a);
    assert_ptr_equal(SSL_get_SSL_CTX(ssl), ctx);
    assert_int_equal(SSL_get_fd(ssl), -1);
    SSL_up_ref(ssl);
    SSL_free(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static int read_params(const char *text, const char *type)
{
    EVP_PKEY *key = NULL;
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    OSSL_DECODER_CTX *reads =
        OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, type, OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS, NULL, NULL);
    assert_non_null(file);
    assert_non_null(reads);
    int rv = OSSL_DECODER_from_fp(reads, file);
    OSSL_DECODER_CTX_free(reads);
    fclose(file);
    assert_int_equal(rv == 1, key != NULL);
    EVP_PKEY_free(key);
    if (rv != 1)
        assert_true(ERR_peek_error() != 0);
    ERR_clear_error();
    return rv;
}

/* A server that is told to use a file of them, as many are, runs on; which is not to say that it takes any file. */
static void parameters_of_diffie_hellman_are_read(void **state)
{
    static const char params[] = "-----BEGIN DH PARAMETERS-----\n"
                                 "MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz\n"
                                 "+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a\n"
                                 "87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7\n"
                                 "YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi\n"
                                 "7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD\n"
                                 "ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==\n"
                                 "-----END DH PARAMETERS-----\n";
    (void)state;
    assert_int_equal(read_params(params, "DH"), 1);
    assert_int_equal(read_params(params, "EC"), 0);
    assert_int_equal(read_params("-----BEGIN DH PARAMETERS-----\nMAMCAQI=\n-----END DH PARAMETERS-----\n", "DH"), 0);
    assert_int_equal(read_params("nothing of the kind\n", "DH"), 0);

    struct duo d;
    int client, server;
    EVP_PKEY *key = NULL;
    FILE *file = fmemopen((void *)(uintptr_t)params, strlen(params), "r");
    OSSL_DECODER_CTX *reads =
        OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, "DH", OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS, NULL, NULL);
    assert_int_equal(OSSL_DECODER_from_fp(reads, file), 1);
    OSSL_DECODER_CTX_free(reads);
    fclose(file);
    duo_begin(&d);
    assert_int_equal(SSL_CTX_set_dh_auto(d.server_ctx, 1), 1);
    assert_int_equal(SSL_CTX_set0_tmp_dh_pkey(d.server_ctx, key), 1);
    duo_connect(&d);
    assert_true(SSL_in_before(d.client));
    duo_shake(&d, &client, &server);
    assert_int_equal(client == 1 && server == 1, 1);
    assert_false(SSL_in_before(d.client));
    duo_end(&d);
}

/* Programs say whom they call in any form; what no server could know is not in the way of the handshake. */
static void a_name_may_be_an_address(void **state)
{
    static const char *const names[] = { "127.0.0.1", "::1", "[::1]", "a name with blanks", "trailing.dot." };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct duo d;
        int client, server;
        duo_begin(&d);
        duo_connect(&d);
        assert_int_equal(SSL_set_tlsext_host_name(d.client, names[i]), 1);
        duo_shake(&d, &client, &server);
        assert_int_equal(client == 1 && server == 1, 1);
        duo_end(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_bounded_from_both_sides),
        cmocka_unit_test(options_switch_versions_off),
        cmocka_unit_test(cipher_lists_speak_openssls_language),
        cmocka_unit_test(suites_of_tls_1_3_are_set_apart),
        cmocka_unit_test(groups_are_named),
        cmocka_unit_test(a_server_chooses_the_protocol),
        cmocka_unit_test(a_server_changes_its_context_by_the_name),
        cmocka_unit_test(the_key_log_says_whose_line_it_is),
        cmocka_unit_test(callbacks_may_come_and_go_while_a_handshake_is_under_way),
        cmocka_unit_test(a_server_that_is_cleared_has_forgotten_the_name),
        cmocka_unit_test(a_session_is_resumed),
        cmocka_unit_test(whoever_was_forked_resumes_what_another_has_begun),
        cmocka_unit_test(a_client_is_told_of_each_session),
        cmocka_unit_test(a_program_is_told_how_it_goes),
        cmocka_unit_test(keying_material_is_the_same_at_both_ends),
        cmocka_unit_test(the_error_queue_is_first_in_first_out),
        cmocka_unit_test(what_programs_hang_on_is_kept),
        cmocka_unit_test(parameters_of_diffie_hellman_are_read),
        cmocka_unit_test(a_name_may_be_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
