/* SPDX-License-Identifier: Apache-2.0
 *
 * jose_header.c - the protected header of the tokens we make (RFC 7515 section 4).
 */
#include "keyring/keyring_internal.h"
#include <latchkey/json.h>

void lk__jose_header_write(lk_alg alg, lk_view type, lk_view kid, lk_buf *out)
{
    lk_buf_add_text(out, "{\"alg\":\"");
    lk_buf_add_text(out, lk_alg_jose(alg));
    lk_buf_add_byte(out, '"');
    if (type.len > 0) {
        lk_buf_add_text(out, ",\"typ\":");
        lk_json_add_string(out, type);
    }
    lk_buf_add_text(out, ",\"kid\":");
    lk_json_add_string(out, kid);
    lk_buf_add_byte(out, '}');
}
