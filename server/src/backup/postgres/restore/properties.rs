//! What a database has besides its content: owner, settings and privileges. They are not in a
//! backup; a database that takes another one's place gets that one's.

use tokio_postgres::{Client, Row};

use crate::{
    backup::{manifest::Missing, postgres::catalog::missing},
    db::postgres::{explain, failed},
    dialect::ident::{literal, quote},
    error::Result,
};

/// Gives one database the settings and privileges of another; what cannot be given is told.
pub(super) async fn copy(client: &Client, from: &str, to: &str) -> Result<Vec<Missing>> {
    let mut statements = settings(client, from, to).await?;
    statements.extend(privileges(client, from, to).await?);
    let mut found = Vec::new();
    for sql in statements {
        found.extend(attempt(client, &sql).await);
    }
    Ok(found)
}

/// Gives a database to another one's owner. Afterwards it may not be possible to rename it.
pub(super) async fn copy_owner(client: &Client, from: &str, to: &str) -> Result<Vec<Missing>> {
    let sql = "SELECT r.rolname::text, r.rolname = current_user \
               FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = $1";
    let row = client.query_one(sql, &[&from]).await.map_err(failed)?;
    if row.get(1) {
        return Ok(Vec::new());
    }
    let owner = quote(row.get(0));
    let sql = format!("ALTER DATABASE {} OWNER TO {owner}", quote(to));
    Ok(attempt(client, &sql).await.into_iter().collect())
}

async fn attempt(client: &Client, sql: &str) -> Option<Missing> {
    let error = client.batch_execute(sql).await.err()?;
    let message = format!("a property of the database was not taken over: {}", explain(&error));
    Some(missing("database_property", "", message))
}

/// A list in a setting is stored as it was written, so it goes through the session: statements
/// that are sent together are one transaction.
async fn settings(client: &Client, from: &str, to: &str) -> Result<Vec<String>> {
    let sql = "SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole)::text END, \
                 split_part(c, '=', 1), substr(c, strpos(c, '=') + 1) \
               FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase \
                 CROSS JOIN unnest(s.setconfig) AS c WHERE d.datname = $1 ORDER BY 1, 2";
    let rows = client.query(sql, &[&from]).await.map_err(failed)?;
    let statement = |row: &Row| {
        let role = row.get::<_, Option<&str>>(0);
        let role = role.map(|role| format!("ROLE {} IN ", quote(role))).unwrap_or_default();
        let (name, value): (&str, &str) = (row.get(1), row.get(2));
        // A name of an extension's setting has a dot; each part is an identifier.
        let quoted: Vec<String> = name.split('.').map(quote).collect();
        format!(
            "SELECT set_config({}, {}, true); ALTER {role}DATABASE {} SET {} FROM CURRENT",
            literal(name),
            literal(value),
            quote(to),
            quoted.join(".")
        )
    };
    Ok(rows.iter().map(statement).collect())
}

async fn privileges(client: &Client, from: &str, to: &str) -> Result<Vec<String>> {
    let sql = "SELECT coalesce(r.rolname::text, ''), a.privilege_type, a.is_grantable \
               FROM pg_database d CROSS JOIN aclexplode(d.datacl) AS a \
                 LEFT JOIN pg_roles r ON r.oid = a.grantee \
               WHERE d.datname = $1 AND a.grantee <> d.datdba \
                 AND (a.grantee = 0 OR r.oid IS NOT NULL) ORDER BY 1, 2";
    let rows = client.query(sql, &[&from]).await.map_err(failed)?;
    let explicit = "SELECT datacl IS NOT NULL FROM pg_database WHERE datname = $1";
    let explicit: bool = client.query_one(explicit, &[&from]).await.map_err(failed)?.get(0);
    if !explicit {
        return Ok(Vec::new());
    }
    let mut all = vec![format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", quote(to))];
    all.extend(rows.iter().map(|row| {
        let grantee: &str = row.get(0);
        let grantee = if grantee.is_empty() { "PUBLIC".into() } else { quote(grantee) };
        let grantable = if row.get(2) { " WITH GRANT OPTION" } else { "" };
        let privilege: &str = row.get(1);
        format!("GRANT {privilege} ON DATABASE {} TO {grantee}{grantable}", quote(to))
    }));
    Ok(all)
}
