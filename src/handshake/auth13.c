/* SPDX-License-Identifier: Apache-2.0 */
/* What both roles of TLS 1.3 do: secrets and keys, the authentication messages of each side (RFC 8446 4.4, 7.1). */
#include "handshake/hs.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define CERTIFICATE_MIN 64 /* bytes: less cannot hold a key, a name and a signature */

struct milgi__bytes milgi__hs_wire(struct milgi__hs *hs, const struct milgi__u16_list *list)
{
    return milgi__arena_u16(&hs->scratch, list->v, list->n);
}

/* Those that we know of a list that may hold anything, any number of times. */
static void take_known(struct milgi__u16_list *known, struct milgi__bytes schemes)
{
    known->n = 0;
    for (size_t i = 0; i < milgi__u16_n(schemes) && known->n < MILGI__LIST_MAX; i++) {
        uint16_t scheme = milgi__u16_at(schemes, i);
        if (milgi__scheme(scheme) && !milgi__list_has(known, scheme))
            known->v[known->n++] = scheme;
    }
}

void milgi__hs_take_schemes(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    take_known(&hs->peer_schemes, ext->schemes);
    /*= RFC8446 4.2.3: "If no "signature_algorithms_cert" extension is present, then the "signature_algorithms"
     *= extension also applies to signatures appearing in certificates." */
    bool apart = (ext->present & MILGI__EXT(MILGI__EXT_CERT_SCHEMES)) != 0;
    take_known(&hs->peer_cert_schemes, apart ? ext->cert_schemes : ext->schemes);
}

/* --- sending and keys ------------------------------------------------------------------------------------------- */

