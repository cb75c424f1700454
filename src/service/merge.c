/* SPDX-License-Identifier: Apache-2.0
 *
 * merge.c - RFC 7396 over JSON texts, with a stack of its own instead of recursion; and adding the same way.
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
    bool adds; /* to what is there, instead of replacing it */
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

/* TEXT without the blanks JSON allows around it. */
static lk_view bare(lk_view text)
{
    while (text.len > 0 && text.p[0] <= ' ')
        text = lk_view_make(text.p + 1, text.len - 1);
    while (text.len > 0 && text.p[text.len - 1] <= ' ')
        text.len--;
    return text;
}

/* What stands between the brackets of a JSON array. */
static lk_view elements(lk_view array)
{
    array = bare(array);
    return bare(lk_view_make(array.p + 1, array.len - 2));
}

/* Append what THERE (empty: nothing) becomes when MORE of TYPE, which is no object, is added. LK_OK (whether
 * OUT had room its status says); LK_REFUSED. */
static lk_status add_value(lk_view there, lk_json_type type, lk_view more, lk_buf *out)
{
    int64_t a = 0, b, sum;
    if (type == LK_JSON_NUMBER) {
        if ((there.len > 0 && lk_json_i64(there, &a) != LK_OK) || lk_json_i64(more, &b) != LK_OK ||
            __builtin_add_overflow(a, b, &sum))
            return LK_REFUSED;
        lk_buf_add_i64(out, sum);
        return LK_OK;
    }
    there = bare(there);
    if (type != LK_JSON_ARRAY || (there.len > 0 && there.p[0] != '['))
        return LK_REFUSED;
    lk_view old = there.len > 0 ? elements(there) : (lk_view){0};
    more = elements(more);
    lk_buf_add_byte(out, '[');
    lk_buf_add(out, old);
    if (old.len > 0 && more.len > 0)
        lk_buf_add_byte(out, ',');
    lk_buf_add(out, more);
    lk_buf_add_byte(out, ']');
    return LK_OK;
}

/* The same member when the patch is added. ITEM is CHANGE where there is nothing to add to. */
static lk_status write_sum(merging *m, level *l, const lk_json_item *item, const lk_json_item *change)
{
    bool is_there = item != change;
    write_name(m, l, item);
    if (change->type != LK_JSON_OBJECT)
        return add_value(is_there ? item->value : (lk_view){0}, change->type, change->value, m->out);
    if (is_there && item->type != LK_JSON_OBJECT)
        return LK_REFUSED;
    return descend(m, is_there ? item->value : (lk_view){0}, change->value);
}

