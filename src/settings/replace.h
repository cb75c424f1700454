/* SPDX-License-Identifier: Apache-2.0
 *
 * replace.h - a file that others read while it is written.
 */
#ifndef LATCHKEY_SETTINGS_REPLACE_H
#define LATCHKEY_SETTINGS_REPLACE_H

#include <latchkey/bytes.h>

/* Put TEXT in place of the file PATH in one step and on disk, with the owner and the rights of the one that
 * was there (0644 for a new one). False, with errno: nothing has changed. */
LK_CHECKED bool lk_file_replace(const char *path, lk_view text);

#endif
