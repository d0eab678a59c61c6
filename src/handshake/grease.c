/* SPDX-License-Identifier: Apache-2.0 */
/* GREASE (RFC 8701): what means nothing in a ClientHello, and a varied order of its extensions. */
#include "handshake/hs.h"

enum {
    SUITE,
    GROUP,
    VERSION,
    SCHEME,
    PROTOCOL,
    EXTENSION_1,
    EXTENSION_2
};

/*= RFC8701 2: "{0x0A,0x0A} {0x1A,0x1A} {0x2A,0x2A}" and so on */
static uint16_t value(const struct milgi__hs *hs, unsigned which)
{
    unsigned byte = (hs->grease[which] & 0xf0u) | 0x0au;
    /*= RFC8446 4.2: "There MUST NOT be more than one extension of the same type in a given extension block." */
    if (which == EXTENSION_2 && ((hs->grease[EXTENSION_1] ^ hs->grease[EXTENSION_2]) & 0xf0u) == 0)
        byte ^= 0x10u;
    return (uint16_t)(byte << 8 | byte);
}

/* |before| and |list|, until the step has run; p NULL: no memory, or there was none. */
static struct milgi__bytes prepend(struct milgi__hs *hs, const uint8_t *before, size_t n, struct milgi__bytes list)
{
    uint8_t *p = list.p ? milgi__arena_alloc(&hs->scratch, n + list.len) : NULL;
    if (!p)
        return (struct milgi__bytes){ NULL, 0 };
    memcpy(p, before, n);
    memcpy(p + n, list.p, list.len);
    return (struct milgi__bytes){ p, n + list.len };
}

static struct milgi__bytes with_value(struct milgi__hs *hs, unsigned which, struct milgi__bytes list)
{
    uint8_t before[2];
    milgi__put16(before, value(hs, which));
    return prepend(hs, before, sizeof before, list);
}

/* Any order, but pre_shared_key stays last: Fisher and Yates, on a generator that begins with what was drawn. */
static const uint8_t *shuffled(struct milgi__hs *hs)
{
    uint8_t *order = milgi__arena_alloc(&hs->scratch, MILGI__EXT_N);
    uint32_t state = (uint32_t)milgi__get16(hs->grease + 8) << 16 | milgi__get16(hs->grease + 10) | 1u;
    for (unsigned i = 0; order && i < MILGI__EXT_N; i++)
        order[i] = (uint8_t)i;
    for (unsigned i = MILGI__EXT_PSK; order && i > 1; i--) {
        state = state * 1664525u + 1013904223u;
        unsigned k = (state >> 8) % i;
        uint8_t was = order[i - 1];
        order[i - 1] = order[k];
        order[k] = was;
    }
    return order;
}

bool milgi__grease(struct milgi__hs *hs, struct milgi__client_hello *hello)
{
    struct milgi__exts *ext = &hello->ext;
    if (!hs->config->grease)
        return true;
    hello->suites = with_value(hs, SUITE, hello->suites);
    ext->groups = with_value(hs, GROUP, ext->groups);
    ext->schemes = with_value(hs, SCHEME, ext->schemes);
    ext->versions = with_value(hs, VERSION, ext->versions);
    /*= RFC8446 4.1.2: "replacing the list of shares with a list containing a single KeyShareEntry from the indicated
     *= group" */
    if (hs->step != MILGI__C13_SEND_HELLO_SHARE) {
        uint8_t share[5] = { 0, 0, 0, 1, 0 };
        milgi__put16(share, value(hs, GROUP));
        ext->shares = prepend(hs, share, sizeof share, ext->shares);
    }
    if (ext->alpn.len != 0) {
        uint8_t name[3] = { 2, 0, 0 };
        milgi__put16(name + 1, value(hs, PROTOCOL));
        ext->alpn = prepend(hs, name, sizeof name, ext->alpn);
    }
    ext->grease[0] = value(hs, EXTENSION_1);
    ext->grease[1] = value(hs, EXTENSION_2);
    ext->order = shuffled(hs);
    return ext->order && ext->versions.p && (hs->config->alpn_len == 0 || ext->alpn.p);
}
