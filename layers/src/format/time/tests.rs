//! What real Envoy 1.40 printed, and a walk through the calendar.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

fn printed(format: &str, seconds: u64, nanos: u32) -> String {
    let mut out = Vec::new();
    let time = UNIX_EPOCH + Duration::new(seconds, nanos);
    TimeFormat::parse(format).unwrap().write(time, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn specifiers_are_envoys() {
    for (format, want) in [
        ("%Y/%m/%dT%H:%M:%S%z %s", "2026/11/23T03:19:04+0000 1795403944"),
        ("%s.%3f", "1795403944.885"),
        ("%s%3f|%s%6f", "1795403944885|1795403944885892"),
        ("%1f|%2f|%6f|%9f|%f", "8|88|885892|885892000|885892000"),
        ("%E*S|%E3S|%E0S", "04.885892|04.885|04"),
        ("%E*f|%E2f|%E0f", "885892|88|"),
        ("%e|%j|%p|%b|%B|%a|%A", "23|327|AM|Nov|November|Mon|Monday"),
        ("%y|%I|%D|%T|%R|%F", "26|03|11/23/26|03:19:04|03:19|2026-11-23"),
        ("%c|%Z|%%|%h|%C", "Mon Nov 23 03:19:04 2026|UTC|%|Nov|20"),
        ("%u|%w|%U|%G|%V|%g|%W", "1|1|47|2026|48|26|47"),
        ("%k|%l|%P|%r|%X|%x", " 3| 3|am|03:19:04 AM|03:19:04|11/23/26"),
        ("%-d|%_d|%0d|%^a|%#a|%_H|%-H", "23|23|23|MON|MON| 3|3"),
        ("%Ez|%E*z|%:z|%::z|%E4Y|%ET", "+00:00|+00:00:00|+00:00|+00:00:00|2026|T"),
        ("%Q|%L|%N|%0f|%|a%", "%Q|%L|%N|%0f|%|a%"),
        ("x", "x"),
        ("", ""),
        ("é %Y%t.", "é 2026\t."),
    ] {
        assert_eq!(printed(format, 1_795_403_944, 885_892_000), want, "{format}");
    }
}

#[test]
fn the_default_is_iso_8601_with_milliseconds() {
    let mut out = Vec::new();
    let time = UNIX_EPOCH + Duration::new(1_460_751_420, 310_999_999);
    TimeFormat::default_format().write(time, &mut out);
    assert_eq!(out, b"2016-04-15T20:17:00.310Z");
}

#[test]
fn trimmed_fractions_end_where_they_say_something() {
    assert_eq!(printed("%E*S|%E*f", 4, 0), "04|0");
    assert_eq!(printed("%E*S|%E*f", 4, 500_000_000), "04.5|5");
    assert_eq!(printed("%E*f", 4, 1), "000000001");
}

#[test]
fn a_new_line_is_refused() {
    assert_eq!(TimeFormat::parse("%Y%n"), None);
    assert_eq!(TimeFormat::parse("a\nb"), None);
}

#[test]
fn weeks_turn_with_the_year() {
    // Friday, 1 January 2021 belongs to week 53 of 2020; Monday, 30 December 2024 to week 1 of 2025.
    assert_eq!(printed("%F %G-W%V-%u %U %W", 1_609_459_200, 0), "2021-01-01 2020-W53-5 00 00");
    assert_eq!(printed("%F %G-W%V-%u %j", 1_735_516_800, 0), "2024-12-30 2025-W01-1 365");
    assert_eq!(printed("%F %I %l %p", 951_825_600 - 1, 0), "2000-02-29 11 11 AM");
}

#[test]
fn a_clock_that_was_never_set_shows_the_epoch() {
    let mut out = Vec::new();
    TimeFormat::default_format().write(UNIX_EPOCH - Duration::from_secs(1), &mut out);
    assert_eq!(out, b"1970-01-01T00:00:00.000Z");
}

#[test]
fn every_day_follows_the_one_before() {
    let is_leap = |year| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut month, mut day, mut day_of_year) = (1970, 1, 1, 1);
    for days in 0..200_000_u64 {
        let shown = printed("%Y %-m %-d %-j", days * 86_400 + 86_399, 0);
        assert_eq!(shown, format!("{year} {month} {day} {day_of_year}"));
        let length = match month {
            2 if is_leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (day, day_of_year) = (day + 1, day_of_year + 1);
        if day > length {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month, day_of_year) = (year + 1, 1, 1);
        }
    }
}

proptest! {
    #[test]
    fn any_format_prints_any_time(format in "(%[-_0^#:E*1-9]{0,2}[a-zA-Z%]|\\PC){0,8}", seconds in 0..1_u64 << 40, nanos in 0..1_000_000_000_u32) {
        if let Some(format) = TimeFormat::parse(&format) {
            let mut out = Vec::new();
            format.write(UNIX_EPOCH + Duration::new(seconds, nanos), &mut out);
            prop_assert!(String::from_utf8(out).is_ok());
        }
    }
}
