/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key shares: what they are made of, and which ops they need. A group of two halves, a hybrid, has an op for each of
 * them, which run side by side; their results stand one behind the other, in the order of the group's row. What a group
 * does not need is settled, so that rows wait for all kinds of ops alike.
 */
#include "handshake/hs.h"

/* The groups that |id| is made of, itself if it is no hybrid. */
static unsigned parts_of(uint16_t id, uint16_t parts[2])
{
    const struct milgi__group *group = milgi__group(id);
    parts[0] = group->kind == MILGI__HYBRID ? group->half[0] : id;
    parts[1] = group->half[1];
    return group->kind == MILGI__HYBRID ? 2 : 1;
}

/* Settles |slot| if the group that was agreed on has no part of that kind. */
static void settle_without(struct milgi__hs *hs, enum milgi__group_kind kind, enum milgi__slot slot)
{
    if (milgi__group_part(milgi__group(hs->result.group), kind) == 0)
        milgi__settle(hs, slot);
}

static const struct milgi__key_pair *pair_of(const struct milgi__exchange *kex, uint16_t part)
{
    for (unsigned i = 0; i < kex->pairs_n; i++) {
        if (kex->pair[i].group == part)
            return &kex->pair[i];
    }
    return NULL;
}

/* --- client ----------------------------------------------------------------------------------------------------- */

bool milgi__has_share(const struct milgi__hs *hs, uint16_t group)
{
    for (unsigned i = 0; hs->kex && i < hs->kex->shares_n; i++) {
        if (hs->kex->share[i] == group)
            return true;
    }
    return false;
}

/* The parts of all, each once: what is in two shares is made once, and sent in both. */
static unsigned all_parts(const uint16_t *groups, unsigned n, uint16_t all[MILGI__PAIRS_MAX])
{
    unsigned all_n = 0;
    for (unsigned i = 0; i < n; i++) {
        uint16_t parts[2];
        unsigned parts_n = parts_of(groups[i], parts);
        for (unsigned k = 0; k < parts_n; k++) {
            unsigned at = 0;
            while (at < all_n && all[at] != parts[k])
                at++;
            if (at == all_n && all_n < MILGI__PAIRS_MAX)
                all[all_n++] = parts[k];
        }
    }
    return all_n;
}

bool milgi__start_shares(struct milgi__hs *hs, const uint16_t *groups, unsigned n, enum milgi__slot first)
{
    uint16_t parts[MILGI__PAIRS_MAX];
    unsigned parts_n = all_parts(groups, n, parts);
    if (!milgi__begin_exchange(hs, parts_n))
        return false;
    struct milgi__exchange *kex = hs->kex;
    kex->pairs_n = (uint8_t)parts_n;
    kex->shares_n = (uint8_t)n;
    memcpy(kex->share, groups, n * sizeof *groups);
    for (unsigned i = 0; i < parts_n; i++) {
        if (!milgi__start_keygen(hs, (enum milgi__slot)(first + i), parts[i]))
            return false;
    }
    return true;
}

struct milgi__bytes milgi__client_shares(struct milgi__hs *hs)
{
    const struct milgi__exchange *kex = hs->kex;
    size_t cap = 1;
    for (unsigned i = 0; i < kex->shares_n; i++)
        cap += 4u + milgi__group(kex->share[i])->client_len;
    uint8_t *p = milgi__arena_alloc(&hs->scratch, cap);
    struct milgi__writer w = milgi__writer(p, p ? cap : 0);
    for (unsigned i = 0; i < kex->shares_n; i++) {
        uint16_t parts[2];
        unsigned parts_n = parts_of(kex->share[i], parts);
        milgi__write16(&w, kex->share[i]);
        size_t share = milgi__write_begin(&w, 2);
        for (unsigned k = 0; k < parts_n; k++) {
            const struct milgi__bytes *pub = &pair_of(kex, parts[k])->pub;
            milgi__write_bytes(&w, pub->p, pub->len);
        }
        milgi__write_end(&w, share, 2);
    }
    return (struct milgi__bytes){ p, p ? milgi__written(&w) : 0 };
}

