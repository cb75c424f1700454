/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_plot.c - see lab_plot.h. Texts come from our own tables and hold nothing that HTML would read.
 */
#include "lab_plot.h"
#include <math.h>
#include <string.h>

/* ---- bars ---- */

enum { BARS_WIDTH = 380, BAR_LEFT = 92, BAR_ROOM = 210, BAR_STEP = 24, BAR_HEIGHT = 15 };

static double most_of(const lab_bars *b)
{
    double most = 0;
    for (size_t i = 0; i < b->n; i++) {
        most = fmax(most, b->values[i] + b->more[i]);
    }
    return most > 0 ? most : 1;
}

static bool has_more(const lab_bars *b)
{
    double sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        sum += b->more[i];
    }
    return sum > 0;
}

/* 31725 as "31,725": thousands are read by their comma. */
static const char *number(double value, int decimals, char out[CLI_NUMBER_MAX])
{
    if (decimals == 0 && value < 1e15) {
        return cli_number((uint64_t)(value + 0.5), out);
    }
    snprintf(out, CLI_NUMBER_MAX, "%.*f", decimals, value);
    return out;
}

static void one_bar(FILE *f, const lab_bars *b, size_t i, double most)
{
    char text[CLI_NUMBER_MAX];
    double y = (double)i * BAR_STEP, first = b->values[i] / most * BAR_ROOM,
           second = b->more[i] / most * BAR_ROOM;
    fprintf(f, "<text x='%d' y='%.0f' class='lb' text-anchor='end'>%s</text>", BAR_LEFT - 8, y + 12,
            b->labels[i]);
    fprintf(f, "<rect x='%d' y='%.0f' width='%.1f' height='%d' rx='2' class='a'/>", BAR_LEFT, y,
            fmax(first, 1), BAR_HEIGHT);
    if (second > 0) {
        fprintf(f, "<rect x='%.1f' y='%.0f' width='%.1f' height='%d' rx='2' class='b'/>",
                BAR_LEFT + first + 1, y, second, BAR_HEIGHT);
    }
    fprintf(f, "<text x='%.1f' y='%.0f' class='vl'>%s</text>\n", BAR_LEFT + fmax(first + second, 1) + 6,
            y + 12, number(b->values[i] + b->more[i], b->decimals, text));
}

void lab_plot_bars(FILE *f, const lab_bars *b)
{
    double most = most_of(b);
    fprintf(f, "<figure><figcaption><b>%s</b><span>%s</span></figcaption>\n", b->title, b->note);
    if (has_more(b)) {
        fprintf(f, "<p class='key'><i class='a'></i>%s <i class='b'></i>%s</p>\n", b->legend[0],
                b->legend[1]);
    }
    fprintf(f, "<svg viewBox='0 0 %d %zu' role='img' aria-label='%s'>\n", BARS_WIDTH, b->n * BAR_STEP,
            b->title);
    for (size_t i = 0; i < b->n; i++) {
        one_bar(f, b, i, most);
    }
    fputs("</svg></figure>\n", f);
}

/* ---- points ---- */

enum {
    POINTS_WIDTH = 520,
    POINTS_HEIGHT = 320,
    LEFT = 58,
    RIGHT = 16,
    TOP = 14,
    BOTTOM = 44,
    LABEL_STEP = 15
};

/* The end of an axis: a round number, at least MOST, whose quarters are round as well. */
static double axis_end(double most)
{
    static const double leads[] = {1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10};
    double power = 1;
    while (power * 10 < most) {
        power *= 10;
    }
    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
        if (leads[i] * power >= most) {
            return leads[i] * power;
        }
    }
    return power * 10;
}

static void axes(FILE *f, const lab_points *p, double x_end, double y_end)
{
    char text[CLI_NUMBER_MAX];
    int width = POINTS_WIDTH - LEFT - RIGHT, height = POINTS_HEIGHT - TOP - BOTTOM;
    for (int i = 0; i <= 4; i++) {
        int x = LEFT + width * i / 4, y = TOP + height - height * i / 4;
        fprintf(
            f,
            "<path d='M%d %dV%d' class='gl'/><text x='%d' y='%d' class='ax' text-anchor='middle'>%s</text>",
            x, TOP, TOP + height, x, TOP + height + 16, number(x_end * i / 4, 0, text));
        fprintf(
            f, "<path d='M%d %dH%d' class='gl'/><text x='%d' y='%d' class='ax' text-anchor='end'>%s</text>\n",
            LEFT, y, LEFT + width, LEFT - 6, y + 4, number(y_end * i / 4, 0, text));
    }
    fprintf(f, "<text x='%d' y='%d' class='ax' text-anchor='middle'>%s</text>", LEFT + width / 2,
            POINTS_HEIGHT - 8, p->x_title);
}

