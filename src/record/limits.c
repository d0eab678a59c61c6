/* SPDX-License-Identifier: Apache-2.0 */
/* What a record may be, and how many there may be under one key. */
#include "record/limits.h"

/* --- keys ------------------------------------------------------------------------------------------------------- */

uint64_t milgi__limit_hard(const struct milgi__format *f, const struct milgi_key *key)
{
    /*= RFC8446 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be encrypted on a given
     *= connection while keeping a safety margin" */
    if (key->alg == MILGI_SUITE_AES_128_GCM_SHA256 || key->alg == MILGI_SUITE_AES_256_GCM_SHA384)
        return MILGI__MIN(UINT64_C(23726566), f->seq_max);
    return f->seq_max;
}

uint64_t milgi__limit_soft(const struct milgi__format *f, const struct milgi_key *key)
{
    const struct milgi__suite *suite = milgi__suite(key->alg);
    uint64_t hard = milgi__limit_hard(f, key);
    return suite ? MILGI__MIN(suite->record_limit, hard) : hard;
}

/* --- padding ---------------------------------------------------------------------------------------------------- */

uint32_t milgi__limit_padding(struct milgi__record *r, uint32_t content)
{
    if (!r->env->calls->padding || !r->out.format->inner_len)
        return 0;
    if (r->pad_for != content + 1) {
        size_t pad = r->env->calls->padding(r->env->ctx, content);
        /*= RFC8446 5.4: "the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets" */
        r->pad = (uint32_t)MILGI__MIN(pad, MILGI__PLAINTEXT_MAX - content);
        r->pad_for = content + 1;
    }
    return r->pad;
}

/* --- headers received ------------------------------------------------------------------------------------------- */

static bool check_type(const struct milgi__record *r, uint8_t type, uint32_t len, struct milgi__failure *failure)
{
    const struct milgi__format *f = r->in.format;
    /*= RFC8446 5: "If a TLS implementation receives an unexpected record type, it MUST terminate the connection with an
     *= "unexpected_message" alert." */
    if (type < MILGI__CCS || type > MILGI__DATA)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "unknown record type");
    if (milgi__format_has(f->takes, type) || (type == MILGI__DATA && r->clear_data))
        return true;
    if (milgi__format_has(f->until_open, type) && len == 2 && !r->seen_protected_in)
        return true;
    return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE,
        type == MILGI__DATA ? "application data without protection" : "record without protection");
}

bool milgi__limit_header(const struct milgi__record *r, const uint8_t *header, struct milgi__failure *failure)
{
    const struct milgi__format *f = r->in.format;
    uint8_t type = header[0];
    uint32_t len = milgi__format_body(f, header);
    if (!check_type(r, type, len, failure))
        return false;
    /*= RFC8446 5.1: "This field is deprecated and MUST be ignored for all purposes." Only what comes first of all is
     *= looked at, to tell a peer that speaks something else. */
    if (r->in.tail == 0 && header[1] != f->version >> 8)
        return milgi__refuse(failure, MILGI_ALERT_PROTOCOL_VERSION, "this is not TLS");
    bool protected = milgi__format_has(f->protects, type);
    /*= RFC8446 5.2: "An endpoint that receives a record that exceeds this length MUST terminate the connection with a
     *= "record_overflow" alert." */
    if (len > (protected ? f->protected_max : f->clear_max))
        return milgi__refuse(failure, MILGI_ALERT_RECORD_OVERFLOW, "record too long");
    /*= RFC8446 5.1: "Implementations MUST NOT send zero-length fragments of Handshake types" */
    if (len == 0 && !protected)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "empty record");
    return true;
}
