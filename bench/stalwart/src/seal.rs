//! Seals one message in the steps that Stalwart takes: the certificate is read for each message, as
//! it comes from the store, and the fields that describe the content go inside with the body.

use aes::Aes256;
use cbc::Encryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use encodify::base64;
use mail_builder::encoders::base64::base64_encode_mime;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use rasn::der;
use rasn::types::{OctetString, SetOf};
use rasn_cms::{
    AlgorithmIdentifier, CONTENT_DATA, CONTENT_ENVELOPED_DATA, EncryptedContentInfo, EnvelopedData,
    IssuerAndSerialNumber, KeyTransRecipientInfo, RecipientIdentifier, RecipientInfo, algorithms,
    pkcs7_compat::EncapsulatedContentInfo,
};
use rasn_pkix::Certificate;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::{Pkcs1v15Encrypt, RsaPublicKey};

use crate::Result;

const HEAD: &[u8] = b"MIME-Version: 1.0\r\n\
    Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=\"smime.p7m\"\r\n\
    Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\n";

/// Who writes the base64: the crate that Stalwart had, or the one that it has since 0.16.21.
#[derive(Clone, Copy)]
pub enum Base64 {
    MailBuilder,
    Encodify,
}

/// The DER of a certificate in PEM.
pub fn read_certificate(pem: &str) -> Result<Vec<u8>> {
    let lines = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN CERTIFICATE"));
    let body: String = lines
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .collect();
    Ok(base64::STANDARD.decode(&body)?)
}

/// The message as S/MIME, by AES-256-CBC, for the RSA key of a certificate in DER.
pub fn seal(message: &[u8], certificate: &[u8], encoder: Base64) -> Result<Vec<u8>> {
    let (mut out, content) = split(message);
    let mut random = StdRng::from_entropy();
    let (mut key, mut iv) = (vec![0; 32], vec![0; 16]);
    random.fill_bytes(&mut iv);
    random.fill_bytes(&mut key);
    let encrypted =
        Encryptor::<Aes256>::new_from_slices(&key, &iv)?.encrypt_padded_vec::<Pkcs7>(&content);
    let mut recipients = SetOf::new();
    recipients.insert(recipient(certificate, &key, &mut random)?);
    let cms = content_info(recipients, encrypted, iv)?;
    out.extend_from_slice(HEAD);
    match encoder {
        Base64::MailBuilder => base64_encode_mime(&cms, &mut out, false).map(drop)?,
        Base64::Encodify => drop(base64::MIME.encode_append(&cms, &mut out)),
    }
    Ok(out)
}

/// The fields that stay outside, and all else.
fn split(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut outer = Vec::with_capacity(message.len() * 3 / 2);
    let mut inner = Vec::with_capacity(message.len());
    let (mut rest, mut inside) = (message, false);
    while !rest.is_empty() && !rest.starts_with(b"\r\n") {
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        if !matches!(line[0], b' ' | b'\t') {
            inside = describes_content(line);
        }
        if inside { &mut inner } else { &mut outer }.extend_from_slice(line);
        rest = after;
    }
    inner.extend_from_slice(rest);
    (outer, inner)
}

fn describes_content(line: &[u8]) -> bool {
    let starts = |name: &[u8]| {
        line.get(..name.len())
            .is_some_and(|it| it.eq_ignore_ascii_case(name))
    };
    starts(b"Content-") || starts(b"MIME-Version:")
}

fn recipient(certificate: &[u8], key: &[u8], random: &mut StdRng) -> Result<RecipientInfo> {
    let tbs = der::decode::<Certificate>(certificate)?.tbs_certificate;
    let public = tbs.subject_public_key_info.subject_public_key;
    let public = RsaPublicKey::from_pkcs1_der(public.as_raw_slice())?;
    let encrypted = public.encrypt(random, Pkcs1v15Encrypt, key)?;
    Ok(RecipientInfo::KeyTransRecipientInfo(
        KeyTransRecipientInfo {
            version: 0.into(),
            rid: RecipientIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: tbs.issuer,
                serial_number: tbs.serial_number,
            }),
            key_encryption_algorithm: AlgorithmIdentifier {
                algorithm: algorithms::RSA.into(),
                parameters: Some(der::encode(&())?.into()),
            },
            encrypted_key: encrypted.into(),
        },
    ))
}

fn content_info(
    recipient_infos: SetOf<RecipientInfo>,
    encrypted: Vec<u8>,
    iv: Vec<u8>,
) -> Result<Vec<u8>> {
    let enveloped = EnvelopedData {
        version: 0.into(),
        originator_info: None,
        recipient_infos,
        encrypted_content_info: EncryptedContentInfo {
            content_type: CONTENT_DATA.into(),
            content_encryption_algorithm: AlgorithmIdentifier {
                algorithm: algorithms::AES256_CBC.into(),
                parameters: Some(der::encode(&OctetString::from(iv))?.into()),
            },
            encrypted_content: Some(encrypted.into()),
        },
        unprotected_attrs: None,
    };
    Ok(der::encode(&EncapsulatedContentInfo {
        content_type: CONTENT_ENVELOPED_DATA.into(),
        content: Some(der::encode(&enveloped)?.into()),
    })?)
}
