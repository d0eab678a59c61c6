/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device for keys with which the application signs, in whatever language and whenever it likes. Everything of it is
 * on the thread of the one engine that it is added to.
 *
 * An op waits in the device until the host asks for it, behind a turn of the engine, and is the host's until it is
 * answered. What the host keeps is a number: an op that nobody waits for any more (its connection is gone, it has taken
 * too long, the engine ends) is forgotten here, and an answer that comes for it then does nothing. So the host may lose
 * its function, its answer or itself at any time.
 *
 *   behind each turn:  while (milgi__signer_next(device, &sign)) begin it;
 *                      if that fails, milgi__signer_answer(device, sign.id, NULL, 0)
 *   when it is there:  milgi__signer_answer(device, id, signature, len)
 */
#pragma once

#include <milgi/milgi.h>

struct milgi__sign {
    uint64_t id;
    const char *key;     /* the credential's URI, behind the scheme; until it is answered */
    uint16_t scheme;     /* MILGI_SIG_* */
    const uint8_t *data; /* the message, which is hashed by who signs; until it is answered */
    size_t len;
};

/*
 * For credentials with a URI "SCHEME:...", whatever the case of its letters; |uri_scheme| is static text, and the
 * device's name. NULL: no memory. milgi_device_free() frees it, behind its engine.
 */
struct milgi_device *milgi__signer_new(const char *uri_scheme);
/* What is to be signed next, each once; false: nothing. */
bool milgi__signer_next(struct milgi_device *device, struct milgi__sign *sign);
/* |len| 0, or more than a signature of the scheme may have: it could not be made, and the handshake fails. Copies. */
void milgi__signer_answer(struct milgi_device *device, uint64_t id, const void *signature, size_t len);
