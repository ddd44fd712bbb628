//! Tokens and access rules as they were typed -> digests and rules that decide.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::Problem;
use super::raw::{AuthRule, AuthToken, Jwt, Session};
use crate::model::ident::Ident;
use crate::model::rights::{Pattern, Right, Rule, Rules, TablePattern};

/// Characters of a key that nobody finds by trying.
const LEAST_KEY: usize = 32;
/// Longest leeway; clocks that are further apart are wrong.
const MOST_LEEWAY: Duration = Duration::from_secs(3600);

/// Checks the static tokens: each is there in one form, and only once.
pub(super) fn tokens(typed: &[AuthToken], problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (at, one) in typed.iter().enumerate() {
        let key = |name: &str| format!("auth.tokens[{at}].{name}");
        let name = match (&one.token, &one.sha256) {
            (Some(_), None) => "token",
            (None, Some(_)) => "sha256",
            (Some(_), Some(_)) => {
                problems.push(Problem::new(key("sha256"), "stands beside `token`; give one of them"));
                continue;
            }
            (None, None) => {
                problems.push(Problem::new(key("token"), "is missing; give it, or its `sha256`"));
                continue;
            }
        };
        match one.digest() {
            Some(digest) if !seen.insert(digest) => {
                problems.push(Problem::new(key(name), "is the same token as an earlier entry's"));
            }
            Some(_) => {}
            None => problems.push(Problem::new(
                key(name),
                "is not the SHA-256 of a token: 64 hexadecimal digits",
            )),
        }
    }
}

/// Checks what signed tokens must be.
pub(super) fn jwt(typed: Option<&Jwt>, problems: &mut Vec<Problem>) {
    let Some(typed) = typed else { return };
    if typed.algorithms.is_empty() {
        problems.push(Problem::new(
            "auth.jwt.algorithms",
            "is an empty list; at least one entry is needed",
        ));
    }
    if typed.leeway.get() > MOST_LEEWAY {
        problems.push(Problem::new(
            "auth.jwt.leeway",
            format!("is {}; at most 1h is taken", typed.leeway),
        ));
    }
}

/// Checks what sessions are signed by.
pub(super) fn session(typed: Option<&Session>, problems: &mut Vec<Problem>) {
    let Some(typed) = typed else { return };
    if typed.key.expose().chars().count() < LEAST_KEY {
        let message = format!("has fewer than {LEAST_KEY} characters; take as many random ones");
        problems.push(Problem::new("auth.session.key", message));
    }
    if typed.lifetime.is_zero() {
        problems.push(Problem::new("auth.session.lifetime", "is 0s; it must be longer"));
    }
}

