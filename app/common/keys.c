/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys that are in tokens: `--key pkcs11:...`. */
#include "common/keys.h"
#include "common/say.h"

#include <stdlib.h>
#include <string.h>

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

static bool is_for_tokens(const struct milgi_device *device)
{
    return device && !strcmp(device->ops->name, spec);
}

/* The device for them, unless the one that was asked for is just that. */
static bool open_tokens(struct app_tls *tls, const char *key)
{
    const char *why = NULL;
    if (tls->tokens || is_for_tokens(tls->device))
        return true;
    int rc = milgi_device_new(spec, &tls->tokens, &why);
    if (rc) {
        app_key_complain(key, rc == MILGI_EUNSUPPORTED ? "this milgi was built without PKCS#11" : why);
        return false;
    }
    rc = milgi_engine_add_device(milgi_uv_engine(tls->uv), tls->tokens);
    if (rc >= 0)
        return true;
    app_key_complain(key, milgi_error_text(rc));
    milgi_device_free(tls->tokens);
    tls->tokens = NULL;
    return false;
}

static bool try_key(struct app_tls *tls, const struct milgi_credential *credential)
{
    const char *uri = milgi_credential_key_uri(credential);
    char text[160];
    int code;
    if (!open_tokens(tls, uri))
        return false;
    int rc = milgi_device_try_key(tls->tokens ? tls->tokens : tls->device, credential, &code);
    if (!rc)
        return true;
    const char *why = rc == MILGI_EDEVICE ? milgi_device_code_text(code) : milgi_error_text(rc);
    snprintf(text, sizeof text, "%s", why ? why : milgi_error_text(rc));
    if (code > MILGI_CODE_PKCS11_OTHER)
        snprintf(text, sizeof text, "%s (0x%x)", why, (unsigned)(code - MILGI_CODE_PKCS11_OTHER));
    app_key_complain(uri, text);
    return false;
}

bool app_keys_try(struct app_tls *tls, const struct app_material *material)
{
    for (size_t i = 0; i < material->elsewhere_n; i++)
        if (!try_key(tls, material->elsewhere[i]))
            return false;
    return true;
}