bool milgi__take_server_share(struct milgi__hs *hs, struct milgi__bytes share)
{
    uint16_t group = hs->result.group, parts[2];
    unsigned parts_n = parts_of(group, parts);
    /* Of a KEM it is the ciphertext, which nothing else is checked of (FIPS 203 7.3). */
    if (share.len != milgi__group(group)->server_len) {
        milgi__hs_illegal(hs, "a key share of a wrong length");
        return false;
    }
    for (unsigned i = 0; i < parts_n; i++) {
        const struct milgi__group *part = milgi__group(parts[i]);
        const struct milgi__key_pair *pair = pair_of(hs->kex, part->id);
        struct milgi__bytes half = { share.p, part->server_len };
        bool started = part->kind == MILGI__KEM ? milgi__start_decaps(hs, pair, half)
                                                : milgi__start_derive(hs, pair, half);
        if (!started)
            return false;
        share.p += part->server_len;
    }
    settle_without(hs, MILGI__DH, MILGI__DERIVE);
    settle_without(hs, MILGI__KEM, MILGI__CAPSULE);
    milgi__arena_wipe(&hs->unsent); /* ours are not sent again */
    return true;
}

/* --- server ----------------------------------------------------------------------------------------------------- */

bool milgi__take_client_share(struct milgi__hs *hs, struct milgi__bytes share)
{
    uint16_t group = hs->result.group, parts[2];
    unsigned parts_n = parts_of(group, parts);
    if (share.len != milgi__group(group)->client_len) {
        milgi__hs_illegal(hs, "a key share of a wrong length");
        return false;
    }
    for (unsigned i = 0; i < parts_n; i++) {
        const struct milgi__group *part = milgi__group(parts[i]);
        struct milgi__bytes half = { share.p, part->client_len };
        share.p += part->client_len;
        if (part->kind == MILGI__KEM) {
            if (!milgi__start_encaps(hs, part->id, half))
                return false;
            continue;
        }
        hs->kex->peer = milgi__arena_copy(&hs->arena, half);
        if (!hs->kex->peer.p) {
            milgi__hs_broken(hs, MILGI_ENOMEM);
            return false;
        }
    }
    settle_without(hs, MILGI__KEM, MILGI__CAPSULE);
    return true;
}

bool milgi__start_server_share(struct milgi__hs *hs)
{
    uint16_t part = milgi__group_part(milgi__group(hs->result.group), MILGI__DH);
    settle_without(hs, MILGI__DH, MILGI__KEYGEN_1);
    return part == 0 || milgi__start_keygen(hs, MILGI__KEYGEN_1, part);
}

bool milgi__start_server_derive(struct milgi__hs *hs)
{
    const struct milgi__exchange *kex = hs->kex;
    settle_without(hs, MILGI__DH, MILGI__DERIVE);
    return kex->pair[0].group == 0 || milgi__start_derive(hs, &kex->pair[0], kex->peer);
}

struct milgi__bytes milgi__server_share(struct milgi__hs *hs)
{
    const struct milgi__exchange *kex = hs->kex;
    const struct milgi__group *group = milgi__group(hs->result.group);
    struct milgi__bytes pub = kex->pair[0].pub;
    if (group->kind != MILGI__HYBRID)
        return group->kind == MILGI__KEM ? kex->ciphertext : pub;
    bool kem_first = group->half[0] != kex->pair[0].group;
    struct milgi__bytes first = kem_first ? kex->ciphertext : pub, second = kem_first ? pub : kex->ciphertext;
    uint8_t *share = milgi__arena_alloc(&hs->scratch, group->server_len);
    if (!share || first.len + second.len != group->server_len)
        return (struct milgi__bytes){ NULL, 0 };
    memcpy(share, first.p, first.len);
    memcpy(share + first.len, second.p, second.len);
    return (struct milgi__bytes){ share, group->server_len };
}
