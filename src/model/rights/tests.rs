//! Decisions by rules: nothing beyond a rule, nothing told about what is not one's own.

use proptest::prelude::*;

use super::*;

fn table(schema: &str, name: &str) -> TableName {
    TableName::qualified(Ident::new(schema).unwrap(), Ident::new(name).unwrap())
}

fn who(name: &str) -> Principal {
    Principal::Named(name.into())
}

fn rule(principal: &str, tables: &[&str], may: &[Right]) -> Rule {
    Rule {
        principal: Pattern::of_principal(principal),
        tables: tables.iter().map(|text| TablePattern::new(text).unwrap()).collect(),
        may: may.to_vec(),
        role: None,
    }
}

#[test]
fn without_rules_everybody_may_do_everything_and_with_one_nobody_may_do_anything_else() {
    let open = Rules::default();
    for right in Right::ALL {
        assert!(open.allow(&Principal::Anonymous, right, &table("s", "t")));
    }
    assert_eq!(open.role(&Principal::Anonymous), Ok(None));
    let rules = Rules::new(vec![rule("etl*", &["raw.*"], &[Right::Append])]);
    assert!(rules.allow(&who("etl-1"), Right::Append, &table("raw", "t")));
    for (name, right, schema) in [
        ("etl-1", Right::Overwrite, "raw"),
        ("etl-1", Right::Append, "rawer"),
        ("bi", Right::Append, "raw"),
    ] {
        assert!(
            !rules.allow(&who(name), right, &table(schema, "t")),
            "{name} {right:?} {schema}"
        );
    }
    assert!(!rules.allow(&Principal::Anonymous, Right::Append, &table("raw", "t")));
    assert!(rules.check_admin(&who("etl-1")).is_err() && rules.role(&who("etl-1")).is_err());
    assert!(rules.check_known(&who("etl-1")).is_ok() && rules.check_known(&who("bi")).is_err());
}

#[test]
fn a_pattern_with_stars_and_quotes_means_what_it_says() {
    for (pattern, schema, name, fits) in [
        ("*", "any", "thing", true),
        ("s.t", "s", "t", true),
        ("s.t", "S", "t", false),
        ("s.t?", "s", "t", false),
        ("s.t?", "s", "té", true),
        ("s.*_log", "s", "a_log_log", true),
        ("s.*a*b*", "s", "xxaxx", false),
        ("\"a.b\".\"c*\"", "a.b", "c*", true),
        ("\"a.b\".\"c*\"", "a.b", "cd", false),
        ("s.\"say \"\"hi\"\"\"", "s", "say \"hi\"", true),
    ] {
        let read = TablePattern::new(pattern).unwrap();
        assert_eq!(read.fits(&table(schema, name)), fits, "{pattern} {schema}.{name}");
    }
    for wrong in ["", "t", "a.b.c", ".t", "s.", "\"s.t", "**"] {
        assert!(TablePattern::new(wrong).is_err(), "{wrong}");
    }
    let bare = TableName::bare(Ident::new("t").unwrap());
    assert!(
        !TablePattern::new("public.t").unwrap().fits(&bare),
        "a schema that is not known is not guessed"
    );
    assert!(TablePattern::new("*").unwrap().is_every() && !TablePattern::new("s.*").unwrap().is_every());
}

#[test]
fn a_refusal_says_who_what_where_and_what_to_add() {
    let rules = Rules::new(vec![rule("bi", &["s.t"], &[Right::Read])]);
    let text = rules
        .check(&who("bi"), Right::Append, &table("s", "t"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        text,
        "principal \"bi\" may not append rows to s.t: no rule of auth.rules gives it the right append there; add one with principal \"bi\", tables [\"s.t\"] and may [append]"
    );
    assert!(
        rules
            .barred(&who("bi"), &table("s", "t"))
            .unwrap()
            .to_string()
            .contains("create or change s.t")
    );
    let nobody = rules.check_known(&Principal::Anonymous).unwrap_err().to_string();
    assert!(
        nobody.contains("an anonymous caller") && nobody.contains("principal \"anonymous\""),
        "{nobody}"
    );
}

#[test]
fn the_first_rule_that_gives_queries_names_the_role() {
    let role = Ident::new("reader").unwrap();
    let rules = Rules::new(vec![
        rule("bi", &["s.t"], &[Right::Read]),
        Rule {
            role: Some(role.clone()),
            ..rule("b*", &[], &[Right::Query])
        },
        rule("*", &["*"], &[Right::Query]),
    ]);
    assert_eq!(rules.role(&who("bi")), Ok(Some(&role)));
    assert_eq!(rules.role(&who("etl")), Ok(None));
    assert!(
        !rules.shows(&who("etl"), &table("s", "t")),
        "a right to queries shows no table by itself"
    );
}

/// What a pattern means, told in the slowest way.
fn fits_slowly(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], name) => (0..=name.len()).any(|taken| fits_slowly(rest, &name[taken..])),
        (['?', rest @ ..], [_, name @ ..]) => fits_slowly(rest, name),
        ([wanted, rest @ ..], [found, name @ ..]) => wanted == found && fits_slowly(rest, name),
        _ => false,
    }
}

fn any_right() -> impl Strategy<Value = Right> {
    prop::sample::select(Right::ALL.to_vec())
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let pattern = "[ab*?]{1,3}";
    let tables = prop::collection::vec((pattern, pattern), 0..3);
    (pattern, tables, prop::collection::vec(any_right(), 0..4)).prop_map(|(principal, tables, may)| {
        let tables: Vec<String> = tables.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
        rule(&principal, &tables.iter().map(String::as_str).collect::<Vec<_>>(), &may)
    })
}

proptest! {
    #[test]
    fn a_pattern_fits_what_its_meaning_says(pattern in "[ab*?]{0,8}", name in "[abé]{0,10}") {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let slowly = fits_slowly(&characters(&pattern), &characters(&name));
        prop_assert_eq!(Pattern::of_principal(&pattern).fits(&name), slowly);
    }

    #[test]
    fn another_rule_takes_nothing_away_and_the_order_does_not_matter(
        mut rules in prop::collection::vec(any_rule(), 1..5),
        more in any_rule(),
        (name, schema, of) in ("[ab]{1,2}", "[ab]{1,2}", "[ab]{1,2}"),
        right in any_right(),
    ) {
        let (who, table) = (who(&name), table(&schema, &of));
        let before = Rules::new(rules.clone()).allow(&who, right, &table);
        rules.push(more.clone());
        let after = Rules::new(rules.clone()).allow(&who, right, &table);
        rules.reverse();
        prop_assert_eq!(Rules::new(rules.clone()).allow(&who, right, &table), after);
        prop_assert_eq!(after, before || Rules::new(vec![more]).allow(&who, right, &table));
        prop_assert!(!Rules::new(vec![rule("c", &["*"], &Right::ALL)]).allow(&who, right, &table));
        if after && right.is_of_tables() {
            let all = Rules::new(rules);
            prop_assert!(all.shows(&who, &table) && all.shows_schema(&who, &schema));
        }
    }
}
