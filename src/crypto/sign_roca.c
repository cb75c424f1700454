/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_roca.c - find RSA keys of the library that made them too regular (CVE-2017-15361).
 *
 * That library made its primes as k*M + (65537^a mod M), where M is the product of the first primes, 126 of
 * them for keys of 2048 bits and more. So p, q and n are powers of 65537 modulo each of these primes. A sound
 * modulus is one modulo all of them with a chance below 2^-150: the mark is certain, and no key is lost to
 * it. Source: Nemec, Sys, Svenda, Klinec, Matyas, "The Return of Coppersmith's Attack", CCS 2017, section 3.
 */
#include "crypto/sign.h"

#define PRIME_MAX 701 /* the 126th */
#define GENERATOR 65537

static bool is_prime(unsigned n)
{
    for (unsigned i = 2; i * i <= n; i++) {
        if (n % i == 0)
            return false;
    }
    return n > 1;
}

static unsigned remainder_of(const uint8_t *n, size_t len, unsigned prime)
{
    unsigned rest = 0;

    for (size_t i = 0; i < len; i++)
        rest = (rest << 8 | n[i]) % prime;
    return rest;
}

/* Is REST one of 1, g, g^2, ... modulo PRIME? */
static bool is_power(unsigned rest, unsigned prime)
{
    unsigned power = 1;

    do {
        if (power == rest)
            return true;
        power = power * (GENERATOR % prime) % prime;
    } while (power != 1);
    return false;
}

bool lk_rsa_is_roca(const uint8_t *n, size_t len)
{
    for (unsigned prime = 3; prime <= PRIME_MAX; prime += 2) {
        if (is_prime(prime) && !is_power(remainder_of(n, len, prime), prime))
            return false;
    }
    return true;
}
