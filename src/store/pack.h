/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.h - whole numbers as bytes, least significant first unless the name says otherwise.
 *
 * The formats of latchkey are the same on every machine, so nothing is ever copied as a struct.
 */
#ifndef LATCHKEY_STORE_PACK_H
#define LATCHKEY_STORE_PACK_H

#include <stdint.h>

#define LK_U40_MAX INT64_C(0xffffffffff) /* seconds since 1970 up to the year 36812 */

static inline uint16_t lk__get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)(p[1] << 8));
}

static inline uint32_t lk__get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t lk__get64(const uint8_t *p)
{
    return (uint64_t)lk__get32(p) | (uint64_t)lk__get32(p + 4) << 32;
}

/* Five bytes: a time in seconds. */
static inline int64_t lk__get40(const uint8_t *p)
{
    return (int64_t)((uint64_t)lk__get32(p) | (uint64_t)p[4] << 32);
}

static inline void lk__put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void lk__put32(uint8_t *p, uint32_t value)
{
    lk__put16(p, (uint16_t)value);
    lk__put16(p + 2, (uint16_t)(value >> 16));
}

static inline void lk__put64(uint8_t *p, uint64_t value)
{
    lk__put32(p, (uint32_t)value);
    lk__put32(p + 4, (uint32_t)(value >> 32));
}

static inline void lk__put40(uint8_t *p, int64_t value)
{
    lk__put32(p, (uint32_t)(uint64_t)value);
    p[4] = (uint8_t)((uint64_t)value >> 32);
}

/* Most significant byte first, so that the order of the bytes is the order of the numbers. */
static inline void lk__put64_ordered(uint8_t *p, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        p[i] = (uint8_t)value;
}

static inline uint64_t lk__get64_ordered(const uint8_t *p)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | p[i];
    return value;
}

#endif
