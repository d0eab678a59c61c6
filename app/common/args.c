/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments: one table of options, from which both parsing and --help come. */
#include "common/options.h"
#include "common/address.h"
#include "common/keyless.h"
#include "common/names.h"
#include "common/say.h"

#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <milgi/policy.h>

enum kind {
    TEXT,    /* const char * */
    EACH,    /* struct app_list: the only kind that may be given again */
    COMMAS,  /* struct app_list: one argument in parts */
    FLAG,    /* bool */
    NUMBER,  /* uint32_t */
    SECONDS, /* uint32_t, in milliseconds */
    SIZE,    /* uint64_t, in bytes */
    AUTH,
    RECORDS,
    INTRODUCE,
    FORMAT,
    LOOP,
    VERSION,   /* uint16_t */
    STAPLE,    /* enum milgi_ocsp */
    LOOKED_UP, /* enum milgi_crl_check */
    PSK_KE     /* enum milgi_psk_ke */
};

#define MEMORY_LEAST (UINT64_C(64) << 20)
#define MEMORY_MOST (UINT64_C(64) << 30)
#define MESSAGE_LEAST (UINT64_C(4) << 10)
#define MESSAGE_MOST (UINT64_C(1) << 20)
#define UNSAID UINT32_MAX
#define ALPN_MOST 65000u /* bytes on the wire */

#define PROXY (1u << APP_PROXY)
#define CONNECT (1u << APP_CONNECT)
#define KEYSERVER (1u << APP_KEYSERVER)

