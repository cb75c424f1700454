/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.c - the first mark found in the User-Agent names the browser or system.
 */
#include "service/agent.h"

#include <string.h>

typedef struct mark {
    const char *mark, *name;
} mark;

/* The order matters: Edge, Opera and Samsung name Chrome too, Chrome names Safari, and everybody names
 * Mozilla. */
static const mark browsers[] = {
    {"Edg/", "Edge"},
    {"EdgA/", "Edge"},
    {"OPR/", "Opera"},
    {"SamsungBrowser/", "Samsung Internet"},
    {"MicroMessenger/", "WeChat"},
    {"FxiOS/", "Firefox"},
    {"Firefox/", "Firefox"},
    {"CriOS/", "Chrome"},
    {"HeadlessChrome/", "Chrome"},
    {"Chromium/", "Chromium"},
    {"Chrome/", "Chrome"},
    {"Safari/", "Safari"},
    {"curl/", "curl"},
    {"Wget/", "Wget"},
    {"python-requests/", "Python"},
    {"okhttp/", "OkHttp"},
    {"Go-http-client/", "Go"},
    {"PostmanRuntime/", "Postman"},
};

/* Android names Linux, iPhone and iPad name Mac OS X. */
static const mark systems[] = {
    {"iPhone", "iPhone"}, {"iPad", "iPad"},      {"Android", "Android"}, {"Windows", "Windows"},
    {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},     {"FreeBSD", "FreeBSD"},
};

static const char *first_mark(lk_view agent, const mark *marks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (agent.len > 0 && memmem(agent.p, agent.len, marks[i].mark, strlen(marks[i].mark)) != NULL)
            return marks[i].name;
    }
    return "";
}

const char *lk__agent_browser(lk_view agent)
{
    return first_mark(agent, browsers, sizeof(browsers) / sizeof(browsers[0]));
}

const char *lk__agent_system(lk_view agent)
{
    return first_mark(agent, systems, sizeof(systems) / sizeof(systems[0]));
}
