/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS client and server on a libssl, OpenSSL's or BoringSSL's, for the interoperability tests. Of a client stdin and
 * stdout are the connection's ends, and the end of stdin is passed on as close_notify; a server plays one part, for one
 * connection or two. At the end of each a line of stderr is a JSON report. Options are pairs "--name value". */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flavour.h"

enum {
    BLOCK = 1 << 16
};

static char **options;
static SSL_SESSION *session;
static unsigned char alpn[256];
static unsigned alpn_len;

struct tally {
    EVP_MD_CTX *hash;
    unsigned long long bytes;
};

static const char *option(const char *name)
{
    for (char **at = options; at[0] && at[1]; at += 2) {
        if (!strcmp(at[0] + 2, name)) {
            return at[1];
        }
    }
    return NULL;
}

/* --- the report --- */

static void report(SSL *ssl, struct tally *tally, const char *error)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0, protocol_len = 0;
    const unsigned char *protocol = NULL;
    char client[256] = "";
    if (ssl && !error) {
        X509 *shown = SSL_is_server(ssl) ? SSL_get_peer_certificate(ssl) : NULL;
        if (shown) {
            X509_NAME_oneline(X509_get_subject_name(shown), client, sizeof client);
            X509_free(shown);
        }
        const char *group = flavour_group(ssl);
        SSL_get0_alpn_selected(ssl, &protocol, &protocol_len);
        EVP_DigestFinal_ex(tally->hash, digest, &digest_len);
        fprintf(stderr, "\nPEER {\"protocol\":\"%s\",\"suite\":\"%s\",\"group\":\"%s\",\"resumed\":%s,\"staple\":%s,",
            SSL_get_version(ssl), SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)), group ? group : "",
            SSL_session_reused(ssl) ? "true" : "false",
            !SSL_is_server(ssl) && flavour_has_staple(ssl) ? "true" : "false");
        fprintf(stderr, "\"alpn\":\"%.*s\",\"client\":\"%s\",\"bytes\":%llu,\"sha256\":\"", (int)protocol_len,
            protocol ? (const char *)protocol : "", client, tally->bytes);
        for (unsigned i = 0; i < digest_len; i++) {
            fprintf(stderr, "%02x", digest[i]);
        }
        fprintf(stderr, "\"}\n");
    } else {
        fprintf(stderr, "\nPEER {\"error\":\"%s\"}\n", error ? error : "");
    }
    fflush(stderr);
}

static _Noreturn void fail(SSL *ssl, const char *what)
{
    char reason[256] = "";
    unsigned long error = ERR_get_error();
    if (error) {
        ERR_error_string_n(error, reason, sizeof reason);
    }
    char text[400];
    snprintf(text, sizeof text, "%s %s", what, reason);
    report(NULL, NULL, text);
    if (ssl && SSL_get_fd(ssl) >= 0) { /* the alert must not be lost in a reset */
        char drain[BLOCK];
        shutdown(SSL_get_fd(ssl), SHUT_WR);
        while (read(SSL_get_fd(ssl), drain, sizeof drain) > 0) {
        }
    }
    exit(1);
}

/* --- the context --- */

static int keep_session(SSL *ssl, SSL_SESSION *fresh)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = fresh;
    return 1;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
    unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *chosen = NULL;
    int rv = SSL_select_next_proto(&chosen, out_len, alpn, alpn_len, in, in_len);
    *out = chosen;
    return rv == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void set_alpn(SSL_CTX *ctx, const char *list)
{
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, ",");
        alpn[alpn_len++] = (unsigned char)len;
        memcpy(alpn + alpn_len, at, len);
        alpn_len += (unsigned)len;
        at += len + (at[len] == ',');
    }
    SSL_CTX_set_alpn_protos(ctx, alpn, alpn_len);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
}

static void set_staple(SSL_CTX *ctx, const char *path)
{
    unsigned char response[1 << 14];
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(response, 1, sizeof response, file) : 0;
    if (len == 0) {
        fail(NULL, "no OCSP response");
    }
    fclose(file);
    flavour_give_staple(ctx, response, len);
}

