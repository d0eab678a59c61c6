/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all subcommands, and how they are read. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <milgi/milgi.h>

#define APP_MAX_CONNS 10000 /* of the proxy, if nothing else is said and descriptors allow */
#define APP_MAX_WORKERS 256
#define APP_MAX_CLIENTS 1000 /* of a key server */
#define APP_SESSIONS 10000   /* of clients of TLS 1.2 that take no tickets */
#define APP_MAX_SESSIONS 10000000

struct app_list {
    const char **items;
    size_t n;
};

enum app_records {
    APP_RECORDS_DEFAULT, /* as the device thinks best */
    APP_RECORDS_CPU,
    APP_RECORDS_DEVICE
};

/* The PROXY protocol's header, before everything that a backend gets. */
enum app_introduce {
    APP_INTRODUCE_NOT,
    APP_INTRODUCE_V1,
    APP_INTRODUCE_V2
};

/* The arguments of all subcommands; texts point into argv. What was not given is NULL, 0 or the default. */
struct app_options {
    const char *backend, *target;
    struct app_list listen;
    struct app_list certs, keys;           /* in pairs */
    struct app_list sign_certs, sign_keys; /* the same, of a key server's clients */
    struct app_list ocsp;                  /* of the first of them */
    enum milgi_ocsp staple;
    bool strict_alpn, strict_sni, grease, ems_optional;
    struct app_list alpn, suite_names, group_names;
    uint16_t suites[16], groups[16];
    uint16_t tls_min, tls_max;
    bool versions_given;
    const char *policy;
    const char *passphrase_file; /* of keys that are encrypted */
    struct app_list crls;
    enum milgi_crl_check crl_check; /* NONE: not said */
    const char *ca, *client_ca, *name, *device, *keylog;
    const char *keyless_ca, *keyless_cert, *keyless_key, *keyless_name; /* of --device keyless: */
    enum milgi_client_auth client_auth;
    enum app_records records;
    enum app_introduce introduce;
    const char *access_log, *trace;
    bool log_text, accept_proxy, ktls, splice;
    bool ring; /* --loop uring */
    bool client_auth_given, insecure, json;
    bool pool_by_default; /* without --device */
    uint32_t max_conns, update_keys, workers, tickets, sessions;
    const char *session, *psk_file;
    enum milgi_psk_ke psk_ke;
    bool psk_only;
    uint32_t first_records;                                                       /* bytes; 0: as they come */
    uint64_t memory, max_message;                                                 /* bytes; 0: the library's default */
    uint32_t connect_ms, handshake_ms, idle_ms, request_ms, stats_ms, timeout_ms; /* 0: none */
    uint32_t drain_ms;
    struct app_list rest; /* what is no option */
};

enum app_command {
    APP_PROXY,
    APP_CONNECT,
    APP_KEYSERVER,
    APP_DEVICES
};

/* Reads argv (argv[0] is the subcommand). False: it has complained, the exit status is APP_USAGE. */
bool app_args(enum app_command command, int argc, char **argv, struct app_options *options);
void app_args_free(struct app_options *options);
void app_help(FILE *out);
