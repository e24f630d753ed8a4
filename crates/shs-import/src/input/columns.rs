//! Parquet: data sets in columns.

use std::fs::File;

use crate::found::{Gone, Sink};
use crate::{Format, Place};

/// Reads the rows of a file, each as the value that a line of JSON would be.
#[cfg(feature = "parquet")]
pub(super) fn read(
    file: File,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<(), Gone> {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    // The reader of damaged files may panic where it should fail; nothing of it is used afterwards.
    let read = catch_unwind(AssertUnwindSafe(|| rows(file, place, told, sink)));
    match read {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            sink.failed(place.clone(), format!("this Parquet file cannot be read: {error}"))
        }
        Err(_) => sink.failed(place.clone(), "this Parquet file is damaged"),
    }
}

#[cfg(feature = "parquet")]
fn rows(
    file: File,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> parquet::errors::Result<Result<(), Gone>> {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use crate::read::Reader;

    let columns = SerializedFileReader::new(file)?;
    let mut reader = Reader::new(told);
    for (number, row) in columns.get_row_iter(None)?.enumerate() {
        let place = place.at(format!("row {}", number + 1), None);
        if let Err(gone) = reader.take(row?.to_json_value(), place, sink) {
            return Ok(Err(gone));
        }
    }
    Ok(reader.finish(sink).and_then(|()| sink.tell_timeless(place)))
}

#[cfg(not(feature = "parquet"))]
pub(super) fn read(
    _file: File,
    place: &Place,
    _told: Option<Format>,
    sink: &Sink,
) -> Result<(), Gone> {
    let what = "a Parquet file is read with the cargo feature parquet only (import-parquet of the umbrella)";
    sink.failed(place.clone(), what)
}
