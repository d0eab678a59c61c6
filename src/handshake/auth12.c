/* SPDX-License-Identifier: Apache-2.0 */
/* What both roles of TLS 1.2 do: keys that go with suites, secrets, certificates, signatures, Finished (RFC 5246). */
#include "handshake/hs.h"

/* --- what goes together ----------------------------------------------------------------------------------------- */

/* EdDSA takes the suites of ECDSA (RFC 8422 2.2, 5.10). */
enum milgi__auth milgi__auth_of(enum milgi__key_type type)
{
    if (milgi__key_is_mldsa(type))
        return MILGI__AUTH_ANY; /* no suite of TLS 1.2's is of it */
    return type == MILGI__KEY_RSA || type == MILGI__KEY_RSA_PSS ? MILGI__AUTH_RSA : MILGI__AUTH_ECDSA;
}

bool milgi__group_in12(uint16_t group)
{
    const struct milgi__group *known = milgi__group(group);
    return known && known->kind == MILGI__DH;
}

bool milgi__hs_key_allowed(const struct milgi__hs *hs, enum milgi__key_type type)
{
    bool rsa = milgi__auth_of(type) == MILGI__AUTH_RSA;
    if (milgi__key_is_mldsa(type))
        return false;
    if (milgi__hs_role(hs) == MILGI_CLIENT)
        return rsa ? !hs->no_rsa : !hs->no_ecdsa;
    if (rsa)
        return hs->suite_rsa != 0;
    return hs->suite_ecdsa != 0 && (type == MILGI__KEY_ED25519 || (hs->curves >> type & 1) != 0);
}

/* --- secrets and keys ------------------------------------------------------------------------------------------- */

bool milgi__hs_session_hash(struct milgi__hs *hs)
{
    /*= RFC7627 3: "session_hash = Hash(handshake_messages) where "handshake_messages" refers to all handshake messages
     *= sent or received, starting at the ClientHello up to and including the ClientKeyExchange message" */
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hs->kex->hello_hash);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

bool milgi__hs_master_secret(struct milgi__hs *hs)
{
    struct milgi__schedule12 *s = &hs->schedule12;
    const struct milgi__exchange *kex = hs->kex;
    const uint8_t *session_hash = hs->result.exports ? kex->hello_hash : NULL;
    int rv = milgi__schedule12_master(s, hs->host.cx, hs->suite->hash, kex->shared, kex->shared_len, session_hash);
    milgi__end_exchange(hs);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0 && milgi__hs_keys12(hs);
}

bool milgi__hs_keys12(struct milgi__hs *hs)
{
    struct milgi__schedule12 *s = &hs->schedule12;
    int rv = milgi__schedule12_keys(s, hs->host.cx, hs->suite);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    milgi__hs_log(hs, "CLIENT_RANDOM", s->master, sizeof s->master);
    return true;
}

bool milgi__hs_take_change(struct milgi__hs *hs)
{
    const struct milgi__schedule12 *s = &hs->schedule12;
    bool client = milgi__hs_role(hs) == MILGI_CLIENT;
    return milgi__hs_install(hs, MILGI__LEVEL_APP, MILGI__READ, client ? s->server_keys : s->client_keys);
}

/* --- Certificate ------------------------------------------------------------------------------------------------ */

bool milgi__hs_take_certificate12(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__certificates certs;
    if (!milgi__certificate12_decode(body, &certs, &failure)) {
        milgi__hs_refuse(hs, &failure);
        return false;
    }
    return certs.n == 0 || milgi__hs_keep_certificates(hs, &certs);
}

bool milgi__hs_send_certificate12(struct milgi__hs *hs, const struct milgi_credential *credential)
{
    struct milgi__bytes chain = { NULL, 0 };
    if (credential)
        chain = (struct milgi__bytes){ credential->chain, credential->chain_len };
    size_t cap = MILGI__MSG_HEADER + 3 + chain.len;
    uint8_t *message = milgi__arena_alloc(&hs->scratch, cap);
    struct milgi__writer w = milgi__writer(message, message ? cap : 0);
    if (!message) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    milgi__certificate12_encode(&w, chain);
    if (w.bad) {
        milgi__hs_broken(hs, MILGI_EINTERNAL);
        return false;
    }
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) });
}

/* --- signatures ------------------------------------------------------------------------------------------------- */

