/* SPDX-License-Identifier: Apache-2.0 */
/* External PSKs from --psk-file. */
#pragma once

#include "common/options.h"

/*
 * Those of the options' file, into |config|, of |role|. |patience_ms| as for other files. False: it has complained; no
 * byte of a secret is shown.
 */
bool app_psks_load(
    struct milgi_config *config, enum milgi_role role, const struct app_options *options, uint32_t patience_ms);
