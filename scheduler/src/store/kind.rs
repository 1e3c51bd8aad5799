//! What a database of ours is, and what one that was found lacks.

/// A kind of database.
pub(crate) struct Kind {
    /// Marks one as ours: SQLite's application_id, or a column of PostgreSQL's.
    pub(crate) application: i64,
    /// The schema, as the steps that led to it; the database counts those that have been taken.
    pub(crate) steps: &'static [&'static str],
}

impl Kind {
    /// The steps that a database lacks, by its mark, its count of steps, and whether nothing is in it. `None` where it is
    /// another program's, or a later version's.
    pub(crate) fn lacks(
        &self,
        application: i64,
        schema: i64,
        is_empty: bool,
    ) -> Option<&'static [&'static str]> {
        let taken = usize::try_from(schema).ok()?;
        match (application, taken) {
            (found, 1..) if found == self.application => self.steps.get(taken..),
            (0, 0) if is_empty => Some(self.steps),
            _ => None,
        }
    }
}
