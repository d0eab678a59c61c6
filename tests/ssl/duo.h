/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two SSLs on a pair of sockets in one thread. The tests are written in the words of OpenSSL's manual and built twice:
 * on the shim, and on OpenSSL, which says whether they have understood it.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

struct duo {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
    int fd[2];
    int client_reason, server_reason; /* of what has failed in duo_shake() */
};

/* The directory of certificates; made once. */
const char *file(const char *name);

/* Contexts: the server has server.pem, the client has no wish. */
void duo_begin(struct duo *d);
/* SSLs on sockets that do not wait. */
void duo_connect(struct duo *d);
/* Both handshakes, until neither wants to go on: what each has returned. */
void duo_shake(struct duo *d, int *client, int *server);
/* All of it, which has to succeed. */
void duo_open(struct duo *d);
void duo_close(struct duo *d); /* the SSLs and their sockets */
void duo_end(struct duo *d);

/* The reason of the next error in the queue. */
int next_reason(void);
