/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.h - "Firefox on Linux" out of a User-Agent, for people to recognise their own sessions by.
 */
#ifndef LATCHKEY_SERVICE_AGENT_H
#define LATCHKEY_SERVICE_AGENT_H

#include <latchkey/bytes.h>

/* Names of the browser and the system, or "" when unknown. Never NULL. A guess: nothing is decided by it. */
const char *lk__agent_browser(lk_view agent);
const char *lk__agent_system(lk_view agent);

#endif
