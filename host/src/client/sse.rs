//! Server-sent events: lines in, messages out. Knows no event of ours.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

/// A line, at most; bytes.
const MAX_LINE: u64 = 1 << 20;
/// A message, at most; bytes.
const MAX_MESSAGE: usize = 4 << 20;

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Its kind; `message` when it says none.
    pub event: String,
    /// Its data, lines joined.
    pub data: String,
}

/// Reads messages, and remembers where it is.
pub struct Reader<R> {
    input: R,
    began: bool,
    /// The last id that came: what to ask for after a break.
    pub last_id: Option<String>,
    /// How long to wait before asking again, if the server said so.
    pub retry: Option<Duration>,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R, last_id: Option<String>) -> Self {
        Self { input, began: false, last_id, retry: None }
    }

    /// The next message. `None`: the stream is over; what was begun and not ended by an empty line is dropped.
    pub fn next(&mut self) -> io::Result<Option<Message>> {
        let (mut event, mut data, mut id) = (String::new(), None::<String>, None);
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.is_empty() {
                if let Some(id) = id.take() {
                    self.last_id = Some(id);
                }
                if let Some(data) = data.take() {
                    let event = if event.is_empty() { "message".to_owned() } else { event };
                    return Ok(Some(Message { event, data }));
                }
                event.clear();
                continue;
            }
            // A line that begins with a colon is a comment: it keeps the connection alive.
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut event),
                "data" => {
                    let data = data.get_or_insert_with(String::new);
                    if !data.is_empty() {
                        data.push('\n');
                    }
                    data.push_str(value);
                    if data.len() > MAX_MESSAGE {
                        return Err(too_long());
                    }
                }
                "id" if !value.contains('\0') => id = Some(value.to_owned()),
                "retry" => self.retry = value.parse().map(Duration::from_millis).ok().or(self.retry),
                _ => {}
            }
        }
    }

    /// One line without its end, which is LF or CRLF.
    fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut bytes)?;
        if bytes.pop_if(|last| *last == b'\n').is_none() {
            return if bytes.len() as u64 >= MAX_LINE { Err(too_long()) } else { Ok(None) };
        }
        bytes.pop_if(|last| *last == b'\r');
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let first = !std::mem::replace(&mut self.began, true);
        Ok(Some(if first { text.trim_start_matches('\u{feff}').to_owned() } else { text }))
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an event is longer than is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Message>, Option<String>, Option<Duration>) {
        let mut reader = Reader::new(text.as_bytes(), None);
        let mut all = Vec::new();
        while let Some(message) = reader.next().unwrap() {
            all.push(message);
        }
        (all, reader.last_id, reader.retry)
    }

    fn message(event: &str, data: &str) -> Message {
        Message { event: event.into(), data: data.into() }
    }

    #[test]
    fn messages_end_with_an_empty_line() {
        for (text, expected, id) in [
            ("id: 1\nevent: state\ndata: {}\n\n", vec![message("state", "{}")], Some("1")),
            ("data:a\r\ndata: b\r\n\r\n", vec![message("message", "a\nb")], None),
            (": alive\n\n: alive\n\ndata: x\n\n", vec![message("message", "x")], None),
            ("\u{feff}data: x\n\n", vec![message("message", "x")], None),
            // An event without data is none, but its id counts.
            ("id: 7\nevent: state\n\ndata: y\n\n", vec![message("message", "y")], Some("7")),
            // Cut in the middle: neither the message nor its id.
            ("id: 1\ndata: x\n\nid: 2\ndata: half", vec![message("message", "x")], Some("1")),
            ("id: 1\ndata: x\n\nid: 2\ndata: half\n", vec![message("message", "x")], Some("1")),
            ("unknown: 1\nretry\ndata\n\n", vec![message("message", "")], None),
            ("", vec![], None),
        ] {
            let (all, last, _) = read(text);
            assert_eq!((all, last.as_deref()), (expected, id), "{text:?}");
        }
    }

    #[test]
    fn the_wait_is_remembered_and_a_line_is_bounded() {
        assert_eq!(read("retry: 250\n\nretry: x\n\n").2, Some(Duration::from_millis(250)));
        let long = format!("data: {}\n\n", "x".repeat(MAX_LINE as usize));
        let error = Reader::new(long.as_bytes(), None).next().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
