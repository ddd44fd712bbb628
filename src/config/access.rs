//! Access rules as they were typed -> rules that decide.

use super::error::Problem;
use super::raw::AuthRule;
use crate::model::ident::Ident;
use crate::model::rights::{Pattern, Right, Rule, Rules, TablePattern};

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