static const struct row {
    const char *name;
    enum kind kind;
    unsigned commands;
    size_t offset;
    const char *value, *help;
} rows[] = {
#define AT(field) offsetof(struct app_options, field)
    { "listen", EACH, PROXY | KEYSERVER, AT(listen), "A:P",
        "where to accept connections: HOST:PORT, :PORT for every address, unix:/PATH; may be given again" },
    { "backend", TEXT, PROXY, AT(backend), "A:P", "where to forward to; without it a built-in HTTP/1.1 page answers" },
    { "cert", EACH, PROXY | CONNECT | KEYSERVER, AT(certs), "FILE",
        "certificate chain in PEM, leaf first; the proxy takes several" },
    { "key", EACH, PROXY | CONNECT | KEYSERVER, AT(keys), "FILE",
        "private key in PEM of the --cert in the same place; or pkcs11:..., in a token, keyless:, at a key server" },
    { "key-passphrase-file", TEXT, PROXY | CONNECT | KEYSERVER, AT(passphrase_file), "FILE",
        "its first line is the passphrase of keys that are encrypted" },
    { "ocsp", EACH, PROXY, AT(ocsp), "FILE",
        "OCSP response in DER for the --cert in the same place, to clients that ask; read again by a reload" },
    { "client-ca", TEXT, PROXY | KEYSERVER, AT(client_ca), "FILE",
        "who may vouch for clients, in PEM; asks clients for certificates" },
    { "sign-cert", EACH, KEYSERVER, AT(sign_certs), "FILE",
        "the certificate of a key that clients may have signatures of, in PEM; may be given again" },
    { "sign-key", EACH, KEYSERVER, AT(sign_keys), "FILE",
        "the private key of the --sign-cert in the same place, in PEM; or pkcs11:... for one in a token" },
    { "keyless-ca", TEXT, PROXY | CONNECT, AT(keyless_ca), "FILE",
        "with --device keyless: who may vouch for the key servers, in PEM" },
    { "keyless-cert", TEXT, PROXY | CONNECT, AT(keyless_cert), "FILE", "the certificate that is shown to key servers" },
    { "keyless-key", TEXT, PROXY | CONNECT, AT(keyless_key), "FILE", "its private key, in PEM" },
    { "keyless-name", TEXT, PROXY | CONNECT, AT(keyless_name), "NAME",
        "the name in the certificate of every key server; default: the host of each" },
    { "client-auth", AUTH, PROXY, AT(client_auth), "WORD", "optional, or required (the default with --client-ca)" },
    { "ca", TEXT, CONNECT, AT(ca), "FILE", "who may vouch for the server, in PEM; default: the system's trust store" },
    { "crl", EACH, PROXY | CONNECT | KEYSERVER, AT(crls), "FILE",
        "CRLs of who may vouch, in PEM: a certificate of whom none speaks well is refused; may be given again" },
    { "crl-check", LOOKED_UP, PROXY | CONNECT | KEYSERVER, AT(crl_check), "WORD",
        "whom CRLs must speak of: leaf, or all of the path (the default with --crl)" },
    { "staple", STAPLE, CONNECT, AT(staple), "WORD",
        "ask the server for an OCSP response, and judge it: ask, or require" },
    { "insecure", FLAG, CONNECT, AT(insecure), NULL,
        "accept any server, whatever --ca says: no protection against anybody in between" },
    { "name", TEXT, CONNECT, AT(name), "NAME", "the name to ask for and to check; default: HOST" },
    { "alpn", COMMAS, PROXY | CONNECT, AT(alpn), "A,B", "application protocols, the best first" },
    { "strict-alpn", FLAG, PROXY | CONNECT, AT(strict_alpn), NULL,
        "refuse a client that offers no protocol, or a server that selects none" },
    { "strict-sni", FLAG, PROXY, AT(strict_sni), NULL,
        "refuse a client that names no server, or one that no --cert is for" },
    { "grease", FLAG, CONNECT, AT(grease), NULL,
        "offer what means nothing, too, and extensions in any order (RFC 8701), as browsers do" },
    { "policy", TEXT, PROXY | CONNECT | KEYSERVER, AT(policy), "TEXT",
        "modern, compatible, or a list; options that say more than it count" },
    { "tls-min", VERSION, PROXY | CONNECT | KEYSERVER, AT(tls_min), "V",
        "the lowest version: 1.2 (the default), or 1.3" },
    { "tls-max", VERSION, PROXY | CONNECT | KEYSERVER, AT(tls_max), "V",
        "the highest version: 1.3 (the default), or 1.2" },
    { "ems-optional", FLAG, PROXY | CONNECT, AT(ems_optional), NULL,
        "in TLS 1.2, take peers without the extended master secret, too (RFC 7627)" },
    { "suites", COMMAS, PROXY | CONNECT, AT(suite_names), "A,B", "cipher suites, the best first" },
    { "groups", COMMAS, PROXY | CONNECT, AT(group_names), "A,B", "key exchange groups, the best first" },
    { "device", TEXT, PROXY | CONNECT | KEYSERVER, AT(device), "SPEC",
        "what does the crypto: cpu, pool:N, batch, pkcs11:..., dpdk:..., keyless:HOST:PORT,..., sim:..., chaos:..." },
    { "records", RECORDS, PROXY | CONNECT, AT(records), "WHERE",
        "cpu, or device: records of all sizes; default: as the device prefers" },
    { "ktls", FLAG, PROXY, AT(ktls), NULL,
        "records in the kernel, where it has TLS; new keys under it need Linux 6.14" },
    { "splice", FLAG, PROXY, AT(splice), NULL,
        "with --ktls: what the kernel has opened, or is to seal, goes between the sockets by splice()" },
    { "loop", LOOP, PROXY, AT(ring), "WORD",
        "how clients' sockets are waited for: uv (libuv, the default), or uring (io_uring, where the kernel has it)" },
    { "keylog", TEXT, PROXY | CONNECT | KEYSERVER, AT(keylog), "FILE",
        "append the secrets in the NSS format, for debugging" },
    { "tickets", NUMBER, PROXY, AT(tickets), "N",
        "how many tickets a client gets, by which it comes back without a full handshake: 0 to 4; default 2" },
    { "sessions", NUMBER, PROXY, AT(sessions), "N",
        "TLS 1.2 clients that take no tickets: how many sessions to keep; default 10000, with --tickets 0 none" },
    { "session", TEXT, CONNECT, AT(session), "FILE",
        "resume the session in it, if it is good, and keep the new one there: as secret as a private key" },
    { "psk-file", TEXT, PROXY | CONNECT, AT(psk_file), "FILE",
        "lines of IDENTITY:SECRET (hexadecimal): shared secrets in the place of certificates (TLS 1.3)" },
    { "psk-only", FLAG, CONNECT, AT(psk_only), NULL, "with --psk-file: refuse a server that takes none of them" },
    { "psk-ke", PSK_KE, PROXY | CONNECT, AT(psk_ke), "WORD",
        "too, or only: PSKs and tickets without a key exchange, so that old connections can be read later" },
    { "trace", TEXT, PROXY, AT(trace), "FILE",
        "append what happens inside, step by step, as JSON lines" },
    { "max-conns", NUMBER, PROXY | KEYSERVER, AT(max_conns), "N",
        "connections at once; more wait in the backlog; default 10000" },
    { "workers", NUMBER, PROXY, AT(workers), "N", "processes that serve, below one that reloads on SIGHUP; default 1" },
    { "drain", SECONDS, PROXY | KEYSERVER, AT(drain_ms), "S",
        "how long connections may go on after SIGTERM, or a reload in workers; default 10" },
    { "memory", SIZE, PROXY | KEYSERVER, AT(memory), "SIZE",
        "what connections may hold in buffers, of one process: 64M to 64G; default 1G" },
    { "first-records", NUMBER, PROXY | CONNECT, AT(first_records), "BYTES",
        "how long records are at first, and after a second of silence: 64 to 16384; default: as long as they can be" },
    { "max-message", SIZE, PROXY | CONNECT, AT(max_message), "SIZE",
        "the largest handshake message that is taken, 4K to 1M; default 64K" },
    { "connect-timeout", SECONDS, PROXY | CONNECT, AT(connect_ms), "S",
        "for all addresses of the backend, or the server, together; default 10; 0: the system's" },
    { "handshake-timeout", SECONDS, PROXY | KEYSERVER, AT(handshake_ms), "S", "default 30" },
    { "idle-timeout", SECONDS, PROXY | KEYSERVER, AT(idle_ms), "S", "default 300; 0: never" },
    { "request-timeout", SECONDS, PROXY, AT(request_ms), "S",
        "the built-in page: for a whole request; default 30; 0: for ever" },
    { "access-log", TEXT, PROXY, AT(access_log), "FILE",
        "append a line for every connection that has ended; - is standard output" },
    { "access-log-format", FORMAT, PROXY, AT(log_text), "WORD", "json (the default), or text" },
    { "proxy-protocol", INTRODUCE, PROXY, AT(introduce), "WORD",
        "v1 or v2: tell the backend by a PROXY header who the client is; v2 tells of its TLS, too" },
    { "accept-proxy", FLAG, PROXY, AT(accept_proxy), NULL,
        "every connection begins with a PROXY header of what stands in front; others are refused" },
    { "stats-interval", SECONDS, PROXY, AT(stats_ms), "S", "a line of statistics on stderr every S seconds" },
    { "timeout", SECONDS, CONNECT, AT(timeout_ms), "S",
        "give up when the handshake takes longer, or nothing moves for so long" },
    { "json", FLAG, CONNECT, AT(json), NULL, "tell what was negotiated, and the end, as JSON" },
    { "update-keys", NUMBER, CONNECT, AT(update_keys), "N", "new keys after every N pieces of input, for tests" },
#undef AT
};
#define ROWS (sizeof rows / sizeof rows[0])

