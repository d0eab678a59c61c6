/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first hellos, which all versions share. Once the version is fixed, the table of that version takes over for
 * good: milgi__client13_hello(), milgi__server13_hello().
 */
#include <milgi/policy.h>

#include "handshake/hs.h"

/* --- client ----------------------------------------------------------------------------------------------------- */

/*
 * Of a hybrid its half, which is there anyway, or another group without a KEM; of one without the first with one. So
 * a server that has no ML-KEM, and one that wants it, both take a share without a HelloRetryRequest. 0: there is none.
 */
static uint16_t of_the_other_kind(const struct milgi__u16_list *own)
{
    const struct milgi__group *first = milgi__group(own->v[0]);
    bool classical = first->kind == MILGI__DH;
    uint16_t half = milgi__group_part(first, MILGI__DH);
    if (!classical && milgi__list_has(own, half))
        return half;
    for (unsigned i = 1; i < own->n; i++) {
        if ((milgi__group(own->v[i])->kind == MILGI__DH) != classical)
            return own->v[i];
    }
    return 0;
}

/*= RFC8446 4.2.8: "Each KeyShareEntry value MUST correspond to a group offered in the "supported_groups" extension and
 *= MUST appear in the same order.  However, the values MAY be a non-contiguous subset" */
static unsigned groups_named(const struct milgi_config *config, uint16_t groups[MILGI__SHARES_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < config->groups.n && n < MILGI__SHARES_MAX; i++) {
        if (milgi__list_has(&config->share_groups, config->groups.v[i]))
            groups[n++] = config->groups.v[i];
    }
    return n;
}

/* Those that the config names, or as many as it says; else the first, and one of the other kind. */
static unsigned groups_to_share(const struct milgi_config *config, uint16_t groups[MILGI__SHARES_MAX])
{
    const struct milgi__u16_list *own = &config->groups;
    if (config->share_groups.n != 0)
        return groups_named(config, groups);
    size_t wanted = MILGI__MIN(MILGI__MAX(config->key_shares, 1), own->n);
    unsigned n = (unsigned)MILGI__MIN(wanted, MILGI__SHARES_MAX);
    memcpy(groups, own->v, n * sizeof *groups);
    if (config->key_shares != 0 || n == 0)
        return n;
    groups[n] = of_the_other_kind(own);
    return groups[n] != 0 ? n + 1 : n;
}

static enum milgi__step c_start(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    const struct milgi_config *config = hs->config;
    bool tls13 = config->version_max >= MILGI__TLS13, middlebox = config->middlebox && tls13;
    /* A ticket of TLS 1.2 goes with a session ID by which we see that it was accepted (RFC 5077 3.4). */
    bool id = middlebox || hs->offer12;
    hs->session_id_len = id ? sizeof hs->session_id : 0;
    if ((config->grease && hs->host.calls->random(hs->host.ctx, hs->grease, sizeof hs->grease) != 0) ||
        hs->host.calls->random(hs->host.ctx, hs->client_random, sizeof hs->client_random) != 0 ||
        (id && hs->host.calls->random(hs->host.ctx, hs->session_id, sizeof hs->session_id) != 0))
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    if (hs->offer12 && hs->offer12->f.by_id) {
        struct milgi_iov of = milgi__session_parts(hs->offer12).ticket;
        hs->session_id_len = (uint8_t)of.len;
        memcpy(hs->session_id, of.data, of.len);
    }
    uint16_t groups[MILGI__SHARES_MAX];
    unsigned n = tls13 ? groups_to_share(config, groups) : 0;
    if (!milgi__start_shares(hs, groups, n, MILGI__KEYGEN_1))
        return MILGI__FAILED;
    return n != 0 ? MILGI__C_TAKE_SHARE_1 : MILGI__C_SEND_HELLO;
}

/* One row per key pair: each needs its own op. */
static enum milgi__step c_take_share(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    unsigned taken = hs->step - MILGI__C_TAKE_SHARE_1 + 1;
    return taken < hs->kex->pairs_n ? (enum milgi__step)(hs->step + 1) : MILGI__C_SEND_HELLO;
}

/*= RFC6066 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName".", "without a trailing dot" */
static struct milgi__bytes host_name(const struct milgi__hs *hs)
{
    uint8_t ip[16];
    struct milgi__bytes name = { (const uint8_t *)hs->server_name, 0 };
    if (!hs->server_name || milgi__name_ip(hs->server_name, ip) != 0)
        return name;
    name.len = strlen(hs->server_name);
    if (name.len > 1 && hs->server_name[name.len - 1] == '.')
        name.len--;
    return name;
}