bool milgi__hs_check_signature12(
    struct milgi__hs *hs, const struct milgi__certificate_verify *verify, struct milgi__bytes input)
{
    /* RFC 5246 7.4.3: a pair that the client's extension offers; and */
    /*= RFC5246 7.4.8: "The hash and signature algorithms used in the signature MUST be one of those present in the
     *= supported_signature_algorithms field of the CertificateRequest message." */
    if (!milgi__list_has(milgi__hs_schemes(hs), verify->scheme)) {
        milgi__hs_illegal(hs, "a signature algorithm that was not offered");
        return false;
    }
    /*= RFC5246 7.4.8: "the hash and signature algorithms MUST be compatible with the key in the client's end-entity
     *= certificate." */
    if (!milgi__scheme_fits(verify->scheme, hs->peer_key, false)) {
        milgi__hs_illegal(hs, "a signature algorithm that its key cannot have");
        return false;
    }
    if (milgi__hs_role(hs) == MILGI_CLIENT)
        hs->result.scheme = verify->scheme;
    return milgi__start_verify(hs, verify, input);
}

/*= RFC8422 5.4: "SHA(ClientHello.random + ServerHello.random + ServerKeyExchange.params);" with the hash of the
 *= scheme. */
struct milgi__bytes milgi__hs_signed_params(
    const struct milgi__hs *hs, struct milgi__bytes params, uint8_t out[MILGI__SIGNED_PARAMS_MAX])
{
    struct milgi__writer w = milgi__writer(out, MILGI__SIGNED_PARAMS_MAX);
    milgi__write_bytes(&w, hs->schedule12.randoms, sizeof hs->schedule12.randoms);
    milgi__write_bytes(&w, params.p, params.len);
    return (struct milgi__bytes){ out, milgi__written(&w) };
}

/* --- Finished --------------------------------------------------------------------------------------------------- */

static bool finished_mac(struct milgi__hs *hs, bool by_server, uint8_t mac[MILGI__FINISHED12])
{
    uint8_t hash[MILGI__HASH_MAX];
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hash);
    if (rv == 0)
        rv = milgi__finished12(&hs->schedule12, hs->host.cx, by_server, hash, mac);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

/* "tls-unique" (RFC 5929 3.1) is the first Finished of the handshake: the client's, or when it resumes the server's. */
static void keep_first(struct milgi__hs *hs, const uint8_t mac[MILGI__FINISHED12])
{
    struct milgi__schedule12 *s = &hs->schedule12;
    if (!s->has_first)
        memcpy(s->first, mac, sizeof s->first);
    s->has_first = true;
}

bool milgi__hs_send_finished12(struct milgi__hs *hs)
{
    const struct milgi__schedule12 *s = &hs->schedule12;
    bool client = milgi__hs_role(hs) == MILGI_CLIENT;
    uint8_t mac[MILGI__FINISHED12], message[MILGI__MSG_HEADER + MILGI__FINISHED12];
    /*= RFC5246 7.1: "The ChangeCipherSpec message is sent by both the client and the server to notify the receiving
     *= party that subsequent records will be protected under the newly negotiated CipherSpec and keys." */
    int rv = hs->host.calls->send_ccs(hs->host.ctx);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    if (!milgi__hs_install(hs, MILGI__LEVEL_APP, MILGI__WRITE, client ? s->client_keys : s->server_keys) ||
        !finished_mac(hs, !client, mac))
        return false;
    keep_first(hs, mac);
    struct milgi__writer w = milgi__writer(message, sizeof message);
    milgi__finished_encode(&w, mac, sizeof mac);
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) });
}

bool milgi__hs_take_finished12(struct milgi__hs *hs, struct milgi__reader *body)
{
    uint8_t mac[MILGI__FINISHED12];
    struct milgi__bytes received = milgi__rest(body);
    if (!finished_mac(hs, milgi__hs_role(hs) == MILGI_CLIENT, mac))
        return false;
    bool equal = received.len == sizeof mac && milgi__ct_equal(mac, received.p, sizeof mac) == 1;
    keep_first(hs, mac);
    milgi__wipe(mac, sizeof mac);
    /*= RFC5246 7.4.9: "Recipients of Finished messages MUST verify that the contents are correct." */
    if (!equal)
        milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_DECRYPT_ERROR, "the peer's Finished is wrong");
    return equal;
}
