/* SPDX-License-Identifier: Apache-2.0 */
/* What a record may be, and how many there may be under one key. */
#include "record/impl.h"

/* --- keys ------------------------------------------------------------------------------------------------------- */

uint64_t milgi__limit_hard(const struct milgi_key *key)
{
    /*= RFC8446 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be encrypted on a given
     *= connection while keeping a safety margin" */
    if (key->alg == MILGI_SUITE_AES_128_GCM_SHA256 || key->alg == MILGI_SUITE_AES_256_GCM_SHA384)
        return 23726566;
    /*= RFC8446 5.3: "If a TLS implementation would need to wrap a sequence number, it MUST either rekey (Section 4.6.3)
     *= or terminate the connection." */
    return UINT64_MAX;
}

uint64_t milgi__limit_soft(const struct milgi_key *key)
{
    const struct milgi__suite *suite = milgi__suite(key->alg);
    uint64_t hard = milgi__limit_hard(key);
    return suite ? MILGI__MIN(suite->record_limit, hard) : hard;
}

/* --- padding ---------------------------------------------------------------------------------------------------- */

uint32_t milgi__limit_padding(struct milgi__record *r, uint32_t content)
{
    if (!r->env->calls->padding)
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

static bool check_type(const struct milgi__record *r, uint8_t type, unsigned len, struct milgi__failure *failure)
{
    /*= RFC8446 5: "If a TLS implementation receives an unexpected record type, it MUST terminate the connection with an
     *= "unexpected_message" alert." */
    if (type < MILGI__CCS || type > MILGI__DATA)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "unknown record type");
    if (!r->in.key) {
        /*= RFC8446 5.1: "Application Data messages are always protected." */
        if (type == MILGI__DATA && !r->clear_data)
            return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "application data without protection");
        return true;
    }
    if (type == MILGI__DATA || type == MILGI__CCS)
        return true;
    /* A peer that could not make its keys tells us so in the clear. Nobody can have forged away what was opened. */
    if (type == MILGI__ALERT && len == 2 && !r->seen_protected_in)
        return true;
    return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "record without protection");
}

bool milgi__limit_header(
    const struct milgi__record *r, const uint8_t header[MILGI__RECORD_HEADER], struct milgi__failure *failure)
{
    uint8_t type = header[0];
    unsigned len = milgi__get16(header + 3);
    if (!check_type(r, type, len, failure))
        return false;
    /*= RFC8446 5.1: "This field is deprecated and MUST be ignored for all purposes." Only what comes first of all is
     *= looked at, to tell a peer that speaks something else. */
    if (r->in.tail == 0 && header[1] != 3)
        return milgi__refuse(failure, MILGI_ALERT_PROTOCOL_VERSION, "this is not TLS");
    bool protected = type == MILGI__DATA;
    /*= RFC8446 5.1: "The length MUST NOT exceed 2^14 bytes." */
    /*= RFC8446 5.2: "The length MUST NOT exceed 2^14 + 256 bytes. An endpoint that receives a record that exceeds this
     *= length MUST terminate the connection with a "record_overflow" alert." */
    if (len > (protected ? MILGI__CIPHERTEXT_MAX : MILGI__PLAINTEXT_MAX))
        return milgi__refuse(failure, MILGI_ALERT_RECORD_OVERFLOW, "record too long");
    /*= RFC8446 5.1: "Implementations MUST NOT send zero-length fragments of Handshake types" */
    if (len == 0 && !protected)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "empty record");
    return true;
}