/* Suites of the versions that are offered. */
static struct milgi__bytes suites_of(struct milgi__hs *hs)
{
    const struct milgi_config *config = hs->config;
    struct milgi__u16_list list = { .n = 0 };
    for (unsigned i = 0; i < config->suites.n; i++) {
        bool tls13 = milgi__suite(config->suites.v[i])->tls13;
        if (tls13 ? config->version_max >= MILGI__TLS13 : config->version_min < MILGI__TLS13)
            list.v[list.n++] = config->suites.v[i];
    }
    /*= RFC7507 4: "The client SHOULD put TLS_FALLBACK_SCSV after all cipher suites that it actually intends to
     *= negotiate." */
    if (config->fallback)
        list.v[list.n++] = MILGI__FALLBACK_SCSV;
    return milgi__hs_wire(hs, &list);
}

/* Groups of them; and what they sign with. */
static struct milgi__bytes groups_of(struct milgi__hs *hs)
{
    const struct milgi__u16_list *own = &hs->config->groups;
    struct milgi__u16_list list = { .n = 0 };
    for (unsigned i = 0; i < own->n; i++) {
        if (hs->config->version_max >= MILGI__TLS13 || milgi__group_in12(own->v[i]))
            list.v[list.n++] = own->v[i];
    }
    return milgi__hs_wire(hs, &list);
}

static const struct milgi__u16_list *schemes_of(const struct milgi_config *config)
{
    return config->version_min < MILGI__TLS13 ? &config->schemes12 : &config->schemes;
}

static uint32_t extensions_of(const struct milgi__hs *hs, const struct milgi__exts *ext)
{
    const struct milgi_config *config = hs->config;
    const struct milgi__u16_list *a = schemes_of(config), *b = &config->cert_schemes;
    uint32_t present =
        MILGI__EXT(MILGI__EXT_GROUPS) | MILGI__EXT(MILGI__EXT_SCHEMES) | MILGI__EXT(MILGI__EXT_RECORD_LIMIT);
    if (config->version_max >= MILGI__TLS13)
        present |= MILGI__EXT(MILGI__EXT_VERSIONS) | MILGI__EXT(MILGI__EXT_KEY_SHARE);
    if (config->version_min < MILGI__TLS13)
        present |= MILGI__EXT(MILGI__EXT_MASTER_SECRET) | MILGI__EXT(MILGI__EXT_RENEGOTIATION) |
            MILGI__EXT(MILGI__EXT_POINT_FORMATS);
    if (ext->server_name.len != 0)
        present |= MILGI__EXT(MILGI__EXT_SERVER_NAME);
    /*= RFC8446 4.2.3: "Implementations which have the same policy in both cases MAY omit the
     *= "signature_algorithms_cert" extension." */
    if (b->n != 0 && (a->n != b->n || memcmp(a->v, b->v, a->n * sizeof a->v[0]) != 0))
        present |= MILGI__EXT(MILGI__EXT_CERT_SCHEMES);
    if (config->alpn_len != 0)
        present |= MILGI__EXT(MILGI__EXT_ALPN);
    if (config->ocsp != MILGI_OCSP_OFF)
        present |= MILGI__EXT(MILGI__EXT_STATUS_REQUEST);
    if (config->scts)
        present |= MILGI__EXT(MILGI__EXT_TIMESTAMPS);
    if (config->authorities_len != 0)
        present |= MILGI__EXT(MILGI__EXT_AUTHORITIES);
    if (hs->cookie.len != 0)
        present |= MILGI__EXT(MILGI__EXT_COOKIE);
    return present;
}