impl AuthToken {
    /// SHA-256 of the token; `None` where it is given as something that is none.
    pub fn digest(&self) -> Option<[u8; 32]> {
        let (Some(typed), None) = (&self.sha256, &self.token) else {
            return self.token.as_ref().map(|token| Sha256::digest(token.expose()).into());
        };
        let typed = typed.as_bytes();
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(typed.chunks(2)) {
            let digits = std::str::from_utf8(pair)
                .ok()
                .filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        (typed.len() == 64).then_some(digest)
    }
}

/// Reads all rules; what is wrong with them goes to `problems`.
pub(super) fn rights(typed: &[AuthRule], problems: &mut Vec<Problem>) -> Rules {
    let mut rules = Vec::new();
    for (at, one) in typed.iter().enumerate() {
        let key = format!("auth.rules[{at}]");
        let before = problems.len();
        let rule = rule(&key, one, problems);
        if problems.len() == before {
            agree(&key, one, &rule, problems);
        }
        rules.push(rule);
    }
    Rules::new(rules)
}

fn rule(key: &str, typed: &AuthRule, problems: &mut Vec<Problem>) -> Rule {
    let mut tables = Vec::new();
    for (at, text) in typed.tables.iter().enumerate() {
        match TablePattern::new(text) {
            Ok(pattern) => tables.push(pattern),
            Err(message) => problems.push(Problem::new(format!("{key}.tables[{at}]"), message)),
        }
    }
    let role = typed.role.as_deref().map(Ident::new).transpose();
    let role = role.unwrap_or_else(|error| {
        problems.push(Problem::new(format!("{key}.role"), error.to_string()));
        None
    });
    Rule {
        principal: Pattern::of_principal(&typed.principal),
        tables,
        may: typed.may.clone(),
        role,
    }
}

/// A rule must not seem to say what it cannot: a statement of SQL may name any table, so tables do not bind it.
fn agree(key: &str, typed: &AuthRule, rule: &Rule, problems: &mut Vec<Problem>) {
    let queries = typed.may.contains(&Right::Query);
    if typed.may.is_empty() {
        problems.push(Problem::new(
            format!("{key}.may"),
            "is an empty list; at least one entry is needed",
        ));
    }
    if typed.may.iter().any(|right| right.is_of_tables()) && typed.tables.is_empty() {
        let message = "is missing: name the tables as schema.table, or * for all";
        problems.push(Problem::new(format!("{key}.tables"), message));
    }
    if queries && rule.role.is_none() && !rule.tables.iter().any(TablePattern::is_every) {
        let message = "gives query without a role, and a statement of SQL may name any table: give the rule a role, or tables [*]";
        problems.push(Problem::new(format!("{key}.may"), message));
    }
    if rule.role.is_some() && !queries {
        problems.push(Problem::new(format!("{key}.role"), "is of no use without query in may"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::Config;

    fn refusal(rule: serde_json::Value) -> String {
        Config::from_json(&json!({"auth": {"rules": [rule]}}))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_token_is_given_in_one_form_and_once() {
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let tokens = |tokens: serde_json::Value| Config::from_json(&json!({"auth": {"tokens": tokens}}));
        let read = tokens(json!([{"principal": "a", "sha256": hello}, {"principal": "b", "token": "world"}])).unwrap();
        let plain = tokens(json!([{"principal": "a", "token": "hello"}])).unwrap();
        let digest = |config: &Config| config.raw().auth.tokens[0].digest();
        assert_eq!(digest(&read), digest(&plain));
        assert!(digest(&read).is_some());
        for (wrong, part) in [
            (json!([{"principal": "a"}]), "`auth.tokens[0].token` is missing"),
            (
                json!([{"principal": "a", "token": "x", "sha256": hello}]),
                "give one of them",
            ),
            (json!([{"principal": "a", "sha256": "2cf2"}]), "64 hexadecimal digits"),
            (
                json!([{"principal": "a", "sha256": hello.replacen('2', "+", 1)}]),
                "64 hexadecimal digits",
            ),
            (
                json!([{"principal": "a", "sha256": format!("{hello}00")}]),
                "64 hexadecimal digits",
            ),
            (
                json!([{"principal": "a", "token": "hello"}, {"principal": "b", "sha256": hello.to_uppercase()}]),
                "`auth.tokens[1].sha256` is the same token",
            ),
        ] {
            let text = tokens(wrong).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_server_that_only_this_process_calls_asks_nobody() {
        let typed = json!({
            "lanes": 2,
            "auth": {"tokens": [{"principal": "a", "token": "x"}], "rules": [{"principal": "a", "may": ["admin"]}]},
            "tls": {"cert": "a", "key": "b"},
        });
        let config = Config::from_json(&typed).unwrap().for_this_process().unwrap();
        assert!(!config.is_authenticating() && config.rights().is_open() && config.raw().tls.is_none());
        assert_eq!(config.raw().lanes.get(), 2);
    }

    #[test]
    fn a_rule_that_does_not_say_what_it_means_is_refused_by_name() {
        for (rule, part) in [
            (
                json!({"principal": "a", "may": []}),
                "`auth.rules[0].may` is an empty list",
            ),
            (
                json!({"principal": "a", "may": ["append"]}),
                "`auth.rules[0].tables` is missing",
            ),
            (
                json!({"principal": "a", "tables": ["t"], "may": ["read"]}),
                "`auth.rules[0].tables[0]` is \"t\"",
            ),
            (
                json!({"principal": "a", "tables": ["s.*"], "may": ["query"]}),
                "give the rule a role",
            ),
            (
                json!({"principal": "a", "tables": ["*"], "may": ["read"], "role": "r"}),
                "of no use without query",
            ),
            (
                json!({"principal": "a", "may": ["query"], "role": "r\u{0}"}),
                "`auth.rules[0].role`",
            ),
            (
                json!({"principal": "a", "tables": ["*"], "may": ["reed"]}),
                "did you mean \"read\"",
            ),
        ] {
            let text = refusal(rule);
            assert!(text.contains(part), "{text}");
        }
        let fitting = json!({"auth": {"rules": [
            {"principal": "*", "may": ["query"], "role": "reader"},
            {"principal": "a", "tables": ["*"], "may": ["query", "read"]},
            {"principal": "b", "may": ["admin"]},
        ]}});
        assert!(!Config::from_json(&fitting).unwrap().rights().is_open());
        assert!(Config::default().rights().is_open());
    }
}
