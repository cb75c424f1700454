/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_node.c - the nodes, each an nginx with the module and an application behind it, and the balancer.
 */
#include "lab.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READY_MS 20000
#define TURN_MS 20

static FILE *open_file(const lab *l, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        (void)cli_fault(l->c, "cannot write %s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
    }
    return f;
}

static int close_file(const lab *l, FILE *f, const char *path)
{
    return fclose(f) == 0 ? CLI_YES : cli_fault(l->c, "cannot write %s: %s", path, strerror(errno));
}

/* ---- the files of a node ---- */

static int write_settings(const lab *l, const lab_way *way, unsigned i)
{
    const lab_node *node = &l->nodes[i];
    FILE *f = open_file(l, node->conf);
    if (f == NULL) {
        return CLI_FAULT;
    }
    fprintf(f,
            "latchkey_keys     \"%s/keys\";\nlatchkey_accounts \"sqlite:%s/accounts.db\";\n"
            "latchkey_store    \"%s\";\n",
            l->dir, l->dir, l->store.url);
    if (l->store.replica[i][0] != '\0') {
        fprintf(f, "latchkey_replica  \"%s\";\n", l->store.replica[i]);
    }
    if (way->share != NULL) {
        fprintf(f, "latchkey_share    %s;\n", way->share);
    }
    fprintf(f,
            "latchkey_memory   \"%s\" size=64m;\n"
            "latchkey_cookie   latchkey samesite=lax secure=off;\n",
            node->memory);
    return close_file(l, f, node->conf);
}

