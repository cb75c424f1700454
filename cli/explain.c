/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - latchkey explain: why a credential, a session or a request is let in or not, check by check.
 */
#include "input.h"
#include "output.h"
#include "place.h"
#include <latchkey/explain.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const verdicts[] = {"allow", "refuse", "unknown"};

static int code_of(const lk_explanation *e)
{
    switch (e->verdict) {
    case LK_VERDICT_ALLOW:
        return CLI_YES;
    case LK_VERDICT_REFUSE:
        return CLI_NO;
    case LK_VERDICT_UNKNOWN:
        break;
    }
    return CLI_FAULT;
}

static int print_json(const cli *c, const lk_explanation *e)
{
    json_t *object = json_object(), *steps = json_array();
    for (size_t i = 0; i < e->n; i++) {
        json_t *step = json_object();
        cli_set_text(step, "name", lk_view_of(e->steps[i].name));
        cli_set_text(step, "value", lk_view_of(e->steps[i].value));
        cli_set_text(step, "answer", lk_view_of(lk_step_answer_word(e->steps[i].answer)));
        if (e->steps[i].why != LK_REASON_NONE) {
            cli_set_text(step, "reason", lk_view_of(lk_reason_word(e->steps[i].why)));
        }
        (void)json_array_append_new(steps, step);
    }
    cli_set_text(object, "verdict", lk_view_of(verdicts[e->verdict]));
    cli_set_number(object, "status", e->status);
    cli_set_text(object, "reason", lk_view_of(lk_reason_word(e->reason)));
    (void)json_object_set_new(object, "steps", steps);
    int code = cli_print_record(c, object, NULL);
    return code == CLI_YES ? code_of(e) : code;
}

/* Colours where a person looks on, and has not asked for none (no-color.org). */
static const char *paint(lk_step_answer answer, bool coloured)
{
    static const char *const colours[] = {"\033[2m", "\033[32m", "\033[31m", "\033[33m"};
    return coloured ? colours[answer] : "";
}

static int print_table(const lk_explanation *e)
{
    static const char *const marks[] = {"", "yes", "NO", "?"};
    const char *none = getenv("NO_COLOR");
    bool coloured = isatty(STDOUT_FILENO) && (none == NULL || none[0] == '\0');
    const char *end = coloured ? "\033[0m" : "";
    for (size_t i = 0; i < e->n; i++) {
        const lk_step *s = &e->steps[i];
        printf("%-12s %s%-4s%s %s%s%s%s\n", s->name, paint(s->answer, coloured), marks[s->answer], end,
               s->value, s->why != LK_REASON_NONE ? " (" : "", lk_reason_word(s->why),
               s->why != LK_REASON_NONE ? ")" : "");
    }
    lk_step_answer last = e->verdict == LK_VERDICT_ALLOW    ? LK_STEP_YES
                          : e->verdict == LK_VERDICT_REFUSE ? LK_STEP_NO
                                                            : LK_STEP_UNKNOWN;
    printf("\n%s%s%s", paint(last, coloured),
           e->verdict == LK_VERDICT_ALLOW    ? "let in"
           : e->verdict == LK_VERDICT_REFUSE ? "refused"
                                             : "unknown",
           end);
    if (e->status != 0) {
        printf(", HTTP %d", e->status);
    }
    if (e->reason != LK_REASON_NONE) {
        printf(": %s - %s", lk_reason_word(e->reason), lk_reason_sentence(e->reason));
    }
    putchar('\n');
    return fflush(stdout) == 0 ? code_of(e) : CLI_FAULT;
}

static int print(const cli *c, const lk_explanation *e)
{
    return c->json ? print_json(c, e) : print_table(e);
}

static int read_rule(const cli *c, lk_rule *rule, lk_carrier *carrier)
{
    const char *words = cli_get(c, "location"), *where = cli_get(c, "carrier");
    lk_note note = {""};
    *carrier = LK_CARRIER_HEADER;
    if (lk_rule_read(lk_view_of(words != NULL ? words : "required"), rule, &note) != LK_OK) {
        return cli_wrong(c, "--location: %s", note.text);
    }
    if (where != NULL && lk_carrier_of(lk_view_of(where), carrier) != LK_OK) {
        return cli_wrong(c, "--carrier is cookie, header or url");
    }
    return CLI_YES;
}

