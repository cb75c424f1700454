/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_page.c - the page: the answer first, then each way, then the figures. One file, nothing fetched, no
 * script; light and dark as the reader's system says; English, then Chinese.
 */
#include "lab_page.h"
#include "lab_plot.h"
#include "lab_verdict.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef lab_page_file page;

const char *lab_in(const lab_page_file *p, const char *english, const char *chinese)
{
    return p->language == LAB_ENGLISH ? english : chinese;
}

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f7f6f2;--card:#fff;--ink:#1c2430;--soft:#586271;--line:#dcdcd4;"
    "--a:#2c5fb3;--b:#d59a2c;--ok:#4a8f68;--lost:#d98200;--fail:#c43a31;--yes:#e3f0e7;--yesink:#1d5a38;"
    "--no:#f0eee8}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181e;--card:#1d232c;--ink:#e6e9ee;--soft:#a2acba;"
    "--line:#343c48;--a:#78a6ee;--b:#dba94a;--ok:#5fae82;--lost:#eda33b;--fail:#f0695f;--yes:#1f3a2b;"
    "--yesink:#a5dcb9;--no:#282f3a}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,"
    "-apple-system,'Segoe UI',Roboto,'Noto Sans','Noto Sans CJK SC',sans-serif}\n"
    "main{max-width:1240px;margin:0 auto;padding:24px 20px 60px}nav{float:right}a{color:var(--a)}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:.2em 0}h2{font-size:1.3rem;margin:2em 0 .5em}"
    "h3{font-size:1.02rem;margin:0 0 .4em}p{margin:.4em 0;max-width:75ch}\n"
    ".sub,figcaption span,.small{color:var(--soft);font-size:.9rem}.sub{max-width:none}"
    ".lead{font-size:1.08rem;max-width:85ch;margin:1em 0}.lead p{max-width:none}\n"
    "section+section{margin-top:64px;border-top:2px solid var(--line);padding-top:24px}\n"
    ".grid{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}"
    ".pair{grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr))}\n"
    ".card,figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;"
    "margin:0;min-width:0}figcaption b{display:block}figcaption span{display:block;margin-bottom:8px}\n"
    "figure.strip{border:0;padding:6px 0 0;background:none}figure.strip span{margin:0}"
    "svg{width:100%;height:auto;display:block}\n"
    ".chips{list-style:none;margin:.5em 0 0;padding:0}.chips li{background:var(--yes);color:var(--yesink);"
    "border-radius:8px;padding:5px 10px;margin:0 0 6px}.chips b{display:block}"
    ".chips.no li{background:var(--no);color:var(--soft);padding:3px 10px;font-size:.88rem}"
    ".chips.no b{display:inline;color:var(--ink)}\n"
    "ul.plain{margin:.3em 0 .6em;padding-left:1.15em}.plain li{margin:.15em 0}.plain "
    "span{color:var(--soft)}\n"
    ".wrap{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}"
    "table{border-collapse:collapse;width:100%;font-size:.86rem}th,td{padding:7px 8px;text-align:right;"
    "border-bottom:1px solid var(--line)}th{font-weight:600;color:var(--soft);vertical-align:bottom}"
    "td{white-space:nowrap}th:first-child,td:first-child,th:last-child,td:last-child{text-align:left}tr:last-"
    "child td{border-bottom:0}td:first-child{font-weight:600}\n"
    ".lb,.vl,.pt{fill:var(--ink);font-size:12.5px}.ax{fill:var(--soft);font-size:11px}"
    "svg .gl{stroke:var(--line);fill:none}.blow{stroke:var(--ink);stroke-dasharray:3 3;fill:none}"
    "svg .a{fill:var(--a)}svg .b{fill:var(--b)}svg .ok{fill:var(--ok)}svg .lost{fill:var(--lost)}"
    "svg .fail{fill:var(--fail)}\n"
    ".key{font-size:.85rem;color:var(--soft);margin:.2em 0 .5em}.key i{display:inline-block;width:.8em;"
    "height:.8em;border-radius:2px;margin:0 .35em 0 .1em;vertical-align:-.05em}i.a{background:var(--a)}"
    "i.b{background:var(--b)}i.ok{background:var(--ok)}i.lost{background:var(--lost)}"
    "i.fail{background:var(--fail)}\n"
    "@media print{body{background:#fff}.card,figure{break-inside:avoid}}\n";

/* ---- in a few sentences ---- */

typedef bool (*picks)(const lab_result *r);

static bool lost_logins(const lab_result *r)
{
    return r->logins_lost > 0;
}
static bool lost_none(const lab_result *r)
{
    return r->logins_lost == 0;
}
static bool lost_store_and_answered(const lab_result *r)
{
    return r->has_store && r->down_requests >= 0.95;
}
static bool lost_store_and_came_back(const lab_result *r)
{
    return r->has_store && r->down_requests < 0.95 && r->down_back_s > 0;
}
static bool lost_store_and_stopped(const lab_result *r)
{
    return r->has_store && r->down_requests < 0.95 && r->down_back_s <= 0;
}

