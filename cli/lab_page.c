/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_page.c - the page: the answer first, then the plots, then the table, then how it was done. One file,
 * nothing fetched, no script; light and dark as the reader's system says; English, then Chinese.
 */
#include "lab_plot.h"
#include "lab_verdict.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct page {
    const lab *l;
    FILE *f;
    lab_language language;
} page;

static const char *in(const page *p, const char *english, const char *chinese)
{
    return p->language == LAB_ENGLISH ? english : chinese;
}

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#f7f6f2;--card:#fff;--ink:#1c2430;--soft:#586271;--line:#dcdcd4;--a:#2c5fb3;"
    "--b:#d59a2c;--ok:#4a8f68;--lost:#d98200;--fail:#c43a31;--yes:#e3f0e7;--yesink:#1d5a38;--no:#f0eee8}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181e;--card:#1d232c;--ink:#e6e9ee;--soft:#a2acba;--line:"
    "#343c48;"
    "--a:#78a6ee;--b:#dba94a;--ok:#5fae82;--lost:#eda33b;--fail:#f0695f;--yes:#1f3a2b;--yesink:#a5dcb9;--no:#"
    "282f3a}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Noto Sans CJK SC',sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:24px 20px "
    "60px}h1{font-size:1.9rem;line-height:1.2;margin:.2em 0}"
    "h2{font-size:1.3rem;margin:2em 0 .5em}h3{font-size:1.02rem;margin:0 0 .4em}p{margin:.4em "
    "0;max-width:75ch}"
    ".sub,figcaption span,.small{color:var(--soft);font-size:.9rem}nav{float:right}a{color:var(--a)}\n"
    ".grid{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}"
    ".card,figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px "
    "16px;margin:0}"
    "figure.wide{grid-column:span 1}figcaption b{display:block}figcaption "
    "span{display:block;margin-bottom:8px}"
    "figure.strip{border:0;padding:6px 0 0;background:none}figure.strip "
    "span{margin:0}svg{width:100%;height:auto;"
    "display:block}.pair{grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr))}\n"
    ".chips{list-style:none;margin:.5em 0 0;padding:0}.chips li{background:var(--yes);color:var(--yesink);"
    "border-radius:8px;padding:5px 10px;margin:0 0 6px}.chips b{display:block}.chips.no "
    "li{background:var(--no);"
    "color:var(--soft);padding:3px 10px;font-size:.88rem}.chips.no b{display:inline;color:var(--ink)}\n"
    "ul.plain{margin:.3em 0 .6em;padding-left:1.15em}.plain li{margin:.15em 0}.plain span{color:var(--soft)}"
    ".wrap{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{padding:7px 10px;text-align:right;"
    "border-bottom:1px solid "
    "var(--line);white-space:nowrap}th{font-weight:600;color:var(--soft);vertical-align:bottom;"
    "white-space:normal}th:first-child,td:first-child,th:last-child,td:last-child{text-align:left}"
    "tr:last-child td{border-bottom:0}td:first-child{font-weight:600}\n"
    ".lb,.vl,.pt{fill:var(--ink);font-size:12.5px}.ax{fill:var(--soft);font-size:11px}.grid{stroke:var(--"
    "line)}"
    "svg .a{fill:var(--a)}svg .b{fill:var(--b)}svg .ok{fill:var(--ok)}svg .lost{fill:var(--lost)}svg "
    ".fail{fill:var(--fail)}"
    ".blow{stroke:var(--ink);stroke-dasharray:3 3;fill:none}svg "
    ".grid{display:inline;stroke:var(--line);fill:none}"
    ".key{font-size:.85rem;color:var(--soft);margin:.2em 0 .5em}.key "
    "i{display:inline-block;width:.8em;height:.8em;"
    "border-radius:2px;margin:0 .35em 0 "
    ".1em;vertical-align:-.05em}i.a{background:var(--a)}i.b{background:var(--b)}"
    "i.ok{background:var(--ok)}i.lost{background:var(--lost)}i.fail{background:var(--fail)}"
    "section+section{margin-top:64px;border-top:2px solid var(--line);padding-top:24px}"
    "@media print{body{background:#fff}.card,figure{break-inside:avoid}}\n";

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
            fprintf(p->f, "%s%s", k > 0 ? in(p, ", ", "，") : "", told);
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
            fprintf(p->f, "<li>%s <b>%s</b>: %s</li>", in(p, "not", "不宜："), r->way->brief[p->language],
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
    fprintf(p->f, "<h2>%s</h2>\n<div class='grid'>\n", in(p, "Which way for whom", "谁该选哪一种"));
    for (const lab_asker *asker = lab_askers; asker->needs_n > 0; asker++) {
        fprintf(p->f, "<div class='card'><h3>%s</h3><p class='small'>", asker->who[p->language]);
        for (size_t k = 0; k < asker->needs_n; k++) {
            fprintf(p->f, "%s%s", k > 0 ? in(p, "; ", "；") : "",
                    lab_need_words(asker->needs[k], p->language));
        }
        fputs("</p>", p->f);
        put_suited(p, asker);
        if (!suits_any(p, asker)) {
            fprintf(p->f, "<p>%s</p>", in(p, "None of the ways of this run.", "本次运行中没有符合的方式。"));
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
            in(p, "Each way, and its two worst moments", "每种方式，以及最坏的两个时刻"),
            in(p, "answered", "已应答"), in(p, "told to log in again", "被要求重新登录"),
            in(p, "no answer, or 5xx", "无应答或 5xx"));
    for (size_t i = 0; i < p->l->ways_n; i++) {
        const lab_result *r = &p->l->results[i];
        fprintf(p->f, "<div class='card'><h3>%s</h3>", r->way->title[p->language]);
        put_needs(p, r, true, in(p, "Good where", "适合："));
        put_needs(p, r, false, in(p, "Not where", "不适合："));
        lab_plot_strip(p->f, &r->node_strip, in(p, "One of three nodes is killed", "三个节点之一被杀死"),
                       in(p, "kill -9", "kill -9"));
        if (r->has_store) {
            lab_plot_strip(p->f, &r->store_strip,
                           in(p, "The store (its primary) is killed", "存储（主库）被杀死"), "kill -9");
        }
        fputs("</div>\n", p->f);
    }
    fputs("</div>\n", p->f);
}

/* ---- plots ---- */

typedef double (*figure_of)(const lab_result *r);

static double requests_per_s(const lab_result *r)
{
    return r->requests_per_s;
}
static double p99(const lab_result *r)
{
    return r->p99_ms;
}
static double p50(const lab_result *r)
{
    return r->p50_ms;
}
static double bytes(const lab_result *r)
{
    return r->bytes_per_request;
}
static double server_memory(const lab_result *r)
{
    return r->server_bytes_per_user;
}
static double store_memory(const lab_result *r)
{
    return r->store_bytes_per_user;
}
static double memory(const lab_result *r)
{
    return r->server_bytes_per_user + r->store_bytes_per_user;
}
static double ops(const lab_result *r)
{
    return r->store_ops_per_request;
}
static double revocation(const lab_result *r)
{
    return r->revocation_ms < 0 ? 0 : r->revocation_ms;
}
static double lost(const lab_result *r)
{
    return r->logins > 0 ? (double)r->logins_lost * 100 / (double)r->logins : 0;
}
static double spread(const lab_result *r)
{
    return r->load_spread;
}

static const struct {
    figure_of figure, more;
    int decimals;
    const char *title[2], *note[2];
} plots[] = {
    {lost,
     NULL,
     0,
     {"Logins lost when a node dies", "节点宕机时丢失的登录"},
     {"percent of all; less is better", "占全部登录的百分比；越少越好"}},
    {bytes,
     NULL,
     0,
     {"Carried by every request", "每个请求携带"},
     {"bytes of Cookie and Set-Cookie; less is better", "Cookie 与 Set-Cookie 字节数；越少越好"}},
    {server_memory,
     store_memory,
     0,
     {"Kept for each user", "为每个用户保存"},
     {"bytes, all nodes and all copies; less is better", "字节，所有节点与副本合计；越少越好"}},
    {ops,
     NULL,
     2,
     {"Asked of the store", "对存储的访问"},
     {"operations per request; less is better", "每请求操作数；越少越好"}},
    {requests_per_s,
     NULL,
     0,
     {"At full speed", "全速"},
     {"requests a second, everything on this machine; more is better", "每秒请求数，全部在本机；越多越好"}},
    {p50, p99, 1, {"", ""}, {"", ""}},
    {revocation,
     NULL,
     1,
     {"Until a ban holds on all nodes", "封禁在所有节点生效所需时间"},
     {"milliseconds, median; less is better", "毫秒，中位数；越少越好"}},
    {spread,
     NULL,
     2,
     {"The busiest node", "最忙的节点"},
     {"times its fair share; 1 is even", "平均份额的倍数；1 为均匀"}},
};

/* Half of the requests, and what the slowest of a hundred take beyond that. */
static void put_times(const page *p)
{
    lab_bars b = {.title = in(p, "How long a request takes", "请求耗时"),
                  .note = in(p, "milliseconds at a fixed rate: half of all, and 99 of 100",
                             "固定速率下的毫秒数：半数，以及百分之九十九"),
                  .legend = {in(p, "half", "半数 (p50)"), in(p, "up to 99 of 100", "至 p99")},
                  .decimals = 1,
                  .n = p->l->ways_n};
    for (size_t i = 0; i < b.n; i++) {
        const lab_result *r = &p->l->results[i];
        b.labels[i] = r->way->brief[p->language];
        b.values[i] = r->p50_ms;
        b.more[i] = r->p99_ms - r->p50_ms;
    }
    lab_plot_bars(p->f, &b);
}

static void put_bars(const page *p, size_t which)
{
    lab_bars b = {.title = plots[which].title[p->language],
                  .note = plots[which].note[p->language],
                  .legend = {in(p, "nodes", "节点"), in(p, "store", "存储")},
                  .decimals = plots[which].decimals,
                  .n = p->l->ways_n};
    for (size_t i = 0; i < b.n; i++) {
        b.labels[i] = p->l->results[i].way->brief[p->language];
        b.values[i] = plots[which].figure(&p->l->results[i]);
        b.more[i] = plots[which].more != NULL ? plots[which].more(&p->l->results[i]) : 0;
    }
    lab_plot_bars(p->f, &b);
}

static void put_points(const page *p, figure_of y, const char *title, const char *note, const char *y_title)
{
    lab_points points = {.title = title,
                         .note = note,
                         .x_title = in(p, "bytes kept for each user, nodes and store &#8594;",
                                       "为每用户保存的字节数（节点与存储） &#8594;"),
                         .y_title = y_title,
                         .n = p->l->ways_n};
    for (size_t i = 0; i < points.n; i++) {
        points.labels[i] = p->l->results[i].way->brief[p->language];
        points.x[i] = memory(&p->l->results[i]);
        points.y[i] = y(&p->l->results[i]);
    }
    lab_plot_points(p->f, &points);
}

static void put_plots(const page *p)
{
    fprintf(p->f, "<h2>%s</h2>\n<div class='grid pair'>\n", in(p, "Space against time", "空间与时间的取舍"));
    put_points(
        p, bytes, in(p, "Kept here, or carried by the visitor", "存在服务器，还是由访客携带"),
        in(p, "What is not kept has to be carried with every request.", "不保存的，就必须随每个请求携带。"),
        in(p, "bytes carried by each request", "每请求携带字节数"));
    put_points(p, requests_per_s, in(p, "Memory against speed", "内存与速度"),
               in(p, "Near copies on the nodes cost memory and save look-ups.",
                  "节点上的近副本耗费内存，节省查询。"),
               in(p, "requests a second", "每秒请求数"));
    fprintf(p->f, "</div>\n<h2>%s</h2>\n<div class='grid'>\n", in(p, "Figure by figure", "逐项指标"));
    for (size_t i = 0; i < sizeof plots / sizeof plots[0]; i++) {
        if (plots[i].figure == p50) {
            put_times(p);
        } else {
            put_bars(p, i);
        }
    }
    fputs("</div>\n", p->f);
}

/* ---- the table ---- */

static void put_row(const page *p, const lab_result *r)
{
    char told[LAB_TOLD_MAX], number[CLI_NUMBER_MAX], revoked[32];
    snprintf(revoked, sizeof revoked, r->revocation_ms < 0 ? "-" : "%.1f", r->revocation_ms);
    lab_tell(r, LAB_NEED_READ, p->language, told);
    fprintf(p->f,
            "<tr><td>%s</td><td>%s</td><td>%.2f</td><td>%.1f</td><td>%.0f</td><td>%.0f</td><td>%.0f</"
            "td><td>%.2f</td>"
            "<td>%.2f</td><td>%llu</td><td>%llu</td><td>%s%s</td>",
            r->way->title[p->language], cli_number((uint64_t)(r->requests_per_s + 0.5), number), r->p50_ms,
            r->p99_ms, r->bytes_per_request, r->server_bytes_per_user, r->store_bytes_per_user,
            r->store_ops_per_request, r->load_spread, (unsigned long long)r->logins_lost,
            (unsigned long long)r->requests_failed, revoked, r->is_revoked_per_node ? "*" : "");
    if (r->has_store) {
        fprintf(p->f, "<td>%.0f / %.0f / %.0f %%</td></tr>\n", r->down_requests * 100, r->down_changes * 100,
                r->down_logins * 100);
    } else {
        fprintf(p->f, "<td>%s</td></tr>\n", in(p, "no store", "无存储"));
    }
}

static void put_table(const page *p)
{
    static const char *const heads[2][13] = {
        {"way", "requests/s", "p50 ms", "p99 ms", "bytes per request", "node bytes per user",
         "store bytes per user", "store operations per request", "spread", "logins lost", "requests failed",
         "ban holds after ms", "store down: requests / changes / logins"},
        {"方式", "请求/秒", "p50 毫秒", "p99 毫秒", "每请求字节", "每用户节点字节", "每用户存储字节",
         "每请求存储操作", "负载不均", "丢失登录", "失败请求", "封禁生效毫秒", "存储宕机：请求/修改/登录"}};
    fprintf(p->f, "<h2>%s</h2>\n<div class='wrap'><table><thead><tr>", in(p, "All figures", "全部数据"));
    for (size_t i = 0; i < 13; i++) {
        fprintf(p->f, "<th>%s</th>", heads[p->language][i]);
    }
    fputs("</tr></thead><tbody>\n", p->f);
    for (size_t i = 0; i < p->l->ways_n; i++) {
        put_row(p, &p->l->results[i]);
    }
    fprintf(p->f, "</tbody></table></div>\n<p class='small'>* %s</p>\n",
            in(p, "the order was given to each node: none of them knows the sessions of another.",
               "须逐个节点下令：节点互不知晓对方的会话。"));
}

/* ---- how ---- */

static void put_limits(const page *p)
{
    char words[LAB_TOLD_MAX];
    fprintf(p->f, "<p>%s</p><ul class='plain'>", in(p, "What counts as met:", "满足的判定标准："));
    for (lab_need need = 0; need < LAB_NEEDS; need++) {
        lab_limit_words(need, p->language, words);
        fprintf(p->f, "<li>%s: <span>%s</span></li>", lab_need_words(need, p->language), words);
    }
    fputs("</ul>\n", p->f);
}

static void put_how(const page *p)
{
    fprintf(p->f, "<h2>%s</h2>\n<div class='card'>", in(p, "How this was measured", "测量方法"));
    fprintf(
        p->f,
        p->language == LAB_ENGLISH
            ? "<p>Three nodes (nginx with latchkey, one worker each) with an application behind each, a "
              "balancer (nginx) "
              "before them, and the store of the way, all on this machine and on loopback. %lld visitors log "
              "in with "
              "passwords; then %lld requests a second, every tenth a change of session data; then as many as "
              "32 connections "
              "can carry; then five users are put out; then a node is killed with kill -9, its memory with "
              "it; then the "
              "store, or its primary. The times are those of the fixed rate and count from when a request "
              "was due.</p>"
            : "<p>三个节点（nginx 加 "
              "latchkey，各一个工作进程），各有一个应用，前面是负载均衡（nginx），后面是该方式所需的存储，"
              "全部在本机回环地址上运行。%lld 名访客用密码登录；然后每秒 %lld "
              "个请求，其中十分之一修改会话数据；再以 32 个连接全速运行；"
              "随后封禁五名用户；然后用 kill -9 "
              "杀死一个节点（连同其内存）；最后杀死存储或其主库。耗时在固定速率下测得，从请求到期时算起。</"
              "p>",
        (long long)p->l->users_n, (long long)p->l->rate);
    fprintf(p->f, "<p>%s</p><p>%s</p>",
            in(p,
               "Sealed cookies and tokens use the store only for who was put out (and, for tokens, session "
               "data), and are set "
               "to go on by what they knew when it is away; the others ask it, and answer 503 when it cannot "
               "tell. In affinity "
               "each node remembers in its own memory.",
               "密封 cookie "
               "与令牌只用存储记录被封禁者（令牌还用于会话数据），存储不可用时按已知信息继续；其他方式会询问"
               "存储，无法得知时回答 503。"
               "亲和方式下每个节点只记在自己的内存里。"),
            in(p,
               "Driver, balancer, nodes and store share the processors, so requests a second are good for "
               "comparison and for "
               "nothing else. A third of the visitors come from one address, as from an office or a mobile "
               "carrier: that is what "
               "ip_hash sends to one node.",
               "压测程序、均衡器、节点和存储共用处理器，因此每秒请求数只适合相互比较。三分之一的访客来自同一"
               "地址（如公司或移动运营商），"
               "ip_hash 会把他们送到同一节点。"));
    put_limits(p);
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
            in(p, "en", "zh-CN"), in(p, "en", "zh"), in(p, "zh", "en"), in(p, "zh-CN", "en"),
            in(p, "中文", "English"),
            in(p, "The ways to share a login, side by side", "共享登录的各种方式，同台比较"));
    fprintf(p->f,
            p->language == LAB_ENGLISH ? "<p class='sub'>%s, latchkey " LATCHKEY_VERSION
                                         ", %d nodes, %lld visitors, %lld s of load "
                                         "for each way, %ld processors</p>\n"
                                       : "<p class='sub'>%s，latchkey " LATCHKEY_VERSION
                                         "，%d 个节点，%lld 名访客，每种方式 %lld 秒，%ld 个处理器</p>\n",
            when, LAB_NODES, (long long)p->l->users_n, (long long)p->l->seconds,
            sysconf(_SC_NPROCESSORS_ONLN));
    put_askers(p);
    put_ways(p);
    put_plots(p);
    put_table(p);
    put_how(p);
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
