//! Reads connection strings. libpq is not asked to, because it repeats parts of a malformed string in its messages.

type Result<T, E = Malformed> = std::result::Result<T, E>;
pub(super) type Parameters = Vec<(String, String)>;

/// Why a connection string cannot be read. No message holds a part of the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// It is in quotes.
    #[error("it is in quotes")]
    Quoted,
    /// It is Java's.
    #[error("it is a JDBC URL")]
    Jdbc,
    /// It begins with something else.
    #[error("it does not begin with postgresql://")]
    NoScheme,
    /// It begins with another scheme.
    #[error("the scheme is neither postgresql:// nor postgres://")]
    Scheme,
    /// A zero byte, which nobody can send.
    #[error("it contains a zero byte")]
    ZeroByte,
    /// More than one `@` before the path, or a `/` where the password may be.
    #[error("it has more than one @ or a / in the password")]
    PasswordCharacters,
    /// An `@` in the options, more likely the end of a password that holds a `?`.
    #[error("it has an @ after a ?")]
    AtBehindQuestionMark,
    /// An option that libpq does not know, or none at all.
    #[error("after the ? is something that is not an option of libpq")]
    Option,
    /// The port is something else.
    #[error("the port is not a number")]
    Port,
    /// A `%` that encodes nothing.
    #[error("a % is not followed by two hexadecimal digits")]
    Percent,
    /// The decoded text is not UTF-8.
    #[error("it does not decode to UTF-8")]
    NotUtf8,
    /// `key=value` form: a word without `=`.
    #[error("a word is without '='")]
    NoValue,
    /// `key=value` form: a key that libpq does not know.
    #[error("a key is not one of libpq's")]
    Key,
    /// `key=value` form: the same key again.
    #[error("a key is there twice")]
    KeyTwice,
    /// `key=value` form: a quote that does not end.
    #[error("a quote is not closed")]
    OpenQuote,
}

/// Reads a URL or libpq's `key=value` form.
pub(super) fn connection_string(text: &str) -> Result<Parameters> {
    let text = text.trim();
    let parameters = match text.split_once("://") {
        _ if text.is_empty() => Err(Malformed::Empty),
        _ if text.starts_with(['"', '\'']) => Err(Malformed::Quoted),
        Some(("jdbc:postgresql", _)) => Err(Malformed::Jdbc),
        Some((scheme, rest)) if is_scheme(scheme) => url(rest),
        Some((scheme, _))
            if scheme.chars().all(|character| character.is_alphanumeric() || "+:".contains(character)) =>
        {
            Err(Malformed::Scheme)
        }
        _ if text.contains('=') => keywords(text),
        _ => Err(Malformed::NoScheme),
    }?;
    if parameters.iter().any(|(_, value)| value.contains('\0')) {
        return Err(Malformed::ZeroByte);
    }
    Ok(parameters)
}

/// libpq's two, and those of SQLAlchemy, which name Python's driver too: `postgresql+asyncpg`.
fn is_scheme(scheme: &str) -> bool {
    let (scheme, driver) = scheme.split_once('+').unwrap_or((scheme, "any"));
    matches!(scheme, "postgres" | "postgresql") && !driver.is_empty() && driver.chars().all(char::is_alphanumeric)
}

/// Reads what follows `postgresql://`, by libpq's grammar but without its lenience towards a stray `@`.
fn url(rest: &str) -> Result<Parameters> {
    let mut parameters = Vec::new();
    let mut add = |key: &str, value: &str| -> Result<()> {
        if !value.is_empty() {
            parameters.push((key.to_owned(), percent_decode(value)?));
        }
        Ok(())
    };
    let before_path = rest.split('/').next().unwrap_or_default();
    let (user_info, rest) = match before_path.find('@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("", rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    if rest.contains('@') {
        return Err(Malformed::PasswordCharacters);
    }
    if query.contains('@') {
        return Err(Malformed::AtBehindQuestionMark);
    }
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    add("user", user)?;
    add("password", password)?;
    let (names, ports) = split_hosts(hosts)?;
    add("host", &names)?;
    add("port", &ports)?;
    add("dbname", database)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("ssl", "true")) => add("sslmode", "require")?,
            // As asyncpg calls it.
            Some(("ssl", mode)) => add("sslmode", mode)?,
            Some((key, value)) if is_keyword(key) => add(key, value)?,
            _ => return Err(Malformed::Option),
        }
    }
    Ok(parameters)
}

/// Splits `a:1,b:2` into libpq's two lists, `a,b` and `1,2`; an address in brackets loses them.
fn split_hosts(hosts: &str) -> Result<(String, String)> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[').and_then(|address| address.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        if !port.chars().all(|digit| digit.is_ascii_digit()) {
            return Err(Malformed::Port);
        }
        names.push(name);
        ports.push(port);
    }
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    Ok((names.join(","), ports))
}

/// Reads libpq's `key=value key='quoted value'` form.
fn keywords(text: &str) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=').ok_or(Malformed::NoValue)?;
        if !is_keyword(key.trim()) {
            return Err(Malformed::Key);
        }
        if parameters.iter().any(|(known, _)| known == key.trim()) {
            return Err(Malformed::KeyTwice);
        }
        let (value, after) = take_value(value.trim_start())?;
        parameters.push((key.trim().to_owned(), value));
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// Takes one value, quoted or not, off the front of a `key=value` text; a backslash escapes the next character.
fn take_value(text: &str) -> Result<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &text[at..])),
            plain => value.push(plain),
        }
    }
    if quoted { Err(Malformed::OpenQuote) } else { Ok((value, "")) }
}

