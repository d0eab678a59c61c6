/* SPDX-License-Identifier: Apache-2.0 */
/* What both roles of TLS 1.3 do: secrets, the authentication messages of each side (RFC 8446 4.4, 7.1). */
#include "handshake/hs.h"

/* --- secrets ---------------------------------------------------------------------------------------------------- */

bool milgi__hs_handshake_secrets(struct milgi__hs *hs)
{
    const struct milgi__exchange *kex = hs->kex;
    const struct milgi_session *session = hs->session;
    size_t len = milgi__hash_len(hs->suite->hash);
    int rv = 0;
    if (milgi__on_external(hs))
        milgi__schedule13_at_early(&hs->schedule, hs->suite->hash, session->f.secret);
    else
        rv = milgi__schedule13_early(&hs->schedule, hs->host.cx, hs->suite->hash, session ? session->f.secret : NULL,
            session ? session->f.secret_len : 0);
    if (rv == 0)
        rv = milgi__schedule13_handshake(&hs->schedule, hs->host.cx, kex->shared, kex->shared_len, kex->hello_hash);
    milgi__end_exchange(hs);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    milgi__hs_log(hs, "CLIENT_HANDSHAKE_TRAFFIC_SECRET", hs->schedule.client_hs, len);
    milgi__hs_log(hs, "SERVER_HANDSHAKE_TRAFFIC_SECRET", hs->schedule.server_hs, len);
    return true;
}

bool milgi__hs_app_secrets(struct milgi__hs *hs)
{
    uint8_t hash[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hs->suite->hash);
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hash);
    if (rv == 0)
        rv = milgi__schedule13_master(&hs->schedule, hs->host.cx, hash);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    milgi__hs_log(hs, "CLIENT_TRAFFIC_SECRET_0", hs->schedule.client_app, len);
    milgi__hs_log(hs, "SERVER_TRAFFIC_SECRET_0", hs->schedule.server_app, len);
    milgi__hs_log(hs, "EXPORTER_SECRET", hs->schedule.exporter, len);
    hs->result.exports = true;
    return true;
}

/* --- Certificate ------------------------------------------------------------------------------------------------ */

bool milgi__hs_take_certificate(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__certificates certs;
    uint32_t beside = MILGI__EXT(MILGI__EXT_STATUS_REQUEST) | MILGI__EXT(MILGI__EXT_TIMESTAMPS);
    uint32_t asked = milgi__hs_role(hs) == MILGI_CLIENT ? hs->offered & beside : 0;
    if (!milgi__certificate_decode(body, asked, &certs, &failure)) {
        milgi__hs_refuse(hs, &failure);
        return false;
    }
    /*= RFC8446 4.4.2: "Otherwise (in the case of server authentication), this field SHALL be zero length." Nor do we
     *= ask clients with a context. */
    if (certs.context.len != 0) {
        milgi__hs_illegal(hs, "Certificate with a context");
        return false;
    }
    return certs.n == 0 || milgi__hs_keep_certificates(hs, &certs);
}

/* --- CertificateVerify ------------------------------------------------------------------------------------------ */

/* What the server's CertificateVerify, or the client's, is about; p NULL: failed. */
static struct milgi__bytes signed_input(struct milgi__hs *hs, bool by_server, uint8_t input[MILGI_SIGN_INPUT_MAX])
{
    uint8_t hash[MILGI__HASH_MAX];
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hash);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return (struct milgi__bytes){ NULL, 0 };
    }
    size_t len = milgi__certificate_verify_input(by_server, hash, milgi__hash_len(hs->suite->hash), input);
    return (struct milgi__bytes){ input, len };
}

bool milgi__hs_sign_transcript(struct milgi__hs *hs)
{
    uint8_t input[MILGI_SIGN_INPUT_MAX];
    struct milgi__bytes what = signed_input(hs, milgi__hs_role(hs) == MILGI_SERVER, input);
    return what.p && milgi__start_sign(hs, what);
}

bool milgi__hs_take_verify(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__certificate_verify verify;
    if (!milgi__certificate_verify_decode(body, &verify, &failure)) {
        milgi__hs_refuse(hs, &failure);
        return false;
    }
    /*= RFC8446 4.4.3: "the signature algorithm MUST be one offered in the client's "signature_algorithms" extension",
     *= "MUST be one of those present in the supported_signature_algorithms field of the "signature_algorithms"
     *= extension in the CertificateRequest message" */
    if (!milgi__list_has(milgi__hs_schemes(hs), verify.scheme)) {
        milgi__hs_illegal(hs, "CertificateVerify with a signature algorithm that was not offered");
        return false;
    }
    /*= RFC8446 4.4.3: "the signature algorithm MUST be compatible with the key in the sender's end-entity
     *= certificate.  RSA signatures MUST use an RSASSA-PSS algorithm" */
    if (!milgi__scheme_fits(verify.scheme, hs->peer_key, true)) {
        milgi__hs_illegal(hs, "CertificateVerify with a signature algorithm that its key cannot have");
        return false;
    }
    if (milgi__hs_role(hs) == MILGI_CLIENT)
        hs->result.scheme = verify.scheme;
    uint8_t input[MILGI_SIGN_INPUT_MAX];
    struct milgi__bytes what = signed_input(hs, milgi__hs_role(hs) == MILGI_CLIENT, input);
    return what.p && milgi__start_verify(hs, &verify, what);
}

bool milgi__hs_send_verify(struct milgi__hs *hs)
{
    uint8_t message[MILGI__MSG_HEADER + 4 + MILGI_SIGNATURE_LONG_MAX];
    struct milgi__writer w = milgi__writer(message, sizeof message);
    milgi__certificate_verify_encode(&w,
        &(struct milgi__certificate_verify){
            .scheme = hs->own_scheme, .signature = hs->signature });
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) });
}

/* --- Finished --------------------------------------------------------------------------------------------------- */

static bool finished_mac(struct milgi__hs *hs, const uint8_t *secret, uint8_t mac[MILGI__HASH_MAX])
{
    uint8_t hash[MILGI__HASH_MAX];
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hash);
    if (rv == 0)
        rv = milgi__finished_mac(hs->host.cx, hs->suite->hash, secret, hash, mac);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

bool milgi__hs_take_finished(struct milgi__hs *hs, struct milgi__reader *body, const uint8_t *secret)
{
    uint8_t mac[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hs->suite->hash);
    struct milgi__bytes received = milgi__rest(body);
    if (!finished_mac(hs, secret, mac))
        return false;
    bool equal = received.len == len && milgi__ct_equal(mac, received.p, len) == 1;
    milgi__wipe(mac, sizeof mac);
    /*= RFC8446 4.4.4: "Recipients of Finished messages MUST verify that the contents are correct and if incorrect MUST
     *= terminate the connection with a "decrypt_error" alert." */
    if (!equal)
        milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_DECRYPT_ERROR, "the peer's Finished is wrong");
    return equal;
}

bool milgi__hs_send_finished(struct milgi__hs *hs, const uint8_t *secret)
{
    uint8_t mac[MILGI__HASH_MAX], message[MILGI__MSG_HEADER + MILGI__HASH_MAX];
    if (!finished_mac(hs, secret, mac))
        return false;
    struct milgi__writer w = milgi__writer(message, sizeof message);
    milgi__finished_encode(&w, mac, milgi__hash_len(hs->suite->hash));
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) });
}