/* Write the member ITEM as it comes out of the patch member CHANGE over what it was. */
static lk_status write_change(merging *m, level *l, const lk_json_item *item, const lk_json_item *change)
{
    if (m->adds)
        return write_sum(m, l, item, change);
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

/* PATCH is an object. */
static lk_status walk(lk_view target, lk_view patch, bool adds, lk__arena *arena, lk_buf *out)
{
    merging m = {.name_cap = target.len > patch.len ? target.len : patch.len, .adds = adds, .out = out};
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

lk_status lk__merge_text(lk_view target, lk_view patch, lk__arena *arena, lk_buf *out)
{
    if (is_object(patch))
        return walk(target, patch, false, arena, out);
    lk_buf_add(out, patch);
    return lk_buf_status(out);
}

lk_status lk__add_text(lk_view target, lk_view patch, lk__arena *arena, lk_buf *out)
{
    if (target.len > 0 && !is_object(target))
        return LK_REFUSED;
    return walk(target, patch, true, arena, out);
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
    if (good && lk_field_is_ours(lk_buf_view(name))) {
        lk_note_set(note, "names that begin with latchkey. are the gateway's own");
        good = false;
    }
    return good ? LK_OK : LK_REFUSED;
}

static lk_status name_op(const lk_json_item *item, lk__arena *arena, lk_op *op, lk_note *note)
{
    lk_buf name = lk__arena_buf(arena, LK_FIELD_NAME_MAX + 1);
    if (lk__arena_failed(arena))
        return LK_FAULT;
    lk_status status = field_name(item, &name, note);
    *op = (lk_op){.name = lk_buf_view(&name), .value = item->value};
    return status;
}

static lk_status present_value(lk_view fields, lk_view name, lk_view *now)
{
    *now = (lk_view){0};
    lk_status status = lk_fields_get(fields, name, now);
    return status == LK_MISS ? LK_OK : status;
}

/* The operation for one member of the patch. */
static lk_status member_op(lk_view fields, const lk_json_item *item, lk__arena *arena, lk_op *op,
                           lk_note *note)
{
    lk_status status = name_op(item, arena, op, note);
    if (status != LK_OK)
        return status;
    op->kind = item->type == LK_JSON_NULL ? LK_OP_DELETE : LK_OP_SET;
    if (item->type != LK_JSON_OBJECT)
        return LK_OK;
    lk_view now;
    status = present_value(fields, op->name, &now);
    if (status != LK_OK)
        return status;
    /* No member gets longer than it was in one of the two; a comma may be added where they meet. */
    lk_buf merged = lk__arena_buf(arena, now.len + item->value.len + 2);
    status = lk__merge_text(now, item->value, arena, &merged);
    op->kind = LK_OP_COMPARE_SET;
    op->expected = now;
    op->value = lk_buf_view(&merged);
    return lk__arena_failed(arena) ? LK_FAULT : status;
}

/* The same for a member that is added. A number is added by the store itself; what is added to an array or
 * inside an object is written back if it is still what it was added to. */
static lk_status member_sum(lk_view fields, const lk_json_item *item, lk__arena *arena, lk_op *op,
                            lk_note *note)
{
    lk_status status = name_op(item, arena, op, note);
    if (status != LK_OK)
        return status;
    op->kind = LK_OP_ADD;
    if (item->type == LK_JSON_NUMBER && lk_json_i64(item->value, &op->number) == LK_OK)
        return LK_OK;
    lk_view now;
    status = present_value(fields, op->name, &now);
    if (status != LK_OK)
        return status;
    op->kind = LK_OP_COMPARE_SET;
    op->expected = now;
    /* A sum has a digit more than either number, and every member of either text may be one. */
    lk_buf sum = lk__arena_buf(arena, (now.len + item->value.len) * 2 + 32);
    if (item->type == LK_JSON_OBJECT)
        status = lk__add_text(now, item->value, arena, &sum);
    else
        status = add_value(now, item->type, item->value, &sum);
    op->value = lk_buf_view(&sum);
    if (lk__arena_failed(arena))
        return LK_FAULT;
    if (status == LK_REFUSED)
        lk_note_set(note,
                    "what is added has to be whole numbers, and elements of arrays, to the like of them");
    return status == LK_OK ? lk_buf_status(&sum) : status;
}

typedef lk_status (*member_fn)(lk_view fields, const lk_json_item *item, lk__arena *arena, lk_op *op,
                               lk_note *note);

static lk_status all_members(lk_view fields, lk_view patch, member_fn one, lk__arena *arena, lk_op **ops,
                             size_t *n, lk_note *note)
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
        lk_status status = one(fields, &item, arena, &(*ops)[*n], note);
        if (status != LK_OK)
            return status;
        *n += 1;
    }
    return LK_OK;
}

lk_status lk__merge_ops(lk_view fields, lk_view patch, lk__arena *arena, lk_op **ops, size_t *n,
                        lk_note *note)
{
    return all_members(fields, patch, member_op, arena, ops, n, note);
}

lk_status lk__add_ops(lk_view fields, lk_view patch, lk__arena *arena, lk_op **ops, size_t *n, lk_note *note)
{
    return all_members(fields, patch, member_sum, arena, ops, n, note);
}
