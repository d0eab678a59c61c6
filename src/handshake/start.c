/* SPDX-License-Identifier: Apache-2.0 */
/* Starting ops, and what comes of them. */
#include <milgi/policy.h>

#include "crypto/cert_list.h"
#include "handshake/hs.h"

#define UNSPECIFIED 1 /* X509_V_ERR_UNSPECIFIED */

const char *milgi__hs_slot_name(unsigned slot)
{
    static const char *const names[MILGI__SLOTS] = {
        "keygen_1", "keygen_2", "keygen_3", "keygen_4", "keygen_5", "keygen_retry", "keygen_retry_2", "derive",
        "capsule", "sign", "chain", "verify", "ticket_1", "ticket_2", "ticket_3", "ticket_4", "seal_1", "seal_2",
        "seal_3", "seal_4", "credential", "alpn", "peer", "ocsp", "psk", "ticket_open", "ticket_seal",
        "session_lookup", "session_store", "config"
    };
    return slot < MILGI__SLOTS ? names[slot] : "?";
}

/* NULL: failed. There is room for it; but room is one thing and memory another. */
static struct milgi_op *make(struct milgi__hs *hs, enum milgi_op_type type, uint16_t alg)
{
    struct milgi_op *op = hs->host.calls->op_new(hs->host.ctx);
    if (!op) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return NULL;
    }
    op->type = (uint8_t)type;
    op->status = MILGI_OP_PENDING;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = alg;
    return op;
}

/* Gives |op| its key; without one it is dropped. */
static bool give_key(struct milgi__hs *hs, struct milgi_op *op, struct milgi_key *key)
{
    op->key = key;
    if (key)
        return true;
    hs->host.calls->op_drop(hs->host.ctx, op);
    milgi__hs_broken(hs, MILGI_ENOMEM);
    return false;
}

static void submit(struct milgi__hs *hs, struct milgi_op *op, enum milgi__slot slot)
{
    hs->started |= MILGI__ON(slot); /* before it is taken: an inline device ends it inside */
    hs->host.calls->op_start(hs->host.ctx, op, slot);
}

bool milgi__begin_exchange(struct milgi__hs *hs, unsigned pairs)
{
    milgi__end_exchange(hs);
    hs->kex = milgi__block_zeroed(hs->arena.blocks, sizeof *hs->kex + pairs * sizeof hs->kex->pair[0]);
    if (!hs->kex) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    hs->kex->room = (uint8_t)pairs;
    return true;
}

/*= RFC8446 7.1: "If a given secret is not available, then the 0-value consisting of a string of Hash.length bytes set
 *= to zeros is used" */
bool milgi__no_exchange(struct milgi__hs *hs)
{
    if (!milgi__begin_exchange(hs, 0))
        return false;
    hs->kex->shared_len = (uint16_t)milgi__hash_len(hs->suite->hash);
    return true;
}

void milgi__end_exchange(struct milgi__hs *hs)
{
    if (hs->kex)
        milgi__block_give_wiped(
            hs->arena.blocks, hs->kex, sizeof *hs->kex + hs->kex->room * sizeof hs->kex->pair[0]);
    hs->kex = NULL;
}

static struct milgi__key_pair *pair_of(struct milgi__hs *hs, unsigned slot)
{
    return &hs->kex->pair[slot < MILGI__KEYGEN_RETRY ? slot : slot - MILGI__KEYGEN_RETRY];
}

static bool take_chunk(struct milgi__hs *hs, size_t len, struct milgi_slice *slice)
{
    struct milgi_chunk *chunk = milgi__chunk_alloc(hs->host.pool, len, hs->host.owner, true);
    if (!chunk) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    *slice = (struct milgi_slice){ chunk, chunk->data, (uint32_t)len };
    return true;
}

/* A chunk that holds |a| and |b|. */
static bool fill_chunk(
    struct milgi__hs *hs, struct milgi__bytes a, struct milgi__bytes b, struct milgi_slice *slice)
{
    if (!take_chunk(hs, a.len + b.len, slice))
        return false;
    memcpy(slice->data, a.p, a.len);
    if (b.len != 0)
        memcpy(slice->data + a.len, b.p, b.len);
    return true;
}

