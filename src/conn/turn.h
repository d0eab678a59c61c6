/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

extern const struct milgi__owner_ops milgi__conn_owner_ops;
