//! What the body of a refusal says, and how far it may be believed and shown. Pure.
//!
//! Only members that services have for it are looked at: `message`, `code`, `type`, `param`, `loc` (and `msg`, `error_type`, and
//! `error` or `detail` where they are texts). Whatever else a body holds may be what was sent. A message may repeat what was
//! sent, too: words that are in one of the texts prove nothing, and are not shown.

use serde_json::Value;

/// Bodies of refusals are short; of a longer one nothing is believed.
const LONGEST_BODY: usize = 256 << 10;
/// What is shown of a message, in characters.
const LONGEST_SHOWN: usize = 300;
/// Letters of a word that tells nobody anything as a part of another one.
const SHORT: usize = 3;

/// Members of a body.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Messages, as they came.
    message: String,
    /// Codes and types, lower case: closed sets of the service.
    codes: String,
    /// Parameters of the request that are at fault.
    params: Vec<String>,
    /// An integer code, as gateways repeat a status that they hide behind 200.
    number: Option<u64>,
    /// Position of a text.
    input: Option<usize>,
}

impl Words {
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut words = Self::default();
        if body.len() > LONGEST_BODY {
            return words;
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => words.read(&value),
            Err(_) => words.say(&String::from_utf8_lossy(body)),
        }
        words
    }

    fn read(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.say(text),
            Value::Array(entries) => entries.iter().for_each(|entry| self.read(entry)),
            Value::Object(members) => {
                for (key, member) in members {
                    match (key.as_str(), member) {
                        ("error" | "errors" | "detail", member) => self.read(member),
                        ("message" | "msg", Value::String(text)) => self.say(text),
                        ("code" | "type" | "error_type", Value::String(text)) => {
                            self.codes = format!("{} {}", self.codes, text.to_lowercase());
                        }
                        ("code", Value::Number(number)) => self.number = number.as_u64(),
                        ("param", Value::String(text)) => self.param(text),
                        ("loc", Value::Array(path)) => self.place(path),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        if !self.message.is_empty() {
            self.message.push_str("; ");
        }
        self.message.push_str(text.trim());
    }

    /// `input[3]`, `input.3` or the name of another parameter.
    fn param(&mut self, text: &str) {
        let at = text
            .strip_prefix("input")
            .map(|rest| rest.trim_matches(['[', ']', '.']));
        match at.map(str::parse) {
            Some(Ok(at)) => self.input = self.input.or(Some(at)),
            _ => self.params.push(text.to_lowercase()),
        }
    }

    /// `["body", "input", "list[str]", 3]` as FastAPI has it.
    fn place(&mut self, path: &[Value]) {
        let mut parts = path.iter().skip_while(|part| part.as_str() == Some("body"));
        match parts.next().and_then(Value::as_str) {
            Some("input") => {
                let at = parts.find_map(Value::as_u64);
                self.input = self.input.or(at.and_then(|at| usize::try_from(at).ok()));
            }
            Some(other) => self.params.push(other.to_lowercase()),
            None => {}
        }
    }

    /// Whether the service says one of these by a code, or by a message that did not take it from the texts.
    pub(super) fn has(&self, words: &[&str], texts: &[String]) -> bool {
        let message = plain(&self.message);
        words.iter().any(|word| {
            self.codes.contains(word) || message.contains(word) && !texts.iter().any(|text| plain(text).contains(word))
        })
    }

    /// The text at fault, by a member of its own or as OpenAI's messages name it (`input[3]`).
    pub(super) fn named_input(&self, texts: &[String]) -> Option<usize> {
        let named = || {
            let message = self.has(&["input["], texts).then(|| plain(&self.message))?;
            let (_, after) = message.split_once("input[")?;
            after.split_once(']')?.0.parse().ok()
        };
        self.input.or_else(named).filter(|at| *at < texts.len())
    }

    /// Whether a parameter is at fault that is none of the texts.
    pub(super) fn is_about_request(&self, texts: &[String]) -> bool {
        let other = |param: &String| !param.is_empty() && !param.starts_with("input");
        self.params.iter().any(other)
            || self.has(
                &["dimensions", "matryoshka", "encoding_format", "unsupported_parameter"],
                texts,
            )
    }

    pub(crate) fn is_about_encoding(&self, texts: &[String]) -> bool {
        let encoding = |param: &String| param.contains("encoding_format");
        self.params.iter().any(encoding) || self.has(&["encoding_format", "base64"], texts)
    }

    /// A status that is hidden behind another one.
    pub(crate) fn status(&self) -> Option<u16> {
        let status = self.number.and_then(|number| u16::try_from(number).ok());
        status.filter(|status| (400..600).contains(status))
    }

    /// The message without anything that was sent: each word that is in a text or in the key is left out, also where it is a
    /// part of one there, unless it is as short as those that are in every text.
    pub(crate) fn shown(&self, texts: &[String], key: Option<&str>) -> Option<String> {
        let sent: Vec<String> = texts.iter().map(|text| plain(text)).chain(key.map(plain)).collect();
        let not_of_words = |c: char| !c.is_alphanumeric();
        let was_sent = |said: &str| match said.chars().nth(SHORT) {
            Some(_) => sent.iter().any(|text| text.contains(said)),
            None => sent
                .iter()
                .any(|text| text.split(not_of_words).any(|word| word == said)),
        };
        let (mut shown, mut word) = (String::new(), String::new());
        for c in self
            .message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .chain([' '])
        {
            if c.is_alphanumeric() {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                let sent = was_sent(&word.to_lowercase());
                shown.push_str(if sent { "…" } else { &word });
                word.clear();
            }
            shown.push(c);
        }
        let shown: String = shown.trim().chars().take(LONGEST_SHOWN).collect();
        shown.chars().any(char::is_alphanumeric).then_some(shown)
    }
}

/// Lower case, with one space for any blanks: what is left when a service prints a text in its own way.
fn plain(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_text_is_named_by_a_member_or_by_a_message_and_never_by_what_was_sent() {
        let named = |body: &str, sent: &[&str]| Words::of(body.as_bytes()).named_input(&texts(sent));
        let two = ["a", "b"];
        for body in [
            r#"{"error":{"message":"Invalid 'input[1]': too long","code":null}}"#,
            r#"{"error":{"message":"too long","param":"input[1]"}}"#,
            r#"{"error":{"message":"too long","param":"input.1"}}"#,
            r#"{"detail":[{"loc":["body","input","list[str]",1],"msg":"no","type":"string_type"}]}"#,
        ] {
            assert_eq!(named(body, &two), Some(1), "{body}");
        }
        for (body, sent) in [
            (
                r#"{"detail":[{"loc":["body","input"],"msg":"no","input":"see input[0]"}]}"#,
                ["see input[0]", "b"],
            ),
            (
                r#"{"error":{"message":"cannot embed see input[0]"}}"#,
                ["see  INPUT[0] here", "b"],
            ),
            (r#"{"error":{"message":"Invalid 'input[7]'"}}"#, two),
            (r#"{"error":{"message":"no"},"input":["input[0]"]}"#, two),
        ] {
            assert_eq!(named(body, &sent), None, "{body}");
        }
    }

    #[test]
    fn words_of_a_text_prove_nothing_wherever_they_are_repeated() {
        let body = r#"{"error":{"message":"cannot embed: it does not exist","code":"x"},"echo":"model_not_found"}"#;
        let words = Words::of(body.as_bytes());
        assert!(words.has(&["does not exist"], &texts(&["harmless"])));
        assert!(!words.has(&["does not exist"], &texts(&["harmless", "God does\n not EXIST"])));
        assert!(!words.has(&["model_not_found"], &texts(&["harmless"])));
        let coded = Words::of(br#"{"error":{"message":"no","code":"model_not_found"}}"#);
        assert!(coded.has(&["model_not_found"], &texts(&["model_not_found"])));
    }

    #[test]
    fn nothing_that_was_sent_is_shown() {
        let body =
            r#"{"error":{"message":"No vector for ['my diary', 'Grüße 17'] with Bearer sk-123\n: quota of tier 2"}}"#;
        let shown = Words::of(body.as_bytes()).shown(&texts(&["my diary", "grüße 17"]), Some("sk-123"));
        assert_eq!(
            shown.as_deref(),
            Some("No vector for ['… …', '… …'] with Bearer …-… : quota of tier 2")
        );
        assert_eq!(Words::of(b"{}").shown(&[], None), None);
        assert_eq!(
            Words::of(br#"{"error":{"message":"secret"}}"#).shown(&texts(&["secret"]), None),
            None
        );
    }

    #[test]
    fn a_status_behind_200_is_read_from_an_integer_code() {
        let status = |body: &str| Words::of(body.as_bytes()).status();
        assert_eq!(status(r#"{"error":{"message":"slow down","code":429}}"#), Some(429));
        assert_eq!(status(r#"{"error":{"message":"slow down","code":7}}"#), None);
        assert_eq!(status(r#"{"error":{"message":"slow down","code":"429"}}"#), None);
    }
}