bool milgi__start_keygen(struct milgi__hs *hs, enum milgi__slot slot, uint16_t group)
{
    uint8_t seed[MILGI_KEX_SEED_MAX];
    size_t len = milgi__kex_seed_len(group);
    if (len == 0 || len > sizeof seed || hs->host.calls->random(hs->host.ctx, seed, len) != 0) {
        milgi__hs_broken(hs, MILGI_EINTERNAL);
        return false;
    }
    struct milgi_slice share;
    struct milgi_op *op = NULL;
    if (take_chunk(hs, milgi__kex_public_len(group), &share)) {
        op = make(hs, MILGI_OP_KEYGEN, group);
        if (!op)
            milgi_chunk_unref(share.chunk);
    }
    if (op) {
        op->flags |= MILGI__OP_RERUN;
        op->u.kex = (struct milgi_op_kex){ .seed_len = (uint16_t)len, .share = share };
        memcpy(op->u.kex.seed, seed, len);
        pair_of(hs, slot)->group = group;
        submit(hs, op, slot);
    }
    milgi__wipe(seed, sizeof seed);
    return op != NULL;
}

bool milgi__start_derive(struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes share)
{
    struct milgi_slice peer;
    if (!fill_chunk(hs, share, (struct milgi__bytes){ NULL, 0 }, &peer))
        return false;
    struct milgi_op *op = make(hs, MILGI_OP_DERIVE, pair->group);
    if (!op) {
        milgi_chunk_unref(peer.chunk);
        return false;
    }
    op->flags |= MILGI__OP_RERUN;
    op->u.kex = (struct milgi_op_kex){ .secret_len = pair->secret_len, .share = peer };
    memcpy(op->u.kex.secret, pair->secret, pair->secret_len);
    submit(hs, op, MILGI__DERIVE);
    return true;
}

/* An op of a KEM on |share|, which the peer sent. */
static struct milgi_op *make_kem(
    struct milgi__hs *hs, enum milgi_op_type type, uint16_t group, struct milgi__bytes share)
{
    struct milgi_slice peer;
    if (!fill_chunk(hs, share, (struct milgi__bytes){ NULL, 0 }, &peer))
        return NULL;
    struct milgi_op *op = make(hs, type, group);
    if (!op) {
        milgi_chunk_unref(peer.chunk);
        return NULL;
    }
    op->flags |= MILGI__OP_RERUN;
    op->u.kex = (struct milgi_op_kex){ .share = peer };
    return op;
}

bool milgi__start_encaps(struct milgi__hs *hs, uint16_t group, struct milgi__bytes key)
{
    const struct milgi__group *kem = milgi__group(group);
    struct milgi_op *op = make_kem(hs, MILGI_OP_ENCAPS, group, key);
    if (!op)
        return false;
    struct milgi_op_kex *kex = &op->u.kex;
    kex->seed_len = kem->encaps_seed_len;
    if (!take_chunk(hs, kem->server_len, &kex->ciphertext) ||
        hs->host.calls->random(hs->host.ctx, kex->seed, kex->seed_len) != 0) {
        milgi__hs_broken(hs, MILGI_EINTERNAL); /* unless it has failed already */
        hs->host.calls->op_drop(hs->host.ctx, op);
        return false;
    }
    submit(hs, op, MILGI__CAPSULE);
    return true;
}

bool milgi__start_decaps(struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes ciphertext)
{
    struct milgi_op *op = make_kem(hs, MILGI_OP_DECAPS, pair->group, ciphertext);
    if (!op)
        return false;
    op->u.kex.secret_len = pair->secret_len;
    memcpy(op->u.kex.secret, pair->secret, pair->secret_len);
    submit(hs, op, MILGI__CAPSULE);
    return true;
}

/*
 * What is signed goes into the op, or, when it is too long for that, behind what |blob| is to hold anyway. False:
 * failed.
 */
static bool sign_input(struct milgi__hs *hs, struct milgi_op_sign *sign, struct milgi__bytes input)
{
    if (input.len <= sizeof sign->input) {
        sign->input_len = (uint16_t)input.len;
        memcpy(sign->input, input.p, input.len);
        return true;
    }
    sign->input_len = MILGI_SIGN_INPUT_IN_BLOB;
    if (input.len <= MILGI_CHUNK_MAX / 2)
        return true;
    milgi__hs_fail(hs, MILGI_ELIMIT, MILGI_ALERT_INTERNAL_ERROR, "what is to be signed is longer than the limit");
    return false;
}

