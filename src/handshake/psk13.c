/* SPDX-License-Identifier: Apache-2.0 */
/* A server's PSKs from elsewhere (RFC 8446 4.2.11): whose an identity is, and what there is without any. */
#include "handshake/hs.h"

bool milgi__look_up_psk(struct milgi__hs *hs, unsigned at, struct milgi__bytes identity)
{
    hs->opened[at] = milgi_session_ref(milgi__psk_find(hs->config, identity.p, identity.len));
    return milgi__show_identity(hs, at, identity);
}

bool milgi__show_identity(struct milgi__hs *hs, unsigned at, struct milgi__bytes identity)
{
    if ((hs->config->ask & (MILGI_DECIDE_PSK | MILGI_DECIDE_TICKET_OPEN)) == 0)
        return true;
    if (!hs->psks_shown)
        hs->psks_shown = milgi__arena_alloc(&hs->arena, MILGI__IDENTITIES_MAX * sizeof *hs->psks_shown);
    /* Who is asked wants to know for which server. */
    if (!hs->psks_shown || !milgi__take_server_name(hs, &hs->seen->ext)) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    /* Where it lies in the message, which is not read before the answer. */
    hs->psks_shown_at[hs->psks_shown_n] = (uint8_t)at;
    hs->psks_shown[hs->psks_shown_n++] = (struct milgi_iov){ identity.p, identity.len };
    return true;
}

static bool is_shown(const struct milgi__hs *hs, struct milgi_iov identity)
{
    for (size_t i = 0; i < hs->psks_shown_n; i++) {
        if (hs->psks_shown[i].len == identity.len && memcmp(hs->psks_shown[i].data, identity.data, identity.len) == 0)
            return true;
    }
    return false;
}

int milgi__use_psk(struct milgi__hs *hs, const struct milgi_psk *psk)
{
    struct milgi__reader list = milgi__reader_of(hs->seen->ext.psk_identities);
    struct milgi__bytes identity;
    uint32_t age;
    if (psk && (psk->role != MILGI_SERVER || !is_shown(hs, milgi_psk_identity(psk))))
        return MILGI_EINVAL;
    for (unsigned at = 0; at < MILGI__IDENTITIES_MAX && milgi__psk_identity_next(&list, &identity, &age); at++) {
        struct milgi_session *known = hs->opened[at];
        if (known && known->f.kind == MILGI__SESSION_OURS)
            continue;
        milgi_session_unref(known);
        hs->opened[at] = NULL;
        struct milgi_iov own = psk ? milgi_psk_identity(psk) : (struct milgi_iov){ NULL, 0 };
        if (psk && own.len == identity.len && memcmp(own.data, identity.p, own.len) == 0)
            hs->opened[at] = milgi_session_ref(psk->session);
    }
    return 0;
}

bool milgi__psk_policy(
    const struct milgi__hs *hs, const struct milgi_session *psk, uint8_t policy[MILGI__SESSION_POLICY_LEN])
{
    uint8_t both[MILGI__SESSION_POLICY_LEN + MILGI__SESSION_SECRET_MAX], digest[MILGI__HASH_MAX];
    memcpy(both, hs->config->policy, MILGI__SESSION_POLICY_LEN);
    memcpy(both + MILGI__SESSION_POLICY_LEN, psk->f.secret, psk->f.secret_len);
    size_t len = MILGI__SESSION_POLICY_LEN + (size_t)psk->f.secret_len;
    int rv = milgi__hash(hs->host.cx, MILGI__SHA256, both, len, digest);
    memcpy(policy, digest, MILGI__SESSION_POLICY_LEN);
    milgi__wipe(both, sizeof both);
    return rv == 0;
}

/* The external PSK of that identity: of the config, or that our ClientHello offers. */
static const struct milgi_session *psk_of(const struct milgi__hs *hs, struct milgi_iov identity)
{
    if (milgi__hs_role(hs) == MILGI_SERVER)
        return milgi__psk_find(hs->config, identity.data, identity.len);
    for (unsigned i = 0; i < hs->offers_n; i++) {
        struct milgi_iov own = milgi__psk_identity(hs->offer[i]);
        if (hs->offer[i]->f.kind != MILGI__SESSION_OURS && own.len == identity.len &&
            memcmp(own.data, identity.data, own.len) == 0)
            return hs->offer[i];
    }
    return NULL;
}

bool milgi__psk_stands(const struct milgi__hs *hs, const struct milgi_session *session)
{
    uint8_t policy[MILGI__SESSION_POLICY_LEN];
    const struct milgi_session *psk = psk_of(hs, milgi__session_parts(session).peer);
    return psk && milgi__psk_policy(hs, psk, policy) && memcmp(policy, session->f.policy, sizeof policy) == 0;
}

int milgi__use_ticket(struct milgi__hs *hs, const struct milgi_ticket_opened *opened)
{
    struct milgi_session *session = opened->session;
    if (opened->at >= hs->psks_shown_n || !session || session->f.version != hs->result.version)
        return MILGI_EINVAL;
    struct milgi_session **at = &hs->opened[hs->psks_shown_at[opened->at]];
    milgi_session_unref(*at);
    *at = milgi_session_ref(session);
    return 0;
}

bool milgi__may_do_without_psk(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    static const uint8_t nobodys[MILGI__HASH_MAX];
    uint8_t binder[MILGI__HASH_MAX];
    if (hs->config->credentials_n != 0 || (hs->config->ask & MILGI_DECIDE_CREDENTIAL) != 0)
        return true;
    if ((ext->present & MILGI__EXT(MILGI__EXT_PSK)) == 0) {
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE, "the client offers no PSK, and we have no "
                                                                            "certificate");
        return false;
    }
    /*= RFC8446 E.6: "Servers which solely support PSK handshakes may be able to resist this form of attack by treating
     *= the cases where there is no valid PSK identity and where there is an identity but it has an invalid binder
     *= identically." */
    int rv = milgi__transcript_hash_with(&hs->transcript, hs->host.cx, hs->suite->hash, ext->psk_identities.p,
        ext->psk_identities.len, binder);
    if (rv == 0)
        rv = milgi__binder_of_early(
            hs->host.cx, hs->suite->hash, MILGI__BINDER_EXTERNAL, nobodys, binder, binder);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_DECRYPT_ERROR, "no PSK of the client's is known");
    return false;
}
