//! A real postgres in the database's place: as much of its protocol as it takes to write and read one value, where no
//! password is asked for.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a client may ask first: whether TLS is spoken. Postgres answers with one letter; the stand-in's database hangs up.
const SPEAKS_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const VERSION: u32 = 3 << 16;
/// No message that is read here comes near it.
const LONGEST: usize = 1 << 20;

/// A connection to a real postgres; none where the stand-in's own database listens.
pub(crate) fn connect(address: &str) -> io::Result<Option<TcpStream>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&SPEAKS_TLS)?;
    let mut letter = [0];
    let real = matches!(stream.read(&mut letter), Ok(1)) && matches!(letter, [b'N' | b'S']);
    Ok(real.then_some(stream))
}

/// The same questions and answers as those of the stand-in's database.
pub(crate) fn ask(mut stream: TcpStream, line: &str) -> io::Result<String> {
    let start = [&VERSION.to_be_bytes()[..], b"user\0postgres\0database\0postgres\0\0"].concat();
    stream.write_all(&with_length(&start))?;
    answer(&mut stream)?;
    let mut words = line.splitn(3, ' ');
    let (sql, empty) = match (words.next(), words.next(), words.next()) {
        (Some("SET"), Some(key), Some(value)) => {
            let (key, value) = (quoted(key), quoted(value));
            let table = "CREATE TABLE IF NOT EXISTS example (key text PRIMARY KEY, value text)";
            let change = "ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            (format!("{table}; INSERT INTO example VALUES ({key}, {value}) {change}"), "OK")
        }
        (Some("GET"), Some(key), None) => {
            (format!("SELECT 'VALUE ' || value FROM example WHERE key = {}", quoted(key)), "NONE")
        }
        _ => ("SELECT 'PONG'".to_owned(), "NONE"),
    };
    stream.write_all(&[b"Q", &with_length(&[sql.as_bytes(), b"\0"].concat())[..]].concat())?;
    Ok(answer(&mut stream)?.unwrap_or_else(|| empty.to_owned()))
}

/// Reads until it waits for the next question: the first value of a row, if one came.
fn answer(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let (mut value, mut error) = (None, None);
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = (u32::from_be_bytes(length) as usize).saturating_sub(4);
        if length > LONGEST {
            return Err(io::Error::other("this is no postgres"));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        match kind {
            b'Z' => return error.map_or(Ok(value), |why| Err(io::Error::other(why))),
            b'R' if body != [0; 4] => return Err(io::Error::other("it asks for a password")),
            // A count of two bytes and a length of four stand before the first value.
            b'D' => value = body.get(6..).map(|text| String::from_utf8_lossy(text).into_owned()),
            b'E' => {
                let fields = body.split(|byte| *byte == 0).filter_map(|field| field.strip_prefix(b"M"));
                error =
                    Some(fields.map(|text| String::from_utf8_lossy(text).into_owned()).collect::<String>());
                // Before a connection is made it says why, and hangs up.
                if value.is_none() && body.windows(6).any(|part| part == b"SFATAL") {
                    return Err(io::Error::other(error.unwrap_or_default()));
                }
            }
            _ => {}
        }
    }
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], body].concat()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
