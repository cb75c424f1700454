/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_figures.c - the figures on the page: plots, the table, and how they came about.
 */
#include "lab_page.h"
#include "lab_plot.h"
#include "lab_verdict.h"

typedef lab_page_file page;

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
     {"milliseconds, median; with affinity, after the order was given to each node",
      "毫秒，中位数；亲和方式为逐个节点下令之后"}},
    {spread,
     NULL,
     2,
     {"The busiest node", "最忙的节点"},
     {"times its fair share; 1 is even", "平均份额的倍数；1 为均匀"}},
};

/* Half of the requests, and what the slowest of a hundred take beyond that. */
static void put_times(const page *p)
{
    lab_bars b = {.title = lab_in(p, "How long a request takes", "请求耗时"),
                  .note = lab_in(p, "milliseconds at a fixed rate: half of all, and 99 of 100",
                                 "固定速率下的毫秒数：半数，以及百分之九十九"),
                  .legend = {lab_in(p, "half", "半数 (p50)"), lab_in(p, "up to 99 of 100", "至 p99")},
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
                  .legend = {lab_in(p, "nodes", "节点"), lab_in(p, "store", "存储")},
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
                         .x_title = lab_in(p, "bytes kept for each user, nodes and store &#8594;",
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

void lab_page_plots(const page *p)
{
    fprintf(p->f, "<h2>%s</h2>\n<div class='grid pair'>\n",
            lab_in(p, "Space against time", "空间与时间的取舍"));
    put_points(p, bytes, lab_in(p, "Kept here, or carried by the visitor", "存在服务器，还是由访客携带"),
               lab_in(p, "What is not kept has to be carried with every request.",
                      "不保存的，就必须随每个请求携带。"),
               lab_in(p, "bytes carried by each request", "每请求携带字节数"));
    put_points(p, requests_per_s, lab_in(p, "Memory against speed", "内存与速度"),
               lab_in(p, "Near copies on the nodes cost memory and save look-ups.",
                      "节点上的近副本耗费内存，节省查询。"),
               lab_in(p, "requests a second", "每秒请求数"));
    fprintf(p->f, "</div>\n<h2>%s</h2>\n<div class='grid'>\n", lab_in(p, "Figure by figure", "逐项指标"));
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
        fprintf(p->f, "<td>%s</td></tr>\n", lab_in(p, "no store", "无存储"));
    }
}

void lab_page_table(const page *p)
{
    static const char *const heads[2][13] = {
        {"way", "requests/s", "p50 ms", "p99 ms", "bytes per request", "node bytes per user",
         "store bytes per user", "store operations per request", "spread", "logins lost", "requests failed",
         "ban holds after ms", "store down: requests / changes / logins"},
        {"方式", "请求/秒", "p50 毫秒", "p99 毫秒", "每请求字节", "每用户节点字节", "每用户存储字节",
         "每请求存储操作", "负载不均", "丢失登录", "失败请求", "封禁生效毫秒", "存储宕机：请求/修改/登录"}};
    fprintf(p->f, "<h2>%s</h2>\n<div class='wrap'><table><thead><tr>", lab_in(p, "All figures", "全部数据"));
    for (size_t i = 0; i < 13; i++) {
        fprintf(p->f, "<th>%s</th>", heads[p->language][i]);
    }
    fputs("</tr></thead><tbody>\n", p->f);
    for (size_t i = 0; i < p->l->ways_n; i++) {
        put_row(p, &p->l->results[i]);
    }
    fprintf(p->f, "</tbody></table></div>\n<p class='small'>* %s</p>\n",
            lab_in(p, "the order was given to each node: none of them knows the sessions of another.",
                   "须逐个节点下令：节点互不知晓对方的会话。"));
}

/* ---- how ---- */

static void put_limits(const page *p)
{
    char words[LAB_TOLD_MAX];
    fprintf(p->f, "<p>%s</p><ul class='plain'>", lab_in(p, "What counts as met:", "满足的判定标准："));
    for (lab_need need = 0; need < LAB_NEEDS; need++) {
        lab_limit_words(need, p->language, words);
        fprintf(p->f, "<li>%s: <span>%s</span></li>", lab_need_words(need, p->language), words);
    }
    fputs("</ul>\n", p->f);
}

void lab_page_how(const page *p)
{
    fprintf(p->f, "<h2>%s</h2>\n<div class='card'>", lab_in(p, "How this was measured", "测量方法"));
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
    fprintf(
        p->f, "<p>%s</p><p>%s</p>",
        lab_in(p,
               "Sealed cookies and tokens use the store only for who was put out (and, for tokens, session "
               "data), and are set "
               "to go on by what they knew when it is away; the others ask it, and answer 503 when it cannot "
               "tell. In affinity "
               "each node remembers in its own memory.",
               "密封 cookie "
               "与令牌只用存储记录被封禁者（令牌还用于会话数据），存储不可用时按已知信息继续；其他方式会询问"
               "存储，无法得知时回答 503。"
               "亲和方式下每个节点只记在自己的内存里。"),
        lab_in(p,
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