/* The blob of it: |a|, |b| and, if it is not in the op, |input|; without any of them none. */
static bool sign_blob(struct milgi__hs *hs, struct milgi_op_sign *sign, struct milgi__bytes a, struct milgi__bytes b,
    struct milgi__bytes input)
{
    size_t behind = sign->input_len == MILGI_SIGN_INPUT_IN_BLOB ? input.len : 0;
    if (a.len + b.len + behind == 0)
        return true;
    if (!take_chunk(hs, a.len + b.len + behind, &sign->blob))
        return false;
    struct milgi__writer w = milgi__writer(sign->blob.data, sign->blob.len);
    milgi__write_bytes(&w, a.p, a.len);
    milgi__write_bytes(&w, b.p, b.len);
    milgi__write_bytes(&w, input.p, behind);
    return true;
}

bool milgi__start_sign(struct milgi__hs *hs, struct milgi__bytes input)
{
    const struct milgi__bytes none = { NULL, 0 };
    struct milgi_op_sign sign = { .any_curve = hs->result.version != MILGI__TLS13 };
    size_t is_long = milgi__scheme(hs->own_scheme)->long_len;
    if (!sign_input(hs, &sign, input) || !sign_blob(hs, &sign, none, none, input))
        return false;
    /* Room for a signature; what is signed then, of TLS 1.3, is short. */
    if (is_long != 0 && !take_chunk(hs, is_long, &sign.blob))
        return false;
    struct milgi_op *op = make(hs, MILGI_OP_SIGN, hs->own_scheme);
    if (!op) {
        milgi_chunk_unref(sign.blob.chunk);
        return false;
    }
    op->u.sign = sign;
    if (!give_key(hs, op, hs->host.calls->key_private(hs->host.ctx, hs->credential)))
        return false;
    if (hs->credential->pkcs8)
        op->flags |= MILGI__OP_RERUN;
    submit(hs, op, MILGI__SIGN);
    return true;
}

bool milgi__start_verify(
    struct milgi__hs *hs, const struct milgi__certificate_verify *verify, struct milgi__bytes input)
{
    struct milgi_op_sign sign = {
        .sig_len = (uint16_t)verify->signature.len,
        .spki_len = (uint32_t)hs->peer_spki.len,
        .any_curve = hs->result.version != MILGI__TLS13,
    };
    if (!sign_input(hs, &sign, input) || !sign_blob(hs, &sign, hs->peer_spki, verify->signature, input))
        return false;
    struct milgi_op *op = make(hs, MILGI_OP_VERIFY, verify->scheme);
    if (!op) {
        milgi_chunk_unref(sign.blob.chunk);
        return false;
    }
    op->flags |= MILGI__OP_RERUN;
    op->u.sign = sign;
    submit(hs, op, MILGI__VERIFY);
    return true;
}

/* Whom the certificate must be for: a client asks for its server. */
static void name_wanted(const struct milgi__hs *hs, struct milgi_op_chain *chain)
{
    uint8_t ip[16];
    size_t ip_len = milgi__name_ip(hs->server_name, ip);
    size_t len = strlen(hs->server_name);
    chain->name_is_ip = ip_len != 0;
    if (ip_len == 0 && len > 1 && hs->server_name[len - 1] == '.')
        len--;
    chain->name_len = (uint16_t)(ip_len != 0 ? ip_len : MILGI__MIN(len, sizeof chain->name));
    memcpy(chain->name, ip_len != 0 ? ip : (const uint8_t *)hs->server_name, chain->name_len);
}