static void set_verification(SSL_CTX *ctx, bool server)
{
    const char *auth = option("client-auth");
    if (option("ca") && SSL_CTX_load_verify_locations(ctx, option("ca"), NULL) != 1) {
        fail(NULL, "authorities");
    }
    if (!server) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    } else if (auth) {
        int mode = SSL_VERIFY_PEER | (strcmp(auth, "required") ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
        SSL_CTX_set_verify(ctx, mode, NULL);
        SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(option("ca")));
    }
}

static SSL_CTX *make_context(bool server)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    int version = option("version") && !strcmp(option("version"), "1.2") ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    flavour_allow_all(ctx);
    set_verification(ctx, server);
    const char *cert = option("cert"), *key = option("key");
    if (cert && SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        fail(NULL, "certificate");
    }
    if (key && SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        fail(NULL, "key");
    }
    if (option("groups") && SSL_CTX_set1_groups_list(ctx, option("groups")) != 1) {
        fail(NULL, "groups");
    }
    if (option("alpn")) {
        set_alpn(ctx, option("alpn"));
    }
    if (server) {
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"peer", 4);
        if (option("staple")) {
            set_staple(ctx, option("staple"));
        }
    } else {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, keep_session);
    }
    return ctx;
}

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    const char *colon = strchr(text, ':');
    address.sin_port = htons((unsigned short)atoi(colon ? colon + 1 : "0"));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    return address;
}

/* --- what is said --- */

static void write_all(SSL *ssl, const void *data, int len)
{
    int n;
    while (len > 0 && (n = SSL_write(ssl, data, len)) != len) {
        struct pollfd fd = { .fd = SSL_get_fd(ssl), .events = POLLOUT };
        if (SSL_get_error(ssl, n) != SSL_ERROR_WANT_WRITE || poll(&fd, 1, -1) < 0) {
            fail(ssl, "write");
        }
    }
}

/* Bytes; 0 when the other side has ended in order; -1 when a socket that does not block has no more. */
static int read_some(SSL *ssl, unsigned char *to, struct tally *tally)
{
    int n = SSL_read(ssl, to, BLOCK);
    if (n <= 0) {
        int error = SSL_get_error(ssl, n);
        if (error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_WANT_READ) {
            fail(ssl, "read");
        }
        return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
    EVP_DigestUpdate(tally->hash, to, (size_t)n);
    tally->bytes += (unsigned)n;
    return n;
}

static void say_close(SSL *ssl)
{
    if (SSL_shutdown(ssl) < 0) {
        fail(ssl, "shutdown");
    }
}

static void print(const unsigned char *data, int len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, (size_t)len);
        if (n < 0) {
            exit(1);
        }
        data += n;
        len -= (int)n;
    }
}

/* A line by itself that is k or K: new keys, and with K the other side's. */
static bool is_command(const unsigned char *data, ssize_t len)
{
    return option("keyupdate") && len == 2 && data[1] == '\n' && strchr("kK", data[0]);
}

