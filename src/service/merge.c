/* SPDX-License-Identifier: Apache-2.0
 *
 * merge.c - RFC 7396 over JSON texts, with a stack of its own instead of recursion.
 */
#include "service/merge.h"

#include <latchkey/json.h>

/* One object of the patch being walked together with the object of the target it goes into: first the
 * members of the target, each as the patch leaves it, then those only the patch has. */
typedef struct level {
    lk_view target, patch;
    size_t at;
    bool in_patch; /* the second half of the walk */
    bool any;      /* a member was written: the next one needs a comma */
} level;

typedef struct merging {
    level levels[LK_JSON_DEPTH_MAX + 1];
    size_t depth;
    uint8_t *name; /* room for one name without its escapes */
    size_t name_cap;
    lk_buf *out;
} merging;

/* The member of OBJECT that has the same name as ITEM, however the two are escaped. */
static lk_status same_member(merging *m, lk_view object, const lk_json_item *item, lk_json_item *found)
{
    lk_buf name = lk_buf_over(m->name, m->name_cap);
    lk_status status = lk_json_string(lk_view_make(item->name.p - 1, item->name.len + 2), &name);
    return status == LK_OK ? lk_json_get(object, lk_buf_view(&name), found) : status;
}

static void write_name(merging *m, level *l, const lk_json_item *item)
{
    if (l->any)
        lk_buf_add_byte(m->out, ',');
    l->any = true;
    lk_buf_add(m->out, lk_view_make(item->name.p - 1, item->name.len + 2));
    lk_buf_add_byte(m->out, ':');
}

static lk_status descend(merging *m, lk_view target, lk_view patch)
{
    /* Cannot happen to texts that lk_json_check has accepted: their depth has this very bound. */
    if (m->depth == LK_JSON_DEPTH_MAX + 1)
        return LK_FULL;
    m->levels[m->depth++] = (level){.target = target, .patch = patch};
    lk_buf_add_byte(m->out, '{');
    return LK_OK;
}

/* Write the member ITEM as it comes out of the patch member CHANGE over what it was. */
static lk_status write_change(merging *m, level *l, const lk_json_item *item, const lk_json_item *change)
{
    if (change->type == LK_JSON_NULL)
        return LK_OK;
    write_name(m, l, item);
    if (change->type == LK_JSON_OBJECT)
        return descend(m, item->type == LK_JSON_OBJECT && item != change ? item->value : (lk_view){0},
                       change->value);
    lk_buf_add(m->out, change->value);
    return LK_OK;
}

static lk_status next_of_target(merging *m, level *l)
{
    lk_json_item item, change;
    if (!lk_json_next(l->target, &l->at, &item)) {
        l->in_patch = true;
        l->at = 0;
        return LK_OK;
    }
    lk_status status = same_member(m, l->patch, &item, &change);
    if (status == LK_OK)
        return write_change(m, l, &item, &change);
    if (status != LK_MISS)
        return status;
    write_name(m, l, &item);
    lk_buf_add(m->out, item.value);
    return LK_OK;
}

static lk_status next_of_patch(merging *m, level *l)
{
    lk_json_item item, there;
    if (!lk_json_next(l->patch, &l->at, &item)) {
        lk_buf_add_byte(m->out, '}');
        m->depth--;
        return LK_OK;
    }
    lk_status status = same_member(m, l->target, &item, &there);
    return status == LK_MISS ? write_change(m, l, &item, &item) : status;
}

static bool is_object(lk_view text)
{
    size_t i = 0;
    while (i < text.len && (text.p[i] == ' ' || text.p[i] == '\t' || text.p[i] == '\n' || text.p[i] == '\r'))
        i++;
    return i < text.len && text.p[i] == '{';
}

lk_status lk__merge_text(lk_view target, lk_view patch, lk__arena *arena, lk_buf *out)
{
    if (!is_object(patch)) {
        lk_buf_add(out, patch);
        return lk_buf_status(out);
    }
    merging m = {.name_cap = target.len > patch.len ? target.len : patch.len, .out = out};
    m.name = lk__arena_take(arena, m.name_cap);
    if (m.name == NULL)
        return LK_FAULT;
    lk_status status = descend(&m, is_object(target) ? target : (lk_view){0}, patch);
    while (status == LK_OK && m.depth > 0) {
        level *l = &m.levels[m.depth - 1];
        status = l->in_patch ? next_of_patch(&m, l) : next_of_target(&m, l);
    }
    return status == LK_OK ? lk_buf_status(out) : status;
}

/* The name of a field as the store will take it. */
static lk_status field_name(const lk_json_item *item, lk_buf *name, lk_note *note)
{
    lk_status status = lk_json_string(lk_view_make(item->name.p - 1, item->name.len + 2), name);
    bool good = status == LK_OK && name->len > 0 && name->len <= LK_FIELD_NAME_MAX;
    for (size_t i = 0; good && i < name->len; i++)
        good = name->p[i] >= 0x20 && name->p[i] != 0x7f;
    if (!good)
        lk_note_set(note, "the name of a field has 1 to %d bytes and no control characters",
                    LK_FIELD_NAME_MAX);
    return good ? LK_OK : LK_REFUSED;
}

/* The operation for one member of the patch. */
static lk_status member_op(lk_view fields, const lk_json_item *item, lk__arena *arena, lk_op *op,
                           lk_note *note)
{
    lk_buf name = lk__arena_buf(arena, LK_FIELD_NAME_MAX + 1);
    if (lk__arena_failed(arena))
        return LK_FAULT;
    lk_status status = field_name(item, &name, note);
    if (status != LK_OK)
        return status;
    *op = (lk_op){.kind = item->type == LK_JSON_NULL ? LK_OP_DELETE : LK_OP_SET,
                  .name = lk_buf_view(&name),
                  .value = item->value};
    if (item->type != LK_JSON_OBJECT)
        return LK_OK;
    lk_view now = {0};
    status = lk_fields_get(fields, op->name, &now);
    if (status != LK_OK && status != LK_MISS)
        return status;
    /* No member gets longer than it was in one of the two; a comma may be added where they meet. */
    lk_buf merged = lk__arena_buf(arena, now.len + item->value.len + 2);
    status = lk__merge_text(now, item->value, arena, &merged);
    op->kind = LK_OP_COMPARE_SET;
    op->expected = now;
    op->value = lk_buf_view(&merged);
    return lk__arena_failed(arena) ? LK_FAULT : status;
}

lk_status lk__merge_ops(lk_view fields, lk_view patch, lk__arena *arena, lk_op **ops, size_t *n,
                        lk_note *note)
{
    *n = 0;
    *ops = lk__arena_take(arena, LK_FIELDS_MAX * sizeof(lk_op));
    if (*ops == NULL)
        return LK_FAULT;
    lk_json_item item;
    for (size_t at = 0; lk_json_next(patch, &at, &item);) {
        if (*n == LK_FIELDS_MAX) {
            lk_note_set(note, "one request changes at most %d fields", LK_FIELDS_MAX);
            return LK_FULL;
        }
        lk_status status = member_op(fields, &item, arena, &(*ops)[*n], note);
        if (status != LK_OK)
            return status;
        *n += 1;
    }
    return LK_OK;
}
