//! How a line of a log is written: bare, with the service's name before it, with its time, or as JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use owo_colors::{AnsiColors, OwoColorize};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::domain::{UnitName, WallTime};
use crate::store::log::Line;

/// So much is gathered before it is written.
const GATHER: usize = 64 * 1024;

const COLOURS: [AnsiColors; 10] = [
    AnsiColors::Cyan,
    AnsiColors::Yellow,
    AnsiColors::Green,
    AnsiColors::Magenta,
    AnsiColors::Blue,
    AnsiColors::BrightCyan,
    AnsiColors::BrightYellow,
    AnsiColors::BrightGreen,
    AnsiColors::BrightMagenta,
    AnsiColors::BrightBlue,
];

/// What a line looks like.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own on the command line")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) json: bool,
    pub(super) timestamps: bool,
    pub(super) prefix: bool,
    pub(super) colour: bool,
    /// Invalid UTF-8 is replaced.
    pub(super) lossy: bool,
}

/// Gathers lines and writes them in large pieces.
pub(super) struct Printer<'a, W: Write> {
    out: &'a mut W,
    gathered: Vec<u8>,
    look: Look,
    units: Vec<(UnitName, String)>,
    clock: ClockText,
    /// The first bytes of a character whose rest has not come yet.
    carry: Vec<u8>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    service: &'a str,
    time: &'a str,
    line: Cow<'a, str>,
    /// The line goes on in the next document.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

impl<'a, W: Write> Printer<'a, W> {
    pub(super) fn new(out: &'a mut W, units: Vec<UnitName>, look: Look) -> Self {
        let width = units.iter().map(|name| name.as_str().width()).max().unwrap_or(0);
        let label = |(index, name): (usize, UnitName)| {
            let pad = " ".repeat(width - name.as_str().width());
            let text = format!("{name}{pad} |");
            let label = if look.colour {
                format!("{} ", text.color(COLOURS[index % COLOURS.len()]))
            } else {
                text + " "
            };
            (name, label)
        };
        let units = units.into_iter().enumerate().map(label).collect();
        let clock = ClockText::new(if look.json { TimeZone::UTC } else { TimeZone::system() });
        Self { out, gathered: Vec::with_capacity(2 * GATHER), look, units, clock, carry: Vec::new() }
    }

    /// Writes one line, or one piece of a long one.
    pub(super) fn line(&mut self, unit: usize, line: &Line<'_>) -> io::Result<()> {
        let (name, label) = &self.units[unit];
        let gathered = &mut self.gathered;
        if self.look.json {
            let json = Json {
                schema: "devstack/v1",
                service: name.as_str(),
                time: self.clock.text(line.time),
                line: String::from_utf8_lossy(line.bytes),
                cut: line.cut,
            };
            serde_json::to_writer(&mut *gathered, &json)?;
            gathered.push(b'\n');
        } else {
            if self.look.prefix {
                gathered.extend_from_slice(label.as_bytes());
            }
            if self.look.timestamps {
                gathered.extend_from_slice(self.clock.text(line.time).as_bytes());
                gathered.push(b' ');
            }
            if self.look.lossy {
                gathered.extend_from_slice(String::from_utf8_lossy(line.bytes).as_bytes());
            } else {
                gathered.extend_from_slice(line.bytes);
            }
            // A colour that the service left on would run into the next prefix.
            if self.look.prefix && self.look.colour && line.bytes.contains(&0x1b) {
                gathered.extend_from_slice(b"\x1b[0m");
            }
            gathered.push(b'\n');
        }
        self.write_if(GATHER)
    }

    /// Writes bytes as they are (or with invalid UTF-8 replaced).
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.look.lossy {
            self.gathered.extend_from_slice(bytes);
            return self.write_if(GATHER);
        }
        let whole = [std::mem::take(&mut self.carry).as_slice(), bytes].concat();
        let mut rest = whole.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.gathered.extend_from_slice(text.as_bytes());
                    break;
                }
                Err(error) => {
                    let (valid, behind) = rest.split_at(error.valid_up_to());
                    self.gathered.extend_from_slice(valid);
                    let Some(invalid) = error.error_len() else {
                        self.carry = behind.to_vec();
                        break;
                    };
                    self.gathered.extend_from_slice("\u{fffd}".as_bytes());
                    rest = &behind[invalid..];
                }
            }
        }
        self.write_if(GATHER)
    }

    /// Nothing more comes: half a character is shown as what it is.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.carry).is_empty() {
            self.gathered.extend_from_slice("\u{fffd}".as_bytes());
        }
        self.flush()
    }

    /// Writes all that was gathered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.write_if(1)?;
        self.out.flush()
    }

    /// Where it is written to.
    pub(super) fn out(&self) -> &W {
        self.out
    }

    fn write_if(&mut self, least: usize) -> io::Result<()> {
        if self.gathered.len() >= least {
            self.out.write_all(&self.gathered)?;
            self.gathered.clear();
        }
        Ok(())
    }
}

/// Times as text; lines of one millisecond share it.
struct ClockText {
    zone: TimeZone,
    last: Option<WallTime>,
    text: String,
}

impl ClockText {
    fn new(zone: TimeZone) -> Self {
        Self { zone, last: None, text: String::new() }
    }

    fn text(&mut self, time: WallTime) -> &str {
        if self.last != Some(time) {
            let stamp = Timestamp::from_millisecond(time.0).unwrap_or_default();
            self.text = if self.zone == TimeZone::UTC {
                format!("{stamp:.3}")
            } else {
                stamp.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
            };
            self.last = Some(time);
        }
        &self.text
    }
}
