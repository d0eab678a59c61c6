/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of key exchange and key encapsulation. */
#include <string.h>

#include "rig_jobs.h"

struct job *job_keygen(struct rig *rig, uint16_t group)
{
    struct job *job = job_new(rig, MILGI_OP_KEYGEN, group, NULL);
    struct milgi_op_kex *k = &job->op.u.kex;

    job_memory(job, 0, milgi__kex_public_len(group));
    k->share = (struct milgi_slice){ NULL, job->dst, (uint32_t)job->dst_len };
    random_bytes(rig, k->seed, k->seed_len = (uint16_t)milgi__kex_seed_len(group));
    return job_made(job);
}

struct pair {
    uint8_t secret[MILGI_KEX_SECRET_MAX], pub[MILGI_KEX_PUBLIC_MAX];
    size_t secret_len, pub_len;
};

static bool pair_of(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, struct pair *pair)
{
    pair->secret_len = sizeof pair->secret;
    pair->pub_len = sizeof pair->pub;
    if (milgi__group(group)->kind == MILGI__KEM)
        return milgi__kem_keygen(cx, group, seed, pair->secret, &pair->secret_len, pair->pub, &pair->pub_len) == 0;
    return milgi__kex_keygen(cx, group, seed, milgi__kex_seed_len(group), pair->secret, &pair->secret_len, pair->pub,
               &pair->pub_len) == 0;
}

static void make_pair(struct rig *rig, uint16_t group, struct pair *pair)
{
    uint8_t seed[MILGI_KEX_SEED_MAX];
    random_bytes(rig, seed, sizeof seed);
    if (!pair_of(rig->cx, group, seed, pair))
        die("cannot make a key pair");
}

struct job *job_derive(struct rig *rig, uint16_t group, enum job_share share)
{
    struct job *job = job_new(rig, MILGI_OP_DERIVE, group, NULL);
    struct milgi_op_kex *k = &job->op.u.kex;
    struct pair ours, theirs;
    size_t len = sizeof job->expect;
    make_pair(rig, group, &ours);
    make_pair(rig, group, &theirs);
    /* What the other side finds. */
    if (milgi__kex_derive(
            rig->cx, group, theirs.secret, theirs.secret_len, ours.pub, ours.pub_len, job->expect, &len) != 0)
        die("cannot derive");
    memcpy(k->secret, ours.secret, ours.secret_len);
    job_memory(job, theirs.pub_len, 0);
    memcpy(job->src, theirs.pub, theirs.pub_len);
    k->secret_len = (uint16_t)ours.secret_len;
    k->share = (struct milgi_slice){ NULL, job->src, (uint32_t)theirs.pub_len };
    job->result_len = len;
    if (share == SHARE_GOOD)
        return job_made(job);
    job->want = MILGI_OP_REJECTED;
    if (share == SHARE_SHORT)
        k->share.len--;
    else if (group == MILGI_GROUP_X25519)
        memset(job->src, 0, k->share.len);
    else
        job->src[k->share.len - 1] ^= 1;
    return job_made(job);
}

/* To a key pair: |ciphertext| has the room of a share. */
static void encapsulate(struct rig *rig, const struct milgi__group *group, const struct pair *pair, const uint8_t *seed,
    uint8_t *ciphertext, uint8_t *shared)
{
    size_t ciphertext_len = MILGI_KEX_PUBLIC_MAX, shared_len = MILGI_KEX_SECRET_MAX;
    if (milgi__kem_encaps(rig->cx, group->id, pair->pub, pair->pub_len, seed, ciphertext, &ciphertext_len, shared,
            &shared_len) != 0)
        die("cannot encapsulate");
}

/* SHARE_OFF_CURVE: a coefficient out of range. */
struct job *job_encaps(struct rig *rig, uint16_t id, enum job_share share)
{
    const struct milgi__group *group = milgi__group(id);
    struct job *job = job_new(rig, MILGI_OP_ENCAPS, id, NULL);
    struct milgi_op_kex *k = &job->op.u.kex;
    struct pair theirs;
    make_pair(rig, id, &theirs);
    random_bytes(rig, k->seed, k->seed_len = group->encaps_seed_len);
    job_memory(job, theirs.pub_len, group->server_len);
    memcpy(job->src, theirs.pub, theirs.pub_len);
    k->share = (struct milgi_slice){ NULL, job->src, (uint32_t)theirs.pub_len };
    k->ciphertext = (struct milgi_slice){ NULL, job->dst, (uint32_t)job->dst_len };
    job->result_len = group->shared_len;
    if (share == SHARE_GOOD)
        return job_made(job);
    job->want = MILGI_OP_REJECTED;
    if (share == SHARE_SHORT)
        k->share.len--;
    else
        memset(job->src + 3, 0xff, 3);
    return job_made(job);
}

