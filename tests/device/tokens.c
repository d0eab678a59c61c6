/* SPDX-License-Identifier: Apache-2.0 */
/* The pkcs11 device in the suite of all devices: a token in software, made for the test. */
#include <stdio.h>

#include "identity.h"
#include "rig.h"
#include "token.h"

#define LABEL "conformance"
#define LOCAL "pkcs11:token=" LABEL ";object=%s?pin-value=" TOKEN_PIN "&module-path=%s"
#define REMOTE "pkcs11:token=" LABEL ";object=%s;type=private?pin-source=file:%s"

static char uri[RIG_SIGNERS][256];

static const char *name_of(int signer)
{
    return identity_key_name((enum identity_key)signer); /* the same in both lists */
}

static void make(void)
{
    token_new(LABEL);
    for (int i = 0; i < RIG_SIGNERS; i++)
        token_put(LABEL, rig_identity((enum rig_signer)i), name_of(i));
}

bool rig_tokens(bool remote)
{
    if (!token_possible())
        return false;
    if (uri[0][0] == '\0')
        make();
    for (int i = 0; i < RIG_SIGNERS; i++) {
        if (remote)
            snprintf(uri[i], sizeof uri[i], REMOTE, name_of(i), token_pin_file());
        else
            snprintf(uri[i], sizeof uri[i], LOCAL, name_of(i), token_module());
        rig_at((enum rig_signer)i, uri[i], remote);
    }
    token_serve(remote ? LABEL : NULL);
    return true;
}

void rig_tokens_done(void)
{
    token_done();
}
