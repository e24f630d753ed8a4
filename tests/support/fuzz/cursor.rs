//! Cursors: any text is refused with a type, or is a cursor that a store made.

use session_history_saver::query::Position;
use session_history_saver::{
    Cursor, ErrorKind, Message, MessageQuery, Scope, Seq, SessionId, Timestamp,
};

/// Takes the bytes as the text of a cursor, as a position, and as a cursor that was altered.
///
/// # Panics
/// If anything but a cursor of ours is taken for one.
pub fn cursor(bytes: &[u8]) {
    let Some((fingerprint, rest)) = bytes.split_first_chunk::<8>() else { return };
    let fingerprint = u64::from_be_bytes(*fingerprint);
    take(&String::from_utf8_lossy(rest), fingerprint);
    let Some(position) = position(rest) else { return };
    let made = Cursor::encode(fingerprint, &position);
    assert_eq!(made.decode(fingerprint).expect("it was made for this"), position);
    assert!(made.decode(!fingerprint).is_err(), "it belongs to another query");
    let mut altered = made.as_str().to_owned();
    let at = fingerprint as usize % altered.len();
    altered.replace_range(at..=at, if altered.as_bytes()[at] == b'A' { "B" } else { "A" });
    take(&altered, fingerprint);
    assert!(Cursor::new(altered).decode(fingerprint).is_err(), "altered at {at}");
}

/// A text is refused, or comes back from the position that it holds.
fn take(text: &str, fingerprint: u64) {
    let cursor = Cursor::new(text);
    match cursor.decode(fingerprint) {
        Ok(position) => assert_eq!(Cursor::encode(fingerprint, &position), cursor),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
    }
    let session: SessionId = "s".parse().expect("the id is valid");
    let query = MessageQuery::new().with_after(cursor);
    let page = query.page_of(
        &Scope::DEFAULT,
        &session,
        &[],
        |message: &Message| message,
        |message| Ok(message.clone()),
    );
    assert!(page.is_err(), "no store made it for this query");
}

/// A position of one of the three kinds.
fn position(bytes: &[u8]) -> Option<Position> {
    let (kind, bytes) = bytes.split_first()?;
    let (number, id) = bytes.split_first_chunk::<8>()?;
    let number = i64::from_be_bytes(*number);
    Some(match kind % 3 {
        0 => Position::Seq(Seq::new(number.unsigned_abs()).ok()?),
        1 => Position::Arrival(number),
        _ => {
            let id = SessionId::new(String::from_utf8_lossy(id)).ok()?;
            Position::Session(Timestamp::from_micros(number).ok()?, id)
        }
    })
}
