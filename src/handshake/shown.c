/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decisions show of a ClientHello. The lists of a hello are read where they lie in it; what an answer that comes
 * later may go by is kept, in another form, which may take many times as much: so it is bounded.
 */
#include "handshake/hs.h"

#define GROUPS_SHOWN 64u
#define VERSIONS_SHOWN 16u

static struct milgi_iov *names_of(struct milgi__hs *hs, struct milgi__bytes list, size_t *n)
{
    struct milgi__bytes name;
    size_t most = 0;
    for (struct milgi__reader r = milgi__reader_of(list); most < MILGI_ALPN_SHOWN && milgi__alpn_next(&r, &name);)
        most++;
    struct milgi_iov *names = milgi__arena_alloc(&hs->arena, (most + 1) * sizeof *names);
    struct milgi__reader r = milgi__reader_of(list);
    for (*n = 0; names && *n < most && milgi__alpn_next(&r, &name);)
        names[(*n)++] = (struct milgi_iov){ name.p, name.len };
    return names;
}

/* The first of |from| behind |to|, which it moves. */
static uint16_t take(uint16_t **to, struct milgi__bytes from, size_t most)
{
    size_t n = MILGI__MIN(milgi__u16_n(from), most);
    for (size_t i = 0; i < n; i++)
        *(*to)++ = milgi__u16_at(from, i);
    return (uint16_t)n;
}

bool milgi__show_hello(struct milgi__hs *hs, const struct milgi__client_hello *hello)
{
    const struct milgi__exts *ext = &hello->ext;
    uint8_t legacy[2];
    milgi__put16(legacy, hello->legacy_version);
    /* Who has not the extension offers its legacy_version, and whatever is below. */
    struct milgi__bytes versions = ext->versions.len != 0 ? ext->versions : (struct milgi__bytes){ legacy, 2 };
    size_t n = MILGI__MIN(milgi__u16_n(hello->suites), MILGI_SUITES_SHOWN) +
        MILGI__MIN(milgi__u16_n(ext->groups), GROUPS_SHOWN) + MILGI__MIN(milgi__u16_n(versions), VERSIONS_SHOWN);
    struct milgi__shown *shown = milgi__arena_alloc(&hs->arena, sizeof *shown + n * sizeof shown->numbers[0]);
    struct milgi__bytes protocols = ext->alpn.len != 0 ? milgi__arena_copy(&hs->arena, ext->alpn) : ext->alpn;
    if (shown)
        shown->alpn = names_of(hs, protocols, &shown->alpn_n);
    if (!shown || !shown->alpn || (ext->alpn.len != 0 && !protocols.p)) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    uint16_t *to = shown->numbers;
    shown->protocols = protocols;
    shown->suites_n = take(&to, hello->suites, MILGI_SUITES_SHOWN);
    shown->groups_n = take(&to, ext->groups, GROUPS_SHOWN);
    shown->versions_n = take(&to, versions, VERSIONS_SHOWN);
    hs->shown = shown;
    return true;
}

bool milgi__take_server_name(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    if (ext->server_name.len == 0 || hs->result.server_name)
        return true;
    hs->result.server_name = (const char *)milgi__arena_copy(&hs->arena, ext->server_name).p;
    if (!hs->result.server_name)
        milgi__hs_broken(hs, MILGI_ENOMEM);
    return hs->result.server_name;
}

void milgi__show(const struct milgi__hs *hs, struct milgi_decision_info *info)
{
    const struct milgi__shown *shown = hs->shown;
    if (!shown)
        return;
    info->alpn = shown->alpn;
    info->alpn_n = shown->alpn_n;
    info->suites = shown->numbers;
    info->suites_n = shown->suites_n;
    info->groups = shown->numbers + shown->suites_n;
    info->groups_n = shown->groups_n;
    info->versions = info->groups + shown->groups_n;
    info->versions_n = shown->versions_n;
}
