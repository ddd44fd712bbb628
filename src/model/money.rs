//! How a server writes `money`. A value is a whole number of minor units; how many of them make one unit, and what is
//! printed around the digits, is the server's `lc_monetary`, which is known from amounts that the server printed itself.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The form of a server's amounts, once it is known. Two types are equal whatever their forms: a wanted type has none yet.
#[derive(Clone, Debug, Default)]
pub struct MoneyForm(Option<Arc<Printed>>);

/// What is printed of an amount.
#[derive(Clone, Debug)]
struct Printed {
    /// Fraction digits.
    digits: usize,
    /// Digits of a group in front of the point; 0 where there are no groups.
    group: usize,
    /// Between groups.
    separator: String,
    /// In front of the fraction digits.
    point: String,
    /// What stands before and after the digits, of amounts from 0 on and of those below.
    around: [(String, String); 2],
}

impl PartialEq for MoneyForm {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for MoneyForm {}
impl Hash for MoneyForm {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl MoneyForm {
    /// No form.
    pub const UNKNOWN: Self = Self(None);

    /// The form from one amount of at least seven digits before the point, printed with either sign, and the minor units that make
    /// one unit. Unknown where the amounts are not of the form that is expected here.
    pub fn of(positive: &str, negative: &str, units: i64) -> Self {
        Self(Printed::of(positive, negative, units).map(Arc::new))
    }

    /// Fraction digits of an amount, where the form is known.
    pub fn digits(&self) -> Option<usize> {
        self.0.as_ref().map(|printed| printed.digits)
    }

    /// The minor units of an amount that is printed as `text`.
    pub fn read(&self, text: &str) -> Option<i64> {
        let printed = self.0.as_ref()?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let amount: i128 = digits.parse().ok()?;
        [amount, -amount]
            .into_iter()
            .filter(|amount| printed.write(*amount) == text)
            .find_map(|amount| i64::try_from(amount).ok())
    }
}

impl Printed {
    fn of(positive: &str, negative: &str, units: i64) -> Option<Self> {
        let digits = usize::try_from(units.checked_ilog10()?).ok()?;
        if 10i64.checked_pow(u32::try_from(digits).ok()?)? != units {
            return None;
        }
        let is_digit = |c: char| c.is_ascii_digit();
        let (start, end) = (positive.find(is_digit)?, positive.rfind(is_digit)? + 1);
        let body = positive.get(start..end)?;
        let place = body.len().checked_sub(digits)?;
        let (whole, fraction) = body.split_at_checked(place)?;
        let trimmed = whole.trim_end_matches(|c: char| !c.is_ascii_digit());
        let point = whole.get(trimmed.len()..)?.to_owned();
        let last = trimmed.rsplit(|c: char| !c.is_ascii_digit()).next()?;
        let (group, separator) = match trimmed.strip_suffix(last)? {
            "" => (0, String::new()),
            front => {
                let kept = front.trim_end_matches(|c: char| !c.is_ascii_digit()).len();
                (last.len(), front.get(kept..)?.to_owned())
            }
        };
        let (from, to) = (negative.find(is_digit)?, negative.rfind(is_digit)? + 1);
        let around =
            |text: &str, start: usize, end: usize| Some((text.get(..start)?.to_owned(), text.get(end..)?.to_owned()));
        let form = Self {
            digits,
            group,
            separator,
            point,
            around: [around(positive, start, end)?, around(negative, from, to)?],
        };
        // Only a form that makes both amounts again is understood.
        let amount: i128 = body
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .ok()?;
        let same = form.write(amount) == positive && form.write(-amount) == negative;
        (same && fraction.chars().all(is_digit)).then_some(form)
    }

    fn write(&self, amount: i128) -> String {
        let digits = format!("{:0>1$}", amount.unsigned_abs(), self.digits + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.digits);
        let mut body = String::new();
        for (at, digit) in whole.chars().enumerate() {
            let left = whole.len() - at;
            if at > 0 && self.group > 0 && left.is_multiple_of(self.group) {
                body.push_str(&self.separator);
            }
            body.push(digit);
        }
        let (before, after) = &self.around[usize::from(amount < 0)];
        format!("{before}{body}{}{fraction}{after}", self.point)
    }
}

#[cfg(test)]
mod tests {
    use super::MoneyForm;

    #[test]
    fn amounts_are_read_as_a_server_prints_them_and_not_otherwise() {
        // What PostgreSQL prints with lc_monetary C, de_DE and ja_JP.
        let dollars = MoneyForm::of("$1,234,567,890.00", "-$1,234,567,890.00", 100);
        assert_eq!(dollars.digits(), Some(2));
        for (text, amount) in [
            ("$0.00", Some(0)),
            ("-$0.01", Some(-1)),
            ("$1,234.56", Some(123_456)),
            ("$92,233,720,368,547,758.07", Some(i64::MAX)),
            ("-$92,233,720,368,547,758.08", Some(i64::MIN)),
            ("$92,233,720,368,547,758.08", None),
            ("$1234.56", None),
            ("$1,234", None),
            ("1.234,56 €", None),
            ("-$0.00", None),
            ("", None),
        ] {
            assert_eq!(dollars.read(text), amount, "{text}");
        }
        let euros = MoneyForm::of("1.234.567.890,00 €", "-1.234.567.890,00 €", 100);
        assert_eq!(euros.read("-1.234,56 €"), Some(-123_456));
        assert_eq!(euros.read("1,234.56 €"), None);
        let yen = MoneyForm::of("¥1,234,567,890", "-¥1,234,567,890", 1);
        assert_eq!(yen.digits(), Some(0));
        assert_eq!(yen.read("¥1,234"), Some(1_234));
        for unclear in [
            ("", "", 100),
            ("$1.00", "-$2.00", 100),
            ("$1,234,567.00", "-$1,234,567.00", 3),
        ] {
            assert_eq!(MoneyForm::of(unclear.0, unclear.1, unclear.2).digits(), None);
        }
        assert_eq!(MoneyForm::UNKNOWN.read("$1.00"), None);
    }
}
