/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include <milgi/config.h>
#include <milgi/psk.h>

#include "base/base.h"
#include "cert/cert.h"
#include "config/names.h"
#include "session/session.h"

#define MILGI__LIST_MAX 24
#define MILGI__SHARES_MAX 3  /* key shares of a ClientHello */
#define MILGI__RSA_MIN 2048u /* bits; less is taken of nobody, */
#define MILGI__RSA_MAX 8192u /* nor more */

struct milgi__u16_list {
    uint16_t n;
    uint16_t v[MILGI__LIST_MAX];
};

/* Immutable after it is made. (psk.c) */
struct milgi_psk {
    _Atomic uint32_t refs;
    enum milgi_role role;
    struct milgi_session *session; /* what handshakes stand on */
};

struct milgi_config {
    _Atomic uint32_t refs;
    enum milgi_role role;
    bool frozen;
    bool looks; /* server: something is to be done about a ClientHello before it is answered */
    uint16_t version_min, version_max;
    bool plain_master; /* TLS 1.2 without the extended master secret will do */
    uint16_t rsa_min;  /* bits of RSA keys, ours and the peers' */
    bool fallback;     /* client: says that it has tried a higher version before */
    bool accept_any_server, report_peer, early_server_data, early_exporter, hand_over, middlebox, client_auth_set;
    bool strict_alpn, strict_sni, send_authorities, scts, grease;
    uint8_t ocsp;         /* enum milgi_ocsp */
    uint8_t *authorities; /* each name with its 2-byte length before it; made by freeze */
    size_t authorities_len;
    enum milgi_client_auth client_auth;
    struct milgi_credential **credentials;
    size_t credentials_n;
    struct milgi__names names; /* of the credentials; made by freeze */
    struct milgi_trust *trust;
    uint8_t *alpn; /* ProtocolNameList: each with its length byte before it */
    size_t alpn_len;
    struct milgi__u16_list suites, groups;
    /* Of signatures in the handshake: schemes in TLS 1.3, schemes12 in TLS 1.2, which freeze makes of one list. */
    struct milgi__u16_list schemes, schemes12;
    bool schemes_named;             /* by the application: they are all that there is */
    struct milgi__u16_list signing; /* of what own credentials may sign with in TLS 1.3 */
    /* all of them plus those only for certificates; filled in by freeze */
    struct milgi__u16_list cert_schemes;
    size_t key_shares;                         /* 0: of the first group, and one of the other kind */
    struct milgi__u16_list share_groups;       /* of these instead; n 0: they were not named */
    struct milgi_ticket_keys *ticket_keys;     /* server; NULL: no tickets */
    struct milgi_session_cache *session_cache; /* client; NULL: none */
    uint8_t tickets;                           /* server: to give; client: to ask for */
    uint8_t policy[MILGI__SESSION_POLICY_LEN]; /* what sessions are bound to; made by freeze */
    uint8_t policy12[MILGI__SESSION_POLICY_LEN];
    struct milgi_psk **psks; /* a server's in the order of their identities, once it is frozen */
    size_t psks_n;
    bool psk_only, psk_without_certificate;
    uint8_t psk_ke; /* enum milgi_psk_ke */
    unsigned ask;
    milgi_keylog_cb keylog;
    void *keylog_ctx;
    milgi_padding_cb padding;
    void *padding_ctx;
    uint64_t limit[MILGI_LIMITS];
};

/*
 * What of a config says whose word is taken for what, and of a client as whom it speaks: sessions made under another
 * one are not resumed. 0, MILGI_ENOMEM, MILGI_EINTERNAL. (session.c)
 */
int milgi__config_policy(struct milgi_config *config);
/* Whether it makes sense, for freezing. 0, or MILGI_EINVAL with *why. (policy.c) */
int milgi__policy_check(const struct milgi_config *config, const char **why);
/* Suites, groups and schemes as they are by default. */
void milgi__config_defaults(struct milgi_config *config);
/* The names that are sent. 0 or MILGI_ENOMEM. */
int milgi__policy_authorities(struct milgi_config *config);
void milgi__policy_forget_authorities(struct milgi_config *config);

/* Of PSKs: whether they make sense, for freezing. 0, or MILGI_EINVAL with *why. (psk.c) */
int milgi__psks_freeze(struct milgi_config *config, const char **why);
/* Server: the one of that identity, borrowed; NULL: there is none. */
struct milgi_session *milgi__psk_find(const struct milgi_config *config, const uint8_t *identity, size_t len);

static inline const uint8_t *milgi__policy_of(const struct milgi_config *config, uint16_t version)
{
    return version == MILGI_TLS_1_2 ? config->policy12 : config->policy;
}

static inline bool milgi__list_has(const struct milgi__u16_list *list, uint16_t v)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (list->v[i] == v)
            return true;
    }
    return false;
}