static bool append(struct app_list *list, const char *item)
{
    const char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (!items) {
        app_complain("out of memory");
        return false;
    }
    list->items = items;
    items[list->n++] = item;
    return true;
}

/* Cuts |text|, which is argv's, at its commas. */
static bool split(struct app_list *list, char *text)
{
    list->n = 0;
    for (char *item = text; item;) {
        char *comma = strchr(item, ',');
        if (comma)
            *comma++ = 0;
        if (!append(list, item))
            return false;
        item = comma;
    }
    return true;
}

/* A decimal number at the beginning of |text|, and where it ends; not what else strtod() takes for one. */
static double decimal(const char *text, const char **end)
{
    char *last;
    double value = strtod(text, &last);
    *end = strspn(text, "0123456789.") >= (size_t)(last - text) ? last : text;
    return value;
}

static bool number(const struct row *row, const char *text, double most, double *value)
{
    const char *end;
    *value = decimal(text, &end);
    bool is_number = end != text && !*end && *value >= 0 && *value <= most;
    if (is_number && (row->kind == SECONDS || *value == floor(*value)))
        return true;
    app_complain("--%s %s: must be a number from 0 to %.0f", row->name, text, most);
    return false;
}

/* "65536", "64K", "1.5G". */
static bool size(const struct row *row, const char *text, uint64_t least, uint64_t most, uint64_t *bytes)
{
    static const char units[] = "KMGkmg";
    const char *end;
    double value = decimal(text, &end);
    const char *unit = end != text && *end ? strchr(units, *end) : NULL;
    if (unit) {
        value *= (double)(UINT64_C(1) << (unit - units) % 3 * 10) * 1024;
        end++;
    }
    if (end != text && !*end && value >= (double)least && value <= (double)most) {
        *bytes = (uint64_t)value;
        return true;
    }
    bool large = least >= 1 << 20; /* both ends are whole numbers of the unit */
    app_complain("--%s %s: must be a size from %llu%s to %llu%s, such as %s", row->name, text,
        (unsigned long long)least >> (large ? 20 : 10), large ? "M" : "K",
        (unsigned long long)most >> (large ? 30 : 20), large ? "G" : "M", large ? "256M or 2G" : "128K");
    return false;
}