bool milgi__start_chain(struct milgi__hs *hs)
{
    bool client = milgi__hs_role(hs) == MILGI_CLIENT;
    if (!hs->config->trust || (client && !hs->server_name)) {
        milgi__hs_broken(hs, MILGI_EINTERNAL);
        return false;
    }
    struct milgi_op *op = make(hs, MILGI_OP_VERIFY_CHAIN, 0);
    if (!op)
        return false;
    op->u.chain = (struct milgi_op_chain){
        .now_s = hs->host.calls->wall_s(hs->host.ctx),
        .purpose = client ? MILGI_PURPOSE_SERVER : MILGI_PURPOSE_CLIENT,
    };
    if (!give_key(hs, op, hs->host.calls->key_trust(hs->host.ctx, hs->config->trust)))
        return false;
    struct milgi__bytes ocsp = { hs->result.ocsp_response.data, hs->result.ocsp_response.len };
    if (!fill_chunk(hs, hs->peer_chain, ocsp, &op->u.chain.chain)) {
        hs->host.calls->op_drop(hs->host.ctx, op);
        return false;
    }
    op->u.chain.chain.len = (uint32_t)hs->peer_chain.len;
    op->u.chain.ocsp_len = (uint32_t)ocsp.len;
    if (client && hs->config->ocsp != MILGI_OCSP_OFF)
        op->u.chain.staple = MILGI_STAPLE_ASKED;
    if (client && hs->config->ocsp == MILGI_OCSP_REQUIRED)
        op->u.chain.staple |= MILGI_STAPLE_REQUIRED;
    if (client)
        name_wanted(hs, &op->u.chain);
    op->flags |= MILGI__OP_RERUN;
    submit(hs, op, MILGI__CHAIN);
    return true;
}

/* In one chunk, and in place: nothing of it is wanted as it was. */
bool milgi__start_ticket(struct milgi__hs *hs, enum milgi__slot slot, const struct milgi__ticket_key *key,
    struct milgi__bytes ticket)
{
    bool seals = slot >= MILGI__SEAL_1;
    size_t size = ticket.len + (seals ? MILGI__TICKET_TAG_LEN : 0);
    struct milgi_chunk *chunk = milgi__chunk_alloc(hs->host.pool, size, hs->host.owner, true);
    struct milgi_op *op = chunk ? hs->host.calls->op_new(hs->host.ctx) : NULL;
    if (!op) {
        if (chunk)
            milgi_chunk_unref(chunk);
        return false;
    }
    uint32_t len = (uint32_t)(size - MILGI__TICKET_FRONT - MILGI__TICKET_TAG_LEN);
    struct milgi_op_aead *aead = &op->u.aead;
    memcpy(chunk->data, ticket.p, ticket.len);
    op->type = seals ? MILGI_OP_SEAL : MILGI_OP_OPEN;
    op->status = MILGI_OP_PENDING;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = MILGI__TICKET_SUITE;
    *aead = (struct milgi_op_aead){ .aad_len = sizeof key->name, .src_n = 1, .in_place = 1 };
    aead->src[0] = (struct milgi_slice){ chunk, chunk->data + MILGI__TICKET_FRONT, len };
    aead->dst = seals ? aead->src[0].data : NULL;
    aead->dst_len = seals ? len + MILGI__TICKET_TAG_LEN : len;
    memcpy(aead->nonce, key->nonce, sizeof aead->nonce);
    memcpy(aead->aad, key->name, sizeof key->name);
    if (!seals)
        memcpy(aead->tag, ticket.p + ticket.len - MILGI__TICKET_TAG_LEN, sizeof aead->tag);
    op->key = hs->host.calls->key_aead(hs->host.ctx, MILGI__TICKET_SUITE, key->key, sizeof key->key);
    if (!op->key) {
        hs->host.calls->op_drop(hs->host.ctx, op);
        return false;
    }
    submit(hs, op, slot);
    return true;
}

/* --- what comes back -------------------------------------------------------------------------------------------- */

static int take_pair(struct milgi__hs *hs, struct milgi__key_pair *pair, const struct milgi_op_kex *kex)
{
    if (kex->secret_len == 0 || kex->secret_len > sizeof pair->secret ||
        kex->pub_len != milgi__kex_public_len(pair->group) || kex->pub_len > kex->share.len)
        return MILGI_EDEVICE;
    memcpy(pair->secret, kex->secret, kex->secret_len);
    pair->secret_len = kex->secret_len;
    pair->pub = milgi__arena_copy(&hs->unsent, (struct milgi__bytes){ kex->share.data, kex->pub_len });
    return pair->pub.p ? 0 : MILGI_ENOMEM;
}

/* Where the secret of |part| stands in that of the group that was agreed on. */
static size_t place_of(const struct milgi__hs *hs, uint16_t part)
{
    const struct milgi__group *group = milgi__group(hs->result.group);
    bool second = group && group->kind == MILGI__HYBRID && group->half[1] == part;
    return second ? milgi__group(group->half[0])->shared_len : 0;
}

