/* SPDX-License-Identifier: Apache-2.0 */
/* The rig of the tests of libuv, for the same over a ring. */
#include "../uv/rig.c"
