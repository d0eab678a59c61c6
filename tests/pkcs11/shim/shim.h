/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that is SoftHSM's but for what a test wants otherwise, and that counts what it is asked. A test gets
 * at its switches by shim_switches() of the same file, once the module is loaded or before.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/* Functions that can hang, as bits. */
enum shim_function {
    SHIM_SIGN = 1,
    SHIM_SIGN_INIT = 2,
    SHIM_LOGIN = 4,
    SHIM_OPEN_SESSION = 8,
    SHIM_TOKEN_INFO = 16,
    SHIM_FIND = 32,
    SHIM_CLOSE_SESSION = 64,
    SHIM_FINALIZE = 128
};

struct shim {
    /* what was asked */
    _Atomic unsigned lives, logins, again, looks, signatures, sessions_most;
    /* what is answered */
    _Atomic bool absent;               /* there is no token, and whoever uses one is told CKR_DEVICE_REMOVED */
    _Atomic bool until_anew;           /* when it has been absent, it stays so until the module is started anew */
    _Atomic unsigned sessions;         /* that may be open at once; 0: as many as SoftHSM has */
    _Atomic unsigned long token_flags; /* besides the token's own */
    _Atomic unsigned long sign_error;  /* of the next |sign_errors| calls of C_Sign */
    _Atomic unsigned sign_errors;
    _Atomic unsigned long login_error; /* of every C_Login; 0: SoftHSM's own */
    _Atomic bool always;               /* keys want the PIN for every signature */
    _Atomic bool no_eddsa;
    _Atomic bool blocked; /* C_Sign does not return until this is false */
    /* functions that do not return until their bit is gone, at tokens whose label begins with |hang_at| */
    _Atomic unsigned hang;
    char hang_at[32];
    _Atomic unsigned hanging; /* that are inside now */
};

struct shim *shim_switches(void);
