/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device "pkcs11" says of an op that it could not do. docs/devices.md tells what each means and what to do.
 */
#pragma once

#include <milgi/device.h>

/*
 * Codes from MILGI_CODE_PKCS11_OTHER on are that plus what the token returned (CKR_*). milgi_device_code_text() has the
 * texts. X(name, value, text)
 */
#define MILGI_CODES_PKCS11(X) \
    X(MILGI_CODE_PKCS11_URI, 1101, "the key's PKCS#11 URI is malformed, or names something else than a private key") \
    X(MILGI_CODE_PKCS11_MODULE, 1102, "the PKCS#11 module cannot be loaded or does not start") \
    X(MILGI_CODE_PKCS11_NO_TOKEN, 1103, "the token is not there") \
    X(MILGI_CODE_PKCS11_TOKENS, 1104, "the key's URI fits several tokens: it has to say token= or serial=") \
    X(MILGI_CODE_PKCS11_NO_PIN, 1105, "the token asks for a PIN: the key's URI has to say pin-source= or pin-value=") \
    X(MILGI_CODE_PKCS11_PIN_SOURCE, 1106, "the PIN cannot be read from where it is said to be") \
    X(MILGI_CODE_PKCS11_PIN_WRONG, 1107, "the PIN is wrong; this one is not tried again") \
    X(MILGI_CODE_PKCS11_PIN_LOCKED, 1108, "the token has locked its PIN") \
    X(MILGI_CODE_PKCS11_PIN_LAST, 1109, "a wrong PIN would now lock the token, so none is tried: log in by hand once") \
    X(MILGI_CODE_PKCS11_PIN_CHANGE, 1110, "the token wants its PIN to be changed first") \
    X(MILGI_CODE_PKCS11_NO_OBJECT, 1111, "the token has no such private key") \
    X(MILGI_CODE_PKCS11_MISMATCH, 1112, "the token's private key does not belong to the certificate") \
    X(MILGI_CODE_PKCS11_MECHANISM, 1113, "the token cannot sign in the way that TLS asks for") \
    X(MILGI_CODE_PKCS11_NOT_ALLOWED, 1114, "the token's key may not be used for signatures") \
    X(MILGI_CODE_PKCS11_SESSIONS, 1115, "the token has no session left") \
    X(MILGI_CODE_PKCS11_GONE, 1116, "the token has failed or was removed") \
    X(MILGI_CODE_PKCS11_MEMORY, 1117, "no memory left to use the token") \
    X(MILGI_CODE_PKCS11_TIMEOUT, 1118, "the token has not answered in time") \
    X(MILGI_CODE_PKCS11_HANGS, 1119, "the token does not answer: it is left alone, but for a try now and then") \
    X(MILGI_CODE_PKCS11_OTHER, 0x110000, "the token failed in a way of its own")

enum milgi_code_pkcs11 {
#define MILGI_X(name, value, text) name = (value),
    MILGI_CODES_PKCS11(MILGI_X)
#undef MILGI_X
};