static void write_top(const lab *l, FILE *f, const char *dir)
{
    fprintf(f,
            "daemon off;\nworker_processes 1;\nworker_shutdown_timeout 1s;\n"
            "pid \"%s/nginx.pid\";\nerror_log \"%s/error.log\" warn;\nload_module \"%s\";\n"
            "worker_rlimit_nofile 8192;\n%s"
            "events {\n    worker_connections 2048;\n}\nhttp {\n",
            dir, dir, l->tools.module, geteuid() == 0 ? "user root;\n" : "");
    static const char *const temps[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    for (size_t i = 0; i < sizeof temps / sizeof temps[0]; i++) {
        fprintf(f, "    %s_temp_path \"%s/%s\";\n", temps[i], dir, temps[i]);
    }
    fputs("    access_log off;\n    server_tokens off;\n    keepalive_requests 1000000;\n"
          "    proxy_buffer_size 32k;\n    proxy_buffers 8 32k;\n    large_client_header_buffers 8 32k;\n"
          "    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Forwarded-For;\n",
          f);
}

static void write_proxy(FILE *f, const char *to)
{
    fprintf(f,
            "            proxy_pass http://%s;\n            proxy_http_version 1.1;\n"
            "            proxy_set_header Connection '';\n            proxy_set_header Host $http_host;\n"
            "            proxy_set_header X-Forwarded-For $remote_addr;\n",
            to);
}

static int write_nginx(const lab *l, const lab_way *way, unsigned i)
{
    const lab_node *node = &l->nodes[i];
    char path[LK_PATH_MAX];
    FILE *f = serve_path(path, "%s/nginx.conf", node->dir) ? open_file(l, path) : NULL;
    if (f == NULL) {
        return CLI_FAULT;
    }
    write_top(l, f, node->dir);
    fprintf(f,
            "    include \"%s\";\n    latchkey_node node-%u;\n"
            "    upstream app {\n        server 127.0.0.1:%u;\n        keepalive 64;\n    }\n"
            "    server {\n        listen 127.0.0.1:%u;\n        %s\n"
            "        location /auth/ {\n            latchkey_api;\n        }\n"
            "        location / {\n            latchkey required;\n",
            node->conf, i + 1, node->app_port, node->port, way->gate);
    write_proxy(f, "app");
    fputs("        }\n    }\n}\n", f);
    return close_file(l, f, path);
}

/* ---- processes ---- */

static int start_nginx(const lab *l, const char *dir, lab_process *out)
{
    char conf[LK_PATH_MAX], log[LK_PATH_MAX];
    const char *argv[] = {l->tools.nginx, "-p", dir, "-e", log, "-c", conf, NULL};
    if (!serve_path(conf, "%s/nginx.conf", dir) || !serve_path(log, "%s/error.log", dir)) {
        return cli_fault(l->c, "%s is too long a path", dir);
    }
    lab_program nginx = {.name = "nginx", .argv = argv, .log = log};
    return lab_start(l->c, &nginx, out);
}

static int wait_answer(lab *l, lab_process *process, unsigned port, const char *path, const char *dir)
{
    static lab_answer a;
    lab_line line = {.port = port, .fd = -1};
    unsigned status = 0;
    int64_t until = lab_now_us() + READY_MS * 1000;
    while (status != 200 && lab_now_us() < until && lab_is_alive(process)) {
        if (!lab_goes_on(l, 0)) {
            return CLI_FAULT;
        }
        lab_wait_ms(TURN_MS);
        status = lab_ask_path(&line, path, &a);
    }
    lab_line_close(&line);
    return status == 200
               ? CLI_YES
               : cli_fault(l->c, "nginx did not become ready; see %s/error.log (--keep keeps it)", dir);
}

static int make_dir(const lab *l, const char *dir)
{
    return mkdir(dir, 0700) == 0 || errno == EEXIST
               ? CLI_YES
               : cli_fault(l->c, "cannot make %s: %s", dir, strerror(errno));
}

static int write_node(lab *l, const lab_way *way, unsigned i)
{
    lab_node *node = &l->nodes[i];
    node->port = lab_free_port();
    node->app_port = lab_free_port();
    if (node->port == 0 || node->app_port == 0 ||
        !serve_path(node->dir, "%s/%s-node-%u", l->dir, way->name, i + 1) ||
        !serve_path(node->conf, "%s/latchkey.conf", node->dir) ||
        !serve_path(node->memory, "%s/%s-node-%u", l->memory_dir, way->name, i + 1)) {
        return cli_fault(l->c, "no free port, or %s is too long a path", l->dir);
    }
    int code = make_dir(l, node->dir);
    code = code == CLI_YES ? write_settings(l, way, i) : code;
    return code == CLI_YES ? write_nginx(l, way, i) : code;
}

int lab_node_start(lab *l, const lab_way *way, unsigned i, bool write)
{
    lab_node *node = &l->nodes[i];
    int code = write ? write_node(l, way, i) : CLI_YES;
    code = code == CLI_YES ? start_nginx(l, node->dir, &node->nginx) : code;
    if (code != CLI_YES) {
        return code;
    }
    int fd = lab_listen(node->app_port);
    if (fd < 0) {
        return cli_fault(l->c, "cannot listen on 127.0.0.1:%u: %s", node->app_port, strerror(errno));
    }
    code = lab_fork(l->c, node->nginx.pid, fd, lab_app_run, i + 1, &node->app);
    close(fd);
    return code == CLI_YES ? wait_answer(l, &node->nginx, node->port, "/auth/health/ready", node->dir) : code;
}

int lab_nodes_start(lab *l, const lab_way *way)
{
    int code = CLI_YES;
    for (unsigned i = 0; i < LAB_NODES && code == CLI_YES; i++) {
        code = lab_node_start(l, way, i, true);
    }
    return code;
}

static void write_upstream(const lab *l, const lab_way *way, FILE *f)
{
    fputs("    upstream nodes {\n", f);
    for (unsigned i = 0; i < LAB_NODES; i++) {
        fprintf(f, "        server 127.0.0.1:%u max_fails=1 fail_timeout=2s;\n", l->nodes[i].port);
    }
    if (way->balance[0] != '\0') {
        fprintf(f, "        %s\n", way->balance);
    }
    fputs("        keepalive 64;\n    }\n", f);
}

int lab_balancer_start(lab *l, const lab_way *way)
{
    char dir[LK_PATH_MAX], path[LK_PATH_MAX];
    l->balancer_port = lab_free_port();
    if (l->balancer_port == 0 || !serve_path(dir, "%s/%s-balancer", l->dir, way->name) ||
        !serve_path(path, "%s/nginx.conf", dir) || make_dir(l, dir) != CLI_YES) {
        return CLI_FAULT;
    }
    FILE *f = open_file(l, path);
    if (f == NULL) {
        return CLI_FAULT;
    }
    write_top(l, f, dir);
    fprintf(f, "    latchkey_keys \"%s/keys\";\n    latchkey_memory anonymous;\n", l->dir);
    write_upstream(l, way, f);
    fprintf(f,
            "    server {\n        listen 127.0.0.1:%u;\n        location = /lab-balancer {\n"
            "            return 200;\n        }\n        location / {\n",
            l->balancer_port);
    write_proxy(f, "nodes");
    fputs("            proxy_connect_timeout 1s;\n            proxy_next_upstream error timeout;\n"
          "            proxy_buffering on;\n        }\n    }\n}\n",
          f);
    int code = close_file(l, f, path);
    code = code == CLI_YES ? start_nginx(l, dir, &l->balancer) : code;
    return code == CLI_YES ? wait_answer(l, &l->balancer, l->balancer_port, "/lab-balancer", dir) : code;
}

void lab_node_kill(lab *l, unsigned i)
{
    lab_node *node = &l->nodes[i];
    lab_kill(&node->nginx); /* the application is in its group */
    lab_kill(&node->app);
    (void)unlink(node->memory);
}

void lab_nodes_end(lab *l)
{
    lab_end(&l->balancer, SIGTERM);
    for (unsigned i = 0; i < LAB_NODES; i++) {
        lab_end(&l->nodes[i].nginx, SIGTERM);
        lab_kill(&l->nodes[i].app);
        if (l->nodes[i].memory[0] != '\0') {
            (void)unlink(l->nodes[i].memory);
        }
    }
}