static bool word(const struct row *row, const char *text, const char *first, const char *second, int *which)
{
    *which = !strcmp(text, first) ? 1 : !strcmp(text, second) ? 2
                                                              : 0;
    if (!*which)
        app_complain("--%s %s: must be %s or %s", row->name, text, first, second);
    return *which != 0;
}

static bool store(const struct row *row, struct app_options *options, char *text)
{
    void *field = (char *)options + row->offset;
    double value;
    int which;
    switch (row->kind) {
    case TEXT:
        *(const char **)field = text;
        return true;
    case EACH:
        return append(field, text);
    case COMMAS:
        return split(field, text);
    case FLAG:
        *(bool *)field = true;
        return true;
    case NUMBER:
        if (!number(row, text, field == &options->sessions ? APP_MAX_SESSIONS : 1e6, &value))
            return false;
        *(uint32_t *)field = (uint32_t)value;
        return true;
    case SECONDS:
        if (!number(row, text, 1e6, &value))
            return false;
        *(uint32_t *)field = (uint32_t)ceil(value * 1000);
        return true;
    case SIZE:
        return row->offset == offsetof(struct app_options, memory)
            ? size(row, text, MEMORY_LEAST, MEMORY_MOST, field)
            : size(row, text, MESSAGE_LEAST, MESSAGE_MOST, field);
    case AUTH:
        if (!word(row, text, "optional", "required", &which))
            return false;
        options->client_auth = which == 1 ? MILGI_CLIENT_AUTH_OPTIONAL : MILGI_CLIENT_AUTH_REQUIRED;
        options->client_auth_given = true;
        return true;
    case RECORDS:
        if (!word(row, text, "cpu", "device", &which))
            return false;
        options->records = which == 1 ? APP_RECORDS_CPU : APP_RECORDS_DEVICE;
        return true;
    case INTRODUCE:
        if (!word(row, text, "v1", "v2", &which))
            return false;
        options->introduce = which == 1 ? APP_INTRODUCE_V1 : APP_INTRODUCE_V2;
        return true;
    case FORMAT:
        if (!word(row, text, "json", "text", &which))
            return false;
        options->log_text = which == 2;
        return true;
    case LOOP:
        if (!word(row, text, "uv", "uring", &which))
            return false;
        options->ring = which == 2;
        return true;
    case STAPLE:
        if (!word(row, text, "ask", "require", &which))
            return false;
        options->staple = which == 1 ? MILGI_OCSP_ASK : MILGI_OCSP_REQUIRED;
        return true;
    case LOOKED_UP:
        if (!word(row, text, "leaf", "all", &which))
            return false;
        options->crl_check = which == 1 ? MILGI_CRL_CHECK_LEAF : MILGI_CRL_CHECK_ALL;
        return true;
    case PSK_KE:
        if (!word(row, text, "too", "only", &which))
            return false;
        options->psk_ke = which == 1 ? MILGI_PSK_KE_TOO : MILGI_PSK_KE_ONLY;
        return true;
    case VERSION:
        if (!word(row, text, "1.2", "1.3", &which))
            return false;
        *(uint16_t *)field = which == 1 ? MILGI_TLS_1_2 : MILGI_TLS_1_3;
        return true;
    }
    return false;
}