/* Labels beside their points, pushed apart where they would lie on each other. */
static void place_labels(const double *x, const double *y, size_t n, double *label_y)
{
    for (size_t i = 0; i < n; i++) {
        label_y[i] = y[i] + 4;
    }
    for (size_t round = 0; round < n * 4; round++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < n; k++) {
                bool is_near =
                    i != k && fabs(x[i] - x[k]) < 100 && fabs(label_y[i] - label_y[k]) < LABEL_STEP;
                if (is_near && (label_y[i] > label_y[k] || (label_y[i] >= label_y[k] && i > k))) {
                    double apart = (LABEL_STEP - fabs(label_y[i] - label_y[k])) / 2 + 0.5;
                    label_y[i] += apart;
                    label_y[k] -= apart;
                }
            }
        }
    }
}

void lab_plot_points(FILE *f, const lab_points *p)
{
    double x[LAB_BARS_MAX], y[LAB_BARS_MAX], label_y[LAB_BARS_MAX], x_most = 0, y_most = 0;
    int width = POINTS_WIDTH - LEFT - RIGHT, height = POINTS_HEIGHT - TOP - BOTTOM;
    for (size_t i = 0; i < p->n; i++) {
        x_most = fmax(x_most, p->x[i]);
        y_most = fmax(y_most, p->y[i]);
    }
    double x_end = axis_end(x_most), y_end = axis_end(y_most);
    for (size_t i = 0; i < p->n; i++) {
        x[i] = LEFT + p->x[i] / x_end * width;
        y[i] = TOP + height - p->y[i] / y_end * height;
    }
    place_labels(x, y, p->n, label_y);
    fprintf(f, "<figure class='wide'><figcaption><b>%s</b><span>%s</span></figcaption>\n", p->title, p->note);
    fprintf(f, "<p class='key'>&#8593; %s</p><svg viewBox='0 0 %d %d' role='img' aria-label='%s'>\n",
            p->y_title, POINTS_WIDTH, POINTS_HEIGHT, p->title);
    axes(f, p, x_end, y_end);
    for (size_t i = 0; i < p->n; i++) {
        bool is_right = x[i] > LEFT + width * 0.75;
        fprintf(f,
                "<circle cx='%.1f' cy='%.1f' r='5' class='a'/><text x='%.1f' y='%.1f' class='pt' "
                "text-anchor='%s'>%s</text>\n",
                x[i], y[i], x[i] + (is_right ? -9 : 9), label_y[i], is_right ? "end" : "start", p->labels[i]);
    }
    fputs("</svg></figure>\n", f);
}

/* ---- strips ---- */

enum { STRIP_WIDTH = 380, STRIP_HEIGHT = 46 };

static void column(FILE *f, double x, double width, double *bottom, double height, const char *class)
{
    if (height > 0) {
        *bottom -= height;
        fprintf(f, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' class='%s'/>", x, *bottom, width,
                height, class);
    }
}

void lab_plot_strip(FILE *f, const lab_strip *s, const char *title, const char *blow)
{
    /* The last column is cut short by the end of the phase. */
    size_t n = s->n > 1 ? s->n - 1 : s->n;
    double most = 1, step = n > 0 ? (double)STRIP_WIDTH / (double)n : 1;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, s->buckets[i].ok + s->buckets[i].lost + s->buckets[i].failed);
    }
    double blow_x = (double)s->blow_ms / LAB_BUCKET_MS * step;
    fprintf(f,
            "<figure class='strip'><figcaption><span>%s</span></figcaption><svg viewBox='0 0 %d %d' "
            "role='img' aria-label='%s'>\n",
            title, STRIP_WIDTH, STRIP_HEIGHT + 14, title);
    for (size_t i = 0; i < n; i++) {
        double bottom = STRIP_HEIGHT + 14, unit = STRIP_HEIGHT / most, x = (double)i * step;
        column(f, x, step - 0.8, &bottom, s->buckets[i].ok * unit, "ok");
        column(f, x, step - 0.8, &bottom, s->buckets[i].lost * unit, "lost");
        column(f, x, step - 0.8, &bottom, s->buckets[i].failed * unit, "fail");
    }
    fprintf(
        f, "\n<path d='M%.1f 0V%d' class='blow'/><text x='%.1f' y='10' class='ax'>%s</text></svg></figure>\n",
        blow_x, STRIP_HEIGHT + 14, blow_x + 4, blow);
}
