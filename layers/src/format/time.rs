//! Points in time as text: the `strftime` specifiers that Envoy knows, in UTC.

mod calendar;

use std::time::SystemTime;

use calendar::Moment;

/// A format of a point in time, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(Name, Case),
    Number(Number, Pad, usize),
    /// Digits of the fraction of a second.
    Fraction(usize),
    /// As many digits of it as say something, with the seconds and a point in front or without.
    Trimmed {
        seconds: bool,
    },
    EpochSeconds,
    /// The offset from UTC, with this many colons.
    Offset(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    ShortDay,
    Day,
    ShortMonth,
    Month,
    AmPm,
    Zone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    AsIs,
    Upper,
    Lower,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Year,
    ShortYear,
    Century,
    Month,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Minute,
    Second,
    /// From Monday, 1 to 7.
    Weekday,
    /// From Sunday, 0 to 6.
    WeekdayFromSunday,
    WeekFromSunday,
    WeekFromMonday,
    IsoWeek,
    IsoYear,
    ShortIsoYear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pad {
    Zero,
    Space,
    None,
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl TimeFormat {
    /// `2016-04-15T20:17:00.310Z`
    pub(super) fn default_format() -> Self {
        let mut pieces = Vec::new();
        parse_into("%Y-%m-%dT%H:%M:%E3SZ", &mut pieces);
        Self(pieces)
    }

    /// What is no specifier stays as it is. `None` where a new line would come of it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        parse_into(text, &mut pieces);
        let breaks_lines =
            |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('\n'));
        (!pieces.iter().any(breaks_lines)).then_some(Self(pieces))
    }

    pub(super) fn write(&self, time: SystemTime, out: &mut Vec<u8>) {
        let moment = Moment::of(time);
        for piece in &self.0 {
            moment.write(piece, out);
        }
    }
}

fn parse_into(text: &str, pieces: &mut Vec<Piece>) {
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        push_text(pieces, &rest[..percent]);
        let specifier = &rest[percent + 1..];
        let len = specifier_into(specifier, pieces);
        if len == 0 {
            push_text(pieces, "%");
        }
        rest = &specifier[len..];
    }
    push_text(pieces, rest);
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// Reads what follows a `%`; gives its length, 0 where it is no specifier.
fn specifier_into(text: &str, pieces: &mut Vec<Piece>) -> usize {
    let bytes = text.as_bytes();
    let piece = match bytes {
        [b'E', b'*', b'S', ..] => Piece::Trimmed { seconds: true },
        [b'E', b'*', b'f', ..] => Piece::Trimmed { seconds: false },
        [b'E', b'*', b'z', ..] => Piece::Offset(2),
        [b'E', b'z', ..] => Piece::Offset(1),
        [b'E', b'4', b'Y', ..] => Piece::Number(Number::Year, Pad::Zero, 4),
        [b'E', b'T', ..] => Piece::Text("T".into()),
        [b'E', b'0', b'S', ..] => Piece::Number(Number::Second, Pad::Zero, 2),
        [b'E', digits @ b'1'..=b'9', b'S', ..] => {
            pieces.push(Piece::Number(Number::Second, Pad::Zero, 2));
            push_text(pieces, ".");
            Piece::Fraction(usize::from(digits - b'0'))
        }
        [b'E', digits @ b'0'..=b'9', b'f', ..] => Piece::Fraction(usize::from(digits - b'0')),
        [b':', b':', b'z', ..] => Piece::Offset(2),
        [b':', b'z', ..] => Piece::Offset(1),
        [b'f', ..] => Piece::Fraction(9),
        [digits @ b'1'..=b'9', b'f', ..] => Piece::Fraction(usize::from(digits - b'0')),
        _ => return plain_specifier_into(bytes, pieces),
    };
    let len = match bytes {
        [b'E', b'z' | b'T', ..] | [b':', b'z', ..] | [b'0'..=b'9', b'f', ..] => 2,
        [b'f', ..] => 1,
        _ => 3,
    };
    pieces.push(piece);
    len
}