bool milgi__hs_emit(struct milgi__hs *hs, struct milgi__bytes messages)
{
    int rv = hs->host.calls->send(hs->host.ctx, (enum milgi__level)hs->write_level, messages.p, messages.len);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

bool milgi__hs_record(struct milgi__hs *hs, struct milgi__bytes messages)
{
    int rv = milgi__transcript_add(&hs->transcript, messages.p, messages.len);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

bool milgi__hs_send(struct milgi__hs *hs, struct milgi__bytes messages)
{
    return milgi__hs_record(hs, messages) && milgi__hs_emit(hs, messages);
}

bool milgi__hs_install(
    struct milgi__hs *hs, enum milgi__level level, enum milgi__dir dir, const uint8_t *secret)
{
    int rv = hs->host.calls->install(hs->host.ctx, level, dir, hs->suite, secret);
    if (rv == MILGI_EPROTO)
        milgi__hs_fail(
            hs, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "records of the old key behind a change of keys");
    else if (rv != 0)
        milgi__hs_broken(hs, rv);
    else if (dir == MILGI__READ)
        hs->read_level = (uint8_t)level;
    else
        hs->write_level = (uint8_t)level;
    return rv == 0;
}

static void log_secret(const struct milgi__hs *hs, const char *label, const uint8_t *secret)
{
    char line[256];
    if (!hs->config->keylog)
        return;
    if (milgi__keylog_line(
            line, sizeof line, label, hs->client_random, secret, milgi__hash_len(hs->suite->hash)) != 0)
        hs->config->keylog(hs->config->keylog_ctx, line);
    milgi__wipe(line, sizeof line);
}

bool milgi__hs_handshake_secrets(struct milgi__hs *hs)
{
    const struct milgi__exchange *kex = hs->kex;
    const struct milgi_session *session = hs->session;
    int rv = milgi__schedule13_early(&hs->schedule, hs->host.cx, hs->suite->hash, session ? session->f.secret : NULL,
        session ? session->f.secret_len : 0);
    if (rv == 0)
        rv = milgi__schedule13_handshake(&hs->schedule, hs->host.cx, kex->shared, kex->shared_len, kex->hello_hash);
    milgi__end_exchange(hs);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    log_secret(hs, "CLIENT_HANDSHAKE_TRAFFIC_SECRET", hs->schedule.client_hs);
    log_secret(hs, "SERVER_HANDSHAKE_TRAFFIC_SECRET", hs->schedule.server_hs);
    return true;
}

bool milgi__hs_app_secrets(struct milgi__hs *hs)
{
    uint8_t hash[MILGI__HASH_MAX];
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hash);
    if (rv == 0)
        rv = milgi__schedule13_master(&hs->schedule, hs->host.cx, hash);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    log_secret(hs, "CLIENT_TRAFFIC_SECRET_0", hs->schedule.client_app);
    log_secret(hs, "SERVER_TRAFFIC_SECRET_0", hs->schedule.server_app);
    log_secret(hs, "EXPORTER_SECRET", hs->schedule.exporter);
    return true;
}

/* --- Certificate ------------------------------------------------------------------------------------------------ */

static bool refuse_certificate(struct milgi__hs *hs, int alert, const char *detail)
{
    milgi__hs_fail(hs, MILGI_EVERIFY, alert, detail);
    return false;
}

/* What can be said of the leaf without an op. */
static bool check_leaf(struct milgi__hs *hs, struct milgi__bytes der)
{
    struct milgi__cert_info info;
    if (milgi__cert_info(hs->host.cx, der.p, der.len, &info) != 0)
        return refuse_certificate(hs, MILGI_ALERT_BAD_CERTIFICATE, "the peer's certificate cannot be parsed");
    if (info.type == MILGI__KEY_NONE)
        return refuse_certificate(
            hs, MILGI_ALERT_UNSUPPORTED_CERTIFICATE, "the key of the peer's certificate is of an unknown kind");
    /*= RFC8446 4.4.2.2: "The certificate MUST allow the key to be used for signing (i.e., the digitalSignature bit
     *= MUST be set if the Key Usage extension is present)" */
    if (!info.may_sign)
        return refuse_certificate(
            hs, MILGI_ALERT_UNSUPPORTED_CERTIFICATE, "the key of the peer's certificate may not sign");
    bool rsa = info.type == MILGI__KEY_RSA || info.type == MILGI__KEY_RSA_PSS;
    if (rsa && (info.bits < RSA_BITS_MIN || info.bits > RSA_BITS_MAX))
        return refuse_certificate(
            hs, MILGI_ALERT_BAD_CERTIFICATE, "the RSA key of the peer's certificate is too short or too long");
    /* What it costs to verify with it goes by the exponent, too. */
    if (info.costly)
        return refuse_certificate(
            hs, MILGI_ALERT_BAD_CERTIFICATE, "the RSA key of the peer's certificate has a bad public exponent");
    hs->peer_spki = milgi__arena_copy(&hs->arena, (struct milgi__bytes){ info.spki, info.spki_len });
    hs->peer_key = info.type;
    if (!hs->peer_spki.p)
        milgi__hs_broken(hs, MILGI_ENOMEM);
    return hs->peer_spki.p;
}

static bool copy_chain(struct milgi__hs *hs, const struct milgi__certificates *certs)
{
    struct milgi_iov *pieces = milgi__arena_alloc(&hs->arena, certs->n * sizeof *pieces);
    size_t len = certs->der_len + 3 * (size_t)certs->n;
    uint8_t *chain = milgi__arena_alloc(&hs->arena, len);
    if (!pieces || !chain) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    struct milgi__writer w = milgi__writer(chain, len);
    struct milgi__reader list = milgi__reader_of(certs->list);
    struct milgi__bytes der;
    for (unsigned i = 0; milgi__certificate_next(&list, &der); i++) {
        milgi__write24(&w, (unsigned)der.len);
        pieces[i] = (struct milgi_iov){ w.p, der.len };
        milgi__write_bytes(&w, der.p, der.len);
    }
    hs->peer_chain = (struct milgi__bytes){ chain, len };
    hs->result.peer_chain = pieces;
    hs->result.peer_chain_n = certs->n;
    return true;
}

bool milgi__hs_take_certificate(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__certificates certs;
    if (!milgi__certificate_decode(body, 0, &certs, &failure)) {
        milgi__hs_refuse(hs, &failure);
        return false;
    }
    /*= RFC8446 4.4.2: "Otherwise (in the case of server authentication), this field SHALL be zero length." Nor do we
     *= ask clients with a context. */
    if (certs.context.len != 0) {
        milgi__hs_illegal(hs, "Certificate with a context");
        return false;
    }
    if (certs.n == 0)
        return true;
    /* What is kept of each is more than it may have in it. */
    if (certs.shortest < CERTIFICATE_MIN)
        return refuse_certificate(hs, MILGI_ALERT_BAD_CERTIFICATE, "the peer has sent a certificate that is none");
    if (certs.der_len + 3 * (size_t)certs.n > MILGI_CHUNK_MAX) {
        milgi__hs_fail(
            hs, MILGI_ELIMIT, MILGI_ALERT_BAD_CERTIFICATE, "the peer's certificates are longer than the limit");
        return false;
    }
    return copy_chain(hs, &certs) &&
        check_leaf(hs, (struct milgi__bytes){ hs->result.peer_chain[0].data, hs->result.peer_chain[0].len });
}

/* --- CertificateVerify ------------------------------------------------------------------------------------------ */

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
    if (!milgi__list_has(&hs->config->schemes, verify.scheme)) {
        milgi__hs_illegal(hs, "CertificateVerify with a signature algorithm that was not offered");
        return false;
    }
    /*= RFC8446 4.4.3: "the signature algorithm MUST be compatible with the key in the sender's end-entity
     *= certificate.  RSA signatures MUST use an RSASSA-PSS algorithm" */
    if (!milgi__scheme_fits(verify.scheme, hs->peer_key)) {
        milgi__hs_illegal(hs, "CertificateVerify with a signature algorithm that its key cannot have");
        return false;
    }
    if (milgi__hs_role(hs) == MILGI_CLIENT)
        hs->result.scheme = verify.scheme;
    return milgi__start_verify(hs, &verify);
}

bool milgi__hs_send_verify(struct milgi__hs *hs)
{
    uint8_t message[MILGI__MSG_HEADER + 4 + MILGI_SIGNATURE_MAX];
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