bool milgi__send_client_hello(struct milgi__hs *hs)
{
    static const uint8_t versions[] = { MILGI__TLS13 >> 8, MILGI__TLS13 & 0xff, MILGI__TLS12 >> 8,
        MILGI__TLS12 & 0xff };
    const struct milgi_config *config = hs->config;
    struct milgi__client_hello hello = {
        .random = hs->client_random,
        .session_id = { hs->session_id, hs->session_id_len },
        .suites = suites_of(hs),
        .ext = {
            .server_name = host_name(hs),
            .groups = groups_of(hs),
            .schemes = milgi__hs_wire(hs, schemes_of(config)),
            .cert_schemes = milgi__hs_wire(hs, &config->cert_schemes),
            .alpn = { config->alpn, config->alpn_len },
            .versions = { versions, config->version_min < MILGI__TLS13 ? 4 : 2 },
            .shares = milgi__client_shares(hs),
            .cookie = hs->cookie,
            .authorities = { config->authorities, config->authorities_len },
            .record_limit = milgi__hs_record_limit(hs),
        },
    };
    struct milgi__exts *ext = &hello.ext;
    struct milgi__offers offers;
    bool greased = milgi__grease(hs, &hello);
    milgi__offer_session(hs, ext, &offers);
    size_t cap = 512 + offers.len + hello.suites.len + ext->server_name.len + ext->groups.len + ext->schemes.len +
        ext->cert_schemes.len + ext->alpn.len + ext->shares.len + ext->cookie.len +
        ext->authorities.len + ext->session_ticket.len;
    uint8_t *message = milgi__arena_alloc(&hs->scratch, cap);
    if (!message || !greased || !hello.suites.p || !ext->groups.p || !ext->schemes.p ||
        !ext->cert_schemes.p || !ext->shares.p) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    ext->present |= extensions_of(hs, ext);
    hs->offered = ext->present;
    struct milgi__writer w = milgi__writer(message, cap);
    milgi__client_hello_encode(&w, &hello);
    if (w.bad && hs->cookie.len != 0)
        milgi__hs_fail(hs, MILGI_ELIMIT, MILGI_ALERT_ILLEGAL_PARAMETER, "the server's cookie is longer than the limit");
    else if (w.bad)
        milgi__hs_broken(hs, MILGI_EINTERNAL);
    if (w.bad)
        return false;
    struct milgi__bytes whole = { message, milgi__written(&w) };
    return milgi__fill_binders(hs, whole, &offers) && milgi__hs_send(hs, whole);
}

static enum milgi__step c_send_hello(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__send_client_hello(hs) ? MILGI__C_RECV_HELLO : MILGI__FAILED;
}

static enum milgi__step c_recv_hello(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__server_hello hello;
    if (!milgi__server_hello_decode(body, &hello, &failure))
        return milgi__hs_refuse(hs, &failure);
    if (milgi__server_hello_version(&hello) == MILGI__TLS13) {
        hs->result.version = MILGI__TLS13;
        return milgi__client13_hello(hs, &hello);
    }
    /*= RFC8446 4.1.3: "TLS 1.3 clients receiving a ServerHello indicating TLS 1.2 or below MUST check that the last 8
     *= bytes are not equal to either of these values. [...] If a match is found, the client MUST abort the handshake
     *= with an "illegal_parameter" alert." */
    if (hs->config->version_max >= MILGI__TLS13 && milgi__server_hello_downgraded(&hello))
        return milgi__hs_illegal(hs, "downgrade detected");
    if (hs->config->version_min >= MILGI__TLS13)
        return milgi__hs_fail(
            hs, MILGI_ENEGOTIATE, MILGI_ALERT_PROTOCOL_VERSION, "the server chose a version below TLS 1.3");
    if (milgi__server_hello_version(&hello) != MILGI__TLS12)
        return milgi__hs_fail(
            hs, MILGI_ENEGOTIATE, MILGI_ALERT_PROTOCOL_VERSION, "the server chose a version below TLS 1.2");
    hs->result.version = MILGI__TLS12;
    return milgi__client12_hello(hs, &hello);
}

#define FIRST MILGI__STEPS_COMMON

