/* SPDX-License-Identifier: Apache-2.0 */
/* What a program without a system has: what compilers expect, and a way to say something to the emulator. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"

void say(const char *text);
void say_number(uint64_t n);
/* Does not return. */
void switch_off(void);