/* --- what the arguments mean together ----------------------------------------------------------------------------- */

/* Whether a config takes it. */
static bool is_policy(const char *text)
{
    struct milgi_problem problem;
    struct milgi_config *config = text ? milgi_config_new(MILGI_CLIENT) : NULL;
    bool fits = !text || (config && !milgi_config_set_policy(config, text, &problem));
    if (!fits)
        app_complain("--policy: %s", config ? problem.text : "no memory");
    milgi_config_unref(config);
    return fits;
}

static bool is_address(const char *option, const char *text, bool any)
{
    const char *fault = text ? app_address_fault(text, any) : NULL;
    if (fault)
        app_complain("%s%s: %s", option, text, fault);
    return !fault;
}

static bool are_addresses(const struct app_options *o)
{
    for (size_t i = 0; i < o->listen.n; i++)
        if (!is_address("--listen ", o->listen.items[i], true))
            return false;
    return is_address("--backend ", o->backend, false) && is_address("", o->target, false);
}

static const char *proxy_fault(const struct app_options *o)
{
    if (o->rest.n)
        return "takes options only";
    if (!o->listen.n)
        return "needs --listen";
    if (!o->certs.n && !o->psk_file)
        return "needs --cert and --key, or --psk-file";
    if (o->client_auth_given && !o->client_ca)
        return "--client-auth needs --client-ca";
    if (o->crls.n && !o->client_ca)
        return "--crl needs --client-ca";
    if (o->introduce != APP_INTRODUCE_NOT && !o->backend)
        return "--proxy-protocol needs --backend";
    if (o->log_text && !o->access_log)
        return "--access-log-format needs --access-log";
    if (o->tickets > MILGI_TICKETS_MAX)
        return "--tickets must be a number from 0 to 4";
    if (o->ring && o->ktls)
        return "--ktls wants --loop uv";
    if (o->splice && (!o->ktls || !o->backend))
        return "--splice needs --ktls and --backend";
    if (!o->max_conns)
        return "--max-conns must be at least 1";
    if (!o->handshake_ms)
        return "--handshake-timeout must be more than 0: whoever says nothing would be waited for without end";
    if (!o->workers || o->workers > APP_MAX_WORKERS)
        return "--workers must be a number from 1 to 256";
    return app_keyless_fault(o);
}

static const char *keyserver_fault(const struct app_options *o)
{
    if (o->rest.n)
        return "takes options only";
    if (!o->listen.n)
        return "needs --listen";
    if (!o->certs.n)
        return "needs --cert and --key: who it is";
    for (size_t i = 0; i < o->keys.n; i++)
        if (milgi_credential_is_uri(o->keys.items[i]))
            return "--key must be a file: only --sign-key may be in a token";
    if (!o->client_ca)
        return "needs --client-ca: who may vouch for those that may have signatures";
    if (!o->sign_certs.n)
        return "needs --sign-cert and --sign-key: what it signs with";
    if (o->sign_certs.n != o->sign_keys.n)
        return "every --sign-cert needs its --sign-key";
    for (size_t i = 0; i < o->listen.n; i++)
        if (app_address_path(o->listen.items[i]))
            return "--listen: key servers listen on TCP only";
    if (!o->max_conns)
        return "--max-conns must be at least 1";
    if (!o->handshake_ms)
        return "--handshake-timeout must be more than 0: whoever says nothing would be waited for without end";
    return NULL;
}

