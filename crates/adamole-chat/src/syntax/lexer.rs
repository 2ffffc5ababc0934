//! The tokens of an expression or of a tag, as Jinja2 reads them.

use super::SyntaxError;

/// A token within `{{ }}` or `{% %}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// A name or a keyword.
    Name(&'a str),
    /// An integer or a float, as it is written.
    Number(&'a str),
    /// The value of a string literal.
    Text(String),
    /// An operator or a bracket.
    Operator(&'static str),
}

/// A token and the byte of the source at which it starts.
#[derive(Clone, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) at: usize,
}

/// The operators, longer ones first.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";",
];

/// What is between the signs of a tag.
pub(crate) struct Inside<'a> {
    pub(crate) tokens: Vec<Placed<'a>>,
    /// The end with its sign, such as `-%}`.
    pub(crate) end: &'a str,
    /// The byte after the end.
    pub(crate) next: usize,
}

/// Reads the tokens from `start` to `close` (`%}` or `}}`).
pub(crate) fn read<'a>(source: &'a str, start: usize, close: &'static str) -> Result<Inside<'a>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut open = Vec::new();
    let mut at = start;
    loop {
        let rest = &source[at..];
        let Some(first) = rest.chars().next() else {
            return Err(SyntaxError::at(source, start, format!("`{close}` is missing")));
        };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if open.is_empty()
            && let Some(end) = end_here(rest, close)
        {
            return Ok(Inside { tokens, end, next: at + end.len() });
        }
        let (token, length) = next_token(source, at)?;
        if let Token::Operator(operator) = token {
            balance(operator, &mut open).map_err(|message| SyntaxError::at(source, at, message))?;
        }
        tokens.push(Placed { token, at });
        at += length;
    }
}

/// The end of a tag at the start of `rest`, with its sign.
fn end_here<'a>(rest: &'a str, close: &str) -> Option<&'a str> {
    let sign = usize::from(rest.starts_with(['-', '+']));
    // `+}}` is not an end: a variable has no line whose newline could be kept.
    let sign = if close == "}}" && rest.starts_with('+') { 0 } else { sign };
    rest[sign..].starts_with(close).then(|| &rest[..sign + close.len()])
}

fn balance(operator: &'static str, open: &mut Vec<&'static str>) -> Result<(), String> {
    let opening = match operator {
        "(" | "[" | "{" => {
            open.push(operator);
            return Ok(());
        }
        ")" => "(",
        "]" => "[",
        "}" => "{",
        _ => return Ok(()),
    };
    match open.pop() {
        Some(found) if found == opening => Ok(()),
        _ => Err(format!("unexpected `{operator}`")),
    }
}

/// The token at a byte of the source, and its length in bytes.
fn next_token(source: &str, at: usize) -> Result<(Token<'_>, usize), SyntaxError> {
    let rest = &source[at..];
    let first = rest.chars().next().unwrap_or(' ');
    if first.is_ascii_digit() {
        let length = number_length(rest, source[..at].ends_with('.'));
        return Ok((Token::Number(&rest[..length]), length));
    }
    if first == '_' || first.is_alphabetic() {
        let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        return Ok((Token::Name(&rest[..length]), length));
    }
    if first == '"' || first == '\'' {
        return text(source, at, first);
    }
    let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
    match operator {
        Some(operator) => Ok((Token::Operator(operator), operator.len())),
        None => Err(SyntaxError::at(source, at, format!("unexpected `{first}`"))),
    }
}

/// The length of a number. After a dot it is the index of an item, and has no fraction.
fn number_length(rest: &str, after_dot: bool) -> usize {
    let bytes = rest.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1] | 32, b'x' | b'o' | b'b') {
        return 2 + digits(&bytes[2..], |byte| byte.is_ascii_hexdigit());
    }
    let mut length = digits(bytes, |byte| byte.is_ascii_digit());
    if after_dot {
        return length;
    }
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1 + digits(&bytes[length + 1..], |byte| byte.is_ascii_digit());
    }
    if bytes.get(length).is_some_and(|byte| byte | 32 == b'e') {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(&bytes[length + 1 + sign..], |byte| byte.is_ascii_digit());
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

fn digits(bytes: &[u8], is_digit: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_digit(byte) || **byte == b'_').count()
}

/// A string literal with Python's escapes.
fn text(source: &str, at: usize, quote: char) -> Result<(Token<'_>, usize), SyntaxError> {
    let body = &source[at + 1..];
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((index, character)) = characters.next() {
        if character == quote {
            return Ok((Token::Text(value), index + 2));
        }
        if character != '\\' {
            value.push(character);
            continue;
        }
        let Some((_, escaped)) = characters.next() else { break };
        let mut code = |length: usize, name: char| -> Result<char, SyntaxError> {
            let invalid = || {
                SyntaxError::at(
                    source,
                    at + 1 + index,
                    format!("`\\{name}` is not followed by {length} hexadecimal digits of a character"),
                )
            };
            let start = index + 2;
            let hexadecimal = body.get(start..start + length).ok_or_else(invalid)?;
            let number = u32::from_str_radix(hexadecimal, 16).map_err(|_| invalid())?;
            characters.nth(length - 1);
            char::from_u32(number).ok_or_else(invalid)
        };
        match escaped {
            '\n' => {}
            '\\' | '\'' | '"' => value.push(escaped),
            'a' => value.push('\u{7}'),
            'b' => value.push('\u{8}'),
            'f' => value.push('\u{c}'),
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            'v' => value.push('\u{b}'),
            'x' => value.push(code(2, 'x')?),
            'u' => value.push(code(4, 'u')?),
            'U' => value.push(code(8, 'U')?),
            'N' => {
                return Err(SyntaxError::at(
                    source,
                    at + 1 + index,
                    "`\\N{...}` is not supported, write the character".into(),
                ));
            }
            '0'..='7' => {
                let mut number = escaped.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = characters.clone().next().and_then(|(_, next)| next.to_digit(8)) else { break };
                    number = 8 * number + digit;
                    characters.next();
                }
                value.extend(char::from_u32(number));
            }
            // Python keeps a backslash that begins no escape.
            other => value.extend(['\\', other]),
        }
    }
    Err(SyntaxError::at(source, at, "the string has no end".into()))
}
