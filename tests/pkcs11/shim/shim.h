/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that is SoftHSM's but for what a test wants otherwise, and that counts what it is asked. A test gets
 * at its switches by shim_switches() of the same file, once the module is loaded or before.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

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
};

struct shim *shim_switches(void);
