//! The calendar: a point in time as year, month, day and week, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time, taken apart.
pub(super) struct Moment {
    pub(super) epoch_seconds: i64,
    pub(super) nanos: u32,
    /// Of the proleptic Gregorian calendar.
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    /// From 0.
    pub(super) day_of_year: i64,
    /// From Sunday.
    pub(super) weekday: i64,
    pub(super) second_of_day: i64,
}

impl Moment {
    pub(super) fn of(time: SystemTime) -> Self {
        let (epoch_seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
            // Before 1970: a clock that was never set.
            Err(_) => (0, 0),
        };
        let days = epoch_seconds.div_euclid(86_400);
        let (year, month, day) = civil(days);
        Self {
            epoch_seconds,
            nanos,
            year,
            month,
            day,
            day_of_year: days - days_of(year),
            weekday: (days + 4).rem_euclid(7), // 1970-01-01 was a Thursday
            second_of_day: epoch_seconds.rem_euclid(86_400),
        }
    }

    /// The year and week of ISO 8601: those of the week's Thursday.
    pub(super) fn iso_week(&self) -> (i64, i64) {
        let thursday = self.day_of_year - (self.weekday + 6) % 7 + 3;
        let days_in = |year| days_of(year + 1) - days_of(year);
        if thursday < 0 {
            (self.year - 1, (thursday + days_in(self.year - 1)) / 7 + 1)
        } else if thursday >= days_in(self.year) {
            (self.year + 1, 1)
        } else {
            (self.year, thursday / 7 + 1)
        }
    }
}

/// Days from 1970-01-01 to the first of January of a year.
fn days_of(year: i64) -> i64 {
    let before = year - 1;
    before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 719_162
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March here, so
/// that the leap day is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}