static bool take_shared(struct milgi__hs *hs, uint16_t part, const struct milgi_op_kex *kex)
{
    const struct milgi__group *group = milgi__group(part);
    size_t at = place_of(hs, part);
    if (!group || kex->shared_len != group->shared_len || at + kex->shared_len > sizeof hs->kex->shared)
        return false;
    memcpy(hs->kex->shared + at, kex->shared, kex->shared_len);
    hs->kex->shared_len = (uint16_t)(hs->kex->shared_len + kex->shared_len);
    return true;
}

static int take_ciphertext(struct milgi__hs *hs, const struct milgi_op *op)
{
    const struct milgi_op_kex *kex = &op->u.kex;
    if (op->type != MILGI_OP_ENCAPS)
        return 0;
    if (kex->pub_len != milgi__group(op->alg)->server_len || kex->pub_len > kex->ciphertext.len)
        return MILGI_EDEVICE;
    struct milgi__bytes ciphertext = { kex->ciphertext.data, kex->pub_len };
    hs->kex->ciphertext = milgi__arena_copy(&hs->unsent, ciphertext);
    return hs->kex->ciphertext.p ? 0 : MILGI_ENOMEM;
}

/* The anchor at that place of the trust; |*der| is empty: there is none. */
static void find_anchor(const struct milgi_trust *trust, uint32_t place, struct milgi_iov *der)
{
    struct milgi__cert_walk walk = { .p = trust->anchors, .left = trust->anchors_len };
    *der = (struct milgi_iov){ NULL, 0 };
    while (milgi__cert_walk_next(&walk)) {
        if (place-- == 0) {
            *der = (struct milgi_iov){ walk.der, walk.der_len };
            return;
        }
    }
}

/* The path that was found, for whoever is asked about the peer: it lives as long as the certificates do. */
static int take_path(struct milgi__hs *hs, const struct milgi_op_chain *chain)
{
    if ((hs->config->ask & MILGI_DECIDE_PEER) == 0 || chain->path_n == 0)
        return 0;
    if (chain->path_n > MILGI_PATH_MAX)
        return MILGI_EDEVICE;
    struct milgi__path *path =
        milgi__arena_alloc(&hs->arena, sizeof *path + chain->path_n * sizeof *path->certificate);
    if (!path)
        return MILGI_ENOMEM;
    for (; path->n < chain->path_n; path->n++) {
        uint32_t place = chain->path[path->n];
        bool anchor = (place & MILGI_PATH_ANCHOR) != 0;
        if (anchor != (path->n + 1 == chain->path_n) || (!anchor && place >= hs->result.peer_chain_n))
            return MILGI_EDEVICE;
        if (anchor)
            find_anchor(hs->config->trust, place & ~MILGI_PATH_ANCHOR, &path->certificate[path->n]);
        else
            path->certificate[path->n] = hs->result.peer_chain[place];
        if (path->certificate[path->n].len == 0)
            return MILGI_EDEVICE;
    }
    hs->path = path;
    return 0;
}

/* Copies the results out. 0; MILGI_EDEVICE: they make no sense; MILGI_ENOMEM. */
static int take_results(struct milgi__hs *hs, const struct milgi_op *op, unsigned slot)
{
    struct milgi__bytes signature;
    int rv;
    switch (slot) {
    case MILGI__DERIVE:
    case MILGI__CAPSULE:
        return take_shared(hs, op->alg, &op->u.kex) ? take_ciphertext(hs, op) : MILGI_EDEVICE;
    case MILGI__SIGN:
        signature = (struct milgi__bytes){ milgi__signature(op), op->u.sign.sig_len };
        if (!signature.p)
            return MILGI_EDEVICE;
        hs->signature = milgi__arena_copy(&hs->arena, signature);
        return hs->signature.p ? 0 : MILGI_ENOMEM;
    case MILGI__CHAIN:
        rv = take_path(hs, &op->u.chain);
        hs->chain_accepted = rv == 0;
        return rv;
    case MILGI__VERIFY: return 0;
    default:
        return take_pair(hs, pair_of(hs, slot), &op->u.kex);
    }
}

