/* SPDX-License-Identifier: Apache-2.0 */
#include "duo.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char directory[64];

static void remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command) != 0)
        fprintf(stderr, "%s is left\n", directory);
}

const char *file(const char *name)
{
    static char path[4][256];
    static unsigned n;
    if (!directory[0]) {
        char command[600];
        strcpy(directory, "/tmp/milgi-ssl-XXXXXX");
        assert_non_null(mkdtemp(directory));
        atexit(remove_directory);
        snprintf(command, sizeof command, "bash %s/ssl/certs %s", MILGI_TESTS_DIR, directory);
        assert_int_equal(system(command), 0);
    }
    char *at = path[n++ % 4];
    snprintf(at, sizeof path[0], "%s/%s", directory, name);
    return at;
}

void duo_begin(struct duo *d)
{
    *d = (struct duo){ .fd = { -1, -1 } };
    signal(SIGPIPE, SIG_IGN); /* libssl writes to its socket as write() does */
    ERR_clear_error();
    d->client_ctx = SSL_CTX_new(TLS_client_method());
    d->server_ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(d->client_ctx);
    assert_non_null(d->server_ctx);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(d->server_ctx, file("server.pem")), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(d->server_ctx, file("server.key"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_check_private_key(d->server_ctx), 1);
}

void duo_connect(struct duo *d)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, d->fd), 0);
    d->client = SSL_new(d->client_ctx);
    d->server = SSL_new(d->server_ctx);
    assert_int_equal(SSL_set_fd(d->client, d->fd[0]), 1);
    assert_int_equal(SSL_set_fd(d->server, d->fd[1]), 1);
}

static bool wants(const SSL *ssl, int rv)
{
    int error = SSL_get_error(ssl, rv);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

void duo_shake(struct duo *d, int *client, int *server)
{
    *client = *server = 0;
    bool c = true, s = true;
    for (int i = 0; i < 100 && (c || s); i++) {
        if (c) {
            *client = SSL_connect(d->client);
            c = wants(d->client, *client);
            d->client_reason = ERR_GET_REASON(ERR_peek_error());
        }
        if (s) {
            *server = SSL_accept(d->server);
            s = wants(d->server, *server);
            d->server_reason = ERR_GET_REASON(ERR_peek_error());
        }
        if ((!c && *client != 1) || (!s && *server != 1))
            if (i > 10)
                break; /* the other one waits in vain */
    }
}

void duo_open(struct duo *d)
{
    int client, server;
    duo_connect(d);
    duo_shake(d, &client, &server);
    if (client != 1 || server != 1)
        ERR_print_errors_fp(stderr);
    assert_int_equal(client, 1);
    assert_int_equal(server, 1);
}

void duo_close(struct duo *d)
{
    SSL_free(d->client);
    SSL_free(d->server);
    d->client = d->server = NULL;
    for (int i = 0; i < 2; i++) {
        if (d->fd[i] >= 0)
            close(d->fd[i]);
        d->fd[i] = -1;
    }
}

void duo_end(struct duo *d)
{
    duo_close(d);
    SSL_CTX_free(d->client_ctx);
    SSL_CTX_free(d->server_ctx);
    ERR_clear_error();
}

int next_reason(void)
{
    return ERR_GET_REASON(ERR_get_error());
}