/* clang-format off */
const struct milgi__row milgi__client_hello_rows[] = {
    [MILGI__C_START - FIRST] = {
        .name = "start", .run = c_start, .message = NONE,
        .starts = ON(KEYGEN_1) | ON(KEYGEN_2) | ON(KEYGEN_3) | ON(KEYGEN_4) | ON(KEYGEN_5),
        .next = TO(C_TAKE_SHARE_1) | TO(C_SEND_HELLO),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C_TAKE_SHARE_1 - FIRST] = {
        .name = "take_share_1", .run = c_take_share, .message = NONE,
        .needs = ON(KEYGEN_1),
        .next = TO(C_TAKE_SHARE_2) | TO(C_SEND_HELLO),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C_TAKE_SHARE_2 - FIRST] = {
        .name = "take_share_2", .run = c_take_share, .message = NONE,
        .needs = ON(KEYGEN_2),
        .next = TO(C_TAKE_SHARE_3) | TO(C_SEND_HELLO),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C_TAKE_SHARE_3 - FIRST] = {
        .name = "take_share_3", .run = c_take_share, .message = NONE,
        .needs = ON(KEYGEN_3),
        .next = TO(C_TAKE_SHARE_4) | TO(C_SEND_HELLO),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C_TAKE_SHARE_4 - FIRST] = {
        .name = "take_share_4", .run = c_take_share, .message = NONE,
        .needs = ON(KEYGEN_4),
        .next = TO(C_TAKE_SHARE_5) | TO(C_SEND_HELLO),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C_TAKE_SHARE_5 - FIRST] = {
        .name = "take_share_5", .run = c_take_share, .message = NONE,
        .needs = ON(KEYGEN_5),
        .next = TO(C_SEND_HELLO),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C_SEND_HELLO - FIRST] = {
        .name = "send_hello", .run = c_send_hello, .message = NONE,
        .next = TO(C_RECV_HELLO),
        .sends = { MSG(CLIENT_HELLO) },
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C_RECV_HELLO - FIRST] = {
        .name = "recv_hello", .run = c_recv_hello, .message = MSG(SERVER_HELLO),
        .starts = ON(DERIVE) | ON(CAPSULE) | ON(KEYGEN_RETRY) | ON(KEYGEN_RETRY_2),
        .next = TO(C13_SEND_HELLO_SHARE) | TO(C13_SEND_HELLO_COOKIE) | TO(C13_INSTALL_KEYS) | TO(C12_RECV_CERTIFICATE) |
            TO(C12_RECV_TICKET_RESUMED) | TO(C12_RECV_CHANGE_RESUMED),
        KEYS(INITIAL, INITIAL), .takes_ccs = true,
    },
};
/* clang-format on */

/* --- server ----------------------------------------------------------------------------------------------------- */

/* The highest that both speak; 0: none. */
static uint16_t choose_version(const struct milgi_config *config, const struct milgi__client_hello *hello,
    struct milgi__bytes versions)
{
    bool offered = milgi__u16_has(versions, MILGI__TLS12);
    if (config->version_max >= MILGI__TLS13 && milgi__u16_has(versions, MILGI__TLS13))
        return MILGI__TLS13;
    /*= RFC8446 4.2.1: "servers MUST NOT use the ClientHello.legacy_version value for version negotiation and MUST use
     *= only the "supported_versions" extension to determine client preferences", "If this extension is not present,
     *= servers which are compliant with this specification and which also support TLS 1.2 MUST negotiate TLS 1.2 or
     *= prior as specified in [RFC5246], even if ClientHello.legacy_version is 0x0304 or later." */
    if (versions.len == 0)
        offered = hello->legacy_version >= MILGI__TLS12;
    return offered && config->version_min <= MILGI__TLS12 ? MILGI__TLS12 : 0;
}

/* All of it, as its version demands. */
static bool read_hello(struct milgi__hs *hs, struct milgi__reader *body, struct milgi__client_hello *hello)
{
    struct milgi__failure failure;
    struct milgi__bytes versions;
    if (!milgi__client_hello_decode(body, hello, &failure) ||
        !milgi__client_hello_versions(hello, &versions, &failure)) {
        milgi__hs_refuse(hs, &failure);
        return false;
    }
    hs->result.version = choose_version(hs->config, hello, versions);
    if (hs->result.version == 0) {
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_PROTOCOL_VERSION,
            hs->config->version_min >= MILGI__TLS13 ? "the client does not offer TLS 1.3"
                                                    : "the client offers no version of TLS that is spoken");
        return false;
    }
    if (hs->result.version == MILGI__TLS13 ? milgi__client_hello_decode13(hello, &failure)
                                           : milgi__client_hello_decode12(hello, &failure))
        return true;
    milgi__hs_refuse(hs, &failure);
    return false;
}

/* From here on the version's table has it. */
static enum milgi__step answer_hello(struct milgi__hs *hs, struct milgi__client_hello *hello)
{
    bool tls13 = hs->result.version == MILGI__TLS13;
    return tls13 ? milgi__server13_hello(hs, hello) : milgi__server12_hello(hs, hello);
}

/*
 * Before anything is done about it: what the application may choose another config by. It is read again under that,
 * which may be of another version; what is wrong with it in any is refused already.
 */
static enum milgi__step s_ask_hello(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__client_hello hello;
    if (!milgi__client_hello_decode(body, &hello, &failure) ||
        !milgi__exts_decode(hello.block, MILGI__IN_CLIENT_HELLO, 0, &hello.ext, &failure))
        return milgi__hs_refuse(hs, &failure);
    if (!milgi__take_server_name(hs, &hello.ext) || !milgi__show_hello(hs, &hello))
        return MILGI__FAILED;
    milgi__hs_take_schemes(hs, &hello.ext);
    milgi__start_decision(hs, MILGI__CONFIG, true);
    return MILGI__S_TAKE_CONFIG;
}

