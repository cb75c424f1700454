/* SPDX-License-Identifier: Apache-2.0
 *
 * serve_nginx.c - nginx.conf, and api.conf of the second nginx of --split.
 *
 * Everything that comes from outside was checked before: addresses to the letter, paths for characters that
 * mean something to nginx.
 */
#include "serve.h"
#include <string.h>
#include <unistd.h>

/* What any nginx of ours needs to run as any user, beside the system's: its own pid, logs and temporary
 * files. */
static void write_top(const serve *s, FILE *f, const char *role)
{
    fprintf(
        f,
        "# Written by latchkey serve, again at each start: to keep changes of your own, start with --keep.\n"
        "daemon off;\n"
        "worker_processes %lld;\n"
        "worker_shutdown_timeout 3s;\n"
        "pid \"%s/%s.pid\";\n"
        "error_log \"%s/error.log\" warn;\n"
        "load_module \"%s\";\n",
        (long long)s->workers, s->dir, role, s->dir, s->module);
    if (geteuid() == 0) {
        fputs("user root;\n",
              f); /* the directory is root's; given to another user, all of this runs as that one */
    }
    fputs("\nevents {\n    worker_connections 1024;\n}\n\nhttp {\n", f);
    static const char *const temps[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    for (size_t i = 0; i < sizeof temps / sizeof temps[0]; i++) {
        fprintf(f, "    %s_temp_path \"%s/tmp/%s/%s\";\n", temps[i], s->dir, role, temps[i]);
    }
    fputs("    server_tokens off;\n    keepalive_timeout 65s;\n", f);
    fputs("    large_client_header_buffers 4 20k; # a sealed session may fill four cookies\n", f);
    fprintf(f, "    include \"%s/latchkey.conf\";\n", s->dir);
}

static void write_forwarded(FILE *f, const char *indent)
{
    static const char *const headers[] = {
        "Host $http_host",           "X-Forwarded-For $remote_addr",
        "X-Forwarded-Proto $scheme", "X-Forwarded-Host $http_host",
        "X-Request-Id $request_id",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        fprintf(f, "%sproxy_set_header %s;\n", indent, headers[i]);
    }
}

static void write_upstreams(const serve *s, FILE *f)
{
    if (s->apps_n > 0) {
        fputs("\n    upstream app {\n", f);
        for (size_t i = 0; i < s->apps_n; i++) {
            fprintf(f, "        server %s:%u;\n", s->apps[i].host, s->apps[i].port);
        }
        fputs("        keepalive 32;\n    }\n", f);
        fputs(
            "    map $http_upgrade $latchkey_connection {\n        default upgrade;\n        '' '';\n    }\n",
            f);
    }
    if (s->split) {
        fprintf(f,
                "\n    upstream latchkey_api {\n        server \"unix:%s/api.sock\";\n        keepalive 8;\n "
                "   }\n",
                s->dir);
    }
}

/* One location of the API: here, or in the nginx behind api.sock. That one believes what we say of client and
 * scheme, and only we can reach it: the socket is in a directory nobody else can open. `remote` tells the
 * edge that what comes back from there may set the session cookie, which applications may not. */
static void write_api_location(const serve *s, FILE *f, const char *location)
{
    fprintf(f, "        location %s {\n            latchkey_api%s;\n", location, s->split ? " remote" : "");
    if (s->split) {
        fputs("            proxy_pass http://latchkey_api;\n"
              "            proxy_http_version 1.1;\n"
              "            proxy_set_header Connection '';\n"
              "            proxy_request_buffering off; # a body may hold a password: not into a file\n",
              f);
        write_forwarded(f, "            ");
    }
    fputs("        }\n", f);
}

static void write_api_locations(const serve *s, FILE *f)
{
    write_api_location(s, f, "/auth/");
    write_api_location(s, f, "/oauth2/");
    write_api_location(s, f, "= /.well-known/oauth-authorization-server");
    write_api_location(s, f, "= /.well-known/jwks.json");
    write_api_location(s, f, "= /.well-known/change-password");
}

static void write_app_location(const serve *s, FILE *f)
{
    fputs("        location / {\n            latchkey optional anonymous;\n", f);
    if (s->apps_n == 0) {
        fprintf(f, "            root \"%s/www\";\n            index index.html;\n        }\n", s->dir);
        return;
    }
    if (s->data[0] != '\0') {
        fprintf(f, "            latchkey_data %s accept;\n", s->data);
    }
    fputs("            latchkey_csrf on;\n"
          "            proxy_pass http://app;\n"
          "            proxy_http_version 1.1;\n"
          "            proxy_set_header Upgrade $http_upgrade;\n"
          "            proxy_set_header Connection $latchkey_connection;\n",
          f);
    write_forwarded(f, "            ");
    fputs("        }\n", f);
}

static void write_listen(const serve *s, FILE *f)
{
    bool tls = s->cert[0] != '\0';
    fprintf(f, "        listen %s:%u%s;\n", s->listen.host, s->listen.port, tls ? " ssl http2" : "");
    if (tls) {
        fprintf(f,
                "        ssl_certificate \"%s\";\n"
                "        ssl_certificate_key \"%s\";\n"
                "        ssl_protocols TLSv1.2 TLSv1.3;\n"
                "        ssl_session_tickets off;\n",
                s->cert, s->key);
    }
}

void serve_write_edge(const serve *s, FILE *f)
{
    write_top(s, f, "edge");
    fputs("    default_type application/octet-stream;\n    types {\n        text/html html;\n    }\n", f);
    fprintf(f, "    access_log \"%s/access.log\";\n", s->dir);
    write_upstreams(s, f);
    fputs("\n    server {\n", f);
    write_listen(s, f);
    write_api_locations(s, f);
    write_app_location(s, f);
    fputs("    }\n", f);
    /* Asked by latchkey serve itself, which has no need of TLS for it. */
    fprintf(f, "\n    server {\n        listen \"unix:%s/health.sock\";\n        access_log off;\n", s->dir);
    write_api_location(s, f, "/auth/health/");
    fputs("    }\n}\n", f);
}

void serve_write_api(const serve *s, FILE *f)
{
    write_top(s, f, "api");
    fprintf(f,
            "    access_log off;\n"
            "\n    server {\n"
            "        listen \"unix:%s/api.sock\";\n"
            "        set_real_ip_from unix:;\n"
            "        real_ip_header X-Forwarded-For;\n"
            "        location / {\n"
            "            latchkey_api;\n"
            "        }\n"
            "    }\n}\n",
            s->dir);
}
