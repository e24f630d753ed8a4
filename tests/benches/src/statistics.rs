//! Medians and their spread.

/// The middle of some values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Summary {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, least, most })
    }
}

/// The value that 99 of 100 values do not exceed.
pub(crate) fn p99(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * 99).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let summary = Summary::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((summary.least, summary.median, summary.most), (1.0, 2.0, 3.0));
        assert_eq!(Summary::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn one_of_a_hundred_is_above_p99() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(p99(&mut values), Some(198.0));
        assert_eq!(p99(&mut [7.0]), Some(7.0));
        assert_eq!(p99(&mut []), None);
    }
}
