/* SPDX-License-Identifier: Apache-2.0 */
/* The tests of the adapter for libuv, whose loop is inside of a ring. ctest-wrap: uv_run uv_stop */
#include "../uv/read_test.c"
