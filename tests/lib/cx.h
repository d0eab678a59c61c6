/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's crypto state for all tests of a program: the setup and teardown of its group. */
#pragma once

extern struct milgi__crypto *cx;
int cx_open(void **state);
int cx_close(void **state);
