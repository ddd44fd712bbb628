//! Cuts text into JSON documents: one per line, or the elements of one array, or a single object. Only finds where a document
//! ends; whether it is valid JSON is for whoever reads it.

use std::io::{BufRead, Read};

use super::error::SourceError;

/// A longer document is refused: it would be held in memory whole, and no message could carry it.
const MAX_BYTES: usize = 256 << 20;

/// Documents, one after the other.
pub(super) struct Documents {
    input: String,
    bytes: Box<dyn BufRead + Send>,
    /// Where the last document began, from 1.
    line: u64,
    /// Newlines before what comes next, in an array.
    newlines: u64,
    place: Place,
}

/// How far reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Every line is a document.
    Lines,
    /// Nothing was read of what may be an array or an object.
    Before,
    /// Behind the bracket that opens the array.
    First,
    /// Behind an element.
    Next,
    /// Behind all of it.
    Behind,
}

impl Documents {
    /// One per line; blank lines are skipped.
    pub(super) fn lines(input: String, bytes: Box<dyn BufRead + Send>) -> Self {
        Self::at(Place::Lines, input, bytes)
    }

    /// The elements of an array, or a single object.
    pub(super) fn array(input: String, bytes: Box<dyn BufRead + Send>) -> Self {
        Self::at(Place::Before, input, bytes)
    }

    fn at(place: Place, input: String, bytes: Box<dyn BufRead + Send>) -> Self {
        let (line, newlines) = (0, 0);
        Self {
            input,
            bytes,
            line,
            newlines,
            place,
        }
    }

    /// The line on which the last document began.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn fail(&self, reason: String) -> SourceError {
        SourceError::Line {
            input: self.input.clone(),
            line: self.line,
            reason,
        }
    }

    /// The next document, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<String>, SourceError> {
        match self.place {
            Place::Lines => self.next_line(),
            _ => self.next_element(),
        }
    }

    fn next_line(&mut self) -> Result<Option<String>, SourceError> {
        loop {
            let mut line = Vec::new();
            let mut limited = Read::take(&mut self.bytes, MAX_BYTES as u64);
            let read = limited.read_until(b'\n', &mut line);
            let count = read.map_err(|source| self.io_error(source))?;
            if count == 0 {
                return Ok(None);
            }
            self.line += 1;
            if count == MAX_BYTES && !line.ends_with(b"\n") {
                return Err(self.fail(format!("the line is longer than {} MiB", MAX_BYTES >> 20)));
            }
            let line = self.text(line)?;
            let line = match line.strip_prefix('\u{feff}') {
                Some(rest) if self.line == 1 => rest.to_owned(),
                _ => line,
            };
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn next_element(&mut self) -> Result<Option<String>, SourceError> {
        loop {
            let byte = self.skip_blanks()?;
            self.line = self.newlines + 1;
            self.place = match (self.place, byte) {
                (Place::Before, Some(b'[')) => {
                    self.bytes.consume(1);
                    Place::First
                }
                (Place::Before, Some(b'{')) => {
                    self.place = Place::Behind;
                    return self.object().map(Some);
                }
                (Place::Before | Place::Behind, None) => return Ok(None),
                (Place::Before, Some(_)) => {
                    return Err(self.fail("this is neither an array of objects nor an object".to_owned()));
                }
                (Place::First | Place::Next, Some(b']')) => {
                    self.bytes.consume(1);
                    Place::Behind
                }
                (Place::Next, Some(b',')) => {
                    self.bytes.consume(1);
                    self.skip_blanks()?;
                    self.line = self.newlines + 1;
                    return self.object().map(Some);
                }
                (Place::First, Some(_)) => {
                    self.place = Place::Next;
                    return self.object().map(Some);
                }
                (Place::Next, Some(_)) => {
                    return Err(
                        self.fail("behind an element of the array stands neither a comma nor its end".to_owned())
                    );
                }
                (Place::Behind, Some(_)) => {
                    return Err(self.fail("something follows the end of the array or object".to_owned()));
                }
                (Place::First | Place::Next | Place::Lines, None | Some(_)) => return Err(self.cut_off()),
            };
        }
    }

    /// The object that begins here.
    fn object(&mut self) -> Result<String, SourceError> {
        if self.peek()? != Some(b'{') {
            return Err(self.fail("the element is not a JSON object".to_owned()));
        }
        let (mut object, mut scan) = (Vec::new(), Scan::default());
        loop {
            let bytes = self.bytes.fill_buf();
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(source) => return Err(self.io_error(source)),
            };
            if bytes.is_empty() {
                return Err(self.cut_off());
            }
            let end = bytes.iter().position(|byte| scan.ends_with(*byte));
            let taken = end.map_or(bytes.len(), |end| end + 1);
            object.extend_from_slice(bytes.get(..taken).unwrap_or_default());
            self.bytes.consume(taken);
            if object.len() > MAX_BYTES {
                return Err(self.fail(format!("the object is longer than {} MiB", MAX_BYTES >> 20)));
            }
            if end.is_some() {
                self.newlines += scan.newlines;
                return self.text(object);
            }
        }
    }

    /// Passes blanks over; the byte behind them, which stays.
    fn skip_blanks(&mut self) -> Result<Option<u8>, SourceError> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        loop {
            let at_start = self.place == Place::Before && self.newlines == 0;
            match self.peek()? {
                Some(b'\n') => self.newlines += 1,
                Some(b' ' | b'\t' | b'\r') => {}
                Some(byte) if at_start && MARK.contains(&byte) => {}
                other => return Ok(other),
            }
            self.bytes.consume(1);
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, SourceError> {
        match self.bytes.fill_buf() {
            Ok(bytes) => Ok(bytes.first().copied()),
            Err(source) => Err(self.io_error(source)),
        }
    }

    fn text(&self, bytes: Vec<u8>) -> Result<String, SourceError> {
        String::from_utf8(bytes)
            .map_err(|_| self.fail("the line is not valid UTF-8; convert the file to UTF-8 first".to_owned()))
    }

    fn cut_off(&self) -> SourceError {
        self.fail("the JSON ends in the middle; it may be cut off".to_owned())
    }

    fn io_error(&self, source: std::io::Error) -> SourceError {
        SourceError::Io {
            input: self.input.clone(),
            source,
        }
    }
}

/// Finds the brace that closes an object.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    newlines: u64,
}

