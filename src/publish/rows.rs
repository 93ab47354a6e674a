//! Who is counted in which row: names keep their rows for as long as the server runs, so that
//! counters only ever rise.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::{REGION_ROWS, ZONE_ROWS};
use crate::snapshot::Row;

/// The rows of zones and regions.
#[derive(Debug, Default)]
pub struct Rows {
    zones: Mutex<Names>,
    regions: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names(HashMap<String, Row>);

impl Rows {
    /// The row of a zone, by its apex.
    pub(super) fn zone(&self, apex: &str) -> Row {
        lock(&self.zones).row(apex, ZONE_ROWS)
    }

    /// The row of a region.
    pub(super) fn region(&self, name: &str) -> Row {
        lock(&self.regions).row(name, REGION_ROWS)
    }

    /// The zones that have rows, ascending.
    #[must_use]
    pub fn zones(&self) -> Vec<(Row, String)> {
        lock(&self.zones).listed()
    }

    /// The regions that have rows, ascending.
    #[must_use]
    pub fn regions(&self) -> Vec<(Row, String)> {
        lock(&self.regions).listed()
    }
}

impl Names {
    fn row(&mut self, name: &str, rows: u16) -> Row {
        if let Some(row) = self.0.get(name) {
            return *row;
        }
        let next = u16::try_from(self.0.len()).ok().and_then(|taken| taken.checked_add(Row::FIRST.0));
        let Some(row) = next.filter(|row| *row < rows).map(Row) else { return Row::OTHERS };
        self.0.insert(name.to_owned(), row);
        row
    }

    fn listed(&self) -> Vec<(Row, String)> {
        let mut listed: Vec<_> = self.0.iter().map(|(name, row)| (*row, name.clone())).collect();
        listed.sort_unstable_by_key(|(row, _)| row.0);
        listed
    }
}

fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_rows_until_there_are_no_more() {
        let rows = Rows::default();
        let first = rows.zone("example.com.");
        assert_eq!(first, Row::FIRST);
        for number in 0..2 * ZONE_ROWS {
            rows.zone(&format!("{number}.example."));
        }
        assert_eq!(rows.zone("example.com."), first);
        assert_eq!(rows.zone("one.too.many."), Row::OTHERS);
        let listed = rows.zones();
        assert_eq!(listed.len(), usize::from(ZONE_ROWS - 2));
        assert_eq!(listed[0], (first, "example.com.".to_owned()));
        assert_eq!(listed.last().unwrap().0, Row(ZONE_ROWS - 1));
    }
}
