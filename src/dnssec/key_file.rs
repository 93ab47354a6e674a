//! Keys as BIND's files hold them: `.key` with the DNSKEY, `.private` in format 1.3.

use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::key::{KeyError, RsaNumbers, Secret, SigningKey};
use super::rollover::KeyId;
use crate::wire::name::Name;
use crate::zone::base64;

/// The files' name without its end: `Kexample.com.+013+12345`.
#[must_use]
pub fn stem(apex: &Name, id: KeyId) -> String {
    let name = apex.to_lower().to_string().replace('/', "\\047");
    format!("K{name}+{:03}+{:05}", id.algorithm.number(), id.tag)
}

/// The text of `.key`.
#[must_use]
pub fn public_text(apex: &Name, key: &SigningKey) -> String {
    let kind = if key.flags() & 1 == 1 { "entry point (KSK or CSK)" } else { "zone-signing key" };
    let public = base64::encode(&key.dnskey()[4..]);
    format!(
        "; {kind}, key tag {}, {}\n{} IN DNSKEY {} 3 {} {public}\n",
        key.tag(),
        key.algorithm(),
        apex.to_lower(),
        key.flags(),
        key.algorithm().number()
    )
}

/// The text of `.private`.
#[must_use]
pub fn private_text(algorithm: Algorithm, secret: &Secret) -> Zeroizing<String> {
    // Large enough for RSA of 4096 bits, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(8192));
    let name = algorithm.name().to_ascii_uppercase();
    text.push_str(&format!("Private-key-format: v1.3\nAlgorithm: {} ({name})\n", algorithm.number()));
    let mut line = |name: &str, octets: &[u8]| {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(&Zeroizing::new(base64::encode(octets)));
        text.push('\n');
    };
    match secret {
        Secret::Scalar(scalar) => line("PrivateKey", scalar),
        Secret::Rsa(numbers) => {
            line("Modulus", &numbers.modulus);
            line("PublicExponent", &numbers.public_exponent);
            line("PrivateExponent", &numbers.private_exponent);
            line("Prime1", &numbers.prime1);
            line("Prime2", &numbers.prime2);
            line("Exponent1", &numbers.exponent1);
            line("Exponent2", &numbers.exponent2);
            line("Coefficient", &numbers.coefficient);
        }
    }
    text
}

/// Reads both texts of a key of a zone.
///
/// # Errors
/// What is wrong with them, without a word of what is secret.
pub fn read(apex: &Name, public: &str, private: &str) -> Result<(SigningKey, Secret), KeyError> {
    let dnskey = dnskey(apex, public)?;
    let secret = secret(private)?;
    Ok((SigningKey::new(&dnskey, &secret)?, secret))
}

fn unusable(why: impl Into<String>) -> KeyError {
    KeyError::Unusable(why.into())
}

/// The one record of a `.key` file: owner, perhaps TTL and class, DNSKEY and its data.
fn dnskey(apex: &Name, text: &str) -> Result<Vec<u8>, KeyError> {
    let code = text.lines().map(|line| line.split(';').next().unwrap_or_default());
    let code = code.collect::<Vec<_>>().join(" ").replace(['(', ')'], " ");
    let fields: Vec<&str> = code.split_ascii_whitespace().collect();
    let at = fields.iter().position(|field| field.eq_ignore_ascii_case("DNSKEY"));
    let (Some(at), Some(owner)) = (at, fields.first()) else {
        return Err(unusable("the .key file has no DNSKEY"));
    };
    let owner = Name::parse(owner, Some(&Name::root())).map_err(|error| unusable(error.to_string()))?;
    if owner != *apex {
        return Err(unusable(format!("it is a key of {owner}, not of {apex}")));
    }
    let [flags, protocol, algorithm, public @ ..] = &fields[at + 1..] else {
        return Err(unusable("the DNSKEY in the .key file is too short"));
    };
    let numbers = (flags.parse::<u16>(), protocol.parse::<u8>(), algorithm.parse::<u8>());
    let (Ok(flags), Ok(protocol), Ok(algorithm)) = numbers else {
        return Err(unusable("the DNSKEY in the .key file has a field that is no number"));
    };
    let mut rdata = flags.to_be_bytes().to_vec();
    rdata.extend([protocol, algorithm]);
    base64::decode(public.concat().as_bytes(), &mut rdata)
        .ok_or_else(|| unusable("the DNSKEY in the .key file isn't Base64"))?;
    Ok(rdata)
}

fn secret(text: &str) -> Result<Secret, KeyError> {
    let field = |wanted: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.trim())
    };
    if !field("Private-key-format").is_some_and(|version| version.starts_with("v1.")) {
        return Err(unusable("the .private file isn't of format v1.3"));
    }
    let octets = |name: &str| {
        let text = field(name).ok_or_else(|| unusable(format!("the .private file has no {name}")))?;
        let mut octets = Zeroizing::new(Vec::with_capacity(text.len()));
        base64::decode(text.as_bytes(), &mut octets)
            .ok_or_else(|| unusable(format!("{name} in the .private file isn't Base64")))?;
        Ok(octets)
    };
    if field("PrivateKey").is_some() {
        return Ok(Secret::Scalar(octets("PrivateKey")?));
    }
    if field("Modulus").is_none() {
        return Err(unusable("the .private file holds no key: one in a token can't be used"));
    }
    Ok(Secret::Rsa(Box::new(RsaNumbers {
        modulus: octets("Modulus")?,
        public_exponent: octets("PublicExponent")?,
        private_exponent: octets("PrivateExponent")?,
        prime1: octets("Prime1")?,
        prime2: octets("Prime2")?,
        exponent1: octets("Exponent1")?,
        exponent2: octets("Exponent2")?,
        coefficient: octets("Coefficient")?,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::{FLAGS_ENTRY, FLAGS_ZONE};

    #[test]
    fn files_read_back() {
        let apex = Name::parse("Example.com.", None).unwrap();
        for (algorithm, flags) in
            [(Algorithm::EcdsaP256Sha256, FLAGS_ENTRY), (Algorithm::Ed25519, FLAGS_ZONE)]
        {
            let (key, secret) = SigningKey::generate(algorithm, flags).unwrap();
            let (public, private) = (public_text(&apex, &key), private_text(algorithm, &secret));
            let (again, same) = read(&apex, &public, &private).unwrap();
            assert_eq!(again.dnskey(), key.dnskey());
            assert!(same == secret);
            let (_, other) = SigningKey::generate(algorithm, flags).unwrap();
            let error = read(&apex, &public, &private_text(algorithm, &other)).unwrap_err();
            assert_eq!(error, KeyError::Mismatch);
            let elsewhere = Name::parse("example.net.", None).unwrap();
            let error = read(&elsewhere, &public, &private).unwrap_err().to_string();
            assert_eq!(error, "it is a key of example.com., not of example.net.");
            for broken in ["", "Private-key-format: v1.3\n", "Private-key-format: v1.3\nPrivateKey: !\n"] {
                assert!(read(&apex, &public, broken).is_err());
            }
            assert!(read(&apex, "", &private).is_err());
        }
    }
}
