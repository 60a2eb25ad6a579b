/// Orphans of one foreign key.
#[derive(Debug, Clone, PartialEq)]
pub struct OrphanCount {
    /// Number of the child table in the schema.
    pub table: usize,
    /// Number of the foreign key in its table.
    pub foreign_key: usize,
    /// Rows without a parent.
    pub count: u64,
    /// Keys of the first few: `id=7`.
    pub examples: Vec<String>,
}