/* A verdict on the peer is its slot's alert; everything else is our own trouble. */
static struct milgi__failure failure_of(const struct milgi_op *op, unsigned slot)
{
    struct milgi__failure f = milgi__op_failure(op->type, op->status, op->device_code);
    if (op->status != MILGI_OP_REJECTED)
        return f;
    /* No point, or one whose product is zero (RFC 7748 6.1); a coefficient out of range (FIPS 203 7.2). */
    if (slot == MILGI__DERIVE || slot == MILGI__CAPSULE) {
        f.alert = MILGI_ALERT_ILLEGAL_PARAMETER;
        f.error = MILGI_EPROTO;
        f.detail = "the peer's key share is not valid";
    } else if (slot == MILGI__VERIFY) {
        /*= RFC8446 4.4.3: "If the verification fails, the receiver MUST terminate the handshake with a "decrypt_error"
         *= alert." */
        f.alert = MILGI_ALERT_DECRYPT_ERROR;
        f.error = MILGI_EVERIFY;
        f.detail = "the signature of CertificateVerify does not verify";
    } else if (slot == MILGI__CHAIN) {
        f.alert = (int16_t)op->u.chain.alert;
        f.error = MILGI_EVERIFY;
        f.device_code = op->u.chain.verdict;
        f.detail = milgi__verdict_text(op->u.chain.verdict);
    }
    return f;
}

void milgi__hs_fails(struct milgi__hs *hs, enum milgi__slot slot, struct milgi__failure failure)
{
    struct milgi__refused *kept = milgi__arena_alloc(&hs->arena, sizeof *kept);
    if (kept) {
        *kept = (struct milgi__refused){ .next = hs->refusals, .failure = failure, .slot = slot };
        hs->refusals = kept;
    }
    hs->failed |= MILGI__ON(slot);
}

const struct milgi__failure *milgi__hs_why(const struct milgi__hs *hs, enum milgi__slot slot)
{
    static const struct milgi__failure no_memory = {
        .error = MILGI_ENOMEM,
        .alert = MILGI_ALERT_INTERNAL_ERROR,
        .op = MILGI__NO_OP,
        .detail = "no memory for the handshake",
    };
    const struct milgi__refused *kept = hs->refusals;
    while (kept && kept->slot != slot)
        kept = kept->next;
    return kept ? &kept->failure : &no_memory;
}

/* What is wrong, and never 0, whatever a device says; so that it fits where it is kept, as all that there are do. */
static uint8_t verdict_of(const struct milgi_op_chain *chain)
{
    return chain->verdict > 0 && chain->verdict <= UINT8_MAX ? (uint8_t)chain->verdict : UNSPECIFIED;
}

/* A verdict on the peer's path and name alone: not on its signature, nor what went wrong on our side. */
static bool is_reported(const struct milgi__hs *hs, const struct milgi_op *op, unsigned slot)
{
    return slot == MILGI__CHAIN && op->status == MILGI_OP_REJECTED && hs->config->report_peer;
}

void milgi__hs_op_done(struct milgi__hs *hs, const struct milgi_op *op, unsigned slot)
{
    if (slot >= MILGI__CREDENTIAL || (hs->started & ~hs->done & MILGI__ON(slot)) == 0 || hs->step == MILGI__FAILED)
        return;
    /* Of what is done with tickets nothing can fail. */
    bool ticket = slot >= MILGI__TICKET_1 && slot <= MILGI__SEAL_4;
    if (ticket && slot < MILGI__SEAL_1)
        milgi__take_ticket(hs, slot - MILGI__TICKET_1, op);
    else if (ticket)
        milgi__take_sealed(hs, slot - MILGI__SEAL_1, op);
    if (ticket) {
        hs->done |= MILGI__ON(slot);
        return;
    }
    int rv = op->status == MILGI_OP_OK ? take_results(hs, op, slot) : 0;
    if (is_reported(hs, op, slot))
        hs->result.verdict = verdict_of(&op->u.chain);
    else if (op->status != MILGI_OP_OK || rv != 0)
        milgi__hs_fails(hs, (enum milgi__slot)slot,
            rv == MILGI_ENOMEM ? milgi__failure(rv, MILGI_ALERT_INTERNAL_ERROR, "no memory for the handshake")
                               : failure_of(op, slot));
    hs->done |= MILGI__ON(slot);
    if ((op->flags & MILGI__OP_SAMPLED) != 0) {
        hs->sampled_ns = op->e.stamp_ns;
        hs->sampled_dev = op->dev;
        hs->sampled_slot = (uint8_t)slot;
    }
}