static bool lost_logins_with_store(const lab_result *r)
{
    return r->logins_lost_store > 0;
}

static size_t count(const page *p, picks pick)
{
    size_t n = 0;
    for (size_t i = 0; i < p->l->ways_n; i++) {
        n += pick(&p->l->results[i]);
    }
    return n;
}

/* "sealed, database and central", each with the figure of NEED when there is one. */
static void put_names(const page *p, picks pick, lab_need need)
{
    char told[LAB_TOLD_MAX];
    size_t n = count(p, pick), put = 0;
    for (size_t i = 0; i < p->l->ways_n; i++) {
        const lab_result *r = &p->l->results[i];
        if (!pick(r)) {
            continue;
        }
        const char *between = put == 0 ? "" : put + 1 == n ? lab_in(p, " and ", "和") : lab_in(p, ", ", "、");
        fprintf(p->f, "%s<b>%s</b>", between, r->way->brief[p->language]);
        if (need != LAB_NEEDS) {
            lab_tell(r, need, p->language, told);
            fprintf(p->f, lab_in(p, " (%s)", "（%s）"), told);
        }
        put++;
    }
}

static void put_sentence(const page *p, picks pick, lab_need need, const char *before, const char *after)
{
    if (count(p, pick) > 0) {
        fprintf(p->f, "<p>%s", before);
        put_names(p, pick, need);
        fprintf(p->f, "%s</p>\n", after);
    }
}

static void put_lead(const page *p)
{
    fputs("<div class='lead'>\n", p->f);
    put_sentence(p, lost_logins, LAB_NEED_SURVIVE,
                 lab_in(p, "When one of three nodes was killed, people had to log in again with ",
                        "三个节点之一被杀死时，以下方式有人需要重新登录："),
                 lab_in(p, ".", "。"));
    put_sentence(p, lost_none, LAB_NEEDS, lab_in(p, "Nobody had to with ", "以下方式无人需要："),
                 lab_in(p, ".", "。"));
    put_sentence(p, lost_store_and_answered, LAB_NEEDS,
                 lab_in(p, "When the store was killed, visitors went on being served with ",
                        "存储被杀死时，以下方式继续为访客服务："),
                 lab_in(p, ".", "。"));
    put_sentence(p, lost_store_and_came_back, LAB_NEED_READ,
                 lab_in(p, "It came back by itself with ", "以下方式自行恢复："), lab_in(p, ".", "。"));
    put_sentence(p, lost_store_and_stopped, LAB_NEED_READ,
                 lab_in(p, "Nobody started it again, and visitors got 503, with ",
                        "存储无人重启时，以下方式返回 503："),
                 lab_in(p, count(p, lost_logins_with_store) == 0 ? ". Nobody was logged out by that." : ".",
                        count(p, lost_logins_with_store) == 0 ? "。没有人因此掉线。" : "。"));
    fputs("</div>\n", p->f);
}

/* ---- for whom ---- */

static void put_suited(const page *p, const lab_asker *asker)
{
    char told[LAB_TOLD_MAX];
    lab_need missing;
    fputs("<ul class='chips'>", p->f);
    for (size_t i = 0; i < p->l->ways_n; i++) {
        const lab_result *r = &p->l->results[i];
        if (!lab_suits(p->l, r, asker, &missing)) {
            continue;
        }
        fprintf(p->f, "<li><b>%s</b>", r->way->title[p->language]);
        for (size_t k = 0; k < asker->needs_n; k++) {
            lab_tell(r, asker->needs[k], p->language, told);
            fprintf(p->f, "%s%s", k > 0 ? lab_in(p, ", ", "，") : "", told);
        }
        fputs("</li>", p->f);
    }
    fputs("</ul>", p->f);
}

static void put_unsuited(const page *p, const lab_asker *asker)
{
    char told[LAB_TOLD_MAX];
    lab_need missing;
    fputs("<ul class='chips no'>", p->f);
    for (size_t i = 0; i < p->l->ways_n; i++) {
        const lab_result *r = &p->l->results[i];
        if (!lab_suits(p->l, r, asker, &missing)) {
            lab_tell(r, missing, p->language, told);
            fprintf(p->f, "<li>%s <b>%s</b>: %s</li>", lab_in(p, "not", "不宜："), r->way->brief[p->language],
                    told);
        }
    }
    fputs("</ul>", p->f);
}

static bool suits_any(const page *p, const lab_asker *asker)
{
    lab_need missing;
    bool any = false;
    for (size_t i = 0; i < p->l->ways_n; i++) {
        any |= lab_suits(p->l, &p->l->results[i], asker, &missing);
    }
    return any;
}

static void put_askers(const page *p)
{
    fprintf(p->f, "<h2>%s</h2>\n<div class='grid'>\n", lab_in(p, "Which way for whom", "谁该选哪一种"));
    for (const lab_asker *asker = lab_askers; asker->needs_n > 0; asker++) {
        fprintf(p->f, "<div class='card'><h3>%s</h3><p class='small'>", asker->who[p->language]);
        for (size_t k = 0; k < asker->needs_n; k++) {
            fprintf(p->f, "%s%s", k > 0 ? lab_in(p, "; ", "；") : "",
                    lab_need_words(asker->needs[k], p->language));
        }
        fputs("</p>", p->f);
        put_suited(p, asker);
        if (!suits_any(p, asker)) {
            fprintf(p->f, "<p>%s</p>",
                    lab_in(p, "None of the ways of this run.", "本次运行中没有符合的方式。"));
        }
        put_unsuited(p, asker);
        fputs("</div>\n", p->f);
    }
    fputs("</div>\n", p->f);
}