static const char *connect_fault(const struct app_options *o)
{
    if (o->rest.n != 1)
        return "needs one HOST:PORT";
    if (o->certs.n > 1)
        return "takes one --cert";
    for (const char *at = o->name ? o->name : ""; *at; at++)
        if ((unsigned char)*at > 126)
            return "--name: it is not ASCII: write it as DNS has it (xn--...)";
    if (o->psk_only && !o->psk_file)
        return "--psk-only needs --psk-file";
    if (app_address_path(o->rest.items[0]) && !o->name && !o->insecure && !o->psk_only)
        return "needs --name: a socket in the file system does not say who should be behind it";
    return app_keyless_fault(o);
}

static const char *alpn_fault(const struct app_list *protocols)
{
    size_t total = 0;
    for (size_t i = 0; i < protocols->n; i++) {
        size_t len = strlen(protocols->items[i]);
        if (!len || len > 255)
            return "--alpn: a protocol has 1 to 255 bytes";
        for (size_t k = 0; k < i; k++)
            if (!strcmp(protocols->items[k], protocols->items[i]))
                return "--alpn: a protocol is named twice";
        total += 1 + len;
        if (total > ALPN_MOST)
            return "--alpn: more than 64 KiB of protocols";
    }
    return NULL;
}

static bool check(enum app_command command, struct app_options *o)
{
    const char *fault = NULL;
    if (command == APP_PROXY)
        fault = proxy_fault(o);
    else if (command == APP_CONNECT)
        fault = connect_fault(o);
    else if (command == APP_KEYSERVER)
        fault = keyserver_fault(o);
    if (!fault && o->certs.n != o->keys.n)
        fault = "every --cert needs its --key";
    if (!fault && o->ocsp.n > o->certs.n)
        fault = "every --ocsp needs its --cert";
    if (!fault && o->crl_check && !o->crls.n)
        fault = "--crl-check needs --crl";
    if (!fault && o->first_records && (o->first_records < 64 || o->first_records > 16384))
        fault = "--first-records wants 64 to 16384";
    if (!fault && o->strict_alpn && !o->alpn.n)
        fault = "--strict-alpn needs --alpn";
    o->versions_given = o->tls_min || o->tls_max || o->psk_only;
    if (!o->tls_max)
        o->tls_max = MILGI_TLS_1_3;
    if (!o->tls_min)
        o->tls_min = o->psk_only ? MILGI_TLS_1_3 : MILGI_TLS_1_2;
    if (!fault && o->tls_min > o->tls_max)
        fault = "--tls-min is more than --tls-max";
    if (!fault)
        fault = alpn_fault(&o->alpn);
    if (fault) {
        app_complain("%s", fault);
        return false;
    }
    if (command == APP_CONNECT)
        o->target = o->rest.items[0];
    return is_policy(o->policy) && app_suites_of(&o->suite_names, "suites", o->suites, 16) &&
        app_groups_of(&o->group_names, "groups", o->groups, 16) && are_addresses(o);
}

/* --- reading them ------------------------------------------------------------------------------------------------- */

static bool refuse(int problem, char **argv)
{
    const char *what = argv[optind - 1];
    if (problem == ':')
        app_complain("%s needs a value", what);
    else if (optopt && strchr(what, '='))
        app_complain("%s: takes no value", what);
    else
        app_complain("there is no option %s", what);
    return false;
}

/* getopt takes the beginning of a name for the first option that begins so, which is a guess. */
static bool is_whole(const struct row *row, char **argv)
{
    const char *what = argv[optind - (row->value && optarg == argv[optind - 1] ? 2 : 1)];
    size_t len = strlen(row->name);
    if (!strncmp(what, "--", 2) && !strncmp(what + 2, row->name, len) && (!what[2 + len] || what[2 + len] == '='))
        return true;
    app_complain("there is no option %s", what);
    return false;
}

