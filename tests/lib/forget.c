/* SPDX-License-Identifier: Apache-2.0 */
/* The starters with a hole in them: they say that they have started what they have not. */
#include "forget.h"

#include "handshake/hs.h"

int forget_slot = -1;

bool __real_milgi__start_keygen(struct milgi__hs *hs, enum milgi__slot slot, uint16_t group);
bool __wrap_milgi__start_keygen(struct milgi__hs *hs, enum milgi__slot slot, uint16_t group);
bool __wrap_milgi__start_keygen(struct milgi__hs *hs, enum milgi__slot slot, uint16_t group)
{
    return forget_slot == (int)slot || __real_milgi__start_keygen(hs, slot, group);
}

bool __real_milgi__start_derive(
    struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes share);
bool __wrap_milgi__start_derive(
    struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes share);
bool __wrap_milgi__start_derive(
    struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes share)
{
    return forget_slot == MILGI__DERIVE || __real_milgi__start_derive(hs, pair, share);
}

bool __real_milgi__start_encaps(struct milgi__hs *hs, uint16_t group, struct milgi__bytes key);
bool __wrap_milgi__start_encaps(struct milgi__hs *hs, uint16_t group, struct milgi__bytes key);
bool __wrap_milgi__start_encaps(struct milgi__hs *hs, uint16_t group, struct milgi__bytes key)
{
    return forget_slot == MILGI__CAPSULE || __real_milgi__start_encaps(hs, group, key);
}

bool __real_milgi__start_decaps(
    struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes ciphertext);
bool __wrap_milgi__start_decaps(
    struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes ciphertext);
bool __wrap_milgi__start_decaps(
    struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes ciphertext)
{
    return forget_slot == MILGI__CAPSULE || __real_milgi__start_decaps(hs, pair, ciphertext);
}

bool __real_milgi__start_sign(struct milgi__hs *hs, struct milgi__bytes input);
bool __wrap_milgi__start_sign(struct milgi__hs *hs, struct milgi__bytes input);
bool __wrap_milgi__start_sign(struct milgi__hs *hs, struct milgi__bytes input)
{
    return forget_slot == MILGI__SIGN || __real_milgi__start_sign(hs, input);
}

bool __real_milgi__start_verify(
    struct milgi__hs *hs, const struct milgi__certificate_verify *verify, struct milgi__bytes input);
bool __wrap_milgi__start_verify(
    struct milgi__hs *hs, const struct milgi__certificate_verify *verify, struct milgi__bytes input);
bool __wrap_milgi__start_verify(
    struct milgi__hs *hs, const struct milgi__certificate_verify *verify, struct milgi__bytes input)
{
    return forget_slot == MILGI__VERIFY || __real_milgi__start_verify(hs, verify, input);
}

bool __real_milgi__start_chain(struct milgi__hs *hs);
bool __wrap_milgi__start_chain(struct milgi__hs *hs);
bool __wrap_milgi__start_chain(struct milgi__hs *hs)
{
    return forget_slot == MILGI__CHAIN || __real_milgi__start_chain(hs);
}

void __real_milgi__start_decision(struct milgi__hs *hs, enum milgi__slot slot, bool asks);
void __wrap_milgi__start_decision(struct milgi__hs *hs, enum milgi__slot slot, bool asks);
void __wrap_milgi__start_decision(struct milgi__hs *hs, enum milgi__slot slot, bool asks)
{
    if (forget_slot != (int)slot)
        __real_milgi__start_decision(hs, slot, asks);
}

bool __real_milgi__start_ticket(struct milgi__hs *hs, enum milgi__slot slot, const struct milgi__ticket_key *key,
    struct milgi__bytes ticket);
bool __wrap_milgi__start_ticket(struct milgi__hs *hs, enum milgi__slot slot, const struct milgi__ticket_key *key,
    struct milgi__bytes ticket);
bool __wrap_milgi__start_ticket(struct milgi__hs *hs, enum milgi__slot slot, const struct milgi__ticket_key *key,
    struct milgi__bytes ticket)
{
    return forget_slot == (int)slot || __real_milgi__start_ticket(hs, slot, key, ticket);
}

void __real_milgi__settle(struct milgi__hs *hs, enum milgi__slot slot);
void __wrap_milgi__settle(struct milgi__hs *hs, enum milgi__slot slot);
void __wrap_milgi__settle(struct milgi__hs *hs, enum milgi__slot slot)
{
    if (forget_slot != (int)slot)
        __real_milgi__settle(hs, slot);
}