/* ---- each way ---- */

static void put_needs(const page *p, const lab_result *r, bool met, const char *title)
{
    char told[LAB_TOLD_MAX];
    fprintf(p->f, "<p class='small'>%s</p><ul class='plain'>", title);
    for (lab_need need = 0; need < LAB_NEEDS; need++) {
        if (lab_meets(p->l, r, need) == met) {
            lab_tell(r, need, p->language, told);
            fprintf(p->f, "<li>%s <span>(%s)</span></li>", lab_need_words(need, p->language), told);
        }
    }
    fputs("</ul>", p->f);
}

static void put_ways(const page *p)
{
    fprintf(p->f,
            "<h2>%s</h2>\n<p class='key'><i class='ok'></i>%s &nbsp;<i class='lost'></i>%s &nbsp;<i "
            "class='fail'></i>%s</p>\n"
            "<div class='grid'>\n",
            lab_in(p, "Each way, and its two worst moments", "每种方式，以及最坏的两个时刻"),
            lab_in(p, "answered", "已应答"), lab_in(p, "told to log in again", "被要求重新登录"),
            lab_in(p, "no answer, or 5xx", "无应答或 5xx"));
    for (size_t i = 0; i < p->l->ways_n; i++) {
        const lab_result *r = &p->l->results[i];
        fprintf(p->f, "<div class='card'><h3>%s</h3>", r->way->title[p->language]);
        put_needs(p, r, true, lab_in(p, "Good where", "适合："));
        put_needs(p, r, false, lab_in(p, "Not where", "不适合："));
        lab_plot_strip(p->f, &r->node_strip, lab_in(p, "One of three nodes is killed", "三个节点之一被杀死"),
                       lab_in(p, "kill -9", "kill -9"));
        if (r->has_store) {
            lab_plot_strip(p->f, &r->store_strip,
                           lab_in(p, "The store (its primary) is killed", "存储（主库）被杀死"), "kill -9");
        }
        fputs("</div>\n", p->f);
    }
    fputs("</div>\n", p->f);
}

/* ---- the whole ---- */

static void put_section(page *p, lab_language language)
{
    struct tm tm;
    char when[32] = "";
    time_t now = (time_t)lk_now_s(lk_env_system());
    if (gmtime_r(&now, &tm) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &tm);
    }
    p->language = language;
    fprintf(p->f, "<section lang='%s' id='%s'>\n<nav><a href='#%s' lang='%s'>%s</a></nav>\n<h1>%s</h1>\n",
            lab_in(p, "en", "zh-CN"), lab_in(p, "en", "zh"), lab_in(p, "zh", "en"), lab_in(p, "zh-CN", "en"),
            lab_in(p, "中文", "English"),
            lab_in(p, "The ways to share a login, side by side", "共享登录的各种方式，同台比较"));
    fprintf(p->f,
            p->language == LAB_ENGLISH ? "<p class='sub'>%s, latchkey " LATCHKEY_VERSION
                                         ", %d nodes, %lld visitors, %lld s of load "
                                         "for each way, %ld processors</p>\n"
                                       : "<p class='sub'>%s，latchkey " LATCHKEY_VERSION
                                         "，%d 个节点，%lld 名访客，每种方式 %lld 秒，%ld 个处理器</p>\n",
            when, LAB_NODES, (long long)p->l->users_n, (long long)p->l->seconds,
            sysconf(_SC_NPROCESSORS_ONLN));
    put_lead(p);
    put_askers(p);
    put_ways(p);
    lab_page_plots(p);
    lab_page_table(p);
    lab_page_how(p);
    fputs("</section>\n", p->f);
}

int lab_page(const lab *l)
{
    char fresh[LK_PATH_MAX];
    int fd = serve_path(fresh, "%s.new", l->html)
                 ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644)
                 : -1;
    page p = {.l = l, .f = fd >= 0 ? fdopen(fd, "w") : NULL};
    if (p.f == NULL) {
        return cli_fault(l->c, "cannot write %s: %s", l->html, strerror(errno));
    }
    fprintf(p.f,
            "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<meta name='viewport' "
            "content='width=device-width, initial-scale=1'>\n<title>latchkey lab: the ways to share a "
            "login</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n",
            style);
    put_section(&p, LAB_ENGLISH);
    put_section(&p, LAB_CHINESE);
    fputs("</main>\n</body>\n</html>\n", p.f);
    bool failed = ferror(p.f) != 0;
    failed |= fclose(p.f) != 0;
    if (failed || rename(fresh, l->html) != 0) {
        return cli_fault(l->c, "cannot write %s: %s", l->html, strerror(errno));
    }
    return CLI_YES;
}