/// What libpq knows, up to version 18. It would repeat a key that it does not know, and that may be the rest of a
/// password with a space in it.
const KEYWORDS: &str = "application_name channel_binding client_encoding connect_timeout dbname fallback_application_name \
    gssdelegation gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval \
    krbsrvname load_balance_hosts max_protocol_version min_protocol_version oauth_client_id oauth_client_secret \
    oauth_issuer oauth_scope options passfile password port replication require_auth requirepeer requiressl \
    scram_client_key scram_server_key service servicefile ssl_max_protocol_version ssl_min_protocol_version sslcert \
    sslcertmode sslcompression sslcrl sslcrldir sslkey sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert \
    sslsni target_session_attrs tcp_user_timeout user";

fn is_keyword(key: &str) -> bool {
    KEYWORDS.split_whitespace().any(|keyword| keyword == key)
}

fn percent_decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push(high * 16 + low),
            _ => return Err(Malformed::Percent),
        }
    }
    String::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(expected: &[(&str, &str)]) -> Parameters {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// What a text is read as.
    #[test]
    fn urls_and_keywords_are_taken_apart() {
        let read: [(&str, &[(&str, &str)]); 9] = [
            (
                "postgresql://u%40x:p%2Fw@db.example:5433/main?sslmode=require&options=-csearch_path%3Da",
                &[
                    ("user", "u@x"),
                    ("password", "p/w"),
                    ("host", "db.example"),
                    ("port", "5433"),
                    ("dbname", "main"),
                    ("sslmode", "require"),
                    ("options", "-csearch_path=a"),
                ],
            ),
            ("postgres://[::1]:5432,b/db", &[("host", "::1,b"), ("port", "5432,"), ("dbname", "db")]),
            (
                "postgresql:///db?host=/run/postgresql&user=me",
                &[("dbname", "db"), ("host", "/run/postgresql"), ("user", "me")],
            ),
            // A password may hold what libpq allows unescaped.
            ("postgresql://u:a?b:c@h/d", &[("user", "u"), ("password", "a?b:c"), ("host", "h"), ("dbname", "d")]),
            ("postgresql+psycopg2://u@h/d", &[("user", "u"), ("host", "h"), ("dbname", "d")]),
            (
                "postgresql+asyncpg://u@h/d?ssl=verify-full",
                &[("user", "u"), ("host", "h"), ("dbname", "d"), ("sslmode", "verify-full")],
            ),
            (" postgres://h/d?ssl=true\n", &[("host", "h"), ("dbname", "d"), ("sslmode", "require")]),
            (r"host=h password='a b\'c\\' dbname=x", &[("host", "h"), ("password", r"a b'c\"), ("dbname", "x")]),
            // A value may hold what looks like a scheme.
            ("host=h password='a://b'", &[("host", "h"), ("password", "a://b")]),
        ];
        for (text, parameters) in read {
            assert_eq!(connection_string(text).unwrap(), pairs(parameters), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_repeated() {
        for (text, why) in [
            ("", Malformed::Empty),
            (" \n", Malformed::Empty),
            ("\"postgresql://u:S3cr3t@h/d\"", Malformed::Quoted),
            ("'postgresql://u:S3cr3t@h/d'", Malformed::Quoted),
            ("jdbc:postgresql://h/d?user=u&password=S3cr3t", Malformed::Jdbc),
            ("mysql://u:S3cr3t@host/db", Malformed::Scheme),
            ("mysql+pymysql://u:S3cr3t@host/db", Malformed::Scheme),
            ("postgresql+://u:S3cr3t@host/db", Malformed::Scheme),
            ("postgresql://u:S3cr/3t@host/db", Malformed::PasswordCharacters),
            ("postgresql://u:S3%zzcr3t@host/db", Malformed::Percent),
            ("postgresql://u:S3%FFcr3t@host/db", Malformed::NotUtf8),
            ("postgresql://u:S3cr3t%00@host/db", Malformed::ZeroByte),
            ("postgresql://u:S3cr3t@ho@st/db", Malformed::PasswordCharacters),
            ("postgresql://u:S3cr3t@host:po/db", Malformed::Port),
            ("postgresql://u:S3cr3t@host/db?S3cr3t", Malformed::Option),
            ("postgresql://u:12/S3?cr3t=x@host/db", Malformed::AtBehindQuestionMark),
            ("host=h password=x s3cr3t=S3", Malformed::Key),
            ("password=x user=u user=S3cr3t", Malformed::KeyTwice),
            ("host=h password=S3 cr3t", Malformed::NoValue),
            ("password='S3cr3t", Malformed::OpenQuote),
            ("S3cr3t", Malformed::NoScheme),
        ] {
            let refused = connection_string(text).unwrap_err();
            assert_eq!(refused, why, "{text}");
            let message = refused.to_string();
            assert!(!["S3", "s3", "cr3t"].iter().any(|part| message.contains(part)), "{text}: {message}");
        }
    }
}
