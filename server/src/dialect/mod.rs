//! What SQLite says and how PostgreSQL says it: pure functions over a schema model.

pub mod codec;
pub mod facts;
pub mod schema;
pub mod typemap;
pub mod value;