/// The specifiers of one letter, with the flags of the C library before it.
fn plain_specifier_into(bytes: &[u8], pieces: &mut Vec<Piece>) -> usize {
    let (mut pad, mut case) = (None, None);
    let mut flags = 0;
    loop {
        match bytes.get(flags) {
            Some(b'-') => pad = Some(Pad::None),
            Some(b'_') => pad = Some(Pad::Space),
            Some(b'0') => pad = Some(Pad::Zero),
            Some(b'^' | b'#') => case = Some(Case::Upper),
            _ => break,
        }
        flags += 1;
    }
    let number = |number, width| Piece::Number(number, pad.unwrap_or(Pad::Zero), width);
    let spaced = |number| Piece::Number(number, pad.unwrap_or(Pad::Space), 2);
    let name = |name| Piece::Name(name, case.unwrap_or(Case::AsIs));
    let piece = match bytes.get(flags) {
        Some(b'Y') => number(Number::Year, 1),
        Some(b'y') => number(Number::ShortYear, 2),
        Some(b'C') => number(Number::Century, 2),
        Some(b'm') => number(Number::Month, 2),
        Some(b'd') => number(Number::Day, 2),
        Some(b'e') => spaced(Number::Day),
        Some(b'j') => number(Number::DayOfYear, 3),
        Some(b'H') => number(Number::Hour, 2),
        Some(b'k') => spaced(Number::Hour),
        Some(b'I') => number(Number::Hour12, 2),
        Some(b'l') => spaced(Number::Hour12),
        Some(b'M') => number(Number::Minute, 2),
        Some(b'S') => number(Number::Second, 2),
        Some(b'u') => number(Number::Weekday, 1),
        Some(b'w') => number(Number::WeekdayFromSunday, 1),
        Some(b'U') => number(Number::WeekFromSunday, 2),
        Some(b'W') => number(Number::WeekFromMonday, 2),
        Some(b'V') => number(Number::IsoWeek, 2),
        Some(b'G') => number(Number::IsoYear, 1),
        Some(b'g') => number(Number::ShortIsoYear, 2),
        Some(b'a') => name(Name::ShortDay),
        Some(b'A') => name(Name::Day),
        Some(b'b' | b'h') => name(Name::ShortMonth),
        Some(b'B') => name(Name::Month),
        Some(b'p') => name(Name::AmPm),
        Some(b'P') => Piece::Name(Name::AmPm, Case::Lower),
        Some(b'Z') => name(Name::Zone),
        Some(b's') => Piece::EpochSeconds,
        Some(b'z') => Piece::Offset(0),
        Some(letter) if flags == 0 => {
            match letter {
                b'%' => push_text(pieces, "%"),
                b'n' => push_text(pieces, "\n"),
                b't' => push_text(pieces, "\t"),
                b'D' | b'x' => parse_into("%m/%d/%y", pieces),
                b'F' => parse_into("%Y-%m-%d", pieces),
                b'T' | b'X' => parse_into("%H:%M:%S", pieces),
                b'R' => parse_into("%H:%M", pieces),
                b'r' => parse_into("%I:%M:%S %p", pieces),
                b'c' => parse_into("%a %b %e %H:%M:%S %Y", pieces),
                _ => return 0,
            }
            return 1;
        }
        _ => return 0,
    };
    pieces.push(piece);
    flags + 1
}

/// Digits, padded to a width. Nothing here is before 1970, so there are no signs.
fn push_number(number: u64, pad: Pad, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = number;
    while rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let missing = width.saturating_sub(digits.len() - at);
    match pad {
        Pad::Zero => out.extend(std::iter::repeat_n(b'0', missing)),
        Pad::Space => out.extend(std::iter::repeat_n(b' ', missing)),
        Pad::None => {}
    }
    out.extend_from_slice(&digits[at..]);
}

impl Moment {
    fn write(&self, piece: &Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Name(name, case) => {
                let name = self.name(*name);
                match case {
                    Case::AsIs => out.extend_from_slice(name.as_bytes()),
                    Case::Upper => out.extend(name.bytes().map(|b| b.to_ascii_uppercase())),
                    Case::Lower => out.extend(name.bytes().map(|b| b.to_ascii_lowercase())),
                }
            }
            Piece::Number(number, pad, width) => {
                push_number(self.number(*number).unsigned_abs(), *pad, *width, out);
            }
            Piece::Fraction(0) => {}
            Piece::Fraction(digits) => {
                let shown = self.nanos / 10_u32.pow(9 - *digits as u32);
                push_number(shown.into(), Pad::Zero, *digits, out);
            }
            Piece::Trimmed { seconds } => {
                if *seconds {
                    let second = self.second_of_day % 60;
                    push_number(second.unsigned_abs(), Pad::Zero, 2, out);
                }
                if self.nanos != 0 {
                    out.extend_from_slice(if *seconds { b"." } else { b"" });
                    push_number(self.nanos.into(), Pad::Zero, 9, out);
                    let zeros = out.iter().rev().take_while(|digit| **digit == b'0').count();
                    out.truncate(out.len() - zeros);
                } else if !*seconds {
                    out.push(b'0');
                }
            }
            Piece::EpochSeconds => {
                push_number(self.epoch_seconds.unsigned_abs(), Pad::None, 1, out);
            }
            Piece::Offset(colons) => {
                let text: &[u8] = match colons {
                    0 => b"+0000",
                    1 => b"+00:00",
                    _ => b"+00:00:00",
                };
                out.extend_from_slice(text);
            }
        }
    }

    fn name(&self, name: Name) -> &'static str {
        let day = DAYS[self.weekday as usize];
        let month = MONTHS[self.month as usize - 1];
        match name {
            Name::ShortDay => &day[..3],
            Name::Day => day,
            Name::ShortMonth => &month[..3],
            Name::Month => month,
            Name::AmPm if self.second_of_day < 43_200 => "AM",
            Name::AmPm => "PM",
            Name::Zone => "UTC",
        }
    }

    fn number(&self, number: Number) -> i64 {
        match number {
            Number::Year => self.year,
            Number::ShortYear => self.year % 100,
            Number::Century => self.year / 100,
            Number::Month => self.month,
            Number::Day => self.day,
            Number::DayOfYear => self.day_of_year + 1,
            Number::Hour => self.second_of_day / 3600,
            Number::Hour12 => (self.second_of_day / 3600 + 11) % 12 + 1,
            Number::Minute => self.second_of_day / 60 % 60,
            Number::Second => self.second_of_day % 60,
            Number::Weekday => (self.weekday + 6) % 7 + 1,
            Number::WeekdayFromSunday => self.weekday,
            Number::WeekFromSunday => (self.day_of_year + 7 - self.weekday) / 7,
            Number::WeekFromMonday => (self.day_of_year + 7 - (self.weekday + 6) % 7) / 7,
            Number::IsoWeek => self.iso_week().1,
            Number::IsoYear => self.iso_week().0,
            Number::ShortIsoYear => self.iso_week().0 % 100,
        }
    }
}

#[cfg(test)]
mod tests;
