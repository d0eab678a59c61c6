/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the milgi command share. */
#pragma once

#include <stdio.h>

#include <milgi/milgi.h>
#include <milgi_uv.h>

/* Exit statuses, the same for every subcommand. */
enum app_exit {
    APP_OK = 0,
    APP_FAILED = 1,    /* a file, a port, a connection */
    APP_USAGE = 2,     /* the arguments */
    APP_UNVERIFIED = 3 /* connect: the server was not who it should be */
};

#define APP_MAX_CONNS 10000 /* of the proxy, if nothing else is said and descriptors allow */
#define APP_MAX_WORKERS 256

struct app_list {
    const char **items;
    size_t n;
};

enum app_records {
    APP_RECORDS_DEFAULT, /* as the device thinks best */
    APP_RECORDS_CPU,
    APP_RECORDS_DEVICE
};

/* The arguments of all subcommands; texts point into argv. What was not given is NULL, 0 or the default. */
struct app_options {
    const char *listen, *backend, *target;
    struct app_list certs, keys; /* in pairs */
    struct app_list alpn, suite_names, group_names;
    uint16_t suites[16], groups[16];
    const char *ca, *client_ca, *name, *device, *keylog;
    enum milgi_client_auth client_auth;
    enum app_records records;
    bool client_auth_given, insecure, json;
    uint32_t max_conns, update_keys, workers;
    uint32_t handshake_ms, idle_ms, request_ms, stats_ms, timeout_ms; /* 0: none */
    uint32_t drain_ms;
    struct app_list rest; /* what is no option */
};

/* Prints "milgi SUBCOMMAND: ..." and a newline on stderr. */
void app_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What app_complain() calls the program. */
extern const char *app_name;

/* --- args.c ----------------------------------------------------------------------------------------------------- */

enum app_command {
    APP_PROXY,
    APP_CONNECT,
    APP_DEVICES
};

/* Reads argv (argv[0] is the subcommand). False: it has complained, the exit status is APP_USAGE. */
bool app_args(enum app_command command, int argc, char **argv, struct app_options *options);
void app_args_free(struct app_options *options);
void app_help(FILE *out);

/* --- address.c -------------------------------------------------------------------------------------------------- */

#define APP_ADDRESS_TEXT 72

/* "HOST:PORT", "[ADDRESS]:PORT" or ":PORT" in two parts; |host| is empty in the last case. False: it is none. */
bool app_address_split(const char *text, char *host, size_t host_len, char *port, size_t port_len);
/* Resolves it: a list to be given to freeaddrinfo(). NULL: it has complained. */
struct addrinfo *app_address_resolve(const char *text, bool passive);
/* "192.0.2.1:443" or "[2001:db8::1]:443". */
void app_address_text(const struct sockaddr *address, char text[APP_ADDRESS_TEXT]);

/* --- tls.c: config and engine from the options; each complains, and returns an exit status ------------------------ */

/* What is read from files, and may be read again. */
struct app_material {
    struct milgi_config *config;
    FILE *keylog;
    struct milgi_credential **elsewhere; /* those whose keys are in tokens */
    size_t elsewhere_n;
};

struct app_tls {
    struct app_material material;
    struct milgi_uv *uv;
    struct milgi_device *device; /* NULL: cpu only */
    struct milgi_device *tokens; /* for keys that are in tokens; NULL: there are none, or it is |device| */
};

/* Reads certificates, keys and trust; key log lines will go to what tls->material.keylog is then. */
int app_tls_load(
    struct app_tls *tls, enum milgi_role role, const struct app_options *options, struct app_material *material);
/* Takes |material|, for connections made from here on; that which it replaces goes with its last connection. */
void app_tls_adopt(struct app_tls *tls, struct app_material *material);
void app_material_free(struct app_material *material);
/* The engine and its device, in this process. */
int app_tls_start(struct app_tls *tls, uv_loop_t *loop, const struct app_options *options);

/* All of it at once. */
int app_tls_open(struct app_tls *tls, uv_loop_t *loop, enum milgi_role role, const struct app_options *options);
/* What milgi_uv_stop() leaves; the engine must have stopped. */
void app_tls_close(struct app_tls *tls);

/* --- keys.c: private keys in tokens ------------------------------------------------------------------------------- */

/* Says why |key|, a file or a URI, cannot be had. No PIN is shown. */
void app_key_complain(const char *key, const char *why);
/* Remembers the credential if its key is in a token. False: no memory. */
bool app_keys_keep(struct app_material *material, struct milgi_credential *credential);
void app_keys_forget(struct app_material *material);
/*
 * Signs something with each of them, so that what is wrong shows before there are clients; makes the device for them
 * when it is not there. Waits for the tokens. Complains.
 */
bool app_keys_try(struct app_tls *tls, const struct app_material *material);

/* --- pieces.c: plaintext that is kept until somebody takes it ----------------------------------------------------- */

struct app_piece {
    struct app_piece *next;
    struct milgi_slice slice; /* what is not taken of it */
};

struct app_pieces {
    struct app_piece *first, *last;
};

/* Keeps |slice|, which on_data lent. False: no memory. */
bool app_pieces_keep(struct app_pieces *pieces, const struct milgi_slice *slice);
/* |len| bytes of the first piece are done with. */
void app_pieces_done(struct app_pieces *pieces, size_t len);
void app_pieces_clear(struct app_pieces *pieces);

/* --- subject.c -------------------------------------------------------------------------------------------------- */

/* The subject of a certificate in DER, RFC 2253, UTF-8; to be freed. NULL: it cannot be read. */
char *app_subject(const struct milgi_iov *certificate);
/* What X509_V_ERR_* |code| means. */
const char *app_chain_error(int code);

struct app_throwaway {
    char *chain_pem, *key_pem;
    unsigned char *public_key; /* SubjectPublicKeyInfo in DER */
    int public_key_len;
};
/* A self-signed P-256 certificate and a key that nobody will see again. False: libcrypto failed. Free it anyway. */
bool app_throwaway_make(struct app_throwaway *made);
void app_throwaway_free(struct app_throwaway *made);
/* Strong random bytes; false: there are none. */
bool app_random(void *out, size_t len);

/* --- the subcommands; each returns the exit status ---------------------------------------------------------------- */

int app_proxy(const struct app_options *options);
int app_connect(const struct app_options *options);
int app_devices(const struct app_options *options);
