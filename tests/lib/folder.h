/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A directory of this process, made when it is first asked for, and gone with the process, however its tests end. */
const char *folder(void);
/* |name| in it, which nobody has made; valid until this is called again. */
const char *folder_path(const char *name);
