/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device "keyless" (adapters/keyless) says of an op that it could not do, and of its servers. docs/devices.md
 * tells what each means and what to do.
 */
#pragma once

#include <milgi/device.h>

/*
 * Codes from MILGI_CODE_KEYLESS_ERROR on are that plus what the key server answered. milgi_device_code_text() has the
 * texts. X(name, value, text)
 */
#define MILGI_CODES_KEYLESS(X) \
    X(MILGI_CODE_KEYLESS_NO_SERVER, 1402, "no key server can be reached") \
    X(MILGI_CODE_KEYLESS_TIMEOUT, 1403, "no key server has answered in time") \
    X(MILGI_CODE_KEYLESS_SCHEME, 1404, "key servers make no such signatures") \
    X(MILGI_CODE_KEYLESS_ANSWER, 1405, "the key server's answer makes no sense") \
    X(MILGI_CODE_KEYLESS_LONG, 1406, "what is to be signed is too long for a key server") \
    X(MILGI_CODE_KEYLESS_MEMORY, 1407, "no memory left to ask a key server") \
    X(MILGI_CODE_KEYLESS_NAME, 1408, "the key server's name cannot be resolved") \
    X(MILGI_CODE_KEYLESS_CONNECT, 1409, "the key server cannot be connected to") \
    X(MILGI_CODE_KEYLESS_TLS, 1410, "the key server and this client do not accept each other") \
    X(MILGI_CODE_KEYLESS_GONE, 1411, "the connection to the key server has ended") \
    X(MILGI_CODE_KEYLESS_HANGS, 1412, "the key server does not answer: it is left alone until it does") \
    X(MILGI_CODE_KEYLESS_FORK, 1413, "the device was made before fork(): it is its maker's alone") \
    X(MILGI_CODE_KEYLESS_LIES, 1414, "the key server's signatures are wrong: it is left alone for a minute") \
    X(MILGI_CODE_KEYLESS_ERROR, 1420, "the key server reported an error that is not known") \
    X(MILGI_CODE_KEYLESS_CRYPTO, 1421, "the key server could not sign") \
    X(MILGI_CODE_KEYLESS_NO_KEY, 1422, "the key server has no such key") \
    X(MILGI_CODE_KEYLESS_READ, 1423, "the key server could not read the request") \
    X(MILGI_CODE_KEYLESS_VERSION, 1424, "the key server speaks another version of the protocol") \
    X(MILGI_CODE_KEYLESS_OPCODE, 1425, "the key server does not know the operation") \
    X(MILGI_CODE_KEYLESS_UNEXPECTED, 1426, "the key server took the request for an answer") \
    X(MILGI_CODE_KEYLESS_FORMAT, 1427, "the key server could not parse the request") \
    X(MILGI_CODE_KEYLESS_INTERNAL, 1428, "the key server had an internal error") \
    X(MILGI_CODE_KEYLESS_NO_CERT, 1429, "the key server has no such certificate") \
    X(MILGI_CODE_KEYLESS_EXPIRED, 1430, "the key server says that something has expired") \
    X(MILGI_CODE_KEYLESS_REMOTE, 1431, "the key server's own key server is not set up right")

enum milgi_code_keyless {
#define MILGI_X(name, value, text) name = (value),
    MILGI_CODES_KEYLESS(MILGI_X)
#undef MILGI_X
};
