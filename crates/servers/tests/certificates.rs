//! Authorities, and what they sign.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// A certificate and its private key, PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority.
pub(crate) struct Authority(pub(crate) Pair);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(Pair {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        })
    }

    /// A server's, for these names and addresses.
    pub(crate) fn server(&self, names: &[&str], expired: bool) -> Pair {
        self.sign("db", names, ExtendedKeyUsagePurpose::ServerAuth, expired)
    }

    /// A client's, for a role.
    pub(crate) fn client(&self, role: &str) -> Pair {
        self.sign(role, &[], ExtendedKeyUsagePurpose::ClientAuth, false)
    }

    fn sign(&self, name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose, expired: bool) -> Pair {
        let own = KeyPair::from_pem(&self.0.key).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&self.0.certificate, own).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2020, 1, 1);
        if expired {
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}
