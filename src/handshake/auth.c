/* SPDX-License-Identifier: Apache-2.0 */
/* What both roles do in both versions: lists, sending, keys, the key log, the peer's certificates. */
#include "handshake/hs.h"

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
    struct milgi__bytes in_certificates = apart ? ext->cert_schemes : ext->schemes;
    hs->peer_cert_schemes = 0;
    for (size_t i = 0; i < milgi__u16_n(in_certificates); i++)
        hs->peer_cert_schemes |= milgi__scheme_bit(milgi__u16_at(in_certificates, i));
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

void milgi__hs_log(const struct milgi__hs *hs, const char *label, const uint8_t *secret, size_t len)
{
    char line[256];
    if (!hs->config->keylog)
        return;
    if (milgi__keylog_line(line, sizeof line, label, hs->client_random, secret, len) != 0)
        hs->host.calls->keylog(hs->host.ctx, hs->config, line);
    milgi__wipe(line, sizeof line);
}

/* --- Certificate ------------------------------------------------------------------------------------------------ */

static bool refuse_certificate(struct milgi__hs *hs, int alert, const char *detail)
{
    milgi__hs_fail(hs, MILGI_EVERIFY, alert, detail);
    return false;
}

static bool is_rsa(const struct milgi__cert_info *info)
{
    return info->type == MILGI__KEY_RSA || info->type == MILGI__KEY_RSA_PSS;
}