static void update_keys(SSL *ssl, bool both)
{
    if (SSL_key_update(ssl, both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
        fail(ssl, "KeyUpdate");
    }
    fprintf(stderr, "KEYUPDATE\n");
}

/* Tickets make the socket readable and are no data: it must not block. */
static void pump(SSL *ssl, struct tally *tally)
{
    static unsigned char block[BLOCK];
    bool said = false, heard = false;
    fcntl(SSL_get_fd(ssl), F_SETFL, O_NONBLOCK);
    while (!said || !heard) {
        struct pollfd fds[2] = { { .fd = heard ? -1 : SSL_get_fd(ssl), .events = POLLIN },
            { .fd = said ? -1 : STDIN_FILENO, .events = POLLIN } };
        if (heard || !SSL_pending(ssl)) {
            poll(fds, 2, -1);
        } else {
            fds[0].revents = POLLIN;
        }
        if (fds[0].revents) {
            int n = read_some(ssl, block, tally);
            heard = n == 0;
            print(block, n);
        }
        if (fds[1].revents) {
            ssize_t n = read(STDIN_FILENO, block, sizeof block);
            if (n <= 0) {
                said = true;
                say_close(ssl);
            } else if (is_command(block, n)) {
                update_keys(ssl, block[0] == 'K');
            } else {
                write_all(ssl, block, (int)n);
            }
        }
    }
}

static void ask_page(SSL *ssl, struct tally *tally)
{
    static unsigned char block[BLOCK];
    const char *request = "GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n";
    write_all(ssl, request, (int)strlen(request));
    while (read_some(ssl, block, tally)) {
    }
    say_close(ssl);
}

static void echo(SSL *ssl, struct tally *tally)
{
    static unsigned char block[BLOCK];
    int n;
    while ((n = read_some(ssl, block, tally)) != 0) {
        write_all(ssl, block, n);
    }
    say_close(ssl);
}

static void collect(SSL *ssl, struct tally *tally)
{
    static unsigned char block[BLOCK];
    while (read_some(ssl, block, tally)) {
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    EVP_MD_CTX_copy_ex(copy, tally->hash);
    EVP_DigestFinal_ex(copy, digest, &len);
    EVP_MD_CTX_free(copy);
    char answer[200];
    int at = snprintf(answer, sizeof answer, "collected %llu ", tally->bytes);
    for (unsigned i = 0; i < len; i++) {
        at += snprintf(answer + at, sizeof answer - (size_t)at, "%02x", digest[i]);
    }
    answer[at++] = '\n';
    write_all(ssl, answer, at);
    say_close(ssl);
}

static void greet(SSL *ssl, struct tally *tally)
{
    static unsigned char block[BLOCK];
    write_all(ssl, "greetings\n", 10);
    say_close(ssl);
    while (read_some(ssl, block, tally)) {
    }
}

/* --- connections --- */

static void converse(SSL *ssl, int fd, void (*part)(SSL *ssl, struct tally *tally))
{
    struct tally tally = { EVP_MD_CTX_new(), 0 };
    EVP_DigestInit_ex(tally.hash, EVP_sha256(), NULL);
    SSL_set_fd(ssl, fd);
    if (SSL_do_handshake(ssl) != 1) {
        fail(ssl, "handshake");
    }
    part(ssl, &tally);
    report(ssl, &tally, NULL);
    EVP_MD_CTX_free(tally.hash);
    SSL_free(ssl);
    close(fd);
}

static void client(SSL_CTX *ctx, void (*part)(SSL *ssl, struct tally *tally))
{
    struct sockaddr_in address = address_of(option("connect"));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
        fail(NULL, "connect");
    }
    SSL *ssl = SSL_new(ctx);
    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, option("name"));
    X509_VERIFY_PARAM_set1_host(SSL_get0_param(ssl), option("name"), strlen(option("name")));
    if (option("staple")) {
        flavour_ask_staple(ssl);
    }
    if (session) {
        SSL_set_session(ssl, session);
    }
    converse(ssl, fd, part);
}

static void server(SSL_CTX *ctx, void (*part)(SSL *ssl, struct tally *tally))
{
    struct sockaddr_in address = address_of(option("listen"));
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 8) ||
        getsockname(listener, (struct sockaddr *)&address, &len)) {
        fail(NULL, "listen");
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (int left = option("connections") ? atoi(option("connections")) : 1; left > 0; left--) {
        SSL *ssl = SSL_new(ctx);
        SSL_set_accept_state(ssl);
        converse(ssl, accept(listener, NULL, NULL), part);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    options = argv + 1;
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *ctx = make_context(option("listen") != NULL);
    if (option("connect")) {
        if (option("again")) {
            client(ctx, ask_page);
        }
        client(ctx, pump);
        return 0;
    }
    const char *part = option("part") ? option("part") : "echo";
    server(ctx, !strcmp(part, "collect") ? collect : !strcmp(part, "greet") ? greet
                                                                            : echo);
    return 0;
}
