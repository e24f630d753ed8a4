//! Conditions that several queries share.

use shs_store::{Role, Scope, SessionFilter, Status, TenantId, Timestamp};
use sqlx::{QueryBuilder, Sqlite};

use crate::row::{role_code, status_code, to_json};

/// Narrows `sessions s` to those of a tenant with the tags, found through the index by tag.
///
/// Other columns of `s` that an index could serve have to be hidden from the planner with a `+`, or it
/// may walk all sessions to find the few with a tag.
fn tags(sql: &mut QueryBuilder<Sqlite>, of: &TenantId, any: &[String], all: &[String]) {
    let found_by = if any.is_empty() { &all[..all.len().min(1)] } else { any };
    if found_by.is_empty() {
        return;
    }
    sql.push(" AND s.key IN (SELECT session FROM session_tags WHERE tenant = ");
    tenant(sql, of);
    sql.push(" AND tag IN (SELECT value FROM json_each(").push_bind(to_json(found_by)).push(")))");
    if !all.is_empty() {
        sql.push(" AND NOT EXISTS (SELECT 1 FROM json_each(").push_bind(to_json(all)).push(
            ") wanted WHERE NOT EXISTS (SELECT 1 FROM session_tags t \
             WHERE t.tenant = s.tenant AND t.tag = wanted.value AND t.session = s.key))",
        );
    }
}

/// The key of a tenant; NULL if there is none of the name.
pub(super) fn tenant(sql: &mut QueryBuilder<Sqlite>, tenant: &TenantId) {
    if tenant.is_default() {
        sql.push("0");
    } else {
        sql.push("(SELECT key FROM tenants WHERE name = ");
        sql.push_bind(tenant.as_str().to_owned()).push(")");
    }
}

/// Narrows `sessions s` to those of a scope that pass a filter.
///
/// One index finds them: that by tag, that by user or by project, which are a tenant's, or else one
/// of the tenant's. If something else does already, all columns are hidden from the planner.
pub(super) fn sessions(
    sql: &mut QueryBuilder<Sqlite>,
    scope: &Scope,
    filter: &SessionFilter,
    is_found: bool,
) {
    let mut is_found = is_found || filter.has_tags();
    let owners = [
        ("users", ["s.user", "+s.user"], scope.user_id()),
        ("users", ["s.user", "+s.user"], filter.user_id.as_deref()),
        ("projects", ["s.project", "+s.project"], filter.project_id.as_deref()),
    ];
    for (table, column, name) in owners {
        let Some(name) = name else { continue };
        sql.push(" AND ").push(column[usize::from(is_found)]).push(" = ");
        key_of(sql, scope, table, name);
        is_found = true;
    }
    sql.push(if is_found { " AND +s.tenant = " } else { " AND s.tenant = " });
    tenant(sql, scope.tenant_id());
    tags(sql, scope.tenant_id(), &filter.tags_any, &filter.tags_all);
}

/// The key of a tenant's user or project; NULL if there is none of the name.
pub(super) fn key_of(
    sql: &mut QueryBuilder<Sqlite>,
    scope: &Scope,
    table: &'static str,
    name: &str,
) {
    sql.push("(SELECT key FROM ").push(table).push(" WHERE tenant = ");
    tenant(sql, scope.tenant_id());
    sql.push(" AND name = ").push_bind(name.to_owned()).push(")");
}

/// Narrows `messages m` by time.
pub(crate) fn said(
    sql: &mut QueryBuilder<Sqlite>,
    column: &'static str,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) {
    if let Some(since) = since {
        sql.push(" AND ").push(column).push(" >= ").push_bind(since.as_micros());
    }
    if let Some(until) = until {
        sql.push(" AND ").push(column).push(" < ").push_bind(until.as_micros());
    }
}

/// Narrows `messages m`, found otherwise, by role, status and model.
pub(crate) fn kind(
    sql: &mut QueryBuilder<Sqlite>,
    role: Option<Role>,
    status: Option<Status>,
    model: Option<&str>,
) {
    if let Some(role) = role {
        sql.push(" AND m.role = ").push_bind(role_code(role));
    }
    if let Some(status) = status {
        sql.push(" AND m.status = ").push_bind(status_code(status));
    }
    if let Some(model) = model {
        sql.push(" AND m.model = (SELECT key FROM models WHERE name = ");
        sql.push_bind(model.to_owned()).push(")");
    }
}