/* Those that stand behind the leaf, where more is demanded than of everybody. */
static bool check_issuers(struct milgi__hs *hs)
{
    for (size_t i = 1; hs->config->rsa_min > MILGI__RSA_MIN && i < hs->result.peer_chain_n; i++) {
        const struct milgi_iov *der = &hs->result.peer_chain[i];
        struct milgi__cert_info info;
        if (milgi__cert_info(hs->host.cx, der->data, der->len, &info) == 0 && is_rsa(&info) &&
            info.bits < hs->config->rsa_min)
            return refuse_certificate(
                hs, MILGI_ALERT_BAD_CERTIFICATE, "the RSA key of one of the peer's certificates is too short");
    }
    return true;
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
    if (is_rsa(&info) && (info.bits < hs->config->rsa_min || info.bits > MILGI__RSA_MAX))
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

bool milgi__hs_keep_beside(struct milgi__hs *hs, struct milgi__bytes from, struct milgi_iov *to)
{
    if (from.len == 0)
        return true;
    struct milgi__bytes copy = milgi__arena_copy(&hs->arena, from);
    *to = (struct milgi_iov){ copy.p, copy.p ? copy.len : 0 };
    if (!copy.p)
        milgi__hs_broken(hs, MILGI_ENOMEM);
    return copy.p;
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
    for (unsigned i = 0; milgi__certificate_next(certs, &list, &der); i++) {
        milgi__write24(&w, (unsigned)der.len);
        pieces[i] = (struct milgi_iov){ w.p, der.len };
        milgi__write_bytes(&w, der.p, der.len);
    }
    if (!milgi__hs_keep_beside(hs, certs->leaf.status, &hs->result.ocsp_response) ||
        !milgi__hs_keep_beside(hs, certs->leaf.timestamps, &hs->result.scts))
        return false;
    hs->peer_chain = (struct milgi__bytes){ chain, len };
    hs->result.peer_chain = pieces;
    hs->result.peer_chain_n = certs->n;
    return true;
}

bool milgi__hs_keep_certificates(struct milgi__hs *hs, const struct milgi__certificates *certs)
{
    /* What is kept of each is more than it may have in it. */
    if (certs->shortest < CERTIFICATE_MIN)
        return refuse_certificate(hs, MILGI_ALERT_BAD_CERTIFICATE, "the peer has sent a certificate that is none");
    if (certs->der_len + 3 * (size_t)certs->n + certs->leaf.status.len > MILGI_CHUNK_MAX) {
        milgi__hs_fail(
            hs, MILGI_ELIMIT, MILGI_ALERT_BAD_CERTIFICATE, "the peer's certificates are longer than the limit");
        return false;
    }
    return copy_chain(hs, certs) && check_issuers(hs) &&
        check_leaf(hs, (struct milgi__bytes){ hs->result.peer_chain[0].data, hs->result.peer_chain[0].len });
}

/* --- what goes with our own ------------------------------------------------------------------------------------- */

#define BLOCK_MAX 0xffffu
#define BLOCK_REST 1024u /* of a block of extensions: enough for all others */

/* They stand in one block with each other, or with the rest of a ServerHello: what has no room is left out. */
static void fit_in(const struct milgi__hs *hs, struct milgi__exts *ext)
{
    const struct milgi__bytes none = { NULL, 0 };
    size_t room = BLOCK_MAX - BLOCK_REST, status = hs->result.version == MILGI__TLS13 ? ext->status.len : 0;
    if (status > room) {
        ext->status = none;
        status = 0;
    }
    if (ext->timestamps.len > room - status)
        ext->timestamps = none;
}

struct milgi__beside milgi__hs_beside_leaf(struct milgi__hs *hs)
{
    struct milgi__beside b = { .ext.status = hs->staple };
    int64_t now_s = hs->host.calls->wall_s(hs->host.ctx);
    if (hs->asks_status && !hs->no_staple && hs->staple.len == 0) {
        b.ocsp = milgi__credential_staple(hs->credential, MILGI__STAPLE_OCSP, now_s);
        if (b.ocsp)
            b.ext.status = (struct milgi__bytes){ b.ocsp->data, b.ocsp->len };
    }
    if ((hs->offered & MILGI__EXT(MILGI__EXT_TIMESTAMPS)) != 0)
        b.timestamps = milgi__credential_staple(hs->credential, MILGI__STAPLE_TIMESTAMPS, now_s);
    if (b.timestamps)
        b.ext.timestamps = (struct milgi__bytes){ b.timestamps->data, b.timestamps->len };
    fit_in(hs, &b.ext);
    if (b.ext.status.len != 0)
        b.ext.present |= MILGI__EXT(MILGI__EXT_STATUS_REQUEST);
    if (b.ext.timestamps.len != 0)
        b.ext.present |= MILGI__EXT(MILGI__EXT_TIMESTAMPS);
    return b;
}

void milgi__beside_fini(struct milgi__beside *beside)
{
    milgi__staple_unref(beside->ocsp);
    milgi__staple_unref(beside->timestamps);
}

/* --- how long records may be ------------------------------------------------------------------------------------ */

/*= RFC8449 4: "The value includes the content type and padding added in TLS 1.3 (that is, the complete length of
 *= TLSInnerPlaintext).  In TLS 1.2 and earlier, the limit covers all input to compression and encryption (that is, the
 *= data that ultimately produces TLSCiphertext.fragment)." Who offers both says it once. */
uint16_t milgi__hs_record_limit(const struct milgi__hs *hs)
{
    bool client = milgi__hs_role(hs) == MILGI_CLIENT;
    uint16_t version = client ? hs->config->version_max : hs->result.version;
    return (uint16_t)(hs->record_in + (version >= MILGI__TLS13));
}

void milgi__hs_limit_records(struct milgi__hs *hs, uint16_t peers)
{
    uint32_t type = hs->result.version == MILGI__TLS13;
    hs->host.calls->record_limit(hs->host.ctx, MILGI__WRITE, peers - type);
    hs->host.calls->record_limit(hs->host.ctx, MILGI__READ, milgi__hs_record_limit(hs) - type);
}

/* --- whom VERIFY_CHAIN has judged ------------------------------------------------------------------------------- */

bool milgi__hs_take_peer(struct milgi__hs *hs)
{
    bool reported = hs->config->report_peer && hs->result.verdict != 0;
    hs->result.peer_authenticated = hs->chain_accepted && !reported;
    if (hs->chain_accepted != reported)
        return true;
    milgi__hs_broken(hs, MILGI_EINTERNAL);
    return false;
}

/* --- who has shown nothing -------------------------------------------------------------------------------------- */

/* It was asked for a certificate, has none, need not have one, and the decision knew that. */
bool milgi__hs_may_be_empty(struct milgi__hs *hs)
{
    if (hs->config->client_auth == MILGI_CLIENT_AUTH_OPTIONAL && hs->peer_chain.len == 0)
        return true;
    milgi__hs_broken(hs, MILGI_EINTERNAL);
    return false;
}

bool milgi__hs_may_be_anonymous(struct milgi__hs *hs)
{
    if (hs->config->client_auth == MILGI_CLIENT_AUTH_NONE)
        return true;
    milgi__hs_broken(hs, MILGI_EINTERNAL);
    return false;
}
