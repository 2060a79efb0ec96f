//! Shows all that mail-parser sees of messages: each comes on standard input behind its length, and
//! so does each answer go out. Lengths have four bytes, the highest first.

use std::io::{self, Read, Write};

use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders, PartType};

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let parser = MessageParser::default();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        input.read_exact(&mut message)?;
        let mut seen = Vec::new();
        if let Some(parsed) = parser.parse(&message) {
            show(&parsed, &mut seen);
        }
        output.write_all(&(seen.len() as u32).to_be_bytes())?;
        output.write_all(&seen)?;
        output.flush()?;
    }
    Ok(())
}

fn show(message: &Message, seen: &mut Vec<u8>) {
    for part in &message.parts {
        for header in &part.headers {
            show_value(&header.value, seen);
        }
        line(part.attachment_name().unwrap_or_default().as_bytes(), seen);
        match &part.body {
            PartType::Text(text) | PartType::Html(text) => line(text.as_bytes(), seen),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => line(bytes, seen),
            PartType::Message(inner) => show(inner, seen),
            PartType::Multipart(_) => {}
        }
    }
    for number in 0..message.parts.len() {
        line(message.body_text(number).unwrap_or_default().as_bytes(), seen);
        line(message.body_html(number).unwrap_or_default().as_bytes(), seen);
    }
}

fn show_value(value: &HeaderValue, seen: &mut Vec<u8>) {
    match value {
        HeaderValue::Text(text) => line(text.as_bytes(), seen),
        HeaderValue::TextList(texts) => texts.iter().for_each(|text| line(text.as_bytes(), seen)),
        HeaderValue::Address(Address::List(list)) => {
            for one in list {
                line(one.name().unwrap_or_default().as_bytes(), seen);
            }
        }
        HeaderValue::ContentType(kind) => {
            for attribute in kind.attributes().unwrap_or_default() {
                line(format!("{attribute:?}").as_bytes(), seen);
            }
        }
        _ => {}
    }
}

fn line(text: &[u8], seen: &mut Vec<u8>) {
    seen.extend_from_slice(text);
    seen.push(b'\n');
}
