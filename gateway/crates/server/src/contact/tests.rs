use super::*;

fn rules() -> BTreeMap<DataClass, u64> {
    BTreeMap::from([(DataClass::Internal, 60_000), (DataClass::Restricted, 10_000)])
}

#[test]
fn the_strictest_rule_up_to_the_class_holds() {
    let folder = tempfile::tempdir().unwrap();
    let contact = Contact::of(folder.path());
    contact.made(1_000_000);
    let served = |class, later: i64| contact.serves(class, &rules(), 1_000_000 + later).is_ok();

    assert!(served(DataClass::Public, 10_000_000));
    assert!(served(DataClass::Confidential, 60_000) && !served(DataClass::Confidential, 60_001));
    assert!(served(DataClass::Restricted, 10_000) && !served(DataClass::Restricted, 10_001));
}

#[test]
fn a_restart_makes_no_table_young() {
    let folder = tempfile::tempdir().unwrap();
    let contact = Contact::of(folder.path());
    contact.made(1_000_000);
    contact.keep().unwrap();

    assert_eq!(Contact::of(folder.path()).age_ms(1_030_000), Some(30_000));
}

#[test]
fn a_table_without_a_control_plane_has_no_age() {
    assert!(Contact::default().serves(DataClass::Restricted, &rules(), i64::MAX).is_ok());
}
