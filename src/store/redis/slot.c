/* SPDX-License-Identifier: Apache-2.0
 *
 * slot.c - which of the 16384 slots of a cluster a key belongs to: CRC16 (XMODEM: polynomial 0x1021) of the
 * key, or of what stands between its first '{' and the next '}' if that is not empty. Source: Redis Cluster
 * specification, "Key distribution model" and "Hash tags".
 */
#include "store/redis/redis_inner.h"

static uint16_t crc16(lk_view bytes)
{
    uint16_t crc = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint16_t)(bytes.p[i] << 8);
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

unsigned lk__redis_slot_of(lk_view key)
{
    size_t open = lk_view_find(key, '{');
    lk_view tag = lk_view_part(key, open + 1, key.len);
    size_t close = lk_view_find(tag, '}');

    if (close < tag.len && close > 0)
        key = lk_view_part(tag, 0, close);
    return crc16(key) % LK__REDIS_SLOTS;
}