static int explain_credential(const cli *c, lk_view text, lk_explanation *e)
{
    cli_place place;
    lk_rule rule;
    const char *address = cli_get(c, "address");
    lk_explain_ask ask = {.credential = text, .rule = &rule};
    lk_kind kind = LK_KIND_COUNT;
    int code = read_rule(c, &rule, &ask.carrier);
    unsigned wanted = CLI_KEYS | CLI_STORE | CLI_REVOKE;
    if (lk_explain_wants_accounts(text)) {
        wanted |= CLI_ACCOUNTS;
    }
    if (code == CLI_YES) {
        code = cli_place_open(c, wanted, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    if (cli_get(c, "carrier") == NULL && lk_credential_kind(text, &kind) == LK_OK && kind == LK_KIND_SEALED) {
        ask.carrier = LK_CARRIER_COOKIE;
    }
    if (address != NULL) {
        ask.address = lk_view_of(address);
    }
    if (place.accounts != NULL) {
        lk_guard_use_accounts(place.guard, place.accounts);
    }
    lk_guard_explain(place.guard, &ask, e);
    cli_place_close(&place);
    return print(c, e);
}

static int explain_session(const cli *c, const lk_session_key *key, lk_explanation *e)
{
    cli_place place;
    int code = cli_place_open(c, CLI_KEYS | CLI_STORE | CLI_REVOKE, &place);
    if (code != CLI_YES) {
        return code;
    }
    lk_guard_explain_session(place.guard, key, e);
    cli_place_close(&place);
    return print(c, e);
}

static int explain_request(const cli *c, lk_view request_id, lk_explanation *e)
{
    cli_place place;
    lk_note note = {""};
    int code = cli_place_open(c, 0, &place);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = LK_FAULT;
    if (place.settings.audit[0] == '/') {
        status = lk_explain_request(lk_env_system(), place.settings.audit, request_id, e, &note);
    } else {
        lk_note_set(&note, "latchkey_audit names no file");
    }
    cli_place_close(&place);
    if (status == LK_OK) {
        return print(c, e);
    }
    return status == LK_MISS ? cli_no(c, LK_REASON_NONE, "%s", note.text) : cli_fault(c, "%s", note.text);
}

/* What is it? A credential by its shape, else a public id, else the id of a request. */
static int explain_text(const cli *c, lk_view text)
{
    static lk_explanation e;
    lk_session_key key;
    if (cli_has(c, "request")) {
        return explain_request(c, text, &e);
    }
    if (lk_public_id_read(text, &key) == LK_OK) {
        return explain_session(c, &key, &e);
    }
    if (text.len > 0 && text.len <= 64 && !lk_explains(text)) {
        return explain_request(c, text, &e);
    }
    return explain_credential(c, text, &e);
}

static int explain(cli *c)
{
    cli_input text;
    int code = cli_read_token(c, 0, &text);
    if (code == CLI_YES) {
        code = explain_text(c, cli_input_view(&text));
        cli_input_free(&text);
    }
    return code;
}

static const cli_option options[] = {
    {"location", "RULE", "a rule in the words of the directive latchkey (default: required)"},
    {"carrier", "WORD",
     "where it rides: cookie, header or url (default: header; cookie for a sealed session)"},
    {"address", "ADDRESS", "where it comes from: for API keys that are good from some addresses alone"},
    {"request", NULL, "it is the id of a request, whatever it looks like"},
    {NULL, NULL, NULL},
};

const cli_command cli_explain_commands[] = {
    {"explain", NULL, "[TOKEN|PUBLIC-ID|REQUEST-ID|-]", 0, 1, options,
     "Say why a credential, a session or a request is let in or not",
     "Every check in the order of the gateway, with what it saw and what it answered, and then the answer of "
     "the gateway itself. Nothing is changed by it, and no secret is shown. A request is looked for in the "
     "audit log. Give a credential on standard input (-): other people see the arguments of a command. Exits "
     "with 0 when it is let in, 1 when it is refused, 3 when that cannot be known.",
     "latchkey explain --conf /etc/latchkey/latchkey.conf --location 'required role=admin' - < token.txt",
     explain},
    {.group = NULL},
};