/* SHARE_OFF_CURVE: a ciphertext that gives another secret. */
struct job *job_decaps(struct rig *rig, uint16_t id, enum job_share share)
{
    const struct milgi__group *group = milgi__group(id);
    struct job *job = job_new(rig, MILGI_OP_DECAPS, id, NULL);
    struct milgi_op_kex *k = &job->op.u.kex;
    struct pair ours;
    uint8_t seed[MILGI_KEX_SEED_MAX], ciphertext[MILGI_KEX_PUBLIC_MAX];
    size_t len = sizeof job->expect;
    make_pair(rig, id, &ours);
    random_bytes(rig, seed, sizeof seed);
    encapsulate(rig, group, &ours, seed, ciphertext, job->expect);
    if (share == SHARE_OFF_CURVE) {
        ciphertext[rig_random(rig) % group->server_len] ^= 1;
        if (milgi__kem_decaps(rig->cx, id, ours.secret, ciphertext, group->server_len, job->expect, &len) != 0)
            die("cannot decapsulate");
    }
    memcpy(k->secret, ours.secret, ours.secret_len);
    k->secret_len = (uint16_t)ours.secret_len;
    job_memory(job, group->server_len, 0);
    memcpy(job->src, ciphertext, group->server_len);
    k->share = (struct milgi_slice){ NULL, job->src, group->server_len };
    job->result_len = group->shared_len;
    if (share == SHARE_SHORT) {
        job->want = MILGI_OP_REJECTED;
        k->share.len--;
    }
    return job_made(job);
}

struct job *job_malformed_kem(struct rig *rig, unsigned how)
{
    static const enum milgi_op_type types[MALFORMED_KEMS] = { MILGI_OP_KEYGEN, MILGI_OP_KEYGEN, MILGI_OP_ENCAPS,
        MILGI_OP_ENCAPS, MILGI_OP_ENCAPS, MILGI_OP_DECAPS, MILGI_OP_DECAPS };
    struct job *job = types[how] == MILGI_OP_KEYGEN ? job_keygen(rig, MILGI_GROUP_MLKEM768)
        : types[how] == MILGI_OP_ENCAPS             ? job_encaps(rig, MILGI_GROUP_MLKEM768, SHARE_GOOD)
                                                    : job_decaps(rig, MILGI_GROUP_MLKEM768, SHARE_GOOD);
    struct milgi_op_kex *k = &job->op.u.kex;
    switch (how) {
    case 0:
    case 2: k->seed_len--; break;
    case 1: job->op.alg = MILGI_GROUP_X25519MLKEM768; break; /* two ops of its halves, none by itself */
    case 3: k->ciphertext.len--; break;
    case 4: job->op.alg = MILGI_GROUP_X25519; break;
    case 5: k->secret_len--; break;
    default: job->op.type = MILGI_OP_DERIVE;
    }
    return job;
}

/* --- judging ---------------------------------------------------------------------------------------------------- */

const char *job_check_keygen(const struct job *job)
{
    const struct milgi_op_kex *k = &job->op.u.kex;
    struct pair pair;

    if (!pair_of(job->rig->cx, job->op.alg, job->before.u.kex.seed, &pair))
        return "cannot make the key pair to compare with";
    if (k->pub_len != pair.pub_len || memcmp(job->dst, pair.pub, pair.pub_len) != 0)
        return "the public share is wrong";
    if (k->secret_len != pair.secret_len || memcmp(k->secret, pair.secret, pair.secret_len) != 0)
        return "the private key is wrong";
    return NULL;
}

const char *job_check_encaps(const struct job *job)
{
    const struct milgi__group *group = milgi__group(job->op.alg);
    const struct milgi_op_kex *k = &job->op.u.kex;
    struct pair peer = { .pub_len = group->client_len };
    uint8_t ciphertext[MILGI_KEX_PUBLIC_MAX], shared[MILGI_KEX_SECRET_MAX];

    memcpy(peer.pub, job->src, peer.pub_len);
    encapsulate(job->rig, group, &peer, job->before.u.kex.seed, ciphertext, shared);
    if (k->pub_len != group->server_len || memcmp(job->dst, ciphertext, k->pub_len) != 0)
        return "the ciphertext is wrong";
    if (k->shared_len != group->shared_len || memcmp(k->shared, shared, k->shared_len) != 0)
        return "the shared secret is wrong";
    return NULL;
}
