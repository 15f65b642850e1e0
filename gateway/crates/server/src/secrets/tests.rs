use towpath_wire::routing::{AuthScheme, Credential};

use super::{OpenError, Secrets};

const SECRET: &str = "an-organisation-secret-of-32-characters";
/// `sk-upstream`, sealed for `crd_1` by the control plane's own code.
const SEALED: &str = "v1.AAECAwQFBgcICQoLheD-BgTIyn8baVF5wjRhzaNgaA8zwWg234vs";

fn credential(scheme: AuthScheme) -> Credential {
    Credential { sealed: SEALED.into(), scheme }
}

#[test]
fn what_the_control_plane_sealed_is_opened() {
    let secrets = Secrets::new(SECRET).unwrap();
    let (name, value) = secrets.open("crd_1", &credential(AuthScheme::Bearer)).unwrap();

    assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Bearer sk-upstream"[..]));
    assert!(value.is_sensitive());
}

#[test]
fn a_header_scheme_carries_the_bare_credential() {
    let secrets = Secrets::new(SECRET).unwrap();
    let scheme = AuthScheme::Header("api-key".into());
    let (name, value) = secrets.open("crd_1", &credential(scheme)).unwrap();

    assert_eq!((name.as_str(), value.as_bytes()), ("api-key", &b"sk-upstream"[..]));
}

#[test]
fn a_credential_cannot_stand_in_for_another() {
    let opened = Secrets::new(SECRET).unwrap().open("crd_2", &credential(AuthScheme::Bearer));

    assert_eq!(opened.unwrap_err(), OpenError::WrongKey);
}

#[test]
fn another_secret_opens_nothing() {
    let secrets = Secrets::new("another-organisation-secret-of-32-chars").unwrap();
    let opened = secrets.open("crd_1", &credential(AuthScheme::Bearer));

    assert_eq!(opened.unwrap_err(), OpenError::WrongKey);
}

#[test]
fn malformed_seals_are_told_apart() {
    let secrets = Secrets::new(SECRET).unwrap();
    for sealed in ["", "v1.", "v1.AAA", "v2.AAAA", "v1.%%%%"] {
        let credential = Credential { sealed: sealed.into(), scheme: AuthScheme::Bearer };

        assert_eq!(secrets.open("crd_1", &credential).unwrap_err(), OpenError::Malformed);
    }
}

/// The control plane computes the same pseudonym.
#[test]
fn pseudonyms_are_stable() {
    assert_eq!(
        Secrets::new(SECRET).unwrap().pseudonym("alice"),
        "c43a64979dbfb067a2b37da40ce16ebc"
    );
}
