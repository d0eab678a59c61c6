/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device must do, of keyless with `milgi keyserver` in a process of its own; or with gokeyless, if the
 * program's argument says where that is (tests/keyless/gokeyless).
 * ctest-timeout: 240
 * ctest-wrap: milgi_device_new
 */
int conformance_main(int argc, char **argv);
#define main conformance_main
#include "../device/conformance_test.c"
#undef main

#include "servers.h"

static char address[32];
static const char *gokeyless;
static struct milgi_device_ops ops;

/* Go reads no keys of id-RSASSA-PSS. */
static int without_pss_keys(struct milgi_device *asked, int type, uint16_t alg)
{
    (void)asked;
    bool pss = alg >= MILGI_SIG_RSA_PSS_PSS_SHA256 && alg <= MILGI_SIG_RSA_PSS_PSS_SHA512;
    return type == MILGI_OP_SIGN && !pss && milgi__keyless_opcode(alg) != 0;
}

int __wrap_milgi_device_new(const char *spec, struct milgi_device **made, const char **why);
int __real_milgi_device_new(const char *spec, struct milgi_device **made, const char **why);

/* "keyless:64": with that depth. */
int __wrap_milgi_device_new(const char *spec, struct milgi_device **made, const char **why)
{
    struct milgi_keyless_options options;
    if (strncmp(spec, "keyless:", strlen("keyless:")) != 0)
        return __real_milgi_device_new(spec, made, why);
    struct milgi_config *config = servers_options(&options, address);
    options.timeout_ns = UINT64_C(3600000000000); /* a machine may be busy with something else, or stand still */
    options.depth = (uint32_t)atoi(spec + strlen("keyless:"));
    int rv = milgi_keyless_new(&options, made, why);
    milgi_config_unref(config);
    if (rv == 0 && gokeyless) {
        ops = *(*made)->ops;
        ops.supports = without_pss_keys;
        (*made)->ops = &ops;
    }
    if (rv == 0)
        snprintf((*made)->spec, sizeof(*made)->spec, "%s", spec);
    return rv;
}

int main(int argc, char **words)
{
    static char uri[] = "keyless:", spec[] = "keyless:64", *argv[] = { uri, spec };
    const struct identity *identities[RIG_SIGNERS], *those[RIG_SIGNERS];
    unsigned n = 0;
    struct keyserver_process process = { 0 };

    servers_set_up();
    rig_prepare();
    for (int i = 0; i < RIG_SIGNERS; i++) {
        identities[i] = rig_identity((enum rig_signer)i);
        rig_at((enum rig_signer)i, uri, false);
        if (i != RIG_RSA_PSS)
            those[n++] = identities[i];
    }
    gokeyless = argc > 1 ? words[1] : NULL;
    if (gokeyless)
        gokeyless_begin(&process, gokeyless, those, n);
    else
        keyserver_begin(&process, identities, RIG_SIGNERS);
    snprintf(address, sizeof address, "127.0.0.1:%u", process.port);
    int failed = conformance_main(2, argv);
    keyserver_end(&process);
    servers_tear_down();
    return failed;
}
