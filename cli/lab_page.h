/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_page.h - the page while it is written.
 */
#ifndef LATCHKEY_CLI_LAB_PAGE_H
#define LATCHKEY_CLI_LAB_PAGE_H

#include "lab.h"

typedef struct lab_page_file {
    const lab *l;
    FILE *f;
    lab_language language;
} lab_page_file;

/* The text in the language of P. */
const char *lab_in(const lab_page_file *p, const char *english, const char *chinese);

/* lab_figures.c */
void lab_page_plots(const lab_page_file *p);
void lab_page_table(const lab_page_file *p);
void lab_page_how(const lab_page_file *p);

#endif