impl Scan {
    fn ends_with(&mut self, byte: u8) -> bool {
        self.newlines += u64::from(byte == b'\n');
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &'static str) -> Result<Vec<(u64, String)>, String> {
        let mut documents = Documents::array("x".to_owned(), Box::new(text.as_bytes()));
        let mut found = Vec::new();
        while let Some(document) = documents.next().map_err(|error| error.to_string())? {
            found.push((documents.line(), document));
        }
        Ok(found)
    }

    #[test]
    fn an_array_is_its_objects_and_an_object_is_itself() {
        let two = r#"[ {"a":"]}\"","b":[{}]} ,
 {"a":
2}]  "#;
        let expected = [
            (1, r#"{"a":"]}\"","b":[{}]}"#.to_owned()),
            (2, "{\"a\":\n2}".to_owned()),
        ];
        assert_eq!(all(two).unwrap(), expected);
        assert_eq!(all("\u{feff}{\"a\":1}\n").unwrap(), [(1, "{\"a\":1}".to_owned())]);
        assert_eq!(all("[]").unwrap(), []);
        assert_eq!(all("").unwrap(), []);
    }

    #[test]
    fn what_is_no_array_of_objects_says_where_and_why() {
        for (text, why) in [
            ("[{}", "cut off"),
            ("[{},", "not a JSON object"),
            ("[{\"a\":\"", "cut off"),
            ("[1]", "not a JSON object"),
            ("7", "neither an array of objects nor an object"),
            ("[{} {}]", "neither a comma"),
            ("[{}]\n{}", "line 2: something follows"),
            ("{}{}", "something follows"),
        ] {
            let error = all(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
