/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct identity *desk_root, *desk_key[IDENTITY_KEYS], *desk_stranger;
struct shim *desk_shim;

static void *module;

bool desk_set_up(void)
{
    struct shim *(*switches)(void) = NULL;

    if (!token_possible()) {
        print_message("not tested, since SoftHSM or p11-kit is not installed\n");
        return false;
    }
    setenv("MILGI_SHIM_MODULE", token_module(), 1);
    desk_root = identity_root(IDENTITY_P256, "root");
    token_new(DESK_TOKEN);
    for (int i = 0; i < IDENTITY_KEYS; i++) {
        desk_key[i] = identity_leaf(desk_root, (enum identity_key)i, "DNS:server.test");
        token_put(DESK_TOKEN, desk_key[i], identity_key_name((enum identity_key)i));
    }
    desk_stranger = identity_leaf(desk_root, IDENTITY_P256, "DNS:stranger.test");
    token_new(DESK_OTHER);
    token_put(DESK_OTHER, desk_stranger, "stranger");
    module = dlopen(MILGI_SHIM, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        fail_msg("%s", dlerror());
    *(void **)&switches = dlsym(module, "shim_switches");
    assert_non_null(switches);
    desk_shim = switches();
    return true;
}

void desk_tear_down(void)
{
    for (int i = 0; i < IDENTITY_KEYS; i++)
        identity_free((struct identity *)(uintptr_t)desk_key[i]);
    identity_free((struct identity *)(uintptr_t)desk_root);
    identity_free((struct identity *)(uintptr_t)desk_stranger);
    token_done();
}

void desk_calm(void)
{
    memset((void *)desk_shim, 0, sizeof *desk_shim);
}

struct milgi_credential *desk_credential(const struct identity *identity, const char *path, const char *query)
{
    struct milgi_credential *credential;
    char uri[512];

    snprintf(uri, sizeof uri, "pkcs11:%s?module-path=" MILGI_SHIM "%s%s", path, query[0] == '\0' ? "" : "&", query);
    assert_int_equal(
        milgi_credential_new_uri(identity->chain_pem, strlen(identity->chain_pem), uri, &credential), 0);
    return credential;
}

struct milgi_credential *desk_usual(enum identity_key key)
{
    char path[128];

    snprintf(path, sizeof path, "token=" DESK_TOKEN ";object=%s", identity_key_name(key));
    return desk_credential(desk_key[key], path, "pin-value=" TOKEN_PIN);
}

struct milgi_device *desk_device(const char *spec)
{
    struct milgi_device *device;
    const char *why;

    if (milgi_device_new(spec, &device, &why) != 0)
        fail_msg("%s: %s", spec, why);
    return device;
}

int desk_try(struct milgi_device *device, const struct milgi_credential *credential)
{
    int code = -1;
    int error = milgi_device_try_key(device, credential, &code);

    if (error == 0 || error == MILGI_EDEVICE)
        return code;
    print_error("%s\n", milgi_error_text(error));
    return -1;
}

char *desk_file(const char *name, const char *text)
{
    char dir[256];

    snprintf(dir, sizeof dir, "%s", token_dir());
    *strrchr(dir, '/') = '\0';
    return identity_write(dir, name, text);
}