/* As a script passes on a variable that nobody has set. */
static bool is_given(const struct row *row)
{
    if (!row->value || *optarg)
        return true;
    app_complain("--%s: the value is empty", row->name);
    return false;
}

/* Of two that contradict each other the last would win, and nobody would know. */
static bool first_time(const struct row *row, bool *given)
{
    bool again = *given && row->kind != EACH;
    *given = true;
    if (again)
        app_complain("--%s is given twice", row->name);
    return !again;
}

bool app_args(enum app_command command, int argc, char **argv, struct app_options *options)
{
    struct option known[ROWS + 1] = { 0 };
    const struct row *row_of[ROWS];
    bool given[ROWS] = { false };
    int n = 0, index = 0, found;
    *options = (struct app_options){
        .max_conns = command == APP_KEYSERVER ? APP_MAX_CLIENTS : APP_MAX_CONNS,
        .pool_by_default = command == APP_PROXY,
        .connect_ms = 10000,
        .workers = 1,
        .tickets = command == APP_KEYSERVER ? 0 : 2,
        .sessions = UNSAID,
        .drain_ms = 10000,
        .handshake_ms = 30000,
        .idle_ms = 300000,
        .request_ms = 30000,
    };
    for (size_t i = 0; i < ROWS; i++) {
        if (!(rows[i].commands & 1u << command))
            continue;
        known[n] = (struct option){ rows[i].name, rows[i].value ? required_argument : no_argument, NULL, 1 };
        row_of[n++] = &rows[i];
    }
    optind = 1;
    opterr = 0;
    while ((found = getopt_long(argc, argv, ":", known, &index)) != -1) {
        if (found != 1)
            return refuse(found, argv);
        const struct row *row = row_of[index];
        if (!is_whole(row, argv) || !is_given(row) || !first_time(row, &given[row - rows]) ||
            !store(row, options, optarg))
            return false;
    }
    for (; optind < argc; optind++)
        if (!append(&options->rest, argv[optind]))
            return false;
    if (options->sessions == UNSAID)
        options->sessions = options->tickets ? APP_SESSIONS : 0;
    return check(command, options);
}

void app_args_free(struct app_options *options)
{
    free(options->listen.items);
    free(options->certs.items);
    free(options->keys.items);
    free(options->sign_certs.items);
    free(options->sign_keys.items);
    free(options->ocsp.items);
    free(options->crls.items);
    free(options->alpn.items);
    free(options->suite_names.items);
    free(options->group_names.items);
    free(options->rest.items);
}

/* --- --help ------------------------------------------------------------------------------------------------------- */

static void help_options(FILE *out, enum app_command command)
{
    for (size_t i = 0; i < ROWS; i++) {
        char left[40];
        if (!(rows[i].commands & 1u << command))
            continue;
        snprintf(left, sizeof left, "--%s %s", rows[i].name, rows[i].value ? rows[i].value : "");
        fprintf(out, "  %-23s %s\n", left, rows[i].help);
    }
}

void app_help(FILE *out)
{
    fputs("milgi proxy --listen A:P --cert FILE --key FILE [OPTION...]\n"
          "Ends TLS 1.3 and 1.2 and forwards the plaintext.\n",
        out);
    help_options(out, APP_PROXY);
    fputs("\nmilgi connect HOST:PORT [OPTION...]\n"
          "Speaks TLS 1.3 or 1.2 with a server: standard input to it, what it says to standard output.\n"
          "Exit status: 0 the server ended in order, 3 it could not be verified, 1 anything else, 2 wrong arguments.\n",
        out);
    help_options(out, APP_CONNECT);
    fputs("\nmilgi keyserver --listen A:P --cert FILE --key FILE --client-ca FILE --sign-cert FILE --sign-key FILE "
          "[OPTION...]\n"
          "Signs for others, who ask in the keyless protocol over mutual TLS.\n",
        out);
    help_options(out, APP_KEYSERVER);
    fputs("\nmilgi devices [SPEC...]\n"
          "Tells which devices are built in, tests each and measures it.\n"
          "\nmilgi --help, milgi --version\n",
        out);
}
