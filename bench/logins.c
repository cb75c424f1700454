/* SPDX-License-Identifier: Apache-2.0
 *
 * logins.c - log many visitors in, without passwords, and print what each gets.
 *
 *   logins URL KEYS N
 *
 * For the gateways of the bench: as many sessions as visitors, so that no measurement is of one hot session.
 * Makes the store first, as `latchkey store init` does.
 */
#include "lab.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    lk_issued issued;
    lk_store *made;
    node n;

    must(argc == 4, "logins URL KEYS N");
    made = open_store(argv[1]);
    lk_store_close(made);
    node_open(&n, argv[1], argv[2]);
    for (unsigned i = 0; i < (unsigned)strtoul(argv[3], NULL, 10); i++) {
        char user[24];

        (void)snprintf(user, sizeof(user), "user-%u", i);
        node_login(&n, LK_KIND_SESSION_ID, user, &issued);
        (void)puts(issued.text);
        lk_issued_wipe(&issued);
    }
    node_close(&n);
    return 0;
}
