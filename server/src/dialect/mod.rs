//! What SQLite says and how PostgreSQL says it: pure functions over a schema model.

pub mod capture;
pub mod codec;
pub mod ddl;
mod default;
pub mod existing;
mod expr;
pub mod facts;
pub mod finding;
pub mod guard;
pub mod ident;
pub mod plan;
pub mod reverse;
pub mod schema;
pub mod selection;
pub mod sqlite;
pub(crate) mod sqlite_ddl;
pub mod typemap;
pub mod value;
pub mod versions;
mod view;
pub mod wire;