static enum milgi__step looks(const struct milgi_config *config)
{
    return config->looks ? MILGI__S_LOOK_HELLO : MILGI__S_RECV_HELLO;
}

static enum milgi__step s_take_config(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return looks(hs->config);
}

/* It is read once, whichever row comes first; what it says points into the message, which stays where it is. */
static enum milgi__step s_look_hello(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__client_hello *hello = milgi__arena_alloc(&hs->arena, sizeof *hello);
    if (!hello)
        return milgi__hs_broken(hs, MILGI_ENOMEM);
    if (!read_hello(hs, body, hello))
        return MILGI__FAILED;
    if (hs->config->ask != 0 && !hs->shown && !milgi__show_hello(hs, hello))
        return MILGI__FAILED;
    hs->seen = hello; /* already for answers from inside */
    bool tls12 = hs->result.version == MILGI__TLS12;
    bool looked = tls12 ? milgi__look_up12(hs) : milgi__open_tickets(hs, &hello->ext);
    return looked ? MILGI__S_RECV_HELLO_SEEN : MILGI__FAILED;
}

/* What a row before it has read, and what came of it. */
static enum milgi__step s_recv_hello_seen(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__client_hello *hello = hs->seen;
    if (!hello)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    hs->seen = NULL;
    milgi__rest(body);
    return answer_hello(hs, hello);
}

static enum milgi__step s_recv_hello(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__client_hello hello;
    return read_hello(hs, body, &hello) ? answer_hello(hs, &hello) : MILGI__FAILED;
}

enum milgi__step milgi__server_first(const struct milgi_config *config)
{
    return (config->ask & MILGI_DECIDE_CONFIG) != 0 ? MILGI__S_ASK_HELLO : looks(config);
}

/* clang-format off */
const struct milgi__row milgi__server_hello_rows[] = {
    [MILGI__S_ASK_HELLO - FIRST] = {
        .name = "ask_hello", .run = s_ask_hello, .message = MSG(CLIENT_HELLO),
        .starts = ON(CONFIG),
        .next = TO(S_TAKE_CONFIG),
        KEYS(INITIAL, INITIAL), .flight_ends = true, .peeks = true,
    },
    [MILGI__S_TAKE_CONFIG - FIRST] = {
        .name = "take_config", .run = s_take_config, .message = NONE,
        .needs = ON(CONFIG),
        .next = TO(S_LOOK_HELLO) | TO(S_RECV_HELLO),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S_LOOK_HELLO - FIRST] = {
        .name = "look_hello", .run = s_look_hello, .message = MSG(CLIENT_HELLO),
        .starts = ON(TICKET_1) | ON(TICKET_2) | ON(TICKET_3) | ON(TICKET_4) | ON(PSK) | ON(TICKET_OPEN) |
            ON(SESSION_LOOKUP),
        .next = TO(S_RECV_HELLO_SEEN),
        KEYS(INITIAL, INITIAL), .flight_ends = true, .peeks = true,
    },
    [MILGI__S_RECV_HELLO_SEEN - FIRST] = {
        .name = "recv_hello_seen", .run = s_recv_hello_seen, .message = MSG(CLIENT_HELLO),
        .needs = ON(TICKET_1) | ON(TICKET_2) | ON(TICKET_3) | ON(TICKET_4) | ON(PSK) | ON(TICKET_OPEN) |
            ON(SESSION_LOOKUP),
        .starts = ON(KEYGEN_1) | ON(CAPSULE) | ON(CREDENTIAL) | ON(ALPN) | ON(OCSP),
        .next = TO(S13_SEND_RETRY) | TO(S13_START_RESUMED) | TO(S13_SEND_PSK) |
            TO(S13_START_FLIGHT) | TO(S12_START_FLIGHT) | TO(S12_START_RESUMED),
        KEYS(INITIAL, INITIAL), .flight_ends = true,
    },
    [MILGI__S_RECV_HELLO - FIRST] = {
        .name = "recv_hello", .run = s_recv_hello, .message = MSG(CLIENT_HELLO),
        .starts = ON(KEYGEN_1) | ON(CAPSULE) | ON(CREDENTIAL) | ON(ALPN) | ON(OCSP),
        .next = TO(S13_SEND_RETRY) | TO(S13_START_FLIGHT) | TO(S12_START_FLIGHT),
        KEYS(INITIAL, INITIAL), .flight_ends = true,
    },
};
/* clang-format on */
