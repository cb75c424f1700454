/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_plot.h - plots as inline SVG: no script, colours from the page's style sheet.
 */
#ifndef LATCHKEY_CLI_LAB_PLOT_H
#define LATCHKEY_CLI_LAB_PLOT_H

#include "lab.h"

#define LAB_BARS_MAX 16

typedef struct lab_bars {
    const char *title, *note; /* NOTE says which direction is good, and what the unit is */
    const char *labels[LAB_BARS_MAX];
    double values[LAB_BARS_MAX];
    double more[LAB_BARS_MAX]; /* on top of each, in a second colour; all 0: none */
    const char *legend[2];     /* of the two colours, when there is MORE */
    int decimals;
    size_t n;
} lab_bars;
void lab_plot_bars(FILE *f, const lab_bars *bars);

typedef struct lab_points {
    const char *title, *note, *x_title, *y_title;
    const char *labels[LAB_BARS_MAX];
    double x[LAB_BARS_MAX], y[LAB_BARS_MAX];
    size_t n;
} lab_points;
void lab_plot_points(FILE *f, const lab_points *points);

/* How the requests around a blow ended, a column for each fifth of a second. */
void lab_plot_strip(FILE *f, const lab_strip *strip, const char *title, const char *blow);

#endif
