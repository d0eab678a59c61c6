/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys that are elsewhere: `--key pkcs11:...`, in tokens, and `--key keyless:...`, on other machines. */
#include "common/keys.h"
#include "common/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char spec[] = "pkcs11";

/* The URI as far as it may be shown: what comes behind '?' can hold a PIN. */
static int shown_len(const char *uri)
{
    return (int)strcspn(uri, "?");
}

void app_key_complain(const char *key, const char *why)
{
    if (milgi_credential_is_uri(key))
        app_complain("%.*s: %s", shown_len(key), key, why);
    else
        app_complain("%s: %s", key, why);
}

void app_key_complain_of(const char *key, const struct milgi_problem *problem)
{
    if (problem->kind == MILGI_PROBLEM_ENCRYPTED)
        app_complain("%s: %s: --key-passphrase-file says it", key, problem->text);
    else
        app_key_complain(key, problem->text);
}

bool app_keys_keep(struct app_material *material, struct milgi_credential *credential)
{
    if (!milgi_credential_key_uri(credential))
        return true;
    struct milgi_credential **more =
        realloc(material->elsewhere, (material->elsewhere_n + 1) * sizeof(struct milgi_credential *));
    if (!more)
        return false;
    material->elsewhere = more;
    more[material->elsewhere_n++] = milgi_credential_ref(credential);
    return true;
}

void app_keys_forget(struct app_material *material)
{
    for (size_t i = 0; i < material->elsewhere_n; i++)
        milgi_credential_unref(material->elsewhere[i]);
    free(material->elsewhere);
    material->elsewhere = NULL;
    material->elsewhere_n = 0;
}

bool app_keys_are_for(const struct milgi_device *device)
{
    return device && !strcmp(device->ops->name, spec);
}

static void complain_of(const char *uri, int rv, int code)
{
    const char *why = rv == MILGI_EDEVICE ? milgi_device_code_text(code) : milgi_error_text(rv);
    char text[160];
    snprintf(text, sizeof text, "%s", why ? why : milgi_error_text(rv));
    if (code > MILGI_CODE_PKCS11_OTHER)
        snprintf(text, sizeof text, "%s (0x%x)", why, (unsigned)(code - MILGI_CODE_PKCS11_OTHER));
    app_key_complain(uri, text);
}

bool app_key_try(struct milgi_device *device, const struct milgi_credential *credential)
{
    int code = 0, rv = milgi_device_try_key(device, credential, &code);
    if (rv)
        complain_of(milgi_credential_key_uri(credential), rv, code);
    return !rv;
}

static bool try_key(
    struct milgi_device **tokens, struct milgi_device *keyless, const struct milgi_credential *credential)
{
    const char *uri = milgi_credential_key_uri(credential), *why = NULL;
    bool remote = !strncasecmp(uri, "keyless:", 8);
    int rv = remote || *tokens ? 0 : milgi_device_new(spec, tokens, &why);
    if (rv)
        app_key_complain(uri, rv == MILGI_EUNSUPPORTED ? "this milgi was built without PKCS#11" : why);
    else if (remote && !keyless)
        app_key_complain(uri, "needs --device keyless:HOST:PORT");
    if (rv || (remote && !keyless))
        return false;
    return app_key_try(remote ? keyless : *tokens, credential);
}

bool app_keys_try(const struct app_material *material, struct milgi_device **device, struct milgi_device *keyless)
{
    for (size_t i = 0; i < material->elsewhere_n; i++)
        if (!try_key(device, keyless, material->elsewhere[i]))
            return false;
    return true;
}
