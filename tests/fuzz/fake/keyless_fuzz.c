/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the keyless protocol, as either end reads them: any bytes, in pieces that the first byte says. What is
 * taken is written again and read again, and is the same; nothing outside of the bytes is read.
 */
#include "../../../adapters/keyless/wire.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
    if (!what)
        abort();
}

static void again(const struct milgi__keyless_message *m)
{
    static uint8_t bytes[MILGI__KEYLESS_MAX];
    struct milgi__keyless_message back;
    size_t len = milgi__keyless_length(m), whole;
    if (len == 0)
        return;
    must(len <= sizeof bytes && milgi__keyless_write(m, bytes) == len);
    must(milgi__keyless_parse(bytes, len, &back, &whole) == (int)len && whole == len);
    must(back.id == m->id && back.opcode == m->opcode && back.has_ski == m->has_ski);
    must(back.payload_len == m->payload_len && back.sni_len == m->sni_len);
    must(!m->has_ski || memcmp(back.ski, m->ski, sizeof m->ski) == 0);
    must(m->payload_len == 0 || memcmp(back.payload, m->payload, m->payload_len) == 0);
    must(m->sni_len == 0 || memcmp(back.sni, m->sni, m->sni_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct milgi__keyless_message m;
    size_t at = 0, whole;
    if (size == 0)
        return 0;
    size_t step = *data++;
    size--;
    while (at < size) {
        /* Its own memory, so that who reads behind it is seen; first a part of it. */
        size_t left = size - at, part = step < left ? step : left;
        uint8_t *copy = malloc(left);
        must(copy != NULL);
        memcpy(copy, data + at, left);
        int early = milgi__keyless_parse(copy, part, &m, &whole);
        int rv = milgi__keyless_parse(copy, left, &m, &whole);
        must(early == 0 || early == rv);
        if (rv > 0) {
            must((size_t)rv == whole && whole <= left);
            again(&m);
        }
        free(copy);
        if (whole == 0)
            break;
        at += whole;
    }
    return 0;
}
