/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something failed: the one shape in which every room hands it up, from a record that does not verify to
 * on_closed(), where it becomes a struct milgi_reason (conn/close.c).
 */
#pragma once

#include <milgi/error.h>

#include "base/base.h"

#define MILGI__NO_OP (-1)

struct milgi__failure {
    const char *detail;  /* static text for people; NULL while nothing has failed */
    int32_t device_code; /* of the op; of the transport (MILGI_ETRANSPORT) */
    int16_t alert;       /* to send, or (MILGI_EALERT) received; MILGI_ALERT_NONE: none */
    int8_t error;        /* MILGI_E*; 0: nothing has failed */
    int8_t op;           /* enum milgi_op_type, or MILGI__NO_OP */
};

/* What is nobody's device. */
static inline struct milgi__failure milgi__failure(int error, int alert, const char *detail)
{
    return (struct milgi__failure){
        .error = (int8_t)error, .alert = (int16_t)alert, .op = MILGI__NO_OP, .detail = detail
    };
}

/* The peer has broken the protocol. False, so that a decoder can return it. */
static inline bool milgi__refuse(struct milgi__failure *failure, int alert, const char *detail)
{
    *failure = milgi__failure(MILGI_EPROTO, alert, detail);
    return false;
}
